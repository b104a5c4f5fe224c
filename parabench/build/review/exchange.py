"""Reviews out to a table and back, for people who use other tools: CSV or JSONL, one row a verdict."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parabench.build.candidates import CandidateTable
from parabench.build.ledger import Ledger
from parabench.build.reviews import ReviewTable, check_annotator
from parabench.data.table_file import read_table
from parabench.errors import DataError, UsageError
from parabench.storage import atomic_path

COLUMNS = (
    "pair_id", "image_id", "role", "kind", "caption", "sentence", "decision", "reason", "text", "annotator", "created",
)  # fmt: skip
_REQUIRED = ("pair_id", "decision")


def export_reviews(ledger: Ledger, out: Path, annotator: str | None = None) -> tuple[int, int]:
    """Write every candidate that awaits or has a review; → (rows with a verdict, rows still empty).

    A candidate has one row a current verdict; one without any has a row with an empty ``decision`` to fill in.

    Args:
        ledger: an open ledger.
        out: a ``.csv`` or ``.jsonl`` file.
        annotator: export for this person: their own verdicts, and empty rows for what they have not judged.

    Raises:
        UsageError: another kind of file.
        DataError: there are no candidates, or a malformed pseudonym.
    """
    if annotator is not None:
        check_annotator(annotator)
    if out.suffix.lower() not in (".csv", ".jsonl"):
        raise UsageError(f"can't export reviews to '{out.name}'", "name a .csv or .jsonl file")
    counts = [0, 0]

    def counted() -> Iterator[dict[str, str]]:
        for row in _rows(ledger, annotator):
            counts[0 if row["decision"] else 1] += 1
            yield row

    with atomic_path(out) as part, part.open("w", encoding="utf-8", newline="") as stream:
        if out.suffix.lower() == ".csv":
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(counted())
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in counted())
    if not sum(counts):
        out.unlink()
        raise DataError(f"{ledger.path} holds no candidates to review", "build first: parabench build-dataset")
    return counts[0], counts[1]


def import_reviews(ledger: Ledger, path: Path, annotator: str | None = None) -> tuple[int, int, int]:
    """Read verdicts from a table; all rows or, when one is bad, none; → (added, already there, empty rows).

    Columns: ``pair_id``, ``decision``, and where they apply ``reason``, ``text`` (the fixed wording),
    ``annotator``, ``sentence`` (checked when present) and ``created``.  Rows without a decision are skipped.

    Args:
        ledger: an open ledger.
        path: any table that parabench reads (CSV, TSV, JSONL, JSON, parquet).
        annotator: who judged, where the table has no such column.

    Raises:
        DataError: what is wrong, with file and line.
    """
    table = read_table(path)
    for column in (*_REQUIRED, *(() if annotator else ("annotator",))):
        if column not in table.columns:
            hint = "add it, or say who judged with --annotator" if column == "annotator" else "add it; see review export"
            raise DataError(f"{path}: there is no column '{column}' (columns: {', '.join(table.columns)})", hint)
    rows: list[dict[str, Any]] = []
    empty = 0
    for position, raw in enumerate(table.rows):
        where = table.where(position)
        row = {column: _cell(raw.get(column), column, where) for column in COLUMNS}
        if not row["decision"]:
            empty += 1
            continue
        rows.append(
            {
                "where": where, "pair_id": row["pair_id"], "annotator": row["annotator"] or annotator or "",
                "decision": row["decision"].lower(), "reason": " ".join(row["reason"].split()),
                "text": " ".join(row["text"].split()), "sentence": row["sentence"] or None,
                "created": row["created"] or None,
            }
        )  # fmt: skip
    added, present = ReviewTable(ledger).add_all(rows)
    return added, present, empty


def _rows(ledger: Ledger, annotator: str | None) -> Iterator[dict[str, str]]:
    candidates, reviews = CandidateTable(ledger), ReviewTable(ledger)
    for candidate in candidates:
        if candidate.reason:
            continue
        shown = {
            "pair_id": candidate.pair_id, "image_id": candidate.caption.image_id, "role": candidate.role,
            "kind": candidate.kind, "caption": candidate.caption.text, "sentence": candidate.text,
        }  # fmt: skip
        verdicts = reviews.current(candidate.pair_id).values()
        own = [review for review in verdicts if annotator in (None, review.annotator)]
        for review in own:
            yield {
                **shown, "decision": review.decision, "reason": review.reason, "text": review.text,
                "annotator": review.annotator, "created": review.created,
            }  # fmt: skip
        if not own:
            yield {**shown, "decision": "", "reason": "", "text": "", "annotator": annotator or "", "created": ""}


def _cell(value: Any, column: str, where: str) -> str:
    if value is None or value != value:  # NaN, as table programs write an empty cell
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"{where}: the {column} is {value!r}, not a text", "write a text")
    return str(value) if column == "sentence" else str(value).strip()
