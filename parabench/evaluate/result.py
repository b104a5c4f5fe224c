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
    unrelated captions; ``normalised`` = (value − floor) / (ceiling − floor), with a ceiling of 1 where
    none was measured.
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
    by_kind: dict[str, Measure] | None = None


class TaskResult(BaseModel):
    """The numbers of one task, by metric name."""

    model_config = ConfigDict(extra="forbid")
    metrics: dict[str, Measure] = Field(default_factory=dict)
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
            raise DataError(f"{path.parent} is not a run folder: it has no result.json") from None
        except (OSError, ValueError) as error:
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
