"""Pairs as two strips of pictures: what the caption finds above what the paraphrase finds."""

from __future__ import annotations

import base64
import difflib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parabench.data import Benchmark, ImageStore
from parabench.errors import DataError
from parabench.evaluate.run import Run

if TYPE_CHECKING:
    from PIL.Image import Image

DEPTH = 5
THUMB = 112


@dataclass(frozen=True)
class Frame:
    """One picture in a strip: its thumbnail as a data URI (empty if the picture is not here), and what it is."""

    image_id: str
    thumb: str
    right: bool
    shared: int


@dataclass(frozen=True)
class Strip:
    """One pair: both texts as (word, changed) lists, both rows of pictures, and the score."""

    caption: list[tuple[str, bool]]
    paraphrase: list[tuple[str, bool]]
    above: list[Frame]
    below: list[Frame]
    kind: str
    score: float


def pick_pairs(run: Run, metric: str, n: int = 2) -> tuple[list[int], list[int]]:
    """Rows of the ``n`` least and most similar pairs, of different pictures, right answers first among equals."""
    pairs = run.pairs
    found = (pairs["caption_rank"] <= DEPTH).to_numpy()
    values = pairs[metric].to_numpy()

    def distinct(order: np.ndarray) -> list[int]:
        rows: list[int] = []
        seen: set[str] = set()
        for row in order.tolist():
            if (image := pairs["image_id"].iloc[row]) not in seen:
                seen.add(image)
                rows.append(row)
            if len(rows) == n:
                break
        return rows

    return distinct(np.lexsort((~found, values))), distinct(np.lexsort((~found, -values)))


def make_strip(run: Run, row: int, metric: str, thumbs: Thumbnails) -> Strip:
    """The strips of one pair of a run."""
    rankings = run.rankings
    query = int(rankings.rows("paraphrase")[row])
    caption = int(rankings.caption_row[query])
    depth = min(DEPTH, rankings.depth)
    tops = [rankings.top[at, :depth].tolist() for at in (caption, query)]
    common = {image: number for number, image in enumerate(i for i in tops[0] if i in tops[1])}
    right = rankings.image_id[query]
    strips = [
        [Frame(rankings.gallery[i], thumbs.get(rankings.gallery[i]), rankings.gallery[i] == right, common.get(i, -1)) for i in top]
        for top in tops
    ]
    pair = run.pairs.iloc[row]
    before, after = word_diff(pair["caption"], pair["paraphrase"])
    return Strip(before, after, strips[0], strips[1], pair["kind"] or "", float(pair[metric]))


def word_diff(a: str, b: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts as words with a mark on those that the other does not have at that place."""
    left, right = a.split(), b.split()
    bare = [[re.sub(r"\W+", "", word).lower() for word in words] for words in (left, right)]
    kept: tuple[set[int], set[int]] = (set(), set())
    for block in difflib.SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_matching_blocks():
        kept[0].update(range(block.a, block.a + block.size))
        kept[1].update(range(block.b, block.b + block.size))
    return (
        [(word, at not in kept[0]) for at, word in enumerate(left)],
        [(word, at not in kept[1]) for at, word in enumerate(right)],
    )


class Thumbnails:
    """Small pictures as data URIs, each made once; empty where a picture can't be shown."""

    def __init__(self, benchmark: Benchmark, roots: tuple[Path, ...]) -> None:
        self._store = ImageStore(benchmark, roots)
        self._made: dict[str, str] = {}

    def get(self, image_id: str) -> str:
        """``data:image/jpeg;base64,…`` or ``""``."""
        if image_id not in self._made:
            try:
                self._made[image_id] = _data_uri(self._store.open(image_id))
            except DataError:
                self._made[image_id] = ""
        return self._made[image_id]


def _data_uri(image: Image) -> str:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((THUMB * 2, THUMB * 2))
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
