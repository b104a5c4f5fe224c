"""Where a run's numbers come from, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parabench.evaluate.run import Run
from parabench.report.numbers import count


@dataclass(frozen=True)
class Provenance:
    """One run's origin: the command that made it, and (what, value) lines."""

    name: str
    command: str
    entries: tuple[tuple[str, str], ...]


def provenance_of(run: Run) -> Provenance:
    """Model, data, settings, versions, machine, seconds and file hashes of a run."""
    result = run.result
    model, dataset, environment = result.model, result.dataset, result.environment
    entries = [
        ("model", model.spec),
        ("resolved to", plain(model.resolved)),
        ("parameters", count(model.n_parameters) if model.n_parameters else ""),
        ("model fingerprint", model.fingerprint),
        ("dataset", dataset.provenance or dataset.name),
        ("dataset fingerprint", dataset.fingerprint),
        ("size", f"{count(dataset.n_pairs)} pairs, {count(dataset.n_images)} pictures"),
        ("settings", plain(result.settings)),
        *of_environment(environment),
        ("seconds", ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in result.timings.items())),
        *((f"SHA-256 of {name}", digest) for name, digest in result.files.items()),
    ]
    return Provenance(model.spec, str(environment.get("command") or ""), tuple((term, text) for term, text in entries if text))


def of_environment(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Versions, git state and machine of a run, each with its name."""
    machine = ", ".join(str(environment[key]) for key in ("device", "platform") if environment.get(key))
    return [("versions", plain(environment.get("versions"))), ("git", plain(environment.get("git"))), ("machine", machine)]


def plain(value: Any) -> str:
    """A JSON value in words; empty parts are left out."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(held)}" for key, held in value.items() if held not in (None, "", {}, []))
    if isinstance(value, list | tuple):
        return " ".join(plain(held) for held in value)
    return "" if value is None else str(value)
