"""Controls that keep stability honest: flips, the both-hit table, foils, unrelated captions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def flips(hit_a: Floats, hit_b: Floats) -> Floats:
    """1.0 where exactly one of the two queries found the right item."""
    result: Floats = (np.asarray(hit_a) != np.asarray(hit_b)).astype(np.float64)
    return result


def both_hit_table(hit_a: Floats, hit_b: Floats, similarity: Floats) -> dict[str, dict[str, Any]]:
    """The 2 × 2 table of who found the right item: ``n``, ``share`` and mean ``similarity`` of each cell."""
    a, b = np.asarray(hit_a) > 0, np.asarray(hit_b) > 0
    cells = {"both": a & b, "caption_only": a & ~b, "paraphrase_only": ~a & b, "neither": ~a & ~b}
    return {
        name: {
            "n": int(cell.sum()),
            "share": float(cell.mean()),
            "similarity": float(similarity[cell].mean()) if cell.any() else None,
        }
        for name, cell in cells.items()
    }


def foil_contrast(
    paraphrase_values: Floats, paraphrase_caption: Ints, foil_values: Floats, foil_caption: Ints
) -> tuple[Floats, Floats, Ints]:
    """Compare every paraphrase with every foil of the same caption.

    Args:
        paraphrase_values: m(caption, paraphrase) ``(n,)``.
        paraphrase_caption: the caption of each ``(n,)``.
        foil_values: m(caption, foil) ``(m,)``.
        foil_caption: the caption of each ``(m,)``.

    Returns:
        For every combination: the difference (its mean is foil-gap), the win 1 / ½ / 0 (its mean is
        foil-AUC), and the caption.  A caption without a foil or without a paraphrase gives none.
    """
    order = np.argsort(foil_caption, kind="stable")
    sorted_caption = foil_caption[order]
    start = np.searchsorted(sorted_caption, paraphrase_caption, "left")
    count = np.searchsorted(sorted_caption, paraphrase_caption, "right") - start
    left = np.repeat(np.arange(len(paraphrase_values)), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    right = order[np.repeat(start, count) + within]
    difference: Floats = np.asarray(paraphrase_values)[left] - np.asarray(foil_values)[right]
    win = np.where(difference > 0, 1.0, np.where(difference == 0, 0.5, 0.0))
    return difference, win, np.asarray(paraphrase_caption)[left]


def derangement(groups: NDArray[Any], seed: int = 0) -> Ints:
    """A fixed-seed permutation that maps every item to an item of another group.

    Items are shuffled so that groups stay together and then shifted by the size of the largest group, which
    never lands in the own group as long as no group holds more than half of the items; where one does,
    its surplus items are given items of other groups at random (the map is then not a permutation).

    Raises:
        DataError: there is only one group.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    n, sizes = len(codes), np.bincount(codes)
    if len(sizes) < 2:
        raise DataError("unrelated captions need at least two pictures")
    rng = np.random.default_rng(seed)
    shuffled_group = rng.permutation(len(sizes))[codes]
    order = np.lexsort((rng.random(n), shuffled_group))
    partner = np.empty(n, np.int64)
    partner[order] = np.roll(order, -int(sizes.max()))
    for item in np.flatnonzero(codes[partner] == codes):
        partner[item] = rng.choice(np.flatnonzero(codes != codes[item]))
    return partner
