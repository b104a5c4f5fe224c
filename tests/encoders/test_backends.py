"""Every backend: same vectors as its own library, honest names, clear refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from parabench.encoders import load_encoder
from parabench.errors import DataError, ModelError, ParabenchError, UsageError

TEXTS = ["a dog", "two men riding a red bicycle beside the sea on a long and windy afternoon in late autumn", "x"]


def open_clips(name, seed=0):
    """The same model by open_clip alone: network, transform, tokenizer."""
    open_clip = pytest.importorskip("open_clip")
    import torch

    torch.manual_seed(seed)
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=None, pretrained_image=False)
    return model.eval(), transform, open_clip.get_tokenizer(name)


def features(model, transform, tokenizer, texts, images):
    import torch

    with torch.inference_mode():
        return model.encode_text(tokenizer(texts)).numpy(), model.encode_image(torch.stack([transform(image) for image in images])).numpy()


@pytest.fixture(scope="module")
def untrained():
    pytest.importorskip("open_clip")
    import torch

    torch.set_num_threads(2)
    return load_encoder("openclip:ViT-B-32/untrained")


@pytest.fixture(scope="module")
def whole():
    return open_clips("ViT-B-32")


def pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (40, 60 + i, 3), dtype=np.uint8)) for i in range(3)]


def test_openclip_equals_open_clip(untrained, whole):
    text, image = features(*whole, TEXTS, pictures())
    np.testing.assert_allclose(untrained.encode_text(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(untrained.encode_images(pictures()), image, atol=1e-5)
    alone = np.concatenate([untrained.encode_text([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, untrained.encode_text(TEXTS), atol=1e-5)


def test_openclip_on_photographs(untrained, whole, shared):
    files = sorted((shared / "coco" / "images" / "val2017").glob("*.jpg"))[:8]
    images = [Image.open(path).convert("RGB") for path in files]
    np.testing.assert_allclose(untrained.encode_images(images), features(*whole, TEXTS, images)[1], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "short_text", "short_images"),
    [("RN50", True, False), ("coca_ViT-B-32", False, False), ("ViT-B-32-quickgelu", True, True)],
)  # fmt: skip
def test_openclip_equals_open_clip_whatever_towers_it_has(name, short_text, short_images):
    encoder = load_encoder(f"openclip:{name}/untrained")
    text, image = features(*open_clips(name), TEXTS, pictures())
    np.testing.assert_allclose(encoder.encode_text(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(pictures()), image, atol=1e-5)
    network = encoder._network
    assert (network.text is not None) is short_text
    assert (type(getattr(network.model.visual, "transformer", None)).__name__ == "ImageTransformer") is short_images
    assert encoder.text_lengths(TEXTS).tolist() == ([4, 20, 3] if short_text else [76] * 3)


def test_openclip_cuts_the_padding_of_a_language_model_in_its_text_tower(minilm, tmp_path):
    open_clip = pytest.importorskip("open_clip")
    text = {"hf_model_name": minilm, "hf_tokenizer_name": minilm, "hf_proj_type": "linear", "hf_pooler_type": "mean_pooler", "context_length": 40}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
    (tmp_path / "small-minilm.json").write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(tmp_path)
    encoder = load_encoder("openclip:small-minilm/untrained")
    np.testing.assert_allclose(encoder.encode_text(TEXTS), features(*open_clips("small-minilm"), TEXTS, pictures())[0], atol=1e-5)
    assert encoder._network.text is None and encoder.text_lengths(TEXTS).tolist() == [4, 20, 3]


def test_untrained_weights_come_from_the_seed(untrained):
    import torch

    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again = load_encoder("openclip:ViT-B-32/untrained")
    other = load_encoder("openclip:ViT-B-32/untrained?seed=1")
    assert (again.encode_text(TEXTS) == untrained.encode_text(TEXTS)).all()
    assert again.fingerprint == untrained.fingerprint != other.fingerprint
    assert torch.equal(torch.random.get_rng_state(), state), "the global random state is left alone"


def test_the_collector_never_looks_at_what_was_imported_and_goes_on():
    code = (
        "import gc; from parabench.encoders import load_encoder; from parabench.libraries import importing;"
        "load_encoder('openclip:RN50/untrained').encode_text(['a']); frozen = gc.get_freeze_count();"
        "mine = [[] for _ in range(1000)]\nwith importing():\n    import torch\n"
        "print(gc.isenabled(), frozen > 100_000, gc.get_freeze_count() == frozen)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["True"] * 3


def test_a_resolved_model_needs_no_torch(untrained):
    code = (
        "import sys; from parabench.encoders import load_encoder;"
        "print(load_encoder('openclip:ViT-B-32/untrained').fingerprint, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert out == [untrained.fingerprint, "False"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [("openclip:ViT-B-23/openai", "ViT-B-32"), ("openclip:ViT-B-32/opnai", "did you mean 'openai'"),
     ("openclip:ViT-B-32@main", "no revisions"), ("openclip:ViT-B-32/openai?sed=1", "did you mean 'seed'"),
     ("openclip:ViT-B-32/openai?seed=1", "untrained"), ("opencIip:ViT-B-32", "did you mean 'openclip'"),
     ("ViT-B-32", "openclip:ViT-B-32"), ("random:x", "random:512"), ("random:0", "dimension"), ("", "backend"),
     ("python:nowhere.at.all:make", "No module"), ("python:json", "names no factory"), ("python:json:dmps", "dumps"),
     ("tfidf:1", "buckets"), ("cca:", "dataset"), ("embeddings:/nowhere", "no such folder"), ("random:8?", "random")],
)  # fmt: skip
def test_unknown_models(spec, message):
    if spec.startswith("openclip"):
        pytest.importorskip("open_clip")
    if spec == "random:8?":
        assert load_encoder(spec).dim == 8
        return
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        load_encoder(spec)


def test_absent_device_is_an_error():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ModelError, match="no CUDA device"):
        load_encoder("openclip:ViT-B-32/untrained?seed=3", device="cuda").encode_text(["a"])


def test_sbert_equals_sentence_transformers(minilm):
    from sentence_transformers import SentenceTransformer

    encoder = load_encoder(f"sbert:{minilm}")
    assert encoder.sees == "captions" and encoder.dim == 384
    np.testing.assert_allclose(encoder.encode_text(TEXTS), SentenceTransformer(minilm).encode(TEXTS), atol=1e-5)
    assert load_encoder(f"sbert:{minilm}?prompt=query: ").fingerprint != encoder.fingerprint
    assert load_encoder(f"sbert:{minilm}", precision="bf16").fingerprint != encoder.fingerprint
    with pytest.raises(ModelError, match="no image tower"):
        encoder.encode_images(pictures())


def test_hf_equals_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    import json

    import torch

    letters = [chr(c) for c in range(97, 123)]
    vocabulary = {t: i for i, t in enumerate([*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": len(vocabulary), "max_position_embeddings": 77, "bos_token_id": 52, "eos_token_id": 53},
        vision_config={**small, "image_size": 32, "patch_size": 16}, projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    processor = transformers.CLIPProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}), tokenizer
    )
    folder = tmp_path / "clip"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    encoder = load_encoder(f"hf:{folder}")
    assert encoder.dim == 24 and encoder.n_parameters == sum(p.numel() for p in model.parameters())
    with torch.inference_mode():
        tokens = processor.tokenizer(["a dog", "x"], return_tensors="pt", padding="max_length", max_length=77)
        text = model.get_text_features(**tokens)
        image = model.get_image_features(**processor.image_processor(images=pictures(), return_tensors="pt"))
    text, image = (x if hasattr(x, "numpy") else x.pooler_output for x in (text, image))
    np.testing.assert_allclose(encoder.encode_text(["a dog", "x"]), text.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(pictures()), image.numpy(), atol=1e-5)
    with pytest.raises(ModelError, match="could not be loaded"):
        load_encoder("hf:nobody/nothing-at-all")


def test_hf_siglip_keeps_the_padding_it_was_trained_with(tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "a", "dog", "red"]
    words_only = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    words_only.pre_tokenizer = pre_tokenizers.Whitespace()
    words_only.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words_only, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_input_names=["input_ids"]
    )
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text_config = {**small, "vocab_size": len(words), "max_position_embeddings": 64, "projection_size": 32,
                   "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    torch.manual_seed(0)
    model = transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text_config, vision_config={**small, "image_size": 32, "patch_size": 16})
    ).eval()
    processor = transformers.SiglipProcessor(transformers.SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    encoder = load_encoder(f"hf:{tmp_path}")
    texts = ["a dog", "red red red dog"]
    with torch.inference_mode():
        padded = torch.tensor([[words.index(w) for w in t.split()] + [1] + [0] * (63 - len(t.split())) for t in texts])
        expected = model.get_text_features(input_ids=padded)
    expected = expected if hasattr(expected, "numpy") else expected.pooler_output
    np.testing.assert_allclose(encoder.encode_text(texts), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_text(texts[:1]), expected.numpy()[:1], atol=1e-5)


def stored(folder, images=("1", "2"), texts=("a", "b"), image=None, text=None):
    folder.mkdir(exist_ok=True)
    (folder / "image_ids.txt").write_text("\n".join(images) + "\n")
    (folder / "texts.txt").write_text("\n".join(texts) + "\n")
    np.save(folder / "image_embeddings.npy", np.eye(2, 4, dtype=np.float16) if image is None else image)
    np.save(folder / "text_embeddings.npy", np.eye(2, 4) if text is None else text)
    return f"embeddings:{folder}"


def test_stored_embeddings(tmp_path):
    encoder = load_encoder(stored(tmp_path / "v"))
    assert encoder.encode_images([2, "1"]).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    with pytest.raises(ModelError, match="no vector for 1 of 2 texts: 'c'"):
        encoder.encode_text(["a", "c"])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"images": ("1", "2", "3")}, "names 3 rows and image_embeddings has 2"),
     ({"text": np.eye(2, 5)}, "text embeddings have 5 dimensions and image embeddings 4"),
     ({"text": np.array([[1, 2.0], [np.nan, 1]])}, r"row 2 \('b'\) holds NaN"),
     ({"image": np.array([[1, 0.0], [0, 0]]), "text": np.eye(2)}, r"row 2 \('2'\) holds only zeros"),
     ({"texts": ("a", "a")}, "stands twice"),
     ({"text": np.array([["x", "y"]], dtype=object)}, "not a plain .npy")],
)  # fmt: skip
def test_broken_stored_embeddings(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        load_encoder(stored(tmp_path / "v", **change))


def test_python_factory(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class E:\n"
        "    sees = 'ids'\n"
        "    def encode_text(self, t): return np.ones((len(t), 3))\n"
        "    def encode_images(self, i): return np.ones((len(i) + 1, 3))\n"
        "def make(): return E()\n"
        "def broken(): raise RuntimeError('no weights')\n"
        "def nothing(): return 5\n"
    )
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder("python:mine:make")
    assert encoder.dim == 3 and not encoder.cacheable
    with pytest.raises(ModelError, match=r"shape \(3, 3\) for 2 items"):
        encoder.encode_images(["a", "b"])
    for factory, message in (("broken", "RuntimeError: no weights"), ("nothing", "no encode_text")):
        with pytest.raises(ParabenchError, match=message):
            load_encoder(f"python:mine:{factory}")


def test_tfidf_follows_words():
    encoder = load_encoder("tfidf:")
    before = encoder.fingerprint
    encoder.fit_corpus(["a red boat", "a blue boat", "a dog"])
    assert encoder.fingerprint != before
    boat, same, dog, none = encoder.encode_text(["a red boat", "Boat red, a!", "a dog", "…"])
    assert (boat == same).all() and boat @ dog < boat @ boat and none.any()


def test_a_python_file_imports_its_neighbours_and_can_not_end_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "neighbour_of_it.py").write_text("from parabench.encoders import load_encoder\nlike = load_encoder('random:8')\n")
    (tmp_path / "sub" / "factory_file.py").write_text("from neighbour_of_it import like\ndef make():\n    return like\n")
    assert load_encoder("python:sub/factory_file.py:make").dim == 8
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ModelError, match=r"importing leaves.* failed: SystemExit"):
        load_encoder("python:leaves:make")
