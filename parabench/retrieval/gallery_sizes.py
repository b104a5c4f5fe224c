"""The same queries in smaller and larger galleries: how much of a score is owed to the size of the search.

A query's gallery of size m holds its own picture and the first m − 1 other pictures of one seeded order of
the gallery.  So the galleries of one query are nested, the right picture is always there, and a caption
and its paraphrases search the same pictures.  Larger galleries add distractors, pictures that are nobody's
answer, in the order in which they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.protocol import FloatMatrix
from parabench.retrieval.embed import unit
from parabench.retrieval.search import GalleryIndex, replace_own

Positions = NDArray[np.int32]
Scores = NDArray[np.float32]

LADDER = (100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000)
_BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class Distractors:
    """Pictures that are nobody's answer: ``vectors`` ``(n, dim)``, any float type, and where they come from."""

    name: str
    vectors: NDArray[np.floating]
    fingerprint: str


def default_sizes(n_images: int, n_distractors: int, k: int) -> tuple[int, ...]:
    """The rungs of the ladder that are at least ``2 k`` and below all pictures, then all with distractors, if any."""
    total = n_images + n_distractors
    rungs = [size for size in LADDER if 2 * k <= size < total and size != n_images]
    return (*rungs, *([total] if n_distractors else []))


def smaller_tops(
    gallery: FloatMatrix, texts: FloatMatrix, targets: NDArray[np.int64], own: FloatMatrix | None, sizes: tuple[int, ...],
    k: int, seed: int,
) -> dict[int, Positions]:  # fmt: skip
    """The top ``k`` of every query in galleries smaller than the whole: size → positions ``(q, k)`` in the whole.

    Args:
        gallery: ``(n, d)`` unit vectors in gallery order.
        texts: ``(q, d)`` unit vectors of the queries.
        targets: ``(q,)`` position of each query's own picture.
        own: for a caption gallery, the vector ``(q, d)`` that stands for the own picture in this query.
        sizes: below ``n`` and at least ``k``.
        k: depth.
        seed: of the order of the gallery.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(gallery))
    place = np.empty(len(gallery), np.int64)
    place[order] = np.arange(len(gallery))
    vectors = gallery[targets] if own is None else own
    tops = {}
    for size in sizes:
        chosen = np.sort(order[:size])  # gallery order, so that ties break as in the whole gallery
        found, scores = GalleryIndex(gallery[chosen]).search(texts, min(k + 2, size))
        places = chosen[found]
        # a query whose own picture is not among the first m takes the place of the last of them
        last = (place[targets] >= size)[:, None] & (places == order[size - 1])
        scores = np.where(last, -np.inf, scores).astype(np.float32)
        merged, _ = replace_own(texts, places, scores, targets, vectors)
        tops[size] = merged[:, :k].astype(np.int32)
    return tops


def larger_tops(
    top: Positions, scores: Scores, texts: FloatMatrix, n_images: int, distractors: Distractors, sizes: tuple[int, ...]
) -> dict[int, Positions]:
    """The top of every query with distractors added: size → positions ``(q, k)``, distractors from ``n_images`` on.

    Args:
        top, scores: ``(q, k)`` of the whole gallery, as searched.
        texts: ``(q, d)`` unit vectors of the queries.
        n_images: size of the gallery.
        distractors: at least as many as the largest size needs.
        sizes: above ``n_images``, ascending.
    """
    k = top.shape[1]
    tops, done = {}, 0
    for size in sizes:
        while done < size - n_images:
            rows = slice(done, min(size - n_images, done + _BLOCK_ROWS))
            index = GalleryIndex(unit(np.asarray(distractors.vectors[rows], np.float32)))
            found, found_scores = index.search(texts, min(k, index.size))
            positions = np.concatenate([top, found + n_images + done], axis=1)
            both = np.concatenate([scores, found_scores], axis=1)
            best = np.lexsort((positions, -both), axis=1)[:, :k]
            top = np.take_along_axis(positions, best, 1).astype(np.int32)
            scores = np.take_along_axis(both, best, 1)
            done = rows.stop
        tops[size] = top
    return tops

