"""``tfidf:``: words counted and weighted, pictures seen through their captions.  The lexical baseline."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.spec import ModelSpec
from parabench.errors import ModelError, UsageError
from parabench.storage import sha256_json

_WORD = re.compile(r"\w+")


class TfidfEncoder:
    """Hashed TF-IDF of lowercase words: ``(1 + ln tf) · (ln((1+n)/(1+df)) + 1)``.

    A word falls into one of ``dim`` buckets by its CRC-32; document frequencies come from the gallery's
    captions.  A text without any word gets the vector of one extra bucket, so it has a direction too.
    """

    sees = "captions"
    cacheable = False
    n_parameters = 0
    batch_size = 1024

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.no_revision()
        spec.allow(())
        name = spec.name or "4096"
        if not name.isdigit() or not 2 <= int(name) <= 1 << 20:
            raise UsageError(f"'{spec}': '{name}' is not a number of buckets", "e.g. tfidf:4096")
        self.dim = int(name)
        self.spec = str(ModelSpec("tfidf", spec.name))
        self.resolved: dict[str, Any] = {"backend": "tfidf", "buckets": self.dim, "version": 1}
        self.fingerprint = sha256_json(self.resolved)
        self._weight: FloatMatrix | None = None

    def fit_corpus(self, captions: Sequence[str]) -> None:
        """Count in how many captions each bucket occurs."""
        frequency = np.zeros(self.dim, np.int64)
        for caption in captions:
            frequency[list({self._bucket(word) for word in _words(caption)})] += 1
        self._weight = (np.log((1 + len(captions)) / (1 + frequency)) + 1).astype(np.float32)
        self.resolved = {**self.resolved, "corpus": sha256_json(sorted(captions))}
        self.fingerprint = sha256_json(self.resolved)

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32."""
        if self._weight is None:
            raise ModelError("tfidf: has seen no captions yet", "call fit_corpus(captions) first")
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            counts = Counter(self._bucket(word) for word in _words(text))
            buckets = list(counts) or [self.dim - 1]
            frequency = np.array(list(counts.values()) or [1], np.float32)
            vectors[row, buckets] = (1 + np.log(frequency)) * self._weight[buckets]
        return vectors

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Refused: there is no image tower."""
        raise ModelError("tfidf: has no image tower; it searches captions")

    def _bucket(self, word: str) -> int:
        return zlib.crc32(word.encode("utf-8", "surrogatepass")) % self.dim


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
