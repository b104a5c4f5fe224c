"""The large optional libraries: imported when something needs them, and as little of them as it needs."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

from parabench.deferred import deferred
from parabench.errors import MissingDependencyError


def import_torch(extra: str, needed_for: str) -> Any:
    """``torch``, or :class:`MissingDependencyError` that says which of our extras brings it."""
    try:
        with importing():
            import torch
    except ImportError:
        raise MissingDependencyError("torch", extra, needed_for) from None
    return torch


def import_open_clip(extra: str, needed_for: str) -> Any:
    """``open_clip``, or :class:`MissingDependencyError`; timm, transformers and torch's compiler come when a model needs them."""
    import_torch(extra, needed_for)
    try:
        with importing("timm", "transformers", "torch._dynamo"):
            import open_clip
    except ImportError:
        raise MissingDependencyError("open_clip_torch", extra, needed_for) from None
    return open_clip


@contextlib.contextmanager
def importing(*later: str) -> Iterator[None]:
    """While a large library is imported for the first time, and packages that it asks for are left for ``later``.

    What it defines stays until the process ends, so the garbage collector rests meanwhile and never looks at it
    afterwards; going through a million objects of torch again and again took a tenth of a short evaluation.
    """
    collecting, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        with deferred(*later):
            yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if collecting:
            gc.enable()
