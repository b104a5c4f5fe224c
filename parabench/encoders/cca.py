"""``cca:scenes``: a small dual encoder that is trained here, in seconds, without torch.

Canonical correlation analysis (Hotelling 1936; for pictures and words Hardoon, Szedmak & Shawe-Taylor,
Neural Computation 2004): linear maps of word counts and of simple picture features into one space where
matching captions and pictures correlate most.  It reads real pixels and learns real words, and words that
it never saw in training simply vanish, which is what a paraphrase benchmark should show.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.spec import ModelSpec
from parabench.errors import DataError, UsageError
from parabench.progress import bar, note
from parabench.storage import atomic_path, cache_home, sha256_json
from parabench.towers.cells import picture_features

_VERSION = 1


class CcaEncoder:
    """A dual encoder fitted on the ``train`` split of a benchmark: ``cca:scenes[?dim=64]``."""

    sees = "pixels"
    cacheable = True
    batch_size = 64

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.no_revision()
        spec.allow(("dim",))
        if not spec.name:
            raise UsageError("cca: names no dataset to train on", "e.g. cca:scenes")
        from parabench.data import load

        self.spec = str(spec)
        self.dim = spec.integer("dim", 96)
        if not 2 <= self.dim <= 512:
            raise UsageError(f"'{spec}': dim={self.dim} is out of range", "2 to 512")
        self._train = load(spec.name, split="train")
        self.resolved: dict[str, Any] = {
            "backend": "cca", "version": _VERSION, "trained_on": f"{self._train.name}/train",
            "data": self._train.fingerprint, "dim": self.dim,
        }  # fmt: skip
        self.fingerprint = sha256_json(self.resolved)

    @property
    def n_parameters(self) -> int:
        """Numbers in the two linear maps."""
        return int(sum(self._fitted[name].size for name in ("text_map", "image_map")))

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32; words outside the training vocabulary are not seen."""
        fitted = self._fitted
        index = {word: row for row, word in enumerate(fitted["vocabulary"].tolist())}
        vectors: FloatMatrix = ((_count(texts, index) - fitted["text_mean"]) @ fitted["text_map"]).astype(np.float32)
        return vectors

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """One RGB picture → its features."""
        return picture_features(image)

    def encode_pixels(self, batch: NDArray[np.float32]) -> FloatMatrix:
        """Stacked features → ``(n, dim)`` float32."""
        fitted = self._fitted
        vectors: FloatMatrix = ((batch - fitted["image_mean"]) @ fitted["image_map"]).astype(np.float32)
        return vectors

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """RGB pictures → ``(n, dim)`` float32."""
        return self.encode_pixels(np.stack([self.preprocess(image) for image in images]))

    @cached_property
    def _fitted(self) -> dict[str, NDArray[Any]]:
        path = cache_home() / "cca" / f"{self.fingerprint[:32]}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # absent or damaged: fitting again gives the same
        fitted = self._fit()
        with atomic_path(path) as part, part.open("wb") as stream:
            np.savez(stream, **fitted)  # type: ignore[arg-type]
        return fitted

    def _fit(self) -> dict[str, NDArray[Any]]:
        from parabench.data import ImageStore

        train = self._train
        note(f"{self.spec}: training on {len(train.image_ids):,} pictures of {train.name}/train")
        store = ImageStore(train)
        captions = train.gallery["captions"].to_pylist()
        if not captions or not all(captions):
            raise DataError(f"{self.spec}: the train split of '{train.name}' has pictures without captions")
        pictures = []
        with bar("training pictures", len(train.image_ids), "picture") as progress:
            for image_id in train.image_ids:
                pictures.append(picture_features(store.open(image_id)))
                progress.update()
        frequency = Counter(term for own in captions for caption in own for term in set(_terms(caption)))
        vocabulary = sorted(term for term, count in frequency.items() if count >= 5)
        index = {term: row for row, term in enumerate(vocabulary)}
        owner = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
        texts = _count([caption for own in captions for caption in own], index)
        images = np.stack(pictures).astype(np.float64)
        text_map, image_map = cca(texts - texts.mean(0), (images - images.mean(0))[owner], self.dim)
        return {
            "vocabulary": np.array(vocabulary), "text_mean": texts.mean(0), "image_mean": images.mean(0),
            "text_map": text_map, "image_map": image_map,
        }  # fmt: skip


def cca(x: NDArray[np.float64], y: NDArray[np.float64], dim: int, ridge: float = 0.02) -> tuple[NDArray[Any], NDArray[Any]]:
    """Regularised CCA of centred ``x (n, p)`` and ``y (n, q)``: maps ``(p, dim)`` and ``(q, dim)``.

    Directions are scaled by their correlation, so that the inner product of two projections weighs each
    direction by how much it can be trusted.
    """
    def whitener(z: NDArray[np.float64]) -> NDArray[np.float64]:
        values, vectors = np.linalg.eigh(z.T @ z / len(z))
        inverse: NDArray[np.float64] = vectors / np.sqrt(np.maximum(values, 0) + ridge * values.mean())
        return inverse

    left, right = whitener(x), whitener(y)
    u, correlation, vt = np.linalg.svd(left.T @ (x.T @ y / len(x)) @ right, full_matrices=False)
    weight = np.sqrt(np.clip(correlation[:dim], 0, 1))
    return left @ (u[:, :dim] * weight), right @ (vt.T[:, :dim] * weight)


def _terms(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def _count(texts: Sequence[str], index: dict[str, int]) -> NDArray[np.float64]:
    counts = np.zeros((len(texts), len(index)))
    for row, text in enumerate(texts):
        for term in set(_terms(text)):
            if term in index:
                counts[row, index[term]] = 1.0
    return counts
