"""Image–text retrieval on a captioned set, as the CLIP papers report it, and with more right answers where a file names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench.data import ImageStore
from parabench.data.sources.karpathy import CaptionSet
from parabench.data.sources.positives import Positives, read_positives
from parabench.encoders.protocol import FloatMatrix
from parabench.errors import DataError, UsageError
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.evaluate.retrieval import DEPTHS, add_ranks, chance_of
from parabench.evaluate.tasks.task import TaskModel, TaskSource, details_of, no_image_tower, with_details
from parabench.metrics import hits
from parabench.metrics.retrieval import average_precision_at_r, r_precision
from parabench.retrieval.embed import unit
from parabench.retrieval.search import GalleryIndex, exact_scores
from parabench.storage import sha256_json

TO_IMAGE, TO_TEXT = "text→image", "image→text"
_DEEPEST = max(DEPTHS)
_NOT_FOUND = 1 << 62


@dataclass(frozen=True)
class CaptionData:
    """A captioned set and, perhaps, extended positives."""

    captions: CaptionSet
    positives: Positives | None
    images: tuple[Path, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of pictures' ids, captions and positives."""
        extra = self.positives and [
            self.positives.name,
            *({key: sorted(fits) for key, fits in held.items()} for held in (self.positives.images_of, self.positives.captions_of)),
        ]
        return sha256_json([self.captions.fingerprint, extra])

    @property
    def provenance(self) -> str:
        """The set and the file of positives."""
        extra = f"; {self.positives.name} positives from {', '.join(map(str, self.positives.files))}" if self.positives else ""
        return f"{self.captions.provenance}{extra}"

    def texts(self) -> list[str]:
        """Every distinct caption."""
        return list(dict.fromkeys(text for own in self.captions.gallery["captions"].to_pylist() for text in own))


class CaptionRetrieval:
    """Text → image over every caption, image → text by any of a picture's captions."""

    def load(self, source: TaskSource) -> CaptionData:
        """The dataset of the run, which must be a captioned set; ``source.given`` is a file of positives."""
        captions = source.benchmark
        if not isinstance(captions, CaptionSet):
            raise UsageError(
                "--task-data retrieval=… names extended positives, which go with a captioned set", "add --dataset coco-karpathy"
            )
        positives = None
        if source.given is not None:
            if not captions.caption_ids:
                raise DataError(
                    f"{captions.name} has no caption ids here, so {source.given} can't be matched",
                    "use dataset_coco.json, or add the .npy file of caption ids",
                )
            pairs = [(image_id, key) for image_id, own in captions.caption_ids.items() for key in own]
            positives = read_positives(source.given, pairs)
        return CaptionData(captions, positives, source.images)

    def rows(self, data: CaptionData, model: TaskModel) -> pa.Table:
        """One row a query: ``direction, query_id, image_id, rank`` and, where judged, ``positive_rank, n_positives, ap_at_r, r_precision``.

        ``rank`` is 1-based: of the caption's own picture, or of the best of the picture's own captions.
        ``positive_rank`` is that of the best positive, null where it lies deeper than was searched (≥ 10).
        """
        captions, spec = data.captions, model.spec
        texts_of: list[list[str]] = captions.gallery["captions"].to_pylist()
        image_ids = captions.image_ids
        owner = np.repeat(np.arange(len(image_ids)), [len(own) for own in texts_of])
        ids = captions.caption_ids
        caption_ids = [key for image_id, own in zip(image_ids, texts_of, strict=True)
                       for key in ids.get(image_id) or [f"{image_id}#{j}" for j in range(len(own))]]  # fmt: skip
        positives = data.positives
        skipped: dict[str, str] = {}
        texts = model.embedder.texts([text for own in texts_of for text in own])
        own_vectors = None
        if model.sees == "captions":
            skipped[TO_TEXT] = no_image_tower(model)
            images, own_vectors = _caption_means(texts, owner, image_ids, spec)
        else:
            store = ImageStore(captions, extra_roots=data.images) if model.sees == "pixels" else None
            if store is not None and (missing := store.missing()):
                raise DataError(
                    f"{len(missing)} of {len(image_ids)} pictures of '{captions.name}' were not found (first: image '{missing[0]}')",
                    "name their folder with --images DIR",
                )
            images = model.embedder.images(image_ids, store)
        forward = _Search(images, texts, own=None if own_vectors is None else (owner, own_vectors))
        columns = _columns(
            TO_IMAGE, caption_ids, [image_ids[row] for row in owner], forward.own_ranks(owner[:, None]),
            forward, positives.images_of if positives else None, {key: row for row, key in enumerate(image_ids)},
        )  # fmt: skip
        if not skipped:
            backward = _Search(texts, images)
            starts = np.concatenate([[0], np.cumsum([len(own) for own in texts_of])])
            widest = max(len(own) for own in texts_of)
            own_captions = np.minimum(starts[:-1, None] + np.arange(widest), starts[1:, None] - 1)
            more = _columns(
                TO_TEXT, image_ids, image_ids, backward.own_ranks(own_captions),
                backward, positives.captions_of if positives else None, {key: row for row, key in enumerate(caption_ids)},
            )  # fmt: skip
            columns = {name: [*column, *more[name]] for name, column in columns.items()}
        schema = pa.schema(
            [("direction", pa.string()), ("query_id", pa.string()), ("image_id", pa.string()), ("rank", pa.int64()), ("positive_rank", pa.int64()),
             ("n_positives", pa.int64()), ("ap_at_r", pa.float64()), ("r_precision", pa.float64())]
        )  # fmt: skip
        return with_details(
            pa.table(columns, schema),
            skipped=skipped, sizes={TO_IMAGE: len(image_ids), TO_TEXT: len(caption_ids)},
            positives=positives.name if positives else None,
        )  # fmt: skip

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """``R@k``, ``MRR``, ``MedR`` of text → image; with ``" image→text"`` of image → text; the same of positives.

        Positives add ``"ECCV mAP@R"``, ``"ECCV R-Precision"`` and ``"ECCV R@k"`` over the judged queries (``CxC`` likewise).
        """
        task = TaskResult(details=details_of(rows))
        directions, image = np.array(rows["direction"].to_pylist()), np.array(rows["image_id"].to_pylist())
        number = {name: rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in rows.column_names[3:]}
        sizes, name = task.details["sizes"], task.details["positives"]
        for direction, suffix in ((TO_IMAGE, ""), (TO_TEXT, " image→text")):
            chosen = directions == direction
            if not chosen.any():
                continue
            add_ranks(task, number["rank"][chosen].astype(np.int64), image[chosen], sizes[direction], suffix, resampling)
            judged = chosen & ~np.isnan(number["n_positives"])
            if judged.any():
                best = np.where(np.isnan(number["positive_rank"]), _NOT_FOUND, number["positive_rank"])[judged]
                columns = {"mAP@R": number["ap_at_r"][judged], "R-Precision": number["r_precision"][judged]}
                columns |= {f"R@{k}": hits(best, k) for k in DEPTHS}
                for key, estimate in zip(columns, resampling.estimate(list(columns.values()), image[judged]), strict=True):
                    task.metrics[f"{name} {key}{suffix}"] = measure(estimate)
        task.details["chance"] = chance_of(sizes[TO_IMAGE])
        return task


