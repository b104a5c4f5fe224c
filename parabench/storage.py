"""Files that are whole or absent: the cache folder, atomic writes, content hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.errors import ParabenchError

if TYPE_CHECKING:
    import sqlite3


_LITTLE = 1 << 20
"""Bytes of free space below which SQLite's "disk I/O error" means that the disk is full: its journal could not grow."""


def cache_home() -> Path:
    """Where embeddings, downloads and rendered sets are kept.

    ``$PARABENCH_CACHE``, else ``$XDG_CACHE_HOME/parabench``, else ``~/.cache/parabench``.
    """
    if explicit := os.environ.get("PARABENCH_CACHE"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "parabench"


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals around ``path`` into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ParabenchError(
                f"no space left on the disk that holds {path}; nothing already written was changed",
                "free some space or choose another place with --out or $PARABENCH_CACHE, then run the same command",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) or _no_place(error, path):
            raise ParabenchError(
                f"can't write {path}: {error.strerror}",
                "choose a writable place with --out or $PARABENCH_CACHE",
            ) from error
        raise


def database_error(error: sqlite3.Error, what: str, path: Path, elsewhere: str) -> ParabenchError | None:
    """What the disk or another process did to an SQLite file; ``None`` where the file itself must be damaged.

    Args:
        error: what SQLite said.
        what: the file for people (``"the ledger"``).
        path: where it is.
        elsewhere: how to put it somewhere else (``"choose another --ledger"``).
    """
    text = str(error)
    io = "disk I/O error" in text
    if "full" in text or (io and shutil.disk_usage(path.parent).free < _LITTLE):
        return ParabenchError(
            f"no space left on the disk that holds {what} {path}; what is stored stays valid",
            f"free some space, or {elsewhere}, then run the same command: it continues where it was",
        )
    if io or "unable to open" in text or "readonly" in text:
        return ParabenchError(f"can't {'read or ' if io else ''}write {what} {path}: {text}", f"check the disk and its permissions, or {elsewhere}")
    if "locked" in text:
        return ParabenchError(f"{what} {path} is locked by another process", "try again later")
    return None


def _no_place(error: OSError, path: Path) -> bool:
    """Whether ``path`` can't be made where it is to be: below a file, too long, in a folder that takes none."""
    if error.errno not in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.ENAMETOOLONG):
        return False
    named = None if error.filename is None else Path(os.fsdecode(error.filename))
    return named is not None and (named in (path, *path.parents) or named.parent == path.parent)


@contextlib.contextmanager
def atomic_path(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that replaces it when the block ends without an error.

    A crash or a full disk leaves the earlier file whole.  Without ``durable``, a loss of power soon after may leave it
    empty: for files that are checked when read, or made again.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            if durable:
                with part.open("rb+") as written:
                    os.fsync(written.fileno())
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o666 & ~umask)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def write_text(target: Path, text: str, *, durable: bool = True) -> None:
    """Write ``text`` (UTF-8) to ``target`` as :func:`atomic_path` does."""
    with atomic_path(target, durable=durable) as part:
        part.write_text(text, encoding="utf-8")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, so it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    """SHA-256 of the exact UTF-8 text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of :func:`canonical_json`."""
    return sha256_text(canonical_json(value))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
