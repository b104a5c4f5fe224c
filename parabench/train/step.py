"""The gradient of one batch: at once, or in chunks with the whole batch's negatives."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from parabench.train.data.batches import Batch
from parabench.train.distributed import Ranks
from parabench.train.losses.base import Embedded, Loss


class Step:
    """Computes loss and gradients.

    Args:
        model: the dual encoder, wrapped for its ranks.
        loss: what is minimised.
        chunk: forward so many rows at a time, or ``None``.
        autocast: run the towers in bf16.
    """

    def __init__(self, model: Any, loss: Loss, ranks: Ranks, *, chunk: int | None, autocast: bool) -> None:
        self._model, self._loss, self._ranks, self._chunk = model, loss, ranks, chunk
        self._autocast = autocast

    def __call__(self, batch: Batch, share: float = 1.0, *, synchronise: bool = True) -> Any:
        """Add ``share`` times the gradient of the global batch's loss; returns the loss, averaged over ranks.

        Args:
            batch: this rank's rows.
            share: factor of the loss (1 / number of accumulated batches).
            synchronise: let ranks average gradients after this batch.
        """
        n = len(batch.groups)
        if self._chunk is None or self._chunk >= n:
            with self._together(synchronise):
                image, texts, scale, bias = self._forward(batch.images, batch.views)
                value = self._loss(self._embedded(batch, image, texts, scale, bias))
                (value * share).backward()
        else:
            value = self._cached(batch, share, synchronise)
        return self._ranks.mean(value)

    def _cached(self, batch: Batch, share: float, synchronise: bool) -> Any:
        """GradCache (Gao et al. 2021, arXiv 2101.06983).

        Embed chunk by chunk without graphs; take the loss and its gradients at the embeddings; embed again chunk
        by chunk, with the same random state, and push those gradients through.
        """
        assert self._chunk is not None
        rows = [slice(start, start + self._chunk) for start in range(0, len(batch.groups), self._chunk)]
        states, parts = [], []
        with torch.no_grad():
            for part in rows:
                states.append(_RandomState(self._ranks.device))
                parts.append(self._forward(batch.images[part], [view[part] for view in batch.views]))
        image = torch.cat([made[0] for made in parts]).requires_grad_()
        texts = [torch.cat(view).requires_grad_() for view in zip(*(made[1] for made in parts), strict=True)]
        scale, bias = (made.detach().clone().requires_grad_() for made in parts[0][2:])
        value = self._loss(self._embedded(batch, image, texts, scale, bias))
        leaves = [image, *texts, scale, bias]
        gradients = [
            torch.zeros_like(leaf) if gradient is None else gradient * share
            for leaf, gradient in zip(leaves, torch.autograd.grad(value, leaves, allow_unused=True), strict=True)
        ]
        after = _RandomState(self._ranks.device)
        for number, (part, state) in enumerate(zip(rows, states, strict=True)):
            last = number == len(rows) - 1
            state.restore()
            with self._together(synchronise and last):
                image, texts, scale, bias = self._forward(batch.images[part], [view[part] for view in batch.views])
                carried = (image * gradients[0][part]).sum()
                for text, gradient in zip(texts, gradients[1:-2], strict=True):
                    carried = carried + (text * gradient[part]).sum()
                # scale and bias enter the loss once, whatever the number of chunks
                carried = carried + (scale * gradients[-2] + bias * gradients[-1]) * float(last)
                carried.backward()
        after.restore()
        return value

    def _forward(self, images: Any, views: Sequence[Any]) -> Any:
        with torch.autocast(self._ranks.device.partition(":")[0], torch.bfloat16, enabled=self._autocast):
            return self._model(images, views)

    def _embedded(self, batch: Batch, image: Any, texts: Sequence[Any], scale: Any, bias: Any) -> Embedded:
        return Embedded(
            image, dict(zip(self._loss.views, texts, strict=True)), batch.groups, scale, bias, self._ranks.gather,
            self._ranks.rank * len(batch.groups),
        )  # fmt: skip

    def _together(self, synchronise: bool) -> Any:
        """Within it gradients are averaged over ranks, or kept for a later batch."""
        if synchronise or not hasattr(self._model, "no_sync"):
            return contextlib.nullcontext()
        return self._model.no_sync()


class _RandomState:
    """The random state at one moment, so that dropout can be repeated."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._cpu = torch.random.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.startswith("cuda") else None

    def restore(self) -> None:
        """Go back to that moment."""
        torch.random.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
