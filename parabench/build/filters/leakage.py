"""Leakage: captions or sentences that stand, the same or nearly so, in captions that models are trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from parabench.build.candidates import Candidate
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import NearDuplicates
from parabench.build.filters.near_duplicates import NearDuplicateIndex
from parabench.build.filters.text import words_of_each

_BATCH = 4096


class Leakage:
    """Drops a candidate when its caption or its text is a training caption, exactly or by Jaccard of the words.

    Args:
        config: the threshold.
        training_captions: read once, at once; kept as signatures (1 to 2 GB a million).

    Raises:
        DataError: while the training captions are read.
    """

    name = "leakage"
    roles = BOTH_ROLES

    def __init__(self, config: NearDuplicates, training_captions: Iterable[str]) -> None:
        self._index = NearDuplicateIndex(config.min_jaccard)
        self._exact: set[bytes] = set()
        captions = iter(training_captions)
        while batch := list(islice(captions, _BATCH)):
            self._add([sentence for sentence in words_of_each(batch) if sentence])

    def _add(self, sentences: list[tuple[str, ...]]) -> None:
        new = {_key(sentence): sentence for sentence in sentences}
        fresh = {key: sentence for key, sentence in new.items() if key not in self._exact}
        self._exact.update(fresh)
        self._index.insert(list(fresh.values()))

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``leak_jaccard``: the highest similarity of caption or text to a training caption that reaches the limit, else 0."""
        captions = self._leaks(words_of_each([candidate.caption.text for candidate in candidates]))
        texts = self._leaks(words_of_each([candidate.text for candidate in candidates]))
        return [_verdict(caption, text) for caption, text in zip(captions, texts, strict=True)]

    def _leaks(self, sentences: list[tuple[str, ...]]) -> Iterator[float]:
        highest = [float(_key(sentence) in self._exact) for sentence in sentences]
        matches = self._index.search(sentences)
        for query, jaccard in zip(matches.query.tolist(), matches.jaccard.tolist(), strict=True):
            highest[query] = max(highest[query], jaccard)
        return iter(highest)


def _key(sentence: tuple[str, ...]) -> bytes:
    return hashlib.blake2b(" ".join(sentence).encode("utf-8", "replace"), digest_size=8).digest()


def _verdict(caption: float, text: float) -> Verdict:
    reason = ""
    if caption:
        reason = f"leak: the caption is a training caption (Jaccard {caption:.2f})"
    elif text:
        reason = f"leak: the sentence is a training caption (Jaccard {text:.2f})"
    return Verdict(reason, {"leak_jaccard": max(caption, text)})
