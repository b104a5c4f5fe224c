"""Sampling: seeded, independent of the file's order, stratified; wrong files are refused."""

from __future__ import annotations

import json
import random

import pytest
from made_captions import write_captions

from parabench.build.junk import junk_reason
from parabench.build.labels import COCO_CATEGORIES, read_labels
from parabench.build.sample import Sampling, draw, named
from parabench.errors import DataError, UsageError


@pytest.fixture
def captions(tmp_path):
    return write_captions(tmp_path / "captions.json", 60, 3)


def _edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return path


def test_the_sample_does_not_depend_on_the_files_order(captions, tmp_path):
    before = draw(captions, Sampling(images=20, captions_per_image=2, seed=3))

    def shuffle(value):
        random.Random(1).shuffle(value["images"])
        random.Random(2).shuffle(value["annotations"])

    assert draw(_edit(captions, shuffle), Sampling(images=20, captions_per_image=2, seed=3)).captions == before.captions
    assert len(before.captions) == 40
    assert len({caption.image_id for caption in before.captions}) == 20


def test_another_seed_is_another_sample(captions):
    first, second = (draw(captions, Sampling(images=20, seed=seed)).captions for seed in (0, 1))
    assert first != second


def test_the_gallery_is_all_pictures_of_the_file(captions):
    assert len(draw(captions, Sampling(images=5)).images) == 60


def test_strata_are_proportional(captions, tmp_path):
    labels = tmp_path / "labels.txt"
    # 30 pictures of a dog, 20 of a cat, 10 of both and a kite: the kite is the rarest of those
    lines = [f"{100 + i:012d}.jpg {'16' if i < 30 else '15' if i < 50 else '15 16 33'}" for i in range(60)]
    labels.write_text("\n".join(lines))
    sample = draw(captions, Sampling(images=12), labels)
    assert sample.facts["strata"] == {"cat": 4, "dog": 6, "kite": 2}
    by_id = {image["image_id"]: image for image in sample.images}
    assert by_id["155"]["labels"] == ["cat", "dog", "kite"]


def test_coco_has_eighty_categories_in_its_order():
    assert len(COCO_CATEGORIES) == 80
    assert [COCO_CATEGORIES[i] for i in (0, 16, 39, 61, 79)] == ["person", "dog", "bottle", "toilet", "toothbrush"]


def test_labels_from_instances_and_text_agree(tmp_path):
    text = tmp_path / "labels.txt"
    text.write_text("val/000000000007.jpg dog kite\nval/000000000008.jpg\n")
    instances = tmp_path / "instances.json"
    instances.write_text(json.dumps({
        "images": [{"id": 7}, {"id": 8}], "categories": [{"id": 18, "name": "dog"}, {"id": 38, "name": "kite"}],
        "annotations": [{"image_id": 7, "category_id": 38}, {"image_id": 7, "category_id": 18}, {"image_id": 7, "category_id": 18}],
    }))  # fmt: skip
    assert read_labels(text) == read_labels(instances) == {"7": ("dog", "kite"), "8": ()}


@pytest.mark.parametrize(
    "text",
    [
        "There is no image here to provide a caption for.", "I am unable to see the image above.",
        "A caf\u00c3\u00a9 with tables and chairs outside it.", "See http://example.com for a picture of this dog.",
        "1234 5678 !!! ??? 9999 0000 #### a", "A man with a \x00 hat stands in the park.", "Two dogs.", "word " * 40,
    ],
)  # fmt: skip
def test_junk_is_left_out(text):
    assert junk_reason(text, min_words=4, max_words=25)


@pytest.mark.parametrize(
    "text",
    [
        "A picture of a park with benches and no people around.", "A man can't see the road because of the fog.",
        "Über den Dächern fliegt ein großer roter Drachen.", "There is no food left on the white plate.",
        "A photo of 2 dogs, 3 cats & a bird.", "A sign shows an image of a horse that is not allowed.",
    ],
)  # fmt: skip
def test_captions_that_only_look_like_junk_stay(text):
    assert junk_reason(text, min_words=4, max_words=25) == ""


def test_karpathy_files_of_both_forms(tmp_path):
    short = tmp_path / "short.json"
    short.write_text(json.dumps([{"image": "val2014/COCO_val2014_000000000042.jpg", "caption": ["A dog sits on the old red couch."]}]))
    sample = draw(short, Sampling())
    assert [caption.image_id for caption in sample.captions] == ["42"]
    long = tmp_path / "long.json"
    entry = {"cocoid": 1, "filename": "a.jpg", "split": "val", "sentences": [{"sentid": 9, "raw": "A dog sits on the old red couch."}]}
    other = {"cocoid": 2, "filename": "b.jpg", "split": "test", "sentences": [{"sentid": 10, "raw": "A cat lies under the wooden table."}]}
    long.write_text(json.dumps({"images": [entry, other]}))
    assert [c.caption_id for c in draw(long, Sampling(from_split="test")).captions] == ["10"]
    with pytest.raises(UsageError, match="no split 'tset'"):
        draw(long, Sampling(from_split="tset"))


def test_a_cut_off_file_is_refused(captions):
    captions.write_text(captions.read_text()[:3000])
    with pytest.raises(DataError, match="not JSON, or is cut off"):
        draw(captions, Sampling())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda v: v["annotations"].append(v["annotations"][0]), "caption id 5000 stands twice"),
        (lambda v: v["images"].append(v["images"][0]), "image id 100 stands twice"),
        (lambda v: v["annotations"][3].update(image_id=99), "belong to pictures that the file does not list"),
        (lambda v: v["annotations"][3].pop("caption"), "not a COCO captions file"),
        (lambda v: v["annotations"][3].update(caption=7), "7, not a text"),
        (lambda v: v.pop("images"), "not a COCO captions file"),
        (lambda v: (v.clear(), v.update(a=1)), "neither an official COCO captions file"),
    ],
)
def test_wrong_files_are_refused(captions, change, problem):
    with pytest.raises(DataError, match=problem):
        draw(_edit(captions, change), Sampling())


def test_more_pictures_than_there_are(captions):
    with pytest.raises(DataError, match="has 60 pictures with a usable caption, 61 are wanted"):
        draw(captions, Sampling(images=61))
    with pytest.raises(UsageError, match="--min-words 9 is more than --max-words 8"):
        draw(captions, Sampling(min_words=9, max_words=8))


def test_captions_by_name_come_in_gallery_order(captions):
    sample = named(captions, ["5005", "5000", "nowhere"], Sampling())
    assert [caption.caption_id for caption in sample.captions] == ["5000", "5005"]


def test_real_captions(shared):
    sample = draw(shared / "coco" / "captions_val2017.json", Sampling(images=500), shared / "coco" / "val2017_category_labels.txt")
    assert len(sample.captions) == 500
    assert sample.facts["left_out"]["not a caption"] == 15
    assert sum(sample.facts["strata"].values()) == 500
