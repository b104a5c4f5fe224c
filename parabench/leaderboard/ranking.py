"""Paired tests between entries, and ranks that say no more than these tests do.

The test is the one-sample t test of the paired differences with a standard error that is robust to clusters
(pictures): t = d̄ / SE with C − 1 degrees of freedom, SE as in
:func:`parabench.metrics.clustered_standard_error`.  It has no random part, so the page computes the very
same p-value from the published per-pair scores.  With the hundreds of pictures that a leaderboard's dataset has it
agrees with the sign-flip test of ``parabench compare`` but for that test's own sampling error.

A rank is a range: an entry ranks from 1 + (the number of entries that are better by the test) to N − (the number
that are worse).  The p-values of all pairs of a board are adjusted by Holm first, so with 95 % confidence no entry's
range is wrong (Mogstad, Romano, Shaikh & Wilhelm, *Inference for Ranks*, Review of Economic Studies 2024, use the
same construction with a resampled critical value).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.metrics import cluster_index, clustered_standard_error, holm

Floats = NDArray[np.float64]

ALPHA = 0.05


@dataclass(frozen=True)
class PairedTest:
    """Mean difference a − b with its 95 % interval and two-sided p-value, over ``n`` items of ``clusters`` pictures."""

    difference: float
    ci_low: float
    ci_high: float
    p: float
    n: int
    clusters: int


def paired_test(a: Floats, b: Floats, clusters: NDArray[Any], level: float = 0.95) -> PairedTest:
    """The clustered paired t test of two entries' items.

    Args:
        a, b: ``(n,)`` values of the same items.
        clusters: ``(n,)`` picture of each item.
        level: of the interval.

    Raises:
        DataError: fewer than two clusters.
    """
    from scipy.special import stdtrit

    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    error = float(clustered_standard_error(differences, clusters)[0])
    n_clusters = cluster_index(clusters)[1]
    mean = float(differences.mean())
    reach = float(stdtrit(n_clusters - 1, (1 + level) / 2)) * error
    p = float(_p_values(np.array([mean]), np.array([error]), n_clusters)[0])
    return PairedTest(mean, mean - reach, mean + reach, p, len(differences), n_clusters)


def rank_ranges(values: Floats, clusters: NDArray[Any], alpha: float = ALPHA) -> NDArray[np.int64]:
    """First and last rank of every entry ``(n_entries, 2)``, larger values being better.

    Args:
        values: ``(n_entries, n_items)``.
        clusters: ``(n_items,)`` picture of each item.
        alpha: chance that any range of the board is wrong.
    """
    n_entries = len(values)
    ranges = np.tile(np.array([1, n_entries], np.int64), (n_entries, 1))
    if n_entries < 2:
        return ranges
    means = values.mean(axis=1)
    first, second = np.triu_indices(n_entries, 1)
    codes, n_clusters = cluster_index(clusters)
    if n_clusters < 2:
        return ranges
    # Σ over clusters of (total_i − total_j)² for all pairs at once, from one matrix product
    centred = values - means[:, None]
    totals = np.zeros((n_entries, n_clusters))
    for row, line in enumerate(centred):
        totals[row] = np.bincount(codes, line, n_clusters)
    products = totals @ totals.T
    own = np.diag(products)
    squares = np.maximum(own[first] + own[second] - 2 * products[first, second], 0)
    # below this the sum is what rounding leaves of equal rows
    squares[squares < 1e-12 * (own[first] + own[second])] = 0
    errors = np.sqrt(squares * n_clusters / (n_clusters - 1)) / values.shape[1]
    gaps = means[first] - means[second]
    gaps[np.abs(gaps) < 1e-12] = 0
    separated = holm(_p_values(gaps, errors, n_clusters)) < alpha
    better, worse = separated & (gaps > 0), separated & (gaps < 0)
    for beaten, winner in ((second[better], first[better]), (first[worse], second[worse])):
        np.add.at(ranges[:, 0], beaten, 1)
        np.subtract.at(ranges[:, 1], winner, 1)
    return ranges


def _p_values(means: Floats, errors: Floats, n_clusters: int) -> Floats:
    from scipy.special import stdtr  # scipy.stats takes seconds to import

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(errors > 0, np.abs(means) / errors, np.where(means != 0, np.inf, 0.0))
    result: Floats = 2 * stdtr(n_clusters - 1, -statistic)
    return np.minimum(result, 1.0)
