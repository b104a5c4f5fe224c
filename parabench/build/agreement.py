"""How far annotators agree beyond chance: Krippendorff's α and Fleiss' κ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, cast

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(units: Sequence[Sequence[Hashable | None]], level: Level = "nominal") -> float | None:
    """Krippendorff's α = 1 - D_o / D_e.

    Krippendorff, *Computing Krippendorff's Alpha-Reliability* (2011): observed and expected disagreement from the
    matrix of coincidences, in which a unit with m values adds each ordered pair of them with weight 1/(m-1).

    Args:
        units: one row an item, one value an annotator, ``None`` where an annotator gave none.  Rows may be of any
            length; items with fewer than two values don't count.
        level: what a difference is: any (``nominal``), the ranks between (``ordinal``), the squared distance
            (``interval``).  The last two need numbers.

    Returns:
        α, at most 1 (perfect), about 0 (as by chance), negative (worse); ``None`` where it is undefined: no item has
        two values, or all values are the same.
    """
    weights: dict[tuple[Hashable, Hashable], float] = {}
    for row in units:
        counts = Counter(value for value in row if value is not None)
        m = sum(counts.values())
        if m < 2:
            continue
        for a, n_a in counts.items():
            for b, n_b in counts.items():
                weights[a, b] = weights.get((a, b), 0.0) + (n_a * (n_b - (a == b))) / (m - 1)
    totals: dict[Hashable, float] = {}
    for (a, _), weight in weights.items():
        totals[a] = totals.get(a, 0.0) + weight
    n = sum(totals.values())
    if n < 2:
        return None
    difference = _differences(totals, level)
    observed = sum(weight * difference[a, b] for (a, b), weight in weights.items()) / n
    expected = sum(totals[a] * totals[b] * d for (a, b), d in difference.items()) / (n * (n - 1))
    return None if expected == 0 else 1.0 - observed / expected


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float | None:
    """Fleiss' κ (Fleiss, *Psychological Bulletin* 76, 1971).

    Args:
        counts: one row an item: how many annotators chose each category.  Every item has the same number of
            annotators, at least two.

    Returns:
        κ; ``None`` where it is undefined because all chose the same category.

    Raises:
        ValueError: the rows do not have equal sums of at least two.
    """
    sums = {sum(row) for row in counts}
    if len(sums) != 1 or (n := sums.pop()) < 2:
        raise ValueError("every item needs the same number of annotators, at least two")
    shares = [sum(column) / (len(counts) * n) for column in zip(*counts, strict=True)]
    agreed = sum((sum(c * c for c in row) - n) / (n * (n - 1)) for row in counts) / len(counts)
    by_chance = sum(share * share for share in shares)
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


def _differences(totals: Mapping[Hashable, float], level: Level) -> dict[tuple[Hashable, Hashable], float]:
    """δ² of every ordered pair of values."""
    values = list(totals)
    if level == "nominal":
        return {(a, b): float(a != b) for a in values for b in values}
    numbers = sorted(cast("list[float]", values))
    if level == "interval":
        return {(a, b): float(a - b) ** 2 for a in numbers for b in numbers}
    before, cumulated = {}, 0.0
    for value in numbers:  # the rank of a value: all lower ones and half of its own
        before[value] = cumulated + totals[value] / 2
        cumulated += totals[value]
    return {(a, b): (before[a] - before[b]) ** 2 for a in numbers for b in numbers}
