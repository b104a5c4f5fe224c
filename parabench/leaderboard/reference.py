"""What a dataset asks and what it searches, as hashes: enough to score rankings, without a sentence or a picture.

A leaderboard re-scores in places that hold no COCO file.  So for each of its datasets it keeps which
queries there are, in which order, of which picture and kind, with 128 bits of the SHA-256 of each text, and
what slices are made of.  Together with a submission's rankings that is a whole :class:`Rankings`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parabench.columns import read_parquet
from parabench.data import Benchmark
from parabench.errors import DataError
from parabench.metrics import cluster_index
from parabench.retrieval.queries import Queries, hash_queries, lexical_distance, words_of
from parabench.retrieval.rankings import Rankings
from parabench.storage import atomic_path, sha256_json

HASH_BYTES = 16
_VERSION = 1
_TEXTS = ("query_id", "role", "caption_id", "image_id", "kind", "source")


@dataclass(frozen=True)
class Reference:
    """A dataset of the leaderboard.

    Attributes:
        name, split, fingerprint: of the benchmark.
        queries: ``query_id, role, caption_id, image_id, kind, source`` (strings), ``sha256`` (16 bytes), ``words``
            (int32) and ``distance`` (float64), one row a query in the order of :class:`Queries`.
        gallery: ``image_id``, ``url``, ``license`` and ``labels``, in gallery order.
        ratings: how alike people rated each pair, 0–1, in the order of the paraphrases; empty without ratings.
        queries_sha256, gallery_sha256: over all query texts' full hashes, and over all image ids, in order.
    """

    name: str
    split: str | None
    fingerprint: str
    queries: pa.Table
    gallery: pa.Table
    ratings: NDArray[np.float64]
    queries_sha256: str
    gallery_sha256: str

    @classmethod
    def of(cls, benchmark: Benchmark) -> Reference:
        """The reference of a benchmark.

        Raises:
            DataError: fewer than ten pictures, which no R@10 fits.
        """
        queries = Queries.of(benchmark)
        if len(benchmark.image_ids) < 10 or not len(queries):
            raise DataError(
                f"dataset '{benchmark.name}' has {len(benchmark.image_ids)} pictures and {len(queries)} queries",
                "a leaderboard needs at least ten pictures and some pairs",
            )
        hashes = hash_queries(queries.text)
        table = pa.table(
            {name: pa.array(getattr(queries, name), pa.string()) for name in _TEXTS}
            | {
                "sha256": pa.array([bytes.fromhex(one)[:HASH_BYTES] for one in hashes], pa.binary(HASH_BYTES)),
                "words": pa.array([len(words_of(text)) for text in queries.caption_text], pa.int32()),
                "distance": pa.array(
                    [lexical_distance(a, b) for a, b in zip(queries.text, queries.caption_text, strict=True)], pa.float64()
                ),
            }
        )
        ratings = [{s["name"]: s["value"] for s in scores or []}.get("human") for scores in benchmark.pairs["scores"].to_pylist()]
        rated = bool(ratings) and all(rating is not None for rating in ratings)
        return cls(
            benchmark.name, benchmark.split, benchmark.fingerprint, table,
            benchmark.gallery.select(["image_id", "url", "license", "labels"]),
            np.array(ratings, np.float64) / 5 if rated else np.zeros(0),
            hashlib.sha256("".join(hashes).encode()).hexdigest(), sha256_json(benchmark.image_ids),
        )  # fmt: skip

    @cached_property
    def texts(self) -> dict[str, NDArray[np.object_]]:
        """The string columns of ``queries``, ``(n,)`` of ``str`` each."""
        return {name: np.array(self.queries[name].to_pylist(), object) for name in _TEXTS}

    @cached_property
    def roles(self) -> NDArray[np.str_]:
        """The role of every query ``(n,)``."""
        return self.texts["role"].astype(str)

    @cached_property
    def captions(self) -> NDArray[np.int64]:
        """A number for the caption that every query belongs to ``(n,)``."""
        return np.unique(self.texts["caption_id"].astype(str), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def pair_pictures(self) -> NDArray[np.int64]:
        """The picture of every pair ``(n_pairs,)``, as codes."""
        return cluster_index(self.texts["image_id"][self.roles == "paraphrase"].astype(str))[0]

    @cached_property
    def first_pairs(self) -> NDArray[np.bool_]:
        """Which pairs are the first of their caption ``(n_pairs,)``: one a caption."""
        captions = self.captions[self.roles == "paraphrase"]
        first = np.zeros(len(captions), bool)
        first[np.unique(captions, return_index=True)[1]] = True
        return first

    @cached_property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What each picture shows, where that is known."""
        return {key: tuple(own) for key, own in zip(self.image_ids, self.gallery["labels"].to_pylist(), strict=True) if own}

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Gallery position of every query's own picture ``(n,)``."""
        position = {image_id: row for row, image_id in enumerate(self.image_ids)}
        return np.array([position[image_id] for image_id in self.texts["image_id"]], np.int64)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Image ids in gallery order."""
        return tuple(self.gallery["image_id"].to_pylist())

    @cached_property
    def hashes(self) -> NDArray[np.uint8]:
        """The first 128 bits of every query's SHA-256, ``(n, 16)``."""
        return np.frombuffer(b"".join(self.queries["sha256"].to_pylist()), np.uint8).reshape(-1, HASH_BYTES)

    @cached_property
    def _hex(self) -> NDArray[np.object_]:
        return np.array([bytes(one).hex() for one in self.hashes], object)

    @property
    def title(self) -> str:
        """``scenes, test``."""
        return self.name + (f", {self.split}" if self.split else "")

    @property
    def n_pairs(self) -> int:
        """How many pairs of a caption and a paraphrase there are."""
        return int((self.roles == "paraphrase").sum())

    def rankings(
        self, rows: NDArray[np.int64], again: NDArray[np.bool_], top: NDArray[np.int32], target_rank: NDArray[np.int64],
        caption_rank: dict[str, int], smaller: dict[int, NDArray[np.int32]],
    ) -> Rankings:  # fmt: skip
        """Whole rankings from what a submission holds; ``rows`` are row numbers of ``queries``."""
        columns: dict[str, Any] = {name: tuple(self.texts[name][rows].tolist()) for name in _TEXTS}
        columns["role"] = tuple(
            "caption again" if twice else role for role, twice in zip(columns["role"], again.tolist(), strict=True)
        )
        return Rankings(
            **columns, query_sha256=tuple(self._hex[rows].tolist()), top=top,
            scores=np.zeros(top.shape, np.float32), target_rank=target_rank, gallery=self.image_ids, caption_rank=caption_rank,
            words=self.queries["words"].to_numpy()[rows], distance=self.queries["distance"].to_numpy()[rows],
            labels=self.labels, smaller=smaller,
        )  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Write ``<name>[.<split>].parquet`` and return its path."""
        sink = pa.BufferOutputStream()
        pq.write_table(self.gallery, sink, compression="zstd")
        about = {
            "version": _VERSION, "name": self.name, "split": self.split, "fingerprint": self.fingerprint,
            "queries_sha256": self.queries_sha256, "gallery_sha256": self.gallery_sha256, "ratings": self.ratings.tolist(),
        }  # fmt: skip
        table = self.queries.replace_schema_metadata(
            {"parabench.reference": json.dumps(about), "parabench.gallery": sink.getvalue().to_pybytes().hex()}
        )
        path = folder / f"{self.name}{f'.{self.split}' if self.split else ''}.parquet"
        with atomic_path(path) as part:
            pq.write_table(table, part, compression="zstd", compression_level=19)
        return path

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read a reference; :class:`DataError` when the file is none."""
        try:
            table = read_parquet(path)
            metadata = table.schema.metadata or {}
            about: dict[str, Any] = json.loads(metadata[b"parabench.reference"])
            gallery = read_parquet(pa.BufferReader(bytes.fromhex(metadata[b"parabench.gallery"].decode())))
            if about.pop("version") != _VERSION:
                raise ValueError("another version")
            ratings = np.array(about.pop("ratings"), np.float64)
            return cls(**about, queries=table.replace_schema_metadata(None), gallery=gallery, ratings=ratings)
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise DataError(
                f"{path} is no reference of a dataset: {error}", "make it again: parabench leaderboard reference DATASET"
            ) from error


