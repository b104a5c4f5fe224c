"""``finetune``: starts from a language model, and all of it trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from parabench.train.strategies.base import Strategy


class Finetune(Strategy):
    """Everything trains; the language model at ``optimiser.backbone_lr``."""

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "all"
    name: Literal["finetune"] = "finetune"

    def trains(self, tower: Any) -> Iterator[str]:
        """All."""
        return (name for name, _ in tower.named_parameters())
