"""How far the annotators of a build agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

from parabench.build.agreement import krippendorff_alpha
from parabench.build.reviews import ReviewTable


@dataclass(frozen=True)
class ReviewAgreement:
    """Krippendorff's α of keep (accept or fix) against reject.

    Attributes:
        alpha: 1 = perfect, 0 = as by chance; NaN where every verdict is the same or no item was judged twice.
        annotators: how many people judged.
        shared: items that two or more judged.
    """

    alpha: float
    annotators: int
    shared: int

    def __str__(self) -> str:
        if not self.shared:
            return f"{self.annotators} annotators, no item judged by two"
        shown = "undefined, all verdicts are the same" if math.isnan(self.alpha) else f"{self.alpha:.2f}"
        return f"Krippendorff's α of keep or reject: {shown} ({self.annotators} annotators, {self.shared:,} shared items)"


def review_agreement(reviews: ReviewTable) -> ReviewAgreement | None:
    """The agreement over all current verdicts; ``None`` where fewer than two people judged."""
    annotators = reviews.annotators()
    if len(annotators) < 2:
        return None
    column = {name: at for at, name in enumerate(annotators)}
    rows: dict[str, list[str | None]] = {}
    for review in reviews:
        row = rows.setdefault(review.pair_id, [None] * len(annotators))
        row[column[review.annotator]] = "reject" if review.decision == "reject" else "keep"
    shared = [row for row in rows.values() if sum(value is not None for value in row) > 1]
    alpha = krippendorff_alpha(shared) if shared else math.nan
    return ReviewAgreement(math.nan if alpha is None else alpha, len(annotators), len(shared))