class References:
    """The datasets of a leaderboard by name and split: those that come with the package, and those of a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._paths: dict[tuple[str, str | None], Path] = {}
        shipped = resources.files("parabench.leaderboard").joinpath("references")
        found = [Path(str(entry)) for entry in shipped.iterdir() if entry.name.endswith(".parquet")] if shipped.is_dir() else []
        if folder is not None:
            if not folder.is_dir():
                raise DataError(f"no such folder of references: {folder}", "check --references")
            found += folder.glob("*.parquet")
        for path in sorted(found, key=lambda path: path.name):
            about = self._about(path)
            self._paths[about["name"], about["split"]] = path
        self._read: dict[tuple[str, str | None], Reference] = {}

    @staticmethod
    def _about(path: Path) -> dict[str, Any]:
        try:
            about: dict[str, Any] = json.loads((pq.read_schema(path).metadata or {})[b"parabench.reference"])
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path} is no reference of a dataset: {error}", "remove it, or make it again") from error
        return about

    def get(self, name: str, split: str | None) -> Reference:
        """One reference; :class:`DataError` with the known names when there is none."""
        key = (name, split)
        if key not in self._paths:
            raise DataError(
                f"the leaderboard has no dataset '{name}'" + (f" with split '{split}'" if split else " without a split"),
                f"it has {', '.join(self.titles())}; add others with parabench leaderboard reference DATASET",
            )
        if key not in self._read:
            self._read[key] = Reference.read(self._paths[key])
        return self._read[key]

    def titles(self) -> list[str]:
        """The datasets that are known."""
        return [name + (f", {split}" if split else "") for name, split in self._paths] or ["none"]
