"""Frozen parts stay as they are: in eval mode whatever is called on the model, and without gradients."""

from __future__ import annotations

from typing import Any, Self

from torch import nn


class PartlyFrozen(nn.Module):
    """A module whose ``train()`` reaches only the parts that learn.

    A part is in train mode when *all* its parameters learn; every other module, dropout included, is in
    eval mode.  So dropout and batch statistics of a frozen network can't come alive.
    """

    def train(self, mode: bool = True) -> Self:
        """Put the parts that learn in train (or eval) mode and all others in eval mode."""
        if not mode:
            super().train(False)
            return self
        for module in self.modules():
            module.training = False
        _wake(self)
        return self


def _wake(module: Any) -> None:
    parameters = list(module.parameters())
    if parameters and all(parameter.requires_grad for parameter in parameters):
        for part in module.modules():
            part.training = True
        return
    for child in module.children():
        _wake(child)


def is_frozen(module: Any) -> bool:
    """Whether no parameter of the module learns (true for a module without parameters)."""
    return not any(parameter.requires_grad for parameter in module.parameters())
