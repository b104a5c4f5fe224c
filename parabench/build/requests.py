"""Requests: one row of the ledger for everything that was ever asked of a model, so that nothing is paid twice.

A row's key is the SHA-256 of the canonical JSON of the *whole* payload: model, messages, parameters, answer schema.
Change a comma of a prompt and it is another request; run the same command again and it is the same.  The address of the
server is not part of the key, since it is no part of what is asked (a port, a proxy, a second replica change it); it is
recorded in the row.  The stored payload is checked against the key whenever it is read.

A row counts as answered when its transaction is on disk; from then on it is never sent again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from parabench.build.ledger import Ledger
from parabench.build.workers import Worker
from parabench.errors import DataError
from parabench.storage import canonical_json, sha256_text

Status = Literal["pending", "answered", "refused", "failed"]

_TABLE = """CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, payload TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending', answer TEXT, error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, tokens_in INTEGER, tokens_out INTEGER, cost REAL, server TEXT,
    owner TEXT, batch TEXT, planned REAL NOT NULL, finished REAL)"""
_BATCH = 500


@dataclass(frozen=True)
class Request:
    """Something to ask: the exact body that is sent."""

    payload: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The payload as canonical JSON."""
        return canonical_json(self.payload)

    @cached_property
    def key(self) -> str:
        """SHA-256 of :attr:`text`."""
        return sha256_text(self.text)


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        key: of the request.
        status: ``answered`` (with ``answer``), ``refused`` (the model declined; ``answer`` holds its words) or
            ``failed`` (``error`` says why).
        attempts: how often it was sent in this run.
        tokens_in, tokens_out: as the server counted them.
        cost: in the currency of the prices given.
    """

    key: str
    status: Status
    answer: str | None = None
    error: str | None = None
    attempts: int = 1
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    server: str | None = None


@dataclass(frozen=True)
class Tally:
    """Requests of a plan by status, and what they took."""

    by_status: dict[str, int] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None

    def __getitem__(self, status: Status) -> int:
        return self.by_status.get(status, 0)

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.by_status.values())


class RequestTable:
    """The requests of a ledger, seen through the plan of this run.

    The plan is a temporary table of this connection: another run with other settings on the same ledger leaves rows
    that this one neither sends nor counts.  It has a connection of its own, so that answers can be stored from a thread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._worker = Worker()
        self._cursor = 0
        with ledger.errors():
            self._connection = sqlite3.connect(ledger.path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
            Worker.create(self._connection)
            self._connection.execute("CREATE TEMP TABLE plan (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE)")
        self.beat()

    def close(self) -> None:
        """Give back what this run has claimed and not answered."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            connection.execute("UPDATE requests SET owner=NULL WHERE owner=?", [self._worker.id])
            self._worker.leave(connection)
        self._connection.close()

    def __enter__(self) -> RequestTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def plan(self, requests: Iterable[Request]) -> None:
        """Make these, in this order, the requests of this run; rows that the ledger has are kept as they are."""
        with self.ledger.errors():
            self._connection.execute("DELETE FROM temp.plan")
            self._cursor = 0
            for batch in _batches(requests):
                with _transaction(self._connection) as connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO requests (key, payload, planned) VALUES (?, ?, ?)",
                        [(request.key, request.text, time.time()) for request in batch],
                    )
                    connection.executemany(
                        "INSERT OR IGNORE INTO temp.plan (key) VALUES (?)", [(request.key,) for request in batch]
                    )

    def include(self, keys: Sequence[str]) -> None:
        """Count requests that the ledger has as part of the plan, for :meth:`tally`."""
        with self.ledger.errors():
            self._connection.execute("BEGIN")  # of the temporary table alone: no lock on the ledger
            self._connection.executemany("INSERT OR IGNORE INTO temp.plan (key) VALUES (?)", ((key,) for key in keys))
            self._connection.execute("COMMIT")

    def retry_failed(self) -> int:
        """Make the failed requests of the plan pending again; returns how many."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            return connection.execute(
                "UPDATE requests SET status='pending', error=NULL, owner=NULL, batch=NULL, finished=NULL "
                "WHERE status='failed' AND key IN (SELECT key FROM temp.plan)"
            ).rowcount

    def drop_pending(self) -> None:
        """Forget the requests of the plan that nobody has sent; for a plan that the server can't serve."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            connection.execute(
                "DELETE FROM requests WHERE status='pending' AND batch IS NULL AND (owner IS NULL OR owner=?) "
                "AND key IN (SELECT key FROM temp.plan)",
                [self._worker.id],
            )

    def claim(self, limit: int, batch: str | None = None) -> list[Request]:
        """Up to ``limit`` pending requests of the plan that no living process holds, now held by this one.

        Args:
            limit: how many at most.
            batch: the batch job they go into; they stay with it when this process ends.
        """
        with self.ledger.errors(), _transaction(self._connection) as connection:
            self._worker.beat(connection)
            for dead in self._worker.bury(connection):
                connection.execute("UPDATE requests SET owner=NULL WHERE owner=? AND status='pending'", [dead])
                self._cursor = 0
            rows = self._free(connection, limit)
            if len(rows) < limit and self._cursor:  # others may have given something back
                self._cursor = 0
                rows = self._free(connection, limit)
            if rows:
                self._cursor = rows[-1][0]
            connection.executemany(
                "UPDATE requests SET owner=?, batch=? WHERE key=?", [(self._worker.id, batch, row[1]) for row in rows]
            )
        return [Request(_payload(self.ledger, key, text)) for _, key, text in rows]

    def store(self, outcomes: Sequence[Outcome]) -> None:
        """Put outcomes on disk in one transaction; an answer that is there already is never replaced."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            self._worker.beat(connection)
            connection.executemany(
                "UPDATE requests SET status=?, answer=?, error=?, attempts=attempts+?, tokens_in=?, tokens_out=?, cost=?,"
                " server=?, finished=?, owner=NULL, batch=NULL WHERE key=? AND status='pending'",
                [
                    (o.status, o.answer, o.error, o.attempts, o.tokens_in, o.tokens_out, o.cost, o.server, time.time(), o.key)
                    for o in outcomes
                ],
            )  # fmt: skip

    def beat(self) -> None:
        """Say that this process is alive."""
        with self.ledger.errors():
            self._worker.beat(self._connection)

    def batches(self) -> list[str]:
        """Batch jobs that hold pending requests of the plan, those of other living processes that are just sending left out."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            self._worker.beat(connection)
            for dead in self._worker.bury(connection):
                connection.execute("UPDATE requests SET owner=NULL WHERE owner=? AND status='pending'", [dead])
            rows = connection.execute(
                "SELECT batch FROM temp.plan JOIN requests USING (key) WHERE status='pending' AND batch IS NOT NULL "
                "GROUP BY batch HAVING max(owner IS NOT NULL AND owner<>?)=0 ORDER BY min(position)",
                [self._worker.id],
            ).fetchall()
        return [row[0] for row in rows]

    def take(self, batch: str) -> list[Request]:
        """The pending requests of a batch job, now sent by this process; empty when another process was faster."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            rows = connection.execute(
                "SELECT key, payload FROM requests WHERE batch=? AND status='pending' AND (owner IS NULL OR owner=?) "
                "ORDER BY key",
                [batch, self._worker.id],
            ).fetchall()
            connection.execute(
                "UPDATE requests SET owner=? WHERE batch=? AND status='pending' AND owner IS NULL", [self._worker.id, batch]
            )
        return [Request(_payload(self.ledger, *row)) for row in rows]

    def sent(self, batch: str) -> None:
        """The batch job is with the server: any process may collect it."""
        with self.ledger.errors():
            self._connection.execute("UPDATE requests SET owner=NULL WHERE batch=? AND status='pending'", [batch])

    def release(self, batch: str, attempts: int) -> None:
        """Give back the unanswered requests of a batch job that has ended; those sent ``attempts`` times have failed."""
        with self.ledger.errors(), _transaction(self._connection) as connection:
            self._cursor = 0
            connection.execute(
                "UPDATE requests SET batch=NULL, owner=NULL, attempts=attempts+1 WHERE batch=? AND status='pending'", [batch]
            )
            connection.execute(
                "UPDATE requests SET status='failed', error='the batch job ended without an answer', finished=? "
                "WHERE status='pending' AND batch IS NULL AND attempts>=? AND key IN (SELECT key FROM temp.plan)",
                [time.time(), attempts],
            )

    def held_by_others(self) -> int:
        """How many pending requests of the plan other living processes hold."""
        with self.ledger.errors():
            row = self._connection.execute(
                "SELECT count(*) FROM temp.plan JOIN requests USING (key) WHERE status='pending' AND batch IS NULL "
                "AND owner IS NOT NULL AND owner<>?",
                [self._worker.id],
            ).fetchone()
        return int(row[0])

    def tally(self) -> Tally:
        """The plan's requests by status."""
        with self.ledger.errors():
            rows = self._connection.execute(
                "SELECT status, count(*), sum(tokens_in), sum(tokens_out), sum(cost) FROM temp.plan JOIN requests "
                "USING (key) GROUP BY status ORDER BY status"
            ).fetchall()
        costs = [row[4] for row in rows if row[4] is not None]
        return Tally(
            {row[0]: row[1] for row in rows},
            sum(row[2] or 0 for row in rows),
            sum(row[3] or 0 for row in rows),
            sum(costs) if costs else None,
        )

    def outcome(self, request: Request) -> Outcome | None:
        """What the ledger knows of a request, or ``None``.

        Raises:
            DataError: the row's payload is not the one that its key stands for: the ledger is damaged.
        """
        with self.ledger.errors():
            row = self._connection.execute(
                "SELECT payload, status, answer, error, attempts, tokens_in, tokens_out, cost, server FROM requests "
                "WHERE key=?",
                [request.key],
            ).fetchone()
        if row is None:
            return None
        if row[0] != request.text:
            raise _damaged(self.ledger, request.key)
        return Outcome(request.key, *row[1:])

    def _free(self, connection: sqlite3.Connection, limit: int) -> list[tuple[int, str, str]]:
        return connection.execute(
            "SELECT position, key, payload FROM temp.plan JOIN requests USING (key) WHERE position>? AND status='pending' "
            "AND owner IS NULL AND batch IS NULL ORDER BY position LIMIT ?",
            [self._cursor, limit],
        ).fetchall()


def _payload(ledger: Ledger, key: str, text: str) -> dict[str, Any]:
    if sha256_text(text) != key:
        raise _damaged(ledger, key)
    payload: dict[str, Any] = json.loads(text)
    return payload


def _damaged(ledger: Ledger, key: str) -> DataError:
    return DataError(
        f"{ledger.path} is damaged: the request {key[:12]}… holds another payload than its key says",
        "restore the ledger from a copy",
    )


def _batches(requests: Iterable[Request]) -> Iterator[list[Request]]:
    iterator = iter(requests)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction that holds the ledger's write lock from its start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
