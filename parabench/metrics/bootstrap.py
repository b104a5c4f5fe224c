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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError

Floats = NDArray[np.float64]
Seed = int | tuple[int, ...]

_ROWS = 64  # resamples drawn from one stream at a time: fixed, because 16-bit draws do not resume across calls
_KEPT_BYTES = 200 << 20
_BLOCK_BYTES = 16 << 20
_CANDIDATES = 16


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
            step = max(1, _BLOCK_BYTES // (4 * block.shape[1]))
            for start in range(0, count, step):
                part = slice(start, start + step)
                rows = block[part] if present is None else block[present[part]]
                totals[:, where] += factors[:, part] @ rows.astype(np.float32)
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


def resampled_means(values: Floats, codes: NDArray[np.int64], resamples: Draws) -> Floats:
    """The mean of every column in every resample: ``(m, n_resamples)`` float64.

    Args:
        values: ``(n, m)`` float64.
        codes: ``(n,)`` cluster of each row, in 0…n_clusters−1; clusters may be missing (a slice of the data).
        resamples: drawn over all clusters.

    A resample that holds none of the rows has no mean: NaN.
    """
    sizes = np.bincount(codes, minlength=resamples.n_clusters)
    present = np.flatnonzero(sizes)
    # Hits and counts are summed as they are, which is exact in float32.  Other values are centred: the resampled
    # mean is mean + Σ w (x − mean) / Σ w, and rounding is then relative to the spread.
    exact = (values == np.rint(values)).all(axis=0) & (np.abs(values).sum(axis=0) < 1 << 20)
    means = np.where(exact, 0.0, values.mean(axis=0))
    rows = [np.bincount(codes, values[:, j] - means[j], resamples.n_clusters) for j in range(values.shape[1])]
    factors = np.stack([*rows, sizes.astype(np.float64)])[:, present].astype(np.float32)
    sums = resamples.sums(factors, None if len(present) == resamples.n_clusters else present)
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = sums[:-1] / sums[-1]
    result: Floats = shifted + means[:, None]
    return result


def interval(resampled: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """The percentile interval ``(low, high)`` of each row of resampled values; empty resamples (NaN) are left out."""
    ends = [(1 - level) / 2, (1 + level) / 2]
    quantile = np.nanquantile if np.isnan(resampled).any() else np.quantile
    low, high = quantile(resampled, ends, axis=-1)
    return low, high


def cluster_bootstrap(
    values: Floats,
    clusters: NDArray[Any],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    n_clusters: int | None = None,
) -> list[Estimate]:
    """Means of columns with percentile intervals over resampled clusters.

    Args:
        values: ``(n,)`` or ``(n, m)`` float64; columns share the resamples.
        clusters: ``(n,)`` label of each row's cluster (the picture).
        n_resamples: number of bootstrap resamples.
        seed: of the resampling.
        level: coverage of the interval.
        n_clusters: where the rows are a part of a larger set: the set's number of clusters, and ``clusters``
            are then codes below it.  All clusters are resampled, so that parts of one set share their
            resamples.

    Returns:
        One :class:`Estimate` a column.

    Raises:
        DataError: no rows, or a NaN among the values.
    """
    table = np.asarray(values, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    _check(table, clusters)
    codes, found = cluster_index(clusters)
    if n_clusters is not None:
        codes = np.asarray(clusters, np.int64)
    means, n = table.mean(axis=0), len(table)
    if found < 2:
        return [Estimate(float(mean), None, None, n, found) for mean in means]
    low, high = interval(resampled_means(table, codes, draws(n_clusters or found, n_resamples, seed)), level)
    return [
        Estimate(float(mean), float(below), float(above), n, found)
        for mean, below, above in zip(means, low, high, strict=True)
    ]


def cluster_bootstrap_median(
    values: Floats, clusters: NDArray[Any], *, n_resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The median with its percentile interval over resampled clusters (the lower median within a resample).

    No resample is sorted: the α-quantile of the resampled medians is the smallest value v for which a share
    of α of the resamples has at least half of its weight at or below v, so v is bracketed among the
    distinct values.

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
    ends = _median_quantiles([(1 - level) / 2, (1 + level) / 2], distinct, place, codes, resamples)
    return Estimate(median, ends[0], ends[1], len(table), found)


def _median_quantiles(
    levels: Sequence[float], distinct: Floats, place: NDArray[np.int64], codes: NDArray[np.int64], resamples: Draws
) -> list[float]:
    n, ordered = len(place), np.sort(place)
    below = (place <= ordered[(n - 1) // 2]).astype(np.float64)
    spread = np.sqrt((np.bincount(codes, below - below.mean()) ** 2).sum()) / n  # of the share at or below the median
    # both ends lie within a few of these; if not, the brackets below find them all the same
    positions = np.clip((0.5 + spread * np.linspace(-3, 3, _CANDIDATES)) * n, 0, n - 1).astype(np.int64)
    tried = np.unique(ordered[positions])
    share = {len(distinct) - 1: 1.0}  # every resample has all of its weight at or below the largest value
    while len(tried):
        share |= dict(zip(tried.tolist(), _share_reached(tried, place, codes, resamples).tolist(), strict=True))
        brackets = [
            (max((at + 1 for at, s in share.items() if s < level), default=0), min(at for at, s in share.items() if s >= level))
            for level in levels
        ]
        between = [np.linspace(low, high - 1, 8).astype(np.int64) for low, high in brackets if low < high]
        tried = np.unique(np.concatenate(between)) if between else tried[:0]
    return [float(distinct[high]) for _, high in brackets]


def _share_reached(
    tried: NDArray[np.int64], place: NDArray[np.int64], codes: NDArray[np.int64], resamples: Draws
) -> Floats:
    """The share of resamples whose median is at or below each tried value."""
    # Σ w (2·[x ≤ v] − 1) ≥ 0 means that half of the weight lies at or below v; small integers are exact in float32
    balance = np.stack([np.bincount(codes, 2.0 * (place <= at) - 1, resamples.n_clusters) for at in tried])
    share: Floats = (resamples.sums(balance.astype(np.float32)) >= 0).mean(axis=1)
    return share


def _check(table: Floats, clusters: Sequence[Any] | NDArray[Any]) -> None:
    if len(table) == 0:
        raise DataError("there is nothing to average: no rows")
    if len(table) != len(clusters):
        raise DataError(f"{len(table)} values and {len(clusters)} cluster labels")
    if np.isnan(table).any():
        raise DataError(f"{int(np.isnan(table).sum())} of the values are NaN", "leave these rows out first")
