"""Rows of a table file → the tables of the format: pairs, foils, rejected rows and the gallery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from parabench import columns
from parabench.data import cells
from parabench.data.schema import FOILS, GALLERY, PAIRS, REJECTED, image_order
from parabench.data.table_file import TableFile
from parabench.errors import DataError, did_you_mean
from parabench.progress import note
from parabench.storage import sha256_text

Row = dict[str, Any]

_OPTIONAL_TEXT = ("kind", "source", "generator", "prompt_sha256", "created", "split")
_KNOWN = (*PAIRS.names, "foil", "foil_id", "file_name", "reason")


def caption_id_of(image_id: str, caption: str) -> str:
    """The id of a caption that brought none: the same for the same picture and text."""
    return sha256_text(f"{image_id}\0{caption}")[:16]


def pair_id_of(caption_id: str, sentence: str, role: str = "") -> str:
    """The id of a pair (or, with a role such as ``"foil"``, of another sentence) that brought none."""
    return "-".join(part for part in (caption_id, role, sha256_text(sentence)[:12]) if part)


def parse_pairs(
    table: TableFile, known: Mapping[str, int] | None, gallery: Path | None = None
) -> tuple[list[Row], list[Row]]:
    """Validated pairs and foils.

    A row is a pair, and its ``foil``, where it has one, belongs to its caption.  A row whose paraphrase is
    blank and whose foil is not brings only the foil.  The same pair twice is refused, since it would count
    double, except where the second row brings another foil; under ids of their own both count, and a note says so.

    Args:
        table: the rows.
        known: the image ids of the gallery, or ``None`` where the gallery follows from the pairs.
        gallery: the file that names the gallery, for messages.

    Raises:
        DataError: with file and line.
    """
    table.require("image_id", "caption", "paraphrase")
    derived = _derived_scores(table)
    checker = _Checker(table, known, gallery, derived)
    pairs: dict[str, tuple[int, Row]] = {}
    foils: dict[tuple[str, str], Row] = {}
    contents: set[tuple[str, str, str]] = set()
    told: dict[tuple[str, str], int] = {}
    again: list[int] = []
    for position, raw in enumerate(table.rows):
        where = table.where(position)
        row = checker.shared(position, raw)
        foil = None if _blank(raw.get("foil")) else cells.text(raw["foil"], "foil", where)
        row["file_name"] = checker.file_name(raw, row["image_id"], where)
        if foil is not None:
            given = raw.get("foil_id")
            foil_id = (
                pair_id_of(row["caption_id"], foil, "foil")
                if cells.missing(given)
                else cells.identifier(given, "foil_id", where, untyped=table.untyped)
            )
            foils.setdefault(
                (row["caption_id"], foil),
                {**row, "pair_id": foil_id, "foil": foil, "kind": "foil", "scores": {}},
            )
            if _blank(raw.get("paraphrase")):
                continue
        paraphrase = cells.text(raw.get("paraphrase"), "paraphrase", where)
        given_id = raw.get("pair_id")
        derive = cells.missing(given_id)
        pair_id = (
            pair_id_of(row["caption_id"], paraphrase)
            if derive
            else cells.identifier(given_id, "pair_id", where, untyped=table.untyped)
        )
        content = (row["caption_id"], paraphrase, foil or "")
        if pair_id in pairs:
            first, earlier = pairs[pair_id]
            if (
                (earlier["caption_id"], earlier["paraphrase"]) == content[:2]
                and foil
                and content not in contents
            ):
                contents.add(content)
                continue
            what = (
                "the same caption and paraphrase stood before"
                if derive
                else f"pair_id '{pair_id}' was used before"
            )
            raise DataError(f"{where}: {what} ({table.where(first)})", "remove one of the two rows")
        if told.setdefault(content[:2], position) != position:
            again.append(position)
        contents.add(content)
        pairs[pair_id] = (position, {**row, "pair_id": pair_id, "paraphrase": paraphrase})
    if not pairs:
        raise DataError(f"{table.path} has foils and no pairs", "fill in the column 'paraphrase'")
    if again:
        note(f"{table.path}: {len(again):,} pairs repeat the caption and paraphrase of another under an id of their own, "
             f"and each counts (first: {table.where(again[0])})")  # fmt: skip
    return [row for _, row in pairs.values()], list(foils.values())


def parse_others(table: TableFile, sentence: str, known: Mapping[str, int] | None) -> list[Row]:
    """Validated rows of a ``foils`` table (``sentence="foil"``) or a ``rejected`` one (``"paraphrase"``)."""
    rejected = sentence != "foil"
    table.require("image_id", "caption", sentence, *(["reason"] if rejected else []))
    checker = _Checker(table, None if rejected else known, None, [])
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for position, raw in enumerate(table.rows):
        where = table.where(position)
        row = checker.shared(position, raw)
        row[sentence] = cells.text(raw.get(sentence), sentence, where)
        given = raw.get("pair_id")
        row["pair_id"] = (
            pair_id_of(row["caption_id"], row[sentence], "rejected" if rejected else "foil")
            if cells.missing(given)
            else cells.identifier(given, "pair_id", where)
        )
        if rejected:
            row["reason"] = cells.text(raw.get("reason"), "reason", where)
        elif row["pair_id"] in seen:
            first = table.where(seen[row["pair_id"]])
            raise DataError(
                f"{where}: pair_id '{row['pair_id']}' was used before ({first})", "remove one of the two rows"
            )
        seen[row["pair_id"]] = position
        rows.append(row)
    return rows


def parse_gallery(table: TableFile) -> list[Row]:
    """Validated rows of a gallery: ``image_id`` and any other column of ``GALLERY``."""
    table.require("image_id")
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for position, raw in enumerate(table.rows):
        where = table.where(position)
        image_id = cells.identifier(raw.get("image_id"), "image_id", where, untyped=table.untyped)
        if image_id in seen:
            raise DataError(
                f"{where}: image_id '{image_id}' stands twice ({table.where(seen[image_id])})",
                "list each picture once",
            )
        seen[image_id] = position
        rows.append(
            {
                "image_id": image_id,
                **{
                    n: cells.optional_text(raw.get(n), n, where)
                    for n in ("file_name", "url", "license", "split")
                },
                **{n: cells.size(raw.get(n), n, where) for n in ("width", "height")},
                **{n: cells.texts(raw.get(n), n, where) for n in ("labels", "captions")},
            }
        )
    return rows


def gallery_of_pairs(rows: Iterable[Row]) -> list[Row]:
    """The gallery that pairs imply: the pictures they name, each with the captions they give it."""
    images: dict[str, Row] = {}
    for row in rows:
        image = images.setdefault(
            row["image_id"], {"image_id": row["image_id"], "captions": [], "file_name": None}
        )
        if row["caption"] not in image["captions"]:
            image["captions"].append(row["caption"])
        image["file_name"] = image["file_name"] or row.get("file_name")
    return list(images.values())


def gallery_table(rows: list[Row]) -> pa.Table:
    """Rows → a gallery table in gallery order; absent columns are null."""
    order = image_order([row["image_id"] for row in rows])
    return columns.table((rows[at] for at in order), GALLERY)


def sentence_table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    """Rows → a ``PAIRS``, ``FOILS`` or ``REJECTED`` table; absent columns are null.

    ``scores`` may be a mapping or name–value pairs.
    """
    assert schema in (PAIRS, FOILS, REJECTED)
    return columns.table(({**row, "scores": _named(row.get("scores"))} for row in rows), schema)


def _named(scores: Mapping[str, float] | Iterable[Any] | None) -> list[dict[str, Any]]:
    pairs = cells.scores(scores if scores is None or isinstance(scores, Mapping) else list(scores), "scores")
    return [{"name": name, "value": value} for name, value in pairs.items()]


class _Checker:
    """The checks that pairs, foils and rejected rows share."""

    def __init__(
        self, table: TableFile, known: Mapping[str, int] | None, gallery: Path | None, derived: list[str]
    ) -> None:
        self._table, self._known, self._gallery, self._derived = table, known, gallery, derived
        self._caption_of: dict[str, tuple[str, str]] = {}
        self._file_of: dict[str, str] = {}

    def shared(self, position: int, raw: Row) -> Row:
        where = self._table.where(position)
        untyped = self._table.untyped
        image_id = cells.identifier(raw.get("image_id"), "image_id", where, untyped=untyped)
        if self._known is not None and image_id not in self._known:
            raise DataError(
                f"{where}: image_id '{image_id}' is not in the gallery {self._gallery or ''}",
                f"{did_you_mean(image_id, self._known)}; add it to the gallery or remove the row",
            )
        caption = cells.text(raw.get("caption"), "caption", where)
        given = raw.get("caption_id")
        caption_id = (
            caption_id_of(image_id, caption)
            if cells.missing(given)
            else cells.identifier(given, "caption_id", where, untyped=untyped)
        )
        if self._caption_of.setdefault(caption_id, (image_id, caption)) != (image_id, caption):
            raise DataError(
                f"{where}: caption_id '{caption_id}' already names another caption or picture",
                "give each caption its own id, or leave the column out",
            )
        scores = cells.scores(raw.get("scores"), where)
        for name in self._derived:
            if (value := cells.number(raw.get(name))) is not None:
                scores[name] = value
        return {
            "image_id": image_id, "caption_id": caption_id, "caption": caption, "scores": scores,
            **{name: cells.optional_text(raw.get(name), name, where) for name in _OPTIONAL_TEXT},
        }  # fmt: skip

    def file_name(self, raw: Row, image_id: str, where: str) -> str | None:
        name = cells.optional_text(raw.get("file_name"), "file_name", where)
        if name is not None and self._file_of.setdefault(image_id, name) != name:
            raise DataError(
                f"{where}: image '{image_id}' has the file '{name}' and had '{self._file_of[image_id]}'",
                "give each picture one file",
            )
        return name


def _derived_scores(table: TableFile) -> list[str]:
    """Columns that are not of the format and hold nothing but numbers; what is left out is said aloud."""
    numeric: list[str] = []
    ignored: list[str] = []
    for column in table.columns:
        if column in _KNOWN:
            continue
        values = [row[column] for row in table.rows if not cells.missing(row.get(column))]
        (numeric if values and all(cells.number(value) is not None for value in values) else ignored).append(
            column
        )
    if ignored:
        note(f"{table.path}: ignoring the columns {', '.join(ignored)} (neither of the format nor numbers)")
    return numeric


def _blank(value: Any) -> bool:
    return cells.missing(value) or (isinstance(value, str) and not value.strip())
