"""Captions of a training set, streamed out of whatever file they come in."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from parabench.errors import DataError, did_you_mean

COLUMNS = ("caption", "captions", "text", "sentence", "TEXT", "raw", "title")
"""Where a table keeps its captions: the first of these columns that it has."""

_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_LONGEST_FIELD = 1 << 24


def read_training_captions(path: Path) -> Iterator[str]:
    """Captions of a text file (one a line), a table with a caption column, or COCO's JSON (official or Karpathy).

    Text, CSV, TSV, JSONL and parquet are streamed; JSON is read whole.  All but parquet may be gzipped (``.gz``).

    Raises:
        DataError: the file is missing, damaged, of an unknown kind, or holds no captions (names the place).
    """
    if not path.is_file():
        raise DataError(f"no such file of training captions: {path}", "check the path")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if zipped else suffixes)[-1:] or [""]
    if kind[0] not in _SUFFIXES or (zipped and kind[0] == ".parquet"):
        raise DataError(f"{path}: unknown kind of file '{path.name}'", f"use one of {', '.join(_SUFFIXES)}, or those with .gz")
    found = False
    try:
        for caption in _captions(path, kind[0], zipped):
            found = True
            yield caption
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}", "convert it to UTF-8") from None
    except (OSError, EOFError, csv.Error) as error:
        raise DataError(f"can't read the training captions {path}: {error}", "check or download the file again") from None
    if not found:
        raise DataError(f"{path} holds no captions", "give a file with at least one")


def _captions(path: Path, kind: str, zipped: bool) -> Iterator[str]:
    if kind == ".parquet":
        yield from _parquet(path)
        return
    with _opened(path, zipped) as stream:
        if kind == ".txt":
            yield from (line.strip() for line in stream if line.strip())
        elif kind in (".csv", ".tsv"):
            yield from _csv(path, stream, "\t" if kind == ".tsv" else ",")
        elif kind == ".json":
            yield from _json(path, stream)
        else:
            yield from _jsonl(path, stream)


@contextmanager
def _opened(path: Path, zipped: bool) -> Iterator[TextIO]:
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") if zipped else path.open(
        encoding="utf-8-sig", newline=""
    ) as stream:
        yield stream


def _csv(path: Path, stream: TextIO, delimiter: str) -> Iterator[str]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(stream, delimiter=delimiter)
    column = _column(path, reader.fieldnames or [])
    for row in reader:
        yield from _texts(row.get(column))


def _jsonl(path: Path, stream: TextIO) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON ({error})", "write one JSON object a line") from None
        yield from _row(f"{path}, line {number}", row)


def _json(path: Path, stream: TextIO) -> Iterator[str]:
    try:
        value = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})", "check or download the file again") from None
    if isinstance(value, dict):
        lists = [value[key] for key in ("annotations", "images", "data") if isinstance(value.get(key), list)]
        if not lists:
            raise DataError(f"{path}: no list of annotations, images or captions", "use COCO's captions_*.json")
        value = lists[0]
    if not isinstance(value, list):
        raise DataError(f"{path}: not a list of captions", 'write ["…", "…"], or use COCO\'s captions_*.json')
    for number, row in enumerate(value, 1):
        yield from _row(f"{path}, entry {number}", row)


def _row(where: str, row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield from _texts(row)
    elif not isinstance(row, dict):
        raise DataError(f"{where}: neither a caption nor an object with one", 'write {"caption": "…"}')
    elif isinstance(row.get("sentences"), list):  # dataset_coco.json
        for sentence in row["sentences"]:
            yield from _row(where, sentence)
    else:
        yield from _texts(row[_column(where, row)])


def _column(where: Any, columns: Mapping[str, Any] | list[str] | Any) -> str:
    names = [str(name) for name in columns]
    for column in COLUMNS:
        if column in names:
            return column
    hint = did_you_mean("caption", names) if names else ""
    raise DataError(f"{where}: no caption column (it has {', '.join(names[:8]) or 'none'})", hint or "call it 'caption'")


def _texts(value: Any) -> Iterator[str]:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and text.strip():
            yield text


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as stream:
            table = pq.ParquetFile(stream)
            column = _column(path, table.schema_arrow.names)
            for batch in table.iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield from _texts(value)
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a readable parquet file: {error}", "write or download it again") from None
