"""Runs: an encoder, a benchmark, and the numbers with their uncertainty."""

import sys
import types
from typing import Any

from parabench.evaluate.compare import compare
from parabench.evaluate.comparison import Comparison, Contrast
from parabench.evaluate.evaluate import evaluate, rescore
from parabench.evaluate.paraphrase import DEFAULT_METRICS
from parabench.evaluate.result import Curve, Measure, Result, Slice
from parabench.evaluate.run import Run, slug

__all__ = [
    "DEFAULT_METRICS",
    "Comparison",
    "Contrast",
    "Curve",
    "Measure",
    "Result",
    "Run",
    "Slice",
    "compare",
    "evaluate",
    "rescore",
    "slug",
]


class _CallablePackage(types.ModuleType):
    """Importing this package binds it as ``parabench.evaluate``, where users expect the function: so it is both."""

    def __call__(self, *arguments: Any, **options: Any) -> Run:
        return evaluate(*arguments, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(evaluate)


__doc__ = f"{__doc__}\n\nCalled, ``parabench.evaluate(model, dataset, …)``, it is the function:\n\n{evaluate.__doc__}"
sys.modules[__name__].__class__ = _CallablePackage
