"""Where a run ran: versions, git state, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from parabench.version import __version__

_PACKAGES = ("numpy", "scipy", "pyarrow", "faiss-cpu", "pillow", "torch", "open_clip_torch", "transformers",
             "sentence-transformers")  # fmt: skip


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that numbers may depend on; nothing is imported."""
    versions = {"parabench": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def environment(device: str) -> dict[str, Any]:
    """Versions, git commit of the working directory (and whether it has changes), device and machine."""
    return {
        "versions": package_versions(),
        "git": _git(),
        "device": device,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def _git() -> dict[str, Any] | None:
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
