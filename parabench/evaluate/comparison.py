"""What a comparison of runs is, as it is written and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from parabench.evaluate.result import DatasetRecord, Measure, ModelRecord


class ComparedRun(BaseModel):
    """One of the compared runs, its numbers on the compared pairs, and what the run itself warns of."""

    model_config = ConfigDict(extra="forbid")
    label: str
    folder: str
    model: ModelRecord
    metrics: dict[str, Measure]
    warnings: list[str] = Field(default_factory=list)


class Contrast(BaseModel):
    """One metric of one run against the reference run, on the same items.

    ``difference`` = value − reference, with the cluster bootstrap interval of the paired difference;
    ``p`` is the two-sided sign-flip permutation p-value by picture and ``p_holm`` the same after Holm's
    adjustment over all contrasts of the comparison.  ``minimum_detectable`` is the difference that a set
    of this size and spread finds with 80 % power at α = .05.  All but ``difference`` are absent with fewer
    than two pictures.
    """

    model_config = ConfigDict(extra="forbid")
    metric: str
    run: str
    reference: str
    value: float
    reference_value: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    minimum_detectable: float | None = None
    n: int
    clusters: int


class Comparison(BaseModel):
    """Several runs on the same pairs; the first is the reference.

    ``contrasts`` holds every metric of every other run; ``settings`` the resampling and what was compared;
    ``notes`` what a reader must know (an intersection was taken, runs differ in precision, …).
    """

    model_config = ConfigDict(extra="forbid")
    schema_version: int = 1
    dataset: DatasetRecord
    runs: list[ComparedRun]
    metrics: list[str]
    contrasts: list[Contrast]
    n_pairs: int
    clusters: int
    depth: int
    settings: dict[str, float | int | str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    def contrast(self, metric: str, run: str) -> Contrast:
        """The contrast of one metric and one run label; :class:`KeyError` if there is none."""
        for entry in self.contrasts:
            if (entry.metric, entry.run) == (metric, run):
                return entry
        raise KeyError(f"no contrast of {metric} for {run}")
