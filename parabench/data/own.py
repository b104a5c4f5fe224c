"""Your own data: a file of pairs, and perhaps a file that names the pictures to search."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from parabench.data.benchmark import Benchmark
from parabench.data.schema import FOILS, GALLERY, PAIRS, REJECTED, image_order
from parabench.data.table_file import TableFile, read_table
from parabench.errors import DataError, did_you_mean
from parabench.storage import sha256_text

REQUIRED = ("image_id", "caption", "paraphrase")
_OPTIONAL_TEXT = ("kind", "source", "generator", "prompt_sha256", "created", "split")


def read_own(pairs: Path, gallery: Path | None = None) -> Benchmark:
    """Read pairs (``image_id, caption, paraphrase`` and any optional column) and an optional gallery file.

    Without a gallery file, the gallery is the pictures that the pairs name, each with the captions that
    these pairs give it.  A ``foil`` column becomes the ``foils`` table.  Missing ids are derived from the
    texts, so they stay the same from run to run.  Other numeric columns become ``scores``.

    Raises:
        DataError: what is wrong, with file and line.
    """
    table = read_table(pairs)
    images = None if gallery is None else read_gallery(gallery)
    known = None if images is None else set(images["image_id"].to_pylist())
    rows = parse_pairs(table, known, gallery)
    if images is None:
        captions: dict[str, list[str]] = {}
        for row in rows:
            held = captions.setdefault(row["image_id"], [])
            if row["caption"] not in held:
                held.append(row["caption"])
        file_names = {row["image_id"]: row["file_name"] for row in rows if row["file_name"]}
        images = gallery_table([{"image_id": key, "captions": value, "file_name": file_names.get(key)}
                                for key, value in captions.items()])  # fmt: skip
    else:
        images = _with_captions(images, rows)
    searched = "the pictures they name" if gallery is None else str(gallery)
    return Benchmark(
        name=pairs.name,
        pairs=sentence_table(rows, PAIRS),
        foils=sentence_table(_foils(rows), FOILS),
        gallery=images,
        image_roots=tuple(dict.fromkeys(path.parent for path in (gallery, pairs) if path is not None)),
        provenance=f"{pairs} (local file, {len(rows)} pairs; gallery: {searched}, {images.num_rows} pictures)",
    )


def parse_pairs(table: TableFile, known: set[str] | None, gallery: Path | None = None) -> list[dict[str, Any]]:
    """Validated rows with every column of ``PAIRS`` plus ``foil`` and ``file_name``."""
    for column in REQUIRED:
        if column not in table.columns:
            raise DataError(f"{table.path}: there is no column '{column}'", did_you_mean(column, table.columns))
    numeric = [name for name in table.columns if name not in (*PAIRS.names, "foil", "foil_id", "file_name")]
    rows: list[dict[str, Any]] = []
    pair_at: dict[str, int] = {}
    caption_of: dict[str, tuple[str, str]] = {}
    for number, raw in enumerate(table.rows):
        where = table.where(number)
        image_id = identifier(raw.get("image_id"), "image_id", where)
        caption = text(raw.get("caption"), "caption", where)
        paraphrase = text(raw.get("paraphrase"), "paraphrase", where)
        if known is not None and image_id not in known:
            raise DataError(f"{where}: image_id '{image_id}' is not in the gallery {gallery}", did_you_mean(image_id, known))
        caption_id = (
            identifier(raw["caption_id"], "caption_id", where)
            if not missing(raw.get("caption_id"))
            else sha256_text(f"{image_id}\0{caption}")[:16]
        )
        if caption_of.setdefault(caption_id, (image_id, caption)) != (image_id, caption):
            raise DataError(f"{where}: caption_id '{caption_id}' already names another caption or picture",
                            "give each caption its own id, or leave the column out")  # fmt: skip
        given = not missing(raw.get("pair_id"))
        pair_id = identifier(raw["pair_id"], "pair_id", where) if given else f"{caption_id}-{sha256_text(paraphrase)[:12]}"
        if pair_id in pair_at:
            what = f"pair_id '{pair_id}' was used before" if given else "the same caption and paraphrase stood before"
            raise DataError(f"{where}: {what} ({table.where(pair_at[pair_id])})", "remove one of the two rows")
        pair_at[pair_id] = number
        rows.append({
            "pair_id": pair_id, "image_id": image_id, "caption_id": caption_id, "caption": caption,
            "paraphrase": paraphrase, "scores": _scores(raw, numeric),
            "foil": None if missing(raw.get("foil")) else text(raw["foil"], "foil", where),
            "file_name": None if missing(raw.get("file_name")) else str(raw["file_name"]),
            **{name: None if missing(raw.get(name)) else str(raw[name]) for name in _OPTIONAL_TEXT},
        })  # fmt: skip
    return rows


def read_gallery(path: Path) -> pa.Table:
    """Read a gallery file: ``image_id`` and any other column of ``GALLERY``; lists as JSON or ``|``-separated."""
    table = read_table(path)
    if "image_id" not in table.columns:
        raise DataError(f"{path}: there is no column 'image_id'", did_you_mean("image_id", table.columns))
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(table.rows):
        where = table.where(number)
        image_id = identifier(raw.get("image_id"), "image_id", where)
        if image_id in seen:
            raise DataError(f"{where}: image_id '{image_id}' stands twice ({table.where(seen[image_id])})",
                            "list each picture once")  # fmt: skip
        seen[image_id] = number
        row: dict[str, Any] = {"image_id": image_id}
        for name in ("file_name", "url", "license", "split"):
            row[name] = None if missing(raw.get(name)) else str(raw[name])
        for name in ("width", "height"):
            row[name] = _size(raw.get(name), name, where)
        for name in ("labels", "captions"):
            row[name] = _texts(raw.get(name), name, where)
        rows.append(row)
    return gallery_table(rows)


def gallery_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows → a gallery table in gallery order; absent columns are null."""
    order = image_order([row["image_id"] for row in rows])
    return pa.Table.from_pylist([{name: rows[at].get(name) for name in GALLERY.names} for at in order], schema=GALLERY)


