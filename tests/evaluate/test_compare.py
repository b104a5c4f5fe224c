"""Two runs on the same pairs, and everything that is not that."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import parabench
from parabench.errors import DataError, UsageError
from parabench.evaluate import Run
from parabench.metrics import holm

PAIRS = [(f"p{i}", f"a caption about thing {i} number {j}", f"thing {i} in other words {j}") for i in range(30) for j in range(2)]


def write_pairs(path, pairs):
    path.write_text("image_id,caption,paraphrase\n" + "".join(f"{i},{c},{p}\n" for i, c, p in pairs))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Random encoders on 60 pairs of 30 pictures, on a part of them, in another order, to another depth, in another gallery."""
    folder = tmp_path_factory.mktemp("runs")
    gallery = folder / "gallery.csv"
    gallery.write_text("image_id\n" + "".join(f"p{i}\n" for i in range(40)))
    (folder / "fewer.csv").write_text("image_id\n" + "".join(f"p{i}\n" for i in range(35)))
    write_pairs(folder / "pairs.csv", PAIRS)
    write_pairs(folder / "part.csv", PAIRS[20:])
    write_pairs(folder / "turned.csv", PAIRS[::-1])
    write_pairs(folder / "others.csv", [(i, "other " + c, p) for i, c, p in PAIRS])
    made = {}
    for name, model, pairs, place, options in (
        ("a", "random:16", "pairs", gallery, {}), ("b", "random:32", "pairs", gallery, {}), ("c", "constant:8", "pairs", gallery, {}),
        ("part", "random:32", "part", gallery, {}), ("turned", "random:32", "turned", gallery, {}),
        ("others", "random:32", "others", gallery, {}), ("deep", "random:32", "pairs", gallery, {"depth": 15}),
        ("fewer", "random:32", "pairs", folder / "fewer.csv", {}),
    ):  # fmt: skip
        made[name] = parabench.evaluate(
            model, folder / f"{pairs}.csv", gallery=place, out=folder / name, n_resamples=200, **options
        )
    return made


def test_differences_are_those_of_the_pairs(runs):
    found = parabench.compare(
        runs["a"].folder, runs["b"], n_resamples=2000, metrics=["AO@10", "flip@10", "both@10", "R@10 paraphrase", "R@5"]
    )
    a, b = runs["a"].pairs, runs["b"].pairs
    for name, before, after in (
        ("AO@10", a["AO@10"], b["AO@10"]),
        ("flip@10", a["caption_hit@10"] != a["paraphrase_hit@10"], b["caption_hit@10"] != b["paraphrase_hit@10"]),
        ("both@10", a["caption_hit@10"] * a["paraphrase_hit@10"], b["caption_hit@10"] * b["paraphrase_hit@10"]),
        ("R@10 paraphrase", a["paraphrase_rank"] <= 10, b["paraphrase_rank"] <= 10),
        ("R@5", a["caption_rank"] <= 5, b["caption_rank"] <= 5),
    ):
        contrast = found.contrast(name, "random:32")
        assert contrast.difference == pytest.approx((after.astype(float) - before.astype(float)).mean(), abs=1e-12)
        assert contrast.value == pytest.approx(after.mean()) and contrast.reference_value == pytest.approx(before.mean())
        assert contrast.ci_low <= contrast.difference <= contrast.ci_high and (contrast.n, contrast.clusters) == (60, 30)
    assert holm([c.p for c in found.contrasts]).tolist() == [c.p_holm for c in found.contrasts]
    assert found.n_pairs == 60 and found.runs[0].metrics["AO@10"].value == pytest.approx(runs["a"].value("AO@10"))
    with pytest.raises(KeyError):
        found.contrast("AO@10", "random:16")


def test_holm_runs_over_models_and_metrics(runs):
    found = parabench.compare(runs["a"], runs["b"], runs["c"], metrics=["AO@10", "r@10"], n_permutations=500)
    assert [(c.run, c.metric) for c in found.contrasts] == [
        ("random:32", "AO@10"), ("random:32", "R@10"), ("constant:8", "AO@10"), ("constant:8", "R@10")]  # fmt: skip
    assert found.settings["tests"] == 4
    assert found.contrast("AO@10", "constant:8").p_holm == pytest.approx(4 / 501)


def test_the_order_of_rows_does_not_matter(runs):
    straight, turned = (parabench.compare(runs["a"], runs[name]) for name in ("b", "turned"))
    for one, other in zip(straight.contrasts, turned.contrasts, strict=True):
        assert one.difference == pytest.approx(other.difference, abs=1e-12) and one.p == other.p


def test_equal_runs_do_not_differ(runs):
    found = parabench.compare(runs["b"], runs["turned"])
    assert all((c.difference, c.ci_low, c.ci_high, c.p, c.p_holm) == (0, 0, 0, 1, 1) for c in found.contrasts)
    assert [run.label for run in found.runs] == [f"random:32 ({runs[name].folder})" for name in ("b", "turned")]


