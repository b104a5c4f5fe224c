"""Somebody's own pairs: every form gives the same benchmark, every mistake is named with its line."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parabench.data import load
from parabench.errors import DataError

ROWS = [
    {"image_id": "2", "caption": "two boats", "paraphrase": "a pair of boats", "human": 4.5},
    {"image_id": "10", "caption": "a red kite", "paraphrase": "a kite that is red", "human": 5.0},
    {"image_id": "10", "caption": "a red kite", "paraphrase": "a scarlet kite", "human": 3.0},
]


def write(path, rows):
    """Write rows in the form that the extension names."""
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as stream:
            columns = list(dict.fromkeys(key for row in rows for key in row))
            writer = csv.DictWriter(stream, columns, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def refusal(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.remedy
    return message


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_form_gives_the_same_benchmark(tmp_path, suffix):
    expected = load(write(tmp_path / "expected.csv", ROWS))
    got = load(write(tmp_path / f"pairs{suffix}", ROWS))
    assert got.fingerprint == expected.fingerprint
    assert got.pairs.equals(expected.pairs)
    assert got.image_ids == ["2", "10"]
    assert got.gallery["captions"].to_pylist() == [["two boats"], ["a red kite"]]
    assert got.pairs["scores"].to_pylist()[0] == [{"name": "human", "value": 4.5}]
    assert "3 pairs" in got.provenance


def test_derived_ids_depend_on_the_texts_only(tmp_path):
    there = load(write(tmp_path / "a.csv", ROWS)).pairs
    back = load(write(tmp_path / "b.csv", ROWS[::-1])).pairs
    assert sorted(there["pair_id"].to_pylist()) == sorted(back["pair_id"].to_pylist())
    assert there["caption_id"].to_pylist()[1] == there["caption_id"].to_pylist()[2]


@pytest.mark.parametrize("ids", [[7, 12], [7.0, 12.0], ["7", "12"]])
def test_ids_become_text_and_keep_numeric_order(tmp_path, ids):
    rows = [{**row, "image_id": image_id} for row, image_id in zip(ROWS, [ids[1], ids[0]], strict=False)]
    for suffix in (".csv", ".jsonl", ".parquet"):
        assert load(write(tmp_path / f"ids{suffix}", rows)).image_ids == ["7", "12"]


@pytest.mark.parametrize("bad", [1.5, 2.0**60, None, float("nan"), True])
def test_ids_that_are_no_ids_are_refused(tmp_path, bad):
    assert "line 1" in refusal(write(tmp_path / "p.jsonl", [{**ROWS[0], "image_id": bad}]))


def test_foils_are_split_off_and_belong_to_their_caption(tmp_path):
    rows = [
        {**ROWS[1], "foil": "a blue kite"},
        {**ROWS[2], "foil": "a blue kite"},
        {**ROWS[2], "foil": "a red boat"},
        {**ROWS[0], "paraphrase": "  ", "foil": "three boats"},
    ]
    got = load(write(tmp_path / "p.csv", rows))
    assert got.pairs["paraphrase"].to_pylist() == ["a kite that is red", "a scarlet kite"]
    assert got.foils["foil"].to_pylist() == ["a blue kite", "a red boat", "three boats"]
    assert got.image_ids == ["2", "10"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("p.csv", "image_id;caption;paraphrase\n1;a dog, brown;one dog\n", "line 1: the columns are separated by semicolons, not by commas"),
     ("p.csv", "image_id\tcaption\tparaphrase\n1\ta\tb\n", "by tabs, not by commas"), ("p.tsv", "image_id,caption,paraphrase\n1,a,b\n", "by commas, not by tabs"),
     ("p.csv", "Image,caption,paraphrase\n1,a,b\n", "rename 'Image' to 'image_id'"),
     ("p.csv", "key,caption,paraphrase\n1,a,b\n", "no column 'image_id' (columns: key, caption, paraphrase) → call the column that holds it 'image_id'")],
)  # fmt: skip
def test_a_header_that_does_not_fit_says_how_to_mend_it(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    assert message in refusal(tmp_path / name)


def test_repeated_pairs_are_refused(tmp_path):
    message = refusal(write(tmp_path / "p.csv", [ROWS[0], ROWS[1], ROWS[0]]))
    assert "line 4" in message and "line 2" in message
    same_id = [{**row, "pair_id": "x"} for row in ROWS]
    assert "pair_id 'x'" in refusal(write(tmp_path / "q.csv", same_id))


def test_a_caption_id_names_one_caption(tmp_path):
    rows = [{**ROWS[0], "caption_id": "c"}, {**ROWS[1], "caption_id": "c"}]
    assert "caption_id 'c'" in refusal(write(tmp_path / "p.csv", rows))


@pytest.mark.parametrize("column", ["caption", "paraphrase"])
@pytest.mark.parametrize("bad", ["", "  \t", None, float("nan"), 5, ["a"], "\ud800"])
def test_texts_that_are_no_texts_are_refused(tmp_path, column, bad):
    message = refusal(write(tmp_path / "p.jsonl", [ROWS[0], {**ROWS[1], column: bad}]))
    assert "line 2" in message and column in message


def test_nan_in_parquet_is_refused_with_its_row(tmp_path):
    message = refusal(write(tmp_path / "p.parquet", [ROWS[0], {**ROWS[1], "paraphrase": None}]))
    assert "row 2" in message and "paraphrase" in message


def test_a_missing_column_names_the_near_one(tmp_path):
    rows = [{"image_id": 1, "caption": "a", "paraphrases": "b"}]
    message = refusal(write(tmp_path / "p.csv", rows))
    assert "'paraphrase'" in message and "'paraphrases'" in message


def test_wrong_encodings_are_named_with_offset_and_line(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"image_id,caption,paraphrase\n1,a caf\xe9,b\n")
    message = refusal(path)
    assert "line 2" in message and "offset 35" in message and "iconv" in message
    path.write_bytes("image_id,caption,paraphrase\n1,a,b\n".encode("utf-16"))
    assert "-f UTF-16 " in refusal(path)
    path.write_bytes("image_id,caption,paraphrase\n1,a,b\n".encode("utf-32"))
    assert "-f UTF-32 " in refusal(path)
    path.write_bytes(gzip.compress(b"image_id,caption,paraphrase\n1,a,b\n"))
    assert "gzip file: unpack" in refusal(path) and "iconv" not in refusal(path)


def test_one_pair_under_two_ids_counts_twice_and_is_said(tmp_path, capsys):
    rows = [{**ROWS[0], "pair_id": "a"}, {**ROWS[1], "pair_id": "b"}, {**ROWS[0], "pair_id": "c"}]
    assert load(write(tmp_path / "p.csv", rows)).pairs.num_rows == 3
    assert "1 pairs repeat the caption and paraphrase of another" in (said := capsys.readouterr().err) and "line 4" in said


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes("image_id,caption,paraphrase\r\n1,un café,b\r\n".encode("utf-8-sig"))
    assert load(path).pairs["caption"].to_pylist() == ["un café"]


def test_quoted_line_breaks_and_unicode_separators_stay_in_the_text(tmp_path):
    odd = 'first\nsecond\u2028third, "quoted" \x85 end'
    path = write(tmp_path / "p.csv", [{**ROWS[0], "caption": odd}, {**ROWS[1], "paraphrase": " "}])
    assert "line 4" in refusal(path)
    path = write(tmp_path / "q.csv", [{**ROWS[0], "caption": odd}])
    assert load(path).pairs["caption"].to_pylist() == [odd]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", b"", "empty"),
        ("p.csv", b"image_id,caption,paraphrase\n", "no rows"),
        ("p.csv", b"image_id,caption,paraphrase\n1,a,b\n2,a,b,c\n", "line 3"),
        ("p.csv", b'image_id,caption,paraphrase\n1,"a"x,b\n', "line 2"),
        ("p.csv", b"image_id,caption,caption,paraphrase\n1,a,b,c\n", "twice"),
        ("p.jsonl", b'{"image_id": 1, "caption": "a", "paraphrase": "b"}\n{"image_id": 1,\n', "line 2"),
        ("p.jsonl", b"[1]\n", "line 1"),
        ("p.json", b'{"a": 1}', "list"),
        ("p.json", b"[" * 100_000, "JSON"),
        ("p.parquet", b"PAR1 nothing", "parquet"),
        ("p.xlsx", b"PK", ".xlsx"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    assert said in refusal(path)


def test_missing_files_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.csv")
    pairs = write(tmp_path / "p.csv", ROWS)
    assert "absent.csv" in refusal(pairs, gallery=tmp_path / "absent.csv")


def test_a_gallery_file_names_what_is_searched(tmp_path):
    pairs = write(tmp_path / "pairs.csv", ROWS)
    gallery = write(
        tmp_path / "gallery.csv",
        [
            {
                "image_id": "10",
                "file_name": "k.jpg",
                "captions": '["a red kite", "kite | sky"]',
                "width": "640.0",
            },
            {"image_id": "2", "file_name": "b.jpg", "captions": "two boats|boats", "width": ""},
            {"image_id": "3", "file_name": "c.jpg", "captions": "", "width": "1"},
        ],
    )
    got = load(pairs, gallery=gallery)
    assert got.image_ids == ["2", "3", "10"]
    assert got.gallery["captions"].to_pylist() == [["two boats", "boats"], None, ["a red kite", "kite | sky"]]
    assert got.gallery["width"].to_pylist() == [None, 1, 640]


def test_an_image_outside_the_gallery_and_a_repeated_one_are_refused(tmp_path):
    pairs = write(tmp_path / "pairs.csv", ROWS)
    message = refusal(pairs, gallery=write(tmp_path / "g.jsonl", [{"image_id": 2}]))
    assert "line 3" in message and "'10'" in message
    message = refusal(pairs, gallery=write(tmp_path / "h.csv", [{"image_id": "2"}, {"image_id": "2.0"}]))
    assert "twice" in message and "line 3" in message


@pytest.mark.parametrize(
    "bad", [{"width": "wide"}, {"width": -1}, {"captions": 7}, {"captions": "[1"}, {"height": 1e300}]
)
def test_gallery_cells_that_make_no_sense_are_refused(tmp_path, bad):
    pairs = write(tmp_path / "pairs.csv", ROWS[:1])
    assert "line 1" in refusal(pairs, gallery=write(tmp_path / "g.jsonl", [{"image_id": 2, **bad}]))


def test_columns_that_are_neither_known_nor_numbers_are_said_to_be_ignored(tmp_path, capsys):
    got = load(write(tmp_path / "p.csv", [{**ROWS[0], "remark": "good"}]))
    assert "remark" in capsys.readouterr().err
    assert [score["name"] for score in got.pairs["scores"].to_pylist()[0]] == ["human"]
