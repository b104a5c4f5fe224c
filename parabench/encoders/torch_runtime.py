"""Device and precision for backends that run on torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from parabench.encoders.protocol import FloatMatrix
from parabench.errors import ModelError, UsageError


def resolve_device(device: str) -> str:
    """``auto`` → the accelerator if there is one; a device that is asked for and absent is an error."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"unknown device '{device}'", "auto, cpu, cuda, cuda:1 or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError("device 'cuda' was asked for and no CUDA device is visible", "use --device cpu, or check `nvidia-smi`")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise ModelError(f"device '{device}' was asked for and there are {torch.cuda.device_count()} CUDA devices")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device 'mps' was asked for and is not available here", "use --device cpu")
    return device


@contextlib.contextmanager
def inference(device: str, precision: str) -> Iterator[None]:
    """No gradients, and autocast for reduced precision."""
    import torch

    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        if precision != "fp32":
            stack.enter_context(torch.autocast(device.partition(":")[0], dtype=kinds[precision]))
        yield


def to_numpy(tensor: Any) -> FloatMatrix:
    """A tensor of any precision → float32 on the CPU."""
    array: FloatMatrix = tensor.detach().float().cpu().numpy().astype(np.float32, copy=False)
    return array
