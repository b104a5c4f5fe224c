"""How intervals are made, the same for every number of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.result import Measure
from parabench.metrics import bootstrap_parts, cluster_bootstrap, draws, resampled_means
from parabench.metrics.bootstrap import Estimate, bounds

MOST_RESAMPLES = 1_000_000
"""Of one bootstrap: an interval's ends are then known to a thousandth of its length, and more would only fill the memory."""

Floats = NDArray[np.float64]
Part = tuple[Sequence[Floats], NDArray[np.int64]]
"""Columns ``(n,)`` and the picture of each row ``(n,)``."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: bootstrap over pictures."""

    n_resamples: int = 10_000
    seed: int = 0
    level: float = 0.95

    def estimate(self, columns: Sequence[Floats], clusters: NDArray[Any]) -> list[Estimate]:
        """One estimate a column; all columns share the resamples."""
        return cluster_bootstrap(
            np.column_stack(list(columns)), clusters, n_resamples=self.n_resamples, seed=self.seed, level=self.level
        )

    def estimates(self, parts: Sequence[Part], n_clusters: int) -> list[list[Estimate]]:
        """Estimates of the columns of parts of a run, whose pictures have codes below ``n_clusters``.

        The parts share the resamples of the whole, and asking for many at once costs little more than for one.
        """
        return bootstrap_parts(
            [(np.column_stack(list(columns)), codes) for columns, codes in parts], n_clusters,
            n_resamples=self.n_resamples, seed=self.seed, level=self.level,
        )  # fmt: skip

    def means(self, parts: Sequence[Part], n_clusters: int) -> list[Floats]:
        """The resampled means themselves, ``(m, n_resamples)`` of each part, for what is computed from several of them."""
        tables = [(np.column_stack(list(columns)), codes) for columns, codes in parts]
        return list(resampled_means(tables, draws(n_clusters, self.n_resamples, self.seed)))

    def interval(self, resampled: Floats) -> list[tuple[float, float] | None]:
        """The interval of each row; ``None`` where no resample has a value."""
        return bounds(resampled, self.level)


def measure(estimate: Estimate) -> Measure:
    """An estimate as it is written to ``result.json``."""
    return Measure(
        value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high, n=estimate.n,
        clusters=estimate.clusters,
    )  # fmt: skip
