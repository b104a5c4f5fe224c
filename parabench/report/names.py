"""Short names of models for figures, where a path or a full spec does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

LONGEST = 34
_NAMELESS = {"model", "models", "vectors", "embeddings", "checkpoint", "best", "last"}


def short_names(specs: Sequence[str], longest: int = LONGEST) -> list[str]:
    """One short name a spec, different for different specs.

    ``sbert:org/all-MiniLM-L6-v2`` → ``all-MiniLM-L6-v2``; ``embeddings:runs/clip/vectors`` → ``clip/vectors``;
    names that would collide keep their number in the list.
    """
    shortened = [_clip(_short(spec), longest) for spec in specs]
    seen = Counter(shortened)
    return [
        name if seen[name] == 1 else f"{_clip(name, longest - 4)} #{place + 1}"
        for place, name in enumerate(shortened)
    ]


def _short(spec: str) -> str:
    backend, colon, rest = spec.partition(":")
    if not colon or "/" not in rest or backend == "openclip":
        return spec.removesuffix(":") or spec
    parts = [part for part in PurePosixPath(rest).parts if part != "/"]
    wanted = parts[-2:] if parts[-1].lower() in _NAMELESS else parts[-1:]
    return "/".join(wanted)


def _clip(text: str, longest: int) -> str:
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-(longest // 2) :]}"
