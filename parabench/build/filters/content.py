"""Content: numbers, colours, negation and names that a paraphrase adds to its caption, or loses.

Each check reads two things out of a sentence: what it *states*, and what it at most *implies* (``a pair of`` may be
two, ``empty`` may be no people).  Something is added when the paraphrase states what the caption neither states
nor implies, and lost the other way round; so ``two dogs`` and ``a pair of dogs`` agree in both directions, and
``a pair of scissors`` needs no number.  For foils such changes are the point: these checks see paraphrases only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance.OSA import normalized_similarity

from parabench.build.candidates import Candidate
from parabench.build.filters.base import PARAPHRASES, Verdict
from parabench.build.filters.config import Check
from parabench.build.filters.lexicon import LEXICON, meanings
from parabench.build.filters.text import words


class Mentions(NamedTuple):
    """What a sentence says of one matter.

    Attributes:
        stated: word → what it may mean; one meaning in common with the other sentence is enough.
        implied: meanings that the sentence allows without stating them.
    """

    stated: Mapping[str, frozenset[str]]
    implied: frozenset[str]

    def missing_in(self, other: Mentions) -> list[str]:
        """The words whose meaning the other sentence neither states nor implies."""
        there = other.implied.union(*other.stated.values())
        return [word for word, meanings in self.stated.items() if not meanings & there]


_NUMBERS = LEXICON["numbers"]
_UNITS = {word: value for value, word in enumerate(_NUMBERS["units"].split())}
_TENS = {word: 10 * value for value, word in enumerate(_NUMBERS["tens"].split(), 2)}
_GROUPS = {word: int(value) for value, names in _NUMBERS["groups"].items() for word in names.split()}
_IMPLIED_NUMBERS = meanings(_NUMBERS["implied"])
_PAIR_OF = re.compile(r"\b(pair|couple) of (\w+)(?: (\w+))?")
_PAIRED = frozenset(_NUMBERS["paired"].split())
_COUNTED_OUT = frozenset("23")
# A number that is part of a thing's name ("two-way radio") counts nothing.
_NAMED_BY_NUMBER = re.compile(r"[\w]+[- ](?:way|piece|wheeler|wheelers|poster|cent|legged|dimensional|ply|o'clock)\b", re.IGNORECASE)
_DECADE = re.compile(r"(?:\b(?:19|20)|['’])(?=\d0['’]?s\b)")


def numbers(text: str) -> Mentions:
    """Numbers in digits or words; zero and one are left out, since ``no`` and ``a`` say them too."""
    stated: dict[str, frozenset[str]] = {}
    implied: set[str] = set()
    sequence = words(_NAMED_BY_NUMBER.sub(" ", _DECADE.sub("", text)))
    for at, word in enumerate(sequence):
        before = sequence[at - 1] if at else ""
        value: str | int = 0
        if word in _UNITS:
            value = _UNITS[word] + (_TENS.get(before, 0) if 0 < _UNITS[word] < 10 else 0)
        elif word in _TENS and _UNITS.get(next(iter(sequence[at + 1 : at + 2]), ""), 0) not in range(1, 10):
            value = _TENS[word]
        elif word in _GROUPS:
            value = 6 if word == "dozen" and "half" in sequence[max(0, at - 2) : at] else _GROUPS[word]
        elif word[0].isdigit():
            value = word.replace(",", "").lstrip("0") or "0"
        if str(value) not in ("0", "1"):
            stated[word] = frozenset((str(value),))
        implied |= _IMPLIED_NUMBERS.get(word, frozenset())
    for group, *following in _PAIR_OF.findall(" ".join(sequence)):
        if not _PAIRED.intersection(following):
            stated[group] = frozenset(("2", "few"))
    if not stated and "and" in sequence:  # "a black and a white sheep" are two sheep
        implied |= _COUNTED_OUT
    return Mentions(stated, frozenset(implied))


_COLOURS = meanings(LEXICON["colours"]["classes"])
_STATING_COLOURS = frozenset(LEXICON["colours"]["stating"].split())
_MONOCHROME = frozenset(LEXICON["colours"]["monochrome"].split())


def colours(text: str) -> Mentions:
    """Colours by class: shades of one class agree, and a shade between two (teal) agrees with both."""
    stated: dict[str, frozenset[str]] = {}
    implied: set[str] = set()
    for word in words(text):
        meanings = _COLOURS.get(word, frozenset())
        if word in _STATING_COLOURS:
            stated[word] = meanings
        implied |= meanings
        if word in _MONOCHROME:
            implied |= {"black", "white", "grey"}
    return Mentions(stated, frozenset(implied))


_NEGATIONS = frozenset(LEXICON["negation"]["stating"].split())
_IMPLIED_NEGATIONS = frozenset(LEXICON["negation"]["implying"].split())
_IMPLIES_NEGATION = re.compile(r"un(?!der|ti|i)[a-z]{4,}|non[a-z]*|[a-z]{3,}less(?:ly)?")


def negation(text: str) -> Mentions:
    """Whether something is denied: ``no``, ``not``, ``-n't``, ``without``, …; ``empty`` or ``cloudless`` imply it."""
    sequence = words(text)
    stated = {word: frozenset(("not",)) for word in sequence if word in _NEGATIONS or word.endswith("n't")}
    implied = any(word in _IMPLIED_NEGATIONS or _IMPLIES_NEGATION.fullmatch(word) for word in sequence)
    return Mentions(stated, frozenset(("not",)) if implied else frozenset())


