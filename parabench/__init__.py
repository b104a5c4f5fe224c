"""parabench: say the same thing in other words: do you get the same pictures?

    >>> import parabench
    >>> run = parabench.evaluate("tfidf:", "scenes")          # a run folder
    >>> run.value("AO@10"), run.pairs                         # one number, or every pair as a DataFrame
    >>> parabench.RankSimilarity("AO@10", "JS@10")([2, 1, 5], [2, 4, 5])

Names are imported on first use, so ``import parabench`` is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from parabench.lazy import lazy
from parabench.version import __version__

if TYPE_CHECKING:
    from parabench.data import Benchmark, load
    from parabench.encoders import load_encoder
    from parabench.errors import ParabenchError
    from parabench.evaluate import Run, compare, evaluate  # type: ignore[no-redef, unused-ignore]  # also a package
    from parabench.metrics import RankSimilarity

_PUBLIC = {
    "evaluate": "parabench.evaluate",
    "compare": "parabench.evaluate",
    "Run": "parabench.evaluate",
    "load": "parabench.data",
    "Benchmark": "parabench.data",
    "load_encoder": "parabench.encoders",
    "RankSimilarity": "parabench.metrics",
    "ParabenchError": "parabench.errors",
}

__all__ = ["Benchmark", "ParabenchError", "RankSimilarity", "Run", "__version__", "compare", "evaluate", "load", "load_encoder"]


__getattr__ = lazy(__name__, _PUBLIC)
