"""Work by Ray's workers is the same work: real processes, killed ones among them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parabench import evaluate
from parabench.engine import Engine
from parabench.errors import DataError, MissingDependencyError, ModelError, UsageError

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def squares():
    made = os.getpid()
    return lambda item: (item * item, made, os.getpid())


def test_every_item_is_done_once_by_workers_that_are_made_once(cluster):
    with Engine("ray", workers=2).open(squares) as workers:
        assert workers.count == 2
        results = dict(workers.map(list(range(20)))) | {20 + n: r for n, r in workers.map(list(range(20, 25)))}
    assert [results[n][0] for n in range(25)] == [n * n for n in range(25)]
    processes = {pid for _, made, pid in results.values() if made == pid}
    assert len(processes) == 2 and os.getpid() not in processes
    assert list(Engine().open(squares).__enter__().map([3])) == [(0, (9, os.getpid(), os.getpid()))]


def looking_up():
    return lambda item: item[1]()[item[0]]


def test_a_value_is_shared_with_all_items(cluster):
    for engine in (Engine(), Engine("ray", workers=2)):
        with engine.open(looking_up) as workers:
            table, other = workers.share({"a": 1, "b": 2}), workers.share({"a": 3})
            assert dict(workers.map([("a", table), ("a", other), ("b", table), ("a", table)])) == {0: 1, 1: 3, 2: 2, 3: 1}


def complaining():
    def work(item):
        raise DataError(f"the picture of image '{item}' is damaged", "replace it")

    return work


def test_what_a_worker_says_is_wrong_arrives_whole(cluster):
    with Engine("ray", workers=1).open(complaining) as workers, pytest.raises(DataError) as caught:
        list(workers.map(["a.jpg"]))
    assert (caught.value.problem, caught.value.remedy) == ("the picture of image 'a.jpg' is damaged", "replace it")


class Dying:
    """Dies by kill -9 the first time that it meets item 3, or every time."""

    def __init__(self, mark: Path | None) -> None:
        self.mark = mark

    def __call__(self):
        return self.work

    def work(self, item):
        if item == 3 and (self.mark is None or not self.mark.exists()):
            if self.mark is not None:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item


def test_the_work_of_a_worker_that_is_killed_is_done_again(cluster, tmp_path):
    with Engine("ray", workers=2).open(Dying(tmp_path / "died")) as workers:
        assert sorted(workers.map(list(range(8)))) == [(n, n) for n in range(8)]
    assert (tmp_path / "died").exists()


def test_a_worker_that_dies_again_and_again_is_given_up(cluster):
    with Engine("ray", workers=1).open(Dying(None)) as workers, pytest.raises(ModelError, match=r"a worker failed: .*what is done is kept"):
        list(workers.map([3]))


class Colours:
    """Pictures by their mean colour, texts by their letters: both by as many numbers."""

    spec, fingerprint, dim, cacheable, batch_size = "python:colours", "colours-1", 3, True, 4

    def encode_text(self, texts):
        return np.array([[1 + text.count(letter) for letter in "rgb"] for text in texts], np.float32)

    def encode_images(self, images):
        return np.array([1 + np.asarray(image, np.float32).mean(axis=(0, 1)) for image in images], np.float32)


@pytest.fixture
def coloured(tmp_path):
    rng = np.random.default_rng(0)
    with (tmp_path / "pairs.jsonl").open("w") as stream:
        for number in range(40):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / f"{number}.png")
            for kind in "ab":
                row = {"image_id": f"{number}.png", "caption": f"r{'g' * (number % 7)} {number}", "paraphrase": f"{kind} b{'r' * (number % 5)} {number}"}
                stream.write(json.dumps(row) + "\n")
    return tmp_path


def test_an_evaluation_by_workers_has_the_same_rankings(cluster, coloured):
    runs = [
        evaluate(Colours(), coloured / "pairs.jsonl", images=[coloured], out=coloured / f"run-{engine}-{workers}", cache=False, engine=engine, workers=workers)
        for engine, workers in (("local", None), ("ray", 1), ("ray", 2))
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.rankings.top, runs[0].rankings.top)
        np.testing.assert_array_equal(run.rankings.scores, runs[0].rankings.scores)
        assert run.result.tasks == runs[0].result.tasks and run.rankings.duplicates == runs[0].rankings.duplicates
        assert run.result.settings["computed"] == runs[0].result.settings["computed"] == {"text": 120, "image": 40}


def test_a_damaged_picture_is_named_and_what_was_computed_is_kept(cluster, coloured):
    good = (coloured / "39.png").read_bytes()
    (coloured / "39.png").write_bytes(good[:40])
    arguments = {"images": [coloured], "out": coloured / "run", "engine": "ray", "workers": 1}
    with pytest.raises(DataError, match=r"image '39\.png'.*damaged"):
        evaluate(Colours(), coloured / "pairs.jsonl", **arguments)
    (coloured / "39.png").write_bytes(good)
    computed = evaluate(Colours(), coloured / "pairs.jsonl", **arguments).result.settings["computed"]
    assert computed["text"] == 0 and computed["image"] < 40


class OtherColours(Colours):
    """Says another fingerprint in every process."""

    def __init__(self) -> None:
        self.fingerprint = f"colours-{os.getpid()}"

    def __reduce__(self):
        return OtherColours, ()


def test_a_worker_with_another_model_stops_the_run(cluster, coloured):
    with pytest.raises(ModelError, match="not the one of this run"):
        evaluate(OtherColours(), coloured / "pairs.jsonl", images=[coloured], out=coloured / "run", engine="ray", workers=1)


def test_more_workers_than_cores_are_refused(cluster):
    with pytest.raises(ModelError, match="has 2 cores and 5 workers"), Engine("ray", workers=5, device="cpu").open(squares) as workers:
        list(workers.map([1]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "rai"}, "did you mean 'ray'"),
        ({"workers": 2}, "add --engine ray"),
        ({"name": "ray", "workers": 0}, "not positive"),
        ({"name": "ray", "device": "cuda:1"}, "every worker has its own"),
    ],
)
def test_what_does_not_go_together(arguments, said):
    with pytest.raises(UsageError, match=said):
        Engine(**arguments)


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"parabench\[ray\]"), Engine("ray").open(squares) as workers:
        list(workers.map([1]))


SLOW = """
import time
import numpy as np

