"""A run folder: ``result.json``, ``pairs.parquet``, ``rankings.parquet``, and one ``<task>.parquet`` for each other task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.errors import DataError, ParabenchError, UsageError
from parabench.evaluate.result import Result
from parabench.retrieval.rankings import Rankings
from parabench.storage import atomic_path, sha256_file

if TYPE_CHECKING:
    import pandas as pd

RESULT, PAIRS, RANKINGS = "result.json", "pairs.parquet", "rankings.parquet"


@dataclass(frozen=True)
class Run:
    """A finished evaluation on disk."""

    folder: Path
    result: Result

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Open a finished run.

        Raises:
            DataError: not a run folder, unfinished, of another version, or its files were changed.
        """
        folder = Path(folder)
        result = Result.read(folder / RESULT)
        if result.status != "complete":
            raise DataError(f"the run in {folder} is not finished ({result.status})", "run the same evaluate command again")
        for name, expected in result.files.items():
            path = folder / name
            if not path.is_file():
                raise DataError(f"the run in {folder} lacks {name}", "run the same evaluate command again")
            if sha256_file(path) != expected:
                raise DataError(f"{path} is not the file that the run wrote", "run the same evaluate command again")
        return cls(folder, result)

    @classmethod
    def write(
        cls,
        folder: Path,
        result: Result,
        rankings: Rankings | None,
        pairs: pa.Table | None,
        rows: Mapping[str, pa.Table] | None = None,
    ) -> Run:
        """Write all files; ``result.json`` comes last, so a run is whole or not there.

        ``rankings`` and ``pairs`` are ``None`` for a run that ranked no pairs; ``rows`` are those of other tasks.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tables = {f"{task}.parquet": table for task, table in (rows or {}).items()}
        if rankings is not None and pairs is not None:
            rankings.write(folder / RANKINGS)
            tables[PAIRS] = pairs
        for name, table in tables.items():
            with atomic_path(folder / name) as part:
                pq.write_table(table, part, compression="zstd")
        written = [*([RANKINGS] if rankings is not None else []), *tables]
        result.files = {name: sha256_file(folder / name) for name in written}
        result.write(folder / RESULT)
        return cls(folder, result)

    @cached_property
    def rankings(self) -> Rankings:
        """The rankings from which every number of the run can be recomputed."""
        return Rankings.read(self._file(RANKINGS))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair with every metric, as a pandas ``DataFrame``."""
        frame: pd.DataFrame = pq.read_table(self._file(PAIRS)).to_pandas()
        return frame

    def rows(self, task: str) -> pa.Table:
        """The rows of a task with data of its own (``run.rows("sts").to_pandas()``), from which its numbers follow.

        Raises:
            DataError: the run has no such rows.
        """
        return pq.read_table(self._file(f"{task}.parquet"))

    def _file(self, name: str) -> Path:
        if name not in self.result.files:
            held = ", ".join(self.result.files) or "no rows"
            raise DataError(f"the run in {self.folder} has no {name}: it did the tasks {', '.join(self.result.tasks)}", f"it has {held}")
        return self.folder / name

    def value(self, metric: str, task: str = "paraphrase") -> float:
        """One headline number: ``run.value("AO@10")``."""
        try:
            return self.result.tasks[task].metrics[metric].value
        except KeyError:
            known = [f"{name}:{key}" for name, entry in self.result.tasks.items() for key in entry.metrics]
            raise UsageError(f"the run in {self.folder} has no {task}:{metric}", f"it has {', '.join(known)}") from None


def claim(folder: Path, model_fingerprint: str, dataset_fingerprint: str, *, overwrite: bool) -> None:
    """Make sure that writing to ``folder`` destroys nobody else's result.

    Raises:
        DataError: the folder holds a run of another model, dataset or version.
    """
    if overwrite or not (folder / RESULT).exists():
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder} is a file, not a folder", "choose another --out")
        return
    held = Result.read(folder / RESULT)
    if (held.model.fingerprint, held.dataset.fingerprint) != (model_fingerprint, dataset_fingerprint):
        raise DataError(
            f"{folder} already holds the run of {held.model.spec} on {held.dataset.name}",
            "choose another --out, or pass --overwrite to replace it",
        )


def slug(text: str) -> str:
    """A model spec or dataset name as a folder name."""
    return re.sub(r"[^\w.=+-]+", "_", text).strip("_.") or "run"


def write_failure(folder: Path, result: Result, error: ParabenchError) -> None:
    """Leave a note of what failed where no earlier result stands; never hide the error itself."""
    result.status, result.error = "failed", str(error)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        result.write(folder / RESULT)
    except (OSError, ParabenchError):
        return
