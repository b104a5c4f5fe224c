"""``coco-cxc``: caption pairs that people rated alike (Crisscrossed Captions, Parekh et al. 2021)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from parabench.data.benchmark import Benchmark
from parabench.data.coco import CAPTIONS_AN_IMAGE
from parabench.data.own import gallery_table, sentence_table
from parabench.data.schema import PAIRS
from parabench.data.sources.files import find
from parabench.data.sources.karpathy import caption_places, coco_images
from parabench.data.table_file import read_utf8
from parabench.errors import DataError, UsageError

_SOURCE = "https://github.com/google-research-datasets/Crisscrossed-Captions"


def load_coco_cxc(annotations: Path | None = None, min_rating: str = "4") -> Benchmark:
    """Pairs rated at least ``min_rating`` (0–5); the rating is in ``scores["human"]``.

    The two captions may belong to one picture (kind ``same-image``) or to two (``cross-image``);
    ``image_id`` is the first caption's picture.

    Raises:
        UsageError: ``min_rating`` is not a number from 0 to 5.
        DataError: a file is not there, or an id in it can't be resolved.
    """
    try:
        threshold = float(min_rating)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 5:
        raise UsageError(
            f"coco-cxc: min_rating={min_rating} is not a rating",
            "a number from 0 to 5, e.g. coco-cxc?min_rating=4.5",
        )
    ratings = find(["cxc/sts_val.csv"], annotations, _SOURCE)
    images = coco_images("val", annotations)
    place = caption_places(images)
    pairs: list[dict[str, Any]] = []
    for number, row in enumerate(csv.DictReader(io.StringIO(read_utf8(ratings), newline="")), 2):
        try:
            first_key, second_key, rating = row["caption1"], row["caption2"], float(row["agg_score"])
            if not 0 <= rating <= 5:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{ratings}, line {number}: not caption1, caption2 and agg_score",
                f"get the file from {_SOURCE}",
            ) from None
        if rating < threshold:
            continue
        try:
            first, second = (int(str(key).rpartition(":")[2]) for key in (first_key, second_key))
            (image, caption), (other, paraphrase) = place[first], place[second]
        except (KeyError, ValueError):
            raise DataError(
                f"{ratings}, line {number}: {first_key} or {second_key} is not in the Karpathy val split",
                "use the caption ids of the same split",
            ) from None
        pairs.append(
            {
                "pair_id": f"{first}-{second}",
                "image_id": images[image]["image_id"],
                "caption_id": str(first),
                "caption": images[image]["captions"][caption][1],
                "paraphrase": images[other]["captions"][paraphrase][1],
                "kind": "same-image" if image == other else "cross-image",
                "source": "cxc-sts-val",
                "generator": "human",
                "scores": [("human", rating)],
            }
        )
    pairs = list({pair["pair_id"]: pair for pair in pairs}.values())
    gallery = gallery_table(
        [
            {
                "image_id": image["image_id"],
                "file_name": image["file_name"],
                "captions": [text for _, text in image["captions"][:CAPTIONS_AN_IMAGE]],
            }
            for image in images
        ]
    )
    return Benchmark(
        name="coco-cxc",
        pairs=sentence_table(pairs, PAIRS),
        gallery=gallery,
        provenance=f"coco-cxc (built-in, {len(pairs):,} pairs rated ≥ {threshold:g}; "
        f"{gallery.num_rows:,} pictures)",
    )
