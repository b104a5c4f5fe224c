"""Rankings as they arrive (integers or strings, lists or arrays) → two integer arrays that can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError, UsageError

Ids = NDArray[np.integer[Any]]

_CHUNK = 8192
# below this depth comparing columns beats sorting rows
_SORT_FROM = 32


def encode(a: Any, b: Any) -> tuple[Ids, Ids]:
    """Ids of both sides as integers; equal ids get equal integers.

    Integer arrays pass through unchanged.  Anything else is numbered by its place among the distinct ids.

    Args:
        a, b: arrays or lists of integers, or of strings; any shape.

    Returns:
        Two integer arrays of the shapes given.

    Raises:
        DataError: ids that are neither integers nor strings, or integers on one side and strings on the other.
    """
    left, right = _plain(a, "first"), _plain(b, "second")
    if left.size == 0 or right.size == 0:
        return left.astype(np.int64), right.astype(np.int64)
    left_is_text, right_is_text = left.dtype.kind == "U", right.dtype.kind == "U"
    if left_is_text != right_is_text:
        raise DataError(
            f"the first rankings hold {'strings' if left_is_text else 'integers'}, "
            f"the second {'strings' if right_is_text else 'integers'}",
            "give both sides the same kind of id",
        )
    if not left_is_text and np.result_type(left, right).kind in "iu":
        return left, right
    if not left_is_text:
        # int64 beside uint64 would meet as float64, where distinct large ids become equal
        left, right = left.astype(object), right.astype(object)
    codes = np.unique(np.concatenate([left.ravel(), right.ravel()]), return_inverse=True)[1].ravel()
    codes = codes.astype(np.int64)
    return codes[: left.size].reshape(left.shape), codes[left.size :].reshape(right.shape)


def _plain(values: Any, side: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"the {side} rankings are not equally long", "cut them to one depth") from None
    if array.dtype.kind in "iuU" or array.size == 0:
        return array
    # a list that mixes integers and strings becomes an array of strings, so only objects are looked into
    if array.dtype.kind == "O":
        if all(isinstance(item, str) for item in array.ravel()):
            return array.astype(np.str_)
        if all(isinstance(item, (int, np.integer)) and not isinstance(item, bool) for item in array.ravel()):
            try:
                return array.astype(np.int64)
            except OverflowError:
                raise DataError(f"an id of the {side} rankings does not fit 64 bits", "use strings") from None
    raise DataError(
        f"ids of the {side} rankings have type {array.dtype}", "ids must be all integers or all strings"
    )


def check_rankings(a: Ids, b: Ids) -> None:
    """Refuse rankings that no metric is defined on.

    Raises:
        DataError: not two arrays ``(n_pairs, K)`` of one shape with K ≥ 1, or a row that holds an id twice
            (the message names side and row).
    """
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] == 0:
        raise DataError(
            f"the two lists of rankings have shapes {a.shape} and {b.shape}",
            "both must be (n_pairs, K) with the same n_pairs and K ≥ 1",
        )
    for side, ids in (("first", a), ("second", b)):
        row = _repeating_row(ids)
        if row is not None:
            distinct, times = np.unique(ids[row], return_counts=True)
            raise DataError(
                f"row {row} of the {side} rankings holds an item more than once "
                f"(places {np.flatnonzero(ids[row] == distinct[times > 1][0]).tolist()}, counted from 0)",
                "each item may stand once in a ranking",
            )


def check_depth(k: int, a: Ids, name: str = "") -> None:
    """Refuse a depth below 1 or beyond the rankings' K with a :class:`UsageError`."""
    if k < 1:
        raise UsageError(f"k={k} is not a depth", "k must be 1 or more")
    if k > a.shape[1]:
        raise UsageError(
            f"{name + ': ' if name else ''}k={k} is larger than the rankings' depth {a.shape[1]}",
            f"choose k ≤ {a.shape[1]}, or keep deeper rankings",
        )


def _repeating_row(ids: Ids) -> int | None:
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        if ids.shape[1] < _SORT_FROM:
            columns = np.ascontiguousarray(part.T)
            repeats = any((columns[:d] == columns[d]).any() for d in range(1, len(columns)))
        else:
            repeats = bool(_repeats(part).any())
        if repeats:
            return start + int(np.flatnonzero(_repeats(part))[0])
    return None


def _repeats(ids: Ids) -> NDArray[np.bool_]:
    ordered = np.sort(ids, axis=1)
    result: NDArray[np.bool_] = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return result
