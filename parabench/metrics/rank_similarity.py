"""How alike two top-k lists are, vectorised over pairs.

Every top-k function takes two arrays ``(n_pairs, K)`` of ids (integers or strings; gallery positions, for
instance), best first, no id twice in a row, and a depth ``1 ≤ k ≤ K``.  It returns float64 ``(n_pairs,)`` in
[0, 1], exactly 1 for identical and exactly 0 for disjoint lists, and raises :class:`DataError` for malformed
rankings and :class:`UsageError` for a depth that they don't have.

With X_d the number of items that the first d places of both lists share:

======  ==================================================  ===========================================
O       X_k / k                                             size of the overlap
AO      (1/k) Σ_d X_d / d                                   Fagin, Kumar & Sivakumar 2003; Wu & Crestani 2003
JS      X_k / (2k − X_k)                                    Jaccard 1912
RBO     (X_k/k) p^k + ((1−p)/p) Σ_d (X_d/d) p^d             Webber, Moffat & Zobel 2010, eq. 30
KT      1 − K^(1/2) / (k² + k(k−1)/2)                       Fagin et al. 2003, neutral penalty
FR      1 − F^(k+1) / (k(k+1))                              Fagin et al. 2003, footrule
======  ==================================================  ===========================================

The ``*_from`` functions work on counts that :func:`shared_counts` or :func:`places` made once for all metrics
of one depth; they check nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError, UsageError
from parabench.metrics.ids import Ids, check_depth, check_rankings, encode

Scores = NDArray[np.float64]
Counts = NDArray[np.integer[Any]]

# pairs a pass: k columns of so many ids stay in the second-level cache
_CHUNK = 8192
# elements of full score vectors ranked at a time
_SCORES = 1 << 21


def overlap(a: Any, b: Any, k: int) -> Scores:
    """``O@k``: share of the first k that both lists hold, X_k / k."""
    return overlap_from(shared_counts(*_checked(a, b, k), k))


def average_overlap(a: Any, b: Any, k: int) -> Scores:
    """``AO@k``: mean over d = 1…k of X_d / d; the first places weigh most."""
    return average_overlap_from(shared_counts(*_checked(a, b, k), k))


def jaccard(a: Any, b: Any, k: int) -> Scores:
    """``JS@k``: intersection over union of the two top-k sets, X_k / (2k − X_k)."""
    return jaccard_from(shared_counts(*_checked(a, b, k), k))


def rank_biased_overlap(a: Any, b: Any, k: int, p: float) -> Scores:
    """``RBO(p)@k``: extrapolated rank-biased overlap, 0 < p < 1 (:class:`UsageError` otherwise)."""
    if not 0 < p < 1:
        raise UsageError(f"p={p} is not a persistence", "p must lie between 0 and 1, both excluded")
    return rank_biased_overlap_from(shared_counts(*_checked(a, b, k), k), p)


def kendall_top_k(a: Any, b: Any, k: int) -> Scores:
    """``KT@k``: top-k Kendall similarity; a pair of items that only one list holds costs 1/2."""
    return kendall_from(places(*_checked(a, b, k), k))


def footrule_top_k(a: Any, b: Any, k: int) -> Scores:
    """``FR@k``: Spearman's footrule similarity with absent items at place k + 1."""
    return footrule_from(places(*_checked(a, b, k), k))


def top1(a: Any, b: Any) -> Scores:
    """``Top1``: 1 where both lists start with the same item, else 0."""
    return top1_from(*_checked(a, b, 1))


