"""``adapter``: small trainable parts inside a frozen language model.

Bottleneck adapters: Houlsby et al. 2019, *Parameter-Efficient Transfer Learning for NLP* (arXiv 1902.00751).
LoRA: Hu et al. 2021 (arXiv 2106.09685), through peft.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from parabench.towers.config import AdapterConfig, TextConfig
from parabench.train.strategies.base import Strategy, outside_trunk

if TYPE_CHECKING:
    from parabench.train.recipe import TextRecipe


class Adapter(Strategy):
    """The adapters and the projection train.

    Attributes:
        kind: ``bottleneck`` (after each layer) or ``lora`` (on each linear map).
        rank: width of the bottleneck, or rank of the update.
    """

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "some"
    name: Literal["adapter"] = "adapter"
    kind: Literal["bottleneck", "lora"] = "bottleneck"
    rank: int = Field(default=64, ge=1)

    def text_config(self, text: TextRecipe) -> TextConfig:
        """The language model with adapters in it."""
        return super().text_config(text).model_copy(update={"adapter": AdapterConfig(kind=self.kind, rank=self.rank)})

    def trains(self, tower: Any) -> Iterator[str]:
        """Adapters and projection; LoRA's matrices lie inside the trunk."""
        yield from outside_trunk(tower)
        yield from (name for name, _ in tower.named_parameters() if name.startswith("trunk.") and ".lora_" in name)
