"""Ranks: started by torchrun, or one process alone."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from parabench.encoders.torch_runtime import resolve_device
from parabench.errors import UsageError


@dataclass(frozen=True)
class Ranks:
    """This process among all of a run.

    Attributes:
        rank, size: number of this process and how many there are.
        device: where it computes.
    """

    rank: int
    size: int
    device: str

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def gather(self, tensor: Any) -> Any:
        """``(n, …)`` of each rank → ``(size · n, …)`` in rank order; gradients flow back to their rank."""
        return tensor if self.size == 1 else _Gather.apply(tensor, self.rank, self.size)

    def mean(self, value: Any) -> Any:
        """The mean of a detached tensor over ranks."""
        if self.size == 1:
            return value.detach()
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def collect(self, value: Any) -> list[Any]:
        """Any object of each rank, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        held: list[Any] = [None] * self.size
        dist.all_gather_object(held, value)
        return held

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, model: Any, parallel: str) -> Any:
        """The model as the loop calls it: itself, DDP, or with its parameters split over ranks (FSDP2)."""
        if self.size == 1:
            return model
        if parallel == "fsdp":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.partition(":")[0], (self.size,))
            for tower in (model.image, model.text):
                if any(parameter.requires_grad for parameter in tower.parameters()):
                    fully_shard(tower, mesh=mesh)
            # scale and bias are single numbers, which can't be split; their gradients are averaged with the rest
            return model
        return torch.nn.parallel.DistributedDataParallel(
            model, device_ids=[int(self.device.partition(":")[2] or 0)] if self.device.startswith("cuda") else None
        )

    def average(self, parameters: Any) -> None:
        """Average gradients of parameters that no wrapper synchronises."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.size


class _Gather(torch.autograd.Function):
    """All rows of all ranks; the gradient of a row is the sum of what every rank says of it."""

    @staticmethod
    def forward(ctx: Any, tensor: Any, rank: int, size: int) -> Any:
        ctx.rows = slice(rank * len(tensor), (rank + 1) * len(tensor))
        parts = [torch.empty_like(tensor) for _ in range(size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rows], None, None


@contextlib.contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """This process's place; joins the others when torchrun started it.

    Raises:
        UsageError: a CUDA device is named although torchrun hands them out.
        ModelError: the device is absent.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(0, 1, resolve_device(device))
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if ":" in device:
        raise UsageError(f"--device {device} under torchrun, which gives each process its own", "--device cuda or auto")
    chosen = resolve_device(device)
    if chosen == "cuda":
        chosen = resolve_device(f"cuda:{local}")
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        # Left open until the process ends: a second group of the same processes would wait for the first one's keys.
        dist.init_process_group("nccl" if chosen.startswith("cuda") else "gloo")
        atexit.register(dist.destroy_process_group)
    yield Ranks(rank, size, chosen)
