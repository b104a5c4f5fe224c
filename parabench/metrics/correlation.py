"""Spearman's correlation with the judgement of people, and how sure it is.

The interval is the percentile interval of a cluster bootstrap in which every resample is ranked anew.  A
resample only changes how often each row counts, never the order of the rows, so its mid-ranks are running
sums over one fixed order and whole blocks of resamples are computed at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError
from parabench.metrics.bootstrap import Estimate, Seed, cluster_index, draws, interval

Floats = NDArray[np.float64]

MOST_RESAMPLES = 2000
"""Enough for the two digits that are printed; every resample ranks all rows anew, so 10,000 would cost minutes."""


def spearman_rho(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Spearman's ρ of two columns ``(n,)``, ties at their average rank; in [−1, 1].

    0 where one of the columns is constant: it orders nothing, so it agrees with nothing.

    Raises:
        DataError: fewer than two rows, different lengths, or a NaN.
    """
    weight = np.ones((1, _checked(x, y)))
    return float(_weighted(_Order(x), _Order(y), weight)[0])


def spearman_draws(
    columns: NDArray[Any], target: NDArray[Any], clusters: NDArray[Any], *, n_resamples: int, seed: Seed
) -> Floats | None:
    """ρ of each column with the target in every resample of the clusters.

    Args:
        columns: ``(n, m)`` numbers of the model; the columns share the resamples.
        target: ``(n,)`` numbers of people.
        clusters: ``(n,)`` label of each row's cluster.
        n_resamples: how many resamples.
        seed: of the resampling.

    Returns:
        ``(n_resamples, m)`` float64, or ``None`` with fewer than two clusters.

    Raises:
        DataError: as :func:`spearman_rho`.
    """
    n = _checked(columns, target)
    codes, n_clusters = cluster_index(clusters)
    if n_clusters < 2:
        return None
    goal = _Order(target)
    orders = [_Order(column) for column in np.asarray(columns).T]
    blocks = []
    for drawn in draws(n_clusters, n_resamples, seed).weights(width=n):
        weight = drawn[:, codes]
        ranked = goal.ranks(weight)
        blocks.append(np.column_stack([_weighted(order, goal, weight, ranked) for order in orders]))
    return np.concatenate(blocks)


def spearman_estimates(
    columns: NDArray[Any],
    target: NDArray[Any],
    clusters: NDArray[Any],
    *,
    n_resamples: int = 10_000,
    seed: Seed = 0,
    level: float = 0.95,
) -> list[Estimate]:
    """Spearman's ρ of each column with the target, with its percentile interval over resampled clusters.

    Arguments and errors as :func:`spearman_draws`; one :class:`Estimate` a column.
    """
    resampled = spearman_draws(columns, target, clusters, n_resamples=n_resamples, seed=seed)
    _, n_clusters = cluster_index(clusters)
    values = [spearman_rho(column, target) for column in np.asarray(columns).T]
    return [
        percentile_estimate(value, None if resampled is None else resampled[:, at], len(target), n_clusters, level)
        for at, value in enumerate(values)
    ]


def percentile_estimate(value: float, resampled: Floats | None, n: int, clusters: int, level: float) -> Estimate:
    """A value with the percentile interval of its ``resampled`` values ``(n_resamples,)``; none without them."""
    if resampled is None:
        return Estimate(value, None, None, n, clusters)
    (low,), (high,) = interval(resampled[None], level)
    return Estimate(value, float(low), float(high), n, clusters)


class _Order:
    """The fixed order of one column: equal values form a group, groups ascend."""

    def __init__(self, values: NDArray[Any]) -> None:
        distinct, self._group = np.unique(np.asarray(values, np.float64), return_inverse=True)
        self._order = np.argsort(self._group, kind="stable")
        sizes = np.bincount(self._group, minlength=len(distinct))
        self._last = np.cumsum(sizes) - 1

    def ranks(self, weight: NDArray[Any]) -> Floats:
        """Mid-ranks ``(r, n)`` of every row when row i counts ``weight[r, i]`` times, less the middle rank."""
        reached = np.cumsum(weight[:, self._order], axis=1, dtype=np.float64)[:, self._last]
        before = np.concatenate([np.zeros((len(weight), 1)), reached[:, :-1]], axis=1)
        middle = (before + reached - reached[:, -1:]) / 2
        ranks: Floats = middle[:, self._group]
        return ranks


def _weighted(x: _Order, y: _Order, weight: NDArray[Any], y_ranks: Floats | None = None) -> Floats:
    """Pearson's correlation of mid-ranks, one a row of weights; their weighted mean is 0 by construction."""
    a, b = x.ranks(weight), y.ranks(weight) if y_ranks is None else y_ranks
    covariance = np.einsum("rn,rn,rn->r", weight, a, b)
    spread = np.einsum("rn,rn,rn->r", weight, a, a) * np.einsum("rn,rn,rn->r", weight, b, b)
    result: Floats = np.divide(covariance, np.sqrt(spread), out=np.zeros(len(weight)), where=spread > 0)
    return result


def _checked(columns: NDArray[Any], target: NDArray[Any]) -> int:
    a, b = np.asarray(columns, np.float64), np.asarray(target, np.float64)
    if len(a) != len(b):
        raise DataError(f"{len(a)} scores and {len(b)} judgements can't be compared")
    if len(b) < 2:
        raise DataError("a correlation needs at least two pairs")
    if np.isnan(a).any() or np.isnan(b).any():
        raise DataError("a correlation can't hold NaN", "leave these pairs out first")
    return len(b)
