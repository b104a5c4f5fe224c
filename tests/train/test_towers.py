"""Towers: padding never matters, frozen stays frozen, folders give the same vectors back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from parabench.encoders import load_encoder
from parabench.errors import ModelError, UsageError
from parabench.towers.config import AdapterConfig, DualEncoderConfig, ImageConfig, TextConfig
from parabench.towers.dual_encoder import DualEncoder
from parabench.towers.folder import load_model, save_model
from parabench.towers.pooling import pool
from parabench.towers.text import TextTower
from parabench.towers.texts import Texts
from parabench.towers.tokens import tokenize

TEXTS = ["a dog", "two red boats on the wide lake under a grey sky near the harbour", "the lake", "a"]


def towers(tiny_lm, tiny_decoder):
    yield TextConfig(kind="clip", layers=2, width=32, heads=2, max_length=24, pooling="eot")
    for pooling in ("mean", "cls", "eot", "last"):
        for source in (tiny_lm, tiny_decoder):
            yield TextConfig(kind="lm", name=source, pooling=pooling, alignment_layers=1, max_length=24)
    yield TextConfig(kind="lm", name=tiny_lm, alignment_layers=2, alignment_width=16, alignment_heads=2)
    yield TextConfig(kind="lm", name=tiny_lm, adapter=AdapterConfig(kind="bottleneck", rank=4))
    yield TextConfig(kind="lm", name=tiny_lm, adapter=AdapterConfig(kind="lora", rank=4))


def stirred(tower):
    """Branches that start at zero get weights, so that they could show a mistake."""
    for parameter in tower.parameters():
        if parameter.ndim == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return tower.eval()


def test_padding_never_changes_an_embedding(tiny_lm, tiny_decoder):
    torch.manual_seed(0)
    for config in towers(tiny_lm, tiny_decoder):
        tower = stirred(TextTower.build(config, 8))
        batch = tokenize(tower.tokenizer, TEXTS)
        together = tower(batch)
        alone = torch.cat([tower(tokenize(tower.tokenizer, [text])) for text in TEXTS])
        wider = Texts(torch.nn.functional.pad(batch.values, (0, 3), value=5), batch.lengths)
        torch.testing.assert_close(together, alone, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(tower(wider), together, atol=2e-6, rtol=1e-5, msg=str(config))


def test_alignment_layers_read_every_real_token(tiny_lm):
    """The gradient of a pooled output reaches all real states and no padding."""
    tower = stirred(TextTower.build(TextConfig(kind="lm", name=tiny_lm, pooling="cls", alignment_layers=1), 8))
    states = torch.randn(2, 6, 32, requires_grad=True)
    tower(Texts(states, torch.tensor([6, 3]))).sum().backward()
    reached = states.grad.abs().sum(-1) > 0
    assert reached.tolist() == [[True] * 6, [True] * 3 + [False] * 3]


def test_pooling():
    states = torch.arange(12.0).view(2, 3, 2)
    lengths = torch.tensor([3, 2])
    assert pool(states, lengths, "mean").tolist() == [[2, 3], [7, 8]]
    assert pool(states, lengths, "cls").tolist() == [[0, 1], [6, 7]]
    assert pool(states, lengths, "last").tolist() == pool(states, lengths, "eot").tolist() == [[4, 5], [8, 9]]


def test_end_token_is_added_only_for_eot(tiny_decoder):
    last = TextTower.build(TextConfig(kind="lm", name=tiny_decoder, pooling="last", max_length=4), 8).tokenizer
    end = TextTower.build(TextConfig(kind="lm", name=tiny_decoder, pooling="eot", max_length=4), 8).tokenizer
    assert last.ids(["a dog", ""]) == [[1, 7], [0]]
    assert end.ids(["a dog", "", "a red boat on the lake"]) == [[1, 7, 0], [0], [1, 2, 3, 0]]


def test_clip_tokens_are_open_clips():
    import open_clip

    from parabench.towers.tokens import ClipTokens

    for length in (77, 12):
        theirs = open_clip.SimpleTokenizer(context_length=length)(TEXTS)
        ours = ClipTokens(length).ids(TEXTS)
        for row, expected in zip(ours, theirs.tolist(), strict=True):
            assert row == expected[: len(row)] and not any(expected[len(row) :])


def test_clip_text_equals_open_clip():
    """The trimmed transformer gives what open_clip's own forward pass gives on its full context."""
    import open_clip

    torch.manual_seed(0)
    tower = TextTower.build(TextConfig(kind="clip", layers=2, width=32, heads=2, max_length=24, pooling="eot"), 8).eval()
    model = open_clip.transformer.TextTransformer(
        context_length=24, vocab_size=tower.tokenizer.vocabulary, width=32, heads=2, layers=2, output_dim=8
    ).eval()
    state = tower.trunk.network.state_dict() | {"text_projection": tower.projection.weight.T}
    model.load_state_dict(state)
    expected = model(open_clip.SimpleTokenizer(context_length=24)(TEXTS))
    torch.testing.assert_close(tower(tokenize(tower.tokenizer, TEXTS)), expected, atol=1e-5, rtol=1e-5)


