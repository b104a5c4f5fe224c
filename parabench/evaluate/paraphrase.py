"""The paraphrase task: how alike are the pictures for a caption and for its rewrite, and is that worth anything?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.controls import add_floor_and_ceiling, add_foils, both_hit
from parabench.evaluate.curves import depth_curve, gallery_size_curves
from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import Measure, TaskResult
from parabench.evaluate.slices import slices_of
from parabench.metrics import Metric, flips
from parabench.retrieval.rankings import Rankings

DEFAULT_METRICS = ("AO@10", "JS@10", "RBO(p=0.9)@10", "KT@10", "FR@10", "Top1")
Floats = NDArray[np.float64]


def paraphrase_task(
    rankings: Rankings, metrics: Sequence[Metric], resampling: Resampling, seed: int = 0
) -> tuple[TaskResult, dict[str, Floats]]:
    """Rank similarity with its floor and ceiling, beside flips and foils, in slices and along depth and gallery size.

    Returns:
        The numbers, and one array ``(n_pairs,)`` a metric in the order of the paraphrase rows.
    """
    items = Items(rankings)
    image = items.image[items.paraphrases]
    names = [str(metric) for metric in metrics]
    per_pair = items.similarity(names)
    depths = [k for k in (1, 5, 10) if k <= len(rankings.gallery)]
    hit = {k: items.pair_hits(k) for k in depths}
    columns = per_pair | {f"flip@{k}": flips(*hit[k]) for k in depths}
    task = TaskResult(slices=slices_of(items, names, resampling))
    for name, estimate in zip(columns, resampling.estimate(list(columns.values()), image), strict=True):
        task.metrics[name] = measure(estimate)
    for name in names:
        task.metrics[name].by_kind = _by_kind(task, name, {rankings.kind[row] for row in items.paraphrases.tolist()} - {""})
    add_floor_and_ceiling(task, items, names, resampling, seed)
    task.details["both_hit"] = both_hit(items, depths, names[0], resampling)
    if len(items.foils):
        add_foils(task, items, names, resampling)
    task.curves = [depth_curve(items, resampling, seed), *gallery_size_curves(items, metrics[0], resampling, seed)]
    per_pair |= {f"caption_hit@{k}": a for k, (a, _) in hit.items()}
    per_pair |= {f"paraphrase_hit@{k}": b for k, (_, b) in hit.items()}
    return task, per_pair


def _by_kind(task: TaskResult, name: str, kinds: set[str]) -> dict[str, Measure] | None:
    """The metric by kind, from the slices; a kind that all pairs have makes no slice."""
    found = {part.level: part.metrics[name] for part in task.slices if part.by == "kind"}
    return found or {kind: task.metrics[name].model_copy() for kind in kinds} or None
