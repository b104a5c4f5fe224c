"""The built-in sets: scenes, and public data joined with our sentences."""

import datasets
import numpy as np
import pytest
from PIL import Image
from places import REPOSITORY

from parabench.data import load
from parabench.data.release import write_benchmark
from parabench.data.scenes import HELD_OUT_WORDS, build_scenes, tables_of
from parabench.data.scenes.scene import sample_scenes
from parabench.errors import DataError


def words(texts):
    return {word.strip(".,") for text in texts for word in text.lower().split()}


def test_scenes_hold_out_their_test_wording():
    scenes = load("scenes")
    split = np.array(scenes.pairs["split"].to_pylist())
    paraphrase = np.array(scenes.pairs["paraphrase"].to_pylist(), dtype=object)
    captions = [text for own in scenes.gallery["captions"].to_pylist() for text in own]
    seen = words(captions) | words(paraphrase[split != "test"])
    asked = words(paraphrase[split == "test"])
    singular = {word.removesuffix("s") for word in asked} | asked
    assert not seen & HELD_OUT_WORDS and singular >= HELD_OUT_WORDS
    assert len(scenes.image_ids) >= 1000
    assert {"lexical", "syntactic", "both"} == set(scenes.pairs["kind"].to_pylist())
    pairs = zip(scenes.pairs["caption"].to_pylist(), paraphrase, strict=True)
    assert all(caption != text for caption, text in pairs)
    assert all(a != b for a, b in zip(scenes.foils["caption"].to_pylist(), scenes.foils["foil"].to_pylist(), strict=True))


def test_scenes_are_deterministic(tmp_path):
    counts = {"train": 6, "test": 4}
    for name in ("a", "b"):
        build_scenes(tmp_path / name, counts)
    assert tables_of(sample_scenes(counts))["pairs"].equals(tables_of(sample_scenes(counts))["pairs"])
    files = sorted(path.name for path in (tmp_path / "a" / "images").iterdir())
    assert len(files) == 10
    for name in files:
        one, two = (np.asarray(Image.open(tmp_path / side / "images" / name)) for side in "ab")
        assert one.shape == (256, 256, 3) and (one == two).all()


def test_coco_paraphrase(shared):
    benchmark = load("coco-paraphrase", annotations=shared)
    kinds = benchmark.pairs["kind"].to_pylist()
    card = (REPOSITORY / "data_cards" / "coco-paraphrase.md").read_text(encoding="utf-8")
    lexical, syntactic = kinds.count("lexical"), kinds.count("syntactic")
    assert f"| pairs | {len(kinds):,} ({lexical:,} lexical, {syntactic:,} syntactic) |" in card
    assert f"| foils | {benchmark.foils.num_rows:,} |" in card and len(benchmark.image_ids) == 5000
    assert f"| rejected, with the reason | {benchmark.rejected.num_rows:,} |" in card
    assert all(benchmark.rejected["reason"].to_pylist())


def test_other_public_sets(shared):
    flickr = load("flickr8k", split="test", annotations=shared)
    assert (flickr.pairs.num_rows, flickr.foils.num_rows, len(flickr.image_ids)) == (956, 493, 1091)
    assert load("sugarcrepe-pp", annotations=shared).foils.num_rows == 1652 + 1406 + 788 - 2
    strict, loose = (load(f"coco-cxc?min_rating={rating}", annotations=shared).pairs for rating in (4.5, 4))
    assert 0 < strict.num_rows < loose.num_rows
    assert min(row[0]["value"] for row in strict["scores"].to_pylist()) >= 4.5


def test_a_changed_annotation_file_is_refused(shared, tmp_path):
    text = (shared / "coco" / "captions_val2017.json").read_text(encoding="utf-8")
    (tmp_path / "captions_val2017.json").write_text(text.replace("toilet", "throne"), encoding="utf-8")
    with pytest.raises(DataError, match="not the caption that was rewritten"):
        load("coco-paraphrase", annotations=tmp_path)


def test_a_release_is_what_load_dataset_reads(tmp_path):
    scenes = load("scenes", split="val")
    write_benchmark(scenes, tmp_path / "release")
    assert load(tmp_path / "release").fingerprint == scenes.fingerprint
    pairs = datasets.load_dataset(str(tmp_path / "release"))["val"]
    assert pairs["paraphrase"][:] == scenes.pairs["paraphrase"].to_pylist()
    assert len(datasets.load_dataset(str(tmp_path / "release"), "gallery")["val"]) == 200
