"""The word lists of the checks of content, read from ``lexicon.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

LEXICON: dict[str, dict[str, Any]] = yaml.safe_load(
    resources.files(__package__).joinpath("lexicon.yaml").read_text(encoding="utf-8")
)


def meanings(table: Mapping[Any, str]) -> dict[str, frozenset[str]]:
    """``{2: "pair both"}`` → ``{"pair": {"2"}, "both": {"2"}}``; a word may have several meanings."""
    found: dict[str, set[str]] = {}
    for meaning, names in table.items():
        for name in names.split():
            found.setdefault(name, set()).add(str(meaning))
    return {name: frozenset(own) for name, own in found.items()}
