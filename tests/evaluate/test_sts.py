"""Semantic textual similarity against scipy and sentence-transformers."""

import csv

import numpy as np
import pytest
from scipy.stats import spearmanr

import parabench
from parabench.data.sources.sts import find_sts
from parabench.errors import DataError
from parabench.evaluate import Run, rescore


def test_sts_reads_every_public_layout_and_pools_the_genres_of_a_year(sentences, tmp_path):
    run = parabench.evaluate("tfidf:", tasks=["sts"], task_data={"sts": sentences}, out=tmp_path / "run", n_resamples=200)
    task = run.result.tasks["sts"]
    rows = run.rows("sts").to_pandas()
    assert {key: entry.n for key, entry in task.metrics.items()} == {
        "SICK-R test": 7, "SICK-R trial": 5, "STS-B test": 12, "STS12 test": 12, "STS15 test": 11, "mean": 42}  # fmt: skip
    assert set(task.metrics["STS12 test"].by_kind) == {"forum", "news"}
    for (name, split), part in rows.groupby(["set", "split"]):
        assert task.metrics[f"{name} {split}"].value == pytest.approx(100 * spearmanr(part.human, part.cosine).statistic, abs=1e-9)
    assert task.details["mean_of"] == ["SICK-R test", "STS-B test", "STS12 test", "STS15 test"]
    assert "without STS13, STS14, STS16" in task.details["note"]
    assert task.metrics["mean"].value == pytest.approx(np.mean([task.metrics[key].value for key in task.details["mean_of"]]))
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks


def test_an_encoder_without_an_order_scores_nothing(sentences, tmp_path):
    run = parabench.evaluate("constant:8", tasks=["sts"], task_data={"sts": sentences}, out=tmp_path / "c", n_resamples=50)
    assert run.value("mean", "sts") == 0 and "STS-B test" in run.result.tasks["sts"].details["no_order"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("stsb-en-test.csv", "a,b,nan\n", "line 1: the score is 'nan'"), ("stsb-en-test.csv", "a,b,6\n", "from 0 to 5"),
     ("stsb-en-test.csv", "a,b\n", "line 1: 2 fields"), ("stsb-en-test.csv", "a,,3\n", "a sentence is empty"),
     ("stsb-en-test.csv", 'a,"b,3\n', "line 1"), ("stsb-en-test.csv", "a,b,3\nc,d,3\n", "scores of STS-B test are equal"),
     ("2012/x.test.tsv", "3\tonly one\n", "line 1: 2 fields"), ("SICK_train.txt", "no\theader\n", "sentence_A"),
     ("STS15-en-test/STS.input.a.txt", "a\tb\n", "STS.gs.a.txt"), ("notes.txt", "x", "no STS set was found")],
)  # fmt: skip
def test_bad_sts_files_are_one_clear_line(tmp_path, name, content, message):
    (tmp_path / "d" / name).parent.mkdir(parents=True)
    (tmp_path / "d" / name).write_text(content)
    with pytest.raises(DataError) as caught:
        parabench.evaluate("tfidf:", tasks=["sts"], task_data={"sts": tmp_path / "d"}, out=tmp_path / "run")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists(), "data is checked before anything runs"


@pytest.mark.timeout(1800)
def test_sts_of_minilm_is_what_sentence_transformers_gives(shared, minilm, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator

    run = parabench.evaluate(f"sbert:{minilm}", tasks=["sts"], out=tmp_path / "run", n_resamples=200, seed=1,
                             task_data={"sts": shared / "sts" / "stsb-en-dev.csv"})  # fmt: skip
    measure = run.result.tasks["sts"].metrics["STS-B dev"]
    with (shared / "sts" / "stsb-en-dev.csv").open(encoding="utf-8", newline="") as stream:
        first, second, human = zip(*csv.reader(stream), strict=True)
    model = SentenceTransformer(minilm, device="cpu")
    a, b = (model.encode(list(side), normalize_embeddings=True, show_progress_bar=False) for side in (first, second))
    scores = [float(score) for score in human]
    assert measure.value / 100 == pytest.approx(spearmanr((a * b).sum(1), scores).statistic, abs=1e-6)
    theirs = EmbeddingSimilarityEvaluator(list(first), list(second), scores)(model)["spearman_cosine"]
    assert measure.value / 100 == pytest.approx(theirs, abs=1e-6) and measure.value == pytest.approx(86.72, abs=0.005)
    assert measure.ci_low < measure.value < measure.ci_high and measure.n == 1500


def test_equal_sentences_tie():
    from parabench.evaluate.tasks.task import paired_cosines
    from parabench.retrieval.embed import unit

    vectors = unit(np.random.default_rng(0).normal(size=(500, 384)).astype(np.float32))
    rows = np.arange(500)
    assert (paired_cosines(vectors, rows, vectors, rows) == 1).all(), "no rounding noise orders pairs of equal sentences"


def test_the_shared_sets_have_their_published_sizes(shared_data):
    sizes = {f"{held.name} {held.split}": len(held.pairs) for held in find_sts(None)}
    assert [sizes[name] for name in ("STS12 test", "STS13 test", "STS14 test", "STS15 test")] == [2358, 1500, 3750, 3000]
    assert [sizes[name] for name in ("STS-B train", "STS-B dev", "SICK-R train", "SICK-R trial")] == [5749, 1500, 4500, 500]
