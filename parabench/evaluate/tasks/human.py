"""Human agreement: are the results for two captions as alike as people say that the captions are?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench.data import ImageStore
from parabench.data.sources.human_ratings import RatedCaptions, read_rated_captions
from parabench.encoders.protocol import FloatMatrix
from parabench.errors import DataError
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.evaluate.tasks.task import TaskModel, TaskSource, details_of, paired_cosines, with_details
from parabench.metrics import compute, parse
from parabench.metrics.correlation import MOST_RESAMPLES, spearman_estimates
from parabench.retrieval.embed import unit
from parabench.retrieval.search import GalleryIndex
from parabench.storage import sha256_json


@dataclass(frozen=True)
class HumanData:
    """Rated pairs, their gallery, and folders of its pictures."""

    rated: RatedCaptions
    images: tuple[Path, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of pairs, ratings and gallery."""
        return sha256_json([self.rated.gallery.fingerprint, self.rated.pair_ids, self.rated.ratings])

    @property
    def provenance(self) -> str:
        """Pairs and pictures, with the file."""
        return f"{len(self.rated.ratings):,} rated pairs of {self.rated.path}; gallery: {len(self.rated.gallery.image_ids):,} pictures of Karpathy val"

    def texts(self) -> list[str]:
        """Every distinct caption of pairs and gallery."""
        captions = (text for own in self.rated.gallery.gallery["captions"].to_pylist() for text in own)
        return list(dict.fromkeys([*self.rated.first, *self.rated.second, *captions]))


class HumanAgreement:
    """Spearman's ρ between the human similarity of two captions and (a) their cosine, (b) their rank similarity."""

    def load(self, source: TaskSource) -> HumanData:
        """``cxc/sts_val.csv`` and the Karpathy val split, from the folder given or the search folders."""
        data = HumanData(read_rated_captions(source.given), source.images)
        if len(set(data.rated.ratings)) < 2:
            raise DataError(f"{data.rated.path}: all ratings are equal, so they order nothing", "at least two different ratings are needed")
        return data

    def rows(self, data: HumanData, model: TaskModel) -> pa.Table:
        """One row a pair: ``pair_id, image_id, other_image_id, human, cosine`` and a column for every rank-similarity metric."""
        rated, skipped = data.rated, dict[str, str]()
        texts = list(dict.fromkeys([*rated.first, *rated.second]))
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = model.embedder.texts(texts)
        first, second = (np.array([row_of[text] for text in side], np.int64) for side in (rated.first, rated.second))
        columns = {
            "pair_id": pa.array(rated.pair_ids),
            "image_id": pa.array(rated.first_image),
            "other_image_id": pa.array(rated.second_image),
            "human": pa.array(rated.ratings, pa.float64()),
            "cosine": pa.array(paired_cosines(vectors, first, vectors, second)),
        }
        metrics = [metric for metric in map(parse, model.metrics) if metric.k is not None]
        depth = max((metric.k or 1 for metric in metrics), default=0)
        if depth > len(rated.gallery.image_ids):
            skipped["rank similarity"] = f"the gallery has {len(rated.gallery.image_ids)} pictures and {depth} deep was asked for"
        elif metrics and (tops := _tops(data, model, vectors, first, second, depth, skipped)) is not None:
            columns |= {name: pa.array(values) for name, values in compute(metrics, *tops).items()}
        return with_details(pa.table(columns), skipped=skipped)

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """``"Spearman cosine"`` and ``"Spearman <metric>"``; clusters are the pictures of the first captions (2,000 resamples at most)."""
        task = TaskResult(details=details_of(rows))
        names = rows.column_names[4:]
        values = np.column_stack([rows[name].to_numpy().astype(np.float64) for name in names])
        estimates = spearman_estimates(
            values, rows["human"].to_numpy(), np.array(rows["image_id"].to_pylist()),
            n_resamples=min(MOST_RESAMPLES, resampling.n_resamples), seed=resampling.seed, level=resampling.level,
        )  # fmt: skip
        for name, estimate in zip(names, estimates, strict=True):
            task.metrics[f"Spearman {name}"] = measure(estimate)
        if flat := [name for name, column in zip(names, values.T, strict=True) if len(np.unique(column)) == 1]:
            task.details["no_order"] = f"all values are equal, counted as 0: {', '.join(flat)}"
        return task


def _tops(
    data: HumanData,
    model: TaskModel,
    vectors: FloatMatrix,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    depth: int,
    skipped: dict[str, str],
) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Top ``depth`` of the gallery for both captions of every pair, ``(n, depth)`` each; ``None`` where pictures are missing."""
    rated = data.rated
    gallery = rated.gallery
    if model.sees == "captions":
        return _caption_tops(data, model, vectors, first, second, depth)
    store = None
    if model.sees == "pixels":
        store = ImageStore(gallery, extra_roots=data.images)
        if missing := store.missing():
            skipped["rank similarity"] = (
                f"{len(missing)} of {len(gallery.image_ids)} pictures were not found (first: image '{missing[0]}'); name their folder with --images DIR"
            )
            return None
    top, _ = GalleryIndex(model.embedder.images(gallery.image_ids, store)).search(vectors, depth)
    return top[first], top[second]


def _caption_tops(
    data: HumanData, model: TaskModel, vectors: FloatMatrix, first: NDArray[np.int64], second: NDArray[np.int64], depth: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The same in a caption gallery: a picture is the mean of its captions, the query's own left out of its own picture."""
    rated = data.rated
    captions: list[list[str]] = [list(dict.fromkeys(own)) for own in rated.gallery.gallery["captions"].to_pylist()]
    flat = model.embedder.texts([text for own in captions for text in own])
    starts = np.concatenate([[0], np.cumsum([len(own) for own in captions])]).astype(np.int64)
    sums = np.add.reduceat(flat.astype(np.float64), starts[:-1], axis=0)
    index = GalleryIndex(unit(sums.astype(np.float32)))
    # the same words may caption two pictures, so a query is a caption of a picture
    keys = [*zip(rated.first_image, first.tolist(), strict=True), *zip(rated.second_image, second.tolist(), strict=True)]
    distinct = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    places = np.array([rated.gallery.position[image_id] for image_id, _ in distinct], np.int64)
    queries = np.array([row for _, row in distinct], np.int64)
    own_sums = sums[places]
    text_of = dict(zip([*first.tolist(), *second.tolist()], [*rated.first, *rated.second], strict=True))
    for at, (place, row) in enumerate(zip(places.tolist(), queries.tolist(), strict=True)):
        own = captions[place]
        if text_of[row] in own:
            if len(own) == 1:
                raise DataError(
                    f"{model.spec} needs another caption of each picture than the query's own, and image "
                    f"'{rated.gallery.image_ids[place]}' has only that one",
                    "choose an encoder with an image tower",
                )
            own_sums[at] -= flat[starts[place] + own.index(text_of[row])]
    top, _ = index.search(vectors[queries], depth, own=(places, unit(own_sums.astype(np.float32))))
    rows = np.array([distinct[key] for key in keys], np.int64)
    return top[rows[: len(first)]], top[rows[len(first) :]]
