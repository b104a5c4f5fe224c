"""Runs: an encoder, a benchmark, and the numbers with their uncertainty."""

from parabench.evaluate.evaluate import evaluate, rescore, slug
from parabench.evaluate.paraphrase import DEFAULT_METRICS
from parabench.evaluate.result import Measure, Result
from parabench.evaluate.run import Run

__all__ = ["DEFAULT_METRICS", "Measure", "Result", "Run", "evaluate", "rescore", "slug"]
