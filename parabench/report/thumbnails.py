"""Small pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.data import Benchmark, ImageStore
from parabench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 200
"""Pixels: sharp at the 100–130 px at which strips show them on most screens, about 8 KB each."""


class Thumbnails:
    """Pictures as data URIs, each made once; empty where a picture can't be shown.

    Args:
        benchmark: the set that has the pictures, or ``None`` where it is not here.
        roots: folders with the pictures, searched first.
    """

    def __init__(self, benchmark: Benchmark | None, roots: Sequence[Path] = ()) -> None:
        self._store = ImageStore(benchmark, tuple(roots)) if benchmark is not None else None
        self._made: dict[str, str] = {}

    def get(self, image_id: str) -> str:
        """``data:image/jpeg;base64,…`` or ``""``."""
        if image_id not in self._made:
            try:
                self._made[image_id] = _data_uri(self._store.open(image_id)) if self._store is not None else ""
            except DataError:  # not here, damaged, too large: the page says so in its place
                self._made[image_id] = ""
        return self._made[image_id]

    @property
    def missing(self) -> int:
        """How many of the pictures asked for could not be shown."""
        return sum(not uri for uri in self._made.values())


def _data_uri(image: Image) -> str:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=75, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
