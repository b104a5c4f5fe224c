"""Words and personal data that a published sentence must not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from parabench.build.candidates import Candidate
from parabench.build.filters.base import BOTH_ROLES, Verdict
from parabench.build.filters.config import Check, ToxicityCheck
from parabench.build.filters.text import comparable
from parabench.errors import DataError


class Toxicity:
    """Drops sentences with a word or phrase of our short list (``toxic_words.txt``) or of lists of yours.

    Whole words are matched, in any case; a trailing ``*`` in a list matches any ending.

    Raises:
        DataError: a list is missing, empty or not UTF-8.
    """

    name = "toxicity"
    roles = BOTH_ROLES

    def __init__(self, config: ToxicityCheck) -> None:
        own = resources.files(__package__).joinpath("toxic_words.txt").read_text(encoding="utf-8")
        entries = _entries(own)
        for path in config.files:
            entries += _read(path)
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(_pattern, dict.fromkeys(entries)))})(?!\w)")

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``toxic_words``: how many."""
        return [self._verdict(self._pattern.findall(comparable(candidate.text))) for candidate in candidates]

    def _verdict(self, found: list[str]) -> Verdict:
        return Verdict(f"toxic: {found[0]}" if found else "", {"toxic_words": float(len(found))})


def _entries(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [comparable(line) + ("*" if line.endswith("*") else "") for line in lines if comparable(line)]


def _read(path: Path) -> list[str]:
    try:
        entries = _entries(path.expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"can't read the word list {path}: {error}", "give a UTF-8 file with one word or phrase a line") from None
    if not entries:
        raise DataError(f"the word list {path} has no words", "write one word or phrase a line")
    return entries


def _pattern(entry: str) -> str:
    return re.escape(entry.removesuffix("*")) + (r"\w*" if entry.endswith("*") else "")


_EMAIL = re.compile(r"[\w.+-]+\s?(?:@|\(at\)|\[at\])\s?[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(
    r"\b(?:https?://|ftp://|www\.)\S+|\b[\w-]+\.(?:com|org|net|edu|gov|io|info|biz|co\.uk|de|fr|es|it|nl|ly|me|tv)\b(?:/\S*)?",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![\w.@/])@[A-Za-z_]\w{1,30}")
_DIGITS = re.compile(r"(?<![\w.,])\+?\(?\d(?:[\d ().\-]{5,24})\d(?![\w])")
_NO_PHONE = re.compile(
    r"(?:19|20)\d\d\s?-\s?(?:19|20)\d\d|\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}|\d{1,3}(?: \d{3})+|\d+\.\d+|(?:\d{1,2}[ .-]+)+\d{1,2}"
)


class Pii:
    """Drops sentences with an e-mail address, a web address, a handle, a phone number or a payment card number."""

    name = "pii"
    roles = BOTH_ROLES

    def __init__(self, config: Check) -> None:
        pass

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """No score; the reason names the kind and never repeats the data."""
        return [Verdict(_personal(candidate.text)) for candidate in candidates]


def _personal(text: str) -> str:
    for name, pattern in (("e-mail address", _EMAIL), ("web address", _URL), ("handle", _HANDLE)):
        if pattern.search(text):
            return f"personal data: {name}"
    for match in _DIGITS.finditer(text):
        digits = [int(character) for character in match[0] if character.isdigit()]
        if 13 <= len(digits) <= 19 and _luhn(digits):
            return "personal data: card number"
        if 7 <= len(digits) <= 15 and not _NO_PHONE.fullmatch(match[0].strip()) and not match[0].isdigit():
            return "personal data: phone number"
        if 9 <= len(digits) <= 15:
            return "personal data: phone number"
    return ""


def _luhn(digits: Iterable[int]) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    reverse = list(digits)[::-1]
    doubled = (2 * digit - 9 * (digit > 4) for digit in reverse[1::2])
    return (sum(reverse[::2]) + sum(doubled)) % 10 == 0
