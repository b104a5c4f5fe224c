"""The tasks beside paraphrased retrieval, as their users run them; oracles are computed here, in plain loops."""

import csv
import io
import json
import os
import random
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import parabench
from parabench.data.scenes.render import render
from parabench.data.scenes.scene import Group, Scene
from parabench.data.sources.positives import read_positives
from parabench.data.sources.sts import find_sts
from parabench.errors import DataError, ModelError, ParabenchError, UsageError
from parabench.evaluate import Run, rescore

COLOURS = {"red": (215, 40, 40), "blue": (40, 80, 215), "green": (40, 160, 60), "yellow": (240, 200, 40)}


class ByColour:
    """Sees how much of each colour is in a picture, and reads colour words; other words add a little noise."""

    spec, fingerprint, dim, cacheable = "by-colour", "by-colour-1", 8, False

    def encode_text(self, texts):
        vectors = np.zeros((len(texts), 8), np.float32)
        for row, text in enumerate(texts):
            noise = np.random.default_rng(sum(map(ord, text))).normal(size=4)
            vectors[row, :4] = [3.0 * (name in text) for name in COLOURS]
            vectors[row, 4:] = noise * (0.1 if "picture" in text else 2.0)
        return vectors

    def encode_images(self, images):
        vectors = np.zeros((len(images), 8), np.float32)
        for row, image in enumerate(images):
            pixels = np.asarray(image, np.float32).reshape(-1, 3)
            near = [6 * (np.abs(pixels - colour).sum(1) < 60).mean() for colour in COLOURS.values()]
            vectors[row] = [*near, *(pixels.mean(0) / 255), 0.5]
        return vectors


