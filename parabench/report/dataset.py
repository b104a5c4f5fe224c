"""The dataset that finished runs were made with, found again for its pictures and foils."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parabench.data import Benchmark, load
from parabench.errors import DataError, ParabenchError
from parabench.evaluate.run import Run
from parabench.progress import note


def dataset_of(runs: Sequence[Run], named: str | None = None, *, gallery: Path | None = None, images: Sequence[Path] = ()) -> Benchmark | None:
    """Load the dataset of runs.

    Args:
        runs: finished runs, all of one dataset.
        named: where it is; by default it is looked up by the name in the first run, and a dataset that is
            not found there is done without.
        gallery: its gallery file.
        images: folders with its pictures.

    Returns:
        The dataset, or ``None`` where it is not here: sentences are in the runs, pictures are then left out.

    Raises:
        DataError: the runs are of different datasets.
        ParabenchError: ``named`` can't be loaded.
    """
    records = [run.result.dataset for run in runs]
    other = next((run for run, record in zip(runs, records, strict=True) if record.fingerprint != records[0].fingerprint), None)
    if other is not None:
        raise DataError(
            f"{runs[0].folder} and {other.folder} are runs of different datasets or splits ({records[0].name}, {other.result.dataset.name})",
            "show runs of one dataset side by side, or compare what they share with `parabench compare --intersect`",
        )
    if named is None and not records[0].n_pairs:
        return None  # tasks that bring their own data
    try:
        benchmark = load(named or records[0].name, gallery=gallery, images=images)
    except ParabenchError as error:
        if named is not None:
            raise
        note(f"the dataset '{records[0].name}' is not found ({error.problem}); pictures are left out (name it with --dataset)")
        return None
    if not _is_of(benchmark, runs[0]):
        hint = "" if gallery is not None else "; if the run had a --gallery, name it here too"
        note(f"'{benchmark.name}' is not what the run was made with (its sentences or pictures differ): pictures and foils may be wrong{hint}")
    return benchmark


def _is_of(benchmark: Benchmark, run: Run) -> bool:
    split = run.result.dataset.split
    try:
        own = benchmark if benchmark.split == split else benchmark.select(split)
    except DataError:
        return False
    return own.fingerprint == run.result.dataset.fingerprint
