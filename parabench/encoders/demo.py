"""``demo:align`` and ``demo:scratch``: two trained models as the vectors they give for the texts and pictures of ``scenes``.

The language model under ``align`` is larger than this package, so its embeddings are shipped and not its weights.
`scripts/experiment.py demo` writes them from models of the recipes ``scenes-align`` and ``scenes-scratch``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.spec import ModelSpec
from parabench.errors import ModelError, UsageError, did_you_mean
from parabench.storage import sha256_json

NAMES = ("align", "scratch")


class DemoEncoder:
    """Looks vectors up by the hash of a text or image id; float16 as shipped, so they need no torch and run nowhere."""

    sees = "ids"
    cacheable = False
    batch_size = 4096

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.no_revision()
        spec.allow(())
        if spec.name not in NAMES:
            raise UsageError(f"'{spec}': there is no such demo model", did_you_mean(spec.name, NAMES))
        self.spec = str(spec)
        data = resources.files("parabench.encoders").joinpath(f"demo_{spec.name}.npz").read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            keys, self._vectors = stored["keys"], stored["vectors"]
            self.n_parameters = int(stored["n_parameters"])
        self._row = {key.tobytes(): row for row, key in enumerate(keys)}
        self.dim = int(self._vectors.shape[1])
        self.resolved: dict[str, Any] = {"backend": "demo", "model": spec.name, "sha256": hashlib.sha256(data).hexdigest()}
        self.fingerprint = sha256_json(self.resolved)

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors ``(n, dim)`` float32 of texts of ``scenes``' test split; :class:`ModelError` for any other."""
        return self._look_up("text", texts)

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Vectors ``(n, dim)`` float32 of image ids of ``scenes``' test split; :class:`ModelError` for any other."""
        return self._look_up("image", images)

    def _look_up(self, kind: str, items: Sequence[str]) -> FloatMatrix:
        rows = [self._row.get(key_of(kind, str(item))) for item in items]
        absent = [item for item, row in zip(items, rows, strict=True) if row is None]
        if absent:
            raise ModelError(
                f"{self.spec} knows the texts and pictures of scenes' test split only, not the {kind} {absent[0]!r:.80}",
                f"train it here: parabench train scenes-{self.spec.partition(':')[2]}",
            )
        vectors: FloatMatrix = self._vectors[rows].astype(np.float32)
        return vectors


def key_of(kind: str, item: str) -> bytes:
    """Eight bytes that stand for a text or an image id."""
    return hashlib.blake2b(f"{kind}\0{item}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
