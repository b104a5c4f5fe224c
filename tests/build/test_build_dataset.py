"""``parabench build-dataset`` as a user runs it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from loopback import Loopback
from made_captions import write_captions

from parabench.build.filters import FilterConfig, filters_fingerprint
from parabench.data import load


def build(*arguments, cwd=None, **environment):
    command = [sys.executable, "-m", "parabench", "build-dataset", *map(str, arguments)]
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PARABENCH_SHARED")}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**clean, **environment}, timeout=300)


@pytest.fixture
def captions(tmp_path):
    return write_captions(tmp_path / "captions.json", 60)


def test_rules_from_captions_to_a_folder_that_evaluates(tmp_path):
    captions = write_captions(tmp_path / "captions.json", 60, 3)
    done = build("--captions", captions, "--generator", "rules", "--foils", "--images", 40, "--out", tmp_path / "set", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["n_candidates"], record["generator"]["model"], record["source"]["kind"]) == (120, "rules-1", "coco")
    assert record["n_kept"] + sum(step["dropped"] for step in record["funnel"]) == 120
    assert record["funnel"][0]["seen"] == 120

    benchmark = load(tmp_path / "set")
    tables = (benchmark.pairs, benchmark.foils, benchmark.rejected)
    assert sum(table.num_rows for table in tables) == 120
    assert all(benchmark.rejected["reason"].to_pylist())
    assert benchmark.gallery.num_rows == 60
    evaluated = subprocess.run(
        [sys.executable, "-m", "parabench", "evaluate", "--dataset", str(tmp_path / "set"), "--model", "tfidf:", "--out",
         str(tmp_path / "run"), "--no-report", "--resamples", "50", "--json"], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["status"]


def test_a_finished_build_is_not_checked_again_unless_something_changed(captions, tmp_path):
    lists, filters, training = tmp_path / "words.txt", tmp_path / "filters.yaml", tmp_path / "training.txt"
    lists.write_text("zeppelin\n")
    filters.write_text("toxicity: {files: [words.txt]}\n")
    training.write_text("A zeppelin over a lake.\n")
    options = ["--captions", captions, "--generator", "rules", "--out", tmp_path / "set", "--filters", filters, "--training-captions", training]

    def again():
        done = build(*options)
        assert done.returncode == 0, done.stderr
        folder = {path.name: path.read_bytes() for path in (tmp_path / "set").rglob("*") if path.is_file()}
        return "those of the last run" in done.stderr, done.stdout, folder

    skipped, said, first = again()
    assert not skipped and again() == (True, said, first)
    kept = load(tmp_path / "set").pairs["paraphrase"][0].as_py()
    for path, text in ((training, f"{kept}\n"), (lists, "horse\n"), (filters, "length: {min_words: 7}\n")):
        path.write_text(text)
        skipped, _, changed = again()
        assert not skipped and changed != first
        assert again() == (True, _, changed)
        first = changed
    with sqlite3.connect(tmp_path / "set.ledger.sqlite") as ledger:
        ledger.execute("DELETE FROM meta WHERE name='candidates'")  # killed before the checks were through
    skipped, _, whole = again()
    assert not skipped and whole == first


def test_another_version_checks_anew(monkeypatch):
    known = filters_fingerprint(FilterConfig.read())
    assert filters_fingerprint(FilterConfig.read()) == known
    monkeypatch.setattr("parabench.build.filters.load.__version__", "99")
    assert filters_fingerprint(FilterConfig.read()) != known


def test_the_plan_is_printed_before_anything_is_asked_or_written(captions, tmp_path):
    options = ["--captions", captions, "--generator", "openai", "--model", "m", "--images", 10, "--out", tmp_path / "set"]
    server = Loopback()
    with server.running():
        options += ["--base-url", server.url, "--price-in", 3, "--price-out", 9]
        dry = build(*options, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "plan: 10 captions, 20 sentences" in dry.stdout
        assert "20 are to be sent" in dry.stdout
        assert "cost (estimated, at the prices given)" in dry.stdout
        assert not server.asked
        assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.json"]
        done = build(*options)
        assert "plan: 10 captions" in done.stderr
        assert done.returncode == 0, done.stderr
        plan = json.loads(build(*options, "--dry-run", "--json").stdout)
    assert (plan["requests"], plan["answered"], plan["tokens_in"]) == (20, 20, 0)


def test_an_import_through_the_command(captions, tmp_path):
    value = json.loads(captions.read_text())
    rows = [
        {"caption_id": entry["id"], "paraphrase": f"Seen here {entry['caption'][0].lower()}{entry['caption'][1:]}"}
        for entry in value["annotations"][:5]
    ]
    mine = tmp_path / "mine.jsonl"
    mine.write_text("\n".join(map(json.dumps, rows)))
    done = build("--captions", captions, "--import", mine, "--out", tmp_path / "set", "--json")
    assert json.loads(done.stdout)["n_candidates"] == 5, done.stderr
    mine.write_text(json.dumps({"caption_id": 77, "paraphrase": "Not there."}))
    wrong = build("--captions", captions, "--import", mine, "--out", tmp_path / "other")
    assert wrong.returncode == 1
    assert "has none of the 1 captions that are to be rewritten, e.g. 77" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--generator", "openia"], 2, "did you mean 'openai'"),
        (["--generator", "openai", "--model", "m"], 2, "OPENAI_API_KEY is not set"),
        (["--generator", "openai", "--base-url", "http://x/v1"], 2, "needs a model"),
        (["--generator", "openai", "--model", "m", "--base-url", "localhost:1"], 2, "not an http address"),
        (["--generator", "rules", "--kinds", "lexicl"], 2, "did you mean 'lexical'"),
        (["--generator", "rules", "--images", "9999"], 1, "pictures with a usable caption"),
        (["--generator", "rules", "--labels", "nowhere.txt"], 1, "no such file of categories"),
        (["--generator", "rules", "--parameter", "x"], 2, "is malformed"),
        (["--model", "m"], 2, "need a generator"),
        (["--import", "nowhere.csv"], 1, "no such file: nowhere.csv"),
        (["--generator", "human"], 2, "needs --tasks FILE"),
        (["--generator", "rules", "--release-version", "one"], 2, "'one' is no version"),
        (["--generator", "rules", "--license", "mine"], 2, "unknown licence 'mine'"),
    ],
)
def test_mistakes_get_one_line(captions, tmp_path, arguments, code, said):
    done = build("--captions", captions, "--out", tmp_path / "set", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()


def test_captions_that_are_no_captions(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"images": [], "annotations": [')
    done = build("--captions", path, "--generator", "rules", "--out", tmp_path / "set")
    assert (done.returncode, "not JSON, or is cut off" in done.stderr) == (1, True)


def test_a_folder_in_use_is_refused_before_a_cent_is_spent(captions, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("mine")
    server = Loopback()
    with server.running():
        done = build("--captions", captions, "--generator", "openai", "--model", "m", "--base-url", server.url, "--out", tmp_path / "set")
    assert done.returncode == 1
    assert "is not empty and was not written from the ledger" in done.stderr
    assert not server.asked
    assert (tmp_path / "set" / "thesis.txt").read_text() == "mine"


def test_a_ledger_of_another_version_and_one_inside_the_release(captions, tmp_path):
    ledger = tmp_path / "old.sqlite"
    with sqlite3.connect(ledger) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.execute("INSERT INTO meta VALUES ('version', '99')")
    base = ["--captions", captions, "--generator", "rules", "--out", tmp_path / "set"]
    assert "a ledger of version 99" in build(*base, "--ledger", ledger).stderr
    assert "lies in the release's folder" in build(*base, "--ledger", tmp_path / "set" / "l.sqlite").stderr


def test_a_place_that_can_not_be_written(captions, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")  # a file where a folder is needed stops root, too
    done = build("--captions", captions, "--generator", "rules", "--out", blocked / "set")
    assert (done.returncode, f"{blocked} is a file" in done.stderr) == (1, True)
    if os.geteuid() != 0:  # root writes everywhere
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
        done = build("--captions", captions, "--generator", "rules", "--out", folder / "set")
        assert (done.returncode, "can't write" in done.stderr) == (1, True)


def test_our_own_sentences_joined_with_the_official_file(shared, tmp_path):
    from datasets import load_dataset

    official = shared / "coco" / "captions_val2017.json"
    done = build("--captions", official, "--out", tmp_path / "set", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["n_candidates"] == 15_000
    rows = {c: load_dataset(str(tmp_path / "set"), c, split="test") for c in ("pairs", "gallery", "foils", "rejected")}
    assert len(rows["pairs"]) >= 4155
    assert len(rows["pairs"]) + len(rows["foils"]) + len(rows["rejected"]) == 15_000
    assert len(rows["gallery"]) == 5000
    assert all(rows["rejected"]["reason"])
    # found without an option where the built-in sets look, and the same bytes
    again = build("--out", tmp_path / "again" / "set", "--json", PARABENCH_SHARED=str(shared), SOURCE_DATE_EPOCH="1790000000")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["n_kept"] == record["n_kept"]


def test_captions_that_were_changed_are_refused_by_hash(shared, tmp_path):
    value = json.loads((shared / "coco" / "captions_val2017.json").read_text())
    target = next(entry for entry in value["annotations"] if entry["id"] == 441)
    target["caption"] += "!"
    changed = tmp_path / "captions.json"
    changed.write_text(json.dumps(value))
    done = build("--captions", changed, "--out", tmp_path / "set")
    assert done.returncode == 1
    assert "caption 441 has another hash" in done.stderr
