"""Pictures and sentences on entries' pages: shown where everything of a dataset is in the public domain, else linked."""

from __future__ import annotations

import io
from functools import cached_property
from typing import Any

from parabench.data import Benchmark, ImageStore, load
from parabench.data.catalog import DATASETS
from parabench.errors import ParabenchError
from parabench.leaderboard.names import link_fault
from parabench.leaderboard.reference import Reference

SIDE = 112
_FREE = "CC0-1.0"


class Pictures:
    """What may be shown of a dataset; ``files`` collects the pictures that pages ask for.

    A picture is copied to the site only when the dataset is built in and every picture of it is CC0; its sentences are then
    shown too.  Of others the page links to the source that the gallery names.
    """

    def __init__(self, reference: Reference, key: str) -> None:
        self._reference, self._key = reference, key
        self.files: dict[str, bytes] = {}

    @cached_property
    def _benchmark(self) -> Benchmark | None:
        free = set(self._reference.gallery["license"].to_pylist()) == {_FREE}
        if not free or self._reference.name not in DATASETS:
            return None
        try:
            found = load(self._reference.name, split=self._reference.split)
        except ParabenchError:
            return None
        return found if found.fingerprint == self._reference.fingerprint else None

    @cached_property
    def _store(self) -> ImageStore | None:
        return None if self._benchmark is None else ImageStore(self._benchmark)

    @cached_property
    def _texts(self) -> dict[str, tuple[str, str]]:
        if self._benchmark is None:
            return {}
        pairs = self._benchmark.pairs
        columns = (pairs[name].to_pylist() for name in ("pair_id", "caption", "paraphrase"))
        return {pair_id: (caption, paraphrase) for pair_id, caption, paraphrase in zip(*columns, strict=True)}

    def sentences(self, pair_id: str) -> tuple[str, str]:
        """Caption and paraphrase, empty where they may not be shown."""
        return self._texts.get(pair_id, ("", ""))

    def frame(self, position: int) -> dict[str, Any]:
        """A gallery position as a page shows it: its id, the picture's file or ``""``, and a link to its source or ``""``."""
        image_id = self._reference.image_ids[position]
        url = self._reference.gallery["url"][position].as_py() or ""
        # COCO names its pictures by http; the host answers https too
        url = url.replace("http://", "https://", 1)
        return {"id": image_id, "file": self._file(position, image_id), "link": "" if link_fault(url) else url}

    def _file(self, position: int, image_id: str) -> str:
        if self._store is None:
            return ""
        name = f"pictures/{self._key}/{position}.jpg"
        if name not in self.files:
            try:
                picture = self._store.open(image_id)
            except ParabenchError:
                return ""
            out = io.BytesIO()
            picture.resize((SIDE, SIDE)).save(out, "JPEG", quality=82, optimize=True)
            self.files[name] = out.getvalue()
        return name
