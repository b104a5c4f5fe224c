"""Where a run ran: versions, git state, machine."""

from __future__ import annotations

import inspect
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from parabench.encoders.protocol import Encoder, Traits
from parabench.evaluate.result import Result
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


def used_device(encoder: Encoder, result: Result) -> str:
    """Where a network ran, known since it was loaded, or ``"cache"`` where all vectors came from there and none was."""
    device = Traits.of(encoder).device
    computed = result.settings.get("computed", {})
    return "cache" if device == "auto" and computed and not any(computed.values()) else device


def environment(device: str, call: str = "") -> dict[str, Any]:
    """The exact command, versions, git commit of the working directory (and whether it has changes), device and machine.

    ``call`` is what Python code called; the command line, where there is one, goes before it.
    """
    return {
        "command": _command_line() or call,
        "versions": package_versions(),
        "git": _git(),
        "device": device,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def describe_call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """A call as one would type it again: ``parabench.evaluate('tfidf:', 'scenes', depth=50)``.

    Arguments at their defaults are left out; objects that can't be typed stand as ``<MyEncoder>``.
    """
    typed = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = arguments[name]
        if parameter.default is not inspect.Parameter.empty and value is parameter.default:
            continue
        shown = _typed(value)
        typed.append(shown if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD else f"{name}={shown}")
    return f"parabench.{function.__name__}({', '.join(typed)})"


def _typed(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return repr(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_typed(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_typed(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    name = getattr(value, "name", None) or getattr(value, "spec", None)
    return f"<{type(value).__name__}{f' {name}' if isinstance(name, str) else ''}>"


def _command_line() -> str:
    """The command as it was typed, if the command line is what runs."""
    import click

    context = click.get_current_context(silent=True)
    typed = context.find_root().obj if context is not None else None
    return typed if isinstance(typed, str) else ""


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