def sentence_table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows → a ``PAIRS``, ``FOILS`` or ``REJECTED`` table; absent columns are null."""
    assert schema in (PAIRS, FOILS, REJECTED)
    def value(row: dict[str, Any], name: str) -> Any:
        if name == "scores":
            return [{"name": key, "value": score} for key, score in row.get("scores") or ()]
        return row.get(name)

    return pa.Table.from_pylist([{name: value(row, name) for name in schema.names} for row in rows], schema=schema)


def _foils(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    distinct: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["foil"] is not None:
            foil_id = f"{row['caption_id']}-foil-{sha256_text(row['foil'])[:12]}"
            distinct.setdefault((row["caption_id"], row["foil"]), {**row, "pair_id": foil_id, "kind": "foil"})
    return list(distinct.values())


def _with_captions(images: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Where the gallery file says nothing of a picture's captions, those of the pairs are its captions."""
    own: dict[str, list[str]] = {}
    for row in rows:
        if row["caption"] not in own.setdefault(row["image_id"], []):
            own[row["image_id"]].append(row["caption"])
    merged = [
        {**row, "captions": row["captions"] if row["captions"] else own.get(row["image_id"])} for row in images.to_pylist()
    ]
    return gallery_table(merged)


def missing(value: Any) -> bool:
    """Whether a cell is empty: absent, null, NaN or an empty string."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or value == ""


def text(value: Any, column: str, where: str) -> str:
    """A sentence, exactly as written; :class:`DataError` for anything else."""
    if missing(value) or (isinstance(value, str) and (not value.strip() or value.strip().lower() == "nan")):
        what = "NaN or null" if value is None or isinstance(value, float) or str(value).strip() else "empty"
        raise DataError(f"{where}: the {column} is {what}", "fill it in or remove the row")
    if not isinstance(value, str):
        raise DataError(f"{where}: the {column} is {value!r}, not a text")
    return value


def identifier(value: Any, column: str, where: str) -> str:
    """An id as text: strings as they are, whole numbers without a decimal point."""
    if missing(value) or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: the {column} is empty or NaN", "fill it in or remove the row")
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(f"{where}: the {column} is {value!r}", "ids are texts or whole numbers")
        value = int(value)
    if not isinstance(value, (str, int)):
        raise DataError(f"{where}: the {column} is {value!r}", "ids are texts or whole numbers")
    return str(value).strip()


def _scores(raw: dict[str, Any], numeric: list[str]) -> list[tuple[str, float]]:
    scores: dict[str, float] = {}
    given = raw.get("scores")
    if isinstance(given, list):  # as parquet gives them back
        given = {entry["name"]: entry["value"] for entry in given if isinstance(entry, dict) and "name" in entry}
    items = given.items() if isinstance(given, dict) else ()
    for name, value in (*items, *((name, raw.get(name)) for name in numeric)):
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            scores[name] = number
    return list(scores.items())


def _size(value: Any, column: str, where: str) -> int | None:
    if missing(value):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the {column} is {value!r}, not a number of pixels") from None


def _texts(value: Any, column: str, where: str) -> list[str] | None:
    if missing(value):
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise DataError(f"{where}: the {column} look like a JSON list and are not one") from None
    items = value.split("|") if isinstance(value, str) else list(value)
    return [str(item).strip() if isinstance(item, str) else str(item) for item in items if not missing(item)]
