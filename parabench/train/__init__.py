"""Training: recipes, strategies, losses, data, the loop.

    >>> from parabench.train import Recipe, train
    >>> train(Recipe.load("scenes-align"), "models/scenes-align")   # a folder for ``parabench:models/scenes-align``

Names are imported on first use: reading a recipe needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parabench.train.loop import train
    from parabench.train.recipe import Recipe, recipes

_PUBLIC = {"train": "parabench.train.loop", "Recipe": "parabench.train.recipe", "recipes": "parabench.train.recipe"}

__all__ = ["Recipe", "recipes", "train"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'parabench.train' has no attribute '{name}'")