class _Search:
    """One direction: queries ``(q, d)`` against a gallery ``(n, d)``."""

    def __init__(self, gallery: FloatMatrix, queries: FloatMatrix, own: tuple[NDArray[np.int64], FloatMatrix] | None = None) -> None:
        self.gallery, self.queries, self.own = gallery, queries, own
        self.index = GalleryIndex(gallery)

    def own_ranks(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """1-based rank of the best of each query's targets ``(q, t)``; the earlier one where scores tie."""
        if targets.shape[1] == 1:
            best = targets[:, 0]
        else:
            scores = exact_scores(self.queries, self.gallery, targets)
            best = np.take_along_axis(targets, scores.argmax(axis=1)[:, None], 1)[:, 0]
        return self.index.ranks(self.queries, best, own_vectors=None if self.own is None else self.own[1])

    def top(self, rows: NDArray[np.int64], depth: int) -> NDArray[np.int32]:
        """The first ``depth`` gallery items of some queries."""
        own = None if self.own is None else (self.own[0][rows], self.own[1][rows])
        return self.index.search(self.queries[rows], depth, own=own)[0]


def _columns(
    direction: str,
    query_ids: Sequence[str],
    image_ids: Sequence[str],
    ranks: NDArray[np.int64],
    search: _Search,
    positives: Mapping[str, frozenset[str]] | None,
    position: Mapping[str, int],
) -> dict[str, list[Any]]:
    n = len(query_ids)
    judged: dict[str, list[Any]] = {name: [None] * n for name in ("positive_rank", "n_positives", "ap_at_r", "r_precision")}
    rows = np.array([row for row, key in enumerate(query_ids) if positives and key in positives], np.int64)
    if positives and len(rows):
        held = [sorted(position[item] for item in positives[query_ids[row]]) for row in rows]
        count = np.array([len(items) for items in held], np.int64)
        depth = min(len(position), max(_DEEPEST, int(count.max())))
        top = search.top(rows, depth).astype(np.int64)
        pairs = np.repeat(np.arange(len(rows)), count) * len(position) + np.array([item for items in held for item in items], np.int64)
        relevant = np.isin(np.arange(len(rows))[:, None] * len(position) + top, pairs)
        found = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, 0)
        values = (found, count, average_precision_at_r(relevant, count), r_precision(relevant, count))
        for name, column in zip(judged, values, strict=True):
            for row, value in zip(rows.tolist(), column.tolist(), strict=True):
                judged[name][row] = value if name != "positive_rank" or value else None
    return {"direction": [direction] * n, "query_id": list(query_ids), "image_id": list(image_ids), "rank": ranks.tolist(), **judged}


def _caption_means(
    texts: FloatMatrix, owner: NDArray[np.int64], image_ids: Sequence[str], spec: str
) -> tuple[FloatMatrix, FloatMatrix]:
    """A picture as the mean of its captions, and for each caption its own picture as the mean of the others."""
    sizes = np.bincount(owner)
    if (alone := np.flatnonzero(sizes < 2)).size:
        raise DataError(
            f"{spec} reads captions instead of pictures, and image '{image_ids[int(alone[0])]}' has only one caption",
            "choose an encoder with an image tower",
        )
    sums = np.add.reduceat(texts.astype(np.float64), np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=0)
    return unit(sums.astype(np.float32)), unit((sums[owner] - texts).astype(np.float32))
