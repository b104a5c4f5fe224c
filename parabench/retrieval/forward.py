"""An encoder over texts or pictures, in batches and without padding work.

Texts run in batches of one length in tokens, or of similar length in characters where an encoder can't tell, so that one
that trims its context to the longest text of the batch computes next to no padding; among those, texts that begin alike
are neighbours, for encoders that compute a common beginning once.  Pictures are decoded and prepared by
background threads while the network runs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from parabench.data.duplicates import picture_hash
from parabench.data.images import Pictures
from parabench.encoders.protocol import Encoder, FloatMatrix, LengthEncoder, PixelEncoder, Traits
from parabench.errors import ModelError

Part = tuple[list[int], FloatMatrix]
"""Numbers of items, and their vectors ``(n, dim)`` float32."""

_DECODERS = 2
_BATCHES_AHEAD = 2
_COUNTED_AT_ONCE = 4096


class Forward(Protocol):
    """Runs an encoder, here or elsewhere.

    Attributes:
        batch_size: items a forward pass.
        seconds: wall time that the network took so far: ``forward_text``, ``forward_images``, ``ceiling``.
    """

    batch_size: int
    seconds: dict[str, float]

    def texts(self, texts: Sequence[str]) -> Iterator[Part]:
        """Vectors of texts, not normalised, in the order in which they are finished.

        Raises:
            ModelError: the encoder returned a wrong shape, NaN or a zero vector (names the text).
        """
        ...

    def batches(self, batches: Sequence[list[str]]) -> Iterator[tuple[int, FloatMatrix]]:
        """Vectors of batches that stay as they are, with their numbers; errors as :meth:`texts`."""
        ...

    def images(self, image_ids: Sequence[str], store: Pictures | None, hashes: dict[str, bytes] | None = None) -> Iterator[Part]:
        """Vectors of pictures, not normalised, in the order in which they are finished.

        Args:
            image_ids: pictures.
            store: opens them; ``None`` for an encoder that sees only ids.
            hashes: content → perceptual hash, to which every picture that is opened is added; ``None`` for no hashing.

        Raises:
            DataError: a picture is missing or can't be decoded (names it).
            ModelError: as :meth:`texts`.
        """
        ...


class LocalForward:
    """Runs an encoder in this process.

    Args:
        encoder: what turns texts and pictures into vectors.
        batch_size: items a forward pass; the encoder's own choice by default.
    """

    def __init__(self, encoder: Encoder, batch_size: int | None = None) -> None:
        self.encoder = encoder
        self.batch_size: int = batch_size or Traits.of(encoder).batch_size
        self.seconds: dict[str, float] = {}

    def texts(self, texts: Sequence[str]) -> Iterator[Part]:
        """See :meth:`Forward.texts`."""
        for rows in self._by_length(texts):
            yield rows, self._text([texts[row] for row in rows], "forward_text")

    def batches(self, batches: Sequence[list[str]]) -> Iterator[tuple[int, FloatMatrix]]:
        """See :meth:`Forward.batches`."""
        for number, batch in enumerate(batches):
            yield number, self._text(batch, "ceiling")

    def images(self, image_ids: Sequence[str], store: Pictures | None, hashes: dict[str, bytes] | None = None) -> Iterator[Part]:
        """See :meth:`Forward.images`."""
        encoder = self.encoder
        batches = [list(range(start, min(start + self.batch_size, len(image_ids)))) for start in range(0, len(image_ids), self.batch_size)]
        named = [[image_ids[row] for row in rows] for rows in batches]
        encode: Callable[[Any], Any] = encoder.encode_images
        inputs: Iterator[Any] = iter(named)
        if store is not None:
            inputs = self._prepared(named, store, hashes)
            encode = encoder.encode_pixels if isinstance(encoder, PixelEncoder) else encoder.encode_images
        for rows, ids, batch in zip(batches, named, inputs, strict=True):
            yield rows, self._run("forward_images", encode, batch, [f"image '{image_id}'" for image_id in ids])

    def _by_length(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Rows in batches, the longest first: too big a batch fails at once.

        On a processor, where a padded token costs what a real one does, a batch that is a quarter full ends with its length.
        """
        encoder, least = self.encoder, self.batch_size
        length = [len(text) for text in texts]
        if length and isinstance(encoder, LengthEncoder):
            length = []
            for start in range(0, len(texts), _COUNTED_AT_ONCE):
                length += encoder.text_lengths(texts[start : start + _COUNTED_AT_ONCE]).tolist()
            least = max(1, self.batch_size // 4) if Traits.of(encoder).device == "cpu" else self.batch_size
        batch: list[int] = []
        for row in sorted(range(len(texts)), key=lambda row: (-length[row], texts[row].lower())):  # neighbours begin alike
            if len(batch) == self.batch_size or (len(batch) >= least and length[row] < length[batch[0]]):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _prepared(self, batches: list[list[str]], store: Pictures, hashes: dict[str, bytes] | None) -> Iterator[Any]:
        """Batches of decoded pictures, a few batches ahead of the network."""
        encoder = self.encoder

        def prepare(image_id: str) -> Any:
            image = store.open(image_id)
            if hashes is not None and (content := store.sha256(image_id)) not in hashes:
                hashes[content] = picture_hash(image)
            return encoder.preprocess(image) if isinstance(encoder, PixelEncoder) else image

        with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode") as pool:
            waiting: deque[list[Future[Any]]] = deque()
            ahead = iter(batches)
            try:
                for _ in batches:
                    while len(waiting) <= _BATCHES_AHEAD and (batch := next(ahead, None)) is not None:
                        waiting.append([pool.submit(prepare, image_id) for image_id in batch])
                    images = [future.result() for future in waiting.popleft()]
                    yield np.stack(images) if isinstance(encoder, PixelEncoder) else images
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _text(self, batch: list[str], phase: str) -> FloatMatrix:
        return self._run(phase, self.encoder.encode_text, batch, [f"the text {text!r:.80}" for text in batch])

    def _run(self, phase: str, encode: Callable[[Any], Any], batch: Any, names: list[str]) -> FloatMatrix:
        started = time.perf_counter()
        vectors = np.asarray(encode(batch), np.float32)
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started
        expected = (len(names), self.encoder.dim)
        if vectors.shape != expected:
            raise ModelError(f"{self.encoder.spec} returned shape {vectors.shape} where {expected} was asked for")
        for wrong, what in (
            (~np.isfinite(vectors).all(axis=1), "NaN or infinity"),
            (~vectors.any(axis=1), "a zero vector, which has no direction to rank by,"),
        ):
            if wrong.any():
                raise ModelError(
                    f"{self.encoder.spec} gave {what} for {names[int(np.argmax(wrong))]} ({int(wrong.sum())} in this batch)",
                    "check the weights, try --precision fp32, or remove the item",
                )
        return vectors
