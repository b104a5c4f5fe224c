"""What keeps a similarity honest: its floor and ceiling, foils, and who found the right picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import Measure, TaskResult
from parabench.metrics import both_hit_table, compute, derangement

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def unrelated(items: Items, captions: Ints, seed: int) -> Ints | None:
    """For each of these caption rows, the row of another picture's caption; ``None`` with one picture."""
    owners = items.image[captions]
    if len(np.unique(owners)) < 2:
        return None
    return np.asarray(captions[derangement(owners, seed)])


def add_floor_and_ceiling(task: TaskResult, items: Items, names: Sequence[str], resampling: Resampling, seed: int) -> None:
    """``floor``, ``ceiling`` and ``normalised`` of every similarity metric, with intervals from the same resamples.

    The floor is the metric between each caption and an unrelated one, the ceiling between two embeddings of
    one caption (1 where none was measured).
    """
    top, many = items.rankings.top, items.n_images
    partner = unrelated(items, items.captions, seed)
    again = items.rankings.rows("caption again")
    first = items.rankings.caption_row[again]
    floors = compute(names, top[items.captions], top[partner]) if partner is not None else {}
    ceilings = compute(names, top[first], top[again]) if len(again) else {}
    for name in names:
        entry = task.metrics[name]
        entry.ceiling = float(ceilings[name].mean()) if ceilings else None
        if not floors:
            continue
        entry.floor = floor = float(floors[name].mean())
        whole = (entry.ceiling if entry.ceiling is not None else 1.0) - floor
        entry.normalised = (entry.value - floor) / whole if whole > 0 else None
    if many < 2:
        return
    upper: Floats = np.ones((len(names), 1))
    if ceilings:
        upper = resampling.means([ceilings[name] for name in names], items.image[again], many)
        for name, ends in zip(names, resampling.interval(upper), strict=True):
            task.metrics[name].ceiling_ci = ends
    similarity = items.similarity(names)
    value = resampling.means([similarity[name] for name in names], items.image[items.paraphrases], many)
    lower = resampling.means([floors[name] for name in names], items.image[items.captions], many)
    reach = upper - lower
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(reach > 0, (value - lower) / reach, np.nan)
    for name, floor_ends, ends in zip(names, resampling.interval(lower), resampling.interval(scaled), strict=True):
        task.metrics[name].floor_ci = floor_ends
        task.metrics[name].normalised_ci = ends if task.metrics[name].normalised is not None else None


def add_foils(task: TaskResult, items: Items, names: Sequence[str], resampling: Resampling) -> None:
    """foil-gap and foil-AUC of every metric: does the encoder hear the word that changes the meaning?"""
    for name in names:
        gap, win, caption = items.foil_contrast(name)
        if len(gap):
            estimates = resampling.estimate([gap, win], items.image[caption], items.n_images)
            for label, estimate in zip(("foil-gap", "foil-AUC"), estimates, strict=True):
                task.metrics[f"{label}({name})"] = measure(estimate)


def both_hit(items: Items, k: int, name: str, resampling: Resampling) -> dict[str, dict[str, Any]]:
    """The 2 × 2 table of who has the right picture within ``k``, with intervals of each cell's share and similarity."""
    hits = items.pair_hits(k)
    similarity = items.similarity([name])[name]
    image = items.image[items.paraphrases]
    table = both_hit_table(*hits, similarity)
    masks = {"both": (1, 1), "caption_only": (1, 0), "paraphrase_only": (0, 1), "neither": (0, 0)}
    cells = {cell: (hits[0] == a) & (hits[1] == b) for cell, (a, b) in masks.items()}
    shares = resampling.estimate([cell.astype(np.float64) for cell in cells.values()], image, items.n_images)
    for (cell, members), share in zip(cells.items(), shares, strict=True):
        table[cell]["share_ci"] = _ends(measure(share))
        table[cell]["similarity_ci"] = None
        if members.any():
            (mean,) = resampling.estimate([similarity[members]], image[members], items.n_images)
            table[cell]["similarity_ci"] = _ends(measure(mean))
    return table


def _ends(entry: Measure) -> list[float] | None:
    return None if entry.ci_low is None or entry.ci_high is None else [entry.ci_low, entry.ci_high]
