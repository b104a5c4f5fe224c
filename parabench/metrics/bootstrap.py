"""Confidence intervals by the cluster bootstrap.

Pairs of one picture are not independent: they share the picture, and often the caption.  So pictures are
resampled, not pairs (Cameron, Gelbach & Miller 2008; Field & Welsh 2007), and the interval is the
percentile interval of the resampled mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError

_CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Estimate:
    """A mean (or median) with its percentile interval; the interval is ``None`` with fewer than two clusters."""

    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    clusters: int


def cluster_index(labels: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """What a cluster is: equal labels.  Returns codes ``(n,)`` in 0…n_clusters−1 and their number."""
    distinct, codes = np.unique(np.asarray(labels), return_inverse=True)
    return codes.astype(np.int64), len(distinct)


def _multiplicities(n_clusters: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each cluster is drawn, ``(resamples of this chunk, n_clusters)``, chunk after chunk.

    Draws come from one stream in order, so the chunk size changes nothing.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_BYTES // (8 * n_clusters))
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        drawn = rng.integers(0, n_clusters, (rows, n_clusters), dtype=np.int32).astype(np.int64)
        drawn += np.arange(rows)[:, None] * n_clusters
        yield np.bincount(drawn.ravel(), minlength=rows * n_clusters).reshape(rows, n_clusters).astype(np.float32)


def cluster_bootstrap(
    values: NDArray[np.float64], clusters: NDArray[Any], *, n_resamples: int = 10_000, seed: int = 0, level: float = 0.95
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
    codes, n_clusters = cluster_index(clusters)
    means = table.mean(axis=0)
    n = len(table)
    if n_clusters < 2:
        return [Estimate(float(mean), None, None, n, n_clusters) for mean in means]
    sizes = np.bincount(codes, minlength=n_clusters).astype(np.float64)
    # centred sums: the resampled mean is mean + Σ w (x − mean) / Σ w, which keeps float32 products exact enough
    sums = np.column_stack([np.bincount(codes, table[:, j] - means[j], n_clusters) for j in range(table.shape[1])])
    factors = np.column_stack([sums, sizes]).astype(np.float32)
    resampled = np.concatenate([chunk @ factors for chunk in _multiplicities(n_clusters, n_resamples, seed)])
    shifted = resampled[:, :-1].astype(np.float64) / resampled[:, -1:]
    low, high = np.quantile(shifted, [(1 - level) / 2, (1 + level) / 2], axis=0) + means
    return [
        Estimate(float(mean), float(below), float(above), n, n_clusters)
        for mean, below, above in zip(means, low, high, strict=True)
    ]


def cluster_bootstrap_median(
    values: NDArray[np.float64], clusters: NDArray[Any], *, n_resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The median with its percentile interval over resampled clusters (the lower median within a resample).

    Raises:
        DataError: no rows, or a NaN among the values.
    """
    table = np.asarray(values, np.float64)
    _check(table[:, None], clusters)
    codes, n_clusters = cluster_index(clusters)
    median = float(np.median(table))
    if n_clusters < 2:
        return Estimate(median, None, None, len(table), n_clusters)
    order = np.argsort(table, kind="stable")
    ordered, owner = table[order], codes[order]
    medians = []
    for chunk in _multiplicities(n_clusters, n_resamples, seed):
        for weights in chunk:
            reached = np.cumsum(weights[owner])
            medians.append(ordered[np.searchsorted(reached, reached[-1] / 2)])
    low, high = np.quantile(np.array(medians), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(median, float(low), float(high), len(table), n_clusters)


def _check(table: NDArray[np.float64], clusters: NDArray[Any]) -> None:
    if len(table) == 0:
        raise DataError("there is nothing to average: no rows")
    if len(table) != len(clusters):
        raise DataError(f"{len(table)} values and {len(clusters)} cluster labels")
    if np.isnan(table).any():
        raise DataError(f"{int(np.isnan(table).sum())} of the values are NaN", "leave these rows out first")
