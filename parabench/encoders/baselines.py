"""``random:512`` and ``constant:512``: what the numbers look like when nothing is understood."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.spec import ModelSpec
from parabench.errors import UsageError
from parabench.storage import sha256_json


class _Baseline:
    sees = "ids"
    cacheable = False
    n_parameters = 0

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.no_revision()
        spec.allow(("seed",))
        name = spec.name or "512"
        if not name.isdigit() or not 1 <= int(name) <= 65536:
            raise UsageError(f"'{spec}': '{name}' is not a dimension", f"e.g. {spec.backend}:512")
        self.dim = int(name)
        self.seed = spec.integer("seed", 0)
        self.spec = str(ModelSpec(spec.backend, name, None, spec.options))
        self.resolved: dict[str, Any] = {"backend": spec.backend, "dim": self.dim, "seed": self.seed, "version": 1}
        self.fingerprint = sha256_json(self.resolved)


class RandomEncoder(_Baseline):
    """A Gaussian vector for each distinct text and image id, seeded by its content: the floor."""

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32; equal texts get equal vectors."""
        return self._draw("text", texts)

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Image ids → ``(n, dim)`` float32."""
        return self._draw("image", images)

    def _draw(self, modality: str, items: Sequence[str]) -> FloatMatrix:
        vectors = np.empty((len(items), self.dim), np.float32)
        for row, item in enumerate(items):
            digest = hashlib.sha256(f"{self.seed}\0{modality}\0{item}".encode("utf-8", "surrogatepass")).digest()
            seed = np.frombuffer(digest, np.uint64)
            vectors[row] = np.random.Generator(np.random.SFC64(seed.tolist())).standard_normal(self.dim, np.float32)
        return vectors


class ConstantEncoder(_Baseline):
    """The same vector for everything: AO = 1 and R@10 at chance."""

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32, all rows equal."""
        return np.ones((len(texts), self.dim), np.float32)

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Image ids → ``(n, dim)`` float32, all rows equal."""
        return np.ones((len(images), self.dim), np.float32)
