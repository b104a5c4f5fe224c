"""From a run to a submission and back: the same numbers, little space, clear words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import parabench
from parabench.errors import DataError, UsageError
from parabench.evaluate import Run
from parabench.leaderboard.compact import believe, read_compact
from parabench.leaderboard.reference import Reference, References
from parabench.leaderboard.schema import Submission
from parabench.leaderboard.scoring import AO_SCALE
from parabench.leaderboard.submission import make_submission
from parabench.leaderboard.validate import Validator, find_submissions

SUBMISSIONS = Path(__file__).parents[2] / "leaderboard" / "submissions"


def validated(folder, references, known=()):
    with Validator(References(references), known) as validator:
        return validator.validate(folder)


def same(mine, theirs):
    """Values to the last bit; what comes of resamples to the rounding of a float32 product, which depends on the number of threads."""
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        for key in mine:
            if key == "value" or not isinstance(mine[key], float):
                same(mine[key], theirs[key])
            else:
                assert mine[key] == pytest.approx(theirs[key], rel=1e-6, abs=1e-7), key
    elif isinstance(mine, (list, tuple)) and mine and isinstance(mine[0], float):
        assert list(mine) == pytest.approx(list(theirs), rel=1e-6, abs=1e-7)
    elif isinstance(mine, (list, tuple)):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            same(one, other)
    else:
        assert mine == theirs


def test_recomputed_numbers_equal_the_runs(tiny, standing):
    for name, run in (("good-model", "GoodModel"), ("text-only", "TextOnly")):
        verdict, entry = validated(standing / f"{name}--tiny", tiny.references)
        assert verdict.status == "accepted", verdict
        told = Run.load(tiny.folder / "runs" / run).result
        for task in ("paraphrase", "retrieval"):
            same(entry.scored.tasks[task].model_dump(include={"metrics", "details", "slices"}), told.tasks[task].model_dump(include={"metrics", "details", "slices"}))
        assert entry.scored.warnings == told.warnings


def test_per_pair_scores_are_exact(tiny, standing):
    _, entry = validated(standing / "good-model--tiny", tiny.references)
    pairs = Run.load(tiny.folder / "runs" / "GoodModel").pairs
    np.testing.assert_allclose(entry.scored.ao / AO_SCALE, pairs["AO@10"], rtol=0, atol=1e-15)
    assert entry.scored.caption_rank.tolist() == pairs["caption_rank"].tolist()
    assert entry.scored.paraphrase_rank.tolist() == pairs["paraphrase_rank"].tolist()


def test_every_multiple_of_ao_is_exact():
    from parabench.metrics import compute

    rng = np.random.default_rng(0)
    a, b = (np.stack([rng.permutation(14)[:10] for _ in range(5000)]) for _ in "ab")
    values = compute(["AO@10"], a, b)["AO@10"] * AO_SCALE
    assert np.abs(values - np.rint(values)).max() < 1e-9
    assert AO_SCALE < 2**16


def test_a_full_coco_sized_submission_stays_below_three_megabytes(tmp_path):
    """Random rankings, which no compression helps, of as many queries and pictures as coco-paraphrase has."""
    from parabench.leaderboard.compact import STORED_DEPTH, write_compact

    reference = References().get("coco-paraphrase", None)
    n, n_images = len(reference.targets), len(reference.image_ids)
    assert n > 18_000 and n_images == 5_000
    rng = np.random.default_rng(0)
    top = np.stack([rng.choice(n_images, STORED_DEPTH, replace=False) for _ in range(n)]).astype(np.int32)
    target_rank = rng.integers(STORED_DEPTH + 1, n_images, n)
    hit = top == reference.targets[:, None]
    target_rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, target_rank)
    captions = np.flatnonzero(reference.roles == "caption")
    ranks = {reference.image_ids[reference.targets[row]]: int(rng.integers(1, len(captions))) for row in captions}
    rankings = reference.rankings(np.arange(n), np.zeros(n, bool), top, target_rank, ranks, {})
    hashes = [bytes(one).hex() + "0" * 32 for one in reference.hashes]
    rankings = type(rankings)(**{**rankings.__dict__, "query_sha256": tuple(hashes)})
    path = tmp_path / "rankings.parquet"
    write_compact(rankings, reference, path, STORED_DEPTH)
    assert path.stat().st_size < 2_000_000
    back = believe(read_compact(path, n, n_images), reference)
    assert (back.top == top).all()
    assert (back.target_rank == target_rank).all()
    assert back.caption_rank == ranks


def test_the_file_holds_positions_and_hashes_and_no_text(standing):
    table = pq.read_table(standing / "good-model--tiny" / "rankings.parquet")
    assert table.column_names == ["query", "again", "sha256", "top", "target_rank", "caption_rank"]
    assert str(table["top"].type.value_type) in ("uint16", "int32")
    assert table["sha256"].type.byte_width == 16


def test_a_reference_is_the_same_after_writing(tiny, tmp_path):
    made = Reference.of(tiny.benchmark)
    read = Reference.read(made.write(tmp_path))
    assert (read.fingerprint, read.queries_sha256, read.gallery_sha256) == (made.fingerprint, made.queries_sha256, made.gallery_sha256)
    assert read.queries.equals(made.queries)
    assert read.gallery.equals(made.gallery)


def test_shipped_references_are_those_of_the_datasets(shared_data):
    for name, split in (("scenes", "test"), ("coco-paraphrase", None)):
        made, held = Reference.of(parabench.load(name, split=split)), References().get(name, split)
        assert (held.fingerprint, held.queries_sha256, held.gallery_sha256) == (made.fingerprint, made.queries_sha256, made.gallery_sha256)
        assert held.queries.equals(made.queries)


def test_other_settings_change_the_runs_intervals_and_not_the_submission(tiny, tmp_path):
    odd = tiny.run("odd", 0.9, 11, n_resamples=300, seed=5, metrics=["AO@10", "RBO(p=0.5)@5"])
    folder = tiny.submit(odd, "odd settings", tmp_path)
    verdict, entry = validated(folder, tiny.references)
    assert verdict.status == "accepted", verdict
    assert entry.scored.number("paraphrase", "AO@10").value == odd.value("AO@10")
    assert entry.scored.number("paraphrase", "RBO(p=0.9)@10") is not None


def test_what_is_missing_is_said_at_once(tiny, tmp_path):
    run = tiny.run("silent")
    with pytest.raises(UsageError) as error:
        make_submission(run, {"name": "x", "license": "MIT"}, tmp_path, References(tiny.references))
    for option in ("--training-data", "--test-paraphrases", "--author", "--contact"):
        assert option in str(error.value)
    assert "--license" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_local_folders_and_markup_do_not_leave_the_machine(tiny, tmp_path):
    folder = tiny.submit(tiny.run("private"), "private", tmp_path)
    text = (folder / "submission.json").read_text(encoding="utf-8")
    assert str(tiny.folder) not in text
    assert "<" not in text
    Submission.model_validate_json(text)


def test_a_run_whose_numbers_were_edited_is_refused(tiny, tmp_path):
    run = tiny.run("edited", 1.2, 3)
    run.result.tasks["paraphrase"].metrics["AO@10"].value += 1e-9
    with pytest.raises(DataError, match="AO@10"):
        tiny.submit(run, "edited", tmp_path)


def test_runs_that_the_leaderboard_does_not_compare(tiny, tmp_path):
    run = tiny.run("collapsed")
    run.result.settings["collapse_duplicates"] = True
    with pytest.raises(DataError, match="collapse"):
        tiny.submit(run, "collapsed", tmp_path)
    with pytest.raises(DataError, match="no dataset 'tiny'"):
        make_submission(tiny.run("known"), {**tiny.declared, "name": "known"}, tmp_path, References())


def test_a_killed_submit_does_not_stand_in_the_way(tiny, tmp_path):
    run = tiny.run("killed", 1.0, 23)
    folder = tiny.submit(run, "Killed", tmp_path)
    (folder / ".rankings.parquet.abc.part").write_bytes(b"PAR1")
    assert tiny.submit(run, "Killed", tmp_path) == folder and not list(folder.glob(".*"))
    (folder / "submission.json").unlink()
    (folder / ".submission.json.abc.part").write_text("{")
    assert sorted(path.name for path in tiny.submit(run, "Killed", tmp_path).iterdir()) == ["rankings.parquet", "submission.json"]


def test_another_models_entry_is_not_written_over(tiny, tmp_path):
    folder = tiny.submit(tiny.run("first", 1.0, 21), "My Model", tmp_path)
    before = (folder / "submission.json").read_bytes()
    assert tiny.submit(tiny.run("first", 1.0, 21), "My Model", tmp_path) == folder
    with pytest.raises(DataError, match="another model"):
        tiny.submit(tiny.run("second", 1.4, 22), "my model", tmp_path)
    with pytest.raises(DataError, match=r"already holds 'My Model' by .*choose another --name or --out"):
        tiny.submit(tiny.run("first", 1.0, 21), "My Model", tmp_path, authors=["Somebody Else"])
    assert json.loads((folder / "submission.json").read_bytes())["model"] == json.loads(before)["model"]


def test_submit_and_validate_on_the_command_line(tiny, tmp_path):
    tiny.run("commandline", 0.8, 9)
    command = [sys.executable, "-m", "parabench", "submit", str(tiny.folder / "runs" / "commandline"), "--references", str(tiny.references),
               "--out", str(tmp_path / "submissions"), "--name", "Command Line", "--license", "MIT", "--contact", "@ada"]  # fmt: skip
    lacking = subprocess.run(command, capture_output=True, text=True)
    assert lacking.returncode == 2
    assert "--training-data" in lacking.stderr
    assert "Traceback" not in lacking.stderr
    card = tmp_path / "card.yaml"
    card.write_text("training_data: [CC12M]\nparaphrases_of_test_captions: no\nauthors: [Ada Lovelace]\n")
    done = subprocess.run([*command, "--card", str(card)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "git add" in done.stdout
    (folder,) = find_submissions([tmp_path / "submissions"])
    assert folder.name == "command-line--tiny"
    validate = [sys.executable, "-X", "importtime", "-m", "parabench", "leaderboard", "validate", str(folder), "--references", str(tiny.references), "--json"]
    checked = subprocess.run(validate, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr[-500:]
    (verdict,) = json.loads(checked.stdout)
    assert verdict["status"] == "accepted"
    assert verdict["numbers"]["paraphrase"]["AO@10"] > 0
    loaded = {line.rpartition("|")[2].strip() for line in checked.stderr.splitlines() if line.startswith("import time:")}
    assert not loaded & {"torch", "transformers", "open_clip", "matplotlib"}


def test_an_older_or_newer_schema_is_named_with_the_command_that_helps(tiny, entry):
    for version, words in ((0, "parabench submit RUN"), (2, "update parabench")):
        entry.edit("schema_version", version)
        verdict, _ = validated(entry.folder, tiny.references)
        assert verdict.status == "refused"
        assert f"schema version {version}" in verdict.faults[0]
        assert words in verdict.faults[0]


def test_the_seed_entries_pass_and_none_was_invented():
    """Baselines, a text-only encoder and trained towers; no row of a model whose weights were not at hand."""
    folders = find_submissions([SUBMISSIONS])
    with Validator(References()) as validator:
        found = [validator.validate(folder) for folder in folders]
    assert [verdict.entry for verdict, _ in found if verdict.status == "refused"] == []
    specs = {(entry.submission.model.spec, entry.reference.name, entry.submission.model.track) for _, entry in found}
    for dataset in ("coco-paraphrase", "scenes"):
        assert {("random:512", dataset, "image"), ("constant:512", dataset, "image"), ("tfidf:", dataset, "caption-gallery")} <= specs
    assert ("sbert:sentence-transformers/all-MiniLM-L6-v2", "coco-paraphrase", "caption-gallery") in specs
    assert not {spec for spec, _, _ in specs if spec.startswith(("openclip:", "hf:"))}
    minilm = next(entry for _, entry in found if "MiniLM" in entry.submission.model.spec)
    # the official file's hash
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in json.dumps(minilm.submission.model.resolved)
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 3_000_000 * len(folders)


def test_the_workflow_of_continuous_integration_runs_this_validation():
    steps = yaml.safe_load((SUBMISSIONS.parent / "validate-submissions.yml").read_text(encoding="utf-8"))["jobs"]["validate"]["steps"]
    commands = " ".join(step.get("run", "") for step in steps)
    assert "parabench leaderboard validate" in commands
    assert "pip install ./base" in commands, "the rules come from the base branch"
