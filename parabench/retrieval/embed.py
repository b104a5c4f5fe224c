"""Texts and pictures → unit vectors: each distinct one once, and from the cache where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.data.images import Pictures
from parabench.encoders.protocol import Encoder, FloatMatrix, Traits
from parabench.errors import ModelError
from parabench.progress import bar
from parabench.retrieval.cache import EmbeddingCache
from parabench.retrieval.forward import Forward, LocalForward
from parabench.storage import sha256_json, sha256_text


@dataclass
class Embedder:
    """Runs one encoder.

    Attributes:
        encoder: what turns texts and images into vectors.
        cache: where vectors are kept between runs, or ``None``.
        forward: what runs the encoder; this process by default.
        computed: how many vectors were computed, not read from the cache, by modality.
        picture_hashes: content → perceptual hash, filled with every picture that is opened; ``None`` for no hashing.
    """

    encoder: Encoder
    cache: EmbeddingCache | None = None
    forward: Forward | None = None
    computed: dict[str, int] = field(default_factory=lambda: {"text": 0, "image": 0})
    picture_hashes: dict[str, bytes] | None = None

    @classmethod
    @contextmanager
    def opened(cls, encoder: Encoder, forward: Forward, *, cache: bool, rebuild: bool = False) -> Iterator[Embedder]:
        """An embedder with the encoder's cache, where ``cache`` asks for it and the encoder is worth it; ``rebuild`` empties it first."""
        if cache and Traits.of(encoder).cacheable:
            with EmbeddingCache(encoder.fingerprint, encoder.dim, rebuild=rebuild) as opened:
                yield cls(encoder, opened, forward)
        else:
            yield cls(encoder, None, forward)

    @property
    def _forward(self) -> Forward:
        if self.forward is None:
            self.forward = LocalForward(self.encoder)
        return self.forward

    def texts(self, texts: Sequence[str]) -> FloatMatrix:
        """``(len(texts), dim)`` float32 unit vectors; equal texts share one.

        Raises:
            ModelError: the encoder returned a wrong shape, NaN or a zero vector (names the text).
        """
        distinct, places = _distinct(texts)
        keys = [sha256_text(text) for text in distinct]
        vectors, missing = self._stored(self.cache, "text", keys)
        with bar("texts", len(distinct), "text", initial=len(distinct) - len(missing)) as progress:
            for part, output in self._forward.texts([distinct[row] for row in missing]):
                rows = [missing[number] for number in part]
                vectors[rows] = output
                if self.cache is not None:
                    self.cache.put("text", [keys[row] for row in rows], output)
                self.computed["text"] += len(rows)
                progress.update(len(rows))
        return unit(vectors)[places]

    def texts_again(self, texts: Sequence[str], seed: int = 0) -> FloatMatrix:
        """The same texts embedded a second time in other company: ``(len(texts), dim)`` float32 unit vectors.

        Batches are of another size and mix short and long texts at random, so padding and the order of
        summation differ from :meth:`texts`.  Cached under the composition of their batch, never as the
        texts' own vectors.
        """
        distinct, places = _distinct(texts)
        order = np.random.default_rng([seed, 4]).permutation(len(distinct)).tolist()
        usual = self._forward.batch_size
        size = usual // 2 + 1 if usual > 1 else 2
        batches = [order[start : start + size] for start in range(0, len(distinct), size)]
        keys: dict[int, str] = {}
        for rows in batches:
            together = sha256_json([distinct[row] for row in rows])
            keys |= {row: sha256_text(f"again\0{together}\0{distinct[row]}") for row in rows}
        vectors, absent = self._stored(self.cache, "text", [keys[row] for row in range(len(distinct))])
        missing = [rows for rows in batches if not set(absent).isdisjoint(rows)]
        with bar("captions again", len(distinct), "text", initial=len(distinct) - sum(map(len, missing))) as progress:
            for number, output in self._forward.batches([[distinct[row] for row in rows] for rows in missing]):
                rows = missing[number]
                vectors[rows] = output
                if self.cache is not None:
                    self.cache.put("text", [keys[row] for row in rows], output)
                progress.update(len(rows))
        return unit(vectors)[places]

    def images(self, image_ids: Sequence[str], store: Pictures | None) -> FloatMatrix:
        """``(len(image_ids), dim)`` float32 unit vectors of gallery pictures; equal files share one.

        Args:
            image_ids: ids without repeats.
            store: opens pictures; may be ``None`` for an encoder that sees only ids.

        Raises:
            DataError: a picture is missing or can't be decoded (names it).
            ModelError: the encoder returned a wrong shape, NaN or a zero vector, or sees no images.
        """
        if Traits.of(self.encoder).sees == "ids":  # nothing that a cache could know again
            contents, cache, store = list(image_ids), None, None
        elif store is None:
            raise ModelError(f"{self.encoder.spec} looks at pictures and none were given", "name their folder: --images")
        else:
            contents, cache = [store.sha256(image_id) for image_id in image_ids], self.cache
        first = dict(zip(reversed(contents), reversed(image_ids), strict=True))
        distinct, places = _distinct(contents)
        vectors, missing = self._stored(cache, "image", distinct)
        with bar("pictures", len(distinct), "picture", initial=len(distinct) - len(missing)) as progress:
            asked = [first[distinct[row]] for row in missing]
            for part, output in self._forward.images(asked, store, self.picture_hashes):
                rows = [missing[number] for number in part]
                vectors[rows] = output
                if cache is not None:
                    cache.put("image", [distinct[row] for row in rows], output)
                self.computed["image"] += len(rows)
                progress.update(len(rows))
        return unit(vectors)[places]

    def _stored(self, cache: EmbeddingCache | None, modality: Any, contents: list[str]) -> tuple[FloatMatrix, list[int]]:
        """``(n, dim)`` vectors, and the rows that are not known yet."""
        if cache is None:
            return np.zeros((len(contents), self.encoder.dim), np.float32), list(range(len(contents)))
        vectors, found = cache.get(modality, contents)
        return vectors, np.flatnonzero(~found).tolist()


def _distinct(items: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct items in order of first appearance, and the place of each item among them ``(len(items),)``."""
    place_of = {item: place for place, item in enumerate(dict.fromkeys(items))}
    return list(place_of), np.array([place_of[item] for item in items], np.int64)


def unit(vectors: FloatMatrix) -> FloatMatrix:
    """Rows scaled to length 1; the length is taken in float64 so that a row never depends on its neighbours."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    scaled: FloatMatrix = (wide / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    return scaled
