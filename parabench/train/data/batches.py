"""Batches from a caption set: a rank's share of pictures and texts, prepared ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from parabench.towers.texts import Texts
from parabench.towers.tokens import Tokenizer
from parabench.train.data.captions import CaptionSet
from parabench.train.data.views import Order, Views

_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """A rank's share of one contrastive batch.

    Attributes:
        images: trunk inputs ``(n, 3, height, width)`` or trunk vectors ``(n, width)``, float32.
        views: a batch of texts for each view of the loss, row i of each belongs to picture i.
        groups: ``(n,)`` int64, equal where two rows show one picture.
        after: the data's position behind this batch: what a checkpoint stores.
    """

    images: Any
    views: list[Texts]
    groups: Any
    after: dict[str, Any]

    def to(self, device: Any) -> Batch:
        """The same batch on another device."""
        return Batch(self.images.to(device, non_blocking=True), [view.to(device) for view in self.views],
                     self.groups.to(device, non_blocking=True), self.after)  # fmt: skip


class TextSource(Protocol):
    """Rows of the set's texts → a batch of token ids or stored states."""

    def __call__(self, rows: Sequence[int]) -> Texts:
        """Texts of these rows of ``CaptionSet.texts``."""
        ...


class ImageSource(Protocol):
    """Rows of the set → trunk inputs or stored vectors.

    Attributes:
        ready: whether rows are at hand, so that preparing them ahead in threads would gain nothing.
    """

    ready: bool

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> Any:
        """Pictures of these rows, float32."""
        ...


class Tokens:
    """Token ids of all texts, made once."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self._ids, self._pad = tokenizer.ids(texts), tokenizer.pad_id

    def __call__(self, rows: Sequence[int]) -> Texts:
        """Texts of these rows."""
        return Texts.pad([self._ids[row] for row in rows], self._pad)


class Vectors:
    """Trunk vectors ``(pictures, width)`` at hand."""

    ready = True

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> Any:
        """Vectors of these rows."""
        return torch.from_numpy(np.ascontiguousarray(self.vectors[rows], np.float32))


class Pictures:
    """Pictures that are opened and prepared when they are asked for."""

    ready = False

    def __init__(self, data: CaptionSet, trunk: Any, *, workers: int, augment: bool, seed: int) -> None:
        self._data, self._trunk, self._augment, self._seed = data, trunk, augment, seed
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> Any:
        """Trunk inputs of these rows."""
        arrays = list(self._pool.map(lambda row: self._one(int(row), epoch), rows))
        return torch.from_numpy(np.stack(arrays))

    def _one(self, row: int, epoch: int) -> NDArray[np.float32]:
        image = self._data.open(self._data.image_ids[row])
        if self._augment:
            image = crop(image, np.random.default_rng([self._seed, epoch, 2, row]))
        array: NDArray[np.float32] = self._trunk.preprocess(image)
        return array


def crop(image: Any, chance: np.random.Generator) -> Any:
    """A random part of 90–100 % of the area and of an aspect ratio within 3:4 and 4:3 of the picture's own."""
    width, height = image.size
    area, ratio = chance.uniform(0.9, 1.0), np.exp(chance.uniform(np.log(3 / 4), np.log(4 / 3)))
    w = min(width, max(1, round(width * np.sqrt(area * ratio))))
    h = min(height, max(1, round(height * np.sqrt(area / ratio))))
    left, top = int(chance.integers(0, width - w + 1)), int(chance.integers(0, height - h + 1))
    return image.crop((left, top, left + w, top + h))


class SetBatches:
    """Endless batches of a caption set; rank r of R takes the r-th of R equal slices of each."""

    def __init__(
        self, order: Order, views: Views, names: Sequence[str], images: ImageSource, texts: TextSource, *, rank: int, ranks: int
    ) -> None:
        self._order, self._views, self._names = order, views, tuple(names)
        self._images, self._texts = images, texts
        share = order.batch // ranks
        self._slice = slice(rank * share, (rank + 1) * share)

    def start(self) -> dict[str, Any]:
        """The position before the first batch."""
        return {"batch": 0}

    def batches(self, position: dict[str, Any]) -> Iterator[Batch]:
        """Batches from a position on."""
        number = int(position["batch"])
        if self._images.ready:
            while True:
                yield self._make(number)
                number += 1
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                while True:
                    while len(waiting) < _AHEAD:
                        waiting.append(pool.submit(self._make, number))
                        number += 1
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, number: int) -> Batch:
        epoch, rows = self._order.rows(number)
        rows = rows[self._slice]
        texts = [self._texts(self._views.draw(view, epoch, rows)) for view in self._names]
        return Batch(self._images(rows, epoch), texts, torch.from_numpy(rows), {"batch": number + 1})
