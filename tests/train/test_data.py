"""Training data: order, views, sources, shards; the cached path gives the numbers of the uncached one."""

import collections
import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from parabench.errors import DataError, UsageError
from parabench.towers.config import DualEncoderConfig, ImageConfig, TextConfig
from parabench.towers.dual_encoder import DualEncoder
from parabench.towers.tokens import tokenize
from parabench.train.data.batches import crop
from parabench.train.data.captions import CaptionSet
from parabench.train.data.shards import ShardBatches, expand
from parabench.train.data.sources import caption_set
from parabench.train.data.views import Order, Views
from parabench.train.distributed import Ranks
from parabench.train.features import FeatureStore, image_store, text_store
from parabench.train.recipe import DataRecipe


def toy(rewrites=None, captions=3):
    own = [[f"c{n}-{k}" for k in range(captions)] for n in range(10)]
    return CaptionSet("toy", [f"p{n}" for n in range(10)], own, lambda _: None, str, rewrites or {})


def test_an_epoch_shows_each_picture_once_and_epochs_differ():
    order = Order(10, 3, seed=1)
    epochs = [np.concatenate([order.rows(number)[1] for number in range(3 * epoch, 3 * epoch + 3)]) for epoch in range(4)]
    assert all(len(set(rows.tolist())) == 9 for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 4
    assert (Order(10, 3, seed=1).rows(7)[1] == order.rows(7)[1]).all()
    assert not (Order(10, 3, seed=2).rows(0)[1] == order.rows(0)[1]).all()
    with pytest.raises(DataError, match=r"10 pictures and a batch is 11.*batch=10"):
        Order(10, 11, seed=0)


def test_views():
    data = toy({"c0-0": ["r0", "r1", "r2"], "c0-1": ["s0"]})
    views = Views(data, ["paraphrases", "captions"], seed=0)
    seen = collections.defaultdict(set)
    for epoch in range(300):
        texts = {view: data.texts[views.draw(view, epoch, np.array([0]))[0]] for view in ("caption", "other1", "other2", "rewrite", "rewrite2", "sampled")}
        assert {texts["caption"], texts["other1"], texts["other2"]} == {"c0-0", "c0-1", "c0-2"}
        seen[texts["caption"]].add((texts["rewrite"], texts["rewrite2"]))
        seen["sampled", texts["caption"]].add(texts["sampled"])
    assert seen["c0-0"] == {(a, b) for a in ("r0", "r1", "r2") for b in ("r0", "r1", "r2") if a != b}
    assert seen["c0-1"] == {("s0", "s0")}
    assert seen["c0-2"] == {("c0-0", "c0-1"), ("c0-1", "c0-0")}, "without a paraphrase, the other captions"
    assert seen["sampled", "c0-0"] == {"c0-0", "r0", "r1", "r2"}
    alone = Views(toy(captions=1), ["paraphrases", "captions"], seed=0)
    assert alone.rewrites(0, "c0-0") == ["c0-0"]


def test_sampled_rewrites_are_uniform():
    data = toy({"c0-0": ["r0", "r1", "r2"]}, captions=1)
    views = Views(data, ["paraphrases"], seed=3)
    counts = collections.Counter(data.texts[views.draw("sampled", epoch, np.array([0]))[0]] for epoch in range(2000))
    assert set(counts) == {"c0-0", "r0", "r1", "r2"} and min(counts.values()) > 420


def test_scenes_train_split_has_no_held_out_word():
    from parabench.data.scenes import HELD_OUT_WORDS

    data = caption_set(DataRecipe(name="scenes"))
    assert len(data) == 1000 and all(len(own) == 5 for own in data.captions)
    words = {word.strip(".,").lower() for text in data.texts for word in text.split()}
    assert not words & HELD_OUT_WORDS
    with pytest.raises(UsageError, match="tested on"):
        caption_set(DataRecipe(name="scenes", split="test"))


def test_flickr8k_train_split(shared_data):
    data = caption_set(DataRecipe(name="flickr8k"))
    assert len(data) == 991 and sum(map(len, data.captions)) in range(4940, 4956)
    test = set((shared_data / "flickr8k" / "clip-vit-b32" / "metadata.csv").read_text().split(","))
    assert not {image_id.removesuffix(".jpg") for image_id in data.image_ids} & test
    assert sum(map(len, data.rewrites.values())) == 1982


def folder_of_pictures(folder, names):
    folder.mkdir()
    for number, name in enumerate(names):
        Image.new("RGB", (20 + number, 30), (number * 20, 0, 0)).save(folder / name)


def test_flickr_and_coco_folders(tmp_path):
    folder_of_pictures(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])
    (tmp_path / "tokens.txt").write_text("a.jpg#0\tone\na.jpg#1\ttwo\nb.jpg#0\tthree\nc.jpg#0\tfour\n")
    (tmp_path / "only.txt").write_text("c.jpg\na.jpg\n")
    recipe = DataRecipe(kind="flickr", path=str(tmp_path / "tokens.txt"), images=str(tmp_path / "images"), only=str(tmp_path / "only.txt"))
    data = caption_set(recipe)
    assert data.image_ids == ["c.jpg", "a.jpg"] and data.captions == [["four"], ["one", "two"]]
    assert data.open("c.jpg").size == (22, 30)
    official = {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "annotations": [{"id": k, "image_id": 7, "caption": f"caption {k}"} for k in range(7)] + [{"id": 9, "image_id": 3, "caption": "x"}],
    }
    (tmp_path / "captions.json").write_text(json.dumps(official))
    coco = caption_set(DataRecipe(kind="coco", path=str(tmp_path / "captions.json"), images=str(tmp_path / "images")))
    assert dict(zip(coco.image_ids, coco.captions, strict=True)) == {"7": [f"caption {k}" for k in range(5)], "3": ["x"]}
    (tmp_path / "images" / "b.jpg").unlink()
    for wrong, message in (({"path": str(tmp_path / "captions.json")}, r"1 of 2 pictures are not there.*b\.jpg"),
                           ({"path": str(tmp_path / "nothing")}, "no such file"), ({"images": str(tmp_path / "no")}, "no such folder")):  # fmt: skip
        with pytest.raises((DataError, UsageError), match=message):
            caption_set(DataRecipe(kind="coco", **{"path": str(tmp_path / "captions.json"), "images": str(tmp_path / "images")} | wrong))


