"""Python values → Arrow columns, straight from buffers.

``pyarrow.array`` imports pandas to find out whether it was handed a Series, which costs more than a whole
evaluation from the cache.  The few types of our tables are laid out here as the Arrow columnar format says
(https://arrow.apache.org/docs/format/Columnar.html): a validity bitmap, offsets, values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench.errors import DataError

_LARGEST_OFFSET = np.iinfo(np.int32).max


def column(values: Sequence[Any] | NDArray[Any], kind: pa.DataType) -> pa.Array:
    """One Arrow array.

    Args:
        values: numbers, texts, lists or mappings as ``kind`` says; ``None`` is null.  A NumPy array of
            numbers has no nulls.
        kind: string, integer, floating, boolean, list or struct type.

    Raises:
        DataError: a text that is not valid Unicode, or more than 2 GiB of text in one column.
    """
    if isinstance(values, np.ndarray):
        if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
            numbers = np.ascontiguousarray(values, kind.to_pandas_dtype())
            return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])
        return column(values.tolist(), kind)
    valid = np.fromiter((value is not None for value in values), bool, len(values))
    mask = None if valid.all() else _bitmap(valid)
    if pa.types.is_string(kind):
        return _strings(values, mask, kind)
    if pa.types.is_list(kind):
        offsets = _offsets([len(value) if value is not None else 0 for value in values])
        items = column([item for value in values for item in (() if value is None else value)], kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(offsets)], children=[items])
    if pa.types.is_struct(kind):
        fields = [
            column([None if value is None else value[field.name] for value in values], field.type) for field in kind
        ]
        return pa.Array.from_buffers(kind, len(values), [mask], children=fields)
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, len(values), [mask, _bitmap(np.array([bool(value) for value in values], bool))])
    dtype = kind.to_pandas_dtype()
    numbers = np.array([0 if value is None else value for value in values], dtype)
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(numbers)])


def table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows → a table of exactly ``schema``; absent values are null, other keys are left out.

    Raises:
        DataError: as :func:`column`, naming the column.
    """
    held = list(rows)
    arrays = []
    for field in schema:
        try:
            arrays.append(column([row.get(field.name) for row in held], field.type))
        except DataError as error:
            raise DataError(f"column '{field.name}': {error.problem}", error.remedy) from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _strings(values: Sequence[Any], mask: pa.Buffer | None, kind: pa.DataType) -> pa.Array:
    try:
        encoded = [b"" if value is None else value.encode("utf-8") for value in values]
    except UnicodeEncodeError as error:
        raise DataError(
            f"{str(error.object)[:60]!r} is not valid Unicode ({error.reason})", "write the text again as UTF-8"
        ) from None
    offsets = _offsets([len(value) for value in encoded])
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def _offsets(lengths: Sequence[int]) -> NDArray[np.int32]:
    ends = np.cumsum([0, *lengths], dtype=np.int64)
    if ends[-1] > _LARGEST_OFFSET:
        raise DataError("one column holds more than 2 GiB", "split the data set into several")
    return ends.astype(np.int32)


def _bitmap(bits: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(bits, bitorder="little"))


def read_parquet(source: Any, columns: list[str] | None = None) -> pa.Table:
    """A parquet file (path or open file) as a table, read by the calling thread alone.

    Arrow's own threads, if they still start up while the process ends, bring it down with SIGABRT: a command that refuses a
    file did so in most runs.
    """
    import pyarrow.parquet as pq

    return pq.read_table(source, columns=columns, use_threads=False, pre_buffer=False)
