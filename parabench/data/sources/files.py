"""Where the files of public sets are looked for."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from parabench.errors import DataError
from parabench.storage import cache_home


def search_folders(given: Path | None) -> list[Path]:
    """The folder given, then ``$PARABENCH_DATA`` (several, as in ``$PATH``), ``$PARABENCH_SHARED`` and the cache."""
    folders = [] if given is None else [given if given.is_dir() else given.parent]
    for variable in ("PARABENCH_DATA", "PARABENCH_SHARED"):
        folders += [Path(part).expanduser() for part in os.environ.get(variable, "").split(os.pathsep) if part]
    return [*folders, cache_home() / "data"]


def find(names: Iterable[str], given: Path | None, source: str) -> Path:
    """The first file of these relative names, or of their last parts, in the search folders.

    Raises:
        DataError: none is there; names the folders and where the file comes from.
    """
    wanted = list(names)
    folders = search_folders(given)
    for folder in folders:
        for name in wanted:
            for candidate in (folder / name, folder / Path(name).name):
                if candidate.is_file():
                    return candidate
    searched = ", ".join(str(folder) for folder in folders)
    raise DataError(
        f"{Path(wanted[0]).name} was not found (searched: {searched})",
        f"get it from {source} and point $PARABENCH_DATA to its folder",
    )


def shipped_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file that comes with the package."""
    data = resources.files("parabench.data.sources").joinpath(name).read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).decode("utf-8").split("\n") if line]


def read_json(path: Path) -> Any:
    """A JSON file; :class:`DataError` when it is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"can't read {path}: {error}") from None


def verdict(row: dict[str, Any]) -> dict[str, str | None]:
    """Why each sentence of a reviewed row is dropped, or ``None``: every review must rate it ≥ 4 without a fault."""
    reasons: dict[str, str | None] = {"lexical": None, "syntactic": None, "foil": None}
    for review in row.get("reviews") or []:
        for kind in ("lexical", "syntactic"):
            faults = review[kind].get("faults") or []
            if faults or review[kind]["rating"] < 4:
                reasons[kind] = ", ".join(faults) or f"rated {review[kind]['rating']}"
        if not review["foil"]["ok"]:
            reasons["foil"] = ", ".join(review["foil"].get("faults") or []) or "not a foil"
    return reasons
