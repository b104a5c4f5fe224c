"""What is allowed and strange: a person should look before it is published."""

from __future__ import annotations

import numpy as np

from parabench.leaderboard.schema import Submission
from parabench.leaderboard.scoring import AO_SCALE, Scored

_SURE = 0.999
_FEW = 1e-3


def oddities(submission: Submission, scored: Scored) -> list[str]:
    """One sentence an oddity of an entry that fits in all else."""
    found = []
    similarity = scored.ao / AO_SCALE
    measure = scored.tasks["paraphrase"].metrics["AO@10"]
    recall = scored.tasks["retrieval"].metrics["R@10"]
    chance = float(scored.tasks["retrieval"].details["chance"]["R@10"])
    if measure.value >= _SURE:
        found.append(f"AO@10 = {measure.value:.4f}: every wording gets the same pictures")
    if measure.floor is not None and measure.floor >= _SURE:
        found.append("unrelated captions get identical rankings: the rankings do not depend on the query")
    if (recall.ci_low if recall.ci_low is not None else recall.value) <= 2 * chance:
        found.append(f"R@10 = {recall.value:.4f} is at chance ({chance:.4f})")
    if len(similarity) > 50 and len(np.unique(similarity)) <= 2:
        found.append("AO@10 takes at most two values over all pairs")
    if (scored.caption_rank == 1).all() and (scored.paraphrase_rank == 1).all():
        found.append("every query has its own picture first")
    if measure.ceiling is not None and measure.value > measure.ceiling + _FEW:
        found.append("paraphrases agree more than a caption with itself: the ceiling was measured otherwise than the rest")
    if submission.declared.paraphrases_of_test_captions != "no":
        found.append(f"paraphrases of the test captions in training: {submission.declared.paraphrases_of_test_captions}")
    if submission.model.track == "image" and not any("image→text" in name for name in scored.tasks["retrieval"].metrics):
        found.append("the track is 'image' and there are no image → text ranks")
    return found
