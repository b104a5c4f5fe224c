"""Meaning: the cosine similarity of caption and paraphrase by a sentence encoder.

Never by a CLIP: the benchmark measures such models, and a set that one of them has filtered is a set on which it
does well.  CLIP-like encoders are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parabench.build.candidates import Candidate
from parabench.build.filters.base import PARAPHRASES, Verdict
from parabench.build.filters.config import SemanticCheck
from parabench.encoders.protocol import Encoder
from parabench.encoders.spec import ModelSpec
from parabench.errors import ModelError, UsageError

_CLIP_LIKE = re.compile(r"(?i)clip|siglip|\bblip|(?<![a-z])align(?![a-z]|ed|ment)|flava|\blit[-_]|coca[-_]|perception[-_]encoder|owl-?v")
_REMEMBERED = 1 << 13


class SentenceVectors:
    """Unit vectors of sentences, each computed once while it is remembered (the last 8,192).

    Raises:
        UsageError: the encoder is a CLIP or one of its kind.
        MissingDependencyError, ModelError: it can't be loaded.
    """

    def __init__(self, config: SemanticCheck) -> None:
        self._config = config
        self._known: dict[str, npt.NDArray[np.float32]] = {}
        _refuse_clip(config.model, _configurations(config.model))

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """``(n, dim)`` float32 of unit norm."""
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(new), self._config.batch_size):
            part = new[start : start + self._config.batch_size]
            vectors = self._encoder.encode_text(part)
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not np.isfinite(vectors).all() or not norms.all():
                raise ModelError(f"the sentence encoder {self._config.model} gave vectors that are zero or not finite")
            self._known.update(zip(part, vectors / norms, strict=True))
        result = np.stack([self._known[text] for text in texts])
        for text in list(self._known)[: max(0, len(self._known) - _REMEMBERED)]:
            del self._known[text]
        return result

    @property
    def fingerprint(self) -> str:
        """That of the encoder."""
        return self._encoder.fingerprint

    @cached_property
    def _encoder(self) -> Encoder:
        from parabench.encoders.sbert import SentenceEncoder

        config = self._config
        spec = ModelSpec("sbert", config.model, config.revision)
        encoder = SentenceEncoder(spec, device=config.device, precision="fp32", trust_remote_code=False)
        _refuse_clip(config.model, [{"model_type": "clip"}] if encoder.sees == "pixels" else [])
        return encoder


class Semantic:
    """Drops paraphrases whose similarity to their caption is below the threshold."""

    name = "semantic"
    roles = PARAPHRASES

    def __init__(self, config: SemanticCheck, vectors: SentenceVectors) -> None:
        self._config, self._vectors = config, vectors

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``similarity``: cosine in [−1, 1]."""
        captions = self._vectors.encode([candidate.caption.text for candidate in candidates])
        texts = self._vectors.encode([candidate.text for candidate in candidates])
        return [self._verdict(float(value)) for value in (captions * texts).sum(1)]

    def _verdict(self, similarity: float) -> Verdict:
        low = similarity < self._config.min_similarity
        return Verdict(f"another meaning: similarity {similarity:.2f}" if low else "", {"similarity": similarity})


def _configurations(model: str) -> list[dict[str, Any]]:
    """The configurations in a local folder, which say what a renamed model is; none for a hub id."""
    folder = Path(model).expanduser()
    found = []
    for path in sorted(folder.rglob("*config.json")) if folder.is_dir() else []:
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # the loader reports files that it needs and can't read
        found += [value] if isinstance(value, dict) else []
    return found


def _refuse_clip(model: str, configurations: list[dict[str, Any]]) -> None:
    said = [Path(model).name if Path(model).expanduser().is_dir() else model]
    for value in configurations:
        said += [str(value.get("model_type", "")), *map(str, value.get("architectures") or [])]
    if any(_CLIP_LIKE.search(text) for text in said):
        raise UsageError(
            f"the sentence encoder '{model}' is of the CLIP family, which the benchmark is to measure",
            "use an encoder of sentences alone, e.g. sentence-transformers/all-MiniLM-L6-v2",
        )
