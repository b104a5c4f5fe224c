"""What is no caption: remarks of annotators about their task, broken encodings, sentences too short or too long."""

from __future__ import annotations

import re
import unicodedata

_PICTURE = r"(?:image|picture|photo|photograph|pic)s?"
_NON_CAPTIONS = re.compile(
    rf"""
      \bthere\s+(?:is|was|are|were|s)\s+(?:no|not\s+an?(?:y)?)\s+{_PICTURE}\b   # There is no image here …
    | ^\W*no\s+{_PICTURE}\b                                             # no image again
    | \b(?:un|not\s+)able\s+to\s+(?:see|view|load|open|display)\b        # I am unable to see the image above.
    | \b(?:can(?:not|['’]?t)|could\s*n[o'’]?t)\s+(?:see|view|load|open)\s+(?:the|this|an?|any)\s+{_PICTURE}\b
    | \bnot\s+sure\s+what\s+(?:this|the)\s+{_PICTURE}\b
    | \b{_PICTURE}\s+(?:is|was|are|did|does|has|could|can)\s*(?:not|n['’]?t)\b.{{0,20}}\b(?:load|show|display|open|available|shown|visible|here)
    | \b{_PICTURE}\s+(?:is|was|are)\s+(?:missing|unavailable|broken|blank)\b
    | \b(?:this|the)\s+hit\b | \bmturk\b | \bturker
    | \b(?:page|404)\s+not\s+found\b | \berror\s+(?:loading|404)\b
    | ^\W*(?:n/?a|none|null|nan|test|asdf\w*|lorem\s+ipsum.*|caption|description)\W*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MARKUP = re.compile(r"https?://|www\.|&(?:[a-z]{2,8}|#\d{2,6});|<[/a-z!][^>]*>", re.IGNORECASE)
# UTF-8 read as Windows-1252 and written again: Ã©, â€™, Â°
_MOJIBAKE = re.compile(r"[ÃÂ][\u0080-\u00bf]|â€|ï¿½|\ufffd")
_KEPT_CONTROLS = "\t\n\r"


def junk_reason(text: str, *, min_words: int, max_words: int) -> str:
    """Why a caption is not worth rewriting, or ``""``.

    Args:
        text: the caption as the file has it.
        min_words, max_words: inclusive bounds; a word is a run between white space that holds a letter or a
            digit of any script.
    """
    if any(unicodedata.category(c) in ("Cc", "Cs", "Cn", "Co") and c not in _KEPT_CONTROLS for c in text):
        return "encoding: control or unassigned characters"
    if _MOJIBAKE.search(text):
        return "encoding: mojibake"
    if _MARKUP.search(text):
        return "markup or address"
    if _NON_CAPTIONS.search(text):
        return "not a caption"
    letters = sum(c.isalpha() for c in text)
    if letters * 2 < len("".join(text.split())):
        return "not a sentence: fewer letters than other characters"
    words = sum(any(c.isalnum() for c in word) for word in text.split())
    if words < min_words:
        return f"shorter than {min_words} words"
    if words > max_words:
        return f"longer than {max_words} words"
    return ""
