"""AdamW with groups, warm-up and cosine, moving averages."""

from __future__ import annotations

import math
from typing import Any

import torch

from parabench.train.recipe import OptimiserRecipe


def adamw(model: Any, recipe: OptimiserRecipe) -> Any:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over what learns.

    Matrices decay; biases, gains, positions, scale and bias do not.  Pretrained parts (a language model, an image
    tower with weights) learn at ``backbone_lr``.
    """
    pretrained = tuple(
        prefix for prefix, held in (
            ("text.trunk.", model.text.config.kind == "lm"),
            ("image.trunk.", bool(model.image.config.weights)),
        ) if held
    )  # fmt: skip
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            backbone = bool(pretrained) and name.startswith(pretrained) and ".lora_" not in name
            decays = parameter.ndim >= 2 and "positional_embedding" not in name
            groups.setdefault((backbone, decays), []).append(parameter)
    backbone_lr = recipe.lr / 10 if recipe.backbone_lr is None else recipe.backbone_lr
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak": backbone_lr if backbone else recipe.lr, "lr": 0.0,
             "weight_decay": recipe.weight_decay if decays else 0.0}
            for (backbone, decays), parameters in sorted(groups.items())
        ],
        betas=(recipe.beta1, recipe.beta2), eps=recipe.eps,
    )  # fmt: skip


def factor(step: int, recipe: OptimiserRecipe) -> float:
    """Share of the peak learning rate at ``step`` (from 0): linear warm-up, then a cosine to ``final_lr``."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.final_lr + (1 - recipe.final_lr) * (1 + math.cos(math.pi * done)) / 2


def set_lr(optimiser: Any, step: int, recipe: OptimiserRecipe) -> float:
    """Set every group's rate for ``step``; returns that of the parts without pretrained weights."""
    share = factor(step, recipe)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share
    return recipe.lr * share


class MovingAverage:
    """Exponential moving average of what learns: θ̄ ← d·θ̄ + (1 − d)·θ after each step."""

    def __init__(self, model: Any, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}

    def update(self, model: Any) -> None:
        """One step."""
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self.tensors:
                    self.tensors[name].lerp_(value.detach(), 1 - self.decay)

    def swap(self, model: Any) -> None:
        """Exchange the averages with the model's weights; calling it twice restores both."""
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self.tensors:
                    held = value.detach().clone()
                    value.copy_(self.tensors[name])
                    self.tensors[name].copy_(held)
