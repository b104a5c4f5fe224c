"""The paraphrase task: how alike are the pictures for a caption and for its rewrite, and is that worth anything?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.result import Measure, TaskResult
from parabench.metrics import (
    Metric,
    both_hit_table,
    cluster_bootstrap,
    compute,
    derangement,
    flips,
    foil_contrast,
    hits,
)  # fmt: skip
from parabench.metrics.bootstrap import Estimate
from parabench.retrieval.rankings import Rankings

DEFAULT_METRICS = ("AO@10", "JS@10", "RBO(p=0.9)@10", "KT@10", "FR@10", "Top1")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: bootstrap over pictures."""

    n_resamples: int = 10_000
    seed: int = 0
    level: float = 0.95

    def estimate(self, columns: Sequence[Floats], clusters: NDArray[np.int64]) -> list[Estimate]:
        """One estimate a column; all columns share the resamples."""
        return cluster_bootstrap(
            np.column_stack(list(columns)), clusters,
            n_resamples=self.n_resamples, seed=self.seed, level=self.level,
        )  # fmt: skip


def measure(estimate: Estimate) -> Measure:
    """An estimate as it is written to ``result.json``."""
    return Measure(
        value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high, n=estimate.n,
        clusters=estimate.clusters,
    )  # fmt: skip


def paraphrase_task(
    rankings: Rankings, metrics: Sequence[Metric], resampling: Resampling, seed: int = 0
) -> tuple[TaskResult, dict[str, Floats]]:
    """Rank similarity with its floor, by kind, beside flips and foils.

    Returns:
        The numbers, and one array ``(n_pairs,)`` a metric in the order of the paraphrase rows.
    """
    rows = rankings.rows("paraphrase")
    captions = rankings.caption_row[rows]
    image = _codes(rankings.image_id)
    names = [str(metric) for metric in metrics]
    per_pair = compute(metrics, rankings.top[captions], rankings.top[rows])
    task = TaskResult()
    for name, estimate in zip(names, resampling.estimate([per_pair[n] for n in names], image[rows]), strict=True):
        task.metrics[name] = measure(estimate)

    kinds = np.array(rankings.kind)[rows]
    for kind in sorted(set(kinds.tolist()) - {""}):
        chosen = kinds == kind
        estimates = resampling.estimate([per_pair[n][chosen] for n in names], image[rows][chosen])
        for name, estimate in zip(names, estimates, strict=True):
            entry = task.metrics[name]
            entry.by_kind = {**(entry.by_kind or {}), kind: measure(estimate)}

    _add_floor(task, rankings, metrics, image, seed)
    depths = [k for k in (1, 5, 10) if k <= len(rankings.gallery)]
    hit = {k: (hits(rankings.target_rank[captions], k), hits(rankings.target_rank[rows], k)) for k in depths}
    for k, estimate in zip(
        depths, resampling.estimate([flips(*hit[k]) for k in depths], image[rows]), strict=True
    ):
        task.metrics[f"flip@{k}"] = measure(estimate)
    task.details["both_hit"] = {
        f"R@{k}": both_hit_table(*hit[k], per_pair[names[0]]) for k in depths
    } | {"similarity": names[0]}
    if (foils := rankings.rows("foil")).size:
        _add_foils(task, rankings, metrics, rows, foils, per_pair, image, resampling)
    per_pair |= {f"caption_hit@{k}": a for k, (a, _) in hit.items()}
    per_pair |= {f"paraphrase_hit@{k}": b for k, (_, b) in hit.items()}
    return task, per_pair


def _add_floor(
    task: TaskResult, rankings: Rankings, metrics: Sequence[Metric], image: NDArray[np.int64], seed: int
) -> None:
    """The same metric between each caption and another picture's caption."""
    captions = rankings.rows("caption")
    partner = derangement(image[captions], seed) if len(set(image[captions].tolist())) > 1 else None
    if partner is None:
        return
    unrelated = compute(metrics, rankings.top[captions], rankings.top[captions[partner]])
    for metric in metrics:
        entry, floor = task.metrics[str(metric)], float(unrelated[str(metric)].mean())
        entry.floor = floor
        entry.normalised = (entry.value - floor) / (1 - floor) if floor < 1 else None


def _add_foils(
    task: TaskResult,
    rankings: Rankings,
    metrics: Sequence[Metric],
    rows: NDArray[np.int64],
    foils: NDArray[np.int64],
    per_pair: dict[str, Floats],
    image: NDArray[np.int64],
    resampling: Resampling,
) -> None:
    """foil-gap and foil-AUC of every metric: does the encoder hear the word that changes the meaning?"""
    captions = rankings.caption_row
    per_foil = compute(metrics, rankings.top[captions[foils]], rankings.top[foils])
    for metric in metrics:
        name = str(metric)
        gap, win, caption = foil_contrast(per_pair[name], captions[rows], per_foil[name], captions[foils])
        if len(gap):
            for label, estimate in zip(
                ("foil-gap", "foil-AUC"), resampling.estimate([gap, win], image[caption]), strict=True
            ):
                task.metrics[f"{label}({name})"] = measure(estimate)


def _codes(labels: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)
