"""Own files: what loads, and the one line that every mistake gets."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parabench.data import load
from parabench.errors import DataError, UsageError

GOOD = [
    {"image_id": 10, "caption": "A cat, asleep", "paraphrase": "A sleeping cat", "kind": "lexical", "foil": "A dog, asleep"},
    {"image_id": 10, "caption": "A cat, asleep", "paraphrase": "There is a cat sleeping", "kind": "syntactic", "foil": "A dog, asleep"},
    {"image_id": 9, "caption": "Ein Boot — blau", "paraphrase": "Ein blaues Boot", "kind": None, "foil": None},
]


def write(path, rows=GOOD):
    if path.suffix == ".csv":
        import csv

        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_benchmark(tmp_path, suffix):
    benchmark = load(write(tmp_path / f"pairs{suffix}"))
    assert benchmark.image_ids == ["9", "10"], "integer ids keep their natural order"
    assert benchmark.pairs["paraphrase"].to_pylist() == [row["paraphrase"] for row in GOOD]
    assert benchmark.foils["foil"].to_pylist() == ["A dog, asleep"], "a foil belongs to a caption, not to a pair"
    assert benchmark.gallery["captions"].to_pylist() == [["Ein Boot — blau"], ["A cat, asleep"]]
    reference = load(write(tmp_path / "reference.jsonl"))
    assert benchmark.fingerprint == reference.fingerprint


def test_byte_order_mark_and_extra_numbers(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("image_id,caption,paraphrase,rating\na,One,Two,4.5\n", encoding="utf-8-sig")
    assert load(path).pairs["scores"].to_pylist() == [[{"name": "rating", "value": 4.5}]]


CASES = {
    "missing column": ("image_id,caption,paraphrse\n1,a,b\n", "no column 'paraphrase'.*'paraphrse'"),
    "empty text": ("image_id,caption,paraphrase\n1,a,b\n2,  ,c\n", "line 3: the caption is empty"),
    "nan": ("image_id,caption,paraphrase\n1,nan,b\n", "line 2: the caption is NaN"),
    "no id": ("image_id,caption,paraphrase\n,a,b\n", "line 2: the image_id is empty"),
    "duplicate id": ("pair_id,image_id,caption,paraphrase\np,1,a,b\np,1,a,c\n", "line 3: pair_id 'p'.*line 2"),
    "duplicate pair": ("image_id,caption,paraphrase\n1,a,b\n1,a,b\n", "line 3: the same caption and paraphrase"),
    "ragged": ("image_id,caption,paraphrase\n1,a,b,c\n", "line 2: 4 fields where the header has 3"),
    "no rows": ("image_id,caption,paraphrase\n", "no rows"),
}


@pytest.mark.parametrize("name", CASES)
def test_mistakes_in_a_pairs_file(tmp_path, name):
    text, message = CASES[name]
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value) and "pairs.csv" in str(caught.value)


def test_wrong_encoding_names_the_line(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("image_id,caption,paraphrase\n1,a,b\n2,café,c\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3: not UTF-8.*iconv"):
        load(path)


def test_gallery_mistakes(tmp_path):
    pairs = write(tmp_path / "pairs.csv")
    gallery = tmp_path / "gallery.csv"
    gallery.write_text("image_id,file_name\n10,a.jpg\n")
    with pytest.raises(DataError, match="line 4: image_id '9' is not in the gallery"):
        load(pairs, gallery=gallery)
    gallery.write_text("image_id,file_name\n9,b.jpg\n10,a.jpg\n9,c.jpg\n")
    with pytest.raises(DataError, match="line 4: image_id '9' stands twice"):
        load(pairs, gallery=gallery)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("scnes", UsageError, "did you mean 'scenes'"), ("nowhere/pairs.csv", DataError, "no such file"),
     ("coco-cxc?min=3", UsageError, "no option 'min'"), ("coco-cxc?min_rating=x", UsageError, "not a rating")],
)  # fmt: skip
def test_unknown_names(name, error, message):
    with pytest.raises(error, match=message):
        load(name)


def test_unknown_split(tmp_path):
    with pytest.raises(DataError, match="no split 'test'"):
        load(write(tmp_path / "pairs.csv"), split="test")
