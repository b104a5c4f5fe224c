"""What people say of how alike two COCO captions are (Crisscrossed Captions STS, Parekh et al. 2021), and the gallery to search."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from parabench.data import cells
from parabench.data.benchmark import Benchmark
from parabench.data.sources.files import find
from parabench.data.sources.karpathy import caption_places, coco_images, load_coco_karpathy
from parabench.data.table_file import read_utf8
from parabench.errors import DataError

SOURCE = "https://github.com/google-research-datasets/Crisscrossed-Captions"


@dataclass(frozen=True)
class RatedCaptions:
    """Pairs of captions with a human rating.

    Attributes:
        gallery: Karpathy val: the pictures, and the captions that stand for them where an encoder has no image tower.
        pair_ids: ``"<caption id>-<caption id>"``.
        first, second: the two captions of each pair, as written.
        first_image, second_image: the pictures that they describe.
        ratings: 0–5.
    """

    gallery: Benchmark
    pair_ids: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    first_image: tuple[str, ...]
    second_image: tuple[str, ...]
    ratings: tuple[float, ...]
    path: Path


def read_rated_captions(given: Path | None = None) -> RatedCaptions:
    """Read ``sts_val.csv`` and the Karpathy val split from a folder or the search folders.

    Raises:
        DataError: a file is not there, a line is malformed, or an id can't be resolved (with the line).
    """
    path = find(["cxc/sts_val.csv"], given, SOURCE)
    images = coco_images("val", given)
    places = caption_places(images)
    columns: list[tuple[str, str, str, str, str, float]] = []
    for number, row in enumerate(csv.DictReader(io.StringIO(read_utf8(path), newline="")), 2):
        where = f"{path}, line {number}"
        keys, rating = (row.get("caption1"), row.get("caption2")), cells.number(row.get("agg_score"))
        if rating is None or not 0 <= rating <= 5 or not all(keys):
            raise DataError(f"{where}: not caption1, caption2 and an agg_score from 0 to 5", f"get the file from {SOURCE}")
        found = [places.get(int(last)) if (last := str(key).rpartition(":")[2]).isdigit() else None for key in keys]
        if found[0] is None or found[1] is None:
            lost = keys[0] if found[0] is None else keys[1]
            raise DataError(f"{where}: {lost} is not a caption of the Karpathy val split", "use the caption ids of the same split")
        (image, caption), (other, paraphrase) = found[0], found[1]
        one, two = images[image]["captions"][caption], images[other]["captions"][paraphrase]
        columns.append((f"{one[0]}-{two[0]}", one[1], two[1], images[image]["image_id"], images[other]["image_id"], rating))
    if not columns:
        raise DataError(f"{path} holds no rated pair", f"get the file from {SOURCE}")
    ids, first, second, first_image, second_image, ratings = zip(*columns, strict=True)
    return RatedCaptions(load_coco_karpathy(given, "val"), ids, first, second, first_image, second_image, ratings, path)
