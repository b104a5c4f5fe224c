"""Bad submissions: every one is refused with a reason, none crashes the validator, none reaches the page."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parabench.errors import DataError
from parabench.leaderboard.reference import References
from parabench.leaderboard.sandbox import Sandbox
from parabench.leaderboard.schema import slug
from parabench.leaderboard.site import build_site
from parabench.leaderboard.validate import Validator, find_submissions

SCRIPT = "<script>window.pwned=1</script>"
TEXTS = {
    "script": SCRIPT, "image": "<img src=x onerror=window.pwned=1>", "bidi": "abc\u202egnp.exe", "zero width": "mo\u200bdel", "control": "bell\x07",
    "newline": "two\nlines", "null": "a\x00b", "zalgo": "Z̸̧̢̛͓͓a", "private": "\ue000", "surrogate escape": "\ufeffx", "long": "x" * 3000, "blank": "   ",
}  # fmt: skip
FIELDS = ["model/name", "model/spec", "declared/license", "declared/training_data/0", "declared/authors/0", "declared/contact",
          "declared/links/code", "environment/command", "settings/gallery", "model/fingerprint", "dataset/name", "created"]  # fmt: skip


def verdict_of(tiny, folder, known=()):
    with Validator(References(tiny.references), known) as validator:
        return validator.validate(folder)[0]


def refused(tiny, folder, words="", known=()):
    verdict = verdict_of(tiny, folder, known)
    assert verdict.status == "refused", verdict
    assert verdict.faults
    assert all(fault.isprintable() and len(fault) < 600 for fault in verdict.faults)
    assert words in " ".join(verdict.faults), verdict.faults
    return verdict


def rewrite(entry, change, **options):
    """Change the rankings' table and make the JSON name the new file, as a careful cheat would."""
    path = entry.folder / "rankings.parquet"
    table = pq.read_table(path)
    columns = {name: table[name] for name in table.column_names}
    change(columns)
    pq.write_table(pa.table(columns), path, compression="zstd", **options)
    entry.edit("rankings/sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def lists(rows, kind=None):
    return pa.array(rows, pa.list_(kind or pa.int32()))


# -- rankings that were tampered with -------------------------------------------------------------------------------


def swap(columns):
    top = columns["top"].to_pylist()
    top[0], top[3] = top[3], top[0]
    columns["top"] = lists(top)


def reorder(columns):
    columns["top"] = lists([[row[0], *reversed(row[1:])] for row in columns["top"].to_pylist()])


def better(columns):
    """Every paraphrase gets the ranking of its caption: perfectly stable."""
    top = columns["top"].to_pylist()
    rank = columns["target_rank"].to_pylist()
    for row in range(96, 288):
        top[row], rank[row] = top[(row - 96) // 2], rank[(row - 96) // 2]
    columns["top"], columns["target_rank"] = lists(top), pa.array(rank, pa.uint32())


def all_first(columns):
    columns["target_rank"] = pa.array([1] * len(columns["query"]), pa.uint32())


def rank(value, kind=None):
    def change(columns):
        columns["target_rank"] = pa.array([value, *columns["target_rank"].to_pylist()[1:]], kind or pa.int32())

    return change


def first_position(value, kind=None):
    def change(columns):
        top = columns["top"].to_pylist()
        top[0][0] = value
        columns["top"] = lists(top, kind)

    return change


def repeat_picture(columns):
    top = columns["top"].to_pylist()
    top[5][1] = top[5][0]
    columns["top"] = lists(top)


def shorter(columns):
    columns["top"] = lists([row[:9] for row in columns["top"].to_pylist()])


def ragged(columns):
    top = columns["top"].to_pylist()
    top[7] = top[7][:-1]
    columns["top"] = lists(top)


def empty_lists(columns):
    columns["top"] = lists([[]] * len(columns["query"]))


def null_list(columns):
    columns["top"] = lists([None, *columns["top"].to_pylist()[1:]])


def null_query(columns):
    columns["query"] = pa.array([None, *columns["query"].to_pylist()[1:]], pa.uint32())


def drop_query(columns):
    for name in columns:
        columns[name] = columns[name].slice(1)


def duplicate_query(columns):
    columns["query"] = pa.array([1, *columns["query"].to_pylist()[1:]], pa.uint32())


def unknown_query(columns):
    columns["query"] = pa.array([100_000, *columns["query"].to_pylist()[1:]], pa.uint32())


def negative_query(columns):
    columns["query"] = pa.array([-1, *columns["query"].to_pylist()[1:]], pa.int32())


def swap_queries(columns):
    query = columns["query"].to_pylist()
    query[0], query[1] = query[1], query[0]
    columns["query"] = pa.array(query, pa.uint32())


def other_text(columns):
    columns["sha256"] = pa.array([b"\0" * 16, *columns["sha256"].to_pylist()[1:]], pa.binary(16))


def extra_column(columns):
    columns["scores"] = pa.array([0.5] * len(columns["query"]))


def pickle_column(columns):
    columns["__reduce__"] = pa.array([b"cos\nsystem\n(S'touch /tmp/pwned'\ntR."] * len(columns["query"]), pa.binary())


def missing_column(columns):
    del columns["target_rank"]


def floats(columns):
    columns["top"] = lists([[float(x) for x in row] for row in columns["top"].to_pylist()], pa.float64())


def nans(columns):
    columns["target_rank"] = pa.array([float("nan")] * len(columns["query"]))


def strings(columns):
    columns["query"] = pa.array([str(q) for q in columns["query"].to_pylist()])


def wide_hash(columns):
    columns["sha256"] = pa.array([own * 2 for own in columns["sha256"].to_pylist()], pa.binary(32))


def struct_column(columns):
    columns["top"] = pa.array([{"a": 1}] * len(columns["query"]))


def nested_lists(columns):
    columns["top"] = pa.array([[row] for row in columns["top"].to_pylist()], pa.list_(pa.list_(pa.int32())))


def many_rows(columns):
    for name in columns:
        columns[name] = pa.concat_arrays([columns[name].combine_chunks()] * 50)


def foil_again(columns):
    columns["again"] = pa.array([True] + [False] * (len(columns["query"]) - 1))


def caption_rank_of_foils(columns):
    columns["caption_rank"] = pa.array([1] * len(columns["query"]), pa.uint32())


def two_caption_ranks(columns):
    ranks = columns["caption_rank"].to_pylist()
    ranks[0] = ranks[0] % 90 + 1
    columns["caption_rank"] = pa.array(ranks, pa.uint32())


def small_gallery(size):
    def change(columns):
        columns[f"top_in_{size}"] = lists([list(range(10))] * len(columns["query"]))

    return change


def many_galleries(columns):
    for size in range(11, 40):
        columns[f"top_in_{size}"] = lists([list(range(10))] * len(columns["query"]))


TAMPERED = {
    "two rankings swapped": (swap, ""), "rankings reordered": (reorder, ""), "paraphrases given their caption's ranking": (better, ""),
    "all ranks first": (all_first, "its rank is given as 1"), "rank 0": (rank(0), "rank"), "negative rank": (rank(-5), "rank"), "rank beyond the gallery": (rank(4_000_000), "rank"),
    "negative position": (first_position(-1), "gallery position -1"), "position beyond the gallery": (first_position(48), "gallery position 48"),
    "huge position": (first_position(2**31 - 1), "gallery position"), "a picture twice": (repeat_picture, "twice"), "too shallow": (shorter, "deep"),
    "ragged lists": (ragged, "one length"), "empty lists": (empty_lists, ""), "a null list": (null_list, ""), "a null query": (null_query, "null"),
    "a missing query": (drop_query, "missing"), "a query twice": (duplicate_query, ""), "an unknown query": (unknown_query, "not one of"), "a negative query": (negative_query, "not one of"),
    "queries swapped": (swap_queries, "other texts"), "another text": (other_text, "other texts"), "a surprising column": (extra_column, "surprising column 'scores'"),
    "a pickle": (pickle_column, "surprising column"), "a missing column": (missing_column, "no column 'target_rank'"), "floats for positions": (floats, "type"), "NaN": (nans, "type"),
    "texts for numbers": (strings, "type"), "hashes of another length": (wide_hash, "type"), "structs": (struct_column, "type"), "lists of lists": (nested_lists, "type"),
    "fifty times the rows": (many_rows, "rows"), "a first query marked as asked again": (foil_again, "twice"), "image → text ranks of all rows": (caption_rank_of_foils, "belong to captions"),
    "two image → text ranks of one picture": (two_caption_ranks, "two image"), "a smaller gallery as large as the whole": (small_gallery(48), "smaller"),
    "a smaller gallery of foils": (small_gallery(20), "captions and paraphrases only"), "too many galleries": (many_galleries, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_rankings(tiny, entry, name):
    change, words = TAMPERED[name]
    rewrite(entry, change)
    refused(tiny, entry.folder, words)


def test_rankings_that_were_changed_without_the_json(tiny, entry):
    sha = json.loads((entry.folder / "submission.json").read_text())["rankings"]["sha256"]
    rewrite(entry, swap)
    entry.edit("rankings/sha256", sha)
    refused(tiny, entry.folder, "is not the file")


# -- files -----------------------------------------------------------------------------------------------------------


def named(entry):
    entry.edit("rankings/sha256", hashlib.sha256((entry.folder / "rankings.parquet").read_bytes()).hexdigest())


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_truncated_parquet(tiny, entry, keep):
    path = entry.folder / "rankings.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    named(entry)
    refused(tiny, entry.folder)


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_never_crash_and_never_pass(tiny, entry, seed):
    path = entry.folder / "rankings.parquet"
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(4, len(data), 40):
        data[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))
    named(entry)
    refused(tiny, entry.folder)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + b"\0" * 100, b"PAR1" + b"\xff" * 5000 + b"PAR1", b"\x80\x04\x95cposix\nsystem\n", b"ARROW1\0\0", b"{}"])
def test_other_files_under_the_parquets_name(tiny, entry, data):
    (entry.folder / "rankings.parquet").write_bytes(data)
    named(entry)
    refused(tiny, entry.folder)


def test_parquet_bomb(tiny, entry):
    """A few kilobytes that unpack to ten million positions."""
    n = len(pq.read_table(entry.folder / "rankings.parquet"))
    long = pa.array([[7] * 20_000] * n, pa.list_(pa.int32()))
    rewrite(entry, lambda columns: columns.update(top=long))
    assert (entry.folder / "rankings.parquet").stat().st_size < 3_000_000
    refused(tiny, entry.folder)


def test_compression_bomb(tiny, entry):
    """Lists that fit the rows' number and unpack a thousandfold, under the cap of the file's size."""
    n = len(pq.read_table(entry.folder / "rankings.parquet"))
    zeros = pa.array([b"\0" * 1_000_000] * n, pa.binary())
    rewrite(entry, lambda columns: columns.update(sha256=zeros), compression_level=19, use_dictionary=False)
    refused(tiny, entry.folder)


def test_a_reader_that_dies_or_hangs_is_a_refusal(tiny, entry):
    rows, images = 480, 48
    starved = Sandbox(memory=200 << 20)  # less than the reader itself needs
    with starved, pytest.raises(DataError, match=r"broke the reader|memory|read"):
        starved.read(entry.folder / "rankings.parquet", rows, images)
    with Sandbox(seconds=0.001) as hurried, pytest.raises(DataError, match="broke the reader"):
        hurried.read(entry.folder / "rankings.parquet", rows, images)


def test_oversized_files_are_not_read(tiny, entry):
    for name, size in (("rankings.parquet", 3_000_001), ("submission.json", 65_537)):
        path = entry.folder / name
        held = path.read_bytes()
        with path.open("wb") as stream:
            stream.truncate(size)
        refused(tiny, entry.folder, "bytes")
        path.write_bytes(held)


def test_links(tiny, entry, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name in ("submission.json", "rankings.parquet"):
        held = (entry.folder / name).read_bytes()
        (entry.folder / name).unlink()
        (entry.folder / name).symlink_to(secret)
        assert "secret'" not in str(refused(tiny, entry.folder, "regular file"))
        (entry.folder / name).unlink()
        (entry.folder / name).write_bytes(held)
    linked = tmp_path / "x--tiny"
    linked.symlink_to(entry.folder)
    refused(tiny, linked, "not a folder")
    hard = entry.folder / "rankings.parquet"
    hard.unlink()
    os.mkfifo(hard)
    refused(tiny, entry.folder, "regular file")


@pytest.mark.parametrize("name", ["extra.txt", "rankings.pkl", ".hidden", "submission.json.bak", "a\nb", "model.py"])
def test_extra_files(tiny, entry, name):
    (entry.folder / name).write_text("import os")
    refused(tiny, entry.folder, "does not belong")


def test_extra_folders_and_missing_files(tiny, entry):
    (entry.folder / "deep").mkdir()
    refused(tiny, entry.folder, "does not belong")
    (entry.folder / "deep").rmdir()
    (entry.folder / "rankings.parquet").rename(entry.folder.parent / "elsewhere")
    refused(tiny, entry.folder, "missing")


def test_an_archive_is_not_a_submission(tiny, entry, tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("../../etc/passwd", b"\0" * 10_000_000)
    refused(tiny, archive, "not a folder")
    refused(tiny, find_submissions([archive])[0], "not a folder")


def test_a_folder_of_another_name(tiny, entry):
    for name in ("..good-model--tiny", "other--tiny", "good-model--scenes"):
        moved = entry.folder.with_name(name)
        shutil.copytree(entry.folder, moved)
        refused(tiny, moved, "must be called 'good-model--tiny'")


# -- what the JSON says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", ["script", "image", "bidi", "control", "long"])
def test_hostile_texts_in_every_field(tiny, entry, field, kind):
    entry.edit(field, TEXTS[kind])
    refused(tiny, entry.folder)


@pytest.mark.parametrize("kind", TEXTS)
def test_hostile_names(tiny, entry, kind):
    entry.edit("model/name", TEXTS[kind])
    refused(tiny, entry.folder)


@pytest.mark.parametrize("where", ["declared/notes", "environment/versions", "settings/metrics", "model/resolved"])
def test_hostile_texts_deep_inside(tiny, entry, where):
    entry.edit(where, SCRIPT if where == "declared/notes" else {"a": [{"b": SCRIPT}]})
    refused(tiny, entry.folder, "markup")
    entry.edit(where, "fine" if where == "declared/notes" else {SCRIPT: 1})
    refused(tiny, entry.folder, "markup") if where != "declared/notes" else None


@pytest.mark.parametrize("link", ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "http://example.org", "https://", "https://a b", "//evil.example", "https://exämple.org", "https://x.org/\"onmouseover=\"x", "file:///etc/passwd"])
def test_links_that_are_not_https(tiny, entry, link):
    entry.edit("declared/links/code", link)
    refused(tiny, entry.folder)


@pytest.mark.parametrize("name", ["Gооd Model", "Good\u00a0Model", "Ｇood Model", "Good Мodel", "𝐆ood Model"])
def test_names_in_letters_that_look_like_others(tiny, entry, name):
    entry.edit("model/name", name)
    refused(tiny, entry.folder, "U+")


@pytest.mark.parametrize("name", ["Go0d Model", "Good M0de1", "GoodModel", "GOOD.MODEL", "Good ModeI", "G00D/model", "Good Mo del"])
def test_names_that_read_like_anothers(tiny, entry, standing, tmp_path, name):
    entry.edit("model/name", name)
    entry.edit("model/fingerprint", "another-model")
    moved = tmp_path / f"{slug(name)}--tiny"
    if moved != entry.folder:
        entry.folder.rename(moved)
    refused(tiny, moved, "reads like 'Good Model'", known=find_submissions([standing]))


def test_the_same_model_twice(tiny, entry, standing, tmp_path):
    entry.edit("model/name", "Entirely Different")
    moved = tmp_path / "entirely-different--tiny"
    entry.folder.rename(moved)
    refused(tiny, moved, "stands there already as 'good-model--tiny'", known=find_submissions([standing]))


WRONG = {
    "not JSON": b"{", "an array": b"[1]", "null": b"null", "empty": b"", "binary": b"\xff\xfe\x00", "deep": b"[" * 60_000, "NaN": b'{"schema_version": NaN}',
    "a huge number": b'{"schema_version": ' + b"9" * 5000 + b"}", "version as text": b'{"schema_version": "1"}', "version true": b'{"schema_version": true}',
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_broken_json(tiny, entry, name):
    (entry.folder / "submission.json").write_bytes(WRONG[name])
    refused(tiny, entry.folder)


CLAIMS = {
    "a better AO": ("numbers/paraphrase/AO@10/value", 0.99), "a narrower interval": ("numbers/paraphrase/AO@10/ci_low", 0.5), "no interval": ("numbers/paraphrase/AO@10/ci_high", None),
    "infinite": ("numbers/paraphrase/AO@10/value", 1e400), "text for a number": ("numbers/paraphrase/AO@10/value", "0.5"), "an invented metric": ("numbers/paraphrase/Win@1", {"value": 1.0}),
    "no numbers": ("numbers", {}), "an unknown field": ("model/rank", 1), "another dataset": ("dataset/name", "scenes"), "an unknown dataset": ("dataset/name", "imagenet"), "a path for a dataset": ("dataset/name", "../../etc"),
    "another set's queries": ("dataset/queries_sha256", "0" * 64), "another gallery": ("dataset/gallery_sha256", "f" * 64), "another version": ("dataset/fingerprint", "a" * 64), "a split": ("dataset/split", "test"),
    "a depth that is not": ("rankings/depth", 19), "a depth beyond": ("rankings/depth", 10**9), "no day": ("created", "2026-02-31"), "no author": ("declared/authors", []), "no training data": ("declared/training_data", []),
    "a thousand authors": ("declared/authors", ["x"] * 1000), "contamination undeclared": ("declared/paraphrases_of_test_captions", "maybe"), "negative size": ("model/n_parameters", -1), "the wrong track": ("model/track", "caption-gallery"),
    "an unknown track": ("model/track", "oracle"), "many values": ("settings", {f"k{i}": i for i in range(3000)}), "NaN inside": ("settings", {"seed": float("nan")}), "deeply nested": ("settings", {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(tiny, entry, name):
    entry.edit(*CLAIMS[name])
    refused(tiny, entry.folder)


def test_oddities_are_flagged_for_a_person(tiny, standing, entry, tmp_path):
    with Validator(References(tiny.references)) as validator:
        verdicts = {folder.name: validator.validate(folder)[0] for folder in find_submissions([standing])}
    constant = " ".join(verdicts["constant--tiny"].flags)
    for words in ("AO@10 = 1.0000", "do not depend on the query", "at chance"):
        assert words in constant
    assert verdicts["good-model--tiny"].status == "accepted"
    assert any("at chance" in flag for flag in verdicts["random--tiny"].flags)
    entry.edit("model/name", "Copy Cat")
    entry.edit("model/fingerprint", "copy")
    moved = tmp_path / "copy-cat--tiny"
    entry.folder.rename(moved)
    copy = verdict_of(tiny, moved, find_submissions([standing]))
    assert copy.status == "flagged"
    assert "identical" in " ".join(copy.flags)


def test_contamination_is_flagged(tiny, entry):
    entry.edit("declared/paraphrases_of_test_captions", "yes")
    verdict = verdict_of(tiny, entry.folder)
    assert verdict.status == "flagged"
    assert "paraphrases of the test captions in training: yes" in verdict.flags


def test_what_is_refused_is_left_out_of_the_site(tiny, standing, tmp_path):
    submissions = tmp_path / "submissions"
    shutil.copytree(standing, submissions)
    bad = json.loads((submissions / "good-model--tiny" / "submission.json").read_text())
    bad["model"]["name"] = SCRIPT
    (submissions / "good-model--tiny" / "submission.json").write_text(json.dumps(bad))
    (submissions / "broken--tiny").mkdir()
    (submissions / "evil--tiny").symlink_to("/etc")
    (submissions / "stray.html").write_text(SCRIPT)
    built = build_site(submissions, tmp_path / "site", References(tiny.references))
    assert {verdict.entry for verdict in built.refused} == {"good-model--tiny", "broken--tiny", "evil--tiny", "stray.html"}
    assert built.n_entries == 6
    assert not any("window.pwned" in path.read_text(errors="replace") for path in (tmp_path / "site").rglob("*.html"))
