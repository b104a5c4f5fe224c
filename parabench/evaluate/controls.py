"""What keeps a similarity honest: its floor and ceiling, foils, and who found the right picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import Measure, TaskResult
from parabench.metrics import both_hit_table, derangement

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
    many = items.n_images
    partner = unrelated(items, items.captions, seed)
    again = items.rankings.rows("caption again")
    first = items.rankings.caption_row[again]
    floors = items.between(names, items.captions, partner) if partner is not None else {}
    ceilings = items.between(names, first, again) if len(again) else {}
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
    similarity = items.similarity(names)
    parts = [
        ([similarity[name] for name in names], items.image[items.paraphrases]),
        ([floors[name] for name in names], items.image[items.captions]),
    ]
    if ceilings:
        parts.append(([ceilings[name] for name in names], items.image[again]))
    value, lower, *measured = resampling.means(parts, many)
    upper: Floats = np.ones((len(names), 1))
    if measured:
        (upper,) = measured
        for name, ends in zip(names, resampling.interval(upper), strict=True):
            task.metrics[name].ceiling_ci = ends
    reach = upper - lower
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(reach > 0, (value - lower) / reach, np.nan)
    for name, floor_ends, ends in zip(names, resampling.interval(lower), resampling.interval(scaled), strict=True):
        task.metrics[name].floor_ci = floor_ends
        task.metrics[name].normalised_ci = ends if task.metrics[name].normalised is not None else None


def add_foils(task: TaskResult, items: Items, names: Sequence[str], resampling: Resampling) -> None:
    """foil-gap and foil-AUC of every metric: does the encoder hear the word that changes the meaning?"""
    columns: dict[str, Floats] = {}
    image: Ints = items.image[:0]
    for name in names:
        gap, win, caption = items.foil_contrast(name)
        columns |= {f"foil-gap({name})": gap, f"foil-AUC({name})": win}
        image = items.image[caption]
    if len(image):
        (estimates,) = resampling.estimates([(list(columns.values()), image)], items.n_images)
        task.metrics |= {label: measure(estimate) for label, estimate in zip(columns, estimates, strict=True)}


def both_hit(items: Items, depths: Sequence[int], name: str, resampling: Resampling) -> dict[str, Any]:
    """The 2 × 2 table of who has the right picture within k, for each k, with intervals of each cell's share and similarity."""
    similarity = items.similarity([name])[name]
    image = items.image[items.paraphrases]
    tables: dict[str, Any] = {}
    members: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for k in depths:
        hits = items.pair_hits(k)
        a, b = hits[0] > 0, hits[1] > 0
        tables[f"R@{k}"] = both_hit_table(*hits, similarity)
        cells = {"both": a & b, "caption_only": a & ~b, "paraphrase_only": ~a & b, "neither": ~a & ~b}
        members |= {(f"R@{k}", cell): mask for cell, mask in cells.items()}
    if not members:
        return tables | {"similarity": name}
    some = {cell: mask for cell, mask in members.items() if mask.any()}
    shares, *means = resampling.estimates(
        [([mask.astype(np.float64) for mask in members.values()], image), *(([similarity[m]], image[m]) for m in some.values())],
        items.n_images,
    )
    for (table, cell), share in zip(members, shares, strict=True):
        tables[table][cell] |= {"share_ci": _ends(measure(share)), "similarity_ci": None}
    for (table, cell), (mean,) in zip(some, means, strict=True):
        tables[table][cell]["similarity_ci"] = _ends(measure(mean))
    return tables | {"similarity": name}


def _ends(entry: Measure) -> list[float] | None:
    return None if entry.ci_low is None or entry.ci_high is None else [entry.ci_low, entry.ci_high]
