"""Rankings in which pictures that look the same count as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parabench.retrieval.rankings import Rankings


def collapsed(rankings: Rankings) -> Rankings:
    """The rankings with each group of duplicates as its first picture, at the best place that any of them had.

    The gallery holds one picture of each group, and queries about any of them are about that one.  The depth becomes that
    of the ranking with most duplicates, the rank of the right picture that of its group (an upper bound where no picture of
    the group is in the stored top), and image → text ranks the best of the group.  Other sizes of the gallery are
    dropped, as their tops may hold only one of the pictures.
    """
    if not rankings.duplicates:
        return rankings
    position = {image_id: place for place, image_id in enumerate(rankings.gallery)}
    first = np.arange(len(rankings.gallery))
    for group in rankings.duplicates:
        places = [position[image_id] for image_id in group]
        first[places] = min(places)
    kept_places, stands_for = np.unique(first, return_inverse=True)  # old place → place among the pictures that are kept
    top = stands_for[rankings.top].astype(np.int32)
    order = np.argsort(top, axis=1, kind="stable")
    ordered = np.take_along_axis(top, order, 1)
    repeated = np.zeros(top.shape, bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    depth = int((~repeated).sum(axis=1).min())
    kept = np.argsort(repeated, axis=1, kind="stable")[:, :depth]
    shorter = np.take_along_axis(top, kept, 1)
    gallery = [rankings.gallery[place] for place in kept_places.tolist()]
    targets = stands_for[[position[image_id] for image_id in rankings.image_id]]
    found = shorter == targets[:, None]
    at_most = np.clip(rankings.target_rank, depth + 1, max(depth + 1, len(gallery)))
    rank = np.where(found.any(axis=1), found.argmax(axis=1) + 1, at_most)
    caption_rank: dict[str, int] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for image_id, place in zip(rankings.gallery, stands_for.tolist(), strict=True):
        shown = gallery[place]
        if image_id in rankings.caption_rank:
            caption_rank[shown] = min(rankings.caption_rank[image_id], caption_rank.get(shown, len(rankings.role)))
        if image_id in rankings.labels:
            labels[shown] = tuple(dict.fromkeys((*labels.get(shown, ()), *rankings.labels[image_id])))
    return replace(
        rankings, top=shorter, scores=np.take_along_axis(rankings.scores, kept, 1), target_rank=rank.astype(np.int64),
        image_id=tuple(gallery[place] for place in targets.tolist()), gallery=tuple(gallery), caption_rank=caption_rank,
        labels=labels, smaller={}, duplicates=(),
    )  # fmt: skip
