"""One order for everybody: prefix, ties, duplicates, batches and permutations change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.errors import UsageError
from parabench.retrieval.embed import unit
from parabench.retrieval.search import GalleryIndex


@st.composite
def searches(draw):
    """Galleries with many exact ties: few distinct directions, repeated."""
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    n, d = draw(st.integers(1, 60)), draw(st.integers(1, 24))
    distinct = rng.integers(-2, 3, (draw(st.integers(1, 40)), d)).astype(np.float32) + np.float32(0.5)
    gallery = unit(distinct[rng.integers(0, len(distinct), n)])
    return gallery, unit(rng.normal(size=(7, d)).astype(np.float32)), draw(st.integers(1, n))


def reference(gallery, queries, k):
    scores = (queries.astype(np.float64) @ gallery.astype(np.float64).T).astype(np.float32)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@settings(deadline=None, max_examples=80)
@given(searches())
def test_order_prefix_and_batch(case):
    gallery, queries, k = case
    index = GalleryIndex(gallery)
    top, scores = index.search(queries, k)
    whole, _ = index.search(queries, len(gallery))
    assert (whole[:, :k] == top).all(), "the result for k is a prefix of the result for any larger k"
    assert (np.diff(scores, axis=1) <= 0).all()
    ties = np.diff(scores, axis=1) == 0
    assert (np.diff(top, axis=1)[ties] > 0).all(), "ties stand in gallery order"
    for row in range(len(queries)):
        alone, alone_scores = index.search(queries[row : row + 1], k)
        assert (alone[0] == top[row]).all() and (alone_scores[0] == scores[row]).all()
    ranks = index.ranks(queries, whole[:, k - 1].astype(np.int64))
    assert (ranks == k).all()


@settings(deadline=None, max_examples=40)
@given(searches(), st.randoms())
def test_permuting_the_gallery_permutes_the_result(case, random):
    gallery, queries, _ = case
    gallery = unit(np.unique(gallery, axis=0) + np.float32(0))
    order = np.array(random.sample(range(len(gallery)), len(gallery)))
    _, scores = GalleryIndex(gallery).search(queries, len(gallery))
    _, permuted = GalleryIndex(gallery[order]).search(queries, len(gallery))
    assert (scores == permuted).all()


def test_against_a_full_sort_on_real_sizes():
    rng = np.random.default_rng(0)
    gallery, queries = (unit(rng.normal(size=(n, 64)).astype(np.float32)) for n in (3000, 200))
    top, _ = GalleryIndex(gallery).search(queries, 100)
    assert (top == reference(gallery, queries, 100)).all()


def test_a_constant_gallery_ranks_in_gallery_order():
    ones = unit(np.ones((500, 16), np.float32))
    top, scores = GalleryIndex(ones).search(ones[:3], 20)
    assert (top == np.arange(20)).all() and len(np.unique(scores)) == 1


def test_nearly_equal_vectors_are_not_lost_at_the_cut():
    rng = np.random.default_rng(1)
    base = rng.normal(size=256)
    gallery = unit((base + 1e-7 * rng.normal(size=(400, 256))).astype(np.float32))
    query = unit(base.astype(np.float32)[None])
    top, _ = GalleryIndex(gallery).search(query, 10)
    scores = np.einsum("nd,d->n", gallery.astype(np.float64), query[0].astype(np.float64)).astype(np.float32)
    assert (top[0] == np.argsort(-scores, kind="stable")[:10]).all()


def test_own_picture_takes_its_leave_one_out_place():
    gallery = unit(np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
    query = unit(np.array([[1, 0]], np.float32))
    own = (np.array([0]), unit(np.array([[0, 1]], np.float32)))
    top, _ = GalleryIndex(gallery).search(query, 3, own=own)
    assert top.tolist() == [[1, 0, 2]]  # ties with item 2, and stands before it
    assert GalleryIndex(gallery).ranks(query, own[0], own_vectors=own[1]).tolist() == [2]


def test_k_beyond_the_gallery_is_refused():
    with pytest.raises(UsageError, match="gallery of 3"):
        GalleryIndex(np.eye(3, dtype=np.float32)).search(np.eye(3, dtype=np.float32), 4)
