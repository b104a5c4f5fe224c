"""Compositional foils: does the model prefer what is true to what looks alike and is false?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench import columns
from parabench.data import Benchmark, ImageStore
from parabench.data.own import gallery_table
from parabench.data.picture_parts import PictureBoxes
from parabench.data.schema import PAIRS
from parabench.data.sources.compositional import FoilItem, FoilSets, find_foils
from parabench.encoders.protocol import FloatMatrix
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.evaluate.tasks.task import (
    TaskModel,
    TaskSource,
    details_of,
    no_image_tower,
    paired_cosines,
    with_details,
)
from parabench.metrics.grouped import group_mean_column
from parabench.storage import sha256_json

CHANCE = {"ITT": 1 / 3, "TOT": 1 / 3, "SugarCrepe": 1 / 2, "ARO": 1 / 2}
"""What independent random scores reach: the foil is the worst, the true pair the best, of three; or one of two."""


@dataclass(frozen=True)
class FoilData:
    """Items, and the folders in which their pictures are looked for."""

    sets: FoilSets
    images: tuple[Path, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every item."""
        return sha256_json([[i.family, i.subset, i.group, i.image_id, i.caption, i.caption2, i.foil] for i in self.sets.items])

    @property
    def provenance(self) -> str:
        """Files with the number of items."""
        return f"{len(self.sets.items):,} items of {', '.join(map(str, self.sets.files))}"

    def texts(self) -> list[str]:
        """Every distinct sentence, foils included."""
        sentences = (text for i in self.sets.items for text in (i.caption, i.caption2, i.foil) if text is not None)
        return list(dict.fromkeys(sentences))


class Compositional:
    """SugarCrepe++ ``ITT`` and ``TOT``, ``SugarCrepe`` and ``ARO`` accuracy."""

    def load(self, source: TaskSource) -> FoilData:
        """The files below the folder; see :func:`parabench.data.sources.compositional.find_foils`."""
        sets = find_foils(source.given)
        return FoilData(sets, tuple(dict.fromkeys([*source.images, *sets.folders])))

    def rows(self, data: FoilData, model: TaskModel) -> pa.Table:
        """One row an item: ``family, subset, group, image_id`` and the cosines that were computed, else null.

        ``image_caption``, ``image_caption2``, ``image_foil``; ``captions``, ``caption_foil``, ``caption2_foil``.
        """
        items = data.sets.items
        skipped: dict[str, str] = {}
        texts = data.texts()
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = model.embedder.texts(texts)
        first, second, foil = (
            np.array([row_of[text] for text in side])
            for side in zip(*((item.caption, item.caption2 or item.caption, item.foil) for item in items), strict=True)
        )
        paired = np.array([item.caption2 is not None for item in items])
        seen = _pictures(data, model, skipped)
        pictures, shown = seen if seen is not None else (vectors, first)
        with_picture = np.full(len(items), seen is not None)

        def cosine(b: NDArray[np.int64], known: NDArray[np.bool_], a: NDArray[np.int64] | None = None) -> pa.Array:
            values = paired_cosines(pictures, shown, vectors, b) if a is None else paired_cosines(vectors, a, vectors, b)
            return pa.array(values, pa.float32(), mask=~known)

        table = pa.table(
            {
                "family": [item.family for item in items],
                "subset": [item.subset for item in items],
                "group": [item.group for item in items],
                "image_id": [item.photo_id for item in items],
                "image_caption": cosine(first, with_picture),
                "image_caption2": cosine(second, with_picture & paired),
                "image_foil": cosine(foil, with_picture),
                "captions": cosine(second, paired, first),
                "caption_foil": cosine(foil, paired, first),
                "caption2_foil": cosine(foil, paired, second),
            }
        )
        return with_details(table, skipped=skipped)

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """Accuracies over items, by subset, and ``"… subset-mean"`` / ``"ARO … group-mean"``; clusters are pictures.

        A tie is not a win, as in the authors' definition (Dumpala et al. 2024, arXiv 2406.11171).
        """
        task = TaskResult(details=details_of(rows))
        family, subset, group, image = (np.array(rows[c].to_pylist()) for c in ("family", "subset", "group", "image_id"))
        s = {name: rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in rows.column_names[4:]}
        both = np.minimum(s["image_caption"], s["image_caption2"]) > s["image_foil"]
        text_only = s["captions"] > np.maximum(s["caption_foil"], s["caption2_foil"])
        one = s["image_caption"] > s["image_foil"]
        known_image, known_text = ~np.isnan(s["image_foil"]), ~np.isnan(s["captions"])
        for name, wanted, win, known in (
            ("ITT", "SugarCrepe++", both, known_image),
            ("TOT", "SugarCrepe++", text_only, known_text),
            ("SugarCrepe", "SugarCrepe", one, known_image),
            ("ARO", "ARO", one, known_image),
        ):
            chosen = (family == wanted) & known
            if not chosen.any():
                continue
            value, parts, clusters = win[chosen].astype(np.float64), subset[chosen], image[chosen]
            columns = [value, *([group_mean_column(value, parts)] if len(set(parts.tolist())) > 1 else [])]
            overall, *macro = resampling.estimate(columns, clusters)
            entry = task.metrics[name] = measure(overall)
            if macro:
                task.metrics[f"{name} subset-mean"] = measure(macro[0])
            for part in sorted(set(parts.tolist())):
                own = parts == part
                entry.by_kind = {**(entry.by_kind or {}), part: measure(resampling.estimate([value[own]], clusters[own])[0])}
                groups = group[chosen][own]
                if len(set(groups.tolist())) > 1:
                    by_group = group_mean_column(value[own], groups)
                    task.metrics[f"{name} {part} group-mean"] = measure(resampling.estimate([by_group], clusters[own])[0])
        task.details["chance"] = {name: CHANCE[name] for name in CHANCE if name in task.metrics}
        return task


def _pictures(data: FoilData, model: TaskModel, skipped: dict[str, str]) -> tuple[FloatMatrix, NDArray[np.int64]] | None:
    """Vectors of the distinct pictures and the row of each item, or ``None`` with the reason in ``skipped``."""
    items = data.sets.items
    if model.sees == "captions":
        skipped["image-to-text"] = no_image_tower(model)
        return None
    distinct: dict[str, FoilItem] = {item.image_id: item for item in items}
    store = None
    if model.sees == "pixels":
        photos = {item.photo_id: item.file_name for item in items}
        gallery = gallery_table([{"image_id": key, "file_name": name} for key, name in photos.items()])
        whole = ImageStore(replace(Benchmark("compositional", columns.table([], PAIRS), gallery), image_roots=data.images))
        if missing := whole.missing():
            skipped["image-to-text"] = (
                f"{len(missing)} of {len(photos)} pictures were not found (first: {photos[missing[0]]}); name their folder with --images DIR"
            )
            return None
        store = PictureBoxes(whole, {key: (item.photo_id, item.box) for key, item in distinct.items() if item.box is not None})
    vectors = model.embedder.images(list(distinct), store)
    row_of = {key: row for row, key in enumerate(distinct)}
    return vectors, np.array([row_of[item.image_id] for item in items])
