"""``rankings.parquet`` of a submission: gallery positions, and nothing that the dataset already says.

One row a query: its number in the dataset's order, the first 128 bits of its text's SHA-256, the positions
of the top of the gallery, and the rank of its own picture.  Captions that were embedded a second time (the
numerical ceiling) come after all queries and are marked.  Scores are not sent: no metric looks at them.

========================  =======================  ==============================================================
column                    type                     holds
========================  =======================  ==============================================================
``query``                 uint32                   row number among the dataset's queries
``again``                 bool                     a caption that was embedded a second time
``sha256``                fixed binary, 16 bytes   start of the SHA-256 of the exact text that was embedded
``top``                   list of uint16 / uint32  gallery positions, best first, ``depth`` of them
``target_rank``           uint32                   1-based rank of the query's own picture in the whole gallery
``caption_rank``          uint32, null             captions only: 1-based rank of the best own caption of the picture
``top_in_M``              list, null               the top of a gallery of M pictures, for sampled queries
========================  =======================  ==============================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parabench.errors import DataError
from parabench.leaderboard.reference import HASH_BYTES, Reference
from parabench.metrics.rank_similarity import repeats
from parabench.retrieval.rankings import Rankings
from parabench.storage import atomic_path

LEAST_DEPTH, DEEPEST = 10, 1000
STORED_DEPTH = 20
"""How deep a submission goes at least: the metrics look 10 deep, and the depth curve shows some more."""

MOST_BYTES = 3_000_000
_SMALLER = re.compile(r"top_in_([1-9][0-9]{0,8})")
_MOST_SIZES = 16


@dataclass(frozen=True)
class Columns:
    """The columns of the file as arrays, before they are believed.

    ``caption_rank`` holds 0 for null.  ``smaller`` maps a gallery size to positions ``(n, k)``, −1 in rows
    without one.
    """

    query: NDArray[np.int64]
    again: NDArray[np.bool_]
    sha256: NDArray[np.uint8]
    top: NDArray[np.int64]
    target_rank: NDArray[np.int64]
    caption_rank: NDArray[np.int64]
    smaller: dict[int, NDArray[np.int64]]


def write_compact(rankings: Rankings, reference: Reference, path: Path, depth: int) -> None:
    """Write the compact file of a run's rankings.

    Raises:
        DataError: the run asked other queries, or searched another gallery, than the reference; the file is too large.
    """
    again = np.array(rankings.role) == "caption again"
    row_of = {
        key: row
        for row, key in enumerate(zip(reference.queries["query_id"].to_pylist(), reference.roles.tolist(), strict=True))
    }
    asked = [(key, "caption" if twice else role) for key, role, twice in zip(rankings.query_id, rankings.role, again.tolist(), strict=True)]
    known = np.array([row_of.get(key, -1) for key in asked], np.int64)
    hashes = np.frombuffer(b"".join(bytes.fromhex(one)[:HASH_BYTES] for one in rankings.query_sha256), np.uint8)
    if (known < 0).any() or (hashes.reshape(-1, HASH_BYTES) != reference.hashes[known]).any() or rankings.gallery != reference.image_ids:
        raise DataError(
            f"the run did not ask the queries of {reference.title} in the version of this leaderboard",
            f"evaluate again: parabench evaluate --dataset {reference.name}" + (f" --split {reference.split}" if reference.split else ""),
        )
    small = pa.uint16() if len(reference.image_ids) <= 1 << 16 else pa.uint32()
    order = np.lexsort((known, again))
    ranks = [rankings.caption_rank.get(i) if r == "caption" else None for i, r in zip(rankings.image_id, rankings.role, strict=True)]
    columns: dict[str, Any] = {
        "query": pa.array(known[order], pa.uint32()),
        "again": pa.array(again[order]),
        "sha256": pa.array([bytes(one) for one in hashes.reshape(-1, HASH_BYTES)[order]], pa.binary(HASH_BYTES)),
        "top": _lists(rankings.top[order, :depth], small),
        "target_rank": pa.array(rankings.target_rank[order], pa.uint32()),
        "caption_rank": pa.array([ranks[row] for row in order.tolist()], pa.uint32()),
    }
    for size, top in rankings.smaller.items():
        if size < len(reference.image_ids):
            columns[f"top_in_{size}"] = _lists(top[order], small)
    with atomic_path(path) as part:
        pq.write_table(
            pa.table(columns), part, compression="zstd", compression_level=19, store_schema=False, write_statistics=False,
            use_dictionary=[name + ".list.element" for name in columns if name.startswith("top")] + ["again"],
        )  # fmt: skip
        if part.stat().st_size > MOST_BYTES:
            raise DataError(f"{path.name} would have {part.stat().st_size:,} bytes, {MOST_BYTES:,} are allowed")


def _lists(positions: NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    asked = positions[:, 0] >= 0
    offsets = np.concatenate([[0], np.cumsum(asked * positions.shape[1])]).astype(np.int32)
    values = pa.array(positions[asked].ravel(), pa.int32()).cast(kind)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~asked) if not asked.all() else None)


def read_compact(path: Path, n_queries: int, n_images: int) -> Columns:
    """Read a stranger's file; call it where memory and time are limited (:mod:`parabench.leaderboard.sandbox`).

    Shapes, types and sizes are checked against the footer before any page is read.

    Raises:
        DataError: it is not a file of this format, or larger than these queries can need.
    """
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path.name} has {path.stat().st_size:,} bytes, {MOST_BYTES:,} are allowed")
    try:
        with pq.ParquetFile(path, memory_map=False, thrift_string_size_limit=1 << 20, thrift_container_size_limit=1 << 16) as file:
            _check_footer(file, n_queries)
            table = file.read()
        return _arrays(table, n_images)
    except (OSError, ValueError, KeyError, MemoryError, OverflowError, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} can't be read as a parquet file of this format: {said}") from None


def _check_footer(file: pq.ParquetFile, n_queries: int) -> None:
    footer, schema = file.metadata, file.schema_arrow
    if not n_queries <= footer.num_rows <= n_queries + 10_000:
        raise DataError(f"rankings.parquet has {footer.num_rows:,} rows for {n_queries:,} queries")
    if footer.num_row_groups > 64 or footer.serialized_size > 1 << 20:
        raise DataError("the footer of rankings.parquet is larger than such a file needs")
    small = (pa.uint16(), pa.uint32(), pa.int32())
    fixed = {"query": small, "again": (pa.bool_(),), "sha256": (pa.binary(HASH_BYTES),), "target_rank": small, "caption_rank": small}
    lists = [name for name in schema.names if name == "top" or _SMALLER.fullmatch(name)]
    surprising = [name for name in schema.names if name not in fixed and name not in lists]
    missing = [name for name in (*fixed, "top") if name not in schema.names]
    if surprising or missing or len(set(schema.names)) != len(schema.names) or len(lists) > 1 + _MOST_SIZES:
        what = f"a surprising column '{surprising[0][:40]}'" if surprising else f"no column '{missing[0]}'" if missing else "repeated columns"
        raise DataError(f"rankings.parquet has {what}")
    for field in schema:
        kind = field.type
        fits = kind in fixed[field.name] if field.name in fixed else pa.types.is_list(kind) and kind.value_type in small
        if not fits:
            raise DataError(f"column '{field.name}' of rankings.parquet has the type {kind}")
    most = (footer.num_rows + 10) * (DEEPEST * 4 + 64)
    for group in range(footer.num_row_groups):
        for column in range(footer.row_group(group).num_columns):
            chunk = footer.row_group(group).column(column)
            if not 0 <= chunk.total_uncompressed_size <= most or not 0 <= chunk.num_values <= footer.num_rows * DEEPEST:
                raise DataError(f"column '{chunk.path_in_schema[:40]}' of rankings.parquet unpacks to an impossible size")


def _arrays(table: pa.Table, n_images: int) -> Columns:
    n = table.num_rows

    def whole(name: str) -> NDArray[np.int64]:
        column = table[name]
        if column.null_count:
            raise DataError(f"column '{name}' of rankings.parquet holds nulls")
        return np.asarray(column.to_numpy()).astype(np.int64)

    def lists(name: str) -> NDArray[np.int64]:
        column = table[name].combine_chunks()
        asked = column.is_valid().to_numpy(zero_copy_only=False)
        flat = column.flatten()
        depth = len(flat) // int(asked.sum()) if asked.any() else 0
        lengths = np.diff(column.offsets.to_numpy())
        if flat.null_count or not 1 <= depth <= DEEPEST or (lengths[asked] != depth).any() or (lengths[~asked] != 0).any():
            raise DataError(f"the lists of column '{name}' of rankings.parquet are not of one length from 1 to {DEEPEST:,}")
        values = flat.to_numpy().astype(np.int64)
        if not 0 <= int(values.min()) <= int(values.max()) < n_images:
            raise DataError(f"column '{name}' of rankings.parquet names gallery position {int(values.min() if values.min() < 0 else values.max())} of {n_images}")
        found = np.full((n, depth), -1, np.int64)
        found[asked] = values.reshape(-1, depth)
        return found

    smaller = {int(match[1]): lists(name) for name in table.column_names if (match := _SMALLER.fullmatch(name))}
    if table["again"].null_count or table["sha256"].null_count or table["top"].null_count:
        raise DataError("rankings.parquet holds nulls where every query must have a value")
    return Columns(
        query=whole("query"), again=np.asarray(table["again"].to_numpy()).astype(bool),
        sha256=np.frombuffer(b"".join(table["sha256"].to_pylist()), np.uint8).reshape(n, HASH_BYTES), top=lists("top"),
        target_rank=whole("target_rank"),
        caption_rank=np.asarray(pa.compute.fill_null(table["caption_rank"], 0).to_numpy()).astype(np.int64), smaller=smaller,
    )  # fmt: skip


def believe(columns: Columns, reference: Reference) -> Rankings:
    """Whole rankings, after everything that can be checked was.

    Raises:
        DataError: a query is missing, repeated, unknown or was another text; a picture stands twice in a ranking; a
            rank is impossible or contradicts its ranking; image → text ranks of one picture differ.
    """
    n_queries, n_images = len(reference.targets), len(reference.image_ids)
    rows, again, top = columns.query, columns.again, columns.top
    if rows.min() < 0 or rows.max() >= n_queries:
        raise DataError(f"query {int(rows.max() if rows.max() >= n_queries else rows.min())} is not one of the {n_queries:,} of {reference.title}")
    for what, own in (("", rows[~again]), (" a second time", rows[again])):
        repeated = np.flatnonzero(np.bincount(own, minlength=n_queries) > 1)
        if len(repeated):
            raise DataError(f"query {int(repeated[0])} is ranked twice{what}")
    absent = np.setdiff1d(np.arange(n_queries), rows[~again])
    if len(absent):
        raise DataError(f"{len(absent):,} of {n_queries:,} queries are missing (first: {int(absent[0])})")
    if (reference.roles[rows[again]] != "caption").any():
        raise DataError("only captions can be asked a second time")
    differs = np.flatnonzero((columns.sha256 != reference.hashes[rows]).any(axis=1))
    if len(differs):
        raise DataError(f"{len(differs):,} queries were other texts than those of {reference.title} (first: query {int(rows[differs[0]])})")
    order = np.lexsort((rows, again))
    rows, again, top, rank = rows[order], again[order], top[order], columns.target_rank[order]
    _check_rankings(top, rank, reference.targets[rows], n_images)
    smaller = {}
    for size, positions in sorted(columns.smaller.items()):
        smaller[size] = _check_smaller(positions[order], size, rows, again, reference)
    return reference.rankings(
        rows, again, top.astype(np.int32), rank, _caption_ranks(columns.caption_rank[order], rows, again, reference), smaller
    )


def _check_rankings(top: NDArray[np.int64], rank: NDArray[np.int64], targets: NDArray[np.int64], n_images: int) -> None:
    depth = top.shape[1]
    if not min(LEAST_DEPTH, n_images) <= depth <= n_images:
        raise DataError(f"rankings are {depth} deep; {LEAST_DEPTH} to {n_images:,} are needed")
    if len(repeated := repeats(top.astype(np.int32), depth)):
        raise DataError(f"row {int(repeated[0])}: a picture stands twice in one ranking")
    if rank.min() < 1 or rank.max() > n_images:
        raise DataError(f"a right picture stands at rank {int(rank.min() if rank.min() < 1 else rank.max()):,} of {n_images:,}")
    found = top == targets[:, None]
    inside = found.any(axis=1)
    told = np.where(inside, found.argmax(axis=1) + 1, np.maximum(rank, depth + 1))
    if (wrong := np.flatnonzero(told != rank)).size:
        row = int(wrong[0])
        where = f"stands at place {int(told[row])} of the ranking" if inside[row] else f"is not among the first {depth}"
        raise DataError(f"row {row}: the right picture {where}, and its rank is given as {int(rank[row])}")


def _check_smaller(positions: NDArray[np.int64], size: int, rows: NDArray[np.int64], again: NDArray[np.bool_], reference: Reference) -> NDArray[np.int32]:
    depth = positions.shape[1]
    if not depth <= size < len(reference.image_ids):
        raise DataError(f"a gallery of {size:,} pictures is not smaller than the whole, or too small for {depth} of them")
    asked = positions[:, 0] >= 0
    if again[asked].any() or not np.isin(reference.roles[rows[asked]], ["caption", "paraphrase"]).all():
        raise DataError("smaller galleries are searched for captions and paraphrases only")
    captions, owners = (reference.captions[rows[asked & (reference.roles[rows] == role)]] for role in ("caption", "paraphrase"))
    if not np.isin(owners, captions).all():
        raise DataError("a paraphrase was asked in a smaller gallery and its caption was not")
    if asked.any() and len(repeats(positions[asked].astype(np.int32), depth)):
        raise DataError(f"a picture stands twice in a ranking of {size:,} pictures")
    return positions.astype(np.int32)


def _caption_ranks(ranks: NDArray[np.int64], rows: NDArray[np.int64], again: NDArray[np.bool_], reference: Reference) -> dict[str, int]:
    captions = (reference.roles[rows] == "caption") & ~again
    if (ranks[~captions] != 0).any():
        raise DataError("image → text ranks belong to captions")
    own = ranks[captions]
    if not own.any():
        return {}
    if own.min() < 1 or own.max() > captions.sum():
        raise DataError("an image → text rank is missing or impossible")
    targets = reference.targets[rows[captions]]
    found: dict[str, int] = {}
    for target, rank in zip(targets.tolist(), own.tolist(), strict=True):
        if found.setdefault(reference.image_ids[target], rank) != rank:
            raise DataError(f"picture '{reference.image_ids[target]}' has two image → text ranks")
    return found
