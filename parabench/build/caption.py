"""A caption that is to be rewritten."""

from __future__ import annotations

from dataclasses import dataclass

from parabench.storage import sha256_text


@dataclass(frozen=True)
class Caption:
    """One caption of one picture.

    Attributes:
        caption_id, image_id: as in the benchmark format.
        text: the exact sentence; it is data, never an instruction.
        split: the split its pairs will stand in.
        labels: object categories of the picture, where known.
    """

    caption_id: str
    image_id: str
    text: str
    split: str = "test"
    labels: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the exact text."""
        return sha256_text(self.text)
