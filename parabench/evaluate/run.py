"""A run folder: ``result.json``, ``pairs.parquet``, ``rankings.parquet``, and one ``<task>.parquet`` for each other task."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.columns import read_parquet
from parabench.errors import DataError, ParabenchError, UsageError
from parabench.evaluate.collapse import collapsed
from parabench.evaluate.result import Result
from parabench.retrieval.rankings import Rankings
from parabench.storage import atomic_path, disk_errors, sha256_file

if TYPE_CHECKING:
    import pandas as pd

RESULT, PAIRS, RANKINGS = "result.json", "pairs.parquet", "rankings.parquet"
PAGE = "report.html"


def drawn_files(folder: Path) -> list[Path]:
    """The figures and tables of a run's page: what ``plots/`` and ``tables/`` hold of the kinds that a report writes."""
    return [
        path for path in (*(folder / "plots").glob("*.*"), *(folder / "tables").glob("*.*")) if path.suffix in (".svg", ".png", ".md", ".tex")
    ]


@dataclass(frozen=True)
class Run:
    """A finished evaluation on disk.

    Attributes:
        folder: where it is.
        result: every number: ``result.tasks["paraphrase"].metrics["AO@10"]`` has ``value``, ``ci_low``, ``ci_high``, ``n``,
            ``clusters``, ``floor``, ``ceiling``, ``normalised`` and ``by_kind``; besides ``model``, ``dataset``, ``settings``,
            ``environment``, ``timings`` (seconds) and ``warnings``.
    """

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
        """Write all files beside those of an earlier run, then put them in their place together, ``result.json`` last.

        The page, figures and tables of an earlier run with other numbers are removed.

        ``rankings`` and ``pairs`` are ``None`` for a run that ranked no pairs; ``rows`` are those of other tasks.
        """
        same = _numbers(folder) == _told(result)
        tables = {f"{task}.parquet": table for task, table in (rows or {}).items()}
        result.files = {}
        with ExitStack() as staged:  # left in reverse, and without replacing anything after an error
            last = staged.enter_context(atomic_path(folder / RESULT))
            if rankings is not None and pairs is not None:
                part = staged.enter_context(atomic_path(folder / RANKINGS))
                rankings.write(part)
                result.files[RANKINGS] = sha256_file(part)
                tables[PAIRS] = pairs
            for name, table in tables.items():
                part = staged.enter_context(atomic_path(folder / name))
                pq.write_table(table, part, compression="zstd")
                result.files[name] = sha256_file(part)
            result.write(last)
            if not (folder / RESULT).exists():  # a kill between the renames leaves an unfinished run, not somebody's files
                result.model_copy(update={"status": "running", "files": {}}).write(folder / RESULT)
        if not same:
            for stale in (folder / PAGE, *drawn_files(folder)):
                stale.unlink(missing_ok=True)
        return cls(folder, result)

    @cached_property
    def rankings(self) -> Rankings:
        """The rankings from which every number of the run can be recomputed."""
        return Rankings.read(self._file(RANKINGS))

    @cached_property
    def scored(self) -> Rankings:
        """The rankings that the run's numbers are of: :attr:`rankings`, or those in which pictures that look the same count as one."""
        return collapsed(self.rankings) if self.result.settings.get("collapse_duplicates") else self.rankings

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair, as a pandas ``DataFrame``.

        ``pair_id``, ``image_id``, ``caption_id``, ``kind``, ``caption``, ``paraphrase`` (str); ``caption_words`` (int32), ``lexical_distance``
        (float64, 0–1); ``caption_rank``, ``paraphrase_rank`` (int64, 1-based rank of the right picture); a float64 column for each
        similarity metric, 0–1; ``caption_hit@k`` and ``paraphrase_hit@k`` (float64, 0 or 1).
        """
        frame: pd.DataFrame = read_parquet(self._file(PAIRS)).to_pandas()
        return frame

    def rows(self, task: str) -> pa.Table:
        """The rows of a task with data of its own (``run.rows("sts").to_pandas()``), from which its numbers follow.

        Raises:
            DataError: the run has no such rows.
        """
        return read_parquet(self._file(f"{task}.parquet"))

    def record(self) -> dict[str, Any]:
        """What ``result.json`` holds, with the folder as ``run``: one run as ``--json`` prints it."""
        return {"run": str(self.folder), **self.result.model_dump()}

    def _file(self, name: str) -> Path:
        if name not in self.result.files:
            held = ", ".join(self.result.files) or "no rows"
            raise DataError(f"the run in {self.folder} has no {name}: it did the tasks {', '.join(self.result.tasks)}", f"it has {held}")
        return self.folder / name

    def value(self, metric: str, task: str = "paraphrase") -> float:
        """One headline number: ``run.value("AO@10")``.

        Raises:
            UsageError: the run has no such task or metric (says which it has).
        """
        if task not in self.result.tasks:
            raise UsageError(f"the run in {self.folder} has no task {task}", f"it has {', '.join(self.result.tasks)}")
        metrics = self.result.tasks[task].metrics
        if metric not in metrics:
            raise UsageError(f"the run in {self.folder} has no {task}:{metric}", f"{task} has {', '.join(metrics)}")
        return metrics[metric].value


def _told(result: Result) -> tuple[Any, ...]:
    """What a page shows of a result."""
    return result.model, result.dataset, result.tasks, result.warnings


def _numbers(folder: Path) -> tuple[Any, ...] | None:
    try:
        return _told(Result.read(folder / RESULT))
    except ParabenchError:
        return None


def claim(folder: Path, model_fingerprint: str, dataset_fingerprint: str, *, overwrite: bool) -> None:
    """Make sure that writing to ``folder`` destroys nobody else's result.

    Raises:
        DataError: the folder holds files that are no run, or a finished run of another model, dataset or version.
        ParabenchError: nothing can be written there.
    """
    with disk_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder} is a file, not a folder", "choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if overwrite or not others:
        return
    if RESULT not in others:
        raise DataError(
            f"{folder} holds other files and no run (first: {others[0]})",
            "choose another --out, or pass --overwrite to write among them",
        )
    held = Result.read(folder / RESULT)
    if held.status != "complete":
        return
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
