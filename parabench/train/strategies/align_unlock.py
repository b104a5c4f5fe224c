"""``align-unlock``: alignment layers, and the last layers of the language model train too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from parabench.errors import UsageError
from parabench.train.strategies.align import Align


class AlignUnlock(Align):
    """Like ``align``, with the last ``unlock`` layers of the language model at ``optimiser.backbone_lr``."""

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "some"
    name: Literal["align-unlock"] = "align-unlock"
    unlock: int = Field(default=1, ge=1)

    def trains(self, tower: Any) -> Iterator[str]:
        """Alignment layers, projection and the last layers of the trunk."""
        yield from super().trains(tower)
        layers = tower.trunk.layer_list
        if self.unlock > len(layers):
            raise UsageError(f"strategy.unlock={self.unlock}, but the language model has {len(layers)} layers")
        unlocked = {id(parameter) for layer in layers[-self.unlock :] for parameter in layer.parameters()}
        yield from (name for name, parameter in tower.named_parameters() if id(parameter) in unlocked)
