"""How alike two top-k lists are.  Vectorised over pairs; every function gives 1 for identical and 0 for disjoint lists.

All functions take two integer arrays ``(n_pairs, K)`` of gallery positions, best first, no repeats in a
row, and a depth ``k ≤ K``, and return float64 ``(n_pairs,)`` in [0, 1].  With X_d the number of items that
the first d of both lists share:

======  ==================================================  ======================================
O       X_k / k                                             overlap
AO      (1/k) Σ_d X_d / d                                   Fagin, Kumar & Sivakumar 2003
JS      X_k / (2k − X_k)                                    Jaccard
RBO     (X_k/k) p^k + ((1−p)/p) Σ_d (X_d/d) p^d             Webber, Moffat & Zobel 2010, eq. 32
KT      1 − K^(1/2) / (k² + k(k−1)/2)                       Fagin et al. 2003, neutral penalty
FR      1 − F^(k+1) / (k(k+1))                              Fagin et al. 2003, footrule
======  ==================================================  ======================================
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Scores = NDArray[np.float64]

CHUNK = 8192
"""Pairs whose k columns stay in the second-level cache; whoever computes several things of them goes through so many at a time."""


def _columns(ids: Ids, start: int, k: int) -> Ids:
    """``(k, n ≤ CHUNK)``, every row in one piece; a view where the ids lie so already."""
    columns = ids[start : start + CHUNK, :k].T
    return columns if columns.strides[1] == columns.itemsize else np.ascontiguousarray(columns)


def shared_counts(a: Ids, b: Ids, k: int) -> NDArray[np.int64]:
    """X_d for d = 1…k: ``(k, n_pairs)`` integer counts of items that the first d of both lists share."""
    n = len(a)
    counts = np.empty((k, n), np.uint8 if k <= 255 else np.int32)
    for start in range(0, n, CHUNK):
        left, right = _columns(a, start, k), _columns(b, start, k)
        part = counts[:, start : start + CHUNK]
        same = np.empty((2 * k - 1, left.shape[1]), bool)
        for d in range(k):
            # items that meet exactly at depth d+1: S[d] with T[:d+1], and T[d] with S[:d]
            np.equal(left[d], right[: d + 1], out=same[: d + 1])
            np.equal(right[d], left[:d], out=same[d + 1 : 2 * d + 1])
            np.add.reduce(same[: 2 * d + 1].view(np.uint8), axis=0, dtype=part.dtype, out=part[d])
            if d:
                part[d] += part[d - 1]
    return counts


def repeats(ids: Ids, k: int) -> NDArray[np.int64]:
    """Numbers of the rows whose first ``k`` ids are not all different."""
    bad = np.zeros(len(ids), bool)
    for start in range(0, len(ids), CHUNK):
        columns = _columns(ids, start, k)
        same, part = np.empty(columns.shape, bool), bad[start : start + CHUNK]
        for d in range(1, k):
            np.equal(columns[d], columns[:d], out=same[:d])
            part |= np.bitwise_or.reduce(same[:d], axis=0)
    return np.flatnonzero(bad)


def overlap_from(counts: NDArray[np.int64]) -> Scores:
    """``O@k`` from :func:`shared_counts`."""
    result: Scores = counts[-1] / len(counts)
    return result


def average_overlap_from(counts: NDArray[np.int64]) -> Scores:
    """``AO@k`` from :func:`shared_counts`."""
    return _weighted(counts, 1.0 / np.arange(1, len(counts) + 1) / len(counts))


def jaccard_from(counts: NDArray[np.int64]) -> Scores:
    """``JS@k`` from :func:`shared_counts`."""
    k = len(counts)
    table = np.arange(k + 1) / (2 * k - np.arange(k + 1))
    result: Scores = table[counts[-1]]
    return result


def rank_biased_overlap_from(counts: NDArray[np.int64], p: float) -> Scores:
    """``RBO(p)@k``, extrapolated, from :func:`shared_counts`."""
    k = len(counts)
    depth = np.arange(1, k + 1)
    weights = (1 - p) / p * p**depth / depth
    weights[-1] += p**k / k
    return _weighted(counts, weights)


def _weighted(counts: NDArray[np.int64], weights: NDArray[np.float64]) -> Scores:
    """Σ_d w_d X_d, exactly 1 where the lists agree at every depth."""
    n = counts.shape[1]
    result = np.empty(n)
    terms = np.empty(min(n, CHUNK))
    full = sum(depth * weight for depth, weight in enumerate(weights.tolist(), 1))
    for start in range(0, n, CHUNK):
        part, total = counts[:, start : start + CHUNK], result[start : start + CHUNK]
        term = terms[: len(total)]
        total[:] = 0.0
        for weight, shared in zip(weights.tolist(), part, strict=True):  # a matrix product would round by batch size
            np.multiply(shared, weight, out=term)
            total += term
        total /= full
        np.minimum(total, 1.0, out=total)
    return result


def _places(a: Ids, b: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each item of one list stands in the other: 0-based ``(n, k)``, k where absent."""
    k = a.shape[1]
    in_b, in_a = np.full(a.shape, k), np.full(b.shape, k)
    for place in range(k):
        np.copyto(in_b, place, where=a == b[:, place, None])
        np.copyto(in_a, place, where=b == a[:, place, None])
    return in_b, in_a


