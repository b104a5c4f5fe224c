"""Token states → one vector a text."""

from __future__ import annotations

from typing import Any

import torch

from parabench.towers.config import Pooling


def pool(states: Any, lengths: Any, how: Pooling) -> Any:
    """Pool ``(n, t, width)`` states of texts with ``lengths`` real tokens to ``(n, width)``.

    ``mean``: over the real tokens.  ``cls``: the first token.  ``last``: the last real token.  ``eot``: the
    end-of-text token, which the tokeniser puts last, so that it is the last real token too; it differs from
    ``last`` in that an end token is added where the tokeniser adds none.
    """
    if how == "cls":
        return states[:, 0]
    if how == "mean":
        places = torch.arange(states.shape[1], device=states.device)
        weights = (places[None, :] < lengths[:, None]).to(states.dtype)
        return torch.einsum("ntw,nt->nw", states, weights) / lengths[:, None].to(states.dtype)
    return states[torch.arange(len(states), device=states.device), lengths - 1]
