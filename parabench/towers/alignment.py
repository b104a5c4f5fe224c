"""Alignment layers: transformer layers on the token states of a frozen language model.

Cheng et al., *Adapting Dual-encoder Vision-language Models for Paraphrased Retrieval* (arXiv 2405.03190):
the language model keeps what it knows of paraphrase, and the layers learn to speak of pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class AlignmentLayer(nn.Module):
    """A pre-norm transformer layer with full attention among the real tokens.

    Both branches start at zero, so that an untrained layer hands the states of the language model through
    unchanged: training starts from its geometry and departs from it only as far as the pictures ask.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_feedforward = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        for branch in (self.out, self.down):
            nn.init.zeros_(branch.weight)
            nn.init.zeros_(branch.bias)

    def forward(self, states: Any, mask: Any) -> Any:
        """``(n, t, width)`` states and ``(n, t)`` bool mask (true = real) → ``(n, t, width)``."""
        n, t, width = states.shape
        split = self.queries_keys_values(self.norm_attention(states)).view(n, t, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask[:, None, None, :])
        states = states + self.out(attended.transpose(1, 2).reshape(n, t, width))
        return states + self.down(functional.gelu(self.up(self.norm_feedforward(states))))


class AlignmentLayers(nn.Module):
    """A stack of :class:`AlignmentLayer` and a last normalisation.

    Args:
        states: width of the token states that come in.
        width: width of the layers; other than ``states``, a linear map leads from the one to the other.
    """

    def __init__(self, states: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.entry: Any = nn.Identity() if states == width else nn.Linear(states, width)
        self.layers = nn.ModuleList(AlignmentLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Any, mask: Any) -> Any:
        """``(n, t, states)`` and ``(n, t)`` bool mask → ``(n, t, width)``."""
        states = self.entry(states)
        for layer in self.layers:
            states = layer(states, mask)
        return self.norm(states)


class BottleneckAdapter(nn.Module):
    """Down, non-linearity, up, added to its input; starts as the identity (Houlsby et al. 2019)."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, rank)
        self.up = nn.Linear(rank, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Any) -> Any:
        """``(…, width)`` → ``(…, width)``."""
        return states + self.up(functional.gelu(self.down(self.norm(states))))

    def after(self, layer: nn.Module) -> None:
        """Apply the adapter to whatever ``layer`` returns from now on."""

        def adapt(_: nn.Module, __: Any, output: Any) -> Any:
            return (self(output[0]), *output[1:]) if isinstance(output, tuple) else self(output)

        layer.register_forward_hook(adapt)


def standard_normal(parameter: Any, std: float) -> None:
    """Initialise a parameter from a centred normal distribution."""
    with torch.no_grad():
        parameter.normal_(0.0, std)
