"""Whether the right item was found: functions of its 1-based rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError


def hits(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """1.0 where the right item is within the first ``k``; the mean is R@k."""
    return (np.asarray(ranks) <= k).astype(np.float64)


def reciprocal_rank(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 / rank; the mean is MRR."""
    result: NDArray[np.float64] = 1.0 / np.asarray(ranks, np.float64)
    return result


def r_precision(relevant: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """R-Precision: the share of relevant items among the first R, R being how many there are.

    Args:
        relevant: ``(n, K)`` whether the item at each rank is relevant, best first; K ≥ every R.
        n_relevant: ``(n,)`` R of each query, at least 1.

    Returns:
        ``(n,)`` float64 in [0, 1].

    Raises:
        DataError: a query has no relevant item, or R exceeds K.
    """
    within = _within(relevant, n_relevant)
    result: NDArray[np.float64] = within.sum(axis=1) / n_relevant
    return result


def average_precision_at_r(relevant: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP@R = (1/R) Σ_{i ≤ R} P@i · [item i is relevant]; the mean is mAP@R (Musgrave et al. 2020; Chun et al. 2022).

    Arguments, shape and errors as :func:`r_precision`.
    """
    within = _within(relevant, n_relevant)
    precision = np.cumsum(within, axis=1) / np.arange(1, within.shape[1] + 1)
    result: NDArray[np.float64] = (precision * within).sum(axis=1) / n_relevant
    return result


def _within(relevant: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Relevant items at the first R ranks only."""
    hits_at, total = np.asarray(relevant, bool), np.asarray(n_relevant, np.int64)
    if (total < 1).any():
        raise DataError("a query without a relevant item has no R-Precision", "leave it out")
    if len(total) and total.max() > hits_at.shape[1]:
        raise DataError(f"{int(total.max())} relevant items and rankings of depth {hits_at.shape[1]}", "rank deeper")
    within: NDArray[np.bool_] = hits_at & (np.arange(hits_at.shape[1]) < total[:, None])
    return within
