"""Which processes work on a ledger now, so that the claims of a dead one are taken over at once."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
import uuid
from functools import lru_cache
from pathlib import Path

LEASE_SECONDS = 60.0
"""How long a worker on another machine may be silent before its claims are taken over."""

_TABLE = """CREATE TABLE IF NOT EXISTS workers (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, seen REAL NOT NULL
    ) WITHOUT ROWID"""


class Worker:
    """This process, in the table ``workers`` of a ledger.

    A worker of this machine is alive while the process with its id and start time runs; ``kill -9`` therefore frees its
    claims at once.  A worker of another machine is alive while it was seen within the last minute.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex

    @staticmethod
    def create(connection: sqlite3.Connection) -> None:
        """Make the table."""
        connection.execute(_TABLE)

    def beat(self, connection: sqlite3.Connection) -> None:
        """Say that this worker is alive."""
        connection.execute(
            "INSERT INTO workers VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET seen=excluded.seen",
            [self.id, _host(), os.getpid(), _started(os.getpid()) or "", time.time()],
        )

    def leave(self, connection: sqlite3.Connection) -> None:
        """Say that this worker has stopped."""
        connection.execute("DELETE FROM workers WHERE id=?", [self.id])

    def bury(self, connection: sqlite3.Connection) -> list[str]:
        """Remove the dead and return their ids."""
        rows = connection.execute("SELECT id, host, pid, started, seen FROM workers WHERE id<>?", [self.id]).fetchall()
        dead = [row[0] for row in rows if not _alive(*row[1:])]
        connection.executemany("DELETE FROM workers WHERE id=?", [[worker] for worker in dead])
        return dead


def _alive(host: str, pid: int, started: str, seen: float) -> bool:
    if host != _host():
        return time.time() - seen < LEASE_SECONDS
    found = _started(pid)
    return found is not None and (not started or found == started)


@lru_cache(maxsize=1)
def _host() -> str:
    """This machine since it was last started, so that process ids mean something."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")  # containers of one machine see different processes
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts += [boot.read_text().strip(), str(namespace.readlink())]
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """When a running process began, ``""`` where the system does not say; ``None`` when there is none (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""
