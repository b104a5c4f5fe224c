"""The two transformers of an open_clip model, run with less work for the same vectors.

* **A text is read at its end and sees only what comes before it**, so nothing behind the end is computed, and what texts
  of a batch begin with in common is computed once.
* **A picture is read at its class token**, so the last block computes the feed-forward layer for that alone.
* **On a processor weights are laid out for oneDNN once**, instead of at every product.

Nothing is approximated.  Towers of another kind are left as they are, and so is one whose vectors would change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

_ROWS_EXPECTED = 1024
"""For which oneDNN lays weights out; other numbers of rows are as fast."""

_CAN_PACK = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Linear:
    """``x @ weight.T + bias``, then GELU if asked for.

    Args:
        weight: ``(out, in)``.
        bias: ``(out,)`` or ``None``.
        packed: keep a copy of the weights in oneDNN's own layout, where torch can.
        gelu: exact GELU on the output.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, packed: bool, gelu: bool = False) -> None:
        self._bias, self._gelu, self._packed = bias, gelu, packed and _CAN_PACK
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_EXPECTED) if self._packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """``(rows, in)`` → ``(rows, out)``."""
        y: Tensor
        if self._packed:
            after, kind = ("gelu", "none") if self._gelu else ("none", "")
            y = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, after, [], kind)
            return y
        y = F.linear(x, self._weight, self._bias)
        return F.gelu(y) if self._gelu else y


