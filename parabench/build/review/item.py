"""What the page shows of one candidate: its sentences, what is different between them, and its picture."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parabench.build.candidates import Candidate
from parabench.build.reviews import REASONS, ReviewTable
from parabench.data.images import SUFFIXES
from parabench.errors import DataError

_TOKENS = re.compile(r"\w+(?:['’]\w+)*|\s+|[^\w\s]")
_LONGEST_DIFF = 2_000  # tokens; longer texts are shown without marks, since comparing takes quadratic time
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def item_of(reviews: ReviewTable, candidate: Candidate, annotator: str) -> dict[str, Any]:
    """The candidate as JSON for the page; sentences are plain text, to be shown as text."""
    caption = candidate.caption
    siblings = reviews.siblings(candidate)
    foil = candidate if candidate.role == "foil" else next((c for c in siblings if c.role == "foil"), None)
    paraphrase = (
        candidate if candidate.role == "paraphrase" else next((c for c in siblings if c.role == "paraphrase"), None)
    )
    position = reviews.place(candidate.pair_id)
    assert position is not None
    verdict = reviews.current(candidate.pair_id).get(annotator)
    return {
        "pair_id": candidate.pair_id,
        "image_id": caption.image_id,
        "role": candidate.role,
        "kind": candidate.kind,
        "generator": candidate.generator,
        "labels": list(caption.labels),
        "sentence": candidate.text,
        "texts": [
            _text("caption", caption.text, None, judged=False),
            *(
                _text(role, found.text, caption.text, judged=found is candidate)
                for role, found in (("paraphrase", paraphrase), ("foil", foil))
                if found is not None
            ),
        ],
        "reasons": list(REASONS[candidate.role]),
        "scores": {name: round(value, 3) for name, value in sorted(candidate.scores.items())},
        "verdict": None
        if verdict is None
        else {"decision": verdict.decision, "reason": verdict.reason, "text": verdict.text},
        "previous": reviews.neighbour(position, -1),
        "next": reviews.neighbour(position, 1),
    }


def word_diff(old: str, new: str) -> list[tuple[str, bool]]:
    """``new`` in pieces, each with whether its words are absent at this place of ``old`` (case apart)."""
    a, b = _TOKENS.findall(old), _TOKENS.findall(new)
    if len(a) > _LONGEST_DIFF or len(b) > _LONGEST_DIFF or len(a) * len(b) > _LONGEST_DIFF**2 // 4:
        return [(new, False)]
    words_a = [token.lower() for token in a if not token.isspace()]
    places = [place for place, token in enumerate(b) if not token.isspace()]
    matcher = difflib.SequenceMatcher(None, words_a, [b[place].lower() for place in places], autojunk=False)
    changed = [True] * len(b)
    for match in matcher.get_matching_blocks():
        for place in places[match.b : match.b + match.size]:
            changed[place] = False
    for place, token in enumerate(b):
        if token.isspace():  # a space is marked only between marked words
            changed[place] = 0 < place < len(b) - 1 and changed[place - 1] and _next_changed(b, changed, place)
    pieces: list[tuple[str, bool]] = []
    for token, mark in zip(b, changed, strict=True):
        if pieces and pieces[-1][1] == mark:
            pieces[-1] = (pieces[-1][0] + token, mark)
        else:
            pieces.append((token, mark))
    return pieces


class PictureFolder:
    """Finds the picture of an image id below a folder: by file name, by stem, or by COCO's zero-padded number.

    The folder is listed once and only files of that list are served, so no id can name a file outside it.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"no such folder of pictures: {folder}", "check --images")
        self._paths: dict[str, Path | None] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                digits = path.stem.rpartition("_")[2]
                names = {path.name, path.stem, path.relative_to(folder).as_posix()}
                self._add([*names, *([str(int(digits))] if digits.isascii() and digits.isdigit() else [])], path)

    def find(self, image_id: str) -> Path | None:
        """The file, or ``None`` where there is none or several have the name."""
        return self._paths.get(image_id)

    def _add(self, names: Iterable[str], path: Path) -> None:
        for name in names:
            self._paths[name] = path if self._paths.get(name, path) == path else None


def _next_changed(tokens: list[str], changed: list[bool], place: int) -> bool:
    return not tokens[place + 1].isspace() and changed[place + 1]


def _text(role: str, text: str, caption: str | None, *, judged: bool) -> dict[str, Any]:
    return {
        "role": role,
        "judged": judged,
        "pieces": [(text, False)] if caption is None else word_diff(caption, text),
        "hidden": sorted({f"U+{ord(character):04X}" for character in _HIDDEN.findall(text)}),
    }
