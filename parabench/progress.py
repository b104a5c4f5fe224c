"""Progress bars on stderr: shown to people, silent in pipes and for ``--json``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_quiet: ContextVar[bool] = ContextVar("parabench_quiet", default=False)


@contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Within the block no progress bar and no note is shown."""
    token = _quiet.set(on)
    try:
        yield
    finally:
        _quiet.reset(token)


def bar(description: str, total: int | None, unit: str = "it", initial: int = 0) -> Any:
    """A progress bar on stderr (a context manager with ``update(n)``); off when stderr is not a terminal."""
    from tqdm import tqdm

    disable = True if _quiet.get() else None
    return tqdm(
        desc=description, total=total, unit=unit, initial=initial, disable=disable, leave=False, dynamic_ncols=True
    )


def note(message: str) -> None:
    """Say one line on stderr: a default that was chosen, a name that was resolved, a step that was skipped."""
    if not _quiet.get():
        print(message, file=sys.stderr, flush=True)
