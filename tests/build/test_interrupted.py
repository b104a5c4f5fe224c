"""Builds that are killed, builds that run side by side: the same bytes, nothing paid twice, nothing lost.

What is promised, exactly: an answer that was committed to the ledger is never asked for again.  A request that was in
flight at the moment of ``kill -9``, or whose answer was a commit away from the disk, is sent again under the same
``Idempotency-Key``; a server that honours it charges for each payload once.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import Loopback, canonical, good, wicked
from made_captions import write_captions

CONCURRENCY = 16


def start(server, captions, folder, *more):
    command = [
        sys.executable, "-m", "parabench", "build-dataset", "--captions", str(captions), "--out", str(folder / "set"),
        "--generator", "openai", "--model", "m", "--base-url", server.url, "--kinds", "lexical,two-step",
        "--concurrency", str(CONCURRENCY), *more,
    ]  # fmt: skip
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000", "OPENAI_API_KEY": "k"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def answered(folder: Path) -> set[str]:
    ledger = folder / "set.ledger.sqlite"
    if not ledger.exists():
        return set()
    with sqlite3.connect(ledger) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='requests'").fetchone():
            return set()
        return {row[0] for row in connection.execute("SELECT key FROM requests WHERE status IN ('answered', 'refused')")}


def files(folder: Path) -> dict[str, bytes]:
    root = folder / "set"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.timeout(900)
def test_a_build_killed_ten_times_ends_in_the_same_bytes(tmp_path):
    captions = write_captions(tmp_path / "captions.json", 300)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    first = Loopback(wicked, delay=0.03)
    with first.running():
        finish(start(first, captions, calm))
    chance = random.Random(7)
    second = Loopback(wicked, delay=0.03)
    settled: dict[str, int] = {}
    with second.running():
        for _ in range(10):
            process = start(second, captions, stormy)
            goal = sum(second.asked.values()) + chance.randrange(1, 70)
            while sum(second.asked.values()) < goal and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.03)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # what is in flight at the server ends
            for key in answered(stormy) - set(settled):
                settled[key] = second.asked[key]
        assert settled, "no run came far enough to settle anything"
        finish(start(second, captions, stormy))
    assert {key: second.asked[key] for key in settled} == settled  # never asked again
    assert set(second.asked) == set(first.asked)  # the same payloads, no more and no fewer
    again = sum(count - 1 for count in second.answered.values())
    assert again <= 10 * 2 * CONCURRENCY
    assert files(stormy) == files(calm)


def test_two_processes_on_one_ledger_share_the_work(tmp_path):
    captions = write_captions(tmp_path / "captions.json", 150)
    server = Loopback(good, delay=0.15, keep=True)
    with server.running():
        both = [start(server, captions, tmp_path / "a", "--ledger", str(tmp_path / "shared.sqlite"))]
        both.append(start(server, captions, tmp_path / "b", "--ledger", str(tmp_path / "shared.sqlite")))
        for process in both:
            finish(process)
    assert set(server.asked.values()) == {1}
    assert server.keys == [canonical(body) for body in server.bodies]
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_finished_build_asks_nothing_and_writes_the_same(tmp_path):
    captions = write_captions(tmp_path / "captions.json", 40)
    server = Loopback()
    with server.running():
        finish(start(server, captions, tmp_path))
        before, asked = files(tmp_path), server.asked.copy()
        finish(start(server, captions, tmp_path))
    assert server.asked == asked
    assert files(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_what_is_in_flight(tmp_path, number):
    captions = write_captions(tmp_path / "captions.json", 100)
    server = Loopback(delay=0.2)
    with server.running():
        process = start(server, captions, tmp_path)
        while sum(server.asked.values()) < 40 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "waiting for the requests in flight" in said
        assert "Traceback" not in said
        assert answered(tmp_path) == set(server.asked)
        finish(start(server, captions, tmp_path))
    assert set(server.asked.values()) == {1}


def test_an_interrupted_process_does_not_wait_for_another(tmp_path):
    """One process holds every request, as one that is slow would; the other waits for it and can be stopped."""
    from parabench.build.generate import GENERATORS, Options
    from parabench.build.ledger import Ledger
    from parabench.build.requests import RequestTable
    from parabench.build.sample import Sampling, draw

    captions = write_captions(tmp_path / "captions.json", 10)
    server = Loopback()
    with server.running(), Ledger(tmp_path / "set.ledger.sqlite") as ledger, RequestTable(ledger) as table:
        generator = GENERATORS.get("openai")(Options(kinds=("lexical",), model="m", base_url=server.url))
        chain = generator._chains(None)[0]
        table.plan([chain.follow(caption, lambda request: None) for caption in draw(captions, Sampling()).captions])
        table.claim(10)
        process = start(server, captions, tmp_path, "--kinds", "lexical")
        while ledger.connection.execute("SELECT count(*) FROM workers").fetchone()[0] < 2 and process.poll() is None:
            time.sleep(0.05)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=2)
        assert not server.asked
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 1
