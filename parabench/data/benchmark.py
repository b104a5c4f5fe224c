"""A benchmark in memory: the four tables, where its pictures are, and how it was found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from parabench import columns
from parabench.data.schema import FOILS, GALLERY, PAIRS, REJECTED
from parabench.errors import DataError
from parabench.storage import canonical_json


@dataclass(frozen=True)
class Benchmark:
    """Paraphrase pairs and the gallery they search.

    Build one with :func:`parabench.data.load`; the reader has validated every row and ordered the gallery.

    Attributes:
        name: short name, recorded in results (``"scenes"``, ``"pairs.csv"``).
        pairs: a row a pair: ``pair_id``, ``image_id``, ``caption_id``, ``caption``, ``paraphrase``, ``kind``, ``source``,
            ``generator``, ``prompt_sha256``, ``created``, ``split`` (strings) and ``scores`` (name and float64 value).
        gallery: a row a picture: ``image_id``, ``file_name``, ``url``, ``license``, ``split`` (strings), ``width``, ``height``
            (int32), ``labels``, ``captions`` (lists of strings).
        foils: like ``pairs`` with ``foil`` for ``paraphrase``.
        rejected: like ``pairs`` with ``reason``: what the quality checks dropped.
        image_roots: folders in which ``gallery.file_name`` is looked up, in order.
        provenance: how the name was resolved, in one line that is said aloud.
        split: the split that was asked for, or ``None`` for all rows.
    """

    name: str
    pairs: pa.Table
    gallery: pa.Table
    foils: pa.Table = field(default_factory=lambda: columns.table([], FOILS))
    rejected: pa.Table = field(default_factory=lambda: columns.table([], REJECTED))
    image_roots: tuple[Path, ...] = ()
    provenance: str = ""
    split: str | None = None

    def __post_init__(self) -> None:
        for table, schema in (
            (self.pairs, PAIRS), (self.gallery, GALLERY), (self.foils, FOILS), (self.rejected, REJECTED)
        ):  # fmt: skip
            if table.schema.names != schema.names:
                raise DataError(f"dataset '{self.name}': columns {table.schema.names} instead of {schema.names}")

    @cached_property
    def image_ids(self) -> list[str]:
        """Image ids in gallery order."""
        ids: list[str] = self.gallery["image_id"].to_pylist()
        return ids

    @cached_property
    def position(self) -> dict[str, int]:
        """Image id → row of the gallery."""
        return {image_id: row for row, image_id in enumerate(self.image_ids)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything in the set that changes a number.

        Pair ids, sentences, kinds, foils, and the gallery's ids and captions (pictures are hashed by
        content where they are read).
        """
        digest = hashlib.sha256()
        for table, names in (
            (self.pairs, ["pair_id", "image_id", "caption_id", "caption", "paraphrase", "kind"]),
            (self.foils, ["image_id", "caption_id", "caption", "foil"]),
            (self.gallery, ["image_id", "captions"]),
        ):
            for name in names:
                digest.update(canonical_json([name, table[name].to_pylist()]).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def select(self, split: str | None) -> Benchmark:
        """The rows of one split (``None`` = all).

        The gallery keeps pictures of that split and pictures that name no split (shared distractors).
        """
        if split is None:
            return self
        known = sorted(
            {value for value in (*self.pairs["split"].to_pylist(), *self.foils["split"].to_pylist()) if value}
        )
        if split not in known:
            raise DataError(
                f"dataset '{self.name}' has no split '{split}'",
                f"its splits are {', '.join(known)}" if known else "it has no splits: leave --split out",
            )

        def of_split(table: pa.Table, *splits: str | None) -> pa.Table:
            return table.filter(columns.column([value in splits for value in table["split"].to_pylist()], pa.bool_()))

        return replace(
            self, pairs=of_split(self.pairs, split), foils=of_split(self.foils, split),
            rejected=of_split(self.rejected, split), gallery=of_split(self.gallery, split, None), split=split,
        )  # fmt: skip
