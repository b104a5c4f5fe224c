"""The ledger: one SQLite file in which a build keeps everything that was asked, answered, checked and reviewed.

Each table lives beside what it holds (``requests.py``, ``candidates.py``, ``reviews.py``); this module opens the
file, refuses files that are not a ledger of this version, and turns SQLite's refusals into clear lines.
SQLite in WAL mode makes a transaction whole or absent after ``kill -9`` and lets several processes share the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from parabench.errors import DataError, ParabenchError
from parabench.storage import database_error, disk_errors

LEDGER_VERSION = 1

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class Ledger:
    """An open ledger.

    Args:
        path: the file; made when absent.

    Raises:
        DataError: the file is no ledger, or one of another version.
        ParabenchError: the disk is full or read-only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self.errors():
            # autocommit: transactions are exactly those of `transaction()`; used from several threads under a lock
            self.connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=FULL")
            self.connection.execute(_META)
            self.set_default("version", str(LEDGER_VERSION))
        held = self.meta("version")
        if held != str(LEDGER_VERSION):
            self.close()
            raise DataError(
                f"{path} is a ledger of version {held}, this parabench reads {LEDGER_VERSION}",
                "finish it with the version of parabench that made it, or choose another --ledger",
            )

    def close(self) -> None:
        """Close the file; every finished transaction is already on disk."""
        self.connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction that holds the ledger's write lock from its start: whole or not at all."""
        with self.errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself rolls back on a full disk
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's refusals inside the block into one clear line."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def meta(self, name: str) -> str | None:
        """A fact of the build (its date, its settings), or ``None``."""
        with self.errors():
            row = self.connection.execute("SELECT value FROM meta WHERE name=?", [name]).fetchone()
        return None if row is None else str(row[0])

    def set_default(self, name: str, value: str) -> str:
        """Write a fact once: the value that was there first is kept and returned."""
        with self.errors():
            self.connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", [name, value])
        return self.meta(name) or value

    def _problem(self, error: sqlite3.Error) -> ParabenchError:
        return database_error(error, "the ledger", self.path, "choose another --out or --ledger") or DataError(
            f"{self.path} is not a ledger, or a damaged one: {error}", "choose another --ledger, or restore it from a copy"
        )


def existing_ledger(path: Path) -> Ledger:
    """Open a ledger that has to be there.

    Raises:
        DataError: there is no such file, or it is no ledger of this version.
    """
    if not path.is_file():
        raise DataError(f"no such ledger: {path}", "build one first: parabench build-dataset … --ledger FILE")
    return Ledger(path)
