"""Batches from webdataset shards as img2dataset writes them: ``000000001.jpg``, ``.txt`` and ``.json`` in tar files.

A rank reads its own part of the shard list, in an order that follows from seed and epoch; samples are mixed within
blocks.  A position is the start of a block and a place in it, so a resumed run reads exactly the samples that an
uninterrupted one would have read.  What can't be read is counted and skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parabench.errors import DataError, MissingDependencyError, UsageError, brief
from parabench.progress import note
from parabench.towers.tokens import tokenize
from parabench.train.data.batches import Batch, crop
from parabench.train.data.sources import open_bytes
from parabench.train.distributed import Ranks
from parabench.train.recipe import DataRecipe

_PICTURES = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Place:
    """Where a stream stands.

    Attributes:
        turn, sample: the shard, counted over all epochs, and the sample in it at which the block starts.
        block: number of the block.
        used: how many samples of the block, in its mixed order, are done with.
    """

    turn: int = 0
    sample: int = 0
    block: int = 0
    used: int = 0


@dataclass(frozen=True)
class _Sample:
    """One decoded sample; ``array`` is ``None`` when it can't be used, and ``problem`` says why."""

    array: NDArray[np.float32] | None
    caption: str = ""
    group: int = 0
    problem: str = ""


class ShardBatches:
    """Endless batches of a shard list for one rank.

    Args:
        recipe: ``path`` is the list, ``resampled`` and ``shuffle`` the order.
        share: samples of this rank a batch.
        model: its image trunk prepares pictures and its tokeniser captions.

    Raises:
        UsageError: no shards, or fewer than ranks.
        DataError: a local shard is missing; a whole pass gave no sample that can be used.
    """

    def __init__(self, recipe: DataRecipe, share: int, model: Any, *, seed: int, place: Ranks) -> None:
        self._recipe, self._share, self._model = recipe, share, model
        self._seed, self._place = seed, place
        self._shards = expand(recipe.path)
        if len(self._shards) < place.size and not recipe.resampled:
            raise UsageError(f"{len(self._shards)} shards can't be split over {place.size} ranks", "set data.resampled=true")
        self._counts = {"skipped_pictures": 0, "skipped_captions": 0, "broken_shards": 0}
        self._named: set[str] = set()

    def start(self) -> dict[str, Any]:
        """The position before the first batch."""
        return {**Place().__dict__, **self._counts}

    def counts(self) -> dict[str, int]:
        """What was skipped so far on this rank."""
        return dict(self._counts)

    def batches(self, position: dict[str, Any]) -> Iterator[Batch]:
        """Batches from a position on."""
        self._counts = {name: int(position[name]) for name in self._counts}
        place = Place(**{name: int(position[name]) for name in Place.__dataclass_fields__})
        kept: list[_Sample] = []
        for sample, after in self._decoded(place):
            if sample.array is None:
                self._counts[f"skipped_{sample.problem}"] += 1
                continue
            kept.append(sample)
            if len(kept) == self._share:
                yield self._batch(kept, {**after.__dict__, **self._counts})
                kept = []

    def _batch(self, samples: list[_Sample], after: dict[str, Any]) -> Batch:
        images = torch.from_numpy(np.stack([sample.array for sample in samples if sample.array is not None]))
        captions = tokenize(self._model.text.tokenizer, [sample.caption for sample in samples])
        return Batch(images, [captions], torch.tensor([sample.group for sample in samples]), after)

    def _decoded(self, place: Place) -> Iterator[tuple[_Sample, Place]]:
        """Samples in order, decoded by threads some way ahead."""
        with ThreadPoolExecutor(self._recipe.workers, thread_name_prefix="decode") as pool:
            waiting: deque[tuple[Future[_Sample], Place]] = deque()
            try:
                for raw, after in self._raw(place):
                    chance = [self._seed, self._place.rank, after.block, after.used]
                    waiting.append((pool.submit(self._decode, raw, chance), after))
                    if len(waiting) > 2 * self._share:
                        future, behind = waiting.popleft()
                        yield future.result(), behind
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _raw(self, place: Place) -> Iterator[tuple[dict[str, Any], Place]]:
        """Undecoded samples block by block, each with the position behind it."""
        while True:
            block, turn, sample = self._block(place)
            order = np.random.default_rng([self._seed, self._place.rank, place.block, 3]).permutation(len(block))
            following = Place(turn, sample, place.block + 1)
            for used in range(place.used, len(block)):
                last = used + 1 == len(block)
                yield block[order[used]], following if last else replace(place, used=used + 1)
            place = following

    def _block(self, place: Place) -> tuple[list[dict[str, Any]], int, int]:
        """The samples of the block at a place, and the shard and sample behind it."""
        block: list[dict[str, Any]] = []
        turn, skip, without = place.turn, place.sample, 0
        while True:
            number = 0
            for number, sample in enumerate(self._read(self._shard(turn)), 1):
                if number > skip:
                    block.append(sample)
                    if len(block) == self._recipe.shuffle:
                        return block, turn, number
            without = without + 1 if number == 0 else 0
            if without >= len(self._shards):
                raise DataError(f"none of the {len(self._shards)} shards of {self._recipe.path} holds a sample that can be read")
            turn, skip = turn + 1, 0
            if turn % self._an_epoch == 0 and block and not self._recipe.resampled:
                return block, turn, 0

    @property
    def _an_epoch(self) -> int:
        return len(range(self._place.rank, len(self._shards), self._place.size)) or 1

    def _shard(self, turn: int) -> str:
        if self._recipe.resampled:
            return self._shards[int(np.random.default_rng([self._seed, self._place.rank, turn, 4]).integers(len(self._shards)))]
        epoch, number = divmod(turn, self._an_epoch)
        order = np.random.default_rng([self._seed, epoch, 5]).permutation(len(self._shards))
        return self._shards[int(order[self._place.rank :: self._place.size][number])]

    def _read(self, shard: str) -> Iterator[dict[str, Any]]:
        """The samples of one shard; a broken tar gives what stands before the break."""
        from webdataset.gopen import gopen
        from webdataset.tariterators import group_by_keys, tar_file_iterator

        try:
            with gopen(shard) as stream:
                files = ({**entry, "__url__": shard} for entry in tar_file_iterator(stream))
                yield from group_by_keys(files)
        except Exception as error:  # tar, network and decompression errors come in many classes
            self._counts["broken_shards"] += 1
            if shard not in self._named:
                self._named.add(shard)
                note(f"data: {shard} is broken ({brief(error)}): the rest of it is skipped")

    def _decode(self, sample: dict[str, Any], chance: list[int]) -> _Sample:
        caption = _caption(sample)
        if not caption:
            return _Sample(None, problem="captions")
        data = next((sample[suffix] for suffix in _PICTURES if suffix in sample), None)
        if data is None:
            return _Sample(None, problem="pictures")
        try:
            image = open_bytes(data, sample["__key__"])
            if self._recipe.augment:
                image = crop(image, np.random.default_rng(chance))
            array = self._model.image.trunk.preprocess(image)
        except (DataError, ValueError, OSError):
            return _Sample(None, problem="pictures")
        group = int.from_bytes(hashlib.blake2b(data, digest_size=7).digest(), "big")
        return _Sample(array, caption, group)


def expand(path: str) -> list[str]:
    """Shards of a brace list (``{00000..01242}.tar``), several joined by ``::``.

    Raises:
        UsageError: nothing is named.
        DataError: a local shard is not there.
    """
    try:
        from webdataset.shardlists import expand_urls
    except ImportError:
        raise MissingDependencyError("webdataset", "train", "data.kind=webdataset") from None
    if not path:
        raise UsageError("data.kind=webdataset needs data.path", "e.g. data.path='/data/cc12m/{00000..01242}.tar'")
    shards = [str(Path(shard).expanduser()) if ":" not in shard else shard for shard in expand_urls(path)]
    absent = [shard for shard in shards if ":" not in shard and not Path(shard).is_file()]
    if absent:
        raise DataError(f"{len(absent)} of {len(shards)} shards are not there (first: {absent[0]})", "check the brace list in data.path")
    return shards


def _caption(sample: dict[str, Any]) -> str:
    try:
        if "txt" in sample:
            return bytes(sample["txt"]).decode("utf-8").strip()
        held = json.loads(sample["json"]).get("caption") if "json" in sample else None
        return held.strip() if isinstance(held, str) else ""
    except (ValueError, AttributeError):
        return ""
