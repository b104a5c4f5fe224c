"""Texts and pictures → unit vectors: each distinct one once, cached, without padding work.

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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parabench.data.duplicates import picture_hash
from parabench.data.images import Pictures
from parabench.encoders.protocol import Encoder, FloatMatrix, LengthEncoder, PixelEncoder, Traits
from parabench.errors import ModelError
from parabench.progress import bar
from parabench.retrieval.cache import EmbeddingCache
from parabench.storage import sha256_json, sha256_text

_DECODERS = 2
_BATCHES_AHEAD = 2
_COUNTED_AT_ONCE = 4096


@dataclass
class Embedder:
    """Runs one encoder.

    Attributes:
        encoder: what turns texts and images into vectors.
        cache: where vectors are kept between runs, or ``None``.
        batch_size: items a forward pass; the encoder's own choice by default.
        seconds: wall time spent so far by phase: ``load``, ``forward_text``, ``forward_images``.
        computed: how many vectors were computed, not read from the cache, by modality.
        picture_hashes: content → perceptual hash, filled with every picture that is opened; ``None`` for no hashing.
    """

    encoder: Encoder
    cache: EmbeddingCache | None = None
    batch_size: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    computed: dict[str, int] = field(default_factory=lambda: {"text": 0, "image": 0})
    picture_hashes: dict[str, bytes] | None = None

    @property
    def _batch(self) -> int:
        return self.batch_size or Traits.of(self.encoder).batch_size

    def texts(self, texts: Sequence[str]) -> FloatMatrix:
        """``(len(texts), dim)`` float32 unit vectors; equal texts share one.

        Raises:
            ModelError: the encoder returned a wrong shape, NaN or a zero vector (names the text).
        """
        distinct = list(dict.fromkeys(texts))
        vectors, missing = self._stored("text", [sha256_text(text) for text in distinct])
        with bar("texts", len(distinct), "text", initial=len(distinct) - len(missing)) as progress:
            for rows in self._by_length(distinct, missing):
                batch = [distinct[row] for row in rows]
                output = self._forward("text", self.encoder.encode_text, batch)
                vectors[rows] = self._checked(output, [f"the text {text!r:.80}" for text in batch])
                self._store("text", [sha256_text(text) for text in batch], vectors[rows])
                progress.update(len(rows))
        row_of = {text: row for row, text in enumerate(distinct)}
        return unit(vectors)[[row_of[text] for text in texts]]

    def _by_length(self, texts: Sequence[str], rows: Sequence[int]) -> Iterator[list[int]]:
        """These rows in batches, the longest first: too big a batch fails at once.

        On a processor, where a padded token costs what a real one does, a batch that is a quarter full ends with its length.
        """
        encoder, least = self.encoder, self._batch
        length = {row: len(texts[row]) for row in rows}
        if rows and isinstance(encoder, LengthEncoder):
            for start in range(0, len(rows), _COUNTED_AT_ONCE):
                some = rows[start : start + _COUNTED_AT_ONCE]
                length |= zip(some, encoder.text_lengths([texts[row] for row in some]).tolist(), strict=True)
            least = max(1, self._batch // 4) if Traits.of(encoder).device == "cpu" else self._batch
        batch: list[int] = []
        for row in sorted(rows, key=lambda row: (-length[row], texts[row].lower())):  # neighbours begin alike
            if len(batch) == self._batch or (len(batch) >= least and length[row] < length[batch[0]]):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def texts_again(self, texts: Sequence[str], seed: int = 0) -> FloatMatrix:
        """The same texts embedded a second time in other company: ``(len(texts), dim)`` float32 unit vectors.

        Batches are of another size and mix short and long texts at random, so padding and the order of
        summation differ from :meth:`texts`.  Cached under the composition of their batch, never as the
        texts' own vectors.
        """
        distinct = list(dict.fromkeys(texts))
        order = np.random.default_rng([seed, 4]).permutation(len(distinct)).tolist()
        size = self._batch // 2 + 1 if self._batch > 1 else 2
        vectors = np.zeros((len(distinct), self.encoder.dim), np.float32)
        started = time.perf_counter()
        with bar("captions again", len(distinct), "text") as progress:
            for start in range(0, len(distinct), size):
                rows = order[start : start + size]
                batch = [distinct[row] for row in rows]
                together = sha256_json(batch)
                keys = [sha256_text(f"again\0{together}\0{text}") for text in batch]
                vectors[rows], missing = self._stored("text", keys)
                if missing:
                    output = self.encoder.encode_text(batch)
                    vectors[rows] = self._checked(output, [f"the text {text!r:.80}" for text in batch])
                    self._store("text", keys, vectors[rows])
                progress.update(len(rows))
        self.seconds["ceiling"] = time.perf_counter() - started
        row_of = {text: row for row, text in enumerate(distinct)}
        return unit(vectors)[[row_of[text] for text in texts]]

    def images(self, image_ids: Sequence[str], store: Pictures | None) -> FloatMatrix:
        """``(len(image_ids), dim)`` float32 unit vectors of gallery pictures; equal files share one.

        Args:
            image_ids: ids without repeats.
            store: opens pictures; may be ``None`` for an encoder that sees only ids.

        Raises:
            DataError: a picture is missing or can't be decoded (names it).
            ModelError: the encoder returned a wrong shape, NaN or a zero vector, or sees no images.
        """
        if Traits.of(self.encoder).sees == "ids":
            names = [f"image '{image_id}'" for image_id in image_ids]
            return unit(self._checked(self._forward("image", self.encoder.encode_images, list(image_ids)), names))
        if store is None:
            raise ModelError(f"{self.encoder.spec} looks at pictures and none were given", "name their folder: --images")
        contents = [store.sha256(image_id) for image_id in image_ids]
        first = dict(zip(reversed(contents), reversed(image_ids), strict=True))
        distinct = list(dict.fromkeys(contents))
        vectors, missing = self._stored("image", distinct)
        with bar("pictures", len(distinct), "picture", initial=len(distinct) - len(missing)) as progress:
            batches = [missing[start : start + self._batch] for start in range(0, len(missing), self._batch)]
            prepared = self._prepared([[first[distinct[row]] for row in rows] for rows in batches], store)
            encode = self.encoder.encode_pixels if isinstance(self.encoder, PixelEncoder) else self.encoder.encode_images
            for rows, inputs in zip(batches, prepared, strict=True):
                output = self._forward("image", encode, inputs)
                vectors[rows] = self._checked(output, [f"image '{first[distinct[row]]}'" for row in rows])
                self._store("image", [distinct[row] for row in rows], vectors[rows])
                progress.update(len(rows))
        row_of = {content: row for row, content in enumerate(distinct)}
        return unit(vectors)[[row_of[content] for content in contents]]

    def _prepared(self, batches: list[list[str]], store: Pictures) -> Iterator[Any]:
        """Batches of decoded pictures, a few batches ahead of the network."""
        encoder = self.encoder

        def prepare(image_id: str) -> Any:
            image = store.open(image_id)
            if self.picture_hashes is not None and (content := store.sha256(image_id)) not in self.picture_hashes:
                self.picture_hashes[content] = picture_hash(image)
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

    def _forward(self, modality: str, encode: Callable[[Any], Any], batch: Any) -> Any:
        started = time.perf_counter()
        output = encode(batch)
        phase = "forward_text" if modality == "text" else "forward_images"
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started
        self.computed[modality] += len(batch)
        return output

    def _stored(self, modality: Any, contents: list[str]) -> tuple[FloatMatrix, list[int]]:
        if self.cache is None:
            return np.zeros((len(contents), self.encoder.dim), np.float32), list(range(len(contents)))
        vectors, found = self.cache.get(modality, contents)
        return vectors, np.flatnonzero(~found).tolist()

    def _store(self, modality: Any, contents: list[str], vectors: FloatMatrix) -> None:
        if self.cache is not None:
            self.cache.put(modality, contents, vectors)

    def _checked(self, output: Any, names: list[str]) -> FloatMatrix:
        vectors = np.asarray(output, np.float32)
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


def unit(vectors: FloatMatrix) -> FloatMatrix:
    """Rows scaled to length 1; the length is taken in float64 so that a row never depends on its neighbours."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    scaled: FloatMatrix = (wide / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    return scaled
