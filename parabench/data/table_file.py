"""Rows of a CSV, TSV, JSONL, JSON or parquet file, each with the place it came from."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True)
class TableFile:
    """The rows of a file as dictionaries; ``where(i)`` says where row i stands, for messages."""

    path: Path
    columns: list[str]
    rows: list[dict[str, Any]]
    places: list[int]
    unit: str

    def where(self, row: int) -> str:
        """``pairs.csv, line 7``."""
        return f"{self.path}, {self.unit} {self.places[row]}"


def read_table(path: Path) -> TableFile:
    """Read a table by its extension.

    Raises:
        DataError: missing, empty, of an unknown kind, not UTF-8, or malformed (names the line).
    """
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        table = _parquet(path)
    elif suffix in (".csv", ".tsv"):
        table = _csv(path, "\t" if suffix == ".tsv" else ",")
    elif suffix in (".jsonl", ".ndjson"):
        table = _jsonl(path)
    elif suffix == ".json":
        table = _json(path)
    else:
        raise DataError(f"{path}: unknown kind of file '{suffix or path.name}'", f"use one of {', '.join(SUFFIXES)}")
    if not table.rows:
        raise DataError(f"{path} has no rows")
    return table


def read_utf8(path: Path) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped); :class:`DataError` names the first bad line."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start})",
            f"convert it, e.g. iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8_{path.name}",
        ) from None


def _csv(path: Path, delimiter: str) -> TableFile:
    csv.field_size_limit(1 << 24)
    reader = csv.reader(read_utf8(path).splitlines(keepends=True), delimiter=delimiter, strict=True)
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    header: list[str] | None = None
    try:
        for values in reader:
            if not values:
                continue
            if header is None:
                header = [value.strip() for value in values]
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(values)} fields where the header has {len(header)}",
                    "put texts that hold a comma or a line break in double quotes",
                )
            rows.append(dict(zip(header, values, strict=True)))
            places.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", "check the quoting of that line") from None
    return TableFile(path, header or [], rows, places, "line")


def _jsonl(path: Path) -> TableFile:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error})", "one JSON object a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: not a JSON object", 'write {"image_id": …, "caption": …, …}')
        rows.append(row)
        places.append(number)
    return TableFile(path, _columns(rows), rows, places, "line")


def _json(path: Path) -> TableFile:
    try:
        value = json.loads(read_utf8(path))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(f"{path}: not a list of JSON objects", "write [{…}, {…}] or use .jsonl")
    return TableFile(path, _columns(value), value, list(range(1, len(value) + 1)), "entry")


def _parquet(path: Path) -> TableFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from None
    return TableFile(path, table.column_names, table.to_pylist(), list(range(1, table.num_rows + 1)), "row")


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