def cli(*arguments, cwd, **env):
    return subprocess.run([sys.executable, "-m", "parabench", "evaluate", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, env={**os.environ, **env}, timeout=300)  # fmt: skip


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    """Rendered pictures in one folder a colour: a zero-shot set that needs no network."""
    folder = tmp_path_factory.mktemp("colours")
    chance = random.Random(7)
    for label, colour in enumerate(COLOURS):
        (folder / f"n{label:02d}").mkdir()
        for number in range(6):
            one = Group(chance.choice(("ball", "car", "boat")), colour, "large", chance.randint(1, 3))
            scene = Scene(f"{colour}{number}", "test", one, Group("star", colour, "small", 1), "left", "meadow", number)
            render(scene).save(folder / f"n{label:02d}" / f"{number}.png")
    (folder / "classnames.txt").write_text("".join(f"{name}\n" for name in COLOURS))
    (folder / "templates.txt").write_text("a picture of something {c}.\nthe {c} thing\n{} it is\n")
    return folder


# --- sts


@pytest.fixture
def sentences(tmp_path):
    """Every public layout with sentences of our own."""
    rows = [(f"a {x} by the {y}", f"the {x} near a {y}" if n % 2 else f"no {y} at all", n % 6) for n, (x, y) in enumerate(
        (x, y) for x in ("boat", "tree", "cat") for y in ("lake", "hill", "sea", "road"))]  # fmt: skip
    (tmp_path / "2012").mkdir()
    with (tmp_path / "stsb-en-test.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    for genre, part in (("news", rows[:6]), ("forum", rows[6:])):
        lines = [f"{score}\t{a}\t{b}" for a, b, score in part]
        (tmp_path / "2012" / f"{genre}.test.tsv").write_text("\n".join([*lines, "\tnobody rated\tthis pair"]) + "\n")
    (tmp_path / "STS15-en-test").mkdir()
    (tmp_path / "STS15-en-test" / "STS.input.news.txt").write_text("".join(f"{a}\t{b}\n" for a, b, _ in rows))
    gold = [str(score) if n else "" for n, (_, _, score) in enumerate(rows)]
    (tmp_path / "STS15-en-test" / "STS.gs.news.txt").write_text("\n".join(gold) + "\n")
    header = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set"
    lines = [f"{n}\t{a}\t{b}\tNEUTRAL\t{max(1, s)}\t{'TRIAL' if n < 5 else 'TEST'}" for n, (a, b, s) in enumerate(rows)]
    (tmp_path / "SICK.txt").write_text("\n".join([header, *lines]) + "\n")
    return tmp_path


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


# --- compositional


def foil_file(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def tot_by_hand(path, encode):
    wins = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        a, b, n = (v / np.linalg.norm(v) for v in encode([row["caption"], row["caption2"], row["negative_caption"]]))
        wins.append(a @ b > a @ n and a @ b > b @ n)
    return np.mean(wins)


def test_tot_of_tfidf_by_a_script_of_ten_lines(shared, tmp_path):
    from parabench.encoders import load_encoder

    run = parabench.evaluate("tfidf:", tasks=["compositional"], task_data={"compositional": shared / "sugarcrepe_pp"},
                             out=tmp_path / "run", n_resamples=200)  # fmt: skip
    texts, files = [], sorted((shared / "sugarcrepe_pp").glob("*.json"))
    for path in files:
        texts += [row[key] for row in json.loads(path.read_text()) for key in ("caption", "caption2", "negative_caption")]
    encoder = load_encoder("tfidf:")
    encoder.fit_corpus(list(dict.fromkeys(texts)))
    kinds = run.result.tasks["compositional"].metrics["TOT"].by_kind
    for path in files:
        assert kinds[path.stem].value == pytest.approx(tot_by_hand(path, encoder.encode_text), abs=1e-12)
    assert "image tower" in run.result.tasks["compositional"].details["skipped"]["image-to-text"]
    assert run.result.tasks["compositional"].details["chance"] == {"TOT": pytest.approx(1 / 3)}


def test_tot_of_minilm_by_a_script_of_ten_lines(shared, minilm, tmp_path):
    from sentence_transformers import SentenceTransformer

    rows = json.loads((shared / "sugarcrepe_pp" / "replace_att.json").read_text())
    path = foil_file(tmp_path / "replace_att.json", random.Random(0).sample(rows, 150))
    run = parabench.evaluate(f"sbert:{minilm}", tasks=["compositional"], task_data={"compositional": path}, out=tmp_path / "run", n_resamples=200)
    model = SentenceTransformer(minilm, device="cpu")
    assert run.value("TOT", "compositional") == tot_by_hand(path, lambda texts: model.encode(texts, show_progress_bar=False))


def test_itt_sugarcrepe_and_aro(tmp_path):
    (tmp_path / "images").mkdir()
    both = Image.new("RGB", (40, 20), COLOURS["red"])
    both.paste(COLOURS["blue"], (20, 0, 40, 20))
    both.save(tmp_path / "images" / "000000000007.jpg", quality=100)
    Image.new("RGB", (20, 20), COLOURS["green"]).save(tmp_path / "images" / "8.png")
    foil_file(tmp_path / "data" / "swap.json", [
        {"filename": "8.png", "caption": "green picture", "caption2": "a picture in green", "negative_caption": "yellow picture"},
        {"filename": "8.png", "caption": "green picture", "caption2": "a picture in blue", "negative_caption": "a picture so green"}])
    foil_file(tmp_path / "data" / "add.json", {"0": {"filename": "8.png", "caption": "green picture", "negative_caption": "red picture"}})
    box = {"image_path": "000000000007.jpg", "bbox_y": 0, "bbox_w": 20, "bbox_h": 20}
    foil_file(tmp_path / "data" / "visual_genome_relation.json", [
        {**box, "bbox_x": 0, "true_caption": "red picture", "false_caption": "blue picture", "relation_name": "on"},
        {**box, "bbox_x": 20, "true_caption": "blue picture", "false_caption": "red picture", "relation_name": "on"},
        {**box, "bbox_x": 20, "true_caption": "red picture", "false_caption": "blue picture", "relation_name": "under"}])  # fmt: skip
    where = {"compositional": tmp_path / "data"}
    run = parabench.evaluate(ByColour(), tasks=["compositional"], task_data=where, images=[tmp_path / "images"], out=tmp_path / "run", n_resamples=99)
    value = {name: entry.value for name, entry in run.result.tasks["compositional"].metrics.items()}
    assert value["ITT"] == 0.5, "both true captions have to beat the foil"
    assert value["SugarCrepe"] == 1 and value["ARO"] == pytest.approx(2 / 3), "captions of boxes are held against boxes"
    assert value["ARO visual_genome_relation group-mean"] == 0.5
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks
    rows = run.rows("compositional").to_pandas()
    assert rows["captions"].isna().sum() == 4 and rows["image_foil"].notna().all()

    (tmp_path / "images" / "8.png").unlink()
    less = parabench.evaluate(ByColour(), tasks=["compositional"], task_data=where, images=[tmp_path / "images"], out=tmp_path / "less", n_resamples=9)
    reason = less.result.tasks["compositional"].details["skipped"]["image-to-text"]
    assert set(less.result.tasks["compositional"].metrics) == {"TOT"} and "1 of 2 pictures" in reason and "--images" in reason


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "can't read"), ("[]", "neither a list"), ('[{"caption": "a"}]', "none of the forms"),
     ('[{"filename": "1.jpg", "caption": "a", "negative_caption": "b"}, {"filename": "1.jpg", "caption": "a"}]', "entry 1: lacks negative_caption"),
     ('[{"filename": "1.jpg", "caption": "a", "negative_caption": null}]', "null"),
     ('[{"image_path": "1.jpg", "true_caption": "a", "false_caption": "b", "bbox_x": -1}]', "not a box")],
)  # fmt: skip
def test_bad_foil_files_are_one_clear_line(tmp_path, content, message):
    (tmp_path / "foils.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        parabench.evaluate("random:8", tasks=["compositional"], task_data={"compositional": tmp_path / "foils.json"}, out=tmp_path / "r")
    assert "foils.json" in str(caught.value)


# --- zeroshot


def test_zeroshot_on_a_folder_and_on_shards(colours, tmp_path):
    run = parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": colours}, out=tmp_path / "run", n_resamples=300)
    value = {name: entry.value for name, entry in run.result.tasks["zeroshot"].metrics.items()}
    encoder = ByColour()
    pictures = [(Image.open(path).convert("RGB"), label) for label in range(4) for path in sorted((colours / f"n{label:02d}").glob("*"))]
    image = encoder.encode_images([picture for picture, _ in pictures])
    labels = np.array([label for _, label in pictures])
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    prompts = np.stack([encoder.encode_text([t.format(c) for c in COLOURS]) for t in ("a picture of something {}.", "the {} thing", "{} it is")])
    prompts /= np.linalg.norm(prompts, axis=2, keepdims=True)
    mean = prompts.mean(0) / np.linalg.norm(prompts.mean(0), axis=1, keepdims=True)
    right = (image @ mean.T).argmax(1) == labels
    votes = np.stack([(image @ own.T).argmax(1) for own in prompts])
    assert value["top-1"] == right.mean() > 0.5 and "top-5" not in value
    assert value["mean-per-class-recall"] == pytest.approx(np.mean([right[labels == c].mean() for c in range(4)]))
    agreement = np.mean([(votes[i] == votes[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    assert value["template-agreement"] == pytest.approx(agreement) and agreement < 1
    accuracy = (votes == labels).mean(1)
    assert value["template-top-1"] == pytest.approx(accuracy.mean()) and value["template-spread"] == pytest.approx(np.ptp(accuracy))
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks

    (tmp_path / "wds" / "test").mkdir(parents=True)
    (tmp_path / "wds" / "classnames.txt").write_text((colours / "classnames.txt").read_text())
    (tmp_path / "wds" / "zeroshot_classification_templates.txt").write_text((colours / "templates.txt").read_text())
    for shard in range(2):
        with tarfile.open(tmp_path / "wds" / "test" / f"{shard}.tar", "w") as archive:
            for number, path in enumerate(sorted(colours.glob("n*/*.png"))):
                if number % 2 == shard:
                    for name, data in ((f"{number:05d}.cls", str(int(path.parent.name[1:])).encode()), (f"{number:05d}.png", path.read_bytes())):
                        entry = tarfile.TarInfo(name)
                        entry.size = len(data)
                        archive.addfile(entry, io.BytesIO(data))
    shards = parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": tmp_path / "wds"}, out=tmp_path / "shards", n_resamples=300)
    again = {name: entry.value for name, entry in shards.result.tasks["zeroshot"].metrics.items()}
    assert again == pytest.approx(value), "the same pictures out of tar shards"
    tar = tmp_path / "wds" / "test" / "1.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(DataError, match=r"1\.tar is not a whole, uncompressed tar"):
        parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": tmp_path / "wds"}, out=tmp_path / "cut")


def test_a_text_only_encoder_says_what_it_skipped(colours, sentences, tmp_path):
    done = cli("-m", "tfidf:", "--tasks", "sts,zeroshot", "--task-data", f"sts={sentences}", "--task-data", f"zeroshot={colours}",
               "--resamples", 20, "-o", tmp_path / "run", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "zeroshot was skipped" in said and "no image tower" in said and "STS-B test" in said
    with pytest.raises(ModelError, match="nothing could be measured: tfidf: has no image tower"):
        parabench.evaluate("tfidf:", tasks=["zeroshot"], task_data={"zeroshot": colours}, out=tmp_path / "alone")


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda d: (d / "n04").mkdir(), "n04"), (lambda d: (d / "classnames.txt").write_text("red\nblue\n"), "names 2 classes"),
     (lambda d: (d / "classnames.txt").write_text("n00\tred\nn01\tblue\nn02\tgreen\nn09\tyellow\n"), "no line for the class folder 'n03'"),
     (lambda d: (d / "templates.txt").write_text("a photo\n"), "line 1: 0 places"), (lambda d: (d / "classnames.txt").write_bytes(b"\xff\xfe"), "UTF-8"),
     (lambda d: (d / "n00" / "0.png").write_bytes(b"no picture"), "n00/0.png"), (lambda d: (d / "templates.txt").write_text(" \n"), "is empty")],
)  # fmt: skip
def test_bad_class_folders_are_one_clear_line(colours, tmp_path, change, message):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(colours, copy)
    change(copy)
    if message == "n04":
        (copy / "classnames.txt").write_text("red\nblue\ngreen\nyellow\nwhite\n")
    with pytest.raises(DataError, match=message):
        parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": copy}, out=tmp_path / "run")


# --- retrieval on captioned sets


@pytest.fixture
def karpathy(tmp_path, monkeypatch):
    """A set in Karpathy's form with six captions a picture, and vectors of its own."""
    rng = np.random.default_rng(5)
    images = [{"filename": f"COCO_val2014_{n:012d}.jpg", "filepath": "val2014", "cocoid": n, "split": "test" if n % 5 else "train",
               "sentences": [{"raw": f"caption {j} of {n}", "sentid": 100 * n + j} for j in range(6)]} for n in range(1, 61)]  # fmt: skip
    (tmp_path / "data" / "coco").mkdir(parents=True)
    (tmp_path / "data" / "coco" / "dataset_coco.json").write_text(json.dumps({"images": images}))
    monkeypatch.setenv("PARABENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "vectors").mkdir()
    test = [image for image in images if image["split"] == "test"]
    centres = rng.normal(size=(len(test), 16))
    texts = [s["raw"] for image in test for s in image["sentences"][:5]]
    vectors = np.repeat(centres, 5, 0) + 1.2 * rng.normal(size=(len(texts), 16))
    (tmp_path / "vectors" / "texts.txt").write_text("\n".join(texts) + "\n")
    np.save(tmp_path / "vectors" / "text_embeddings.npy", vectors.astype(np.float32))
    (tmp_path / "vectors" / "image_ids.txt").write_text("\n".join(str(image["cocoid"]) for image in test) + "\n")
    np.save(tmp_path / "vectors" / "image_embeddings.npy", centres.astype(np.float32))
    scores = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    return tmp_path, test, scores


def test_coco_karpathy_by_the_published_definitions(karpathy):
    folder, test, scores = karpathy
    ids = [image["cocoid"] for image in test]
    captions = [s["sentid"] for image in test for s in image["sentences"][:5]]
    rng = np.random.default_rng(1)
    to_image = {str(c): [int(i) for i in rng.choice(ids, 4, replace=False)] for c in captions[:70]}
    to_caption = {str(i): [int(c) for c in rng.choice(captions, rng.integers(1, 30), replace=False)] for i in ids[:20]}
    (folder / "eccv").mkdir()
    (folder / "eccv" / "eccv_caption_to_image.json").write_text(json.dumps(to_image))
    (folder / "eccv" / "eccv_image_to_caption.json").write_text(json.dumps(to_caption))
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", tasks=["retrieval"], task_data={"retrieval": folder / "eccv"},
                             out=folder / "run", n_resamples=200)  # fmt: skip
    value = {name: entry.value for name, entry in run.result.tasks["retrieval"].metrics.items()}
    owner = np.repeat(np.arange(len(ids)), 5)
    for k in (1, 5, 10):
        top = np.argsort(-scores, axis=1)[:, :k]
        assert value[f"R@{k}"] == pytest.approx(np.mean([owner[q] in top[q] for q in range(len(owner))])), "all five captions ask"
        back = np.argsort(-scores.T, axis=1)[:, :k]
        any_of_five = np.mean([bool(set(back[i]) & set(range(5 * i, 5 * i + 5))) for i in range(len(ids))])
        assert value[f"R@{k} image→text"] == pytest.approx(any_of_five)
    for fits, order, queries, items, suffix in ((to_image, -scores, captions, ids, ""), (to_caption, -scores.T, ids, captions, " image→text")):
        precision, average, first = [], [], []
        for key, right in fits.items():
            ranked = [items[i] for i in np.argsort(order[queries.index(int(key))])]
            hit = np.array([item in right for item in ranked[: len(right)]])
            precision.append(hit.mean())
            average.append(sum(hit[: i + 1].mean() for i in range(len(right)) if hit[i]) / len(right))
            first.append(ranked[0] in right)
        assert value[f"ECCV R-Precision{suffix}"] == pytest.approx(np.mean(precision))
        assert value[f"ECCV mAP@R{suffix}"] == pytest.approx(np.mean(average)) and value[f"ECCV R@1{suffix}"] == pytest.approx(np.mean(first))
    assert run.result.tasks["retrieval"].metrics["R@1"].clusters == len(ids) and rescore(Run.load(folder / "run")).tasks == run.result.tasks


def test_cxc_ratings_are_positives_from_three_on(karpathy):
    folder, test, _ = karpathy
    a, b = test[0], test[1]
    rows = [("caption", "image", "agg_score", "sampling_method"),
            (f"COCO_val2014:sentid:{a['sentences'][0]['sentid']}", b["filename"], 3.0, "x"),
            (f"COCO_val2014:sentid:{a['sentences'][1]['sentid']}", b["filename"], 2.9, "x")]  # fmt: skip
    (folder / "sits.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", task_data={"retrieval": folder / "sits.csv"},
                             out=folder / "run", n_resamples=50)  # fmt: skip
    rows = run.rows("retrieval").to_pandas().dropna(subset="n_positives")
    assert rows[rows.direction == "text→image"].n_positives.tolist() == [2, 1]
    assert rows[rows.direction == "image→text"].n_positives.tolist() == [6]
    (folder / "sits.csv").write_text("caption,image,agg_score\nCOCO_val2014:sentid:9,COCO_val2014_000000000001.jpg,4\n")
    with pytest.raises(DataError, match="line 2: id 9 is not in the set"):
        parabench.evaluate("random:8", "coco-karpathy", task_data={"retrieval": folder / "sits.csv"}, out=folder / "r")


def test_a_text_only_encoder_searches_a_caption_gallery_without_its_own_query(karpathy):
    folder, test, _ = karpathy
    for path in (folder / "vectors").glob("image*"):
        path.unlink()
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", out=folder / "run", n_resamples=50)
    texts = np.load(folder / "vectors" / "text_embeddings.npy").astype(np.float64)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    hit = []
    for query in range(len(texts)):
        means = np.stack([texts[[c for c in range(5 * i, 5 * i + 5) if c != query]].sum(0) for i in range(len(test))])
        hit.append((means / np.linalg.norm(means, axis=1, keepdims=True) @ texts[query]).argmax() == query // 5)
    assert run.value("R@1", "retrieval") == pytest.approx(np.mean(hit))
    assert "image→text" in run.result.tasks["retrieval"].details["skipped"]


def test_real_flickr8k_captions(shared_data):
    got = parabench.load("flickr8k-karpathy")
    assert len(got.image_ids) == 1000 and {len(own) for own in got.gallery["captions"].to_pylist()} == {5}


def test_real_cxc_positives(shared_data):
    val = parabench.load("coco-karpathy?split=val")
    known = [(image_id, key) for image_id, own in val.caption_ids.items() for key in own]
    got = read_positives(shared_data / "cxc" / "sits_val.csv", known)
    assert len(known) == 25000 and (len(got.images_of), len(got.captions_of)) == (25000, 5000)
    assert min(map(len, got.captions_of.values())) >= 5 and 1 < np.mean([len(fits) for fits in got.images_of.values()]) < 2


# --- human


def small_cxc(shared, folder, n_images, n_pairs):
    """A part of CxC and of its gallery: ratings between captions of the first pictures."""
    images = json.loads((shared / "coco" / "coco_karpathy_val.json").read_text())
    ids = np.load(shared / "coco" / "coco_karpathy_val_caption_ids.npy").reshape(-1, 5)
    with (shared / "cxc" / "sts_val.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    chosen = random.Random(1).sample(rows, n_pairs)
    place = {int(key): row for row, own in enumerate(ids) for key in own}
    used = {place[int(row[key].rpartition(":")[2])] for row in chosen for key in ("caption1", "caption2")}
    kept = sorted(used | set(range(n_images)))
    (folder / "coco").mkdir(parents=True)
    (folder / "coco" / "coco_karpathy_val.json").write_text(json.dumps([images[row] for row in kept]))
    np.save(folder / "coco" / "coco_karpathy_val_caption_ids.npy", ids[kept])
    (folder / "cxc").mkdir()
    with (folder / "cxc" / "sts_val.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(chosen)
    return [images[row] for row in kept], ids[kept], chosen


def test_human_agreement_on_part_of_cxc(shared, minilm, tmp_path):
    images, ids, pairs = small_cxc(shared, tmp_path / "d", 60, 120)
    run = parabench.evaluate(f"sbert:{minilm}", tasks=["human"], task_data={"human": tmp_path / "d"}, metrics=["AO@10"],
                             out=tmp_path / "run", n_resamples=300)  # fmt: skip
    metrics = run.result.tasks["human"].metrics
    from sentence_transformers import SentenceTransformer

    texts = [text for image in images for text in image["caption"][:5]]
    vectors = SentenceTransformer(minilm, device="cpu").encode(texts, normalize_embeddings=True, show_progress_bar=False).astype(float)
    row_of = {int(key): row for row, key in enumerate(ids.ravel())}
    order = np.argsort([int(image["image"].rpartition("_")[2].split(".")[0]) for image in images])

    def ranking(row):
        own = vectors.reshape(-1, 5, vectors.shape[1]).sum(1)
        own[row // 5] -= vectors[row]
        scores = own / np.linalg.norm(own, axis=1, keepdims=True) @ vectors[row]
        return order[np.argsort(-scores[order], kind="stable")][:10]

    human, cosine, overlap = [], [], []
    for pair in pairs:
        a, b = (row_of[int(pair[key].rpartition(":")[2])] for key in ("caption1", "caption2"))
        human.append(float(pair["agg_score"]))
        cosine.append(vectors[a] @ vectors[b])
        overlap.append(parabench.RankSimilarity("AO@10")(ranking(a), ranking(b))["AO@10"])
    assert metrics["Spearman cosine"].value == pytest.approx(spearmanr(human, cosine).statistic, abs=1e-4)
    assert metrics["Spearman AO@10"].value == pytest.approx(spearmanr(human, overlap).statistic, abs=5e-3)
    assert metrics["Spearman AO@10"].ci_low > 0 and metrics["Spearman AO@10"].n == 120
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks


@pytest.mark.parametrize(("line", "message"), [("COCO_val2014:sentid:1,COCO_val2014:sentid:2,3,x", "not a caption of the Karpathy val"), ("a,b,nan,x", "line 2")])
def test_bad_ratings_name_their_line(shared, tmp_path, line, message):
    small_cxc(shared, tmp_path / "d", 12, 5)
    (tmp_path / "d" / "cxc" / "sts_val.csv").write_text(f"caption1,caption2,agg_score,sampling_method\n{line}\n")
    with pytest.raises(DataError, match=message):
        parabench.evaluate("tfidf:", tasks=["human"], task_data={"human": tmp_path / "d"}, out=tmp_path / "run")


# --- the flag


def test_tasks_beside_a_dataset(sentences, tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + "".join(f"{n},red boat {n},crimson ship {n}\n" for n in range(12)))
    run = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["paraphrase", "retrieval", "sts"], task_data={"sts": sentences},
                             out=tmp_path / "run", n_resamples=50)  # fmt: skip
    assert set(run.result.tasks) == {"paraphrase", "retrieval", "sts"} and set(run.result.files) == {"pairs.parquet", "rankings.parquet", "sts.parquet"}
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks
    alone = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["sts"], task_data={"sts": sentences}, out=tmp_path / "alone", n_resamples=50)
    assert alone.result.tasks["sts"].metrics == run.result.tasks["sts"].metrics, "a task does not depend on those beside it"
    assert set(alone.result.files) == {"sts.parquet"} and alone.result.dataset.name == "sts"
    with pytest.raises(DataError, match="has no rankings"):
        _ = alone.rankings
    only = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["retrieval"], out=tmp_path / "only", n_resamples=50)
    assert set(only.result.tasks) == {"retrieval"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(["--tasks", "sst"], 2, "did you mean 'sts'"), (["--tasks", ","], 2, "no task"), (["--tasks", "sts", "--task-data", "sts"], 2, "TASK=PATH"),
     (["--tasks", "sts", "--task-data", "human=x"], 2, "not among the tasks"), (["--tasks", "sts", "--task-data", "sts=nowhere"], 1, "nowhere"),
     (["--tasks", "zeroshot"], 2, "--task-data zeroshot=DIR"), (["--tasks", "zeroshot", "--task-data", "zeroshot=nowhere"], 1, "nowhere"),
     (["--task-data", "paraphrase=x"], 2, "--dataset"), (["--tasks", "retrieval", "--task-data", "retrieval=x", "-d", "pairs.csv"], 2, "coco-karpathy"),
     (["--tasks", "compositional"], 1, "no SugarCrepe++"), (["--tasks", "human"], 1, "sts_val.csv was not found"), (["-d", "coco-karpathy?split=tset"], 2, "no split")],
)  # fmt: skip
def test_wrong_usage_is_one_clear_line(tmp_path, arguments, code, message):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n1,a dog,one dog\n2,a cat,one cat\n")
    done = cli("-m", "random:8", *arguments, cwd=tmp_path, PARABENCH_SHARED="", PARABENCH_DATA="")
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_errors_are_of_the_documented_kind(tmp_path):
    with pytest.raises(UsageError):
        parabench.evaluate("random:8", tasks=[], out=tmp_path)
    with pytest.raises(ParabenchError, match="no such folder of pictures"):
        parabench.evaluate("random:8", tasks=["human"], images=[tmp_path / "no"], out=tmp_path)
