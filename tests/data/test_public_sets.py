"""The public sets, from the real files where they are, and what is said where they are not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from parabench.data import ImageStore, load
from parabench.data.catalog import CATALOG
from parabench.data.coco import read_karpathy, read_official
from parabench.errors import DataError


def counts(table, column="kind"):
    return dict(Counter(table[column].to_pylist()))


def test_coco_paraphrase_has_the_known_figures(shared_data, capsys):
    got = load("coco-paraphrase")
    assert capsys.readouterr().out == ""
    assert got.pairs.num_rows + got.foils.num_rows + got.rejected.num_rows == 15_000
    stated = next(entry for entry in CATALOG if entry.name == "coco-paraphrase").size
    assert stated == f"{got.pairs.num_rows:,} pairs, {got.foils.num_rows:,} foils, {got.gallery.num_rows:,} pictures"
    assert counts(got.pairs).keys() == {"lexical", "syntactic"}
    assert all(got.rejected["reason"].to_pylist())
    own = dict(zip(got.image_ids, got.gallery["captions"].to_pylist(), strict=True))
    for row in got.pairs.slice(0, 50).to_pylist():
        assert row["caption"] in own[row["image_id"]]
    assert got.image_ids == sorted(got.image_ids, key=int)
    row = got.gallery.slice(0, 1).to_pylist()[0]
    assert row["url"].startswith("http") and row["license"] and row["width"] > 0
    assert str(shared_data) in got.provenance


def test_coco_pictures_are_found_in_either_folder(shared_data):
    missing = ImageStore(load("coco-paraphrase")).missing()
    assert len(missing) == 5000 - 404
    for folder in ("images", "images/val2017"):
        store = ImageStore(load("coco-paraphrase", images=[shared_data / "coco" / folder]))
        assert store.missing() == missing


def test_another_annotation_file_is_refused(shared_data, tmp_path):
    path = tmp_path / "captions_val2017.json"
    official = json.loads((shared_data / "coco" / path.name).read_text())
    for annotation in official["annotations"]:
        annotation["caption"] += "!"
    path.write_text(json.dumps(official))
    with pytest.raises(DataError, match="not the caption that was rewritten"):
        load("coco-paraphrase", annotations=path)


def test_coco_cxc_keeps_what_people_rated_alike(shared_data):
    got, strict = load("coco-cxc"), load("coco-cxc?min_rating=4.5")
    ratings = [row[0]["value"] for row in got.pairs["scores"].to_pylist()]
    assert min(ratings) >= 4 and got.gallery.num_rows == 5000
    assert strict.pairs.num_rows == sum(rating >= 4.5 for rating in ratings)
    assert set(counts(got.pairs)) == {"same-image", "cross-image"}
    assert {len(own) for own in got.gallery["captions"].to_pylist()} == {5}


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "holds no entries"), ("null", "holds no entries"), ("5", "holds no entries"), ("[" * 100_000, "can't read"), ("[null]", "entry 0: lacks"),
     *((json.dumps([{"filename": "1.jpg", "caption": "a", "caption2": "b", "negative_caption": "c"} | wrong]), "entry 0: a text is empty or no text")
       for wrong in ({"caption": " "}, {"caption2": None}, {"filename": 7}, {"negative_caption": ["x"]}))],
)  # fmt: skip
def test_sugarcrepe_pp_refuses_entries_that_are_none(tmp_path, content, message):
    (tmp_path / "sugarcrepe_pp").mkdir()
    (tmp_path / "sugarcrepe_pp" / "swap_obj.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load("sugarcrepe-pp", annotations=tmp_path)


@pytest.mark.parametrize("content", ["[null]", '[{"image": "1.jpg", "caption": "hello"}]', '[{"image": "1.jpg", "caption": [7]}]',
                                     '{"images": [null]}', "[" * 100_000])  # fmt: skip
def test_coco_karpathy_refuses_what_is_no_split(tmp_path, content):
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "coco_karpathy_val.json").write_text(content)
    with pytest.raises(DataError, match="is not a Karpathy split"):
        load("coco-karpathy?split=val", annotations=tmp_path)


def test_coco_karpathy_refuses_ids_that_end_too_early(shared_data, tmp_path):
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "coco_karpathy_val.json").symlink_to(shared_data / "coco" / "coco_karpathy_val.json")
    (tmp_path / "coco" / "coco_karpathy_val_caption_ids.npy").write_bytes(b"")
    (tmp_path / "cxc").symlink_to(shared_data / "cxc")
    with pytest.raises(DataError, match=r"is not a .npy file of caption ids"):
        load("coco-cxc", annotations=tmp_path)


def test_coco_cxc_refuses_a_rating_that_is_none(shared_data, tmp_path):
    (tmp_path / "cxc").mkdir()
    (tmp_path / "coco").symlink_to(shared_data / "coco")
    header, first, *_ = (shared_data / "cxc" / "sts_val.csv").read_text().splitlines()
    rating = first.split(",")[2]
    for wrong in ("nan", "7", "-1"):
        (tmp_path / "cxc" / "sts_val.csv").write_text(f"{header}\n{first.replace(f',{rating},', f',{wrong},')}\n")
        with pytest.raises(DataError, match="line 2: not caption1, caption2 and agg_score"):
            load("coco-cxc", annotations=tmp_path)


def test_coco_cxc_reads_the_original_karpathy_file_too(shared_data, tmp_path):
    ids = np.load(shared_data / "coco" / "coco_karpathy_val_caption_ids.npy").reshape(-1, 5)
    short = read_karpathy(shared_data / "coco" / "coco_karpathy_val.json")
    images = [
        {
            "filepath": "val2014", "filename": image["file_name"].split("/")[1], "split": "val",
            "cocoid": int(image["image_id"]),
            "sentences": [
                {"raw": text, "sentid": int(key)}
                for (_, text), key in zip(image["captions"], keys, strict=False)
            ],
        }
        for image, keys in zip(short, ids, strict=True)
    ]  # fmt: skip
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
    assert load("coco-cxc", annotations=tmp_path).fingerprint == load("coco-cxc").fingerprint


def test_sugarcrepe_pp_has_pairs_and_foils_of_each_subset(shared_data):
    got = load("sugarcrepe-pp")
    kinds = {"replace_obj", "replace_rel", "replace_att"}
    assert set(counts(got.pairs)) == kinds == set(counts(got.foils))
    assert got.gallery.num_rows == 973
    assert 3700 < got.pairs.num_rows <= 3846


def test_flickr8k_has_the_known_figures(shared_data):
    got = load("flickr8k", split="test")
    assert counts(got.pairs) == {"lexical": 484, "syntactic": 472}
    assert (got.foils.num_rows, got.gallery.num_rows) == (493, 1091)
    assert load("flickr8k", split="train").pairs.num_rows == 2 * 991
    assert ImageStore(got).missing() == []
    assert {len(own) for own in got.gallery["captions"].to_pylist()} == {5}


def test_the_fingerprint_does_not_depend_on_where_files_lie(shared_data, tmp_path, monkeypatch):
    expected = load("flickr8k").fingerprint
    (tmp_path / "Flickr8k.token.txt").write_bytes(
        (shared_data / "flickr8k" / "Flickr8k.token.txt").read_bytes()
    )
    monkeypatch.delenv("PARABENCH_SHARED")
    assert load("flickr8k", annotations=tmp_path).fingerprint == expected
    monkeypatch.setenv("PARABENCH_DATA", f"/absent:{tmp_path}")
    assert load("flickr8k").fingerprint == expected


@pytest.mark.parametrize(
    ("name", "file"),
    [("coco-cxc", "sts_val.csv"), ("sugarcrepe-pp", "replace_obj.json"), ("flickr8k", "Flickr8k.token.txt"),
     ("coco-paraphrase", "captions_val2017.json")],
)  # fmt: skip
def test_absent_files_are_named_with_places_and_source(name, file, tmp_path, monkeypatch):
    monkeypatch.delenv("PARABENCH_SHARED", raising=False)
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        load(name, annotations=tmp_path)
    assert file in caught.value.problem and str(tmp_path) in caught.value.problem
    assert "PARABENCH_DATA" in caught.value.remedy


def test_official_captions_are_read_in_order_of_their_ids(tmp_path, capsys):
    path = tmp_path / "captions.json"
    path.write_text(
        json.dumps(
            {
                "licenses": [{"id": 4, "name": "Attribution License"}],
                "images": [
                    {
                        "id": 7,
                        "file_name": "7.jpg",
                        "coco_url": "http://x/7.jpg",
                        "width": 4,
                        "height": 3,
                        "license": 4,
                    }
                ],
                "annotations": [
                    {"id": 10, "image_id": 7, "caption": "second"},
                    {"id": 9, "image_id": 7, "caption": "first"},
                ],
            }
        )
    )
    (image,) = read_official(path)
    assert image["captions"] == [("9", "first"), ("10", "second")]
    assert image["license"] == "Attribution License"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{}], "annotations": []}', "nothing"])
def test_files_that_are_not_of_coco_are_refused(tmp_path, content):
    path = tmp_path / "captions_val2017.json"
    path.write_text(content)
    with pytest.raises(DataError, match="not a COCO captions file"):
        read_official(path)
    path.write_text('{"a": 1}')
    with pytest.raises(DataError, match="not a Karpathy split"):
        read_karpathy(path)


def test_loading_own_files_imports_nothing_heavy(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("image_id,caption,paraphrase\n1,a dog,one dog\n")
    code = (
        "import sys; from parabench.data import load; load(sys.argv[1]);"
        "print(sorted({'datasets', 'torch', 'pycocotools', 'httpx', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalog_says_the_real_sizes(shared_data):
    for entry in CATALOG:
        if entry.name in ("coco-paraphrase", "coco-cxc", "sugarcrepe-pp"):
            got = load(entry.name)
            assert f"{got.pairs.num_rows:,} pairs" in entry.size
            assert f"{got.gallery.num_rows:,} pictures" in entry.size
            assert not got.foils.num_rows or f"{got.foils.num_rows:,} foils" in entry.size
