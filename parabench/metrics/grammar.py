"""Metric names are strings that papers print and that parse: ``AO@10``, ``RBO(p=0.9)@100``, ``Top1``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError, UsageError, did_you_mean
from parabench.metrics import rank_similarity as similarity

CITATIONS = {
    "O": "overlap of the two top-k sets",
    "AO": "average overlap; Fagin, Kumar & Sivakumar, SIAM J. Discrete Math. 2003",
    "JS": "Jaccard similarity of the two top-k sets; Jaccard 1912",
    "RBO": "extrapolated rank-biased overlap; Webber, Moffat & Zobel, ACM TOIS 2010, eq. 32",
    "KT": "top-k Kendall with the neutral penalty 1/2; Fagin, Kumar & Sivakumar 2003",
    "FR": "top-k Spearman footrule with absent items at k+1; Fagin, Kumar & Sivakumar 2003",
    "Top1": "share of pairs whose first picture is the same",
    "Spearman": "Spearman's rank correlation of the full score vectors",
}
"""Metric → what it is and where it comes from."""

_EXAMPLES = ["O@10", "AO@10", "JS@10", "RBO(p=0.9)@10", "KT@10", "FR@10", "Top1", "Spearman"]
_PATTERN = re.compile(r"^(?P<name>[A-Za-z]+1?)\s*(?:\(\s*p\s*=\s*(?P<p>[^)]*?)\s*\))?\s*(?:@\s*(?P<k>.+))?$")


@dataclass(frozen=True)
class Metric:
    """A rank-similarity metric with its parameters; ``str()`` gives the name that parses back to it.

    ``k`` is the depth it looks at (1 for ``Top1``; ``None`` for ``Spearman``, which needs all scores).
    """

    name: str
    k: int | None
    p: float | None = None

    def __str__(self) -> str:
        if self.name in ("Top1", "Spearman"):
            return self.name
        if self.p is None:
            return f"{self.name}@{self.k}"
        return f"{self.name}(p={self.p:g})@{self.k}" if float(f"{self.p:g}") == self.p else f"{self.name}(p={self.p!r})@{self.k}"

    @property
    def citation(self) -> str:
        """What it is and where it comes from."""
        return CITATIONS[self.name]


def parse(text: str) -> Metric:
    """A metric name → :class:`Metric`; :class:`UsageError` with the nearest valid name if it is not one."""
    match = _PATTERN.match(text.strip())
    names = {name.lower(): name for name in CITATIONS}
    name = names.get(match["name"].lower()) if match else None
    if match is None or name is None:
        raise UsageError(f"unknown metric '{text}'", did_you_mean(text, _EXAMPLES))
    if name in ("Top1", "Spearman"):
        if match["k"] is not None or match["p"] is not None:
            raise UsageError(f"metric '{text}' takes no depth and no parameter", f"write '{name}'")
        return Metric(name, 1 if name == "Top1" else None)
    if match["k"] is None or not re.fullmatch(r"[0-9]{1,18}", match["k"].strip()) or int(match["k"]) < 1:
        nearest = f"{name}(p=0.9)@10" if name == "RBO" else f"{name}@10"
        raise UsageError(f"metric '{text}' needs a depth of 1 or more", f"did you mean '{nearest}'?")
    k = int(match["k"])
    if name != "RBO":
        if match["p"] is not None:
            raise UsageError(f"metric '{text}': {name} has no parameter p", f"did you mean '{name}@{k}'?")
        return Metric(name, k)
    try:
        p = float(match["p"]) if match["p"] is not None else float("nan")
    except ValueError:
        p = float("nan")
    if not 0 < p < 1:
        raise UsageError(f"metric '{text}' needs a persistence p between 0 and 1", f"did you mean 'RBO(p=0.9)@{k}'?")
    return Metric(name, k, p)


def split_names(text: str) -> list[str]:
    """A comma-separated list of metric names → names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def compute(metrics: Sequence[Metric | str], a: NDArray[Any], b: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Every metric for every pair: name → float64 ``(n_pairs,)``.

    Args:
        metrics: what to compute; metrics of one depth share the work.
        a, b: ``(n_pairs, K)`` integer ids, best first, no repeats within a row.

    Raises:
        UsageError: a metric looks deeper than K, or needs full scores.
        DataError: shapes differ, or a row repeats an id.
    """
    chosen = [parse(metric) if isinstance(metric, str) else metric for metric in metrics]
    if a.ndim != 2 or a.shape != b.shape:
        raise DataError(f"the two lists of rankings have shapes {a.shape} and {b.shape}; both must be (n_pairs, K)")
    for metric in chosen:
        if metric.k is None:
            raise UsageError(f"'{metric}' needs full score vectors, not rankings", "use parabench.metrics.spearman")
        if metric.k > a.shape[1]:
            raise UsageError(f"{metric} looks deeper than the rankings, which hold {a.shape[1]} items",
                             f"choose k ≤ {a.shape[1]}")  # fmt: skip
    deepest = max((metric.k or 1 for metric in chosen), default=1)
    values = {str(metric): np.empty(len(a)) for metric in chosen}
    for start in range(0, len(a), similarity.CHUNK):
        block = slice(start, start + similarity.CHUNK)
        parts = [np.ascontiguousarray(ids[block, :deepest].T).T for ids in (a, b)]  # depth by depth, as all that follows reads them
        for side, part in zip(("first", "second"), parts, strict=True):
            repeated = similarity.repeats(part, deepest)
            if len(repeated):
                raise DataError(
                    f"row {start + int(repeated[0])} of the {side} rankings repeats an item", "each item may stand once"
                )
        for name, value in _computed(chosen, *parts).items():
            values[name][block] = value
    return values


def _computed(metrics: Sequence[Metric], a: NDArray[Any], b: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    counts: dict[int, NDArray[np.int64]] = {}
    values: dict[str, NDArray[np.float64]] = {}
    for metric in metrics:
        k = metric.k or 1
        if metric.name in ("O", "AO", "JS", "RBO") and k not in counts:
            counts[k] = similarity.shared_counts(a, b, k)
        match metric.name:
            case "O":
                value = similarity.overlap_from(counts[k])
            case "AO":
                value = similarity.average_overlap_from(counts[k])
            case "JS":
                value = similarity.jaccard_from(counts[k])
            case "RBO":
                value = similarity.rank_biased_overlap_from(counts[k], metric.p or 0.9)
            case "KT":
                value = similarity.kendall(a, b, k)
            case "FR":
                value = similarity.footrule(a, b, k)
            case _:
                value = similarity.top1(a, b)
        values[str(metric)] = value
    return values


class RankSimilarity:
    """Metrics on any two lists of ids: ``RankSimilarity("AO@10", "JS@10")(ids_a, ids_b)``.

    Ids may be integers or strings; one ranking ``(K,)`` or many ``(n, K)``, as lists, arrays, tensors on the
    CPU or DataFrames.  Without names, AO and JS at the depth of the lists.  Returns name → float for one pair
    of rankings, name → ``(n,)`` float64 for many.
    """

    def __init__(self, *metrics: str) -> None:
        self.metrics = [parse(metric) for metric in metrics]

    def __call__(self, a: Any, b: Any) -> dict[str, Any]:
        """Compare two rankings, or two equally long lists of rankings.

        Raises:
            DataError: shapes differ, rankings of unequal length, an absent id (None, NaN), an id twice.
            UsageError: a metric looks deeper than the rankings.
        """
        left, right = _id_array(a), _id_array(b)
        if left.shape != right.shape or left.ndim not in (1, 2) or left.size == 0:
            raise DataError(f"rankings of shapes {left.shape} and {right.shape} can't be compared", "give lists of equal length")
        codes = np.unique(np.concatenate([left.ravel(), right.ravel()]), return_inverse=True)[1].astype(np.int32)
        width = left.shape[-1]
        metrics = self.metrics or [Metric("AO", width), Metric("JS", width)]
        values = compute(metrics, codes[: left.size].reshape(-1, width), codes[left.size :].reshape(-1, width))
        return values if left.ndim == 2 else {name: float(value[0]) for name, value in values.items()}


def _id_array(ids: Any) -> NDArray[Any]:
    """Ids as an array of one sortable kind; ids of mixed kinds are compared as text."""
    try:
        array = np.asarray(ids)
    except ValueError:
        raise DataError("the rankings have different lengths", "cut them to one depth") from None
    if array.dtype == object:
        if any(not np.isscalar(item) or item != item for item in array.ravel().tolist()):
            raise DataError("the rankings hold lists of different lengths, or items that are no ids", "give integers or strings")
        array = array.astype(str)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise DataError(f"{int(np.isnan(array).sum())} of the ids are NaN", "give each item an id")
    return array
