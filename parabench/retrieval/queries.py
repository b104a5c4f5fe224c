"""What is asked: captions, their paraphrases and foils, and captions asked again as a control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from parabench.data import Benchmark
from parabench.errors import DataError
from parabench.storage import sha256_text

Role = Literal["caption", "paraphrase", "foil", "caption again"]
"""What a query is; ``"caption again"`` is a caption that was embedded a second time, to see the numerical noise."""

_WORD = re.compile(r"\w+(?:['’]\w+)?")


@dataclass(frozen=True)
class Queries:
    """The texts that are asked, one row a query: each caption once, each paraphrase, each foil.

    Attributes:
        query_id: caption id, pair id, or foil id; unique within a role.
        role: what the text is.
        caption_id: the caption it is, or rewrites.
        image_id: the picture that the caption describes.
        kind: the paraphrase's or foil's kind (``""`` for captions).
        text: the query itself.
        source: where the sentence comes from, as the set says (``""`` where it does not).
    """

    query_id: tuple[str, ...]
    role: tuple[str, ...]
    caption_id: tuple[str, ...]
    image_id: tuple[str, ...]
    kind: tuple[str, ...]
    text: tuple[str, ...]
    source: tuple[str, ...]

    @classmethod
    def of(cls, benchmark: Benchmark) -> Queries:
        """The queries of a benchmark: captions in order of first use, then paraphrases, then foils of those captions."""
        pairs, foils = benchmark.pairs, benchmark.foils
        rows: list[tuple[str, str, str, str, str, str, str]] = []
        captions: dict[str, tuple[str, str]] = {}
        for caption_id, image_id, caption in zip(*(pairs[c].to_pylist() for c in ("caption_id", "image_id", "caption")),
                                                 strict=True):  # fmt: skip
            if captions.setdefault(caption_id, (image_id, caption)) != (image_id, caption):
                raise DataError(
                    f"dataset '{benchmark.name}': caption_id '{caption_id}' names two different captions or pictures",
                    "give each caption its own id, or leave the column out",
                )
        rows += [(key, "caption", key, image_id, "", text, "") for key, (image_id, text) in captions.items()]
        described = ("pair_id", "caption_id", "image_id", "kind", "source")
        for pair_id, caption_id, image_id, kind, source, text in zip(
            *(pairs[c].to_pylist() for c in (*described, "paraphrase")), strict=True
        ):
            rows.append((pair_id, "paraphrase", caption_id, image_id, kind or "", text, source or ""))
        for number, (pair_id, caption_id, image_id, kind, source, text) in enumerate(
            zip(*(foils[c].to_pylist() for c in (*described, "foil")), strict=True)
        ):
            if caption_id in captions:
                rows.append((pair_id or f"foil-{number}", "foil", caption_id, image_id, kind or "", text, source or ""))
        return cls(*(tuple(column) for column in zip(*rows, strict=True))) if rows else cls((), (), (), (), (), (), ())

    def with_captions_again(self, n: int, seed: int) -> Queries:
        """The same and, after them, a seeded sample of at most ``n`` captions once more, in their order."""
        captions = [row for row, role in enumerate(self.role) if role == "caption"]
        chosen = captions
        if len(captions) > n:
            chosen = sorted(np.random.default_rng([seed, 2]).choice(captions, n, replace=False).tolist())
        columns = {name: (*getattr(self, name), *(getattr(self, name)[row] for row in chosen)) for name in self.__dataclass_fields__}
        return Queries(**columns | {"role": (*self.role, *(["caption again"] * len(chosen)))})

    @cached_property
    def caption_text(self) -> list[str]:
        """The text of the caption that each query is or rewrites."""
        text_of = {c: text for c, role, text in zip(self.caption_id, self.role, self.text, strict=True) if role == "caption"}
        return [text_of[caption_id] for caption_id in self.caption_id]

    def __len__(self) -> int:
        return len(self.text)


def words_of(text: str) -> list[str]:
    """The words of a sentence in lower case: runs of letters and digits, with an apostrophe inside."""
    return _WORD.findall(text.lower())


def lexical_distance(a: str, b: str) -> float:
    """1 − Jaccard similarity of the two sets of words: 0 for the same words in any order, 1 for no word in common."""
    first, second = set(words_of(a)), set(words_of(b))
    return 1 - len(first & second) / len(first | second) if first | second else 0.0


def hash_queries(texts: Sequence[str]) -> tuple[str, ...]:
    """SHA-256 of every query's exact text."""
    return tuple(sha256_text(text) for text in texts)