def test_other_pairs_are_refused_and_the_intersection_is_offered(runs):
    with pytest.raises(DataError, match=r"random:16: 60, random:32: 40.*share 40 pairs.*--intersect"):
        parabench.compare(runs["a"], runs["part"])
    found = parabench.compare(runs["a"], runs["part"], intersect=True)
    assert found.n_pairs == 40 and found.clusters == 20 and any("40 pairs that all runs share" in note for note in found.notes)
    ours = runs["a"].pairs.set_index("paraphrase")["AO@10"]
    theirs = runs["part"].pairs.set_index("paraphrase")["AO@10"]
    assert found.contrast("AO@10", "random:32").difference == pytest.approx((theirs - ours.loc[theirs.index]).mean())
    assert found.contrast("R@10", "random:32").n == 40, "captions of pairs outside the intersection do not count"
    with pytest.raises(DataError, match="no pair in common"):
        parabench.compare(runs["a"], runs["others"], intersect=True)


def test_other_galleries_and_depths(runs):
    for intersect in (False, True):
        with pytest.raises(DataError, match=r"different galleries.*40 pictures.*35"):
            parabench.compare(runs["a"], runs["fewer"], intersect=intersect)
    with pytest.raises(DataError, match=r"random:16: 40, random:32: 15.*--intersect"):
        parabench.compare(runs["a"], runs["deep"])
    found = parabench.compare(runs["a"], runs["deep"], intersect=True)
    assert found.depth == 15
    plain = parabench.compare(runs["a"], runs["b"])
    assert found.contrasts == [c.model_copy() for c in plain.contrasts], "a ranking is a prefix of a deeper one"
    with pytest.raises(UsageError, match="looks deeper"):
        parabench.compare(runs["a"], runs["deep"], intersect=True, metrics=["AO@20"])


def test_wrong_calls(runs, tmp_path):
    with pytest.raises(UsageError, match="at least two"):
        parabench.compare(runs["a"])
    with pytest.raises(UsageError, match="--seed -1 is negative"):
        parabench.compare(runs["a"], runs["b"], seed=-1)
    with pytest.raises(UsageError, match="given twice"):
        parabench.compare(runs["a"], runs["a"].folder)
    with pytest.raises(UsageError, match=r"did you mean.*R@10"):
        parabench.compare(runs["a"], runs["b"], metrics=["Recall@10"])
    with pytest.raises(UsageError, match="needs foils"):
        parabench.compare(runs["a"], runs["b"], metrics=["foil-AUC(AO@10)"])
    with pytest.raises(UsageError, match="1 to 40"):
        parabench.compare(runs["a"], runs["b"], metrics=["R@41"])
    with pytest.raises(DataError, match=r"no result\.json"):
        parabench.compare(runs["a"], tmp_path)
    (tmp_path / "result.json").write_text(json.dumps(json.loads((runs["a"].folder / "result.json").read_text()) | {"status": "running"}))
    with pytest.raises(DataError, match="not finished"):
        parabench.compare(runs["a"], tmp_path)


def test_one_picture_gives_differences_and_no_p_values(tmp_path):
    write_pairs(tmp_path / "one.csv", [("x", "a dog", "one dog")])
    (tmp_path / "gallery.csv").write_text("image_id\nx\ny\nz\n")
    one, two = (
        parabench.evaluate(m, tmp_path / "one.csv", gallery=tmp_path / "gallery.csv", metrics=["AO@2"], out=tmp_path / m[:3])
        for m in ("random:8", "constant:8")
    )
    found = parabench.compare(one, two)
    contrast = found.contrast("AO@2", "constant:8")
    assert contrast.p is None and contrast.ci_low is None and contrast.difference == 1 - one.value("AO@2")
    assert any("one picture" in note for note in found.notes)


def test_foils_are_paired_too(tmp_path):
    one, two = (parabench.evaluate(m, "scenes", out=tmp_path / m[:3], n_resamples=50, gallery_sizes=()) for m in ("random:8", "constant:8"))
    contrast = parabench.compare(one, two, metrics=["foil-AUC(AO@10)", "foil-gap(AO@10)"]).contrasts[0]
    expected = 0.5 - one.result.tasks["paraphrase"].metrics["foil-AUC(AO@10)"].value
    assert contrast.difference == pytest.approx(expected) and contrast.metric == "foil-AUC(AO@10)"


def test_the_command(runs, tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "parabench", "compare", *map(str, arguments)], capture_output=True, text=True,
                              env={**os.environ, "COLUMNS": "80"}, timeout=120)  # fmt: skip

    a, b, part = (runs[name].folder for name in ("a", "b", "part"))
    shown = run(a, b, "--out", tmp_path / "comparison.json")
    assert shown.returncode == 0 and "AO@10" in shown.stdout and "Holm" in shown.stdout, shown.stderr
    assert max(len(line) for line in shown.stdout.splitlines() if str(tmp_path) not in line) <= 80
    as_json = json.loads(run(a, b, "--json", "--metrics", "AO@10,flip@10").stdout)
    assert [c["metric"] for c in as_json["contrasts"]] == ["AO@10", "flip@10"]
    assert json.loads((tmp_path / "comparison.json").read_text())["n_pairs"] == 60
    refused = run(a, part)
    assert refused.returncode == 1 and "share 40 pairs" in refused.stderr and "Traceback" not in refused.stderr
    assert run(a).returncode == 2 and run(a, b, "--metrics", "XX@1").returncode == 2


def test_a_run_opens_as_pandas(runs):
    pairs = Run.load(runs["a"].folder).pairs
    assert {"pair_id", "image_id", "AO@10", "caption_words", "lexical_distance", "caption_rank"} <= set(pairs.columns)
    assert len(pairs) == 60 and np.isfinite(pairs["AO@10"]).all()
