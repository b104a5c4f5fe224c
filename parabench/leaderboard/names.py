"""Texts that strangers send: what they may hold, and when two names look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/+:()@-]*[A-Za-z0-9)])?")
_LINK = re.compile(r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/?#@!$&*+,;=%:()-]*)?")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "8": "b", "2": "z"})


def text_fault(text: str, *, longest: int, lines: bool = False) -> str | None:
    """Why a text can't be published, or ``None``.

    Refused are empty and over-long texts, angle brackets, and everything invisible: controls, directional
    marks, zero-width characters, private and unassigned code points, more than three combining marks in a row.
    """
    if not text.strip():
        return "is empty"
    if len(text) > longest:
        return f"has {len(text):,} characters, {longest:,} are allowed"
    if "<" in text or ">" in text:
        return "holds '<' or '>', and texts are no markup"
    marks = 0
    for char in text:
        if char == "\n" and lines:
            continue
        kind = unicodedata.category(char)
        if kind in _FORBIDDEN:
            return f"holds the invisible character U+{ord(char):04X}"
        marks = marks + 1 if kind.startswith("M") else 0
        if marks > 3:
            return "piles up combining marks"
    return None


def name_fault(name: str, *, longest: int) -> str | None:
    """Why a model can't be named so: names are ASCII, so that no letter can pass for another."""
    if (fault := text_fault(name, longest=longest)) is not None:
        return fault
    if not name.isascii():
        strange = next(char for char in name if not char.isascii())
        return f"holds '{strange}' (U+{ord(strange):04X}); write model names in ASCII letters, which nothing can imitate"
    if not _NAME.fullmatch(name) or "//" in name or ".." in name or "  " in name:
        return "must be letters, digits and ' ._/+:()@-', and start and end with a letter or digit"
    return None


def link_fault(link: str, *, longest: int = 300) -> str | None:
    """Why a link can't be shown; only ``https://`` links are."""
    if len(link) > longest:
        return f"has {len(link):,} characters, {longest} are allowed"
    return None if _LINK.fullmatch(link) else "is not a plain https:// link"


def contact_fault(contact: str) -> str | None:
    """Why this can't be a contact: a mail address, an https link or a ``@handle``."""
    if len(contact) > 200:
        return "is too long"
    if _MAIL.fullmatch(contact) or _LINK.fullmatch(contact) or re.fullmatch(r"@[A-Za-z0-9-]{1,40}", contact):
        return None
    return "is neither a mail address nor an https:// link nor an @handle"


def skeleton(name: str) -> str:
    """What a name looks like: equal for names that a reader may take for each other.

    Case, separators and compatibility forms are dropped, digits that look like letters become them, and
    ``rn`` and ``vv`` become ``m`` and ``w`` (compare Unicode TR 39, reduced to ASCII, which names are).
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^a-z0-9|]+", "", folded).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def texts_of(value: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every leaf of a JSON value, keys included, as ``(where, leaf)``; nesting beyond six is a leaf itself."""
    if isinstance(value, dict) and depth < 6:
        for key, held in value.items():
            yield f"{where}.{str(key)[:40]}", key
            yield from texts_of(held, f"{where}.{str(key)[:40]}", depth + 1)
    elif isinstance(value, list | tuple) and depth < 6:
        for place, held in enumerate(value):
            yield from texts_of(held, f"{where}[{place}]", depth + 1)
    else:
        yield where, value


def shown(text: str, longest: int = 80) -> str:
    """A stranger's text for a terminal or a message: printable, on one line, cut."""
    plain = "".join(char if char.isprintable() else "�" for char in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
