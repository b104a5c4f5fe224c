"""An index of sentences that finds those whose sets of words have a Jaccard similarity above a threshold.

MinHash (Broder 1997) with locality-sensitive banding proposes, exact Jaccard decides: nothing below the threshold
is ever returned, and what is above is found with a probability of at least :data:`RECALL`.  ``rensa`` was chosen
by measurement (scripts/bench_dedup.py, docs/filters.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
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

    Memory: 8 bytes a word of a sentence, 8 for its mark, and its LSH entries (16 a sentence).

    Args:
        min_jaccard: in (0, 1].
    """

    def __init__(self, min_jaccard: float) -> None:
        self.min_jaccard = min_jaccard
        self._permutations = _BANDS * _rows_a_band(min_jaccard)
        self._lsh = RMinHashLSH(threshold=min_jaccard, num_perm=self._permutations, num_bands=_BANDS)
        self._stored = _Sentences()

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, sentences: Sequence[Sequence[str]]) -> Matches:
        """Store sentences (each a sequence of words) as the next rows, and match each with the rows before it."""
        first = len(self)
        proposed = np.flatnonzero(self._lsh.insert_matrix_and_query_duplicate_flags(self._sketch(sentences), first))
        self._stored.append(sentences)
        query, row = self._proposals(sentences, proposed)
        earlier = row < first + query
        query, row = query[earlier], row[earlier]
        return self._similar(query, row, self._stored, first + query)

    def insert(self, sentences: Sequence[Sequence[str]]) -> None:
        """Store sentences as the next rows without matching them."""
        self._lsh.insert_matrix(self._sketch(sentences), len(self))
        self._stored.append(sentences)

    def search(self, sentences: Sequence[Sequence[str]]) -> Matches:
        """Match sentences with all rows, storing nothing."""
        asked = _Sentences()
        asked.append(sentences)
        query, row = self._proposals(sentences, np.arange(len(sentences)))
        return self._similar(query, row, asked, query)

    def forget(self, row: int) -> None:
        """Never match this row again."""
        self._lsh.remove(row)

    def words(self, row: int) -> npt.NDArray[np.int64]:
        """The words of a row in their order, each as its hash."""
        return self._stored.words(row)

    def _sketch(self, sentences: Sequence[Sequence[str]]) -> RMinHashDigestMatrix:
        return RMinHash.digest_matrix_from_token_sets(sentences, self._permutations, _SEED)

    def _proposals(self, sentences: Sequence[Sequence[str]], asked: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which rows share a band with which of the sentences ``asked`` for: two aligned columns."""
        sketches = RMinHash.from_token_sets([sentences[position] for position in asked], self._permutations, _SEED)
        found = self._lsh.query_all(sketches)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        return np.repeat(asked, counts), np.fromiter(chain.from_iterable(found), np.int64, int(counts.sum()))

    def _similar(self, query: npt.NDArray[np.int64], row: npt.NDArray[np.int64], asked: _Sentences, at: npt.NDArray[np.int64]) -> Matches:
        """Those of the proposals (of which ``at`` are the places in ``asked``) that are similar enough."""
        least = self.min_jaccard - 1e-12
        possible = np.flatnonzero(_bound(asked, at, self._stored, row) >= least)
        jaccard = _jaccard(asked, at[possible], self._stored, row[possible])
        similar = jaccard >= least
        query, row, jaccard = query[possible][similar], row[possible][similar], jaccard[similar]
        order = np.lexsort((row, query))
        return Matches(query[order], row[order], jaccard[order])


class _Sentences:
    """Sentences of any length in flat arrays.

    A word is Python's 64-bit salted hash of it: in ten million compared pairs, the chance that any two words fall
    together is 1e-10, and nobody can choose words that do.  The mark of a sentence is a set of 64 bits, one of them for
    each of its words.
    """

    def __init__(self) -> None:
        self._count = 0
        self._words = np.empty(1 << 12, np.int64)
        self._starts = np.zeros(1 << 10, np.int64)
        self._marks = np.zeros(1 << 10, np.uint64)

    def __len__(self) -> int:
        return self._count

    def append(self, sentences: Sequence[Sequence[str]]) -> None:
        sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
        starts = int(self._starts[self._count]) + np.concatenate(([0], np.cumsum(sizes)))
        words = np.fromiter(map(hash, chain.from_iterable(sentences)), np.int64, int(sizes.sum()))
        marks = np.zeros(len(sentences), np.uint64)
        if len(words):
            bits = np.left_shift(np.uint64(1), words.view(np.uint64) >> np.uint64(58))
            marks[sizes > 0] = np.bitwise_or.reduceat(bits, (starts[:-1] - starts[0])[sizes > 0])
        self._words = _written(self._words, int(starts[0]), words)
        self._starts = _written(self._starts, self._count, starts)
        self._marks = _written(self._marks, self._count, marks)
        self._count += len(sentences)

    def words(self, row: int) -> npt.NDArray[np.int64]:
        return self._words[self._starts[row] : self._starts[row + 1]]

    def sizes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Words of each, repeated ones counted again, ``(n,)``."""
        return self._starts[rows + 1] - self._starts[rows]

    def marks(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        return self._marks[rows]

    def sets(self, rows: npt.NDArray[np.int64]) -> list[set[int]]:
        """The distinct words of each; equal rows share one set."""
        made = {row: set(self.words(row).tolist()) for row in np.unique(rows).tolist()}
        return [made[row] for row in rows.tolist()]


def _bound(left: _Sentences, at: npt.NDArray[np.int64], right: _Sentences, row: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What the Jaccard similarity of each pair is at most, ``(n,)``; 0 where one has no words.

    A bit that only one of two marks has stands for at least one word that only that sentence has.
    """
    ours, theirs = left.marks(at), right.marks(row)
    only_ours, only_theirs = (np.bitwise_count(mine & ~others).astype(np.int64) for mine, others in ((ours, theirs), (theirs, ours)))
    shared = np.minimum(left.sizes(at) - only_ours, right.sizes(row) - only_theirs)
    bound: npt.NDArray[np.float64] = shared / np.maximum(1, shared + only_ours + only_theirs)
    return bound


def _jaccard(left: _Sentences, at: npt.NDArray[np.int64], right: _Sentences, row: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Exact similarity of each pair, ``(n,)``; 0 where both have no words."""
    ours, theirs = left.sets(at), right.sets(row)
    shared = np.fromiter((len(a & b) for a, b in zip(ours, theirs, strict=True)), np.int64, len(at))
    sizes = np.fromiter((len(a) + len(b) for a, b in zip(ours, theirs, strict=True)), np.int64, len(at))
    jaccard: npt.NDArray[np.float64] = shared / np.maximum(1, sizes - shared)
    return jaccard


def _written(array: npt.NDArray[Any], at: int, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array with these values from ``at`` on, doubled where it has no room for them."""
    if at + len(values) > len(array):
        held, array = array, np.empty(max(at + len(values), 2 * len(array)), array.dtype)
        array[:at] = held[:at]
    array[at : at + len(values)] = values
    return array


def _rows_a_band(min_jaccard: float) -> int:
    """The most rows a band with which :data:`_BANDS` bands still find a pair at the threshold with :data:`RECALL`.

    A pair of similarity s agrees in one of b bands of r rows with probability 1 − (1 − s^r)^b.
    """
    if min_jaccard >= 1:
        return _MOST_ROWS_A_BAND
    a_band = 1 - (1 - RECALL) ** (1 / _BANDS)
    return max(1, min(_MOST_ROWS_A_BAND, math.floor(math.log(a_band) / math.log(min_jaccard))))