def test_captions_that_are_missing():
    with pytest.raises(DataError, match="picture 'p' has no caption"):
        CaptionSet("x", ["p"], [[]], str, str)
    with pytest.raises(DataError, match="picture 'q' has an empty caption"):
        CaptionSet("x", ["p", "q"], [["a"], [" "]], str, str)


def test_hugging_face_dataset(tmp_path):
    import datasets

    table = datasets.Dataset.from_dict(
        {"image": [Image.new("RGB", (8, 8), (n, 0, 0)) for n in range(3)], "text": [["a", "b"], [], ["c"]]},
        features=datasets.Features({"image": datasets.Image(), "text": datasets.Sequence(datasets.Value("string"))}),
    )
    (tmp_path / "set").mkdir()
    table.to_parquet(tmp_path / "set" / "train.parquet")
    data = caption_set(DataRecipe(kind="huggingface", name=str(tmp_path / "set"), caption_column="text"))
    assert data.captions == [["a", "b"], ["c"]] and data.image_ids == ["0", "2"]
    assert data.open("2").size == (8, 8) and data.content("0") != data.content("2")
    with pytest.raises(UsageError, match="no column 'caption'"):
        caption_set(DataRecipe(kind="huggingface", name=str(tmp_path / "set")))


def test_crops_keep_most_of_the_picture():
    image = Image.new("RGB", (100, 60))
    for number in range(50):
        part = crop(image, np.random.default_rng(number))
        assert 0.75 * 6000 <= part.size[0] * part.size[1] <= 6000
    assert crop(image, np.random.default_rng(5)).size == crop(image, np.random.default_rng(5)).size


