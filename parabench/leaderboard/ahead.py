"""Score many new entries at once, on all cores, before they are validated one after another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
_CHUNK = 4


def score_ahead(folders: Sequence[Path], references: References) -> None:
    """Fill the cache of scores for submissions that have none yet; what is wrong with them is found out later.

    With few of them, or on one core, nothing is done: validation scores them itself.
    """
    new = [folder for folder in folders if _is_new(folder, references)]
    workers = min(os.cpu_count() or 1, len(new) // _CHUNK)
    if len(new) < _FEW or workers < 2:
        return
    chunks = [new[start : start + _CHUNK] for start in range(0, len(new), _CHUNK)]
    with bar("score", len(new), "entry") as shown, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for done in pool.map(_score, chunks, [references.folder] * len(chunks)):
                shown.update(done)
        except BrokenProcessPool:
            note("a scoring process died; going on with one")


def _is_new(folder: Path, references: References) -> bool:
    try:
        dataset = read_submission(folder).dataset
        return not is_kept(cache_key(sha256_file(folder / RANKINGS), references.get(dataset.name, dataset.split)))
    except DataError:
        return False


def _score(folders: Sequence[Path], references: Path | None) -> int:
    with Validator(References(references)) as validator:
        for folder in folders:
            validator.validate(folder)
    return len(folders)
