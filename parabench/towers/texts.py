"""A batch of texts on its way through a tower: token ids, or the states that a frozen trunk made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Texts:
    """Texts padded at the right.

    The mask follows from the lengths, never from a token id, so it is right where the padding token is also
    a real one (decoders that pad with their end token).

    Attributes:
        values: ``(n, t)`` int64 token ids, or ``(n, t, width)`` floating point token states.
        lengths: ``(n,)`` int64, how many of the ``t`` places are real; at least 1.
    """

    values: Any
    lengths: Any

    @classmethod
    def pad(cls, ids: Sequence[Sequence[int]], pad_id: int) -> Texts:
        """Lists of token ids → one batch as long as its longest text."""
        lengths = [len(row) for row in ids]
        values = torch.full((len(ids), max(lengths, default=1)), pad_id, dtype=torch.int64)
        for row, tokens in enumerate(ids):
            values[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        return cls(values, torch.tensor(lengths, dtype=torch.int64))

    @property
    def are_states(self) -> bool:
        """Whether the trunk has already run."""
        return bool(self.values.is_floating_point())

    @property
    def mask(self) -> Any:
        """``(n, t)`` bool, true where a token is real."""
        return torch.arange(self.values.shape[1], device=self.values.device)[None, :] < self.lengths[:, None]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __getitem__(self, rows: slice) -> Texts:
        """Some rows, without the columns that none of them uses."""
        lengths = self.lengths[rows]
        return Texts(self.values[rows, : int(lengths.max())], lengths)

    def to(self, device: Any) -> Texts:
        """The same batch on another device."""
        return Texts(self.values.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))
