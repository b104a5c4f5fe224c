"""What a strategy is: the shape of the text tower, and the names of the parameters that train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from parabench.errors import UsageError
from parabench.registry import Registry
from parabench.towers.config import Strict, TextConfig

if TYPE_CHECKING:
    from parabench.train.recipe import TextRecipe


class Strategy(Strict, ABC):
    """A strategy with its options.

    Attributes:
        name: as written in recipes.
        trunk: whether the language model learns: ``all``, ``some`` or ``frozen``.
        language_model: whether there is one.
    """

    trunk: ClassVar[Literal["all", "some", "frozen"]]
    language_model: ClassVar[bool] = True
    name: str

    def check(self, text: TextRecipe) -> None:
        """Refuse a text recipe that the strategy can't work with (:class:`UsageError`)."""
        if self.language_model and not text.model:
            raise UsageError(
                f"strategy {self.name} works on a language model, and text.model names none",
                "e.g. text.model=sentence-transformers/all-MiniLM-L6-v2, or strategy=scratch",
            )
        if not self.language_model and text.model:
            raise UsageError(
                f"strategy {self.name} trains CLIP's own transformer, and text.model={text.model} names a language model",
                "leave text.model out, or choose finetune, frozen, adapter, align or align-unlock",
            )

    def text_config(self, text: TextRecipe) -> TextConfig:
        """The text tower that is trained."""
        return TextConfig(
            kind="lm", name=text.model or "", revision=text.revision, layers=text.layers, max_length=text.max_length,
            pooling=text.pooling or "mean",
        )  # fmt: skip

    @abstractmethod
    def trains(self, tower: Any) -> Iterator[str]:
        """Names of the parameters of a text tower that train."""


STRATEGIES: Registry[type[Strategy]] = Registry(
    "strategy",
    {
        "scratch": "parabench.train.strategies.scratch:Scratch",
        "finetune": "parabench.train.strategies.finetune:Finetune",
        "frozen": "parabench.train.strategies.frozen:Frozen",
        "adapter": "parabench.train.strategies.adapter:Adapter",
        "align": "parabench.train.strategies.align:Align",
        "align-unlock": "parabench.train.strategies.align_unlock:AlignUnlock",
    },
    group="parabench.strategies",
)


def outside_trunk(tower: Any) -> Iterator[str]:
    """Names of all parameters that are not the trunk's: projection, alignment layers, adapters."""
    return (name for name, _ in tower.named_parameters() if not name.startswith("trunk."))


def apply(strategy: Strategy, model: Any) -> list[str]:
    """Let exactly the declared parameters of a dual encoder learn; returns their names.

    The text tower follows the strategy; the image trunk learns unless it is locked; the image head, the scale
    and the bias always do.
    """
    text = {f"text.{name}" for name in strategy.trains(model.text)}
    known = {name for name, _ in model.named_parameters()}
    if unknown := text - known:
        raise AssertionError(f"strategy {strategy.name} names parameters that do not exist: {sorted(unknown)[:3]}")
    chosen = []
    for name, parameter in model.named_parameters():
        if name.startswith("text."):
            learns = name in text
        elif name.startswith("image.trunk."):
            learns = not model.image.config.locked
        else:
            learns = True
        parameter.requires_grad_(learns)
        if learns:
            chosen.append(name)
    return chosen
