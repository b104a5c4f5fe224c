"""Duplicates within the set: the same or nearly the same sentence twice, of which the first in order stays.

What is compared with what: a candidate with the earlier candidates *of its own role* that reached this check and
were kept.  Its words are compared, so case, punctuation and spaces make no difference.

* The same words in the same order are a ``duplicate``, whichever captions the two rewrite: one query can't have two
  right answers, and twice the same row counts double.
* Paraphrases of two captions whose sets of words have a Jaccard similarity of at least ``min_jaccard`` are a
  ``near-duplicate``.  Foils are not: two captions may well be falsified in nearly the same words.
* Two sentences of one caption share most words by design, and a reordered one is a paraphrase in its own right:
  they are near-duplicates only when the sequences are alike too (``same_caption_min_ratio``).
* A foil that says what a kept paraphrase of its caption says (or the other way round) is a ``contradiction``.

``semantic_duplicates`` compares meanings instead of words, and only those of two captions.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from rapidfuzz.distance import Indel

from parabench.build.candidates import Candidate, Role
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import DuplicatesCheck
from parabench.build.filters.near_duplicates import NearDuplicateIndex
from parabench.build.filters.text import words_of_each

_DROPPED = None
_NOTHING_LIKE_IT = Verdict("", {"duplicate_jaccard": 0.0})


class _Kept:
    """What is known of the candidates of one role, by row of the index.

    Texts and caption ids are kept as Python's 64-bit salted hashes: of a million, the chance that any two fall
    together is 3e-8, and nobody can choose texts that do.
    """

    def __init__(self, min_jaccard: float) -> None:
        self.index = NearDuplicateIndex(min_jaccard)
        self.pair_ids: list[str | None] = []
        self.captions = array("q")
        self.exact: dict[int, int] = {}


class Duplicates:
    """Exact and near-duplicates by words; see the module for what is compared and what stays.

    Memory grows with the candidates that were kept: their signatures, word numbers and ids, not their texts.
    """

    name = "duplicates"
    roles = BOTH_ROLES

    def __init__(self, config: DuplicatesCheck) -> None:
        self._config = config
        paraphrases, foils = _Kept(config.min_jaccard), _Kept(config.min_jaccard)
        self._kept: dict[Role, tuple[_Kept, _Kept]] = {"paraphrase": (paraphrases, foils), "foil": (foils, paraphrases)}

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``duplicate_jaccard``: the highest similarity to an earlier one if it reaches ``min_jaccard``, else 0."""
        sentences = words_of_each([candidate.text for candidate in candidates])
        verdicts = [_NOTHING_LIKE_IT] * len(candidates)
        rows, matches = self._store(candidates, sentences)
        for i, (candidate, row, exact) in enumerate(zip(candidates, rows, map(hash, sentences), strict=True)):
            kept, others = self._kept[candidate.role]
            if i in matches or exact in kept.exact or exact in others.exact:
                verdicts[i] = self._verdict(candidate.role, row, exact, matches.get(i, []))
                if verdicts[i].reason:
                    kept.index.forget(row)
                    kept.pair_ids[row] = _DROPPED
                    continue
            kept.exact[exact] = row
        return verdicts

    def _store(
        self, candidates: Sequence[Candidate], sentences: Sequence[tuple[str, ...]]
    ) -> tuple[list[int], dict[int, list[tuple[int, float]]]]:
        """Each candidate's row in the index of its role, and by candidate the earlier rows that are similar."""
        rows = [0] * len(candidates)
        matches: dict[int, list[tuple[int, float]]] = {}
        for role, (kept, _) in self._kept.items():
            own = [i for i, candidate in enumerate(candidates) if candidate.role == role]
            if not own:
                continue
            for row, i in enumerate(own, len(kept.index)):
                rows[i] = row
            found = kept.index.add([sentences[i] for i in own])
            for query, row, jaccard in zip(*(column.tolist() for column in found), strict=True):
                matches.setdefault(own[query], []).append((row, jaccard))
            kept.pair_ids += [candidates[i].pair_id for i in own]
            kept.captions.extend([hash(candidates[i].caption.caption_id) for i in own])
        return rows, matches

    def _verdict(self, role: Role, row: int, exact: int, proposed: list[tuple[int, float]]) -> Verdict:
        kept, others = self._kept[role]
        matches = [(other, jaccard) for other, jaccard in proposed if kept.pair_ids[other] is not _DROPPED]
        highest = max((jaccard for _, jaccard in matches), default=0.0)
        reason = ""
        if exact in kept.exact:
            reason, highest = f"duplicate: of {kept.pair_ids[kept.exact[exact]]}", 1.0
        elif exact in others.exact and others.captions[others.exact[exact]] == kept.captions[row]:
            reason = f"contradiction: the same sentence is a {'foil' if role == 'paraphrase' else 'paraphrase'} of the caption"
        elif role == "paraphrase":
            for other, jaccard in matches:
                if kept.captions[other] != kept.captions[row] or self._in_order(kept, row, other):
                    reason = f"near-duplicate: of {kept.pair_ids[other]} (Jaccard {jaccard:.2f})"
                    break
        return Verdict(reason, {"duplicate_jaccard": highest})

    def _in_order(self, kept: _Kept, row: int, other: int) -> bool:
        ours, theirs = kept.index.words(row).tolist(), kept.index.words(other).tolist()
        return Indel.normalized_similarity(ours, theirs) >= self._config.same_caption_min_ratio