def test_mean_pooling_of_minilm_is_sentence_transformers(minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    tower = TextTower.build(TextConfig(kind="lm", name=minilm), 8).eval()
    texts = tokenize(tower.tokenizer, TEXTS)
    with torch.no_grad():
        ours = torch.nn.functional.normalize(pool(tower.trunk(texts), texts.lengths, "mean"), dim=-1).numpy()
    theirs = sentence_transformers.SentenceTransformer(minilm, device="cpu").encode(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_first_layers_of_a_language_model(minilm):
    whole = TextTower.build(TextConfig(kind="lm", name=minilm), 8).eval()
    part = TextTower.build(TextConfig(kind="lm", name=minilm, layers=2), 8).eval()
    assert len(part.trunk.layer_list) == 2
    texts = tokenize(whole.tokenizer, TEXTS)
    with torch.no_grad():
        hidden = whole.trunk.network(input_ids=texts.values, attention_mask=texts.mask.long(), output_hidden_states=True).hidden_states
        torch.testing.assert_close(part.trunk(texts), hidden[2])
    with pytest.raises(UsageError, match=r"layers=9.*has 6 layers"):
        TextTower.build(TextConfig(kind="lm", name=minilm, layers=9), 8)


def image_configs(tmp_path, features):
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    settings = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16)
    ViTModel(settings).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    yield ImageConfig(kind="cells", standardise=True, projection="mlp", locked=True)
    yield ImageConfig(kind="features", path=str(features))
    yield ImageConfig(kind="open_clip", vision=vision, projection="none")
    yield ImageConfig(kind="timm", name="test_vit")
    yield ImageConfig(kind="transformers", name=str(tmp_path / "vit"), weights="pretrained", locked=True)


@pytest.mark.parametrize("refer", [False, True])
def test_a_folder_gives_the_same_vectors_back(tmp_path, features, tiny_lm, refer):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
    for number, image in enumerate(image_configs(tmp_path, features)):
        text = TextConfig(kind="clip", layers=1, width=32, heads=2, pooling="eot") if number % 2 else TextConfig(kind="lm", name=tiny_lm, alignment_layers=1)
        model = DualEncoder.build(DualEncoderConfig(image=image, text=text, embed_dim=8)).eval()
        for part in (model.text.trunk, model.image.trunk):
            part.requires_grad_(False)
        folder = tmp_path / f"model-{number}"
        record = save_model(model, folder, {}, refer=refer)
        assert set(record.references) <= ({"text", "image"} if refer else set())
        encoder = load_encoder(f"parabench:{folder}")
        inputs = ["p3.jpg"] if image.kind == "features" else [picture]
        assert encoder.sees == ("ids" if image.kind == "features" else "pixels")
        with torch.no_grad():
            array = torch.from_numpy(np.stack([model.image.trunk.preprocess(inputs[0])]))
            np.testing.assert_allclose(encoder.encode_images(inputs), model.image(array).numpy(), atol=1e-6)
            np.testing.assert_allclose(encoder.encode_text(TEXTS), model.text(tokenize(model.text.tokenizer, TEXTS)).numpy(), atol=1e-6)


def test_a_folder_that_was_changed_is_refused(tmp_path, tiny_lm):
    config = DualEncoderConfig(image=ImageConfig(kind="cells"), text=TextConfig(kind="lm", name=tiny_lm), embed_dim=8)
    save_model(DualEncoder.build(config), tmp_path, {})
    record = json.loads((tmp_path / "parabench.json").read_text())
    (tmp_path / "parabench.json").write_text(json.dumps(record | {"model": {**record["model"], "embed_dim": 4}}))
    with pytest.raises(ModelError, match="another architecture"):
        load_model(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-1] + b"\1")
    with pytest.raises(ModelError, match="not the file"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match=r"no parabench\.json"):
        load_encoder(f"parabench:{tmp_path.parent}")


def test_a_reference_to_other_weights_is_refused(tmp_path, minilm, tiny_lm):
    import shutil

    source = tmp_path / "lm"
    shutil.copytree(tiny_lm, source)
    model = DualEncoder.build(DualEncoderConfig(image=ImageConfig(kind="cells"), text=TextConfig(kind="lm", name=str(source)), embed_dim=8))
    model.text.trunk.requires_grad_(False)
    save_model(model, tmp_path / "model", {}, refer=True)
    load_model(tmp_path / "model")
    with torch.no_grad():
        model.text.trunk.network.embeddings.word_embeddings.weight[0, 0] += 1
    model.text.trunk.network.save_pretrained(source)
    with pytest.raises(ModelError, match="trained on other weights"):
        load_model(tmp_path / "model")
