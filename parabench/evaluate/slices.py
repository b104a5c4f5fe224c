"""The same numbers for parts of the pairs: by kind, length, wording, category and source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import Slice
from parabench.metrics import flips

Mask = NDArray[np.bool_]

LENGTHS = ((0, 5), (6, 8), (9, 11), (12, 15), (16, 24), (25, None))
"""Bins of caption length in words, both ends included."""

DISTANCES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges of the bins of lexical distance; the lower edge belongs to a bin, and 1 to the last."""

MOST_CATEGORIES = 100


def slices_of(items: Items, names: Sequence[str], resampling: Resampling) -> list[Slice]:
    """Every slice of the pairs that the rankings can tell, in the order in which they are to be shown.

    A slice holds the similarity metrics, ``R@10 paraphrase`` and ``flip@10``.  Intervals come from the
    resamples of all pictures, so that slices can be compared with each other and with the whole.  What
    does not part the pairs (one kind, no categories) is left out.
    """
    columns = dict(items.similarity(names))
    if len(items.rankings.gallery) >= 10:
        columns |= {"R@10 paraphrase": items.hit(10, "paraphrase"), "flip@10": flips(*items.pair_hits(10))}
    image = items.image[items.paraphrases]
    parts = list(_parts(items))
    asked = [([column[mask] for column in columns.values()], image[mask]) for _, _, mask in parts]
    return [
        Slice(by=by, level=level, metrics={name: measure(estimate) for name, estimate in zip(columns, estimates, strict=True)})
        for (by, level, _), estimates in zip(parts, resampling.estimates(asked, items.n_images), strict=True)
    ]


def _parts(items: Items) -> Iterator[tuple[str, str, Mask]]:
    rankings, rows = items.rankings, items.paraphrases
    yield from _by_name("kind", np.array(rankings.kind)[rows])
    if len(rankings.words):
        words = rankings.words[rows]
        for shortest, longest in LENGTHS:
            text = f"{shortest} words or more" if longest is None else f"{shortest}–{longest} words"
            yield from _some("caption length", text, (words >= shortest) & ((words <= longest) if longest else True))
    if len(rankings.distance):
        distance = rankings.distance[rows]
        for low, high in pairwise(DISTANCES):
            inside = (distance >= low) & ((distance < high) | (high == 1.0))
            yield from _some("lexical distance", f"{low:.1f}–{high:.1f}", inside)
    if rankings.labels:
        own = [rankings.labels.get(rankings.image_id[row], ()) for row in rows.tolist()]
        counts = Counter(label for labels in own for label in set(labels))
        for label, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_CATEGORIES]:
            yield "category", label, np.array([label in labels for labels in own])
    if rankings.source:
        yield from _by_name("source", np.array(rankings.source)[rows])


def _by_name(by: str, values: NDArray[np.str_]) -> Iterator[tuple[str, str, Mask]]:
    levels = sorted(set(values.tolist()) - {""})
    if len(levels) > 1 or (levels and (values == "").any()):
        for level in levels:
            yield by, level, values == level


def _some(by: str, level: str, mask: Mask) -> Iterator[tuple[str, str, Mask]]:
    if mask.any():
        yield by, level, mask
