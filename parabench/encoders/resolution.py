"""Who a model is, remembered on disk, so that a run from the cache need not load (or import) the network.

A record holds while the backend's packages keep their versions and the weight files their size and time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from parabench.errors import ModelError
from parabench.storage import cache_home, sha256_json, write_text


@dataclass(frozen=True)
class Identity:
    """What is known of a model once it was loaded.

    Attributes:
        resolved: exact identity, recorded in results and hashed into the fingerprint.
        dim: length of an embedding.
        n_parameters: size of the network.
        files: weight files as ``[path, size, mtime_ns]``; when one changes the record is void.
        extra: small facts the backend wants back (e.g. whether the model sees pixels).
    """

    resolved: dict[str, Any]
    dim: int
    n_parameters: int
    files: list[list[Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``resolved`` and ``dim``."""
        return sha256_json([self.resolved, self.dim])


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions, nothing imported."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def file_state(path: Path) -> list[Any]:
    """``[path, size, mtime_ns]`` of a weight file."""
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def identify(key: dict[str, Any], examine: Callable[[], Identity]) -> Identity:
    """The identity under ``key`` from disk if it still holds, else from ``examine`` (which loads the network)."""
    path = cache_home() / "resolved" / f"{sha256_json(key)[:32]}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        identity = Identity(**record["identity"])
        if not isinstance(identity.resolved, dict) or not isinstance(identity.extra, dict):
            raise ValueError("a damaged record")
        if type(identity.dim) is not int or type(identity.n_parameters) is not int:
            raise ValueError("a damaged record")
        if record["key"] == key and all(file_state(Path(held[0])) == held for held in identity.files):
            return identity
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # absent, unreadable or outdated: examining again is always right
    identity = examine()
    write_text(path, json.dumps({"key": key, "identity": asdict(identity)}, indent=1))
    return identity


def verify(expected: str, identity: Identity, spec: str) -> None:
    """Refuse a network that is not the one the record promised, and forget that record."""
    if identity.fingerprint != expected:
        for path in (cache_home() / "resolved").glob("*.json"):
            try:
                if Identity(**json.loads(path.read_text(encoding="utf-8"))["identity"]).fingerprint == expected:
                    path.unlink()
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue
        raise ModelError(
            f"{spec} is not what was recorded when it was first loaded; the record is gone now", "run the same command again"
        )
