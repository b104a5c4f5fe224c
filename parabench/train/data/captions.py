"""A training set whose captions fit in memory; its pictures are opened when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from parabench.errors import DataError
from parabench.storage import canonical_json


@dataclass(frozen=True)
class CaptionSet:
    """Pictures and their captions.

    Attributes:
        name: said in messages and in the model card.
        image_ids: one an entry, distinct.
        captions: the captions of each picture, at least one.
        rewrites: caption → its paraphrases.
        open: image id → RGB picture (:class:`DataError` when it is missing or broken).
        content: image id → hash of the picture's bytes, for the cache.
    """

    name: str
    image_ids: list[str]
    captions: list[list[str]]
    open: Callable[[str], Any]
    content: Callable[[str], str]
    rewrites: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.image_ids:
            raise DataError(f"training data {self.name}: there are no pictures with captions")
        for image_id, own in zip(self.image_ids, self.captions, strict=True):
            if not own or not all(text.strip() for text in own):
                raise DataError(
                    f"training data {self.name}: picture '{image_id}' has {'an empty' if own else 'no'} caption",
                    "remove the picture or give it a caption",
                )

    def __len__(self) -> int:
        return len(self.image_ids)

    @cached_property
    def texts(self) -> list[str]:
        """Every distinct text that training can read, captions first."""
        found = dict.fromkeys(caption for own in self.captions for caption in own)
        found |= dict.fromkeys(text for caption in list(found) for text in self.rewrites.get(caption, ()))
        return list(found)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ids, captions and rewrites in order (pictures are hashed where they are read)."""
        whole = canonical_json([self.image_ids, self.captions, sorted(self.rewrites.items())])
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()

    def first(self, limit: int | None) -> CaptionSet:
        """The first ``limit`` pictures (``None``: all)."""
        if limit is None:
            return self
        return CaptionSet(self.name, self.image_ids[:limit], self.captions[:limit], self.open, self.content, self.rewrites)
