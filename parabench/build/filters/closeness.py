"""Closeness: a paraphrase that copies its caption tests nothing; a foil that is far from it tests something else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import ratio

from parabench.build.candidates import Candidate
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import ClosenessCheck
from parabench.build.filters.text import comparable, words

_LONGEST = 2000


class Closeness:
    """Drops copies of the caption and what is too close to one; for foils, copies and what is too far.

    Scores, all of the compared forms (case folded, no punctuation):

    * ``ratio``: Indel similarity of the strings in [0, 1] (rapidfuzz),
    * ``jaccard``: shared words over all words in [0, 1],
    * ``word_edits``: words that were inserted, deleted or replaced (Levenshtein),
    * ``self_bleu``: sentence BLEU of the sentence against its caption in [0, 100] (Papineni et al. 2002; sacrebleu,
      exponential smoothing, effective order, tokens as they stand).

    A paraphrase is too close when ``ratio`` is above its limit, when BLEU is above its limit, or when Jaccard is
    and the ratio says that the order is the same too (above ``min_order``): a reordered sentence is a paraphrase.
    """

    name = "closeness"
    roles = BOTH_ROLES

    def __init__(self, config: ClosenessCheck) -> None:
        self._config = config

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``ratio``, ``jaccard``, ``word_edits`` and ``self_bleu``."""
        return [self._verdict(candidate) for candidate in candidates]

    def _verdict(self, candidate: Candidate) -> Verdict:
        caption, text = words(candidate.caption.text), words(candidate.text)
        ours, theirs = set(text), set(caption)
        scores = {
            "ratio": ratio(" ".join(caption)[:_LONGEST], " ".join(text)[:_LONGEST]) / 100,
            "jaccard": len(ours & theirs) / max(1, len(ours | theirs)),
            "word_edits": float(Levenshtein.distance(caption[:_LONGEST], text[:_LONGEST])),
            "self_bleu": self._bleu.sentence_score(" ".join(text), [" ".join(caption)]).score,
        }
        if caption == text:
            return Verdict("copy", scores)
        return Verdict(self._far(scores) if candidate.role == "foil" else self._close(scores), scores)

    def _close(self, scores: dict[str, float]) -> str:
        limits = self._config
        if scores["ratio"] > limits.max_ratio:
            return f"too close: ratio {scores['ratio']:.2f}"
        if scores["self_bleu"] > limits.max_bleu:
            return f"too close: BLEU {scores['self_bleu']:.0f}"
        if scores["jaccard"] > limits.max_jaccard and scores["ratio"] > limits.min_order:
            return f"too close: Jaccard {scores['jaccard']:.2f}"
        return ""

    def _far(self, scores: dict[str, float]) -> str:
        low = scores["ratio"] < self._config.foil_min_ratio
        return f"too far for a foil: ratio {scores['ratio']:.2f}" if low else ""

    @cached_property
    def _bleu(self) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(tokenize="none", effective_order=True)


def copies(a: str, b: str) -> bool:
    """Whether two texts are the same once case, punctuation and spaces are set aside."""
    return comparable(a) == comparable(b)
