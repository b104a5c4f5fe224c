"""Confidence intervals by the cluster bootstrap.

Pairs of one picture are not independent: they share the picture, and often the caption.  So pictures are
resampled, not pairs (Cameron, Gelbach & Miller 2008; Field & Welsh 2007), and the interval is the
percentile interval of the resampled mean.

A resample is a vector of multiplicities, how often each cluster was drawn, and a resampled mean is a ratio
of two inner products with it.  So one table of multiplicities serves every number over the same clusters,
and :func:`draws` keeps the latest ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError

Floats = NDArray[np.float64]
Seed = int | tuple[int, ...]
Table = tuple[Floats, NDArray[np.int64]]
"""Values ``(n, m)`` and the cluster of each row ``(n,)``."""

_ROWS = 64  # resamples drawn from one stream at a time: fixed, because 16-bit draws do not resume across calls
_KEPT_BYTES = 200 << 20
_BLOCK_BYTES = 16 << 20
_COLUMNS, _CLUSTERS = 256, 1024  # of a block of the product: 1 MB, which stays in a processor's own cache
_SAMPLED = 320  # resamples that are looked at to find where a tail begins
_TOGETHER = 256  # columns that one product with the resamples serves; reading the resamples is most of a small product
_CANDIDATES, _REACH = 16, 0.3  # of each end of a median's interval, and standard deviations around where it should lie


@dataclass(frozen=True)
class Estimate:
    """A mean (or median) with its percentile interval; the interval is ``None`` with fewer than two clusters."""

    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    clusters: int


@dataclass(frozen=True)
class Draws:
    """How often each of ``n_clusters`` is drawn in each of ``n_resamples`` (n_clusters draws with replacement)."""

    n_clusters: int
    n_resamples: int
    seed: Seed
    kept: NDArray[np.uint8] | None = None

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Resamples as ``(n_clusters, resamples of this block)`` uint8, block after block."""
        if self.kept is not None:
            yield slice(0, self.n_resamples), self.kept
            return
        rng = np.random.default_rng(self.seed)
        kind = np.uint16 if self.n_clusters <= 1 << 16 else np.uint32
        for start in range(0, self.n_resamples, _ROWS):
            drawn = rng.integers(0, self.n_clusters, (_ROWS, self.n_clusters), dtype=kind)
            rows = min(_ROWS, self.n_resamples - start)
            block = np.empty((rows, self.n_clusters), np.uint8)
            for row in range(rows):
                # a multiplicity above 255 has a chance below 1e-500: with n_clusters ≤ 255 it can't happen
                block[row] = np.bincount(drawn[row], minlength=self.n_clusters)
            yield slice(start, start + rows), block.T

    def weights(self, width: int) -> Iterator[NDArray[np.float32]]:
        """Resamples as ``(resamples of this block, n_clusters)`` float32.

        ``width`` is how many columns the caller spreads a row to; blocks are sized so that those fit in memory.
        """
        step = max(1, _BLOCK_BYTES // (4 * max(width, self.n_clusters)))
        for _, block in self.blocks():
            for start in range(0, block.shape[1], step):
                yield block[:, start : start + step].T.astype(np.float32)

    def sums(self, factors: NDArray[np.float32], present: NDArray[np.int64] | None = None) -> Floats:
        """Σ over clusters of multiplicity × factor: ``(m, n_resamples)`` for factors ``(m, clusters)``.

        Args:
            factors: per-cluster totals, float32; products are float32, the totals of blocks float64.
            present: which clusters the columns of ``factors`` stand for; all of them by default.
        """
        totals = np.zeros((len(factors), self.n_resamples))
        count = self.n_clusters if present is None else len(present)
        for where, block in self.blocks():
            for first in range(0, block.shape[1], _COLUMNS):
                some = slice(first, min(first + _COLUMNS, block.shape[1]))
                into = totals[:, where.start + some.start : where.start + some.stop]
                for start in range(0, count, _CLUSTERS):
                    part = slice(start, start + _CLUSTERS)
                    rows = block[part, some] if present is None else block[present[part], some]
                    into += factors[:, part] @ rows.astype(np.float32)
        return totals


@lru_cache(maxsize=2)
def _kept_draws(n_clusters: int, n_resamples: int, seed: Seed) -> Draws:
    made = Draws(n_clusters, n_resamples, seed)
    kept = np.empty((n_clusters, n_resamples), np.uint8)
    for where, block in made.blocks():
        kept[:, where] = block
    return Draws(n_clusters, n_resamples, seed, kept)


def draws(n_clusters: int, n_resamples: int, seed: Seed) -> Draws:
    """The resamples of so many clusters; they depend on nothing else, so numbers over the same clusters share them."""
    if n_clusters * n_resamples <= _KEPT_BYTES:
        return _kept_draws(n_clusters, n_resamples, seed)
    return Draws(n_clusters, n_resamples, seed)


def cluster_index(labels: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """What a cluster is: equal labels.  Returns codes ``(n,)`` in 0…n_clusters−1 and their number."""
    distinct, codes = np.unique(np.asarray(labels), return_inverse=True)
    return codes.astype(np.int64), len(distinct)


def resampled_means(tables: Sequence[Table], resamples: Draws) -> Iterator[Floats]:
    """The mean of every column in every resample: ``(m, n_resamples)`` float64 of each table, in order.

    Args:
        tables: of each, the values ``(n, m)`` float64 and the cluster of each row ``(n,)``, in 0…n_clusters−1;
            clusters may be missing (a part of the data).
        resamples: drawn over all clusters.

    A resample that holds none of a table's rows has no mean: NaN.
    """
    waiting: list[_Totals] = []
    for values, codes in tables:
        waiting.append(_Totals.of(values, codes, resamples.n_clusters))
        if sum(len(totals.factors) for totals in waiting) >= _TOGETHER:
            yield from _resampled(waiting, resamples)
            waiting = []
    yield from _resampled(waiting, resamples)


@dataclass(frozen=True)
class _Totals:
    """Per-cluster sums of a table's columns and, last, the number of its rows: ``(m + 1, n_clusters)`` float32."""

    factors: NDArray[np.float32]
    means: Floats
    present: NDArray[np.int64]

    @classmethod
    def of(cls, values: Floats, codes: NDArray[np.int64], n_clusters: int) -> _Totals:
        sizes = np.bincount(codes, minlength=n_clusters)
        # Hits and counts are summed as they are, which is exact in float32.  Other values are centred: the resampled
        # mean is mean + Σ w (x − mean) / Σ w, and rounding is then relative to the spread.
        exact = (values == np.rint(values)).all(axis=0) & (np.abs(values).sum(axis=0) < 1 << 20)
        means = np.where(exact, 0.0, _means(values))
        rows = [np.bincount(codes, values[:, j] - means[j], n_clusters) for j in range(values.shape[1])]
        return cls(np.stack([*rows, sizes.astype(np.float64)]).astype(np.float32), means, np.flatnonzero(sizes))

    @property
    def wide(self) -> bool:
        """Whether it holds so many of the clusters that leaving out the others saves nothing."""
        return bool(4 * len(self.present) >= self.factors.shape[1])

    def resampled(self, sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            shifted: Floats = sums[:-1] / sums[-1]
        shifted += self.means[:, None]
        return shifted


def _resampled(tables: Sequence[_Totals], resamples: Draws) -> Iterator[Floats]:
    """Resampled means of several tables: one product for those that hold many clusters, a small one for each other."""
    wide = [totals for totals in tables if totals.wide]
    shared: Iterator[Floats] = iter(())
    if wide:
        stacked = resamples.sums(np.concatenate([totals.factors for totals in wide]))
        shared = iter(np.split(stacked, np.cumsum([len(totals.factors) for totals in wide])[:-1]))
    for totals in tables:
        if totals.wide:
            yield totals.resampled(next(shared))
        else:
            yield totals.resampled(resamples.sums(totals.factors[:, totals.present], totals.present))


def interval(resampled: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """The percentile intervals ``(low, high)``, each ``(m,)``, of rows of resampled values ``(m, n_resamples)``.

    NaN (empty resamples) are left out; a row of nothing else has the interval (NaN, NaN).

    The quantiles are those of :func:`numpy.quantile` (linear), found in the tail that holds them: a sample of the row
    says about where it begins.
    """
    low, high = np.empty(len(resampled)), np.empty(len(resampled))
    whole: list[bool] = np.isfinite(resampled.sum(axis=1)).tolist()
    sampled = np.sort(resampled[:, :: max(1, resampled.shape[1] // _SAMPLED)], axis=1)
    within = min(sampled.shape[1] - 1, int((1 - level) * sampled.shape[1]) + 4)  # twice the tail, and a little
    for row, values in enumerate(resampled):
        values = values if whole[row] else values[~np.isnan(values)]
        if len(values) == 0:
            low[row] = high[row] = np.nan
            continue
        tails = (values[values <= sampled[row, within]], values[values >= sampled[row, -1 - within]]) if whole[row] else ((), ())
        low[row] = _order_statistic(tails[0], (1 - level) / 2 * (len(values) - 1), values, 0)
        high[row] = _order_statistic(tails[1], (1 + level) / 2 * (len(values) - 1), values, len(values) - len(tails[1]))
    return low, high


def bounds(resampled: Floats, level: float = 0.95) -> list[tuple[float, float] | None]:
    """:func:`interval`, a pair a row; ``None`` where no resample has a value."""
    low, high = interval(resampled, level)
    return [None if np.isnan(below) else (below, above) for below, above in zip(low.tolist(), high.tolist(), strict=True)]


def _means(values: Floats) -> Floats:
    """The mean of each column ``(m,)``; of equal values it is that value, to the last bit, and so are its resampled means."""
    means: Floats = np.where((values == values[0]).all(axis=0), values[0], values.mean(axis=0))
    return means


def _order_statistic(tail: Floats | Sequence[float], position: float, values: Floats, first: int) -> float:
    """The value at a (fractional) place of the sorted values; ``tail`` holds the sorted places from ``first`` on, in any order."""
    below = int(position)
    above = min(below + 1, len(values) - 1)
    if not first <= below <= above < first + len(tail):
        tail, first = values, 0
    ordered = np.partition(tail, sorted({below - first, above - first}))
    left, right, share = ordered[below - first], ordered[above - first], position - below
    # from the nearer end, as numpy rounds it
    return float(left + (right - left) * share if share < 0.5 else right - (right - left) * (1 - share))


def cluster_bootstrap(
    values: Floats, clusters: NDArray[Any], *, n_resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> list[Estimate]:
    """Means of columns with percentile intervals over resampled clusters.

    Args:
        values: ``(n,)`` or ``(n, m)`` float64; columns share the resamples.
        clusters: ``(n,)`` label of each row's cluster (the picture).
        n_resamples: number of bootstrap resamples.
        seed: of the resampling.
        level: coverage of the interval.

    Returns:
        One :class:`Estimate` a column.

    Raises:
        DataError: no rows, or a NaN among the values.
    """
    table = np.asarray(values, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    _check(table, clusters)
    codes, found = cluster_index(clusters)
    return bootstrap_parts([(table, codes)], found, n_resamples=n_resamples, seed=seed, level=level)[0]


def bootstrap_parts(
    parts: Sequence[Table], n_clusters: int, *, n_resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> list[list[Estimate]]:
    """The same for parts of one set of clusters: all clusters are resampled, and the parts share the resamples.

    Args:
        parts: of each, values ``(n, m)`` float64 and the cluster of each row ``(n,)``, in 0…n_clusters−1.
        n_clusters: of the whole set.
        n_resamples: number of bootstrap resamples.
        seed: of the resampling.
        level: coverage of the interval.

    Returns:
        For each part, one :class:`Estimate` a column; without an interval where it has fewer than two clusters, or where
        no resample holds any of its rows.

    Raises:
        DataError: a part has no rows, or a NaN among its values.
    """
    for values, codes in parts:
        _check(values, codes)
    held = [int(np.count_nonzero(np.bincount(codes, minlength=n_clusters))) for _, codes in parts]
    several = [part for part, clusters in zip(parts, held, strict=True) if clusters > 1]
    resampled = resampled_means(several, draws(n_clusters, n_resamples, seed)) if several else iter(())
    estimates = []
    for (values, _), clusters in zip(parts, held, strict=True):
        ends = bounds(next(resampled), level) if clusters > 1 else [None] * values.shape[1]
        estimates.append([
            Estimate(mean, None if held is None else held[0], None if held is None else held[1], len(values), clusters)
            for mean, held in zip(_means(values).tolist(), ends, strict=True)
        ])  # fmt: skip
    return estimates


def cluster_bootstrap_median(
    values: Floats, clusters: NDArray[Any], *, n_resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The median with its percentile interval over resampled clusters; of an even number, the mean of the middle two.

    Resamples are not sorted.  A resample's lower middle is the smallest value with at least half of the weight at or below
    it, its upper middle the smallest with more than half, and the α-quantile of either over the resamples is the smallest
    value that a share of α of them has reached; so it is bracketed among the distinct values.  Where the quantiles of
    both are one value, it is that of the median; else the medians that lie around them are computed.

    Raises:
        DataError: no rows, or a NaN among the values.
    """
    table = np.asarray(values, np.float64)
    _check(table[:, None], clusters)
    codes, found = cluster_index(clusters)
    median = float(np.median(table))
    if found < 2:
        return Estimate(median, None, None, len(table), found)
    resamples = draws(found, n_resamples, seed)
    distinct, place = np.unique(table, return_inverse=True)
    tail = round((1 - level) / 2, 12)  # .025, not a bit more
    levels = [tail, 1 - tail]
    middles = _middle_quantiles(levels, place, codes, resamples)
    low, high = (
        float(distinct[lower]) if lower == upper else _median_quantile(level, (lower, upper), distinct, place, codes, resamples)
        for level, lower, upper in zip(levels, *middles, strict=True)
    )
    return Estimate(median, low, high, len(table), found)


def _middle_quantiles(
    levels: Sequence[float], place: NDArray[np.int64], codes: NDArray[np.int64], resamples: Draws
) -> tuple[list[int], list[int]]:
    """The quantiles of the resamples' lower middles, and of their upper ones, as places among the distinct values."""
    n, ordered = len(place), np.sort(place)
    below = (place <= ordered[(n - 1) // 2]).astype(np.float64)
    spread = np.sqrt((np.bincount(codes, below - below.mean()) ** 2).sum()) / n  # of the share at or below the median
    # each end lies within a few of these; if not, the brackets below find it all the same
    expected = np.array([NormalDist().inv_cdf(level) for level in levels])
    offsets = (expected[:, None] + np.linspace(-_REACH, _REACH, _CANDIDATES)).ravel()
    tried = np.unique(ordered[np.clip((0.5 + spread * offsets) * n, 0, n - 1).astype(np.int64)])
    share = {int(ordered[-1]): (1.0, 1.0)}  # every resample has all of its weight at or below the largest value
    while len(tried):
        balance = _balance(tried, place, codes, resamples)
        reached = ((balance >= 0).mean(axis=1).tolist(), (balance > 0).mean(axis=1).tolist())
        share |= dict(zip(tried.tolist(), zip(*reached, strict=True), strict=True))
        brackets = [
            (max((at + 1 for at, s in share.items() if s[side] < level), default=0), min(at for at, s in share.items() if s[side] >= level))
            for side in (0, 1) for level in levels
        ]  # fmt: skip
        between = [np.linspace(low, high - 1, _CANDIDATES).astype(np.int64) for low, high in brackets if low < high]
        tried = np.unique(np.concatenate(between)) if between else tried[:0]
    ends = [high for _, high in brackets]
    return ends[: len(levels)], ends[len(levels) :]


def _balance(tried: NDArray[np.int64], place: NDArray[np.int64], codes: NDArray[np.int64], resamples: Draws) -> Floats:
    """Σ w (2·[x ≤ v] − 1) of each tried value and resample: at least 0 where half of the weight lies at or below v."""
    factors = np.stack([np.bincount(codes, 2.0 * (place <= at) - 1, resamples.n_clusters) for at in tried])
    return resamples.sums(factors.astype(np.float32))  # small integers are exact in float32


def _median_quantile(
    level: float, middles: tuple[int, int], distinct: Floats, place: NDArray[np.int64], codes: NDArray[np.int64], resamples: Draws
) -> float:
    """A quantile of the resamples' medians, which lies between those of their lower and upper middles (places).

    Medians below or above a few values around these count as −∞ and ∞.
    """
    margin = _CANDIDATES
    while True:
        first, last = max(0, middles[0] - margin), min(len(distinct) - 1, middles[1] + margin)
        balance = _balance(np.arange(first, last + 1), place, codes, resamples)
        lower, upper = first + (balance >= 0).argmax(axis=0), first + (balance > 0).argmax(axis=0)
        below, above = (balance[0] >= 0) & (first > 0), balance[-1] <= 0  # the lower middle may be before the window, the upper after it
        unknown = below & (balance[0] == 0) & (upper >= middles[0]) | above & (balance[-1] == 0) & (lower <= middles[1])
        if not unknown.any():
            break
        margin *= 4
    medians = (distinct[lower] + distinct[upper]) / 2
    medians[below], medians[above] = -np.inf, np.inf
    return float(np.quantile(medians, level, method="inverted_cdf"))


def _check(table: Floats, clusters: Sequence[Any] | NDArray[Any]) -> None:
    if len(table) == 0:
        raise DataError("there is nothing to average: no rows")
    if len(table) != len(clusters):
        raise DataError(f"{len(table)} values and {len(clusters)} cluster labels")
    if np.isnan(table).any():
        raise DataError(f"{int(np.isnan(table).sum())} of the values are NaN", "leave these rows out first")
