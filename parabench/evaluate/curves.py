"""How the numbers depend on what was chosen: the depth k, and the size of the gallery."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parabench.evaluate.controls import unrelated
from parabench.evaluate.items import Items
from parabench.evaluate.resampling import Resampling
from parabench.evaluate.result import Curve
from parabench.metrics import Metric, compute
from parabench.metrics.rank_similarity import shared_counts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEEPEST = 100


def depth_curve(items: Items, resampling: Resampling, seed: int) -> Curve:
    """AO@d along the depth d, with floor and ceiling: every d to 20, then every fifth to 100 or the stored depth."""
    deepest = min(DEEPEST, items.rankings.depth)
    depths = [d for d in range(1, deepest + 1) if d <= 20 or d % 5 == 0 or d == deepest]
    top, row = items.rankings.top, items.rankings.caption_row

    def at_depths(first: Ints, second: Ints) -> list[Floats]:
        return list(_average_overlap(top[first], top[second], depths))

    again, partner = items.rankings.rows("caption again"), unrelated(items, items.captions, seed)
    rows = items.paraphrases
    lines = {"values": (at_depths(row[rows], rows), rows)}
    if partner is not None:
        lines["floor"] = (at_depths(items.captions, partner), items.captions)
    if len(again):
        lines["ceiling"] = (at_depths(row[again], again), again)
    return _curve("depth", "AO", "depth k", depths, lines, items, resampling)


def gallery_size_curves(items: Items, metric: Metric, resampling: Resampling, seed: int) -> list[Curve]:
    """The first metric, ``R@10`` and ``R@10 paraphrase`` along the size of the gallery; none without other sizes."""
    rankings = items.rankings
    if not rankings.smaller or metric.k is None:
        return []
    tops = dict(sorted({**rankings.smaller, len(rankings.gallery): rankings.top}.items()))
    sizes = [size for size, top in tops.items() if size >= metric.k and top.shape[1] >= metric.k]
    if len(sizes) < 2:
        return []
    asked = np.all([top[:, 0] >= 0 for top in tops.values()], axis=0)
    captions, paraphrases = (rows[asked[rows]] for rows in (items.captions, items.paraphrases))
    row, name = rankings.caption_row, str(metric)

    def similarity(first: Ints, second: Ints) -> list[Floats]:
        return [compute([metric], tops[size][first], tops[size][second])[name] for size in sizes]

    axis = "pictures in the gallery"
    lines = {"values": (similarity(row[paraphrases], paraphrases), paraphrases)}
    if (partner := unrelated(items, captions, seed)) is not None:
        lines["floor"] = (similarity(captions, partner), captions)
    curves = [_curve("gallery size", name, axis, sizes, lines, items, resampling)]
    position = {image_id: place for place, image_id in enumerate(rankings.gallery)}
    target = np.array([position[image_id] for image_id in rankings.image_id], np.int64)
    wide = [size for size in sizes if size >= 10 and tops[size].shape[1] >= 10]
    for label, rows in (("R@10", captions), ("R@10 paraphrase", paraphrases)):
        hits = [(tops[size][rows, :10] == target[rows, None]).any(axis=1).astype(np.float64) for size in wide]
        if len(hits) > 1:
            curves.append(_curve("gallery size", label, axis, wide, {"values": (hits, rows)}, items, resampling))
    return curves


def _average_overlap(a: NDArray[np.int32], b: NDArray[np.int32], depths: Sequence[int]) -> Floats:
    """AO@d for several depths ``(len(depths), n)``."""
    deepest = depths[-1]
    step = np.arange(1, deepest + 1)[:, None]
    running = np.cumsum(shared_counts(a, b, deepest) / step, axis=0) / step
    result: Floats = running[np.array(depths) - 1]
    return result


def _curve(
    name: str, metric: str, x_label: str, x: Sequence[int], lines: dict[str, tuple[list[Floats], Ints]], items: Items, resampling: Resampling
) -> Curve:
    """``lines``: ``values``, ``floor`` and ``ceiling`` → a column at each x and the rows that the columns speak of."""
    parts = [(columns, items.image[rows]) for columns, rows in lines.values()]
    found = dict(zip(lines, resampling.estimates(parts, items.n_images), strict=True))
    curve = Curve(
        name=name, metric=metric, x_label=x_label, x=[float(value) for value in x],
        values=[], n=found["values"][0].n, clusters=found["values"][0].clusters,
    )  # fmt: skip
    for line, estimates in found.items():
        prefix = "ci" if line == "values" else line
        setattr(curve, line, [estimate.value for estimate in estimates])
        setattr(curve, f"{prefix}_low", [e.ci_low for e in estimates if e.ci_low is not None])
        setattr(curve, f"{prefix}_high", [e.ci_high for e in estimates if e.ci_high is not None])
    return curve
