"""A run folder holds a whole run or none, and nobody else's files are touched."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import parabench
from parabench.errors import DataError, ParabenchError, UsageError
from parabench.evaluate import Run


class Letters:
    """Counts letters; sees ids only."""

    spec, fingerprint, dim, cacheable, sees = "letters", "letters-1", 26, True, "ids"

    def encode_text(self, texts):
        return np.array([[1 + text.count(chr(97 + n)) for n in range(26)] for text in texts], np.float32)

    def encode_images(self, images):
        return self.encode_text([str(image) * 3 + "abc"[int(image) % 3] for image in images])


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("image_id,caption,paraphrase\n" + "".join(f"{n},a dog {n} runs,running dog {n}\n" for n in range(9)))
    return path


def evaluate(pairs, out, **options):
    return parabench.evaluate(options.pop("model", "random:8"), pairs, out=out, **{"metrics": ["AO@3"], "n_resamples": 50} | options)


def test_a_folder_with_other_files_is_left_alone(pairs, tmp_path):
    (tmp_path / "mine" / "plots").mkdir(parents=True)
    (tmp_path / "mine" / "plots" / "holiday.png").write_text("a photo")
    (tmp_path / "mine" / "pairs.parquet").write_text("my data")
    with pytest.raises(DataError, match=r"mine holds other files and no run \(first: pairs.parquet\)"):
        evaluate(pairs, tmp_path / "mine")
    assert (tmp_path / "mine" / "pairs.parquet").read_text() == "my data"
    evaluate(pairs, tmp_path / "mine", overwrite=True)
    assert Run.load(tmp_path / "mine").value("AO@3") < 1


def test_a_run_that_can_not_be_written_leaves_the_earlier_one_whole(pairs, tmp_path):
    value = evaluate(pairs, tmp_path / "run").value("AO@3")
    code = (
        "import resource, sys, parabench\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))\n"
        "parabench.evaluate('random:8', sys.argv[1], out=sys.argv[2], metrics=['AO@3', 'JS@3'], n_resamples=50)\n"
    )
    sizes = [path.stat().st_size for path in (tmp_path / "run").iterdir()]
    for limit in (100, min(sizes) + 100, max(sizes) - 100):
        done = subprocess.run([sys.executable, "-c", code, pairs, tmp_path / "run", str(limit)], capture_output=True, text=True)
        assert done.returncode == 1
        held = Run.load(tmp_path / "run")
        assert held.value("AO@3") == value and list(held.result.tasks["paraphrase"].metrics)[:1] == ["AO@3"]
        assert "JS@3" not in held.result.tasks["paraphrase"].metrics and len(held.pairs) == 9
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")], "nothing half-written stays"


def test_a_page_does_not_outlive_its_numbers(pairs, tmp_path):
    from parabench.report import write_report

    run = evaluate(pairs, tmp_path / "run")
    write_report([run], None, [], tmp_path / "run" / "report.html")
    (tmp_path / "run" / "plots" / "mine.txt").write_text("a note")
    evaluate(pairs, tmp_path / "run")
    assert "random:8" in (tmp_path / "run" / "report.html").read_text(), "the same numbers keep their page"
    evaluate(pairs, tmp_path / "run", model="random:16", overwrite=True)
    left = sorted(str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert left == ["pairs.parquet", "plots/mine.txt", "rankings.parquet", "result.json"]


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_a_kill_between_the_renames_leaves_a_folder_that_the_same_command_fills(pairs, tmp_path, renamed):
    code = (
        "import os, pathlib, sys, parabench\n"
        "replace, done = pathlib.Path.replace, []\n"
        "def counted(part, target):\n"
        "    if pathlib.Path(target).parent == pathlib.Path(sys.argv[2]) and pathlib.Path(target).name[0] != '.':\n"
        "        done.append(target)\n"
        "        if len(done) > int(sys.argv[3]): os._exit(9)\n"
        "    return replace(part, target)\n"
        "pathlib.Path.replace = counted\n"
        "parabench.evaluate('random:8', sys.argv[1], out=sys.argv[2], metrics=['AO@3'], n_resamples=50)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, pairs, tmp_path / "run", str(renamed)], capture_output=True).returncode == 9
    if renamed:
        with pytest.raises(DataError, match="not finished"):
            Run.load(tmp_path / "run")
    run = evaluate(pairs, tmp_path / "run")
    assert Run.load(tmp_path / "run").value("AO@3") == run.value("AO@3")


def test_a_failed_run_does_not_stand_in_the_way(pairs, tmp_path):
    class Broken(Letters):
        def encode_text(self, texts):
            return super().encode_text(texts) * np.nan

    with pytest.raises(ParabenchError, match="NaN"):
        evaluate(pairs, tmp_path / "run", model=Broken())
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"
    assert evaluate(pairs, tmp_path / "run").result.model.spec == "random:8"


def test_what_can_not_be_written_is_said_before_anything_runs(pairs, tmp_path):
    class Never(Letters):
        def encode_text(self, texts):
            raise AssertionError("ran")

    for out in (pairs / "below", tmp_path / ("x" * 300)):
        with pytest.raises(ParabenchError, match="can't write"):
            evaluate(pairs, out, model=Never())


@pytest.mark.parametrize(("name", "other"), [("clip-finetuned-for-a-long-time-step-1000", "clip-finetuned-for-a-long-time-step-2000"), ("a/b", "../../a")])
def test_any_fingerprint_names_a_cache_of_its_own(pairs, tmp_path, monkeypatch, name, other):
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    for fingerprint in (name, other, name):
        encoder = Letters()
        encoder.fingerprint = fingerprint
        evaluate(pairs, tmp_path / "run", model=encoder, overwrite=True)
    assert len(list((tmp_path / "cache" / "embeddings").glob("*.sqlite"))) == 2


def test_arguments_from_numpy_and_wrong_ones(pairs, tmp_path):
    run = evaluate(pairs, tmp_path / "run", seed=np.int64(3), depth=np.int32(9), metrics="AO@3")
    assert Run.load(tmp_path / "run").result.settings["seed"] == 3 and run.value("AO@3") < 1
    for wrong in ({"seed": -1}, {"seed": 1.5}, {"n_resamples": 0}, {"n_resamples": 10**9}, {"depth": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong)).removeprefix("n_")):
            evaluate(pairs, tmp_path / "other", **wrong)


def test_an_object_that_is_no_encoder_says_what_it_lacks(pairs, tmp_path):
    with pytest.raises(UsageError, match="has no spec, fingerprint, dim, encode_text"):
        evaluate(pairs, tmp_path / "run", model=object())


@pytest.mark.parametrize(
    ("member", "value"),
    [("batch_size", "8"), ("batch_size", -2), ("batch_size", True), ("dim", "x"), ("dim", 0), ("spec", 5), ("fingerprint", b"1"),
     ("sees", "pixel"), ("resolved", "me"), ("n_parameters", "many"), ("encode_text", 5)],
)  # fmt: skip
def test_an_encoder_with_an_odd_member_is_told_which(pairs, tmp_path, member, value):
    encoder = Letters()
    setattr(encoder, member, value)
    with pytest.raises(ParabenchError, match=f"says {member} = "):
        evaluate(pairs, tmp_path / "run", model=encoder)


@pytest.mark.parametrize("member", ["spec", "dim", "batch_size", "resolved"])
def test_an_encoder_that_fails_when_it_is_asked_about_itself(pairs, tmp_path, member):
    failing = type("Failing", (Letters,), {member: property(lambda self: 1 // 0)})
    with pytest.raises(ParabenchError, match=f"fails when its '{member}' is read: ZeroDivisionError"):
        evaluate(pairs, tmp_path / "run", model=failing())


def test_output_that_can_not_be_written_is_said_in_one_line(pairs, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = [sys.executable, "-m", "parabench", "evaluate", "-m", "random:8", "-d", pairs, "-o", tmp_path / "run", "--metrics", "AO@3", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("parabench: can't write the output: No space left")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert Run.load(tmp_path / "run").value("AO@3") < 1


def test_the_callable_package_shows_the_function():
    import inspect

    assert {"model", "dataset", "metrics", "depth"} <= set(inspect.signature(parabench.evaluate).parameters)
    assert "Evaluate a dual encoder" in parabench.evaluate.__doc__ and "n_resamples: bootstrap" in parabench.evaluate.__doc__


def test_what_a_run_lacks_is_said(pairs, tmp_path):
    run = evaluate(pairs, tmp_path / "run")
    with pytest.raises(UsageError, match="has no task sts → it has paraphrase, retrieval"):
        run.value("STS-B", "sts")
    with pytest.raises(UsageError, match="has no paraphrase:JS@3 → paraphrase has AO@3"):
        run.value("JS@3")
    with pytest.raises(DataError, match="no such run folder"):
        Run.load(tmp_path / "nowhere")


def test_spearman_of_equal_scores_has_no_value(pairs, tmp_path):
    with pytest.raises(UsageError, match="Spearman has no value for 9 of 9 pairs"):
        evaluate(pairs, tmp_path / "run", model="constant:8", metrics=["Spearman"], depth=9)
    assert -1 <= evaluate(pairs, tmp_path / "run", metrics=["Spearman"], depth=9).value("Spearman") <= 1


def test_a_device_of_torch_is_a_device(pairs, tmp_path):
    torch = pytest.importorskip("torch")
    encoder = Letters()
    encoder.device = torch.device("cpu")
    assert evaluate(pairs, tmp_path / "run", model=encoder).result.environment["device"].startswith("cpu")


def test_a_damaged_record_of_a_model_is_forgotten(minilm, tmp_path, monkeypatch):
    from parabench.encoders import load_encoder

    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    fingerprint = load_encoder(f"sbert:{minilm}").fingerprint
    (path,) = (tmp_path / "cache" / "resolved").glob("*.json")
    record = json.loads(path.read_text())
    for field, value in (("dim", "x"), ("resolved", 5), ("n_parameters", None), ("extra", 5)):
        path.write_text(json.dumps({**record, "identity": {**record["identity"], field: value}}))
        assert load_encoder(f"sbert:{minilm}").fingerprint == fingerprint
    path.write_text(json.dumps({**record, "identity": {**record["identity"], "dim": 7}}))
    with pytest.raises(ParabenchError, match="run the same command again"):
        load_encoder(f"sbert:{minilm}").encode_text(["a"])
    assert load_encoder(f"sbert:{minilm}").encode_text(["a"]).shape == (1, 384)


def test_a_refused_parquet_file_ends_the_command_in_order(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image_id": ["1"], "caption": pa.array([None], pa.string()), "paraphrase": ["a"]}), tmp_path / "p.parquet")
    for _ in range(8):  # Arrow's own threads used to bring most of these down with SIGABRT
        done = subprocess.run([sys.executable, "-m", "parabench", "evaluate", "-m", "random:8", "-d", tmp_path / "p.parquet"], capture_output=True, text=True)
        assert done.returncode == 1 and "caption is" in done.stderr


def test_a_damaged_built_in_set_is_drawn_again(tmp_path, monkeypatch):
    from parabench.data.scenes import load_scenes
    from parabench.storage import cache_home

    expected = parabench.load("scenes").fingerprint
    shutil.copytree(cache_home() / "scenes-v1", tmp_path / "cache" / "scenes-v1")
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "scenes-v1" / "pairs.parquet").write_bytes(b"PAR1 cut off")
    next((tmp_path / "cache" / "scenes-v1" / "images").iterdir()).unlink()
    load_scenes()
    assert parabench.load("scenes").fingerprint == expected and len(list((tmp_path / "cache" / "scenes-v1" / "images").iterdir())) == 1800