def write_shard(path, numbers, broken=(), wordless=(), cut=None):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number in numbers:
            picture = io.BytesIO()
            Image.new("RGB", (16, 16), (number, 255 - number, 7)).save(picture, "PNG")
            files = {"jpg": b"no picture" if number in broken else picture.getvalue(), "json": b"{}"}
            if number not in wordless:
                files["txt"] = f"caption {number}".encode()
            for suffix, data in files.items():
                entry = tarfile.TarInfo(f"{number:09d}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    path.write_bytes(stream.getvalue()[:cut])


class PictureModel:
    """A dual encoder's preparation: the trunk reads the red of the first pixel, the tokeniser the caption's number."""

    class image:
        class trunk:
            @staticmethod
            def preprocess(picture):
                return np.array([picture.getpixel((0, 0))[0]], np.float32)

    class text:
        class tokenizer:
            pad_id = 0

            @staticmethod
            def ids(texts):
                return [[int(text.split()[1]) + 1] for text in texts]


def stream(path, share=4, rank=0, size=1, **options):
    return ShardBatches(DataRecipe(kind="webdataset", path=str(path), **options), share, PictureModel, seed=5, place=Ranks(rank, size, "cpu"))


def take(batches, position, count):
    rows, state = [], position
    iterator = batches.batches(position)
    for _ in range(count):
        batch = next(iterator)
        assert (batch.images[:, 0] + 1 == batch.views[0].values[:, 0]).all(), "picture and caption belong together"
        rows.append(batch.images[:, 0].int().tolist())
        state = batch.after
    iterator.close()
    return rows, state


@pytest.mark.parametrize("options", [{}, {"resampled": True}, {"shuffle": 3}, {"shuffle": 1}])
def test_shards_resume_at_the_exact_sample(tmp_path, options):
    for shard in range(3):
        write_shard(tmp_path / f"{shard:05d}.tar", range(20 * shard, 20 * shard + 20), broken=(3, 25), wordless=(41,))
    path = tmp_path / "{00000..00002}.tar"
    whole, _ = take(stream(path, **options), stream(path, **options).start(), 30)
    for cut in (1, 7, 14, 29):
        first, state = take(stream(path, **options), stream(path, **options).start(), cut)
        state = json.loads(json.dumps(state))
        rest, _ = take(stream(path, **options), state, 30 - cut)
        assert first + rest == whole, cut
    flat = [row for batch in whole for row in batch]
    assert not {3, 25, 41} & set(flat)
    if "resampled" not in options:
        assert collections.Counter(flat[:57]) == collections.Counter(set(range(60)) - {3, 25, 41})
        if options != {"shuffle": 1}:  # unmixed, two of the six orders of three shards may be the same
            assert flat[:57] != flat[57:114]


def test_ranks_read_different_shards(tmp_path):
    for shard in range(4):
        write_shard(tmp_path / f"{shard}.tar", range(10 * shard, 10 * shard + 10))
    path = tmp_path / "{0..3}.tar"
    parts = [{row for batch in take(stream(path, 5, rank, 2), stream(path).start(), 4)[0] for row in batch} for rank in (0, 1)]
    assert parts[0] | parts[1] == set(range(40)) and not parts[0] & parts[1]
    with pytest.raises(UsageError, match="can't be split over 8 ranks"):
        stream(path, 5, 0, 8)


def test_broken_shards_are_counted_and_skipped(tmp_path, capsys):
    write_shard(tmp_path / "0.tar", range(10), broken=(1,), wordless=(2, 4))
    write_shard(tmp_path / "1.tar", range(10, 20), cut=9000)
    (tmp_path / "2.tar").write_bytes(b"this is no tar")
    batches = stream(tmp_path / "{0..2}.tar")
    rows, state = take(batches, batches.start(), 8)
    assert {3, 5, 6}.issubset({row for batch in rows for row in batch})
    assert state["broken_shards"] >= 2 and state["skipped_captions"] >= 2 and state["skipped_pictures"] >= 1
    said = capsys.readouterr().err
    assert said.count("2.tar is broken") == 1
    (tmp_path / "0.tar").write_bytes(b"")
    (tmp_path / "1.tar").write_bytes(b"x" * 2000)
    with pytest.raises(DataError, match="none of the 3 shards"):
        take(stream(tmp_path / "{0..2}.tar"), batches.start(), 1)
    with pytest.raises(DataError, match=r"1 of 4 shards are not there \(first: .*3\.tar"):
        expand(str(tmp_path / "{0..3}.tar"))


TEXTS = [f"a {colour} {thing} on the lake" if number % 3 else f"{thing}" for number, (colour, thing) in
         enumerate((c, t) for c in ("red", "blue", "green") for t in ("dog", "boat", "car", "house"))]  # fmt: skip


@pytest.mark.parametrize("layers", [0, 2])
def test_the_cached_path_gives_the_same_numbers(tmp_path, minilm, layers):
    torch.manual_seed(0)
    text = TextConfig(kind="lm", name=minilm, alignment_layers=layers, alignment_width=64 if layers else None)
    model = DualEncoder.build(DualEncoderConfig(image=ImageConfig(kind="cells"), text=text, embed_dim=8)).eval()
    model.text.trunk.requires_grad_(False)
    store = text_store(model.text, TEXTS, precision="fp32", device="cpu", folder=tmp_path)
    with torch.no_grad():
        expected = model.text(tokenize(model.text.tokenizer, TEXTS))
        torch.testing.assert_close(model.text(store.texts(range(len(TEXTS)))), expected, atol=1e-5, rtol=1e-5)
        half = text_store(model.text, TEXTS, precision="fp16", device="cpu", folder=tmp_path)
        assert half.key != store.key and half.values[0].dtype == np.float16
        torch.testing.assert_close(model.text(half.texts([3, 1])), expected[[3, 1]], atol=5e-3, rtol=5e-3)


def test_a_pooled_store_from_stored_tokens_is_the_same(tmp_path, tiny_lm):
    def tower(layers):
        model = DualEncoder.build(DualEncoderConfig(
            image=ImageConfig(kind="cells"), text=TextConfig(kind="lm", name=tiny_lm, alignment_layers=layers), embed_dim=8))  # fmt: skip
        model.text.trunk.requires_grad_(False)
        return model.text.eval()

    direct = text_store(tower(0), TEXTS, precision="fp32", device="cpu", folder=tmp_path / "a")
    text_store(tower(1), TEXTS, precision="fp32", device="cpu", folder=tmp_path / "b")
    pooled = text_store(tower(0), TEXTS, precision="fp32", device="cpu", folder=tmp_path / "b")
    assert pooled.key == direct.key and all(len(states) == 1 for states in (pooled._item(row) for row in range(len(TEXTS))))
    np.testing.assert_allclose(pooled.vectors(), direct.vectors(), atol=1e-6)


def test_a_broken_feature_shard_is_computed_again(tmp_path, tiny_lm, capsys):
    model = DualEncoder.build(DualEncoderConfig(image=ImageConfig(kind="cells"), text=TextConfig(kind="lm", name=tiny_lm), embed_dim=8)).eval()
    model.text.trunk.requires_grad_(False)

    def store() -> FeatureStore:
        return text_store(model.text, TEXTS, precision="fp32", device="cpu", folder=tmp_path)

    expected = store().vectors()
    (shard,) = tmp_path.rglob("*.safetensors")
    whole = shard.read_bytes()
    for damage, said in ((whole[:-40], "broken"), (whole[:-8] + b"\0\1\2\3\4\5\6\7", "not what was written"), (b"", "broken")):
        shard.write_bytes(damage)
        np.testing.assert_array_equal(store().vectors(), expected)
        assert said in capsys.readouterr().err
    with torch.no_grad():
        model.text.trunk.network.embeddings.word_embeddings.weight[5] += 1
    assert store().key != shard.parent.name and len(list(tmp_path.rglob("*.safetensors"))) == 2, "other weights, other key"


def test_image_vectors_are_keyed_by_content(tmp_path):
    folder_of_pictures(tmp_path / "images", ["a.png", "b.png"])
    model = DualEncoder.build(DualEncoderConfig(image=ImageConfig(kind="cells", locked=True), text=TextConfig(kind="clip", layers=1, width=16, heads=1), embed_dim=8))
    (tmp_path / "t.txt").write_text("a.png#0\tx\nb.png#0\ty\n")

    def key():
        data = caption_set(DataRecipe(kind="flickr", path=str(tmp_path / "t.txt"), images=str(tmp_path / "images")))
        return image_store(model.image, data, precision="fp32", device="cpu", folder=tmp_path / "store").key

    before = key()
    assert key() == before
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "b.png")
    assert key() != before
