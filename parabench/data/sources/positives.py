"""More right answers than COCO's own: pictures that a caption also fits, and captions that also fit a picture.

Read are the two files of ECCV Caption (Chun et al. 2022), ``eccv_caption_to_image.json`` and
``eccv_image_to_caption.json`` (any ``*caption_to_image.json`` and ``*image_to_caption.json``: id → list of ids),
and Crisscrossed Captions' ratings of caption and picture (``sits_val.csv``, Parekh et al. 2021).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from parabench.data import cells
from parabench.data.sources.files import read_json
from parabench.data.table_file import read_utf8
from parabench.errors import DataError

RATED_ENOUGH = 3.0
"""A caption rated at least so (0–5) fits a picture: the upper half of the scale."""

_ENDS = ("caption_to_image.json", "image_to_caption.json")


@dataclass(frozen=True)
class Positives:
    """Extended right answers.

    Attributes:
        name: ``"ECCV"`` or ``"CxC"``.
        images_of: caption id → ids of the pictures that it fits; only captions that were judged.
        captions_of: image id → ids of the captions that fit it; only pictures that were judged.
        files: what was read.
    """

    name: str
    images_of: dict[str, frozenset[str]]
    captions_of: dict[str, frozenset[str]]
    files: tuple[Path, ...]


def read_positives(path: Path, known: Iterable[tuple[str, str]], rated: float = RATED_ENOUGH) -> Positives:
    """Read a folder with ECCV Caption's two JSON files, one of the two, or a CxC CSV.

    Args:
        path: the folder or file.
        known: every (image id, caption id) of the set; COCO's own pairs count as positives of CxC's rated
            captions and pictures too.
        rated: the rating from which a CxC pair is a positive.

    Raises:
        DataError: absent or malformed (with the entry or line), or an id that the set does not have.
    """
    own = list(known)
    captions = {caption_id: image_id for image_id, caption_id in own}
    images = {image_id for image_id, _ in own}
    if path.is_dir():
        files = [found for end in _ENDS if (found := next(iter(sorted(path.glob(f"eccv*{end}")) or sorted(path.glob(f"*{end}"))), None))]
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise DataError(f"no positives in {path}", f"name a folder with *{_ENDS[0]} and *{_ENDS[1]}, or a CxC sits_val.csv")
    if files[0].suffix.lower() == ".csv":
        images_of, captions_of = _cxc(files[0], captions, images, rated)
        return Positives("CxC", images_of, captions_of, tuple(files))
    maps: dict[str, dict[str, frozenset[str]]] = {end: {} for end in _ENDS}
    for file in files:
        end = next((end for end in _ENDS if file.name.endswith(end)), None)
        if end is None:
            raise DataError(f"{file}: its name says neither *{_ENDS[0]} nor *{_ENDS[1]}", "rename it")
        maps[end] = _mapping(file, *((captions, images) if end == _ENDS[0] else (images, captions)))
    name = "CxC" if files[0].name.startswith("cxc") else "ECCV"
    return Positives(name, maps[_ENDS[0]], maps[_ENDS[1]], tuple(files))


def _mapping(path: Path, queries: Iterable[str], items: Iterable[str]) -> dict[str, frozenset[str]]:
    raw = read_json(path)
    if not isinstance(raw, dict) or not raw:
        raise DataError(f"{path} is not a dictionary of ids to lists of ids", "get it from https://github.com/naver-ai/eccv-caption")
    known, targets = set(queries), set(items)
    result: dict[str, frozenset[str]] = {}
    for key, values in raw.items():
        if not isinstance(values, list) or not values:
            raise DataError(f"{path}, entry {key}: not a list of ids", "get it from https://github.com/naver-ai/eccv-caption")
        fits = frozenset(str(value) for value in values)
        strange = [key] if key not in known else sorted(fits - targets)
        if strange:
            raise DataError(f"{path}, entry {key}: id {strange[0]} is not in the set", "use the split that the file was made for, e.g. coco-karpathy?split=test")
        result[str(key)] = fits
    return result


def _cxc(
    path: Path, captions: dict[str, str], images: set[str], rated: float
) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    images_of: dict[str, set[str]] = {}
    captions_of: dict[str, set[str]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(read_utf8(path), newline="")), 2):
        where = f"{path}, line {number}"
        rating = cells.number(row.get("agg_score"))
        if rating is None or not row.get("caption") or not row.get("image"):
            raise DataError(f"{where}: not caption, image and agg_score", "get the file from https://github.com/google-research-datasets/Crisscrossed-Captions")
        caption_id = row["caption"].rpartition(":")[2]
        digits = Path(row["image"]).stem.rpartition("_")[2]
        image_id = str(int(digits)) if digits.isdigit() else row["image"]
        for strange in [key for key, held in ((caption_id, captions), (image_id, images)) if key not in held]:
            raise DataError(f"{where}: id {strange} is not in the set", "use the split that the file was made for, e.g. coco-karpathy?split=val")
        images_of.setdefault(caption_id, {captions[caption_id]})
        captions_of.setdefault(image_id, set())
        if rating >= rated:
            images_of[caption_id].add(image_id)
            captions_of[image_id].add(caption_id)
    for caption_id, image_id in captions.items():
        if image_id in captions_of:
            captions_of[image_id].add(caption_id)
    return ({key: frozenset(fits) for key, fits in images_of.items()}, {key: frozenset(fits) for key, fits in captions_of.items()})
