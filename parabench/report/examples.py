"""Which pairs a page shows: extreme ones that teach something."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from parabench.evaluate.run import Run
from parabench.report.word_diff import changed_share

SHOWN = 5
"""Pictures in a strip; a right picture counts as found when it stands there."""
_LOOKED_AT = 400
"""Pairs of equal score among which the one with the most changed words is sought."""


def most_unstable(run: Run, metric: str, n: int = 4) -> list[int]:
    """Rows with the lowest score, of different pictures; among equals those whose caption finds its picture."""
    pairs = run.pairs
    missed = (pairs["caption_rank"] > SHOWN).to_numpy()
    return _distinct(pairs, np.lexsort((pairs["caption_rank"].to_numpy(), missed, pairs[metric].to_numpy())), n)


def most_stable(run: Run, metric: str, n: int = 4, without: Iterable[int] = ()) -> list[int]:
    """Rows with the highest score, of different pictures and not of those of ``without``; among equals those with the most changed words.

    Pairs that differ in case and punctuation alone are passed over where others are left: they teach nothing.
    """
    pairs = run.pairs
    values = pairs[metric].to_numpy()
    missed = (pairs["caption_rank"] > SHOWN).to_numpy()
    order = np.lexsort((missed, -values))[:_LOOKED_AT]
    changed = {int(row): changed_share(pairs["caption"].iloc[row], pairs["paraphrase"].iloc[row]) for row in order}
    ranked = sorted(changed, key=lambda row: (changed[row] == 0, -values[row], missed[row], -changed[row], row))
    return _distinct(pairs, ranked, n, {pairs["image_id"].iloc[row] for row in without})


def lost(run: Run, metric: str, n: int = 2, without: Iterable[int] = ()) -> list[int]:
    """Rows where the caption finds its picture at once and the paraphrase does not show it, furthest first; of other pictures than those of ``without``."""
    pairs = run.pairs
    hit = (pairs["caption_rank"] == 1) & (pairs["paraphrase_rank"] > SHOWN)
    rows = np.flatnonzero(hit.to_numpy())
    order = rows[np.argsort(-pairs["paraphrase_rank"].to_numpy()[rows], kind="stable")]
    return _distinct(pairs, order, n, {pairs["image_id"].iloc[row] for row in without})


def differ_most(a: pd.Series[float], b: pd.Series[float], images: pd.Series[str], n: int = 2) -> list[int]:
    """Places where ``a`` is furthest above ``b``, of different pictures; only places where it is above."""
    gap = (a - b).to_numpy()
    order = [row for row in np.argsort(-gap, kind="stable").tolist() if gap[row] > 0]
    return _distinct(pd.DataFrame({"image_id": images.to_numpy()}), order, n)


def _distinct(pairs: pd.DataFrame, order: Iterable[int], n: int, seen: set[str] | None = None) -> list[int]:
    rows: list[int] = []
    seen = set() if seen is None else set(seen)
    images = pairs["image_id"].to_numpy()
    for row in order:
        if len(rows) == n:
            break
        if images[row] not in seen:
            seen.add(images[row])
            rows.append(int(row))
    return rows
