"""What one cell of somebody's table may hold: texts, ids, sizes, scores, lists; all else is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from parabench.errors import DataError

_WHOLE_FLOAT = re.compile(r"(0|[1-9][0-9]*)\.0+")
_LARGEST_EXACT = 2**53
_LARGEST_SIZE = 2**31 - 1


def missing(value: Any) -> bool:
    """Whether a cell is empty: absent, null, NaN or an empty string."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value)
    )


def text(value: Any, column: str, where: str) -> str:
    """A sentence, exactly as written.

    Raises:
        DataError: empty, white space, NaN or null, not a text, or not valid Unicode.
    """
    if isinstance(value, str) and value.strip() and value.strip().lower() != "nan":
        return _unicode(value, column, where)
    if isinstance(value, str):
        what = "NaN" if value.strip() else "empty"
    elif value is None:
        what = "null"
    elif missing(value):
        what = "NaN"
    else:
        raise DataError(f"{where}: the {column} is {value!r}, not a text", "write it as a text")
    raise DataError(f"{where}: the {column} is {what}", "fill it in or remove the row")


def optional_text(value: Any, column: str, where: str) -> str | None:
    """A text or ``None``; numbers and dates become text."""
    if missing(value):
        return None
    if isinstance(value, (dict, list, bytes)):
        raise DataError(f"{where}: the {column} is {value!r}, not a text", "write it as a text")
    return _unicode(str(value), column, where)


def identifier(value: Any, column: str, where: str, *, untyped: bool = False) -> str:
    """An id as text: texts without surrounding white space, whole numbers without a decimal point.

    Args:
        value: the cell.
        column: its column, for messages.
        where: file and line, for messages.
        untyped: whether the file knows no types (CSV); then ``42.0``, which a table program writes for 42
            when the column has gaps, is read as ``42``.

    Raises:
        DataError: empty, fractional, too large for the float that holds it, or of another type.
    """
    if (
        missing(value)
        or isinstance(value, bool)
        or (isinstance(value, str) and value.strip().lower() in ("", "nan"))
    ):
        raise DataError(f"{where}: the {column} is empty or NaN", "fill it in or remove the row")
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(f"{where}: the {column} is {value!r}", "ids are texts or whole numbers")
        if abs(value) > _LARGEST_EXACT:
            raise DataError(
                f"{where}: the {column} is the float {value!r}, which has lost its last digits",
                "store the column as text or int64",
            )
        value = int(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{where}: the {column} is {value!r}", "ids are texts or whole numbers")
    written = _unicode(value.strip(), column, where)
    whole = _WHOLE_FLOAT.fullmatch(written) if untyped else None
    return str(whole[1]) if whole else written


def size(value: Any, column: str, where: str) -> int | None:
    """A number of pixels, or ``None`` for an empty cell."""
    if missing(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer() or not 0 < number <= _LARGEST_SIZE:
        raise DataError(
            f"{where}: the {column} is {value!r}, not a number of pixels", "write a whole number above 0"
        )
    return int(number)


def texts(value: Any, column: str, where: str) -> list[str] | None:
    """A list of texts: a list, a JSON list, or texts separated by ``|``; ``None`` for an empty cell."""
    if missing(value):
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(
                f"{where}: the {column} look like a JSON list and are not one",
                f'write ["…", "…"], or separate the {column} by |',
            ) from None
    elif isinstance(value, str):
        return [_unicode(item.strip(), column, where) for item in value.split("|") if item.strip()] or None
    if not isinstance(value, list):
        raise DataError(f"{where}: the {column} are {value!r}, not a list of texts", 'write ["…", "…"]')
    return [text(item, column, where) for item in value] or None


def number(value: Any) -> float | None:
    """A finite number, also where it is written as text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def scores(value: Any, where: str) -> dict[str, float]:
    """Named numbers: a mapping, a list of ``{"name": …, "value": …}`` or of pairs, or JSON of these."""
    if missing(value):
        return {}
    try:
        if isinstance(value, str):
            value = json.loads(value)
        items = (
            value.items()
            if isinstance(value, dict)
            else [(item["name"], item["value"]) if isinstance(item, dict) else tuple(item) for item in value]
        )
        named = {str(name): number(given) for name, given in items}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError(
            f"{where}: the scores are {value!r}, not named numbers", 'write {"name": 4.5, …}'
        ) from None
    return {name: given for name, given in named.items() if given is not None}


def _unicode(value: str, column: str, where: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{where}: the {column} holds half of a surrogate pair, which is no character",
            "write the text again as UTF-8",
        ) from None
    return value
