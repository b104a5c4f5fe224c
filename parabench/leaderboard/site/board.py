"""The rows of the table: what is shown of an entry, which entries are references, who ranks where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.result import Measure
from parabench.leaderboard.ranking import rank_ranges
from parabench.leaderboard.reference import Reference
from parabench.leaderboard.site.drawing import Point, front_of, pareto
from parabench.leaderboard.validate import Entry
from parabench.metrics import cluster_bootstrap

RANKED = ("both@10", "AO@10", "R@10", "R@10 paraphrase")
"""Metrics by which one can rank; larger is better. The first is the default: stable *and* right."""

REFERENCE_SPECS = ("random:512", "constant:512", "tfidf:")

_TYPES = {
    "openclip": "dual encoder", "hf": "dual encoder", "parabench": "parabench recipe", "demo": "parabench recipe", "embeddings": "precomputed", "cca": "baseline",
    "random": "baseline", "constant": "baseline", "tfidf": "baseline",
}  # fmt: skip
SIZES = ((0, 1, "no network"), (1, 50e6, "under 50 M"), (50e6, 200e6, "50–200 M"), (200e6, 500e6, "200–500 M"), (500e6, 1e18, "over 500 M"))
"""From, below, name: ranges of the number of parameters."""


@dataclass
class Row:
    """One entry in the table; ``ranks`` is empty for references, which are shown and not ranked."""

    entry: Entry
    numbers: dict[str, Measure]
    reference: bool
    type: str
    ranks: dict[str, tuple[int, int]] = field(default_factory=dict)
    front: bool = False

    @property
    def id(self) -> str:
        """The entry's folder name."""
        return self.entry.id

    @property
    def track(self) -> str:
        """How it searched."""
        return self.entry.submission.model.track

    def rank(self, metric: str) -> str:
        """``1``, ``2–4``, or ``ref`` for a reference."""
        if metric not in self.ranks:
            return "ref"
        first, last = self.ranks[metric]
        return str(first) if first == last else f"{first}–{last}"

    @property
    def by_kind(self) -> str:
        """AO@10 and its interval for every kind of pair: ``lexical=.512,.48,.54|syntactic=…``."""
        kinds = self.numbers["AO@10"].by_kind or {}
        return "|".join(f"{kind}={_short(m.value)},{_short(m.ci_low)},{_short(m.ci_high)}" for kind, m in kinds.items())

    @property
    def training(self) -> list[str]:
        """What it was trained on, each in at most 60 characters; the entry's page has the whole."""
        told = self.entry.submission.declared.training_data
        return [data if len(data) <= 60 else data[:59] + "…" for data in told]

    @property
    def kinds(self) -> list[str]:
        """The kinds of pairs."""
        return list(self.numbers["AO@10"].by_kind or {})


@dataclass
class Board:
    """All entries on one dataset, best first; ranks are given within a track."""

    reference: Reference
    rows: list[Row]
    plot: str
    people: Measure | None

    @property
    def key(self) -> str:
        """The name in links."""
        return self.reference.name + (f".{self.reference.split}" if self.reference.split else "")


def boards_of(entries: Sequence[Entry]) -> list[Board]:
    """One board a dataset, the one with the largest gallery first."""
    by_set: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_set.setdefault((entry.reference.name, entry.reference.split or ""), []).append(entry)
    boards = [_board(own) for own in by_set.values()]
    return sorted(boards, key=lambda board: (-len(board.reference.image_ids), board.key))


def _board(entries: Sequence[Entry]) -> Board:
    reference = entries[0].reference
    rows = [_row(entry) for entry in entries]
    for track in sorted({row.track for row in rows}):
        _rank([row for row in rows if row.track == track and not row.reference], reference)
    entered = [row for row in rows if not row.reference]
    for row, front in zip(entered, front_of([(r.numbers["R@10"].value, r.numbers["AO@10"].value) for r in entered]), strict=True):
        row.front = front
    rows.sort(key=lambda row: (-row.numbers[RANKED[0]].value, -row.numbers["AO@10"].value, row.id))
    points = [
        Point(r.entry.submission.model.name, f"entries/{r.id}.html", r.numbers["R@10"], r.numbers["AO@10"], r.reference, r.track, r.front)
        for r in rows
    ]
    plot = pareto(points, "R@10: finds the right picture", "AO@10: same pictures for other words", f"Stability against accuracy on {reference.title}")
    return Board(reference, rows, plot, _people(reference))


def _row(entry: Entry) -> Row:
    model = entry.submission.model
    scored, backend = entry.scored, model.spec.partition(":")[0]
    paraphrase, retrieval = scored.tasks["paraphrase"], scored.tasks["retrieval"]
    both = paraphrase.details["both_hit"]["R@10"]["both"]
    ends = both["share_ci"] or (None, None)
    first = paraphrase.metrics["AO@10"]
    numbers = {
        "both@10": Measure(value=both["share"], ci_low=ends[0], ci_high=ends[1], n=first.n, clusters=first.clusters), "AO@10": first,
        "R@10": retrieval.metrics["R@10"], "R@10 paraphrase": retrieval.metrics["R@10 paraphrase"], "flip@10": paraphrase.metrics["flip@10"],
    }  # fmt: skip
    if (auc := paraphrase.metrics.get("foil-AUC(AO@10)")) is not None:
        numbers["foil-AUC"] = auc
    kind = "text-only" if model.track == "caption-gallery" and backend not in _TYPES else _TYPES.get(backend, "dual encoder")
    return Row(entry, numbers, model.spec in REFERENCE_SPECS, kind)


def items_of(entry: Entry, metric: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values and picture of every item of a metric: a pair, or a caption for ``R@10``."""
    values, codes = entry.scored.per_pair(metric), entry.reference.pair_pictures
    if metric == "R@10":
        first = entry.reference.first_pairs
        return values[first], codes[first]
    return values, codes


def _rank(rows: Sequence[Row], reference: Reference) -> None:
    if not rows:
        return
    for metric in RANKED:
        items = [items_of(row.entry, metric) for row in rows]
        ranges = rank_ranges(np.stack([values for values, _ in items]), items[0][1])
        for row, (first, last) in zip(rows, ranges.tolist(), strict=True):
            row.ranks[metric] = (first, last)


def _people(reference: Reference) -> Measure | None:
    """How alike people rate the pairs, from 0 to 1; ``None`` where nobody was asked."""
    if not len(reference.ratings):
        return None
    (found,) = cluster_bootstrap(reference.ratings, reference.pair_pictures)
    return Measure(value=found.value, ci_low=found.ci_low, ci_high=found.ci_high, n=found.n, clusters=found.clusters)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".replace("0.", ".", 1).rstrip("0")


def export_row(row: Row) -> dict[str, Any]:
    """An entry as the exports hold it."""
    submission = row.entry.submission
    told: dict[str, Any] = {
        "dataset": row.entry.reference.name, "split": row.entry.reference.split or "", "track": row.track, "rank": row.rank(RANKED[0]),
        "model": submission.model.name, "type": row.type, "spec": submission.model.spec, "parameters": submission.model.n_parameters,
    }  # fmt: skip
    for name, measure in row.numbers.items():
        told |= {name: measure.value, f"{name} low": measure.ci_low, f"{name} high": measure.ci_high}
    return told | {
        "training data": "; ".join(submission.declared.training_data), "test paraphrases": submission.declared.paraphrases_of_test_captions,
        "license": submission.declared.license, "date": submission.created, "entry": row.id,
    }  # fmt: skip
