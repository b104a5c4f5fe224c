"""The retrieval task: does the right picture come back, for captions and for paraphrases, and the right caption?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.metrics import cluster_bootstrap_median, hits, reciprocal_rank
from parabench.retrieval.rankings import Rankings

DEPTHS = (1, 5, 10)


def retrieval_task(rankings: Rankings, resampling: Resampling) -> TaskResult:
    """``R@k``, ``MRR`` and ``MedR`` of captions; the same for paraphrases; image → text ``R@k`` (any of a picture's captions).

    Each distinct caption counts once, however many paraphrases it has.
    """
    task = TaskResult()
    image = np.unique(np.array(rankings.image_id), return_inverse=True)[1].astype(np.int64)
    for role, suffix in (("caption", ""), ("paraphrase", " paraphrase")):
        rows = rankings.rows(role)  # type: ignore[arg-type]
        add_ranks(task, rankings.target_rank[rows], image[rows], len(rankings.gallery), suffix, resampling)
    if rankings.caption_rank:
        # in gallery order, in which a file gives them back: resampling must meet them in one order
        ranks = np.array([rankings.caption_rank[key] for key in rankings.gallery if key in rankings.caption_rank], np.int64)
        n_captions = len(rankings.rows("caption"))
        add_ranks(task, ranks, np.arange(len(ranks)), n_captions, " image→text", resampling)
    task.details["chance"] = chance_of(len(rankings.gallery))
    return task


def chance_of(size: int) -> dict[str, float]:
    """``R@k`` → how often a random ranking of ``size`` items has the right one within k."""
    return {f"R@{k}": min(1.0, k / size) for k in DEPTHS}


def accuracy_name(*chances: Mapping[str, float], most: float = 0.5) -> str:
    """The recall that stands for accuracy in galleries with these chances: ``R@10``, or the deepest of ``R@5`` and ``R@1``
    where ten pictures are too large a part of a gallery (chance above ``most``) to tell who finds the right one."""
    return next((name for name in ("R@10", "R@5") if all(chance.get(name, 1.0) <= most for chance in chances)), "R@1")


def add_ranks(
    task: TaskResult,
    ranks: NDArray[np.int64],
    clusters: NDArray[np.int64],
    size: int,
    suffix: str,
    resampling: Resampling,
) -> None:
    """Put ``R@k``, ``MRR`` and ``MedR`` of 1-based ranks ``(n,)`` in a gallery of ``size`` into the task, names ending in ``suffix``."""
    depths = [k for k in DEPTHS if k <= size]
    columns = [*(hits(ranks, k) for k in depths), reciprocal_rank(ranks)]
    names = [*(f"R@{k}" for k in depths), "MRR"]
    for name, estimate in zip(names, resampling.estimate(columns, clusters), strict=True):
        task.metrics[name + suffix] = measure(estimate)
    median = cluster_bootstrap_median(
        ranks.astype(np.float64), clusters,
        n_resamples=resampling.n_resamples, seed=resampling.seed, level=resampling.level,
    )  # fmt: skip
    task.metrics["MedR" + suffix] = measure(median)
