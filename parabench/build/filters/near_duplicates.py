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

RECALL = 0.94
"""The least probability of finding a sentence whose similarity is exactly the threshold; it rises steeply above:
at a threshold of 0.7 it is 0.987 for 0.75, and 0.998 for 0.8."""

_BANDS = 16
_MOST_ROWS_A_BAND = 24
_SEED = 42
_COMPARED_AT_A_TIME = 1 << 21
_NARROW = 32
_UNKNOWN, _NOTHING = 0xFFFFFFFE, 0xFFFFFFFF


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

    Memory: 4 bytes a word of a sentence, its LSH entries (16 a sentence), and the vocabulary once.

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
        proposed = self._lsh.insert_matrix_and_query_duplicate_flags(self._sketch(sentences), first)
        self._store(sentences)
        return self._match(sentences, np.flatnonzero(proposed), first)

    def insert(self, sentences: Sequence[Sequence[str]]) -> None:
        """Store sentences as the next rows without matching them."""
        self._lsh.insert_matrix(self._sketch(sentences), self._count)
        self._store(sentences)

    def search(self, sentences: Sequence[Sequence[str]]) -> Matches:
        """Match sentences with all rows, storing nothing."""
        return self._match(sentences, np.arange(len(sentences)), None)

    def forget(self, row: int) -> None:
        """Never match this row again."""
        self._lsh.remove(row)

    def words(self, row: int) -> npt.NDArray[np.uint32]:
        """The words of a row in their order, as numbers of the vocabulary."""
        return self._words[self._starts[row] : self._starts[row + 1]]

    def _sketch(self, sentences: Sequence[Sequence[str]]) -> RMinHashDigestMatrix:
        return RMinHash.digest_matrix_from_token_sets(sentences, self._permutations, _SEED)

    def _store(self, sentences: Sequence[Sequence[str]]) -> None:
        sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
        start, stop = int(self._starts[self._count]), int(self._starts[self._count] + sizes.sum())
        self._words = _grown(self._words, stop)
        self._words[start:stop] = np.fromiter(map(self._vocabulary.__getitem__, chain.from_iterable(sentences)), np.uint32, stop - start)
        self._starts = _grown(self._starts, self._count + len(sentences) + 1)
        self._starts[self._count + 1 : self._count + len(sentences) + 1] = start + np.cumsum(sizes)
        self._count += len(sentences)

    def _match(self, sentences: Sequence[Sequence[str]], asked: npt.NDArray[np.int64], first: int | None) -> Matches:
        """Match the sentences ``asked`` for; rows from ``first`` on are these sentences themselves."""
        sketches = RMinHash.from_token_sets([sentences[position] for position in asked], self._permutations, _SEED)
        found = self._lsh.query_all(sketches)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        query = np.repeat(asked, counts)
        row = np.fromiter(chain.from_iterable(found), np.int64, int(counts.sum()))
        if first is not None:
            earlier = row < first + query
            query, row = query[earlier], row[earlier]
        jaccard = self._jaccard(sentences, query, row, first)
        similar = jaccard >= self.min_jaccard - 1e-12
        query, row, jaccard = query[similar], row[similar], jaccard[similar]
        order = np.lexsort((row, query))
        return Matches(query[order], row[order], jaccard[order])

    def _jaccard(
        self, sentences: Sequence[Sequence[str]], query: npt.NDArray[np.int64], row: npt.NDArray[np.int64], first: int | None
    ) -> npt.NDArray[np.float64]:
        """Exact similarity of each pair, ``(n,)``; short sentences are compared many at a time, long ones few."""
        result = np.zeros(len(query))
        used, position = np.unique(query, return_inverse=True)
        distinct = [dict.fromkeys(sentences[at]) for at in used]
        ours = np.fromiter(map(len, distinct), np.int64, len(distinct))[position]
        stored = self._starts[row + 1] - self._starts[row]
        width = np.maximum(ours, stored)
        # A row has at most its stored length of distinct words, so a short one can't be similar to a long sentence.
        order = np.argsort(width, kind="stable")
        order = order[(ours[order] > 0) & (stored[order] >= self.min_jaccard * ours[order])]
        at = 0
        while at < len(order):
            widest = max(_NARROW, 2 * int(width[order[at]]))
            part = order[at : at + max(1, _COMPARED_AT_A_TIME // widest**2)]
            part = part[: np.searchsorted(width[part], widest, "right")]
            own = None if first is None else first + query[part]
            if own is not None and (self._starts[own + 1] - self._starts[own]).max() <= _NARROW:  # stored by now
                left = self._rows(own)
                left[left == _NOTHING] = _UNKNOWN
            else:
                left = np.full((len(part), int(ours[part].max())), _UNKNOWN, np.uint32)
                for line, pair in enumerate(part):
                    left[line, : ours[pair]] = [self._vocabulary.get(word, _UNKNOWN) for word in distinct[position[pair]]]
            right = self._rows(row[part])
            shared = (left[:, :, None] == right[:, None, :]).sum((1, 2))
            theirs = (right != _NOTHING).sum(1)
            result[part] = shared / np.maximum(1, ours[part] + theirs - shared)
            at += len(part)
        return result

    def _rows(self, row: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """The distinct words of rows, ``(n, longest)``, the rest filled with :data:`_NOTHING`."""
        stored = self._starts[row + 1] - self._starts[row]
        columns = np.arange(int(stored.max()))
        inside = columns < stored[:, None]
        words = np.where(inside, self._words[np.where(inside, self._starts[row][:, None] + columns, 0)], np.uint32(_NOTHING))
        words.sort(axis=1)
        words[:, 1:][words[:, 1:] == words[:, :-1]] = _NOTHING
        return words


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