class Block:
    """An ``open_clip.transformer.ResidualAttentionBlock`` on rows, of which sequences may share some."""

    def __init__(self, block: Any, *, packed: bool) -> None:
        attention, mlp = block.attn, block.mlp
        exact = type(mlp.gelu) is nn.GELU and mlp.gelu.approximate == "none"
        self._heads: int = attention.num_heads
        self._ln_1, self._ln_2, self._ls_1, self._ls_2 = block.ln_1, block.ln_2, block.ls_1, block.ls_2
        self._in = Linear(attention.in_proj_weight, attention.in_proj_bias, packed=packed)
        self._out = Linear(attention.out_proj.weight, attention.out_proj.bias, packed=packed)
        self._wider = Linear(mlp.c_fc.weight, mlp.c_fc.bias, packed=packed, gelu=exact)
        self._activation: Callable[[Tensor], Tensor] = nn.Identity() if exact else mlp.gelu
        self._narrower = Linear(mlp.c_proj.weight, mlp.c_proj.bias, packed=packed)

    def __call__(self, x: Tensor, n: int, places: Tensor | None = None, read: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """One block.

        Args:
            x: ``(rows, width)``.
            n: sequences.
            places: ``(n · length,)`` the row at each place of each sequence; as they stand by default.
            read: ``(kept,)`` places, one for each row that comes out; all by default.
            causal: whether a place sees only what is before it.
        """
        joint = self._in(self._ln_1(x))
        if places is not None:
            joint = joint.index_select(0, places)
        query, key, value = joint.view(n, len(joint) // n, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=causal).transpose(1, 2).reshape(len(joint), -1)
        if read is not None:
            seen = seen.index_select(0, read)
            x = x.index_select(0, read if places is None else places[read])
        x = x + self._ls_1(self._out(seen))
        y: Tensor = x + self._ls_2(self._narrower(self._activation(self._wider(self._ln_2(x)))))
        return y


class CausalTextTower:
    """A causal text tower that is read at the end of the text.

    Args:
        tower: ``open_clip.CLIP`` or ``open_clip.transformer.TextTransformer``.
        packed: see :class:`Linear`.
    """

    def __init__(self, tower: Any, *, packed: bool) -> None:
        self._embedding, self._positions = tower.token_embedding, tower.positional_embedding
        self._blocks = [Block(block, packed=packed) for block in tower.transformer.resblocks]
        self._norm, self._projection = tower.ln_final, tower.text_projection
        self._pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
        self._eos = getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))

    def ends(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place where each text ``(n, context)`` is read, ``(n,)``."""
        places: NDArray[np.int64] = np.argmax(ids if self._pooling == "argmax" else ids == self._eos, axis=1)
        return places

    def __call__(self, ids: NDArray[np.int64]) -> Tensor:
        """``(n, context)`` token ids → ``(n, dim)``."""
        ends = self.ends(ids)
        length = int(ends.max()) + 1
        places, read = shared_prefixes(ids[:, :length], ends)
        device = self._positions.device
        x = self._embedding(torch.from_numpy(ids[:, :length].reshape(-1)[read]).to(device)) + self._positions[torch.from_numpy(read % length)]
        rows, kept = torch.from_numpy(places.reshape(-1)).to(device), torch.from_numpy(read).to(device)
        for block in self._blocks[:-1]:
            x = block(x, len(ids), rows, kept, causal=True)
        ending = torch.from_numpy(np.arange(len(ids)) * length + ends).to(device)
        x = self._norm(self._blocks[-1](x, len(ids), rows, ending, causal=True))
        if self._projection is None:
            return x
        y: Tensor = self._projection(x) if isinstance(self._projection, nn.Linear) else x @ self._projection
        return y


class ImageTransformer(nn.Module):
    """Stands for the ``transformer`` of an ``open_clip.transformer.VisionTransformer`` that is read at its class token."""

    def __init__(self, transformer: Any, *, packed: bool) -> None:
        super().__init__()
        self._blocks = [Block(block, packed=packed) for block in transformer.resblocks]

    def forward(self, x: Tensor) -> Tensor:
        """``(n, length, width)`` → the same shape, in which only the first place is filled."""
        n, length, width = x.shape
        rows = x.reshape(n * length, width)
        for block in self._blocks[:-1]:
            rows = block(rows, n)
        whole = torch.zeros_like(x)
        whole[:, 0] = self._blocks[-1](rows, n, read=torch.arange(n, device=x.device) * length)
        return whole


def shorten_text(model: Any, ids: NDArray[np.int64], whole: Tensor, *, packed: bool) -> CausalTextTower | None:
    """The text tower of an open_clip model as a :class:`CausalTextTower`, or ``None`` where it is of another kind.

    Args:
        model: in place of packed weights its own are given up: ``model.encode_text`` is of no use after that.
        ids: ``(n, context)`` texts to check with, some with a common beginning.
        whole: ``(n, dim)`` their vectors by ``model.encode_text``.
        packed: see :class:`Linear`.
    """
    tower = getattr(model, "text", model)
    pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    causal = getattr(tower, "attn_mask", None) is not None and getattr(tower, "cls_emb", None) is None
    if not causal or pooling not in ("argmax", "eos") or not _plain(tower.transformer):
        return None
    short = CausalTextTower(tower, packed=packed)
    if not same_vectors(short(ids), whole):
        return None
    if packed:
        tower.transformer.resblocks = nn.ModuleList()
    return short


def shorten_images(model: Any, *, packed: bool) -> bool:
    """Put an :class:`ImageTransformer` into the image tower of an open_clip model, unless it is of another kind."""
    visual = model.visual
    if type(visual) is not VisionTransformer or visual.pool_type != "tok" or visual.attn_pool is not None or not _plain(visual.transformer):
        return False
    own = visual.transformer
    picture = torch.randn(1, 3, *visual.image_size, generator=torch.Generator().manual_seed(0)).to(visual.class_embedding.device)
    whole = model.encode_image(picture)
    visual.transformer = ImageTransformer(own, packed=packed)
    if same_vectors(model.encode_image(picture), whole):
        return True
    visual.transformer = own
    return False


def _plain(transformer: Any) -> bool:
    """Whether it consists of blocks that :class:`Block` stands for."""
    blocks = getattr(transformer, "resblocks", [])
    return len(blocks) > 0 and transformer.batch_first and all(
        type(block) is ResidualAttentionBlock and block.attn.in_proj_weight is not None for block in blocks
    )  # fmt: skip


def same_vectors(short: Tensor, whole: Tensor) -> bool:
    """Whether two ways to run a tower agree to float noise."""
    return short.shape == whole.shape and bool(torch.allclose(short, whole, atol=2e-5, rtol=1e-4))


def shared_prefixes(ids: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tree of what texts begin with.

    Args:
        ids: ``(n, length)`` token ids.
        ends: ``(n,)`` the last place of each text that counts.

    Returns:
        ``(n, length)`` the node at each place, 0 behind the end; and ``(nodes,)`` for each node one place of it, counted
        through all texts.
    """
    n, length = ids.shape
    nodes, places = np.zeros((n, length), np.int64), []
    above, count = np.zeros(n, np.int64), 0
    for column in range(length):
        alive = np.flatnonzero(ends >= column)
        _, first, node = np.unique(above[alive] * (1 << 32) + ids[alive, column], return_index=True, return_inverse=True)
        above[alive] = nodes[alive, column] = node + count
        places.append(alive[first] * length + column)
        count += len(first)
    return nodes, np.concatenate(places)
