"""What a model said → the sentence that was asked for, or what is wrong with the answer."""

from __future__ import annotations

import json
import re

_FENCE = re.compile(r"```[\w-]*\n?|```")
_REFUSAL = re.compile(
    r"^\W*(?:i['’]?m\s+(?:really\s+)?sorry|sorry[,.!]|i\s+apologi[sz]e|i\s+(?:can(?:no|['’])t|can\s+not|won['’]t|will\s+not|am\s+(?:not\s+able|unable)\s+to)"
    r"|i['’]m\s+(?:not\s+able|unable)\s+to|as\s+an?\s+(?:ai|language\s+model)|unfortunately,?\s+i)",
    re.IGNORECASE,
)
_BARE = re.compile(r"(?:(?:paraphrase|rewrite|foil|caption|answer)\s*:\s*)?[\"“']?(?P<sentence>[^\n\"“”:<>\[\]{}]+)[\"”']?", re.IGNORECASE)
_CHAT = re.compile(
    r"\W*(?:sure|certainly|of course|okay|ok|here(?:'s| is| are| you)|i\b|as requested|let me|the (?:paraphrase|caption|json)|note)",
    re.IGNORECASE,
)
_MOST_WORDS = 60
_DECODER = json.JSONDecoder(strict=False)
LONGEST = 1000
"""Characters; a longer answer is no paraphrase of a caption."""


class MalformedAnswerError(ValueError):
    """The answer does not hold what was asked for."""


def sentence_of(answer: str, field: str) -> str:
    """The sentence in an answer.

    Read are a JSON object with ``field``, also inside code fences, after an introduction or before further text; an object
    whose only text stands under another name; and, from models that know no JSON, one bare sentence and nothing else.

    Raises:
        MalformedAnswerError: says what is wrong, in words that can be sent back.
    """
    text = _FENCE.sub("", answer).strip()
    for match in re.finditer(r"\{", text):
        try:
            value, _ = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and field in value:
            return _checked(value[field], field)
        if isinstance(value, dict) and len(value) == 1 and isinstance(only := next(iter(value.values())), str):
            return _checked(only, field)
    if "{" not in text:
        if (bare := _bare_sentence(text)) is not None:
            return _checked(bare, field)
        raise MalformedAnswerError("it holds no JSON object")
    raise MalformedAnswerError(f'it holds no complete JSON object with the field "{field}"')


def plain_sentence(answer: str) -> str:
    """The sentence of a model that answers with nothing else.

    Raises:
        MalformedAnswerError: the answer is empty or far too long.
    """
    return _checked(answer, "answer")


def is_refusal(answer: str) -> bool:
    """Whether an answer without a JSON object is a polite no."""
    return "{" not in answer and _REFUSAL.match(answer) is not None


def _bare_sentence(text: str) -> str | None:
    """The text if it is one line that can be a caption, without quotation marks and a label; no chat."""
    match = _BARE.fullmatch(text)
    if match is None or is_refusal(text) or _CHAT.match(match["sentence"]):
        return None
    return match["sentence"] if 3 <= len(match["sentence"].split()) <= _MOST_WORDS else None


def _checked(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise MalformedAnswerError(f'its field "{field}" is not a text')
    sentence = " ".join(value.split())
    if not sentence or sentence.lower() in ("nan", "null", "none", "..."):
        raise MalformedAnswerError(f'its field "{field}" is empty')
    if len(sentence) > LONGEST:
        raise MalformedAnswerError(f'its field "{field}" is longer than {LONGEST} characters')
    if "\ufffd" in sentence or any("\ud800" <= c <= "\udfff" for c in sentence):
        raise MalformedAnswerError(f'its field "{field}" holds broken characters')
    return sentence
