"""The request table: one row a payload, claims that die with their process, answers that stay."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3

import pytest
from loopback import canonical

from parabench.build.ledger import Ledger
from parabench.build.requests import Outcome, Request, RequestTable
from parabench.errors import DataError, ParabenchError


def _requests(n):
    return [Request({"model": "m", "messages": [{"role": "user", "content": str(i)}]}) for i in range(n)]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_the_key_is_the_hash_of_the_whole_payload():
    payload = {"model": "m", "temperature": 0.7, "messages": [{"role": "user", "content": "Ü"}]}
    key = Request(payload).key
    assert key == canonical(payload)
    assert Request({**payload, "temperature": 0.8}).key != key
    assert Request({**payload, "seed": 1}).key != key
    assert Request(dict(reversed(payload.items()))).key == key


def test_an_answer_is_stored_once_and_never_claimed_again(ledger):
    with RequestTable(ledger) as table:
        table.plan(_requests(3))
        first = table.claim(1)[0]
        table.store([Outcome(first.key, "answered", "one", tokens_in=3, tokens_out=4, cost=0.5)])
        table.store([Outcome(first.key, "answered", "two")])
        assert table.outcome(first).answer == "one"
        assert first.key not in {request.key for request in table.claim(10)}
        tally = table.tally()
    assert (tally["answered"], tally["pending"], tally.tokens_in, tally.cost) == (1, 2, 3, 0.5)


def test_claims_come_in_the_order_of_the_plan(ledger):
    requests = _requests(7)
    with RequestTable(ledger) as table:
        table.plan(requests)
        assert [r.key for _ in range(4) for r in table.claim(2)] == [r.key for r in requests]


def test_two_open_tables_never_hold_the_same_request(ledger):
    with RequestTable(ledger) as one, RequestTable(ledger) as two:
        one.plan(_requests(20))
        two.plan(_requests(20))
        held = [request.key for table in (one, two, one, two) for request in table.claim(5)]
        assert len(set(held)) == 20
        assert one.held_by_others() == 10
        assert one.claim(5) == []


def test_a_closed_table_gives_back_its_claims(ledger):
    with RequestTable(ledger) as one:
        one.plan(_requests(5))
        one.claim(5)
    with RequestTable(ledger) as two:
        two.plan(_requests(5))
        assert len(two.claim(9)) == 5


def _claim_and_wait(path, ready):
    table = RequestTable(Ledger(path))
    table.plan(_requests(5))
    table.claim(5)
    ready.set()
    signal.pause()


def test_claims_of_a_killed_process_are_free_at_once(ledger):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_claim_and_wait, args=(ledger.path, ready))
    process.start()
    assert ready.wait(60)
    with RequestTable(ledger) as table:
        table.plan(_requests(5))
        assert table.claim(5) == []
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert len(table.claim(5)) == 5


def test_a_changed_payload_is_noticed_when_it_is_read(ledger):
    request = _requests(1)[0]
    with RequestTable(ledger) as table:
        table.plan([request])
        table.store([Outcome(request.key, "answered", "x")])
        with sqlite3.connect(ledger.path) as other:
            other.execute("UPDATE requests SET payload=replace(payload, '\"m\"', '\"n\"')")
        with pytest.raises(DataError, match="holds another payload than its key says"):
            table.outcome(request)


def test_failed_requests_are_asked_again_only_on_request(ledger):
    with RequestTable(ledger) as table:
        table.plan(_requests(2))
        first, second = table.claim(2)
        table.store([Outcome(first.key, "failed", error="HTTP 500"), Outcome(second.key, "refused", "no")])
        assert table.claim(2) == []
        assert table.retry_failed() == 1
        assert [request.key for request in table.claim(2)] == [first.key]


def test_another_plan_leaves_foreign_requests_alone(ledger):
    with RequestTable(ledger) as table:
        table.plan(_requests(4))
    with RequestTable(ledger) as table:
        table.plan(_requests(2))
        assert len(table.claim(9)) == 2
        assert table.tally().total == 2


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.execute("INSERT INTO meta VALUES ('version', '0')")
    with pytest.raises(DataError, match="a ledger of version 0, this parabench reads 1"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(DataError, match="is not a ledger"):
        Ledger(path)


def test_a_full_disk_is_one_clear_line(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger, RequestTable(ledger) as table:
        table.plan(_requests(10))
        claimed = table.claim(10)
        table.store([Outcome(claimed[0].key, "answered", "kept")])
        pages = table._connection.execute("PRAGMA page_count").fetchone()[0]
        table._connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own "database or disk is full"
        with pytest.raises(ParabenchError, match="no space left"):
            table.store([Outcome(request.key, "answered", "x" * 100_000) for request in claimed[1:]])
        assert table.outcome(claimed[0]).answer == "kept"
