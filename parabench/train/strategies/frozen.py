"""``frozen``: the language model as it is, under one linear map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from parabench.train.strategies.base import Strategy, outside_trunk


class Frozen(Strategy):
    """Only the projection trains."""

    trunk: ClassVar[Literal["all", "some", "frozen"]] = "frozen"
    name: Literal["frozen"] = "frozen"

    def trains(self, tower: Any) -> Iterator[str]:
        """The projection."""
        return outside_trunk(tower)
