"""Whether the right item was found: functions of its 1-based rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hits(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """1.0 where the right item is within the first ``k``; the mean is R@k."""
    return (np.asarray(ranks) <= k).astype(np.float64)


def reciprocal_rank(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 / rank; the mean is MRR."""
    result: NDArray[np.float64] = 1.0 / np.asarray(ranks, np.float64)
    return result
