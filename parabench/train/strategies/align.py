"""``align``, the reference: transformer *alignment layers* on the token states of a frozen language model.

Cheng et al., *Adapting Dual-encoder Vision-language Models for Paraphrased Retrieval* (arXiv 2405.03190).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from parabench.towers.config import TextConfig
from parabench.train.strategies.base import Strategy, outside_trunk

if TYPE_CHECKING:
    from parabench.train.recipe import TextRecipe


class Align(Strategy):
    """The alignment layers and the projection train.

    Attributes:
        layers: number of alignment layers.
        width: their width; the language model's own by default.  A smaller one is cheaper by its square.
        heads: attention heads of each; the language model's own number by default, or one for 64 of another width.
    """

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "frozen"
    name: Literal["align", "align-unlock"] = "align"
    layers: int = Field(default=2, ge=1)
    width: int | None = Field(default=None, ge=8)
    heads: int | None = Field(default=None, ge=1)

    def text_config(self, text: TextRecipe) -> TextConfig:
        """The language model under alignment layers."""
        update = {"alignment_layers": self.layers, "alignment_width": self.width, "alignment_heads": self.heads}
        return super().text_config(text).model_copy(update=update)

    def trains(self, tower: Any) -> Iterator[str]:
        """Alignment layers and projection."""
        return outside_trunk(tower)
