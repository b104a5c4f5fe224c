"""Pictures that look the same: one photograph that stands in a gallery under two names.

Files are compared by a perceptual hash, so copies that were saved again or made smaller are found too.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parabench.errors import ParabenchError
from parabench.storage import cache_home, database_error, disk_errors

if TYPE_CHECKING:
    from PIL.Image import Image

HASH_BYTES = 65
_GRADIENT_BYTES = 16
_BANDS = 8
MOST_BITS = _BANDS - 1
MOST_TINT = 8.0


def picture_hash(image: Image) -> bytes:
    """65 bytes that change little when a picture is saved again: 128 gradient bits, a 4 × 4 thumbnail and the range of grey.

    Gradients are the difference hash (is a cell brighter than its neighbour?) of a 9 × 9 grey
    thumbnail, along rows and along columns; colours tell drawn pictures apart, whose gradients say little.
    """
    from PIL import Image as factory

    grey = np.asarray(image.convert("L").resize((9, 9), factory.Resampling.BOX), np.int16)
    along = np.concatenate([(grey[:8, 1:] > grey[:8, :-1]).ravel(), (grey[1:, :8] > grey[:-1, :8]).ravel()])
    tint = np.asarray(image.convert("RGB").resize((4, 4), factory.Resampling.BOX), np.uint8)
    spread = np.asarray([min(255, int(grey.max()) - int(grey.min()))], np.uint8)
    return np.packbits(along).tobytes() + tint.tobytes() + spread.tobytes()


def duplicate_groups(hashes: Mapping[str, bytes]) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more ids whose pictures look the same, in the order of ``hashes``.

    Two pictures look the same if at most 7 of the 128 gradient bits and 8 of 255 steps of colour differ, and
    neither is flat.  A group holds everything that is linked so.  Candidates share one of 8 bands of the
    gradient bits (with 7 bits changed at least one band is whole), so the work does not grow with all pairs.
    """
    ids = [key for key, value in hashes.items() if value[-1] >= 16]  # a flat picture has no gradients to go by
    table = np.frombuffer(b"".join(hashes[key] for key in ids), np.uint8).reshape(-1, HASH_BYTES)
    bits = np.unpackbits(table[:, :_GRADIENT_BYTES], axis=1)
    tint = table[:, _GRADIENT_BYTES:-1].astype(np.float64)
    parent = list(range(len(ids)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    width = _GRADIENT_BYTES // _BANDS
    for band in range(_BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(table[:, band * width : (band + 1) * width]):
            buckets[key.tobytes()].append(row)
        for members in buckets.values():
            for place, row in enumerate(members[:-1]):
                rest = np.array(members[place + 1 :])
                near = (bits[rest] != bits[row]).sum(axis=1) <= MOST_BITS
                near &= np.abs(tint[rest] - tint[row]).max(axis=1) <= MOST_TINT
                for other in rest[near].tolist():
                    parent[root(other)] = root(row)
    groups: dict[int, list[str]] = defaultdict(list)
    for row, key in enumerate(ids):
        groups[root(row)].append(key)
    return tuple(tuple(own) for own in groups.values() if len(own) > 1)


class PictureHashes:
    """Hashes by the content of the file, kept between runs so that pictures are not opened for them again."""

    def __init__(self, file: Path | None = None) -> None:
        self.path = cache_home() / "picture_hashes.sqlite" if file is None else file
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=60)
            with self._db:
                self._db.execute("CREATE TABLE IF NOT EXISTS hashes (content TEXT PRIMARY KEY, hash BLOB NOT NULL) WITHOUT ROWID")
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def __enter__(self) -> PictureHashes:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def get(self, contents: Sequence[str]) -> dict[str, bytes]:
        """What is known of these contents (SHA-256 of files)."""
        known: dict[str, bytes] = {}
        for start in range(0, len(contents), 500):
            part = list(contents[start : start + 500])
            marks = ",".join("?" * len(part))
            try:
                rows = self._db.execute(f"SELECT content, hash FROM hashes WHERE content IN ({marks})", part).fetchall()
            except sqlite3.Error as error:
                raise self._problem(error) from error
            known |= {content: blob for content, blob in rows if isinstance(blob, bytes) and len(blob) == HASH_BYTES}
        return known

    def put(self, hashes: Mapping[str, bytes]) -> None:
        """Store them."""
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?)", hashes.items())
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _problem(self, error: sqlite3.Error) -> ParabenchError:
        return database_error(error, "the picture hashes", self.path, "point $PARABENCH_CACHE elsewhere") or ParabenchError(
            f"can't use {self.path}: {error}", "delete that file: it holds nothing but a cache"
        )
