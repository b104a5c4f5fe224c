"""One text, three views: as it is stored, as it is compared, and as words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Invisible and without meaning in a sentence: zero-width space, word joiner, byte order mark, soft hyphen.
_INVISIBLE = dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0x00AD))
_PUNCTUATION = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "‐": "-", "‑": "-"})
# For plain ASCII: letters in lower case, digits and apostrophes ask for the full rule below, all else separates.
_ASCII = b"".join((chr(code).lower() if chr(code).isalpha() else "\0" if chr(code) in "'0123456789" else " ").encode() for code in range(128))
_ASCII += bytes(128)
_ASCII_LINES = _ASCII[: ord("\n")] + b"\n" + _ASCII[ord("\n") + 1 :]
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")


def normalise(text: str) -> str:
    """The text as it is stored: NFC, no invisible characters, single spaces, none at the ends.  Idempotent.

    Line breaks stay, since an answer of several lines is no sentence and has to be seen as such; so do control
    and direction characters, which the check ``characters`` drops instead of hiding that they were there.
    """
    lines = unicodedata.normalize("NFC", text.translate(_INVISIBLE)).replace("\r\n", "\n").split("\n")
    return "\n".join(" ".join(line.split(" ")).strip(" ") for line in map(_single_spaces, lines)).strip("\n ")


def _single_spaces(line: str) -> str:
    return re.sub(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+", " ", line)


@lru_cache(maxsize=1 << 16)
def words(text: str) -> tuple[str, ...]:
    """The words as they are compared: NFKC, case folded, without punctuation; hyphens separate, apostrophes do not."""
    if text.isascii():
        spaced = text.encode("ascii").translate(_ASCII)
        return tuple(_WORD.findall(text.lower())) if b"\0" in spaced else tuple(spaced.decode("ascii").split())
    folded = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold().translate(_PUNCTUATION)
    return tuple(_WORD.findall(folded))


def words_of_each(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """:func:`words` of many texts, three times as fast for texts that are seen once and are plain ASCII."""
    joined = "\n".join(texts)
    if not joined.isascii() or joined.count("\n") != len(texts) - 1:
        return [words(text) for text in texts]
    lines = joined.encode("ascii").translate(_ASCII_LINES).decode("ascii").split("\n")
    return [words(text) if "\0" in line else tuple(line.split()) for text, line in zip(texts, lines, strict=True)]


def comparable(text: str) -> str:
    """The text as it is compared: its words with single spaces.  Idempotent; ``""`` where no word is left."""
    return " ".join(words(text))
