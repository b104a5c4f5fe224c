"""An encoder over texts or pictures by the workers of an engine, each with the network of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from parabench.data.images import Pictures
from parabench.encoders.protocol import CorpusEncoder, Encoder, FloatMatrix, Traits
from parabench.engine import Engine, Workers
from parabench.errors import ModelError, UsageError
from parabench.progress import note
from parabench.retrieval.forward import Forward, LocalForward, Part

_BATCHES_AT_ONCE = 8  # a worker sorts and prepares within them; what a crash loses


@dataclass(frozen=True)
class _Task:
    """Items of one kind: texts, a batch that stays as it is, or pictures, which a shared ``store`` opens."""

    kind: str
    items: list[str]
    store: Callable[[], Pictures | None] | None = None
    hashing: bool = False


@dataclass(frozen=True)
class _Done:
    vectors: FloatMatrix
    hashes: dict[str, bytes] | None = None


@dataclass(frozen=True)
class _Make:
    """Makes a worker: loads the encoder and makes sure that it is the one of the run."""

    load: Callable[[], Encoder]
    fingerprint: str
    batch_size: int

    def __call__(self) -> Callable[[_Task], _Done]:
        encoder = self.load()
        if encoder.fingerprint != self.fingerprint:
            raise ModelError(
                f"a worker's {encoder.spec} is not the one of this run: other weights or other package versions",
                "install the same environment on every machine of the cluster",
            )
        forward = LocalForward(encoder, self.batch_size)

        def work(task: _Task) -> _Done:
            hashes: dict[str, bytes] | None = {} if task.hashing else None
            if task.kind == "batch":
                return _Done(next(forward.batches([task.items]))[1])
            if task.store is None:
                parts = forward.texts(task.items)
            else:
                parts = forward.images(task.items, task.store(), hashes)
            vectors = np.empty((len(task.items), encoder.dim), np.float32)
            for rows, part in parts:
                vectors[rows] = part
            return _Done(vectors, hashes)

        return work


@dataclass
class DistributedForward:
    """A :class:`parabench.retrieval.forward.Forward` whose work is done by ``workers``."""

    workers: Workers[_Task, _Done]
    batch_size: int
    seconds: dict[str, float] = field(default_factory=dict)

    def texts(self, texts: Sequence[str]) -> Iterator[Part]:
        """See :meth:`Forward.texts`."""
        rows = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), texts[row].lower()))
        yield from self._in_parts("forward_text", rows, lambda part: _Task("texts", [texts[row] for row in part]))

    def batches(self, batches: Sequence[list[str]]) -> Iterator[tuple[int, FloatMatrix]]:
        """See :meth:`Forward.batches`."""
        for number, done in self._timed("ceiling", [_Task("batch", batch) for batch in batches]):
            yield number, done.vectors

    def images(self, image_ids: Sequence[str], store: Pictures | None, hashes: dict[str, bytes] | None = None) -> Iterator[Part]:
        """See :meth:`Forward.images`; every machine must find the pictures under the same path."""
        if image_ids:
            shared = self.workers.share(store)
            task = lambda part: _Task("images", [image_ids[row] for row in part], shared, hashes is not None)  # noqa: E731
            yield from self._in_parts("forward_images", list(range(len(image_ids))), task, hashes)

    def _in_parts(
        self, phase: str, rows: list[int], task: Callable[[list[int]], _Task], hashes: dict[str, bytes] | None = None
    ) -> Iterator[Part]:
        size = self.batch_size * _BATCHES_AT_ONCE
        # small sets are shared out too; where the parts end depends on the set alone, so that the number of workers changes no number
        size = max(self.batch_size, min(size, -(-len(rows) // _BATCHES_AT_ONCE)))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        for number, done in self._timed(phase, [task(part) for part in parts]):
            if hashes is not None and done.hashes:
                hashes |= done.hashes
            yield parts[number], done.vectors

    def _timed(self, phase: str, tasks: list[_Task]) -> Iterator[tuple[int, _Done]]:
        started = time.perf_counter()
        yield from self.workers.map(tasks)
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started


@contextmanager
def forward_of(encoder: Encoder, batch_size: int | None, engine: Engine, load: Callable[[], Encoder]) -> Iterator[Forward]:
    """What runs ``encoder``: this process, or workers that ``load`` it; baselines, which cost nothing, run here.

    Raises:
        UsageError: ``batch_size`` is not positive.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"--batch-size {batch_size} is not positive", "leave it out or give 1 or more")
    size = batch_size or Traits.of(encoder).batch_size
    here = not Traits.of(encoder).cacheable or isinstance(encoder, CorpusEncoder)
    if engine.name == "local" or here:
        if engine.name != "local":
            note(f"engine: {encoder.spec} runs in this process: it is a baseline, or has no fingerprint by which workers know it")
        yield LocalForward(encoder, size)
        return
    with engine.open(_Make(load, encoder.fingerprint, size)) as workers:
        yield DistributedForward(workers, size)
