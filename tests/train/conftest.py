"""A language model that fits in a test, and training data small enough for one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory, minilm) -> str:
    """MiniLM's tokeniser with a random BERT of two narrow layers and real dropout."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-lm")
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=64)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory, minilm) -> str:
    """A random GPT-2 whose padding token is its end token, as GPT-2's users set it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-decoder")
    words = ["<end>", "a", "red", "boat", "on", "the", "lake", "dog", "two", "<unknown>"]
    raw = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unknown>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<end>", unk_token="<unknown>")
    torch.manual_seed(0)
    GPT2Model(GPT2Config(vocab_size=len(words), n_positions=32, n_embd=16, n_layer=2, n_head=2)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def features(tmp_path_factory) -> Path:
    """Vectors of 40 pictures by id."""
    folder = tmp_path_factory.mktemp("features")
    (folder / "image_ids.txt").write_text("\n".join(f"p{n}.jpg" for n in range(40)) + "\n")
    np.save(folder / "image_embeddings.npy", np.random.default_rng(0).standard_normal((40, 24)).astype(np.float32))
    return folder


@pytest.fixture(scope="session")
def tokens_file(tmp_path_factory) -> Path:
    """Three captions of each of the 40 pictures, in Flickr's layout."""
    path = tmp_path_factory.mktemp("captions") / "tokens.txt"
    colours, things = ["red", "blue", "green", "white", "black"], ["dog", "boat", "car", "tree", "house", "cat", "cup", "ball"]
    lines = []
    for number in range(40):
        colour, thing = colours[number % 5], things[number // 5]
        for place, text in enumerate((f"A {colour} {thing}", f"the {thing} is {colour}", f"a picture of one {colour} {thing} here")):
            lines.append(f"p{number}.jpg#{place}\t{text}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def recipe_of(features, tokens_file, tiny_lm):
    """A recipe over the 40 pictures; keyword arguments replace whole sections, ``section__key`` single values."""
    from parabench.train import Recipe

    def make(strategy="align", loss="infonce", **changes):
        values = {
            "name": "test", "data": {"kind": "flickr", "path": str(tokens_file)},
            "image": {"kind": "features", "path": str(features), "projection": "linear"},
            "text": {"layers": 2, "width": 32, "heads": 2, "max_length": 32} if strategy == "scratch" else {"model": tiny_lm},
            "strategy": strategy, "loss": loss, "embed_dim": 16,
            "optimiser": {"steps": 12, "batch": 8, "lr": 1e-2, "warmup": 2},
            "run": {"checkpoint_every": 4, "log_every": 1, "threads": 1},
        }  # fmt: skip
        values = json.loads(json.dumps(values))
        for key, value in changes.items():
            section, _, name = key.partition("__")
            if name:
                held = values.setdefault(section, {})
                values[section] = ({"name": held} if isinstance(held, str) else held) | {name: value}
            else:
                values[section] = value
        return Recipe.parse(values)

    return make