_TOKEN = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_]+(?:['’][^\W\d_]+)*")
_STARTS = re.compile(r"(?:^|[.!?:;\"“”‘(]|[^\w]['`])\W*$")
_TITLE = 0.5
_TYPO = 0.75
_STEM = 4
_SAME_THING = meanings(LEXICON["names"]["same_thing"])
_NO_NAMES = frozenset(LEXICON["names"]["common"].split())
_NO_NAME_BEFORE = re.compile(r"French (?:fries|fry|toast|doors?|press|bread)|Swiss cheese|German shepherd")


def names(text: str) -> Mentions:
    """Capitalised words inside a sentence; a title in Capitals Throughout names nothing.

    Every word of a sentence is implied, so a name that the other sentence writes small, or begins with, is there.
    """
    tokens = list(_TOKEN.finditer(text))
    capitals = [match for match in tokens if match[0][0].isupper() and len(match[0]) > 1]
    joined = [first[0] + second[0] for first, second in pairwise(tokens)]  # "Fed Ex"
    implied = frozenset(form for word in [*(match[0] for match in tokens), *joined] for form in _name_forms(word))
    inside = [
        match for match in capitals
        if match[0].casefold() not in _NO_NAMES and not _STARTS.search(text, 0, match.start())
        and not _NO_NAME_BEFORE.match(text, match.start())
    ]  # fmt: skip
    if len(capitals) > _TITLE * len(tokens):
        inside = []
    return Mentions({match[0]: _name_forms(match[0]) for match in inside}, implied)


def _name_forms(word: str) -> frozenset[str]:
    plain = re.sub(r"'s?$", "", word.casefold().replace("’", "'").replace(".", ""))
    return frozenset((plain, plain.removesuffix("s"))) | _SAME_THING.get(plain, frozenset())


class Content:
    """One of the four checks; its score counts what was added and lost."""

    roles = PARAPHRASES

    def __init__(self, name: str, noun: str, read: Callable[[str], Mentions], *, tolerant: bool = False) -> None:
        self.name, self._noun, self._read, self._tolerant = name, noun, read, tolerant

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``<name>_changed``: how many mentions were added or lost, 0 when the two sentences agree."""
        return [self._verdict(candidate) for candidate in candidates]

    def _verdict(self, candidate: Candidate) -> Verdict:
        caption, text = self._read(candidate.caption.text), self._read(candidate.text)
        added, lost = text.missing_in(caption), caption.missing_in(text)
        if self._tolerant:  # writers correct the spelling of names
            added = [word for word in added if not _respelt(word, caption.implied)]
            lost = [word for word in lost if not _respelt(word, text.implied)]
        scores = {f"{self.name}_changed": float(len(added) + len(lost))}
        if added:
            return Verdict(f"{self._noun} added: {', '.join(added)}", scores)
        return Verdict(f"{self._noun} lost: {', '.join(lost)}" if lost else "", scores)


def _respelt(word: str, others: frozenset[str]) -> bool:
    """Whether the other sentence spells the name a little differently, or as a part of a word (Fed Ex, FedEx)."""
    plain = word.casefold()
    return any(
        normalized_similarity(plain, other) > _TYPO
        or other.startswith(plain[:_STEM])
        or other.endswith(plain)
        for other in others
    )


def content_checks(numbers_: Check, colours_: Check, negation_: Check, names_: Check) -> list[Content]:
    """The checks that are switched on."""
    checks = [
        (numbers_, Content("numbers", "number", numbers)),
        (colours_, Content("colours", "colour", colours)),
        (negation_, Content("negation", "negation", negation)),
        (names_, Content("names", "name", names, tolerant=True)),
    ]
    return [check for config, check in checks if config.enabled]
