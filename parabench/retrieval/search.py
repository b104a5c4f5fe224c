"""Exact search with one order for everybody: score descending, then gallery order.

FAISS finds the candidates; their scores are then computed one by one in a fixed order of summation, so
that neither the batch size, nor the depth asked for, nor a picture that stands twice in the gallery can
change a ranking.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.protocol import FloatMatrix
from parabench.errors import UsageError

Positions = NDArray[np.int32]

_BLOCK_BYTES = 64 << 20
_BLOCK_QUERIES = 1024  # FAISS multiplies matrices from 20 queries on, and well from hundreds
_CACHED_BYTES = 4 << 20  # float64 candidates that stay in the processor's cache
_MARGIN = 16


def exact_scores(
    queries: FloatMatrix, vectors: FloatMatrix | NDArray[np.float64], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Inner products ``(q, c)`` of queries ``(q, d)`` with the rows ``candidates`` ``(q, c)`` of ``vectors`` ``(n, d)``.

    Summed in float64 in a fixed order and rounded to float32 once: the same two vectors always give the
    same score.
    """
    scores = np.empty(candidates.shape, np.float32)
    step = max(1, _CACHED_BYTES // (8 * vectors.shape[1] * max(1, candidates.shape[1])))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        wide = vectors[candidates[block]].astype(np.float64, copy=False)
        scores[block] = np.einsum("qcd,qd->qc", wide, queries[block].astype(np.float64))
    return scores


class GalleryIndex:
    """A gallery that can be searched.

    Args:
        embeddings: ``(n, d)`` float32 unit vectors in gallery order.
    """

    def __init__(self, embeddings: FloatMatrix) -> None:
        embeddings = np.ascontiguousarray(embeddings, np.float32)
        self.size, self.dim = embeddings.shape
        # Identical vectors are searched once and expanded in gallery order: their tie is exact by construction.
        rows = embeddings.view(np.dtype((np.void, embeddings.dtype.itemsize * self.dim))).ravel()
        _, first, group = np.unique(rows, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self._group = np.argsort(order)[group]
        self._distinct = embeddings[first[order]]
        members = np.argsort(self._group, kind="stable")
        self._members = np.split(members, np.cumsum(np.bincount(self._group))[:-1])
        self._largest_group = max(len(member) for member in self._members)
        small = 8 * self._distinct.size <= _BLOCK_BYTES
        self._exact = self._distinct.astype(np.float64) if small else self._distinct  # widened once or a candidate at a time
        self._index: Any = None

    def search(
        self, queries: FloatMatrix, k: int, *, own: tuple[NDArray[np.int64], FloatMatrix] | None = None
    ) -> tuple[Positions, NDArray[np.float32]]:
        """The top ``k`` of every query: positions ``(q, k)`` int32 and scores ``(q, k)`` float32.

        Args:
            queries: ``(q, d)`` float32 unit vectors.
            k: depth; the result for k is a prefix of the result for any larger one.
            own: for a caption gallery: each query's own picture ``(q,)`` and the vector ``(q, d)`` that
                stands for it in this query (the mean of its captions without the query's own).

        Raises:
            UsageError: ``k`` is larger than the gallery.
        """
        if not 1 <= k <= self.size:
            raise UsageError(
                f"k={k} is larger than the gallery of {self.size} pictures" if k > 0 else f"k={k} is not positive",
                f"choose k ≤ {self.size}",
            )
        if own is None and len(queries) > 1:  # captions often serve as paraphrases of each other: search each once
            row_of: dict[bytes, int] = {}
            inverse = [row_of.setdefault(query.tobytes(), len(row_of)) for query in queries]
            if len(row_of) < len(queries):
                first = np.unique(inverse, return_index=True)[1]
                once, once_scores = self.search(queries[first], k)
                return once[inverse], once_scores[inverse]
        positions = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        deeper = min(k + (own is not None), self.size)
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = slice(start, start + _BLOCK_QUERIES)
            found, found_scores = self._top(queries[block], deeper)
            if own is not None:
                found, found_scores = replace_own(queries[block], found, found_scores, own[0][block], own[1][block])
            positions[block], scores[block] = found[:, :k], found_scores[:, :k]
        return positions, scores

    def ranks(
        self, queries: FloatMatrix, targets: NDArray[np.int64], *, own_vectors: FloatMatrix | None = None
    ) -> NDArray[np.int64]:
        """1-based rank ``(q,)`` of each query's target over the whole gallery, in the same order as :meth:`search`."""
        ranks = np.empty(len(queries), np.int64)
        wide = self._exact.astype(np.float64, copy=False)
        places = np.arange(self.size)
        for start in range(0, len(queries), step := max(1, _BLOCK_BYTES // (16 * self.size))):
            block = slice(start, start + step)
            part, target = queries[block], targets[block]
            scores = (part.astype(np.float64) @ wide.T).astype(np.float32)[:, self._group]
            own = np.arange(len(target))
            if own_vectors is not None:
                scores[own, target] = exact_scores(part, own_vectors[block], own[:, None])[:, 0]
            mark = scores[own, target][:, None]
            ahead = (scores > mark) | ((scores == mark) & (places < target[:, None]))
            ranks[block] = ahead.sum(axis=1) + 1
        return ranks

    def _top(self, queries: FloatMatrix, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        count = len(self._distinct)
        positions = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        pending = np.arange(len(queries))
        width = min(k + _MARGIN, count)
        while len(pending):
            part = np.ascontiguousarray(queries[pending], np.float32)
            rough, candidates = self._faiss().search(part, width)
            candidates = np.sort(candidates, axis=1)  # gallery order, so a stable sort by score breaks ties by it
            exact = exact_scores(part, self._exact, candidates)
            order = np.argsort(-exact, axis=1, kind="stable")
            exact = np.take_along_axis(exact, order, 1)
            candidates = np.take_along_axis(candidates, order, 1)
            # FAISS's own rounding must not be able to hide an item that belongs above the cut.
            slack = 4e-6 * max(1.0, (self.dim / 512) ** 0.5)
            cut = exact[:, min(k, width) - 1]
            sure = np.full(len(part), width == count) | (rough[:, -1] + slack < cut)
            if sure.any():
                rows = pending[sure]
                positions[rows], scores[rows] = self._expand(candidates[sure], exact[sure], k)
            pending = pending[~sure]
            width = min(width * 4, count)
        return positions, scores

    def _expand(
        self, candidates: NDArray[np.int64], scores: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Distinct vectors → gallery positions, ties in gallery order across groups."""
        if self._largest_group == 1:
            return candidates[:, :k], scores[:, :k]
        positions = np.empty((len(candidates), k), np.int64)
        expanded = np.empty((len(candidates), k), np.float32)
        for row, (groups, group_scores) in enumerate(zip(candidates, scores, strict=True)):
            sizes = np.array([len(self._members[group]) for group in groups])
            last = int(np.searchsorted(np.cumsum(sizes), k))  # groups past the cut matter only if they tie with it
            keep = group_scores >= group_scores[min(last, len(groups) - 1)]
            flat = np.concatenate([self._members[group] for group in groups[keep]])
            flat_scores = np.repeat(group_scores[keep], sizes[keep])
            order = np.lexsort((flat, -flat_scores))[:k]
            positions[row], expanded[row] = flat[order], flat_scores[order]
        return positions, expanded

    def _faiss(self) -> Any:
        if self._index is None:
            import faiss

            self._index = faiss.IndexFlatIP(self.dim)
            self._index.add(self._distinct)
        return self._index


def replace_own(
    queries: FloatMatrix,
    found: NDArray[np.int64],
    scores: NDArray[np.float32],
    own: NDArray[np.int64],
    vectors: FloatMatrix,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Put each query's own picture where its leave-one-out vector ranks it."""
    own_scores = exact_scores(queries, vectors, np.arange(len(queries))[:, None])
    others = np.where(found == own[:, None], -np.inf, scores).astype(np.float32)
    all_scores = np.concatenate([others, own_scores], axis=1)
    all_found = np.concatenate([found, own[:, None]], axis=1)
    order = np.lexsort((all_found, -all_scores), axis=1)
    return np.take_along_axis(all_found, order, 1), np.take_along_axis(all_scores, order, 1)
