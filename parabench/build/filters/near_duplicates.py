"""An index of sentences that finds those whose sets of words have a Jaccard similarity above a threshold.

MinHash (Broder 1997) with locality-sensitive banding proposes, exact Jaccard decides: nothing below the threshold
is ever returned, and what is above is found with a probability of at least :data:`RECALL`.  ``rensa`` was chosen
by measurement (scripts/bench_dedup.py, docs/filters.md).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, count
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rensa import RMinHash, RMinHashDigestMatrix, RMinHashLSH

RECALL = 0.97
"""The least probability of finding a sentence whose similarity is exactly the threshold; it rises steeply above."""

_BANDS = 30
_MOST_ROWS_A_BAND = 24
_SEED = 42
_COMPARED_AT_A_TIME = 1 << 21
_NOT_STORED, _NOT_ASKED = 0xFFFFFFFF, 0xFFFFFFFE


class Matches(NamedTuple):
    """Pairs that are similar enough, ordered by query and row.

    Attributes:
        query: ``(n,)`` int64, position among the sentences asked for.
        row: ``(n,)`` int64, the stored sentence.
        jaccard: ``(n,)`` float64 in [min_jaccard, 1].
    """

    query: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    jaccard: npt.NDArray[np.float64]


class NearDuplicateIndex:
    """Sentences by their sets of words.

    Memory: 4 bytes a distinct word of a sentence, its LSH entries (30 a sentence), and the vocabulary once.

    Args:
        min_jaccard: in (0, 1].
    """

    def __init__(self, min_jaccard: float) -> None:
        self.min_jaccard = min_jaccard
        self._permutations = _BANDS * _rows_a_band(min_jaccard)
        self._lsh = RMinHashLSH(threshold=min_jaccard, num_perm=self._permutations, num_bands=_BANDS)
        self._vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
        self._words = np.empty(1 << 12, np.uint32)
        self._starts = np.zeros(1 << 10, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, sentences: Sequence[Sequence[str]]) -> Matches:
        """Store sentences (each a sequence of words) as the next rows, and match each with the rows before it."""
        first = self._count
        distinct = [list(dict.fromkeys(sentence)) for sentence in sentences]
        proposed = self._lsh.insert_matrix_and_query_duplicate_flags(self._sketch(distinct), first)
        self._store(distinct)
        return self._match(distinct, np.flatnonzero(proposed), first)

    def insert(self, sentences: Sequence[Sequence[str]]) -> None:
        """Store sentences as the next rows without matching them."""
        distinct = [list(dict.fromkeys(sentence)) for sentence in sentences]
        self._lsh.insert_matrix(self._sketch(distinct), self._count)
        self._store(distinct)

    def search(self, sentences: Sequence[Sequence[str]]) -> Matches:
        """Match sentences with all rows, storing nothing."""
        distinct = [list(dict.fromkeys(sentence)) for sentence in sentences]
        return self._match(distinct, np.arange(len(distinct)), None)

    def forget(self, row: int) -> None:
        """Never match this row again."""
        self._lsh.remove(row)

    def words(self, row: int) -> npt.NDArray[np.uint32]:
        """The distinct words of a row, in the order in which they came, as numbers of the vocabulary."""
        return self._words[self._starts[row] : self._starts[row + 1]]

    def _sketch(self, distinct: list[list[str]]) -> RMinHashDigestMatrix:
        return RMinHash.digest_matrix_from_token_sets(distinct, self._permutations, _SEED)

    def _store(self, distinct: list[list[str]]) -> None:
        sizes = np.fromiter(map(len, distinct), np.int64, len(distinct))
        start, stop = int(self._starts[self._count]), int(self._starts[self._count] + sizes.sum())
        self._words = _grown(self._words, stop)
        self._words[start:stop] = np.fromiter(map(self._vocabulary.__getitem__, chain.from_iterable(distinct)), np.uint32, stop - start)
        self._starts = _grown(self._starts, self._count + len(distinct) + 1)
        self._starts[self._count + 1 : self._count + len(distinct) + 1] = start + np.cumsum(sizes)
        self._count += len(distinct)

    def _match(self, sentences: list[list[str]], asked: npt.NDArray[np.int64], first: int | None) -> Matches:
        """Match the sentences ``asked`` for; rows from ``first`` on are these sentences themselves."""
        sketches = RMinHash.from_token_sets([sentences[position] for position in asked], self._permutations, _SEED)
        found = self._lsh.query_all(sketches)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        query = np.repeat(asked, counts)
        row = np.fromiter(chain.from_iterable(found), np.int64, int(counts.sum()))
        sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
        ours, theirs = sizes[query], self._starts[row + 1] - self._starts[row]
        possible = np.minimum(ours, theirs) >= self.min_jaccard * np.maximum(ours, theirs)
        possible &= ours > 0
        if first is not None:
            possible &= row < first + query
        query, row, ours, theirs = query[possible], row[possible], ours[possible], theirs[possible]
        shared = self._shared(sentences, query, row, ours, theirs)
        jaccard = shared / np.maximum(1, ours + theirs - shared)
        similar = jaccard >= self.min_jaccard - 1e-12
        query, row, jaccard = query[similar], row[similar], jaccard[similar]
        order = np.lexsort((row, query))
        return Matches(query[order], row[order], jaccard[order])

    def _shared(
        self,
        sentences: list[list[str]],
        query: npt.NDArray[np.int64],
        row: npt.NDArray[np.int64],
        ours: npt.NDArray[np.int64],
        theirs: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """How many words each pair shares, ``(n,)``; long sentences are compared few at a time."""
        shared = np.zeros(len(query), np.int64)
        if not len(query):
            return shared
        asked = self._padded(sentences, query)
        order = np.argsort(np.maximum(ours, theirs), kind="stable")
        at = 0
        while at < len(order):
            widest = int(max(ours[order[at]], theirs[order[at]]))
            part = order[at : at + max(1, _COMPARED_AT_A_TIME // (2 * widest) ** 2)]
            width = int(max(ours[part].max(), theirs[part].max()))
            if width > 2 * widest:  # sorted by width, so the rest of this part comes in the next round
                part = part[np.maximum(ours[part], theirs[part]) <= 2 * widest]
                width = 2 * widest
            left = asked[query[part]][:, :width] if asked.shape[1] > width else asked[query[part]]
            columns = np.arange(int(theirs[part].max()))
            inside = columns < theirs[part][:, None]
            right = np.where(inside, self._words[np.where(inside, self._starts[row[part]][:, None] + columns, 0)], np.uint32(_NOT_ASKED))
            shared[part] = (left[:, :, None] == right[:, None, :]).sum((1, 2))
            at += len(part)
        return shared

    def _padded(self, sentences: list[list[str]], query: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        used = np.unique(query)
        width = max(len(sentences[position]) for position in used)
        padded = np.full((len(sentences), width), _NOT_STORED, np.uint32)
        for position in used:
            sentence = sentences[position]
            padded[position, : len(sentence)] = [self._vocabulary.get(word, _NOT_STORED) for word in sentence]
        return padded


def _grown(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """The array with room for ``length`` items: doubled, so that growing costs little."""
    return array if length <= len(array) else np.resize(array, max(length, 2 * len(array)))


def _rows_a_band(min_jaccard: float) -> int:
    """The most rows a band with which :data:`_BANDS` bands still find a pair at the threshold with :data:`RECALL`.

    A pair of similarity s agrees in one of b bands of r rows with probability 1 − (1 − s^r)^b.
    """
    if min_jaccard >= 1:
        return _MOST_ROWS_A_BAND
    a_band = 1 - (1 - RECALL) ** (1 / _BANDS)
    return max(1, min(_MOST_ROWS_A_BAND, math.floor(math.log(a_band) / math.log(min_jaccard))))
