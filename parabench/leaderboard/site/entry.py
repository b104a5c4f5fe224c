"""What the page of an entry shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parabench.evaluate.result import Measure, TaskResult
from parabench.leaderboard.schema import Submission
from parabench.leaderboard.scoring import AO_SCALE
from parabench.leaderboard.site.board import RANKED, Board, Row
from parabench.leaderboard.site.drawing import curve, levels
from parabench.leaderboard.site.pictures import Pictures
from parabench.report.numbers import count, interval, number, percent
from parabench.report.provenance import of_environment, plain

_MOST_PARTS = 12
_BY = {"kind": "How they were reworded", "caption length": "How long the caption is", "lexical distance": "How different the words are",
       "category": "What is in the picture", "source": "Where the sentence comes from"}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A drawing with its title, and the numbers in it as rows."""

    title: str
    svg: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def entry_context(row: Row, board: Board, pictures: Pictures) -> dict[str, Any]:
    """Everything that the template of an entry's page needs."""
    submission, scored = row.entry.submission, row.entry.scored
    paraphrase = scored.tasks["paraphrase"]
    return {
        "row": row, "board": board, "submission": submission, "warnings": scored.warnings, "flags": row.entry.flags,
        "sentence": _sentence(row), "tiles": _tiles(row), "ranks": [(name, row.rank(name)) for name in RANKED], "others": _others(row, board),
        "curves": _curves(paraphrase), "slices": _slices(paraphrase), "numbers": _numbers(scored.tasks), "both": _both(paraphrase),
        "examples": [_example(row, board, example, pictures) for example in scored.examples],
        "provenance": _provenance(submission), "command": str(submission.environment.get("command") or ""),
    }  # fmt: skip


def _sentence(row: Row) -> str:
    similarity, recall, flip = row.numbers["AO@10"], row.numbers["R@10"], row.numbers["flip@10"]
    floor = f" (unrelated captions: {number(similarity.floor)})" if similarity.floor is not None else ""
    return (
        f"A caption and its paraphrase get results that agree to AO@10 = {number(similarity.value)}, where 1 is the same pictures in the "
        f"same order{floor}. The right picture is among the first ten for {percent(recall.value)} of captions, and for "
        f"{percent(flip.value)} of the pairs only one of the two wordings finds it."
    )


def _tiles(row: Row) -> list[dict[str, Any]]:
    texts = {
        "both@10": "Both wordings find the right picture in the first ten.", "AO@10": "Same pictures for other words; the mark is what unrelated captions get.",
        "R@10": "Captions that find their picture; the mark is chance.", "R@10 paraphrase": "Paraphrases that find it; the mark is chance.",
        "flip@10": "Only one of the two wordings finds it: lower is better.", "foil-AUC": "A false sentence is told from a paraphrase; the mark is a coin's toss.",
    }  # fmt: skip
    chance = float(row.entry.scored.tasks["retrieval"].details["chance"]["R@10"])
    marks = {"AO@10": row.numbers["AO@10"].floor, "R@10": chance, "R@10 paraphrase": chance, "foil-AUC": 0.5}
    return [
        {"name": name, "value": number(m.value), "interval": interval(m.ci_low, m.ci_high), "text": texts[name], "at": _at(m.value),
         "low": _at(m.ci_low), "high": _at(m.ci_high), "floor": _at(marks.get(name))}
        for name, m in row.numbers.items()
    ]  # fmt: skip


def _at(value: float | None) -> float | None:
    return None if value is None else round(100 * min(1.0, max(0.0, value)), 2)


def _others(row: Row, board: Board) -> list[Row]:
    """Those to compare with first: neighbours of the same track, then references."""
    same = [other for other in board.rows if other.track == row.track]
    place = same.index(row)
    near = [other for other in same[max(0, place - 2) : place + 3] if other is not row]
    return [*near, *(other for other in board.rows if other.reference and other is not row and other not in near)][:7]


