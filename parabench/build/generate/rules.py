"""``rules``: a lexicon and two rewrites of structure; deterministic, offline, and no more than a baseline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.generate.chain import NO_ANSWER
from parabench.build.generate.protocol import Options, Plan
from parabench.build.ledger import Ledger
from parabench.build.record import GeneratorRecord, RequestsRecord
from parabench.errors import UsageError

NAME = "rules-1"
"""Changes with every change of lexicon or rules."""
_ABOUT = (
    "Written by fixed rules: words exchanged from a small hand-written lexicon, phrases moved. It reads nothing and knows "
    "no grammar; it is a baseline to compare writers with."
)
_NO_RULE = "no rule applies"
_WORD = re.compile(r"[^\W\d_]+")
_PREPOSITIONS = "on|in|at|near|beside|behind|under|by|inside|outside|along|across|against"
_PLACE = re.compile(
    rf"^(?P<subject>(?:an?|the|two|three|four|five|some|several|many)\s+\S.*?)\s+(?P<place>(?:{_PREPOSITIONS})\s+"
    r"(?:an?|the|his|her|their|its|some)\s+[^,]+)$",
    re.IGNORECASE,
)
_HAS_VERB = re.compile(r"\b\w+ing\b|\b(?:is|are|was|were)\b", re.IGNORECASE)
_SUBJECT = re.compile(r"^(?P<article>an?|two|three|four|five|some|several|many)\s", re.IGNORECASE)
_BE = re.compile(r"\s(?:is|are)\s", re.IGNORECASE)


class RulesGenerator:
    """The backend.  Kinds: ``lexical``, ``syntactic`` and foils."""

    def __init__(self, options: Options) -> None:
        for kind in options.kinds:
            if kind not in ("lexical", "syntactic"):
                raise UsageError(f"the generator 'rules' writes no '{kind}' paraphrases", "use lexical, syntactic")
        self._rules = [(kind, {"lexical": lexical, "syntactic": syntactic}[kind]) for kind in options.kinds]
        if options.foils:
            self._rules.append(("foil", foil))

    def record(self) -> GeneratorRecord:
        """Who this is, and what it is not."""
        return GeneratorRecord(source="rules", model=NAME, about=_ABOUT)

    def requests(self) -> RequestsRecord:
        """Nothing is asked."""
        return RequestsRecord()

    def plan(self, captions: Sequence[Caption], ledger: Ledger | None) -> Plan:
        """Nothing is asked."""
        return Plan(len(captions), len(captions) * len(self._rules))

    def generate(self, captions: Sequence[Caption], ledger: Ledger, created: str) -> Iterator[Candidate]:
        """One candidate a caption and kind; ``no rule applies`` where that is so."""
        for caption in captions:
            for kind, rule in self._rules:
                text = rule(caption.text)
                yield Candidate(
                    pair_id=f"{caption.caption_id}-{kind}", caption=caption, text=text or NO_ANSWER,
                    role="foil" if kind == "foil" else "paraphrase", kind=kind, source="rules", generator=NAME,
                    created=created, reason="" if text else _NO_RULE,
                )  # fmt: skip


def lexical(caption: str) -> str | None:
    """Every word of the lexicon exchanged for its synonym; ``None`` where there is none."""
    synonyms = _lexicon()["synonyms"]
    words = {word.lower() for word in _WORD.findall(caption)}
    # "a small and little …" must not become "a little and small …": a synonym that stands there already is left out
    usable = {word: new for word, new in synonyms.items() if new.lower() not in words}
    changed = _exchange(caption, usable, len(caption))
    return None if changed == caption else _sentence(changed)


def syntactic(caption: str) -> str | None:
    """The place moved to the front, or ``There is …``; ``None`` where neither fits."""
    body = caption.strip().rstrip(".! ")
    match = _PLACE.match(body)
    if match and _HAS_VERB.search(match["subject"]):
        place, subject = match["place"], _BE.sub(" ", match["subject"], count=1)
        plural = _SUBJECT.match(subject)
        be = "is" if plural is None or plural["article"].lower() in ("a", "an") else "are"
        return _sentence(f"{place} there {be} {_lower_first(subject)}")
    match = _SUBJECT.match(body)
    if match and _HAS_VERB.search(body):
        be = "is" if match["article"].lower() in ("a", "an") else "are"
        return _sentence(f"There {be} {_lower_first(_BE.sub(' ', body, count=1))}")
    return None


def foil(caption: str) -> str | None:
    """The first word that has an opposite exchanged for it; ``None`` where there is none."""
    opposites = _lexicon()["opposites"]
    if "black and white" in caption.lower():  # a kind of photograph, no two colours
        opposites = {word: new for word, new in opposites.items() if word not in ("black", "white")}
    changed = _exchange(caption, opposites, 1)
    return None if changed == caption else _sentence(changed)


def _exchange(text: str, table: dict[str, str], limit: int) -> str:
    left = limit

    def replacement(match: re.Match[str]) -> str:
        nonlocal left
        new = table.get(match[0].lower())
        if new is None or left == 0:
            return match[0]
        left -= 1
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return _articles(_WORD.sub(replacement, text))


def _articles(text: str) -> str:
    """``a aircraft`` → ``an aircraft``, and the other way round, by the next word's first letter."""

    def right(match: re.Match[str]) -> str:
        article = "an" if match[2][0].lower() in "aeiou" and not match[2].lower().startswith(("one", "uni", "use")) else "a"
        return (article.capitalize() if match[1][0].isupper() else article) + f" {match[2]}"

    return re.sub(r"\b([Aa]n?)\s+([^\W\d_]+)", right, text)


def _sentence(text: str) -> str:
    text = " ".join(text.split()).rstrip(". ")
    return text[:1].upper() + text[1:] + "."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, dict[str, str]]:
    import yaml

    text = resources.files("parabench.build.generate").joinpath("lexicon.yaml").read_text(encoding="utf-8")
    return {
        part: {str(word): str(new) for word, new in words.items()} for part, words in yaml.safe_load(text).items()
    }
