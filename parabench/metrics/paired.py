"""Two models on the same items: is the difference more than chance, and how small a difference could be seen?

Items of one picture are not independent, so the picture is the unit here too: it is resampled for the
interval, and its sign is flipped for the p-value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError
from parabench.metrics.bootstrap import Floats, cluster_bootstrap, cluster_index

EXACT_CLUSTERS = 12
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class PairedDifference:
    """A mean paired difference; all but the first and the last two are ``None`` with fewer than two clusters."""

    difference: float
    ci_low: float | None
    ci_high: float | None
    p: float | None
    minimum_detectable: float | None
    n: int
    clusters: int


def paired_differences(
    differences: Floats,
    clusters: NDArray[Any],
    *,
    n_resamples: int = 10_000,
    n_permutations: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[PairedDifference]:
    """Mean, cluster bootstrap interval, sign-flip p-value and minimum detectable difference of each column.

    Args:
        differences: ``(n,)`` or ``(n, m)``: value of one model minus value of the other, item by item.
        clusters: ``(n,)`` label of each item's cluster (the picture).
        n_resamples: of the bootstrap.
        n_permutations: random sign patterns of the test, where there are too many for all of them.
        seed: of both.
        level: coverage of the interval; the minimum detectable difference is for α = 1 − level.

    Raises:
        DataError: no items, or a NaN among the differences.
    """
    table = np.asarray(differences, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    estimates = cluster_bootstrap(table, clusters, n_resamples=n_resamples, seed=seed, level=level)
    if estimates[0].clusters < 2:
        return [PairedDifference(e.value, None, None, None, None, e.n, e.clusters) for e in estimates]
    p_values = sign_flip_test(table, clusters, n_permutations=n_permutations, seed=seed)
    smallest = minimum_detectable_difference(table, clusters, alpha=1 - level)
    return [
        PairedDifference(e.value, e.ci_low, e.ci_high, p, least, e.n, e.clusters)
        for e, p, least in zip(estimates, p_values.tolist(), smallest.tolist(), strict=True)
    ]


def sign_flip_test(
    differences: Floats, clusters: NDArray[Any], *, n_permutations: int = 10_000, seed: int = 0
) -> Floats:
    """Two-sided p-value ``(m,)`` of each column's mean: could the models have been swapped, picture by picture?

    Under the null hypothesis the two models are exchangeable within each cluster, so the sign of a
    cluster's total is a coin flip (Fisher 1935; Good 2005, ch. 3).  With at most 12 clusters whose total is
    not zero, all sign patterns are enumerated and p is exact; else p = (b + 1) / (m + 1) for b of m random
    patterns at least as extreme (Phipson & Smyth 2010), which is never 0.
    """
    table = np.asarray(differences, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    codes, n_clusters = cluster_index(clusters)
    totals: Floats = np.stack([np.bincount(codes, column, n_clusters) for column in table.T]).astype(np.float64)  # (m, clusters)
    observed = np.abs(totals.sum(axis=1))
    # float32 sums of the same numbers in another order differ in the last bits; a tie is as extreme as what was
    # seen, so what comes as near as rounding could put a tie counts too (some 1e-4 of the spread at most)
    reach = observed - 1e-6 * np.abs(totals).sum(axis=1)
    p = np.empty(len(totals))
    many = []
    for column, row in enumerate(totals):
        moved = row[row != 0]
        if len(moved) <= EXACT_CLUSTERS:
            signs = 1 - 2 * ((np.arange(1 << len(moved))[:, None] >> np.arange(len(moved))) & 1)
            p[column] = (np.abs(signs @ moved) >= reach[column]).mean()
        else:
            many.append(column)
    if many:
        p[many] = _random_flips(totals[many], reach[many], n_permutations, seed)
    return p


def _random_flips(totals: Floats, reach: Floats, n_permutations: int, seed: int) -> Floats:
    """(b + 1) / (m + 1); all columns share the sign patterns."""
    rng = np.random.default_rng([seed, 1])  # not the stream of the bootstrap
    width = -(-n_permutations // 8)
    sums = np.zeros((len(totals), 8 * width))
    step = max(1, _BLOCK_BYTES // (32 * width))
    for start in range(0, totals.shape[1], step):
        part = totals[:, start : start + step].astype(np.float32)
        bits = np.unpackbits(np.frombuffer(rng.bytes(part.shape[1] * width), np.uint8).reshape(-1, width), axis=1)
        sums += part @ bits.astype(np.float32)
    sums = 2 * sums - totals.sum(axis=1, keepdims=True)  # Σ over heads − Σ over tails
    beyond = (np.abs(sums[:, :n_permutations]) >= reach[:, None]).sum(axis=1)
    result: Floats = (beyond + 1) / (n_permutations + 1)
    return result


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """p-values adjusted for their number by Holm's step-down method (Scandinavian Journal of Statistics, 1979).

    The i-th smallest of m is multiplied by m − i + 1; later ones are never smaller than earlier ones, and
    none is above 1.

    Raises:
        DataError: a value is not between 0 and 1.
    """
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("a p-value is not between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def clustered_standard_error(values: Floats, clusters: NDArray[Any]) -> Floats:
    """Cluster-robust standard error ``(m,)`` of the mean of each column.

    √(C/(C−1) · Σ_c (Σ_{i in c} (x_i − x̄))²) / n, the sandwich estimator of a mean (Cameron & Miller 2015,
    with the correction C/(C−1)).

    Raises:
        DataError: fewer than two clusters.
    """
    table = np.asarray(values, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    codes, n_clusters = cluster_index(clusters)
    if n_clusters < 2:
        raise DataError("a standard error over clusters needs at least two clusters")
    centred = table - table.mean(axis=0)
    totals = np.stack([np.bincount(codes, column, n_clusters) for column in centred.T])
    result: Floats = np.sqrt((totals**2).sum(axis=1) * n_clusters / (n_clusters - 1)) / len(table)
    return result


def minimum_detectable_difference(
    differences: Floats, clusters: NDArray[Any], *, alpha: float = 0.05, power: float = 0.8
) -> Floats:
    """The true difference ``(m,)`` that a two-sided test at ``alpha`` would find with ``power`` on such a set.

    (t_{1−α/2} + t_{power}) · SE with C − 1 degrees of freedom and the clustered standard error of the paired
    differences (Bloom 1995, *Minimum Detectable Effects*); with many clusters 2.80 · SE.  It says what the
    set could have shown, before looking at what it did show.

    Raises:
        DataError: fewer than two clusters.
    """
    from scipy.stats import t

    error = clustered_standard_error(differences, clusters)
    freedom = len(np.unique(np.asarray(clusters))) - 1
    result: Floats = (t.ppf(1 - alpha / 2, freedom) + t.ppf(power, freedom)) * error
    return result