def _curves(task: TaskResult) -> list[Chart]:
    titles = {"depth": "How deep one looks", "gallery size": "How many pictures are searched"}
    charts = []
    for line in task.curves:
        if len(line.x) < 2:
            continue
        rows = [
            (f"{x:g}", number(value), interval(line.ci_low[at], line.ci_high[at]) if line.ci_low and line.ci_high else "",
             number(line.floor[at]) if line.floor else "–")
            for at, (x, value) in enumerate(zip(line.x, line.values, strict=True))
        ]  # fmt: skip
        title = f"{titles.get(line.name, line.name)}: {line.metric}"
        charts.append(Chart(title, curve(line, title), (line.x_label, line.metric, "95 %", "floor"), rows))
    return charts


def _slices(task: TaskResult) -> list[Chart]:
    by: dict[str, list[tuple[str, Measure]]] = {}
    for part in task.slices:
        by.setdefault(part.by, []).append((part.level, part.metrics["AO@10"]))
    charts = []
    for what, parts in by.items():
        drawn = parts[:_MOST_PARTS]
        title = f"{_BY.get(what, what)}: AO@10" + (f" (the {_MOST_PARTS} largest of {len(parts)})" if len(parts) > _MOST_PARTS else "")
        rows = [(level, number(m.value), interval(m.ci_low, m.ci_high), count(m.n)) for level, m in parts]
        charts.append(Chart(title, levels(drawn, task.metrics["AO@10"].value, "AO@10", title), (what, "AO@10", "95 %", "pairs"), rows))
    return charts


def _numbers(tasks: dict[str, TaskResult]) -> list[tuple[str, str, str, str, str]]:
    return [
        (name, number(m.value), interval(m.ci_low, m.ci_high), number(m.floor) if m.floor is not None else "", f"{m.n:,} / {m.clusters:,}")
        for task in tasks.values() for name, m in task.metrics.items()
    ]  # fmt: skip


def _both(task: TaskResult) -> list[tuple[str, str, str, str]]:
    names = {"both": "both wordings", "caption_only": "the caption only", "paraphrase_only": "the paraphrase only", "neither": "neither"}
    table = task.details["both_hit"]["R@10"]
    return [
        (name, percent(table[cell]["share"]), interval(*(table[cell]["share_ci"] or (None, None))), number(table[cell]["similarity"]))
        for cell, name in names.items()
    ]


def _example(row: Row, board: Board, example: Any, pictures: Pictures) -> dict[str, Any]:
    reference, scored = board.reference, row.entry.scored
    at = int((reference.roles == "paraphrase").nonzero()[0][example.pair])
    query_id, kind = (str(reference.queries[name][at]) for name in ("query_id", "kind"))
    right = int(reference.targets[at])
    caption, paraphrase = pictures.sentences(query_id)
    shared = set(example.caption_top) & set(example.paraphrase_top)

    def strip(positions: Sequence[int]) -> list[dict[str, Any]]:
        return [pictures.frame(position) | {"right": position == right, "shared": position in shared} for position in positions]

    return {
        "pair": query_id, "kind": kind, "ao": number(int(scored.ao[example.pair]) / AO_SCALE), "target": pictures.frame(right),
        "caption": caption, "paraphrase": paraphrase, "caption_rank": int(scored.caption_rank[example.pair]),
        "paraphrase_rank": int(scored.paraphrase_rank[example.pair]), "caption_strip": strip(example.caption_top),
        "paraphrase_strip": strip(example.paraphrase_top),
    }  # fmt: skip


def _provenance(submission: Submission) -> list[tuple[str, str]]:
    model, declared, dataset = submission.model, submission.declared, submission.dataset
    entries = [
        ("model", model.spec), ("resolved to", plain(model.resolved)), ("parameters", count(model.n_parameters) if model.n_parameters else ""),
        ("model fingerprint", model.fingerprint), ("licence", declared.license), ("training data", "; ".join(declared.training_data)),
        ("paraphrases of test captions in training", declared.paraphrases_of_test_captions), ("authors", ", ".join(declared.authors)),
        ("contact", declared.contact), ("submitted", submission.created), ("dataset fingerprint", dataset.fingerprint),
        ("hash of all queries", dataset.queries_sha256), ("hash of the gallery", dataset.gallery_sha256), ("settings", plain(submission.settings)),
        *of_environment(submission.environment),
        ("SHA-256 of rankings.parquet", submission.rankings.sha256), ("notes", declared.notes or ""),
    ]  # fmt: skip
    return [(term, text) for term, text in entries if text]
