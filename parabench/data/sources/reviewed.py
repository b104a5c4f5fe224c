"""Our own sentences: two paraphrases and a foil of a caption, sorted by what the reviews said of them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pyarrow as pa

from parabench.data.own import sentence_table
from parabench.data.schema import FOILS, PAIRS, REJECTED

KINDS = ("lexical", "syntactic", "foil")
_LOWEST_RATING = 4
_CREATED = "2026-11"


def shipped_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file that comes with the package."""
    data = resources.files("parabench.data.sources").joinpath(name).read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).decode("utf-8").split("\n") if line]


def verdict(row: dict[str, Any]) -> dict[str, tuple[str | None, dict[str, float]]]:
    """Why each sentence of a row is dropped (or ``None``), and its scores.

    Rows that went through a build hold what its reviews and checks said.  Of others, a paraphrase is kept when
    every review rates it ≥ 4 without a fault, a foil when every review says ok; a row without reviews is kept.
    """
    if (checks := row.get("checks")) is not None:
        return {kind: (checks[kind]["reason"] or None, checks[kind]["scores"]) for kind in KINDS}
    reasons: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for review in row.get("reviews") or []:
        for kind in KINDS[:2]:
            faults = review[kind].get("faults") or []
            if faults or review[kind]["rating"] < _LOWEST_RATING:
                reasons[kind] += faults or [f"rated {review[kind]['rating']}"]
        if not review["foil"]["ok"]:
            reasons["foil"] += review["foil"].get("faults") or ["not a foil"]
    found: dict[str, tuple[str | None, dict[str, float]]] = {}
    for kind, said in reasons.items():
        ratings = [review[kind].get("rating") for review in row.get("reviews") or []]
        scores = {"rating": float(min(ratings))} if kind != "foil" and ratings else {}
        found[kind] = (", ".join(dict.fromkeys(said)) or None, scores)
    return found


@dataclass
class ReviewedSentences:
    """Collects rows and gives the three tables; ``source`` is what their column of that name says."""

    source: str
    pairs: list[dict[str, Any]] = field(default_factory=list)
    foils: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any], image_id: str, caption_id: str, caption: str, split: str) -> None:
        """Sort the sentences of one caption."""
        verdicts = verdict(row)
        shared = {
            "image_id": image_id,
            "caption_id": caption_id,
            "caption": caption,
            "source": self.source,
            "generator": "-".join(["llm", *([row["writer"]] if row.get("writer") else [])]),
            "created": _CREATED,
            "split": split,
        }
        for kind, (reason, scores) in verdicts.items():
            entry: dict[str, Any] = {**shared, "pair_id": f"{caption_id}-{kind}", "kind": kind, "scores": scores}
            if reason is not None:
                self.rejected.append({**entry, "paraphrase": row[kind], "reason": reason})
            elif kind == "foil":
                self.foils.append({**entry, "foil": row[kind]})
            else:
                self.pairs.append({**entry, "paraphrase": row[kind]})

    def tables(self) -> dict[str, pa.Table]:
        """``pairs``, ``foils`` and ``rejected``."""
        return {
            "pairs": sentence_table(self.pairs, PAIRS),
            "foils": sentence_table(self.foils, FOILS),
            "rejected": sentence_table(self.rejected, REJECTED),
        }
