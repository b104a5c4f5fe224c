"""Which texts of a picture a step reads: drawn from seed, epoch and picture alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from parabench.errors import DataError
from parabench.train.data.captions import CaptionSet

_DRAWS = 4


class Order:
    """The order of samples: a permutation an epoch, whole batches only, the rest left for another epoch."""

    def __init__(self, size: int, batch: int, seed: int) -> None:
        if size < batch:
            raise DataError(f"the training set has {size} pictures and a batch is {batch}", f"set optimiser.batch={size} or less")
        self.size, self.batch, self.seed = size, batch, seed
        self.an_epoch = size // batch
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def rows(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """Batch ``number`` (from 0): its epoch and the rows ``(batch,)`` of the training set."""
        epoch, place = divmod(number, self.an_epoch)
        return epoch, self._permutation(epoch)[place * self.batch : (place + 1) * self.batch]

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch, 0]).permutation(self.size)


class Views:
    """Texts by view.

    ``caption``: one of the picture's captions.  ``other1``, ``other2``, …: further captions of it, all different
    as long as it has so many.  ``rewrite``, ``rewrite2``: two rewrites of the caption, different if it has two.
    ``sampled``: the caption or one of its rewrites, all equally likely.
    """

    def __init__(self, data: CaptionSet, sources: Sequence[str], seed: int) -> None:
        self._data, self._seed = data, seed
        self._row = {text: row for row, text in enumerate(data.texts)}
        self._sources = tuple(sources)
        self._chances = lru_cache(maxsize=2)(self._draw_chances)

    def draw(self, view: str, epoch: int, rows: NDArray[np.int64]) -> list[int]:
        """Rows of ``data.texts``, one for each picture in ``rows``."""
        chances = self._chances(epoch)
        return [self._row[self._text(view, row, chances[row])] for row in rows.tolist()]

    def rewrites(self, row: int, caption: str) -> list[str]:
        """What may stand for a caption: its paraphrases or the picture's other captions, as the recipe orders; else itself."""
        for source in self._sources:
            held = (
                self._data.rewrites.get(caption, ())
                if source == "paraphrases"
                else [text for text in self._data.captions[row] if text != caption]
            )
            if held:
                return list(held)
        return [caption]

    def _draw_chances(self, epoch: int) -> NDArray[np.float64]:
        return np.random.default_rng([self._seed, epoch, 1]).random((len(self._data), _DRAWS))

    def _text(self, view: str, row: int, chance: NDArray[np.float64]) -> str:
        captions = self._data.captions[row]
        number = int(chance[0] * len(captions))
        caption = captions[number]
        if view == "caption":
            return caption
        if view.startswith("other"):
            return captions[(number + int(view.removeprefix("other"))) % len(captions)]
        held = self.rewrites(row, caption)
        if view == "sampled":
            # a caption that has no rewrite stands for itself either way
            choices = [caption, *(text for text in held if text != caption)]
            return choices[int(chance[3] * len(choices))]
        first = int(chance[1] * len(held))
        if view == "rewrite":
            return held[first]
        return held[(first + 1 + int(chance[2] * (len(held) - 1))) % len(held)] if len(held) > 1 else held[0]
