"""Object categories of the pictures, by which a sample is stratified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.errors import DataError

COCO_CATEGORIES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO's 80 object categories, in the order in which category files number them from 0."""


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Image id → its categories, sorted.

    Read are: an official ``instances_*.json``; a text file with ``<picture> <category> …`` a line, where a category
    is a name or COCO's index from 0 to 79; a gallery file (CSV, JSONL, parquet) with ``image_id`` and ``labels``.
    A picture's file name stands for COCO's number (``val2017/000000397133.jpg`` → ``397133``).

    Raises:
        DataError: the file is none of these.
    """
    if not path.is_file():
        raise DataError(f"no such file of categories: {path}", "check --labels")
    if path.suffix.lower() == ".json":
        found = _instances(path)
    elif path.suffix.lower() == ".txt":
        found = _lines(path)
    else:
        from parabench.data.own import read_gallery

        table = read_gallery(path)
        found = dict(
            zip(table["image_id"].to_pylist(), (set(x or ()) for x in table["labels"].to_pylist()), strict=True)
        )
    if not any(found.values()):
        raise DataError(f"{path} names no category of any picture", "check --labels")
    return {image_id: tuple(sorted(labels)) for image_id, labels in found.items()}


def image_number(name: str) -> str:
    """COCO's image id of a file name, or the name itself where it carries none."""
    digits = Path(name).stem.rpartition("_")[2]
    return str(int(digits)) if digits.isascii() and digits.isdigit() else name


def _instances(path: Path) -> dict[str, set[str]]:
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        names = {entry["id"]: str(entry["name"]) for entry in raw["categories"]}
        found: dict[str, set[str]] = {str(image["id"]): set() for image in raw.get("images", [])}
        for entry in raw["annotations"]:
            found.setdefault(str(entry["image_id"]), set()).add(names[entry["category_id"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not an official instances file: {type(error).__name__}: {error}",
            "use instances_val2017.json, or a text file with one picture and its categories a line",
        ) from None
    return found


def _lines(path: Path) -> dict[str, set[str]]:
    from parabench.data.table_file import read_utf8

    found: dict[str, set[str]] = {}
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not (fields := line.split()):
            continue
        labels = found.setdefault(image_number(fields[0]), set())
        for field in fields[1:]:
            if field.isascii() and field.isdigit():
                if int(field) >= len(COCO_CATEGORIES):
                    raise DataError(
                        f"{path}, line {number}: there is no category {field}", "COCO's indices run from 0 to 79"
                    )
                labels.add(COCO_CATEGORIES[int(field)])
            else:
                labels.add(field)
    return found
