"""The main job, as its user runs it."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import parabench
from parabench.errors import DataError, ModelError, ParabenchError, UsageError
from parabench.evaluate import Run, rescore


def run_cli(*arguments, cwd, check=True, env=None):
    done = subprocess.run(
        [sys.executable, "-m", "parabench", *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
        env={**os.environ, **(env or {})}, timeout=300,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stderr
    return done


def test_flickr8k_with_real_clip_embeddings(flickr, tmp_path):
    done = run_cli("evaluate", "--model", f"embeddings:{flickr / 'vectors'}", "--dataset", flickr / "pairs.csv",
                   "--gallery", flickr / "gallery.csv", "--out", tmp_path / "run", "--json", cwd=tmp_path)  # fmt: skip
    tasks = json.loads(done.stdout)["tasks"]
    got = {name: tasks["paraphrase"]["metrics"][name]["value"] for name in ("AO@10", "JS@10")}
    got |= {name: tasks["retrieval"]["metrics"][name]["value"] for name in ("R@1", "R@5", "R@10")}
    expected = {"AO@10": 0.457, "JS@10": 0.337, "R@1": 0.566, "R@5": 0.866, "R@10": 0.924}
    assert got == pytest.approx(expected, abs=1e-3)
    run = Run.load(tmp_path / "run")
    again = rescore(run)
    assert again.tasks == run.result.tasks, "every number comes back from rankings.parquet, bit for bit"
    assert len(run.pairs) == 2000 and run.pairs["AO@10"].mean() == pytest.approx(run.value("AO@10"), abs=1e-12)
    assert run.rankings.depth == 100 and len(run.rankings.gallery) == 1091
    measure = run.result.tasks["paraphrase"].metrics["AO@10"]
    assert measure.ci_low < measure.value < measure.ci_high and (measure.n, measure.clusters) == (2000, 100)


def test_constant_is_shown_for_what_it_is_and_random_is_the_floor(tmp_path):
    constant = parabench.evaluate("constant:16", "scenes", out=tmp_path / "c", n_resamples=500)
    assert constant.value("AO@10") == 1.0 and "stable but useless" in constant.result.warnings[0]
    random = parabench.evaluate("random:64", "scenes", out=tmp_path / "r", n_resamples=500)
    measure = random.result.tasks["paraphrase"].metrics["AO@10"]
    assert abs(measure.value - measure.floor) < 0.005
    auc = constant.result.tasks["paraphrase"].metrics
    assert auc["foil-gap(AO@10)"].value == 0 and auc["foil-AUC(AO@10)"].value == 0.5


def test_minilm_on_every_tenth_picture_of_coco_paraphrases(shared, minilm, tmp_path):
    whole = parabench.load("coco-paraphrase", annotations=shared)
    kept = set(whole.image_ids[::10])

    def of_kept(table):
        return table.take([row for row, image in enumerate(table["image_id"].to_pylist()) if image in kept])

    tenth = replace(whole, pairs=of_kept(whole.pairs), foils=of_kept(whole.foils), gallery=of_kept(whole.gallery))
    run = parabench.evaluate(f"sbert:{minilm}", tenth, out=tmp_path / "run", ceiling="off")
    metrics = run.result.tasks["paraphrase"].metrics
    kinds = metrics["AO@10"].by_kind
    assert set(kinds) == {"lexical", "syntactic"} and kinds["lexical"].ci_high < kinds["syntactic"].ci_low
    assert metrics["AO@10"].floor < 0.05 < 0.7 < metrics["AO@10"].ci_low, "a smaller gallery: more than the .711 of the whole set"
    assert metrics["foil-AUC(AO@10)"].ci_low > 0.65 and metrics["foil-gap(AO@10)"].ci_low > 0.1
    assert rescore(run).tasks == run.result.tasks
    again = parabench.evaluate(f"sbert:{minilm}", tenth, out=tmp_path / "run", ceiling="off", device="auto")
    assert (run.result.environment["device"], again.result.environment["device"]) == ("cpu", "cache") and again.result.tasks == run.result.tasks


def test_the_caption_gallery_leaves_the_query_out(tmp_path):
    rows = "image_id,caption,paraphrase\n1,red boat,crimson ship\n2,blue car,azure automobile\n"
    (tmp_path / "pairs.csv").write_text(rows)
    (tmp_path / "gallery.csv").write_text("image_id,captions\n1,red boat|green hat\n2,blue car|red boat red boat\n")
    run = parabench.evaluate("tfidf:", parabench.load(tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv"),
                             out=tmp_path / "run", metrics=["AO@2"])  # fmt: skip
    first = run.rankings
    assert first.target_rank[0] == 2, "'red boat' must not find picture 1 by itself"


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    rows = ["image_id,file_name,caption,paraphrase"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
        rows.append(f"{number},{number}.png,caption number {number},words about {number}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "mine.py").write_text(
        "import numpy as np, os, time\n"
        "class E:\n"
        "    dim, fingerprint, batch_size = 8, 'mine-1', 2\n"
        "    def encode_text(self, t):\n"
        "        time.sleep(float(os.environ.get('SLOW', 0)))\n"
        "        open('calls', 'a').write(f'{len(t)}\\n')\n"
        "        return np.stack([np.random.default_rng(sum(map(ord, x))).normal(size=8) for x in t])\n"
        "    def encode_images(self, i): return np.stack([np.asarray(x)[:1, :8, 0].ravel() + 1.0 for x in i])\n"
        "make = E\n"
    )
    return tmp_path


ARGUMENTS = ("evaluate", "--model", "python:mine:make", "--dataset", "pairs.csv", "--images", "photos", "--out", "run")


def test_second_run_reads_the_cache(photos):
    run_cli(*ARGUMENTS, cwd=photos)
    first = json.loads((photos / "run" / "result.json").read_text())
    calls = (photos / "calls").read_text()
    run_cli(*ARGUMENTS, cwd=photos)
    second = json.loads((photos / "run" / "result.json").read_text())
    assert (photos / "calls").read_text() == calls and first["settings"]["computed"] == {"text": 24, "image": 12}
    assert second["settings"]["computed"] == {"text": 0, "image": 0} and first["tasks"] == second["tasks"]
    assert (photos / "run" / "report.html").stat().st_size > 5000


def test_killed_and_run_again_it_continues(photos):
    cache = {"PARABENCH_CACHE": str(photos / "cache")}
    started = subprocess.Popen([sys.executable, "-m", "parabench", *ARGUMENTS], cwd=photos,
                               env={**os.environ, **cache, "SLOW": "0.3"}, stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not (photos / "calls").exists() or len((photos / "calls").read_text().split()) < 4):
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    run_cli(*ARGUMENTS, cwd=photos, env=cache)
    computed = json.loads((photos / "run" / "result.json").read_text())["settings"]["computed"]
    assert 0 < computed["text"] < 24, "what was embedded before the kill is not embedded again"


def test_a_corrupt_cache_entry_stops_the_run(photos):
    cache = {"PARABENCH_CACHE": str(photos / "cache")}
    run_cli(*ARGUMENTS, cwd=photos, env=cache)
    before = (photos / "run" / "result.json").read_bytes()
    (file,) = (photos / "cache" / "embeddings").glob("*.sqlite")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
    done = run_cli(*ARGUMENTS, cwd=photos, env=cache, check=False)
    assert done.returncode == 1 and "corrupt embedding cache" in done.stderr and "--rebuild-cache" in done.stderr
    assert (photos / "run" / "result.json").read_bytes() == before
    run_cli(*ARGUMENTS, "--rebuild-cache", cwd=photos, env=cache)


def test_earlier_results_stay_whole(photos):
    run_cli(*ARGUMENTS, cwd=photos)
    before = (photos / "run" / "result.json").read_bytes()
    other = run_cli("evaluate", "--model", "random:8", "--dataset", "pairs.csv", "--out", "run", cwd=photos, check=False)
    assert other.returncode == 1 and "already holds the run" in other.stderr and "--overwrite" in other.stderr
    (photos / "photos" / "3.png").write_bytes(b"broken")
    broken = run_cli(*ARGUMENTS, cwd=photos, check=False)
    assert broken.returncode == 1 and "image '3'" in broken.stderr and "Traceback" not in broken.stderr
    assert (photos / "run" / "result.json").read_bytes() == before
    result = json.loads(before) | {"schema_version": 99}
    (photos / "run" / "result.json").write_text(json.dumps(result))
    version = run_cli("report", "run", cwd=photos, check=False)
    assert version.returncode == 1 and "schema version 99" in version.stderr


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [(["--metrics", "AO@13"], 2, "12 pictures"), (["--metrics", "AA@10"], 2, "did you mean"),
     (["--metrics", "R@5"], 2, "R@1, R@5, R@10 and MRR are measured by themselves"), (["--depth", "50"], 2, "--depth"),
     (["--metrics", f"AO@{'9' * 5000}"], 2, "needs a depth"), (["--dataset", "x" * 5000], 2, "can't be a path"), (["--dataset", "~nobody-here/x.csv"], 2, "can't be a path"),
     (["--seed", "-1"], 2, "--seed"),
     (["--images", "nowhere"], 1, "no such folder"), (["--split", "test"], 1, "no split"), (["--batch-size", "0"], 2, "batch-size"),
     (["--nonsense"], 2, "--nonsense")],
)  # fmt: skip
def test_wrong_usage_is_one_clear_line(photos, extra, code, message):
    done = run_cli(*ARGUMENTS, *extra, cwd=photos, check=False)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr


def test_one_failing_model_does_not_lose_the_others(photos):
    done = run_cli("evaluate", "--model", "random:8", "--model", "randm:8", "--dataset", "pairs.csv", "--out", "runs", cwd=photos, check=False)
    assert done.returncode == 2 and "did you mean 'random'" in done.stderr and "random:8" in done.stdout
    assert Run.load(photos / "runs" / "random_8").value("AO@10") >= 0


class Fixed:
    """An encoder that returns what it is told."""

    spec, fingerprint, dim, sees, cacheable = "fixed", "fixed", 4, "ids", False

    def __init__(self, vectors):
        self.vectors = vectors

    def encode_text(self, texts):
        return self.vectors(len(texts))

    def encode_images(self, images):
        return np.ones((len(images), 4), np.float32)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [(lambda n: np.full((n, 4), np.nan), "NaN"), (lambda n: np.zeros((n, 4)), "zero vector"), (lambda n: np.ones((n, 5)), "shape")],
)
def test_unusable_vectors(photos, vectors, message):
    with pytest.raises(ModelError, match=message):
        parabench.evaluate(Fixed(vectors), photos / "pairs.csv", out=photos / "f")
    assert json.loads((photos / "f" / "result.json").read_text())["status"] == "failed"
    with pytest.raises(DataError, match="not finished"):
        Run.load(photos / "f")


def test_batch_size_and_row_order_change_nothing(photos):
    results = []
    lines = (photos / "pairs.csv").read_text().strip().split("\n")
    for name, batch, rows in (("a", 1, lines), ("b", 7, [lines[0], *reversed(lines[1:])])):
        (photos / f"{name}.csv").write_text("\n".join(rows) + "\n")
        run = parabench.evaluate("random:32", photos / f"{name}.csv", out=photos / name, batch_size=batch)
        results.append({k: m.value for k, m in run.result.tasks["paraphrase"].metrics.items()} | {"R": run.value("MRR", "retrieval")})
    assert results[0] == pytest.approx(results[1], abs=1e-12)


def test_public_api():
    assert parabench.RankSimilarity("AO@3")(["b", "a", "e"], ["b", "d", "e"])["AO@3"] == pytest.approx(0.7222, abs=1e-4)
    with pytest.raises(UsageError, match="did you mean"):
        parabench.load("scens")
    assert issubclass(DataError, ParabenchError)


@pytest.mark.parametrize("command", ["models", "datasets", "doctor"])
def test_lists(command, tmp_path):
    assert json.loads(run_cli(command, "--json", cwd=tmp_path).stdout)
    assert len(run_cli(command, cwd=tmp_path).stdout.splitlines()) > 4


@pytest.mark.parametrize("command", ["doctor", "models"])
def test_what_is_missing_is_named_with_its_extra(command, tmp_path):
    code = (
        "import importlib.util as u, sys; from parabench.cli import main; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('open_clip', 'ray') else find(name, *rest)\n"
        f"main(['{command}'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "160"}).stdout
    assert "parabench[openclip]" in shown and ("parabench[ray]" in shown or command == "models")


def test_help_imports_nothing_heavy(tmp_path):
    code = "import sys; from parabench.cli import main\ntry: main(['--help'])\nexcept SystemExit: print({'numpy','torch','pyarrow','rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path).stdout.endswith("set()\n")


def test_demo(tmp_path):
    done = run_cli("demo", cwd=tmp_path)
    records = json.loads(run_cli("demo", "--json", cwd=tmp_path).stdout)
    assert [record["run"] for record in records][3] == "runs/demo/cca_scenes" and len(records) == 6
    told = json.loads(run_cli("report", "runs/demo/cca_scenes", "runs/demo/tfidf", "--out", "two.html", "--json", cwd=tmp_path).stdout)
    assert told["page"] == "two.html" and told["runs"][0] == records[3] and (tmp_path / "two.html").is_file()
    assert "cca:scenes" in done.stdout and "useless" in done.stdout and "page: runs/demo/report.html" in done.stdout
    page = (tmp_path / "runs" / "demo" / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 40 and "http" not in page.replace("http-equiv", "").split("Where this comes from")[0]
    assert Run.load(tmp_path / "runs" / "demo" / "cca_scenes").value("R@10", "retrieval") > 0.8


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("full", ["cache", "run"])
def test_no_space_left(photos, small_disk, full):
    (small_disk / "ballast").write_bytes(b"x" * (250 << 10))
    where = {"cache": photos / "cache", "run": photos / "run"} | {full: small_disk / full}
    (photos / "earlier").write_text("untouched")
    done = run_cli(*ARGUMENTS[:-1], where["run"], cwd=photos, check=False, env={"PARABENCH_CACHE": str(where["cache"])})
    assert done.returncode == 1 and "no space left" in done.stderr and "Traceback" not in done.stderr
    assert "free some space" in done.stderr
    (small_disk / "ballast").unlink()
    run_cli(*ARGUMENTS[:-1], where["run"], "--no-report", cwd=photos, env={"PARABENCH_CACHE": str(where["cache"])})
    assert Run.load(where["run"]).result.status == "complete", "the same command finishes once there is space"


def test_a_disk_that_is_full_to_the_last_byte_is_no_corrupt_cache(photos, small_disk):
    cache = {"PARABENCH_CACHE": str(small_disk / "cache")}
    run_cli(*ARGUMENTS, "--no-report", cwd=photos, env=cache)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(512))
    again = run_cli(*ARGUMENTS, "--no-report", cwd=photos, check=False, env=cache)
    assert "corrupt" not in again.stderr and "Traceback" not in again.stderr
    assert again.returncode == 0 or "no space left" in again.stderr
    (small_disk / "ballast").unlink()
    run_cli(*ARGUMENTS, "--no-report", cwd=photos, env=cache)
    assert json.loads((photos / "run" / "result.json").read_text())["settings"]["computed"] == {"text": 0, "image": 0}


@pytest.mark.parametrize("damage", ["text", "zeros"])
def test_damaged_picture_hashes_are_one_clear_line(photos, damage):
    cache = {"PARABENCH_CACHE": str(photos / "cache")}
    run_cli(*ARGUMENTS, "--no-report", cwd=photos, env=cache)
    path = photos / "cache" / "picture_hashes.sqlite"
    path.write_bytes(b"no database at all " * 500 if damage == "text" else path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))
    again = run_cli(*ARGUMENTS, "--no-report", cwd=photos, check=False, env=cache)
    assert again.returncode == 1 and "delete that file" in again.stderr and "Traceback" not in again.stderr
    path.unlink()
    run_cli(*ARGUMENTS, "--no-report", cwd=photos, env=cache)