def spearman(scores_a: Any, scores_b: Any) -> Scores:
    """Spearman's ρ of full score vectors, row by row, ties at their average rank.

    Args:
        scores_a, scores_b: ``(n, n_gallery)`` real scores, larger is better.

    Returns:
        float64 ``(n,)`` in [−1, 1]; NaN where a row of either side is constant, because it orders nothing.

    Raises:
        DataError: shapes differ or are not two-dimensional, or a score is NaN.
    """
    from scipy.stats import rankdata

    first, second = np.asarray(scores_a), np.asarray(scores_b)
    if first.ndim != 2 or first.shape != second.shape or first.shape[1] == 0:
        raise DataError(
            f"the two score matrices have shapes {first.shape} and {second.shape}", "both must be (n, n_gallery)"
        )
    n, width = first.shape
    result = np.empty(n)
    step = max(1, _SCORES // width)
    for start in range(0, n, step):
        part_a, part_b = first[start : start + step], second[start : start + step]
        if np.isnan(part_a).any() or np.isnan(part_b).any():
            raise DataError("a score is NaN", "score every gallery item before comparing")
        # ranks are half-integers and average (width + 1) / 2 whatever the ties, so centring is exact
        x, y = (np.asarray(rankdata(part, axis=1), np.float64) - (width + 1) / 2 for part in (part_a, part_b))
        with np.errstate(invalid="ignore"):
            rho = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
        result[start : start + step] = np.clip(rho, -1.0, 1.0)
    return result


def shared_counts(a: Ids, b: Ids, k: int) -> Counts:
    """X_d for d = 1…k.

    Args:
        a, b: checked integer ids ``(n_pairs, K)``.
        k: depth.

    Returns:
        ``(k, n_pairs)`` counts, uint8 up to k = 255 and int32 beyond; row d−1 is X_d.
    """
    n = len(a)
    counts = np.empty((k, n), np.uint8 if k <= 255 else np.int32)
    for start in range(0, n, _CHUNK):
        left, right = _columns(a, start, k), _columns(b, start, k)
        part = counts[:, start : start + _CHUNK]
        same = np.empty(left.shape, bool)
        for d in range(k):
            # a match S_i = T_j enters X at depth max(i, j): S_d against T_1…T_d, then T_d against S_1…S_d−1
            np.equal(left[d], right[: d + 1], out=same[: d + 1])
            np.add.reduce(same[: d + 1].view(np.uint8), axis=0, dtype=part.dtype, out=part[d])
            if d:
                np.equal(right[d], left[:d], out=same[:d])
                part[d] += np.add.reduce(same[:d].view(np.uint8), axis=0, dtype=part.dtype)
                part[d] += part[d - 1]
    return counts


def places(a: Ids, b: Ids, k: int) -> Counts:
    """Where the first k items of ``a`` stand among the first k of ``b``.

    Returns:
        ``(k, n_pairs)``: entry (i, pair) is the 0-based place in ``b`` of item i of ``a``, or k if absent;
        uint8 up to k = 255 and int32 beyond.
    """
    n = len(a)
    found = np.empty((k, n), np.uint8 if k <= 255 else np.int32)
    # at most one place matches, so the largest weight tells which
    weight = (k - np.arange(k)).astype(found.dtype)[:, None]
    for start in range(0, n, _CHUNK):
        left, right = _columns(a, start, k), _columns(b, start, k)
        part = found[:, start : start + _CHUNK]
        for i in range(k):
            part[i] = k - np.multiply(left[i] == right, weight).max(axis=0)
    return found


def overlap_from(counts: Counts) -> Scores:
    """``O@k`` from :func:`shared_counts`."""
    k = len(counts)
    return _looked_up(counts[-1], np.arange(k + 1) / k)


def average_overlap_from(counts: Counts) -> Scores:
    """``AO@k`` from :func:`shared_counts`."""
    return _weighted(counts, 1.0 / np.arange(1, len(counts) + 1))


def jaccard_from(counts: Counts) -> Scores:
    """``JS@k`` from :func:`shared_counts`."""
    k = len(counts)
    shared = np.arange(k + 1)
    return _looked_up(counts[-1], shared / (2 * k - shared))


def rank_biased_overlap_from(counts: Counts, p: float) -> Scores:
    """``RBO(p)@k`` from :func:`shared_counts`."""
    k = len(counts)
    depth = np.arange(1, k + 1)
    weights = (1 - p) * p ** (depth - 1.0) / depth
    weights[-1] += p**k / k
    return _weighted(counts, weights)


def kendall_from(found: Counts) -> Scores:
    """``KT@k`` from :func:`places`."""
    k, n = found.shape
    result = np.empty(n)
    for start in range(0, n, _CHUNK):
        part = found[:, start : start + _CHUNK]
        present = part < k
        both = present.sum(axis=0, dtype=np.int64)
        alone = k - both
        # later[i] > earlier: both lists hold the two items in opposite order, or ``a`` puts an item that ``b``
        # lacks ahead of one that ``b`` holds, which ``b`` therefore orders the other way round
        against = np.zeros(part.shape[1], np.int64)
        for i in range(k - 1):
            against += (part[i] > part[i + 1 :]).sum(axis=0, dtype=np.int64)
        # the same with the lists' roles exchanged: items of ``b`` that ``a`` lacks ahead of those it holds
        against += (part * present).sum(axis=0, dtype=np.int64) - both * (both - 1) // 2
        distance = against + alone * alone + 0.5 * alone * (alone - 1)
        result[start : start + _CHUNK] = 1 - distance / (k * k + k * (k - 1) / 2)
    return result


def footrule_from(found: Counts) -> Scores:
    """``FR@k`` from :func:`places`."""
    k, n = found.shape
    result = np.empty(n)
    own = np.arange(k)[:, None]
    for start in range(0, n, _CHUNK):
        part = found[:, start : start + _CHUNK].astype(np.int32)
        moved = np.abs(part - own).sum(axis=0, dtype=np.int64)
        # items that only ``b`` holds move from their place to k: all places of ``b`` less those found
        moved += k * (k + 1) // 2 - (k - part).sum(axis=0, dtype=np.int64)
        result[start : start + _CHUNK] = 1 - moved / (k * (k + 1))
    return result


def top1_from(a: Ids, b: Ids) -> Scores:
    """``Top1`` of checked rankings."""
    return (a[:, 0] == b[:, 0]).astype(np.float64)


def _checked(a: Any, b: Any, k: int) -> tuple[Ids, Ids]:
    left, right = encode(a, b)
    check_rankings(left, right)
    check_depth(k, left)
    return left, right


def _columns(ids: Ids, start: int, k: int) -> Ids:
    return np.ascontiguousarray(ids[start : start + _CHUNK, :k].T)


def _looked_up(counts: Counts, table: Scores) -> Scores:
    return np.take(table, counts)


def _weighted(counts: Counts, weights: Scores) -> Scores:
    """Σ_d w_d X_d over its value for identical lists.

    Summed depth by depth and not by a matrix product: BLAS may round the same counts differently at another
    position in the array, and foil comparisons need equal rankings to give equal bits.
    """
    k, n = counts.shape
    full = float(weights[0])
    for d in range(1, k):
        full += float(weights[d]) * (d + 1)
    result = np.empty(n)
    term = np.empty(min(n, _CHUNK))
    for start in range(0, n, _CHUNK):
        part, total = counts[:, start : start + _CHUNK], result[start : start + _CHUNK]
        step = term[: part.shape[1]]
        np.multiply(part[0], weights[0], out=total, dtype=np.float64)
        for d in range(1, k):
            np.multiply(part[d], weights[d], out=step, dtype=np.float64)
            total += step
        total /= full
    return result


SHARED: dict[str, Callable[[Counts], Scores]] = {
    "O": overlap_from,
    "AO": average_overlap_from,
    "JS": jaccard_from,
}
"""Metrics without a parameter that need only :func:`shared_counts`."""

PLACED: dict[str, Callable[[Counts], Scores]] = {"KT": kendall_from, "FR": footrule_from}
"""Metrics that need only :func:`places`."""
