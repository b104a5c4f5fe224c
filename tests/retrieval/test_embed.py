"""Batches of texts: of one length where an encoder can count, every text once, the same vectors whatever the company."""

from __future__ import annotations

import numpy as np
import pytest

from parabench.retrieval.embed import Embedder
from parabench.retrieval.forward import LocalForward


class Counting:
    """A text encoder that notes its batches; a text's length is its number of words."""

    spec, fingerprint, dim, cacheable = "python:counting", "counting", 4, False

    def __init__(self, device: str = "cpu") -> None:
        self.device, self.batches = device, []

    def encode_text(self, texts):
        self.batches.append([len(text.split()) for text in texts])
        return np.array([[len(text), text.count("a"), hash(text) % 97, 1.0] for text in texts], np.float32)

    def encode_images(self, images):
        raise AssertionError

    def text_lengths(self, texts):
        return np.array([len(text.split()) for text in texts], np.int64)


TEXTS = [" ".join(["a" * (1 + (row * length) % 7)] * length) + f" {row}" for length in (3, 4, 5, 9) for row in range(40)] + ["long " * 30]


def test_texts_of_one_length_run_together_on_a_processor():
    encoder = Counting()
    vectors = Embedder(encoder, forward=LocalForward(encoder, 32)).texts(TEXTS)
    assert sum(map(len, encoder.batches)) == len(set(TEXTS)) == len(TEXTS) and max(map(len, encoder.batches)) <= 32
    assert encoder.batches[0][0] == 30, "the longest first"
    computed = sum(max(batch) * len(batch) for batch in encoder.batches)
    real = sum(map(sum, encoder.batches))
    by_characters = Counting()
    by_characters.text_lengths = None  # can't count
    others = Embedder(by_characters, forward=LocalForward(by_characters, 32)).texts(TEXTS)
    np.testing.assert_array_equal(vectors, others)
    padded = sum(max(batch) * len(batch) for batch in by_characters.batches) / sum(map(sum, by_characters.batches))
    assert computed / real < 1.25 < padded, "only the lone long text pads the rest of its quarter batch"


def test_batches_stay_full_on_an_accelerator():
    encoder = Counting("cuda:0")
    Embedder(encoder, forward=LocalForward(encoder, 32)).texts(TEXTS)
    assert [len(batch) for batch in encoder.batches] == [32, 32, 32, 32, 32, 1]


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "one"]])
def test_few_texts(texts):
    encoder = Counting()
    assert Embedder(encoder, forward=LocalForward(encoder, 1)).texts(texts).shape == (len(texts), 4)
