"""Which words of two sentences differ, and how a sentence of any length is cut to fit a page."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

LONGEST = 300
"""Characters of a sentence that are shown before its end is folded away."""
LONGEST_WORD = 60


@dataclass(frozen=True)
class Sentence:
    """A sentence as it is shown.

    Attributes:
        text: all of it.
        words: the words that are shown, each with whether the other sentence lacks it at that place.
        cut: whether ``words`` is not all of ``text``.
    """

    text: str
    words: tuple[tuple[str, bool], ...]
    cut: bool


def compare_words(a: str, b: str) -> tuple[Sentence, Sentence]:
    """Both sentences with their differing words marked; case and punctuation make no difference."""
    (left, cut_left), (right, cut_right) = _shown(a), _shown(b)
    kept_left, kept_right = _kept(left, right)
    return (
        Sentence(a, tuple((word, at not in kept_left) for at, word in enumerate(left)), cut_left),
        Sentence(b, tuple((word, at not in kept_right) for at, word in enumerate(right)), cut_right),
    )


def changed_share(a: str, b: str) -> float:
    """Share of words that differ, in [0, 1]: 0 where only case and punctuation do."""
    (left, _), (right, _) = _shown(a), _shown(b)
    kept, _ = _kept(left, right)
    return 1 - 2 * len(kept) / max(1, len(left) + len(right))


def _kept(left: list[str], right: list[str]) -> tuple[set[int], set[int]]:
    bare = [[re.sub(r"\W+", "", word).casefold() or word for word in words] for words in (left, right)]
    kept: tuple[set[int], set[int]] = (set(), set())
    for block in difflib.SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_matching_blocks():
        kept[0].update(range(block.a, block.a + block.size))
        kept[1].update(range(block.b, block.b + block.size))
    return kept


def _shown(text: str) -> tuple[list[str], bool]:
    """The first words of a text, at most :data:`LONGEST` characters, and whether that cuts it."""
    shown: list[str] = []
    length = 0
    words = text[: 20 * LONGEST].split()
    for word in words:
        clipped = word if len(word) <= LONGEST_WORD else word[:LONGEST_WORD] + "…"
        if shown and length + len(clipped) > LONGEST:
            return shown, True
        shown.append(clipped)
        length += len(clipped) + 1
    return shown, len(text) > 20 * LONGEST or any(len(word) > LONGEST_WORD for word in words)
