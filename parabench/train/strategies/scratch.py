"""``scratch``: CLIP's text transformer, trained on the captions alone (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from parabench.errors import UsageError
from parabench.towers.config import TextConfig
from parabench.train.strategies.base import Strategy

if TYPE_CHECKING:
    from parabench.train.recipe import TextRecipe


class Scratch(Strategy):
    """Everything trains, from random weights."""

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "all"
    language_model: ClassVar[bool] = False
    name: Literal["scratch"] = "scratch"

    def check(self, text: TextRecipe) -> None:
        """CLIP's transformer pools at its end token: its causal mask lets no other place see the whole text."""
        super().check(text)
        if text.pooling not in (None, "eot"):
            raise UsageError(f"strategy scratch pools at the end token, and text.pooling={text.pooling}", "leave text.pooling out")

    def text_config(self, text: TextRecipe) -> TextConfig:
        """CLIP's transformer in the size of the recipe."""
        return TextConfig(
            kind="clip", layers=text.layers or 12, width=text.width, heads=text.heads, max_length=text.max_length, pooling="eot"
        )

    def trains(self, tower: Any) -> Iterator[str]:
        """All."""
        return (name for name, _ in tower.named_parameters())
