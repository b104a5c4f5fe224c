"""The last transformer block, computed only where its output is read.

A CLIP tower keeps one position of its last block: the class token, or the end of the text.  Keys and values of that
block need all positions; queries, the output projection and the feed-forward layer need that one alone, which saves
ten twelfths of the block, and nothing is approximated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


class LastBlock(nn.Module):
    """Stands for an ``open_clip.transformer.ResidualAttentionBlock`` with ``batch_first``."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block
        self._read: Tensor | None = None

    @contextlib.contextmanager
    def reading(self, positions: Tensor) -> Iterator[None]:
        """Within, only ``positions`` ``(n,)`` int64, one a sequence, are computed; all others are zero."""
        self._read = positions
        try:
            yield
        finally:
            self._read = None

    def get_weight_dtype(self) -> torch.dtype:
        """What open_clip asks its blocks for."""
        dtype: torch.dtype = self.block.get_weight_dtype()
        return dtype

    def forward(self, q_x: Tensor, k_x: Tensor | None = None, v_x: Tensor | None = None, attn_mask: Tensor | None = None) -> Tensor:
        """``(n, length, width)`` → the same shape."""
        block = self.block
        if self._read is None or k_x is not None or v_x is not None:
            whole: Tensor = block(q_x, k_x, v_x, attn_mask=attn_mask)
            return whole
        place = self._read.view(-1, 1, 1).expand(-1, 1, q_x.shape[-1])
        seen = block.ln_1(q_x)
        mask = None
        if attn_mask is not None:
            mask = attn_mask.to(q_x.dtype)[self._read].unsqueeze(1).repeat_interleave(block.attn.num_heads, 0)
        attended = block.attn(seen.gather(1, place), seen, seen, need_weights=False, attn_mask=mask)[0]
        x = q_x.gather(1, place) + block.ls_1(attended)
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return torch.zeros_like(q_x).scatter_(1, place, x)


class PooledOnly:
    """An open_clip model whose last blocks are cut short, in each tower where its one position is known and a check shows no difference.

    Args:
        model: it is changed: :class:`LastBlock` stands at the end of such towers' transformers.
    """

    def __init__(self, model: Any) -> None:
        self._end = _end_of_text(model)
        tower = getattr(model, "text", model)
        self._text = _shortened(tower.transformer, getattr(tower, "attn_mask", None)) if self._end else None
        self._image = _shortened(model.visual.transformer, None) if _reads_class_token(model) else None

    def text(self, tokens: Tensor) -> contextlib.AbstractContextManager[None]:
        """While these ids ``(n, length)`` are encoded."""
        return self._text.reading(self._end(tokens)) if self._text and self._end else contextlib.nullcontext()

    def images(self, n: int, device: Any) -> contextlib.AbstractContextManager[None]:
        """While ``n`` pictures are encoded."""
        return self._image.reading(torch.zeros(n, dtype=torch.int64, device=device)) if self._image else contextlib.nullcontext()


def _shortened(transformer: Any, mask: Tensor | None) -> LastBlock | None:
    """Put a :class:`LastBlock` at the end of an ``open_clip`` ``Transformer``; ``None`` where its block is of another kind."""
    from open_clip.transformer import ResidualAttentionBlock

    blocks = getattr(transformer, "resblocks", None)
    if not blocks or not getattr(transformer, "batch_first", False) or type(blocks[-1]) is not ResidualAttentionBlock:
        return None
    whole, short = blocks[-1], LastBlock(blocks[-1])
    weight = whole.mlp.c_fc.weight
    states = torch.randn(3, 5, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    mask = None if mask is None else mask[:5, :5]
    read = torch.tensor([0, 4, 2], device=weight.device)
    with torch.inference_mode(), short.reading(read):
        same = torch.allclose(whole(states, attn_mask=mask)[range(3), read], short(states, attn_mask=mask)[range(3), read], atol=2e-5, rtol=1e-4)
    if not same:
        return None
    blocks[-1] = short
    return short


def _end_of_text(model: Any) -> Callable[[Tensor], Tensor] | None:
    """Where the text tower reads its output, from the ids; ``None`` where that is not one position of the ids."""
    tower = getattr(model, "text", model)
    if getattr(tower, "cls_emb", None) is not None:
        return None
    pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if pooling == "argmax":
        return lambda tokens: tokens.argmax(dim=-1)
    if pooling == "last":
        return lambda tokens: torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device)
    return None


def _reads_class_token(model: Any) -> bool:
    from open_clip.transformer import VisionTransformer

    visual = model.visual
    return type(visual) is VisionTransformer and visual.pool_type == "tok" and visual.attn_pool is None

