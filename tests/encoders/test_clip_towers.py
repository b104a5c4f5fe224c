"""Towers that do less work: what is computed, and that the vectors stay those of the whole tower."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("open_clip")

import torch
from open_clip import CLIP

from parabench.encoders import clip_towers
from parabench.encoders.clip_towers import CausalTextTower, shared_prefixes, shorten_images, shorten_text

START, END, CONTEXT = 62, 63, 12


def clip(quick_gelu=False, **text):
    torch.manual_seed(0)
    vision_cfg = {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
    text_cfg = {"context_length": CONTEXT, "vocab_size": 64, "width": 32, "heads": 2, "layers": 3} | text
    return CLIP(24, vision_cfg, text_cfg, quick_gelu=quick_gelu).eval().requires_grad_(False)


def padded(texts):
    ids = np.zeros((len(texts), CONTEXT), np.int64)
    for row, words in enumerate(texts):
        ids[row, : len(words) + 2] = [START, *words, END]
    return ids


TEXTS = st.lists(st.lists(st.integers(1, 4), max_size=CONTEXT - 2), min_size=1, max_size=20)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_every_beginning_of_texts_is_there_once(texts):
    ids = padded(texts)
    ends = ids.argmax(axis=1)
    nodes, places = shared_prefixes(ids, ends)
    beginnings = [tuple(ids[row, : column + 1]) for row, column in (divmod(place, CONTEXT) for place in places.tolist())]
    assert len(set(beginnings)) == len(beginnings) == len({tuple(ids[row, : c + 1]) for row in range(len(ids)) for c in range(ends[row] + 1)})
    for row, end in enumerate(ends):
        assert [beginnings[node] for node in nodes[row, : end + 1]] == [tuple(ids[row, : c + 1]) for c in range(end + 1)]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("text", [{}, {"ls_init_value": 0.3}, {"quick_gelu": True}, {"proj_type": "linear", "proj_bias": True}])
@given(texts=TEXTS)
@settings(max_examples=10, deadline=None)
def test_texts_get_the_vectors_of_the_whole_tower(packed, text, texts):
    model, ids = clip(**text), padded(texts)
    with torch.inference_mode():
        np.testing.assert_allclose(CausalTextTower(model, packed=packed)(ids), model.encode_text(torch.from_numpy(ids)), atol=2e-6)


def rows_of(monkeypatch, work):
    """How many rows went into each layer that widens."""
    seen, call = [], clip_towers.Linear.__call__

    def counting(self, x):
        y = call(self, x)
        if y.shape[1] == 4 * x.shape[1]:
            seen.append(len(x))
        return y

    monkeypatch.setattr(clip_towers.Linear, "__call__", counting)
    with torch.inference_mode():
        work()
    return seen


def test_texts_that_begin_alike_share_rows_and_the_last_block_computes_ends(monkeypatch):
    tower = CausalTextTower(clip(), packed=False)
    ids = padded([[5, 6, 7], [5, 6, 8], [5, 6], [9]])
    assert rows_of(monkeypatch, lambda: tower(ids)) == [10, 10, 4]  # start 5 6 7 end, 8 end, end, 9 end


def test_pictures_are_read_at_their_class_token(monkeypatch):
    model = clip()
    pictures = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        whole = model.encode_image(pictures)
        assert shorten_images(model, packed=True)
        np.testing.assert_allclose(model.encode_image(pictures), whole, atol=2e-6)
    assert rows_of(monkeypatch, lambda: model.encode_image(pictures)) == [15, 15, 3]


def test_a_tower_whose_vectors_would_change_is_left_alone(monkeypatch):
    model = clip()
    ids = padded([[5, 6], [5, 6, 7]])
    monkeypatch.setattr(clip_towers, "same_vectors", lambda short, whole: False)
    with torch.inference_mode():
        whole, images = model.encode_text(torch.from_numpy(ids)), model.encode_image(torch.zeros(1, 3, 32, 32))
        assert shorten_text(model, ids, whole, packed=True) is None and not shorten_images(model, packed=True)
        assert torch.equal(model.encode_text(torch.from_numpy(ids)), whole) and torch.equal(model.encode_image(torch.zeros(1, 3, 32, 32)), images)


@pytest.mark.parametrize("text", [{"embed_cls": True}, {"no_causal_mask": True}, {"pool_type": "last"}, {"pool_type": "first"}])
def test_text_towers_of_another_kind_are_left_alone(text):
    from open_clip import CustomTextCLIP

    vision_cfg = {"image_size": 32, "layers": 1, "width": 32, "head_width": 32, "patch_size": 16}
    model = CustomTextCLIP(24, vision_cfg, {"context_length": CONTEXT, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2} | text).eval()
    ids = padded([[5, 6], [5, 6, 7]])
    with torch.inference_mode():
        assert shorten_text(model, ids, model.encode_text(torch.from_numpy(ids)), packed=True) is None
