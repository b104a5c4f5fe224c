"""What a run writes to disk as ``result.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parabench.errors import DataError
from parabench.storage import write_text

SCHEMA_VERSION = 1


class Measure(BaseModel):
    """One number with its uncertainty.

    ``value`` is a mean over ``n`` items of ``clusters`` pictures; ``ci_low``/``ci_high`` bound it at 95 %
    (cluster bootstrap over pictures; absent with fewer than two clusters).  ``floor`` is the value for
    unrelated captions and ``ceiling`` for one text embedded twice; ``normalised`` = (value − floor) /
    (ceiling − floor), with a ceiling of 1 where none was measured.  The ``…_ci`` are the (low, high) of
    these three, from the same resamples.
    """

    model_config = ConfigDict(extra="forbid")
    value: float
    ci_low: float | None = None
    ci_high: float | None = None
    n: int
    clusters: int
    floor: float | None = None
    ceiling: float | None = None
    normalised: float | None = None
    floor_ci: tuple[float, float] | None = None
    ceiling_ci: tuple[float, float] | None = None
    normalised_ci: tuple[float, float] | None = None
    by_kind: dict[str, Measure] | None = None


class Slice(BaseModel):
    """The numbers of one part of the pairs.

    ``by`` is what they are parted by (``kind``, ``caption length``, ``lexical distance``, ``category``,
    ``source``) and ``level`` which part this is (``"8–10 words"``).  Slices stand in the order in which
    they are to be shown.  A pair may be in several categories, and in no other two levels of one ``by``.
    """

    model_config = ConfigDict(extra="forbid")
    by: str
    level: str
    metrics: dict[str, Measure]


class Curve(BaseModel):
    """One metric along an axis, point by point; every list has the length of ``x``.

    ``name`` is ``"depth"`` (AO@x along the depth) or ``"gallery size"``; ``metric`` is what is drawn and
    ``x_label`` what ``x`` counts.  ``ci_low`` and ``ci_high`` are pointwise; ``floor`` and ``ceiling``
    are empty where they were not measured.  Points past ``n_images`` of a gallery-size curve contain
    distractors.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    metric: str
    x_label: str
    x: list[float]
    values: list[float]
    ci_low: list[float] = Field(default_factory=list)
    ci_high: list[float] = Field(default_factory=list)
    floor: list[float] = Field(default_factory=list)
    floor_low: list[float] = Field(default_factory=list)
    floor_high: list[float] = Field(default_factory=list)
    ceiling: list[float] = Field(default_factory=list)
    ceiling_low: list[float] = Field(default_factory=list)
    ceiling_high: list[float] = Field(default_factory=list)
    n: int
    clusters: int


class TaskResult(BaseModel):
    """The numbers of one task, by metric name, with the slices and curves it has."""

    model_config = ConfigDict(extra="forbid")
    metrics: dict[str, Measure] = Field(default_factory=dict)
    slices: list[Slice] = Field(default_factory=list)
    curves: list[Curve] = Field(default_factory=list)
    details: dict[str, Any] = Field(default_factory=dict)


class ModelRecord(BaseModel):
    """Which model ran, exactly."""

    spec: str
    resolved: dict[str, Any] = Field(default_factory=dict)
    fingerprint: str
    n_parameters: int | None = None


class DatasetRecord(BaseModel):
    """Which pairs and pictures were used."""

    name: str
    split: str | None = None
    fingerprint: str
    n_pairs: int
    n_images: int
    provenance: str = ""


class Result(BaseModel):
    """``result.json``: everything about a run but its rows."""

    model_config = ConfigDict(extra="forbid")
    schema_version: int = SCHEMA_VERSION
    status: Literal["running", "complete", "failed"] = "complete"
    error: str | None = None
    model: ModelRecord
    dataset: DatasetRecord
    settings: dict[str, Any]
    environment: dict[str, Any]
    timings: dict[str, float] = Field(default_factory=dict)
    tasks: dict[str, TaskResult] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write atomically as readable JSON."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read ``result.json``.

        Raises:
            DataError: it is absent, not a result, or of another schema version.
        """
        import json

        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise DataError(f"no such run folder: {path.parent}", "check the path; evaluate says it as 'run: …' when it is done") from None
            raise DataError(f"{path.parent} is not a run folder: it has no result.json", "name the folder that evaluate wrote") from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"can't read {path}: {error}", "evaluate again into another --out") from error
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} has schema version {version}, this parabench reads {SCHEMA_VERSION}",
                "evaluate again into another --out, or use the version of parabench that wrote it",
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{path} is not a valid result: {where}: {first['msg']}") from error
