"""What training is given to evaluate with: training itself knows no evaluation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

METRICS = ("AO@10", "JS@10")


def evaluator(recipe: Any) -> Callable[[Any], dict[str, float]] | None:
    """An encoder → AO@10, JS@10 and R@1/5/10 on the recipe's benchmark, or ``None`` where it names none."""
    if recipe.dataset is None:
        return None
    from parabench.data import load
    from parabench.evaluate import evaluate
    from parabench.progress import quiet

    images = (recipe.images,) if recipe.images else ()
    benchmark = load(recipe.dataset, images=images)

    def score(encoder: Any) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder, quiet():
            run = evaluate(
                encoder, benchmark, out=folder, split=recipe.split, images=images, metrics=METRICS, n_resamples=1, cache=False
            )
        scores = {name: run.value(name) for name in METRICS}
        for name in ("R@1", "R@5", "R@10"):
            if name in run.result.tasks["retrieval"].metrics:
                scores[name] = run.value(name, "retrieval")
        return scores

    return score
