"""A pair as strips of pictures: what the caption finds, what the paraphrase finds, and what a foil finds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parabench.data import Benchmark
from parabench.evaluate.run import Run
from parabench.report.examples import SHOWN
from parabench.report.thumbnails import Thumbnails
from parabench.report.word_diff import Sentence, compare_words
from parabench.storage import sha256_text

LETTERS = "ABCDE"


@dataclass(frozen=True)
class Frame:
    """One picture of a strip: its thumbnail (empty if it is not here), whether it is the right one, its letter if the caption's strip and another share it."""

    image_id: str
    thumb: str
    right: bool
    letter: str


@dataclass(frozen=True)
class Strip:
    """What one text finds.

    Attributes:
        role: ``caption``, ``paraphrase`` or ``foil``.
        sentence: the text, its words marked that its counterpart lacks.
        frames: its first pictures.
        rank: 1-based place of the right picture in the whole gallery.
        links: (column in the caption's strip, column here, letter) of every shared picture.
    """

    role: str
    sentence: Sentence
    frames: tuple[Frame, ...]
    rank: int
    links: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True)
class Example:
    """One pair with its score and strips, the caption's first."""

    run: str
    kind: str
    metric: str
    score: float
    target: Frame
    strips: tuple[Strip, ...]


class StripMaker:
    """Makes the examples of one run.

    Args:
        run: a finished run.
        name: how the page calls it.
        thumbs: where pictures come from.
        benchmark: has the foils' texts; without it no foil is shown.
    """

    def __init__(self, run: Run, name: str, thumbs: Thumbnails, benchmark: Benchmark | None = None) -> None:
        self._run, self._name, self._thumbs, self._benchmark = run, name, thumbs, benchmark
        self._rows = run.scored.rows("paraphrase")

    def example(self, row: int, metric: str, *, foil: bool = True) -> Example:
        """The strips of the pair in row ``row`` of ``run.pairs``."""
        rankings, pair = self._run.scored, self._run.pairs.iloc[row]
        query = int(self._rows[row])
        caption_at = int(rankings.caption_row[query])
        before, after = compare_words(pair["caption"], pair["paraphrase"])
        asked = [("caption", caption_at, before), ("paraphrase", query, after)]
        if foil and (found := self._foils.get(rankings.caption_id[query])) is not None:
            asked.append(("foil", found[0], compare_words(pair["caption"], found[1])[1]))
        tops = [self._top(at) for _, at, _ in asked]
        shared = [image for image in tops[0] if any(image in top for top in tops[1:])]
        letter = {image: LETTERS[place] for place, image in enumerate(shared)}
        right = rankings.image_id[query]
        strips = tuple(
            Strip(
                role, sentence,
                tuple(Frame(image, self._thumbs.get(image), image == right, letter.get(image, "")) for image in top),
                int(rankings.target_rank[at]),
                () if place == 0 else tuple((tops[0].index(image), column, letter[image]) for column, image in enumerate(top) if image in tops[0]),
            )
            for place, ((role, at, sentence), top) in enumerate(zip(asked, tops, strict=True))
        )  # fmt: skip
        target = Frame(right, self._thumbs.get(right), True, "")
        return Example(self._name, pair["kind"] or "", metric, float(pair[metric]), target, strips)

    def _top(self, at: int) -> list[str]:
        rankings = self._run.scored
        return [rankings.gallery[image] for image in rankings.top[at, :SHOWN].tolist()]

    @cached_property
    def _foils(self) -> dict[str, tuple[int, str]]:
        """Caption id → the row of its first foil and the foil's text, which rankings know by its hash."""
        if self._benchmark is None:
            return {}
        rankings = self._run.scored
        texts = {sha256_text(text): text for text in self._benchmark.foils["foil"].to_pylist()}
        found: dict[str, tuple[int, str]] = {}
        for row in np.flatnonzero(np.array(rankings.role) == "foil").tolist():
            if (text := texts.get(rankings.query_sha256[row])) is not None:
                found.setdefault(rankings.caption_id[row], (row, text))
        return found
