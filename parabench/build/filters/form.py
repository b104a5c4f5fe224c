"""Form: is it one plain English sentence of a sensible length?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from parabench.build.candidates import Candidate
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import Check, LanguageCheck, LengthCheck
from parabench.build.filters.text import comparable, words

_LONGEST_LANGUAGE_SAMPLE = 2000


class Characters:
    """Drops texts without a word, with control or direction characters, or with code points that mean nothing.

    Emoji and letters of any script pass: what is not English is for :class:`Language` to say.
    """

    name = "characters"
    roles = BOTH_ROLES

    def __init__(self, config: Check) -> None:
        pass

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """No score: a character is allowed or not."""
        return [Verdict(_bad_character(candidate.text)) for candidate in candidates]


def _bad_character(text: str) -> str:
    if not words(text):
        return "no words"
    for character in text:
        category = unicodedata.category(character)
        if character == "\n" or character == "\u200d":  # several lines are junk's to name; emoji are joined by U+200D
            continue
        if category in ("Cc", "Cf", "Cs", "Co", "Cn") or character == "\ufffd":
            return f"bad character: U+{ord(character):04X}"
    return ""


# Each pattern is something that a model or a person says about the task, or a shape that no caption has.
_JUNK = {
    "several lines": r"\n",
    "structured data": r"^\s*[\[{].*[\]}]\s*$|(?i:\"(paraphrase|caption|foil|text)\"\s*:)",
    "meta talk": r"(?i:^\W*(sure|certainly|of course|okay)\b\W+(here|the)\b"
    r"|\bhere('s| is| are)\b[^.:]{0,60}\b(paraphras|rewrit|rephras|version|sentence|caption)"
    r"|\b(paraphrased?|rephrased|rewritten|reworded|revised|alternative|original|new)\b[\w ]{0,12}\b(version|sentence|caption|text)\s*[:=]"
    r"|^\W*(paraphrase|rewrite|rephrased|rewritten|caption|output|answer|response|result|foil|sentence)( \d+)?\s*[:=]"
    r"|\blet me know\b|\bhope (this|that) helps\b|\b(the|your|this) (original|given|provided|input) (caption|sentence|text)\b"
    r"|\bparaphras(e|es|ed|ing)\b)",
    "refusal": r"(?i:\bas an? (ai|artificial|language|large language)\b"
    r"|^\W*i('m| am)? (sorry|apologi[sz]e|afraid)\b|^\W*sorry\b|\bi (can't|can not|cannot|won't|am unable to|am not able to|'m unable to|'m not able to)\b"
    r"|^\W*(unfortunately|regrettably)\b.{0,20}\bi\b|\bmy (guidelines|programming|training)\b)",
    "placeholder": r"[\[{<](?i:caption|paraphrase|sentence|insert|your|text|foil|object|name)\b[^\]}>]*[\]}>]|\{\{|\}\}|(?i:\blorem ipsum\b)",
    "markup": r"</?[a-zA-Z][^<>]*>|\*\*|```|__\w|^#{1,6} |\\n|&(?:amp|lt|gt|quot|nbsp|#\d+);",
    "list": r"^\s*(?:[-*•–]\s|\(?\d{1,2}[.)]\s|\(?[a-zA-Z]\)\s)",
    "quoted whole": r"^\s*(?:\"[^\"]*\"|“[^”]*”|«[^»]*»|'[^']*'|‘[^’]*’|`[^`]*`)\s*[.!]?\s*$",
    "repeated word": r"(?i:\b([^\W\d]+)(?:\W+\1\b){2,})",
    "cut off": r"(?:\.\.\.|…)\s*$|(?i:\b(?:a|an|the|and|or)\s*[.]?\s*$)",
}


class Junk:
    """Drops what is no caption: talk about the task, refusals, lists, markup, quotes around it, cut-off ends.

    The pattern has to be absent from the caption: a picture of a sign with an ellipsis may well be described so.
    """

    name = "junk"
    roles = BOTH_ROLES

    def __init__(self, config: Check) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in _JUNK.items()}

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """No score: the first pattern that is found names the reason."""
        return [Verdict(self._junk(candidate)) for candidate in candidates]

    def _junk(self, candidate: Candidate) -> str:
        for name, pattern in self._patterns.items():
            if pattern.search(candidate.text) and not pattern.search(candidate.caption.text.strip()):
                return f"junk: {name}"
        return ""


class Length:
    """Drops sentences of too few or too many words, alone or against their caption (score ``length_ratio``)."""

    name = "length"
    roles = BOTH_ROLES

    def __init__(self, config: LengthCheck) -> None:
        self._config = config

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``length_ratio``: words of the sentence over words of the caption."""
        return [self._verdict(len(words(c.text)), len(words(c.caption.text))) for c in candidates]

    def _verdict(self, count: int, reference: int) -> Verdict:
        ratio = count / max(1, reference)
        if count < self._config.min_words:
            reason = f"too short: {count} words"
        elif count > self._config.max_words:
            reason = f"too long: {count} words"
        elif ratio < self._config.min_ratio:
            reason = f"shorter than the caption: {ratio:.2f} of its words"
        elif ratio > self._config.max_ratio:
            reason = f"longer than the caption: {ratio:.2f} of its words"
        else:
            reason = ""
        return Verdict(reason, {"length_ratio": ratio})


class Language:
    """Drops what is not English, by the byte n-gram model of ``py3langid`` (Lui & Baldwin 2012; 4.5 MB, NumPy only).

    Score ``english``: the posterior probability of English among 97 languages, prior uniform.  It is pessimistic
    for short texts full of names, so the threshold is far below 0.5; see docs/filters.md for what it loses.
    """

    name = "language"
    roles = BOTH_ROLES

    def __init__(self, config: LanguageCheck) -> None:
        self._config = config

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``english`` in [0, 1]."""
        return [self._verdict(candidate.text) for candidate in candidates]

    def _verdict(self, text: str) -> Verdict:
        scores = self._model.rank(comparable(text)[:_LONGEST_LANGUAGE_SAMPLE])
        logits = np.array([score for _, score in scores], dtype=np.float64)
        odds = np.exp(logits - logits.max())
        english = float(odds[[language for language, _ in scores].index("en")] / odds.sum())
        reason = "" if english >= self._config.min_english else f"not English: {scores[0][0]}"
        return Verdict(reason, {"english": english})

    @cached_property
    def _model(self) -> Any:
        import py3langid

        return py3langid
