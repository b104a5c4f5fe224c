"""The benchmark format: which tables there are and which columns they hold.

One benchmark is four tables: ``pairs`` (caption → paraphrase), ``gallery`` (the pictures to search),
``foils`` (caption → a sentence that looks alike and is false) and ``rejected`` (what the quality checks
dropped, with the reason).  Every source, file and release becomes exactly these columns.
"""

from __future__ import annotations

import pyarrow as pa

_SCORES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))  # datasets reads no Arrow maps

_SENTENCE_FIELDS: list[tuple[str, pa.DataType]] = [
    ("kind", pa.string()),
    ("source", pa.string()),
    ("generator", pa.string()),
    ("prompt_sha256", pa.string()),
    ("created", pa.string()),
    ("scores", _SCORES),
    ("split", pa.string()),
]

PAIRS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("paraphrase", pa.string(), nullable=False),
        *[pa.field(name, kind) for name, kind in _SENTENCE_FIELDS],
    ]
)
"""One row a (caption, paraphrase) pair.  ``image_id`` is the picture that the caption describes."""

FOILS = pa.schema(
    [pa.field("foil", pa.string(), nullable=False) if field.name == "paraphrase" else field for field in PAIRS]
)
"""Like ``PAIRS`` with ``foil`` for ``paraphrase``; a foil belongs to a caption, not to a pair."""

REJECTED = pa.schema([*PAIRS, pa.field("reason", pa.string(), nullable=False)])
"""Like ``PAIRS`` with the reason why the row was dropped."""

GALLERY = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("file_name", pa.string()),
        pa.field("url", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("license", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("captions", pa.list_(pa.string())),
        pa.field("split", pa.string()),
    ]
)
"""One row a picture, ordered by :func:`image_order`.  ``captions`` are the known captions of the picture."""

TABLES: dict[str, pa.Schema] = {"pairs": PAIRS, "gallery": GALLERY, "foils": FOILS, "rejected": REJECTED}
"""Configuration name → schema, the default configuration first."""


def is_canonical_integer(text: str) -> bool:
    """Whether ``text`` is a non-negative decimal integer without leading zeros (``"42"``, not ``"042"``)."""
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def image_order(image_ids: list[str]) -> list[int]:
    """Positions that put image ids in gallery order.

    Ids that are all canonical integers sort by value, others by Unicode code point, so that integer
    ids keep their natural order although they are stored as text.
    """
    if all(is_canonical_integer(image_id) for image_id in image_ids):
        return sorted(range(len(image_ids)), key=lambda position: int(image_ids[position]))
    return sorted(range(len(image_ids)), key=lambda position: image_ids[position])
