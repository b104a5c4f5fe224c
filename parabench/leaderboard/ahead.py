"""Score many new entries at once, on all cores, before they are validated one after another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from parabench.errors import DataError
from parabench.leaderboard.reference import References
from parabench.leaderboard.schema import RANKINGS
from parabench.leaderboard.scoring import cache_key, is_kept
from parabench.leaderboard.validate import Validator, read_submission
from parabench.progress import bar, note
from parabench.storage import sha256_file

_FEW = 8
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read when a process loads its linear algebra
_validator: Validator | None = None  # of a worker process: its datasets and its sandbox serve all its entries


def score_ahead(folders: Sequence[Path], references: References) -> None:
    """Fill the cache of scores for submissions that have none yet; what is wrong with them is found out later.

    With few of them, or on one core, nothing is done: validation scores them itself.
    """
    new = [folder for folder in folders if _is_new(folder, references)]
    workers = min(os.cpu_count() or 1, len(new))
    if len(new) < _FEW or workers < 2:
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(references.folder,))
    with bar("score", len(new), "entry") as shown, _one_thread_each(), pool:
        try:
            for _ in pool.map(_score, new):
                shown.update()
        except BrokenProcessPool:
            note("a scoring process died; going on with one")


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start inside compute with one thread: as many processes as cores with as many threads each get in each other's way."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ |= dict.fromkeys(_THREADS, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _is_new(folder: Path, references: References) -> bool:
    try:
        dataset = read_submission(folder).dataset
        return not is_kept(cache_key(sha256_file(folder / RANKINGS), references.get(dataset.name, dataset.split)))
    except DataError:
        return False


def _start(references: Path | None) -> None:
    global _validator
    _validator = Validator(References(references))


def _score(folder: Path) -> None:
    assert _validator is not None
    _validator.validate(folder)
