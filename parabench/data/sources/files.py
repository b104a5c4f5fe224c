"""Where the files of public sets are looked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parabench.errors import DataError
from parabench.storage import cache_home


class NotHereError(DataError):
    """A file of a public set is in none of the search folders."""


def search_folders(given: Path | None) -> list[Path]:
    """The folder given, ``$PARABENCH_DATA`` (several, as in ``$PATH``), ``$PARABENCH_SHARED``, the cache."""
    if given is not None and not given.exists():
        raise DataError(f"no such file or folder of annotations: {given}", "check the path")
    folders = [] if given is None else [given if given.is_dir() else given.parent]
    for variable in ("PARABENCH_DATA", "PARABENCH_SHARED"):
        folders += [
            Path(part).expanduser() for part in os.environ.get(variable, "").split(os.pathsep) if part
        ]
    return [*folders, cache_home() / "data"]


def find(names: Iterable[str], given: Path | None, source: str) -> Path:
    """The first file of these relative names, or of their last parts, in the search folders.

    Raises:
        NotHereError: none is there; names the folders and where the file comes from.
    """
    wanted = list(names)
    if given is not None and given.is_file() and given.name in {Path(name).name for name in wanted}:
        return given
    folders = search_folders(given)
    for folder in folders:
        for name in wanted:
            for candidate in (folder / name, folder / Path(name).name):
                if candidate.is_file():
                    return candidate
    searched = ", ".join(str(folder) for folder in folders)
    raise NotHereError(
        f"{Path(wanted[0]).name} was not found (searched: {searched})",
        f"get it from {source} and point $PARABENCH_DATA to its folder",
    )


def read_json(path: Path) -> Any:
    """A JSON file; :class:`DataError` when it is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"can't read {path}: {error}", "get it again") from None