def kendall(a: Ids, b: Ids, k: int) -> Scores:
    """``KT@k``: top-k Kendall similarity with the neutral penalty 1/2 for pairs that only one list holds."""
    result = np.empty(len(a))
    step = max(1, (1 << 22) // (k * k))
    upper = np.triu(np.ones((k, k), bool), 1)
    for start in range(0, len(a), step):
        in_b, in_a = _places(a[start : start + step, :k], b[start : start + step, :k])
        both = in_b < k
        first, second = in_b[:, :, None], in_b[:, None, :]
        # both items in both lists, in opposite order
        discordant = ((first > second) & both[:, :, None] & both[:, None, :] & upper).sum((1, 2))
        # i ahead of j in one list that holds both; the other holds only j, so it says j ahead of i
        only_second = (~both[:, :, None] & both[:, None, :] & upper).sum((1, 2))
        back = in_a < k
        only_second = only_second + (~back[:, :, None] & back[:, None, :] & upper).sum((1, 2))
        missing = k - both.sum(1)
        # one list holds only i, the other only j: certainly opposite; a list holds both, the other neither: 1/2
        distance = discordant + only_second + missing * missing + 0.5 * missing * (missing - 1)
        result[start : start + step] = 1 - distance / (k * k + k * (k - 1) / 2)
    return result


def footrule(a: Ids, b: Ids, k: int) -> Scores:
    """``FR@k``: Spearman's footrule similarity, absent items at place k + 1."""
    result = np.empty(len(a))
    step = max(1, (1 << 22) // (k * k))
    place = np.arange(k)
    for start in range(0, len(a), step):
        in_b, in_a = _places(a[start : start + step, :k], b[start : start + step, :k])
        distance = np.abs(in_b - place).sum(1) + np.where(in_a == k, k - place, 0).sum(1)
        result[start : start + step] = 1 - distance / (k * (k + 1))
    return result


def top1(a: Ids, b: Ids) -> Scores:
    """``Top1``: 1 where both lists start with the same item."""
    result: Scores = (a[:, 0] == b[:, 0]).astype(np.float64)
    return result


def spearman(scores_a: NDArray[np.floating], scores_b: NDArray[np.floating]) -> Scores:
    """Spearman's ρ of full score vectors ``(n, n_gallery)``, row by row, ties at their average rank.

    In [−1, 1]; NaN where a row is constant, because no order exists to compare.
    """
    from scipy.stats import rankdata

    x, y = (rankdata(scores, axis=1).astype(np.float64) for scores in (scores_a, scores_b))
    x -= x.mean(axis=1, keepdims=True)
    y -= y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        result: Scores = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return result
