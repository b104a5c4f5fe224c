"""Made-up COCO annotations: our own sentences, so that no test here needs anybody's data."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

PEOPLE = ["a man", "a woman", "two boys", "an old farmer", "three girls", "a nurse", "a street musician", "a young couple"]
ACTIONS = ["holding", "looking at", "carrying", "sitting beside", "painting", "repairing", "waiting near", "standing behind"]
THINGS = ["a red bicycle", "a wooden boat", "a large clock", "a brown horse", "a yellow umbrella", "a small piano", "a black suitcase", "a silver kettle"]
PLACES = ["on a beach", "in a kitchen", "at a bus stop", "under a bridge", "in a snowy field"]


def sentences() -> list[str]:
    """2,560 captions."""
    return [
        f"{person.capitalize()} {action} {thing} {place}."
        for place, person, action, thing in itertools.product(PLACES, PEOPLE, ACTIONS, THINGS)
    ]


def write_captions(path: Path, images: int, captions_per_image: int = 1) -> Path:
    """An official captions file."""
    texts = itertools.cycle(sentences())
    value = {
        "info": {},
        "licenses": [{"id": 1, "name": "CC BY 4.0", "url": ""}],
        "images": [
            {"id": 100 + i, "file_name": f"{100 + i:012d}.jpg", "license": 1, "width": 640, "height": 480, "coco_url": f"http://x/{i}.jpg"}
            for i in range(images)
        ],
        "annotations": [
            {"id": 5000 + i * captions_per_image + j, "image_id": 100 + i, "caption": next(texts)}
            for i in range(images)
            for j in range(captions_per_image)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(value))
    return path
