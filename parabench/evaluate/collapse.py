"""Rankings in which pictures that look the same count as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parabench.retrieval.rankings import Rankings


def collapsed(rankings: Rankings) -> Rankings:
    """The rankings with each group of duplicates as its first picture, at the best place that any of them had.

    The depth becomes that of the ranking with most duplicates, and the rank of the right picture the rank of
    its group (an upper bound where no picture of the group is in the stored top).  Other sizes of the gallery
    are dropped, as their tops may hold only one of the pictures, and image → text ranks stay as they are.
    """
    if not rankings.duplicates:
        return rankings
    position = {image_id: place for place, image_id in enumerate(rankings.gallery)}
    stands_for = np.arange(len(rankings.gallery))
    for group in rankings.duplicates:
        places = sorted(position[image_id] for image_id in group)
        stands_for[places] = places[0]
    top = stands_for[rankings.top].astype(np.int32)
    order = np.argsort(top, axis=1, kind="stable")
    ordered = np.take_along_axis(top, order, 1)
    repeated = np.zeros(top.shape, bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    depth = int((~repeated).sum(axis=1).min())
    kept = np.argsort(repeated, axis=1, kind="stable")[:, :depth]
    shorter = np.take_along_axis(top, kept, 1)
    targets = stands_for[[position[image_id] for image_id in rankings.image_id]]
    found = shorter == targets[:, None]
    rank = np.where(found.any(axis=1), found.argmax(axis=1) + 1, np.maximum(rankings.target_rank, depth + 1))
    return replace(
        rankings, top=shorter, scores=np.take_along_axis(rankings.scores, kept, 1), target_rank=rank.astype(np.int64), smaller={}
    )
