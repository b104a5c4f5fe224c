"""Paraphrases of two captions that mean the same, by the sentence encoder of ``semantic``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parabench.build.candidates import Candidate
from parabench.build.filters.base import PARAPHRASES, Verdict
from parabench.build.filters.config import SemanticDuplicatesCheck
from parabench.build.filters.semantic import SentenceVectors


class SemanticDuplicates:
    """Drops a paraphrase when an earlier one that was kept, of another caption, has nearly its vector.

    Paraphrases of one caption mean the same by design and are not compared.

    Memory: one float32 vector a kept candidate.
    """

    name = "semantic_duplicates"
    roles = PARAPHRASES

    def __init__(self, config: SemanticDuplicatesCheck, vectors: SentenceVectors) -> None:
        self._config, self._vectors = config, vectors
        self._captions: list[str] = []
        self._pair_ids: list[str] = []
        self._index: Any = None

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``duplicate_similarity``: the highest cosine to a kept one of another caption if it reaches the limit, else 0."""
        import faiss

        vectors = self._vectors.encode([candidate.text for candidate in candidates])
        if self._index is None:
            self._index = faiss.IndexFlatIP(vectors.shape[1])
        index = self._index
        captions = [candidate.caption.caption_id for candidate in candidates]
        limits, similarity, row = index.range_search(vectors, self._config.min_similarity)
        within = vectors @ vectors.T
        verdicts: list[Verdict] = []
        kept: list[int] = []
        for i in range(len(candidates)):
            earlier = [
                (float(similarity[at]), self._pair_ids[row[at]])
                for at in range(limits[i], limits[i + 1]) if self._captions[row[at]] != captions[i]
            ] + [
                (float(within[i, j]), candidates[j].pair_id)
                for j in kept if captions[j] != captions[i] and within[i, j] > self._config.min_similarity
            ]  # fmt: skip
            score, pair_id = max(earlier, default=(0.0, ""))
            verdicts.append(
                Verdict(f"means the same: as {pair_id} ({score:.3f})" if earlier else "", {"duplicate_similarity": score})
            )
            if not earlier:
                kept.append(i)
        index.add(vectors[kept])
        self._captions += [captions[i] for i in kept]
        self._pair_ids += [candidates[i].pair_id for i in kept]
        return verdicts
