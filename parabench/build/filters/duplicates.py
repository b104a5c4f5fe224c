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

import hashlib
from collections.abc import Sequence

from rapidfuzz.distance import Indel

from parabench.build.candidates import Candidate, Role
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import DuplicatesCheck
from parabench.build.filters.near_duplicates import NearDuplicateIndex
from parabench.build.filters.text import words


def _key(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).digest(), "little")


class _Kept:
    """What is known of the candidates of one role, by row of the index."""

    def __init__(self, min_jaccard: float) -> None:
        self.index = NearDuplicateIndex(min_jaccard)
        self.pair_ids: list[str] = []
        self.captions: list[int] = []
        self.exact: dict[int, int] = {}


class Duplicates:
    """Exact and near-duplicates by words; see the module for what is compared and what stays.

    Memory grows with the candidates that were kept: their signatures, word numbers and ids, not their texts.
    """

    name = "duplicates"
    roles = BOTH_ROLES

    def __init__(self, config: DuplicatesCheck) -> None:
        self._config = config
        self._kept: dict[Role, _Kept] = {role: _Kept(config.min_jaccard) for role in ("paraphrase", "foil")}
        self._said: dict[int, Role] = {}

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``duplicate_jaccard``: the highest similarity to an earlier one if it reaches ``min_jaccard``, else 0."""
        found: dict[int, list[tuple[int, float]]] = {}
        rows: dict[int, int] = {}
        for role, kept in self._kept.items():
            own = [i for i, candidate in enumerate(candidates) if candidate.role == role]
            first = len(kept.index)
            matches = kept.index.add([words(candidates[i].text) for i in own])
            rows |= {i: first + at for at, i in enumerate(own)}
            kept.pair_ids += [candidates[i].pair_id for i in own]
            kept.captions += [_key(candidates[i].caption.caption_id) for i in own]
            for query, row, jaccard in zip(*(column.tolist() for column in matches), strict=True):
                found.setdefault(own[query], []).append((row, jaccard))
        dropped: set[tuple[Role, int]] = set()
        return [self._verdict(c, rows[i], found.get(i, []), dropped) for i, c in enumerate(candidates)]

    def _verdict(
        self, candidate: Candidate, row: int, matches: list[tuple[int, float]], dropped: set[tuple[Role, int]]
    ) -> Verdict:
        kept, role = self._kept[candidate.role], candidate.role
        text = " ".join(words(candidate.text))
        exact, said = _key(text), _key(candidate.caption.caption_id, text)
        live = [match for match in matches if (role, match[0]) not in dropped]
        scores = {"duplicate_jaccard": max((jaccard for _, jaccard in live), default=0.0)}
        reason = ""
        if exact in kept.exact:
            reason = f"duplicate: of {kept.pair_ids[kept.exact[exact]]}"
            scores["duplicate_jaccard"] = 1.0
        elif self._said.get(said, role) != role:
            reason = f"contradiction: the same sentence is a {self._said[said]} of the caption"
        else:
            for other, jaccard in live if role == "paraphrase" else []:
                if kept.captions[other] != kept.captions[row] or self._in_order(kept, row, other):
                    reason = f"near-duplicate: of {kept.pair_ids[other]} (Jaccard {jaccard:.2f})"
                    break
        if reason:
            dropped.add((role, row))
            kept.index.forget(row)
            kept.pair_ids[row] = ""
        else:
            kept.exact[exact] = row
            self._said[said] = role
        return Verdict(reason, scores)

    def _in_order(self, kept: _Kept, row: int, other: int) -> bool:
        ours, theirs = kept.index.words(row).tolist(), kept.index.words(other).tolist()
        return Indel.normalized_similarity(ours, theirs) >= self._config.same_caption_min_ratio
