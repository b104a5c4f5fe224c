"""Rankings: the portable result of a model on a benchmark, from which every number is recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parabench.columns import column, read_parquet
from parabench.errors import DataError
from parabench.retrieval.queries import Role
from parabench.storage import atomic_path

_POSITIONS = "positions@"


@dataclass(frozen=True)
class Rankings:
    """The top of the gallery for every query.

    Attributes:
        query_id, role, caption_id, image_id, kind: as in :class:`Queries`.
        query_sha256: hash of the exact text; the text itself is not kept here.
        top: ``(n, K)`` int32 positions in ``gallery``, best first.
        scores: ``(n, K)`` float32 inner products.
        target_rank: ``(n,)`` int64 1-based rank of the query's own picture over the whole gallery.
        gallery: image ids in gallery order.
        caption_rank: image id → 1-based rank of the best of its own captions among all captions asked
            (image → text search); empty for encoders without an image tower.
        source: where each query's sentence comes from (``""`` where the set does not say).
        words: ``(n,)`` int32 number of words of the caption that each query is or rewrites.
        distance: ``(n,)`` float64 lexical distance of each query and its caption (0 for captions).
        labels: image id → the categories that the gallery gives it.
        smaller: gallery size → ``(n, k)`` int32 positions of the top k of a gallery of that size, −1 in
            rows that were not asked; see :mod:`parabench.retrieval.gallery_sizes`.
        duplicates: groups of image ids that show the same picture.
    """

    query_id: tuple[str, ...]
    role: tuple[str, ...]
    caption_id: tuple[str, ...]
    image_id: tuple[str, ...]
    kind: tuple[str, ...]
    query_sha256: tuple[str, ...]
    top: NDArray[np.int32]
    scores: NDArray[np.float32]
    target_rank: NDArray[np.int64]
    gallery: tuple[str, ...]
    caption_rank: dict[str, int]
    source: tuple[str, ...] = ()
    words: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    distance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    smaller: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    duplicates: tuple[tuple[str, ...], ...] = ()

    @property
    def depth(self) -> int:
        """How many gallery items each ranking holds (K)."""
        return int(self.top.shape[1])

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Row numbers of one role, in order."""
        return np.flatnonzero(self._roles == role)

    @cached_property
    def _roles(self) -> NDArray[np.str_]:
        return np.array(self.role)

    @cached_property
    def caption_row(self) -> NDArray[np.int64]:
        """For each row, the row of the caption it is or rewrites ``(n,)``."""
        row_of = {self.caption_id[row]: row for row in self.rows("caption").tolist()}
        return np.array([row_of[caption_id] for caption_id in self.caption_id], np.int64)

    def select(self, rows: Sequence[int]) -> Rankings:
        """These rows in this order; ``caption_rank`` is dropped, because it is a rank among all captions."""
        at = np.asarray(rows, np.int64)

        def of(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in at.tolist()) if values else ()

        def part(array: NDArray[Any]) -> NDArray[Any]:
            return array[at] if len(array) else array

        return Rankings(
            query_id=of(self.query_id), role=of(self.role), caption_id=of(self.caption_id), image_id=of(self.image_id),
            kind=of(self.kind), query_sha256=of(self.query_sha256), top=self.top[at], scores=self.scores[at],
            target_rank=self.target_rank[at], gallery=self.gallery, caption_rank={}, source=of(self.source),
            words=part(self.words), distance=part(self.distance), labels=self.labels,
            smaller={size: top[at] for size, top in self.smaller.items()}, duplicates=self.duplicates,
        )  # fmt: skip

    def write(self, path: Path) -> None:
        """Write ``rankings.parquet`` atomically."""
        ids = column(self.gallery, pa.string())
        n, depth = self.top.shape
        offsets = column(np.arange(0, n * depth + 1, depth), pa.int32())
        table = pa.table(
            {
                "query_id": column(self.query_id, pa.string()),
                "role": column(self.role, pa.string()),
                "caption_id": column(self.caption_id, pa.string()),
                "image_id": column(self.image_id, pa.string()),
                "kind": column(self.kind, pa.string()),
                "query_sha256": column(self.query_sha256, pa.string()),
                "target_rank": column(self.target_rank, pa.int64()),
                "image_ids": pa.ListArray.from_arrays(
                    offsets, pa.DictionaryArray.from_arrays(column(self.top.ravel(), pa.int32()), ids)
                ),
                "scores": pa.ListArray.from_arrays(offsets, column(self.scores.ravel(), pa.float32())),
                **self._described(),
            }
        )
        group = {image_id: number for number, own in enumerate(self.duplicates) for image_id in own}
        images = pa.table(
            {
                "image_id": ids,
                "caption_rank": column([self.caption_rank.get(key) for key in self.gallery], pa.int64()),
                "labels": column([self.labels.get(key) for key in self.gallery], pa.list_(pa.string())),
                "duplicate_group": column([group.get(key) for key in self.gallery], pa.int64()),
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(images, sink, compression="zstd")
        # The gallery travels in the file's metadata: rankings.parquet alone is enough to score a model.
        table = table.replace_schema_metadata({b"parabench.gallery": sink.getvalue().to_pybytes().hex().encode()})
        with atomic_path(path) as part:
            pq.write_table(table, part, compression="zstd", use_dictionary=["role", "kind", "image_ids.list.element"])

    def _described(self) -> dict[str, Any]:
        """The columns that slices and gallery-size curves are made of."""
        columns: dict[str, Any] = {"source": column(self.source, pa.string())} if self.source else {}
        if len(self.words):
            columns |= {"words": column(self.words, pa.int32()), "lexical_distance": column(self.distance, pa.float64())}
        for size, top in self.smaller.items():
            asked = top[:, 0] >= 0
            ends = np.cumsum(asked * top.shape[1]).tolist()
            starts = [start if here else None for start, here in zip([0, *ends], asked.tolist(), strict=False)]  # absent: no start
            columns[f"{_POSITIONS}{size}"] = pa.ListArray.from_arrays(
                column([*starts, ends[-1]], pa.int32()), column(top[asked].ravel(), pa.int32())
            )
        return columns

    @classmethod
    def read(cls, path: Path) -> Rankings:
        """Read ``rankings.parquet``; :class:`DataError` when it is not one."""
        try:
            table = read_parquet(path)
            hexed = (table.schema.metadata or {})[b"parabench.gallery"]
            images = read_parquet(pa.BufferReader(bytes.fromhex(hexed.decode())))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path} is not a rankings file: {error}", "run the evaluation again") from error
        gallery: list[str] = images["image_id"].to_pylist()
        n = table.num_rows
        flat = table["image_ids"].combine_chunks().flatten()
        if pa.types.is_dictionary(flat.type):
            flat = flat.cast(pa.string())
        position = pa.compute.index_in(flat, column(gallery, pa.string()))
        names = ("query_id", "role", "caption_id", "image_id", "kind", "query_sha256")
        columns: dict[str, Any] = {name: tuple(table[name].to_pylist()) for name in names}
        return cls(
            **columns,
            top=position.to_numpy(zero_copy_only=False).astype(np.int32).reshape(n, -1),
            scores=table["scores"].combine_chunks().flatten().to_numpy().astype(np.float32).reshape(n, -1),
            target_rank=table["target_rank"].to_numpy(),
            gallery=tuple(gallery),
            caption_rank={
                image_id: rank
                for image_id, rank in zip(gallery, images["caption_rank"].to_pylist(), strict=True)
                if rank is not None
            },
            **_read_described(table, images, gallery),
        )


def _read_described(table: pa.Table, images: pa.Table, gallery: Sequence[str]) -> dict[str, Any]:
    """What :meth:`Rankings._described` wrote; files of other writers may lack any of it."""
    found: dict[str, Any] = {}
    if "source" in table.column_names:
        found["source"] = tuple(source or "" for source in table["source"].to_pylist())
    if {"words", "lexical_distance"} <= set(table.column_names):
        found["words"] = table["words"].to_numpy().astype(np.int32)
        found["distance"] = table["lexical_distance"].to_numpy().astype(np.float64)
    sizes = sorted(int(name.removeprefix(_POSITIONS)) for name in table.column_names if name.startswith(_POSITIONS))
    smaller = {}
    for size in sizes:
        tops = table[f"{_POSITIONS}{size}"].combine_chunks()
        asked = tops.is_valid().to_numpy(zero_copy_only=False)
        values = tops.flatten().to_numpy().astype(np.int32)
        smaller[size] = np.full((len(asked), len(values) // max(1, int(asked.sum()))), -1, np.int32)
        smaller[size][asked] = values.reshape(int(asked.sum()), -1)
    if smaller:
        found["smaller"] = smaller
    if "labels" in images.column_names:
        found["labels"] = {key: tuple(own) for key, own in zip(gallery, images["labels"].to_pylist(), strict=True) if own}
    if "duplicate_group" in images.column_names:
        groups: dict[int, list[str]] = {}
        for key, number in zip(gallery, images["duplicate_group"].to_pylist(), strict=True):
            if number is not None:
                groups.setdefault(number, []).append(key)
        found["duplicates"] = tuple(tuple(groups[number]) for number in sorted(groups))
    return found
