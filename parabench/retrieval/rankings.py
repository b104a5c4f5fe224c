"""Rankings: the portable result of a model on a benchmark, from which every number is recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parabench.columns import column
from parabench.data import Benchmark
from parabench.errors import DataError
from parabench.storage import atomic_path, sha256_text

Role = Literal["caption", "paraphrase", "foil"]


@dataclass(frozen=True)
class Queries:
    """The texts that are asked, one row a query: each caption once, each paraphrase, each foil.

    Attributes:
        query_id: caption id, pair id, or foil id; unique within a role.
        role: what the text is.
        caption_id: the caption it is, or rewrites.
        image_id: the picture that the caption describes.
        kind: the paraphrase's or foil's kind (``""`` for captions).
        text: the query itself.
    """

    query_id: tuple[str, ...]
    role: tuple[str, ...]
    caption_id: tuple[str, ...]
    image_id: tuple[str, ...]
    kind: tuple[str, ...]
    text: tuple[str, ...]

    @classmethod
    def of(cls, benchmark: Benchmark) -> Queries:
        """The queries of a benchmark: captions in order of first use, then paraphrases, then foils of those captions."""
        pairs, foils = benchmark.pairs, benchmark.foils
        rows: list[tuple[str, str, str, str, str, str]] = []
        captions: dict[str, tuple[str, str]] = {}
        for caption_id, image_id, caption in zip(*(pairs[c].to_pylist() for c in ("caption_id", "image_id", "caption")),
                                                 strict=True):  # fmt: skip
            if captions.setdefault(caption_id, (image_id, caption)) != (image_id, caption):
                raise DataError(
                    f"dataset '{benchmark.name}': caption_id '{caption_id}' names two different captions or pictures",
                    "give each caption its own id, or leave the column out",
                )
        rows += [(key, "caption", key, image_id, "", text) for key, (image_id, text) in captions.items()]
        for pair_id, caption_id, image_id, kind, text in zip(
            *(pairs[c].to_pylist() for c in ("pair_id", "caption_id", "image_id", "kind", "paraphrase")), strict=True
        ):
            rows.append((pair_id, "paraphrase", caption_id, image_id, kind or "", text))
        for number, (pair_id, caption_id, image_id, kind, text) in enumerate(
            zip(*(foils[c].to_pylist() for c in ("pair_id", "caption_id", "image_id", "kind", "foil")), strict=True)
        ):
            if caption_id in captions:
                rows.append((pair_id or f"foil-{number}", "foil", caption_id, image_id, kind or "", text))
        return cls(*(tuple(column) for column in zip(*rows, strict=True))) if rows else cls((), (), (), (), (), ())

    def __len__(self) -> int:
        return len(self.text)


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

    @property
    def depth(self) -> int:
        """How many gallery items each ranking holds (K)."""
        return int(self.top.shape[1])

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Row numbers of one role, in order."""
        return np.flatnonzero(np.array(self.role) == role)

    @cached_property
    def caption_row(self) -> NDArray[np.int64]:
        """For each row, the row of the caption it is or rewrites ``(n,)``."""
        row_of = {self.caption_id[row]: row for row in self.rows("caption").tolist()}
        return np.array([row_of[caption_id] for caption_id in self.caption_id], np.int64)

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
            }
        )
        images = pa.table(
            {"image_id": ids, "caption_rank": column([self.caption_rank.get(key) for key in self.gallery], pa.int64())}
        )
        sink = pa.BufferOutputStream()
        pq.write_table(images, sink, compression="zstd")
        # The gallery travels in the file's metadata: rankings.parquet alone is enough to score a model.
        table = table.replace_schema_metadata({b"parabench.gallery": sink.getvalue().to_pybytes().hex().encode()})
        with atomic_path(path) as part:
            pq.write_table(table, part, compression="zstd", use_dictionary=["role", "kind", "image_ids.list.element"])

    @classmethod
    def read(cls, path: Path) -> Rankings:
        """Read ``rankings.parquet``; :class:`DataError` when it is not one."""
        try:
            table = pq.read_table(path)
            hexed = (table.schema.metadata or {})[b"parabench.gallery"]
            images = pq.read_table(pa.BufferReader(bytes.fromhex(hexed.decode())))
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
        )


def hash_queries(texts: Sequence[str]) -> tuple[str, ...]:
    """SHA-256 of every query's exact text."""
    return tuple(sha256_text(text) for text in texts)
