"""A run folder: ``result.json``, ``pairs.parquet``, ``rankings.parquet``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.errors import DataError, UsageError
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
    def write(cls, folder: Path, result: Result, rankings: Rankings, pairs: pa.Table) -> Run:
        """Write all files; ``result.json`` comes last, so a run is whole or not there."""
        folder.mkdir(parents=True, exist_ok=True)
        rankings.write(folder / RANKINGS)
        with atomic_path(folder / PAIRS) as part:
            pq.write_table(pairs, part, compression="zstd")
        result.files = {name: sha256_file(folder / name) for name in (RANKINGS, PAIRS)}
        result.write(folder / RESULT)
        return cls(folder, result)

    @cached_property
    def rankings(self) -> Rankings:
        """The rankings from which every number of the run can be recomputed."""
        return Rankings.read(self.folder / RANKINGS)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair with every metric, as a pandas ``DataFrame``."""
        frame: pd.DataFrame = pq.read_table(self.folder / PAIRS).to_pandas()
        return frame

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
