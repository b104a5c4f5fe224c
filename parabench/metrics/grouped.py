"""Means of groups, and agreement of several predictions of one thing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError

Floats = NDArray[np.float64]


def group_mean_column(values: NDArray[Any], groups: NDArray[Any]) -> Floats:
    """A column ``(n,)`` whose mean is the mean of the group means (mean per-class recall), fit for a bootstrap.

    Row i holds M + n / (G·n_g) · (v_i − M_g), where M_g is the mean of its group of n_g rows, G the number
    of groups and M the mean of the M_g.  The rows are M plus their influence on it (Hampel 1974), so resampling them gives
    the interval of a mean of ratios and not of a sum that moves with the sizes of the groups.

    Raises:
        DataError: no rows.
    """
    table = np.asarray(values, np.float64)
    if not len(table):
        raise DataError("there is nothing to average: no rows")
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(codes)
    means = np.bincount(codes, table) / sizes
    column: Floats = means.mean() + len(table) / (len(sizes) * sizes[codes]) * (table - means[codes])
    return column


def pairwise_agreement(predictions: NDArray[Any]) -> Floats:
    """How many of the pairs of columns agree in each row: ``(n, t)`` labels → ``(n,)`` float64 in [0, 1].

    Raises:
        DataError: fewer than two columns.
    """
    table = np.asarray(predictions)
    t = table.shape[1]
    if t < 2:
        raise DataError("agreement needs at least two predictions")
    same = np.zeros(len(table), np.int64)
    for column in range(1, t):
        same += (table[:, :column] == table[:, column : column + 1]).sum(axis=1)
    agreement: Floats = same / (t * (t - 1) / 2)
    return agreement