class Slow:
    spec, fingerprint, dim, cacheable, batch_size = "python:slow", "slow-1", 3, True, 4

    def encode_text(self, texts):
        time.sleep(0.3)
        return np.array([[1 + text.count(letter) for letter in "rgb"] for text in texts], np.float32)

    def encode_images(self, images):
        return np.array([1 + np.asarray(image, np.float32).mean(axis=(0, 1)) for image in images], np.float32)

def make():
    return Slow()
"""


def test_a_command_that_is_killed_leaves_no_worker_and_goes_on_where_it_was(coloured):
    (coloured / "slow_encoder.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": f"{coloured}:{os.environ.get('PYTHONPATH', '')}", "PARABENCH_CACHE": str(coloured / "cache"), "PARABENCH_MARK": "killed", "RAY_ADDRESS": "local"}
    command = [
        sys.executable, "-m", "parabench", "evaluate", "-m", "python:slow_encoder:make", "-d", str(coloured / "pairs.jsonl"),
        "--images", str(coloured), "-o", str(coloured / "run"), "--engine", "ray", "--workers", "2", "--no-report",
    ]  # fmt: skip
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not _kept(coloured / "cache") and time.monotonic() < deadline:
        time.sleep(0.1)
    first.kill()
    first.wait()
    assert _kept(coloured / "cache"), "nothing was kept within two minutes"
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "engine: ray, 2 workers" in done.stderr, done.stderr
    computed = json.loads((coloured / "run" / "result.json").read_text())["settings"]["computed"]
    assert 0 < computed["text"] < 120
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0 and "engine: ray" not in again.stderr, "nothing to compute, so no cluster"
    left = [line for line in _processes("killed") if "_Actor" in line]
    assert not left, "workers outlive their command"


def _kept(cache: Path) -> int:
    """Vectors in the cache, which another process may be writing."""
    for path in cache.rglob("*.sqlite"):
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                return connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        except sqlite3.Error:
            continue
    return 0


def _processes(mark: str) -> list[str]:
    """Command lines of living processes that were started with this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"PARABENCH_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            continue
    return found
