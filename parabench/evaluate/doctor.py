"""What is installed here, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from parabench.encoders import backends
from parabench.evaluate.environment import package_versions
from parabench.storage import cache_home

_PARTS = (
    ("train", ("torch", "open_clip", "transformers", "timm", "peft", "webdataset", "tensorboard"), "train"),
    ("review serve", ("flask",), "review"),
    ("--engine ray", ("ray",), "ray"),
)
"""What needs an extra beside the encoders: part, packages, extra."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination; ``remedy`` is empty where nothing needs doing."""

    part: str
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Python, packages, backends, other parts, device, cache and disk."""
    versions = package_versions()
    findings = [
        Finding("python", sys.version_info >= (3, 11), versions["python"]),
        Finding("parabench", True, versions["parabench"]),
        Finding("packages", True, ", ".join(f"{k} {v}" for k, v in versions.items() if k not in ("python", "parabench"))),
    ]
    for backend in backends():
        findings.append(
            Finding(f"{backend.name}:", backend.ready, "ready" if backend.ready else "not installed", "" if backend.ready else backend.install)
        )
    for part, packages, extra in _PARTS:
        absent = [package for package in packages if importlib.util.find_spec(package) is None]
        findings.append(Finding(
            part, not absent, "ready" if not absent else f"not installed: {', '.join(absent)}", f"pip install 'parabench[{extra}]'" if absent else ""
        ))  # fmt: skip
    return [*findings, _device("torch" in versions), *_cache()]


def _device(torch_installed: bool) -> Finding:
    if not torch_installed:
        return Finding("device", True, "cpu (torch is not installed; the baselines need none)")
    import torch

    if torch.cuda.is_available():
        return Finding("device", True, f"cuda: {torch.cuda.get_device_name(0)}, {torch.get_num_threads()} CPU threads")
    return Finding("device", True, f"cpu, {torch.get_num_threads()} threads (no CUDA device is visible)")


def _cache() -> list[Finding]:
    home = cache_home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    held = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) if home.exists() else 0
    return [
        Finding("cache", os.access(existing, os.W_OK), f"{home} ({held / 1e6:.0f} MB)",
                "" if os.access(existing, os.W_OK) else "point $PARABENCH_CACHE to a writable folder"),
        Finding("disk", free > 1e9, f"{free / 1e9:.0f} GB free at {Path(existing)}",
                "" if free > 1e9 else "free some space or move $PARABENCH_CACHE"),
    ]  # fmt: skip
