"""The paraphrase task: how alike are the pictures for a caption and for its rewrite, and is that worth anything?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.controls import add_floor_and_ceiling, add_foils, both_hit
from parabench.evaluate.curves import depth_curve, gallery_size_curves
from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
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
    task = TaskResult()
    for name, estimate in zip(names, resampling.estimate([per_pair[n] for n in names], image), strict=True):
        task.metrics[name] = measure(estimate)
    kinds = np.array(rankings.kind)[items.paraphrases]
    for kind in sorted(set(kinds.tolist()) - {""}):
        chosen = kinds == kind
        estimates = resampling.estimate([per_pair[n][chosen] for n in names], image[chosen], items.n_images)
        for name, estimate in zip(names, estimates, strict=True):
            entry = task.metrics[name]
            entry.by_kind = {**(entry.by_kind or {}), kind: measure(estimate)}

    add_floor_and_ceiling(task, items, names, resampling, seed)
    depths = [k for k in (1, 5, 10) if k <= len(rankings.gallery)]
    hit = {k: items.pair_hits(k) for k in depths}
    for k, estimate in zip(depths, resampling.estimate([flips(*hit[k]) for k in depths], image), strict=True):
        task.metrics[f"flip@{k}"] = measure(estimate)
    task.details["both_hit"] = both_hit(items, depths, names[0], resampling)
    if len(items.foils):
        add_foils(task, items, names, resampling)
    task.slices = slices_of(items, names, resampling)
    task.curves = [depth_curve(items, resampling, seed), *gallery_size_curves(items, metrics[0], resampling, seed)]
    per_pair |= {f"caption_hit@{k}": a for k, (a, _) in hit.items()}
    per_pair |= {f"paraphrase_hit@{k}": b for k, (_, b) in hit.items()}
    return task, per_pair
