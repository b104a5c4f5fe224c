"""What a task is: data that is checked first, rows that a model fills in, numbers that follow from the rows alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench.data import Benchmark
from parabench.encoders.protocol import FloatMatrix, Traits
from parabench.evaluate.resampling import Resampling
from parabench.evaluate.result import TaskResult
from parabench.retrieval.embed import Embedder

_BLOCK = 2048

DETAILS = b"parabench.details"
"""Key of a row table's metadata under which :func:`with_details` keeps what is no number of a row."""


@dataclass(frozen=True)
class TaskSource:
    """Where a task's data is.

    Attributes:
        given: the file or folder of ``--task-data TASK=PATH``, or ``None`` to look in the search folders.
        images: folders of pictures (``--images``), searched first.
        benchmark: the dataset, for a task that asks about its captions.
    """

    given: Path | None = None
    images: tuple[Path, ...] = ()
    benchmark: Benchmark | None = None


class TaskData(Protocol):
    """A task's data, read and checked."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything in it that changes a number (pictures are hashed where they are read)."""
        ...

    @property
    def provenance(self) -> str:
        """What was read and from where, in one line."""
        ...

    def texts(self) -> list[str]:
        """The distinct texts; an encoder that learns word weights learns them from these."""
        ...


@dataclass(frozen=True)
class TaskModel:
    """A model as a task sees it.

    Attributes:
        embedder: embeds every distinct text and picture once, through the cache.
        metrics: rank-similarity metrics that were asked for, such as ``"AO@10"``.
    """

    embedder: Embedder
    metrics: Sequence[str] = field(default_factory=tuple)

    @property
    def spec(self) -> str:
        """The model's spec."""
        return self.embedder.encoder.spec

    @property
    def sees(self) -> str:
        """``"pixels"``, ``"ids"`` or ``"captions"`` (no image tower)."""
        return Traits.of(self.embedder.encoder).sees


class Task(Protocol):
    """One kind of evaluation.  Register a class without arguments under ``parabench.tasks``."""

    def load(self, source: TaskSource) -> Any:
        """Read and check the data, before any model is loaded.

        Returns a :class:`TaskData`.

        Raises:
            DataError: a file is absent or malformed, with its line or entry.
        """
        ...

    def rows(self, data: Any, model: TaskModel) -> pa.Table:
        """Embed and compare: one row an item, with everything that the numbers need.

        What an encoder can't do is left null and said in the table's details under ``"skipped"``.
        """
        ...

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """The numbers, from the rows alone."""
        ...


def with_details(rows: pa.Table, **details: Any) -> pa.Table:
    """The table with ``details`` in its metadata; :func:`details_of` reads them back."""
    return rows.replace_schema_metadata({DETAILS: json.dumps(details, ensure_ascii=False)})


def details_of(rows: pa.Table) -> dict[str, Any]:
    """What :func:`with_details` wrote."""
    held: dict[str, Any] = json.loads((rows.schema.metadata or {}).get(DETAILS, b"{}"))
    return held


def no_image_tower(model: TaskModel) -> str:
    """Why an image task was skipped."""
    return f"{model.spec} has no image tower"


def paired_cosines(
    a: FloatMatrix, a_rows: NDArray[np.int64], b: FloatMatrix, b_rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Cosines ``(n,)`` of row ``a_rows[i]`` of ``a`` with row ``b_rows[i]`` of ``b``.

    Summed and divided by the lengths in float64 and rounded once, so that two equal texts have exactly 1: sets hold
    dozens of such pairs, and rounding noise must not rank them.  A block at a time: memory does not grow with the pairs.
    """
    cosines = np.empty(len(a_rows), np.float32)
    for start in range(0, len(a_rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        left, right = a[a_rows[block]].astype(np.float64), b[b_rows[block]].astype(np.float64)
        lengths = np.sqrt(np.einsum("nd,nd->n", left, left) * np.einsum("nd,nd->n", right, right))
        cosines[block] = np.einsum("nd,nd->n", left, right) / lengths
    return cosines
