"""Rows of a CSV, TSV, JSONL, JSON or parquet file, each with the place it came from."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.columns import read_parquet
from parabench.errors import DataError, near_names

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_LONGEST_FIELD = 1 << 24
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
"""Byte order mark → encoding, the longer ones first: UTF-32's little-endian mark begins with UTF-16's."""
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip (or Excel)", b"PAR1": "parquet"}
_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


@dataclass(frozen=True)
class TableFile:
    """The rows of a file as dictionaries; ``where(i)`` says where row i stands, for messages.

    ``untyped`` is true where every cell is a text because the file knows nothing else (CSV, TSV).
    ``files`` names the file of every row where the table joins several.
    """

    path: Path
    columns: list[str]
    rows: list[dict[str, Any]]
    places: list[int]
    unit: str
    untyped: bool = False
    files: list[Path] | None = None

    def where(self, row: int) -> str:
        """``pairs.csv, line 7``."""
        return f"{self.files[row] if self.files else self.path}, {self.unit} {self.places[row]}"

    def require(self, *columns: str) -> None:
        """:class:`DataError` that names the first of these columns that is not there, and what to rename to it."""
        for column in columns:
            if column not in self.columns:
                near = near_names(column, self.columns)
                raise DataError(
                    f"{self.path}: there is no column '{column}' (columns: {', '.join(self.columns)})",
                    f"rename {' or '.join(map(repr, near))} to '{column}'" if near else f"call the column that holds it '{column}'",
                )

    @classmethod
    def joined(cls, path: Path, tables: list[TableFile]) -> TableFile:
        """Several files as one table called ``path``; every row keeps its own file in ``where``."""
        if len(tables) == 1:
            return tables[0]
        return cls(
            path,
            list(dict.fromkeys(column for table in tables for column in table.columns)),
            [row for table in tables for row in table.rows],
            [place for table in tables for place in table.places],
            tables[0].unit,
            any(table.untyped for table in tables),
            [table.path for table in tables for _ in table.rows],
        )


def read_table(path: Path) -> TableFile:
    """Read a table by its extension.

    Raises:
        DataError: missing, empty, of an unknown kind, not UTF-8, or malformed (names the line).
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"no such file: {path}", "check the path")
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path}: unknown kind of file '{suffix or path.name}'", f"use one of {', '.join(SUFFIXES)}"
        )
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty", "write a header and at least one row")
        if suffix == ".parquet":
            table = _parquet(path)
        elif suffix in (".csv", ".tsv"):
            table = _csv(path, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".json":
            table = _json(path)
        else:
            table = _jsonl(path)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}", "check its permissions") from error
    if not table.rows:
        raise DataError(f"{path} has no rows", "write at least one")
    twice = [name for name, count in Counter(table.columns).items() if count > 1]
    if twice:
        raise DataError(f"{path}: the column '{twice[0]}' stands twice in the header", "rename or remove one")
    return table


def read_utf8(path: Path) -> str:
    """The text of a UTF-8 file without byte order mark; :class:`DataError` names the first bad line."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        packed = next((what for magic, what in _PACKED.items() if data.startswith(magic)), None)
        encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "WINDOWS-1252")
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start})",
            f"it is a {packed} file: unpack it first"
            if packed
            else f"convert it, e.g. iconv -f {encoding} -t UTF-8 {path.name} > utf8_{path.name}",
        ) from None


def _csv(path: Path, delimiter: str) -> TableFile:
    csv.field_size_limit(_LONGEST_FIELD)
    # StringIO splits at \n and \r only; str.splitlines would also split at U+2028, which texts may hold.
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    header: list[str] | None = None
    line = 1
    try:
        for values in reader:
            start, line = line, reader.line_num + 1
            if not values:
                continue
            if header is None:
                header = [value.strip() for value in values]
                other = next((mark for mark in _SEPARATORS if mark != delimiter and mark in header[0]), None)
                if len(header) == 1 and other is not None:
                    raise DataError(
                        f"{path}, line {start}: the columns are separated by {_SEPARATORS[other]}, not by {_SEPARATORS[delimiter]}",
                        "save a .csv with commas or a .tsv with tabs",
                    )
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{path}, line {start}: {len(values)} fields where the header has {len(header)}",
                    "put texts that hold a separator or a line break in double quotes",
                )
            rows.append(dict(zip(header, values, strict=True)))
            places.append(start)
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}", "check the quoting of that line") from None
    return TableFile(path, header or [], rows, places, "line", untyped=True)


def _jsonl(path: Path) -> TableFile:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: not JSON ({error})", "write one JSON object a line"
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: not a JSON object", 'write {"image_id": …, "caption": …, …}'
            )
        rows.append(row)
        places.append(number)
    return TableFile(path, _columns(rows), rows, places, "line")


def _json(path: Path) -> TableFile:
    try:
        value = json.loads(read_utf8(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not JSON ({error})", "write [{…}, {…}], or one object a line in a .jsonl"
        ) from None
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(f"{path}: not a list of JSON objects", "write [{…}, {…}], or use .jsonl")
    return TableFile(path, _columns(value), value, list(range(1, len(value) + 1)), "entry")


def _parquet(path: Path) -> TableFile:
    import pyarrow as pa

    try:
        # A file handle, not a path: for a path, pyarrow would read columns out of folder names (a=b/).
        with path.open("rb") as stream:
            table = read_parquet(stream)
        rows = table.to_pylist()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(
            f"{path} is not a readable parquet file: {error}", "write or download it again"
        ) from None
    return TableFile(path, table.column_names, rows, list(range(1, table.num_rows + 1)), "row")


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
