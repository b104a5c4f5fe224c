"""A release: what `datasets`, `mlcroissant`, `sha256sum` and parabench itself read from the folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from review_ledger import make_ledger

from parabench.build.candidates import CandidateTable
from parabench.build.record import BuildRecord, FilterCount, GeneratorRecord, PromptRecord, RequestsRecord, SourceRecord
from parabench.build.release import release_rows, verify_checksums, write_release
from parabench.build.reviews import ReviewTable
from parabench.data import load
from parabench.errors import DataError, ParabenchError, UsageError


def make_record(**changes):
    return BuildRecord(
        parabench_version="0.2.0", created="2026-11-24", seed=3, source=SourceRecord(name="c.json", sha256="ab" * 32, kind="coco"),
        sampling={"n_images": 20, "strata": {"dog": 3}},
        generator=GeneratorRecord(
            source="openai", model="some-model@1", about="A language model | with a <bar>.", parameters={"temperature": 0.7},
            prompts=[PromptRecord(name="lexical-v1", sha256="cd" * 32, text="Rewrite:\n```\n{caption}\n```")],
        ),
        requests=RequestsRecord(by_status={"answered": 20, "refused": 1}, tokens_in=1000, tokens_out=400, cost=0.02),
        filters={"length": {"min_ratio": 0.5}}, n_candidates=31, n_kept=30,
        funnel=[FilterCount(name="length", seen=31, dropped=1, reasons={"too short": 1})], **changes,
    )  # fmt: skip


def images_of(n=24):
    """A gallery as `read_official` gives it: the pictures of `make_ledger` and some that nobody rewrote."""
    return [
        {
            "image_id": str(139 + number), "file_name": f"{139 + number:012}.jpg", "url": f"http://pictures.example/{number}",
            "width": 640, "height": 480, "license": "Attribution License",
            "captions": [(f"c{number}", f"A brown dog number {number} barks at {number + 2} small cats"), (f"d{number}", "Pets.")],
        }
        for number in range(n)
    ]  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    with make_ledger(tmp_path / "set.ledger") as opened:
        yield opened


@pytest.fixture
def release(ledger, tmp_path):
    return write_release(ledger, images_of(), tmp_path / "release", name="dogs", record=make_record())


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_datasets_reads_every_config(release, tmp_path):
    import datasets

    sizes = {}
    for config in ("pairs", "gallery", "foils", "rejected"):
        rows = datasets.load_dataset(str(release), config, cache_dir=str(tmp_path / "hf"))
        sizes[config] = {split: len(part) for split, part in rows.items()}
    assert sizes == {"pairs": {"test": 20}, "gallery": {"test": 24}, "foils": {"test": 10}, "rejected": {"test": 1}}
    default = datasets.load_dataset(str(release), split="test", cache_dir=str(tmp_path / "hf"))
    assert default[0]["paraphrase"] == "A brown dog number 0 is barking at 2 little cats"
    rejected = datasets.load_dataset(str(release), "rejected", split="test", cache_dir=str(tmp_path / "hf"))
    assert rejected["reason"][:] == ["too short"]


def test_parabench_evaluates_it(release, tmp_path):
    from parabench.evaluate import evaluate

    benchmark = load(release)
    assert benchmark.gallery["captions"][0].as_py() == ["A brown dog number 0 barks at 2 small cats", "Pets."]
    run = evaluate("tfidf:", benchmark, out=tmp_path / "run", depth=10, n_resamples=50)
    assert run.result.tasks["paraphrase"].metrics["AO@10"].n == 20


def test_equal_ledgers_and_records_give_equal_bytes(release, tmp_path):
    with make_ledger(tmp_path / "again.ledger") as again:
        other = write_release(again, images_of(), tmp_path / "other", name="dogs", record=make_record())
    assert files_of(other) == files_of(release)


def test_croissant_is_valid_and_reads_the_rows(release, caplog):
    mlcroissant = pytest.importorskip("mlcroissant")
    caplog.set_level("WARNING")
    dataset = mlcroissant.Dataset(jsonld=release / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    assert caplog.records == []
    records = list(dataset.records("pairs_test"))
    assert len(records) == 20
    first = {name.removeprefix("pairs_test/"): value for name, value in records[0].items()}
    assert first["paraphrase"] == b"A brown dog number 0 is barking at 2 little cats" and first["pair_id"] == b"c0-lexical"
    assert {"rating", "similarity"} == {score["pairs_test/scores/name"].decode() for score in first["scores"]}
    gallery = next(iter(dataset.records("gallery_test")))
    assert gallery["gallery_test/captions"] == [b"A brown dog number 0 barks at 2 small cats", b"Pets."]
    raw = json.loads((release / "croissant.json").read_text())
    wanted = {"rai:dataCollection", "rai:dataBiases", "rai:dataLimitations", "rai:personalSensitiveInformation",
              "rai:annotationsPerItem", "rai:machineAnnotationTools", "rai:dataReleaseMaintenancePlan"}  # fmt: skip
    assert wanted <= raw.keys() and "No person has reviewed" in raw["rai:dataAnnotationProtocol"][1]


def test_the_card_has_what_the_hub_reads_and_what_people_ask(release):
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(release / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "cc-by-4.0" and data["language"] == ["en"] and data["size_categories"] == ["n<1K"]
    assert data["annotations_creators"] == ["machine-generated"]
    assert data["source_datasets"] and data["task_categories"] and data["multilinguality"] == ["monolingual"]
    assert [c["config_name"] for c in data["configs"]] == ["pairs", "gallery", "foils", "rejected"]
    text = card.text
    for part in ("| lexical | 20 |", "| written | 31 |", "| length | 30 | 1 |", "| too short | 1 |", "some-model@1", "lexical-v1",
                 "No person has reviewed", "plots/funnel.png", "1,000 in, 400 out", "min_ratio: 0.5", "CC BY 4.0",
                 "2405.03190"):  # fmt: skip
        assert part in text, part
    assert "````\nRewrite:\n```" in text  # a prompt that holds a fence cannot break out of its own
    for file in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (release / file).is_file()


def test_eval_yaml_names_tasks_of_configs_that_exist(release):
    said = yaml.safe_load((release / "eval.yaml").read_text())
    assert said["tasks"] == [{"id": "dogs", "config": "pairs", "split": "test"}]
    assert said["name"] == "dogs" and said["evaluation_framework"] == "parabench" and "AO@10" in said["description"]


def test_checksums_are_those_of_sha256sum(release):
    assert verify_checksums(release) == len(files_of(release)) - 1
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "CHECKSUMS"], cwd=release, check=True)
    (release / "VERSION").write_text("9.9.9\n")
    with pytest.raises(DataError, match=r"VERSION is not what CHECKSUMS says"):
        verify_checksums(release)
    (release / "VERSION").unlink()
    with pytest.raises(DataError, match="VERSION is missing"):
        verify_checksums(release)
    (release / "VERSION").write_text("1.0.0\n")
    (release / "extra.txt").write_text("x")
    with pytest.raises(DataError, match="not listed"):
        verify_checksums(release)


def test_reviews_decide_and_nothing_vanishes(ledger, tmp_path):
    reviews = ReviewTable(ledger)
    reviews.add("c0-lexical", "p1", "reject", reason="detail added")
    reviews.add("c0-foil", "p1", "reject", reason="still true")
    reviews.add("c1-lexical", "p1", "fix", text="One brown dog, number 1, barks at three tiny cats")
    reviews.add("c1-lexical", "p2", "accept")
    reviews.add("c2-lexical", "p1", "accept")
    folder = write_release(ledger, images_of(), tmp_path / "out", name="dogs", record=make_record())
    got = load(folder)
    pairs = {row["pair_id"]: row for row in got.pairs.to_pylist()}
    rejected = {(row["pair_id"], row["reason"]): row["paraphrase"] for row in got.rejected.to_pylist()}
    assert set(rejected) == {
        ("c0-lexical", "reviewers: detail added"), ("c0-foil", "reviewers: still true"), ("c1-lexical", "reviewers: reworded"),
        ("c0-free", "too short"),
    }  # fmt: skip
    assert "c0-lexical" not in pairs and pairs["c1-lexical"]["paraphrase"].startswith("One brown dog, number 1")
    assert pairs["c1-lexical"]["generator"] == "writer-1, reworded in review"
    scores = {score["name"]: score["value"] for score in pairs["c1-lexical"]["scores"]}
    assert scores["review_keep"] == 1 and scores["review_verdicts"] == 2
    sentences = {c.text for c in CandidateTable(ledger)}
    published = {row["paraphrase"] for row in [*pairs.values(), *got.rejected.to_pylist()]} | set(got.foils["foil"].to_pylist())
    assert sentences <= published
    card = (folder / "README.md").read_text()
    assert "2 annotators (pseudonyms) gave 5 verdicts on 4 sentences: 2 were rejected, 1 reworded" in card
    assert "| review by people | 28 | 2 |" in card and "crowdsourced" in card


def test_splits_become_files_and_tasks(ledger, tmp_path):
    from dataclasses import replace

    table = CandidateTable(ledger)
    rows = [replace(c, caption=replace(c.caption, split="val" if "c1-" in c.pair_id else "test")) for c in list(table)]
    table.replace(rows)
    folder = write_release(ledger, images_of(), tmp_path / "out", name="dogs", record=make_record())
    assert load(folder, split="val").pairs["pair_id"].to_pylist() == ["c1-lexical"]
    tasks = yaml.safe_load((folder / "eval.yaml").read_text())["tasks"]
    assert [task["split"] for task in tasks] == ["test", "val"] and len({task["id"] for task in tasks}) == 2


def test_another_annotation_file_is_refused(ledger, tmp_path):
    images = images_of()
    images[0]["captions"][0] = ("c0", "A brown dog number 0 barks at 2 small cats.")
    with pytest.raises(DataError, match=r"caption 'c0' is not the caption.*hashes differ"):
        write_release(ledger, images, tmp_path / "out", name="dogs", record=make_record())
    with pytest.raises(DataError, match=r"picture '142'.*not in the annotations"):
        write_release(ledger, images_of(3), tmp_path / "out", name="dogs", record=make_record())
    assert not (tmp_path / "out").exists()


def test_bad_requests_are_refused_before_anything_is_written(ledger, tmp_path):
    for changes, message in (({"version": "1"}, "no version"), ({"license": "mine"}, "unknown licence")):
        with pytest.raises(UsageError, match=message):
            write_release(ledger, images_of(), tmp_path / "out", name="dogs", record=make_record(), **changes)
    table = CandidateTable(ledger)
    table.replace([c.judged("bad", {}) for c in list(table)])
    with pytest.raises(DataError, match=r"no pair of .* was kept"):
        write_release(ledger, images_of(), tmp_path / "out", name="dogs", record=make_record())
    assert not (tmp_path / "out").exists()


def test_overwrite_replaces_releases_only(release, ledger):
    with pytest.raises(DataError, match="not empty"):
        write_release(ledger, images_of(), release, name="dogs", record=make_record())
    write_release(ledger, images_of(), release, name="dogs", record=make_record(), version="1.0.1", overwrite=True)
    assert (release / "VERSION").read_text() == "1.0.1\n" and verify_checksums(release)
    (release / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        write_release(ledger, images_of(), release, name="dogs", record=make_record(), overwrite=True)


def test_a_read_only_folder_and_a_full_disk_leave_the_old_release(release, ledger, monkeypatch):
    before = files_of(release)

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("parabench.build.release.write_croissant", full)  # half-way: the tables are written
        with pytest.raises(ParabenchError, match="no space left"):
            write_release(ledger, images_of(), release, name="dogs", record=make_record(), version="2.0.0", overwrite=True)
    assert files_of(release) == before and sorted(p.name for p in release.parent.glob("*release*")) == ["release"]
    if os.geteuid() != 0:  # root may write everywhere
        release.parent.chmod(0o500)
        with pytest.raises(ParabenchError, match="can't write"):
            write_release(ledger, images_of(), release, name="dogs", record=make_record(), overwrite=True)
        release.parent.chmod(0o700)


def test_rows_of_a_ledger_without_reviews(ledger):
    rows = release_rows(ledger, images_of())
    assert (rows.n_candidates, len(rows.pairs), len(rows.foils), len(rows.rejected)) == (31, 20, 10, 1)
    assert rows.review.verdicts == 0 and rows.labels["139"] == ("dog", "cat")
