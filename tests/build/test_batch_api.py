"""The Batch API against a loopback server that keeps files and jobs."""

from __future__ import annotations

import json
import threading
import time

import pytest
from loopback import Loopback, wicked
from test_openai import make

from parabench.build.generate import GENERATORS, Options
from parabench.build.generate.batch import BatchAsker
from parabench.build.ledger import Ledger
from parabench.build.requests import RequestTable
from parabench.errors import ModelError


def run(server, captions, path, **options):
    given = {"kinds": ("lexical",), "model": "m", "batch_api": True, "poll": 0.05, **options}
    with Ledger(path) as ledger:
        generator = GENERATORS.get("openai")(Options(base_url=server.url, **given))
        return list(generator.generate(captions, ledger, "2026-01-01"))


def work(server, **finish):
    """The provider's side: ends open jobs now and then, until the returned function is called."""
    stop = threading.Event()

    def loop():
        while not stop.wait(0.05):
            for identifier, batch in list(server.batches.items()):
                if batch["status"] == "in_progress":
                    server.finish(identifier, **finish)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return lambda: (stop.set(), thread.join())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_a_batch_gives_what_a_live_server_gives(path, tmp_path):
    captions = make(60)
    live, batched = Loopback(), Loopback()
    with live.running(), batched.running():
        stop = work(batched)
        by_batch = run(batched, captions, path)
        stop()
        by_hand = run(live, captions, tmp_path / "other.sqlite", batch_api=False)
    assert by_batch == by_hand
    assert len(batched.batches) == 1
    assert set(batched.asked) == set(live.asked)


def test_repairs_and_failures_go_through_batches_too(path):
    captions = make(200)
    server = Loopback(wicked)
    with server.running():
        stop = work(server)
        candidates = run(server, captions, path)
        stop()
    assert len(candidates) == 200
    assert {c.reason.partition(":")[0] for c in candidates} == {"", "refused by the model", "malformed answer", "no answer"}
    assert max(server.answered.values()) == 1


def test_an_expired_job_is_continued_by_another_and_not_for_ever(path):
    server = Loopback()
    with server.running():
        stop = work(server, status="expired", share=0.5)  # of one last request never any
        candidates = run(server, make(20), path)
        stop()
    assert [c.reason for c in candidates if c.reason] == ["no answer: the batch job ended without an answer"]
    assert len(server.batches) == 6
    assert set(server.answered.values()) == {1}


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("moment", ["before the job is noted", "after"])
def test_a_job_is_found_again_after_a_kill(path, moment, monkeypatch):
    """The process dies between the server's yes and the ledger's note, or right after: there is still one job."""
    captions, server = make(10), Loopback()
    submit, sent = BatchAsker._submit, RequestTable.sent

    def dies_before(self, *arguments):
        submit(self, *arguments)
        raise _KilledError

    def dies_after(self, job):
        sent(self, job)
        raise _KilledError

    with server.running():
        with monkeypatch.context() as patch:
            if moment == "after":
                patch.setattr(RequestTable, "sent", dies_after)
            else:
                patch.setattr(BatchAsker, "_submit", dies_before)
            with pytest.raises(_KilledError):
                run(server, captions, path)
        assert len(server.batches) == 1
        stop = work(server)
        candidates = run(server, captions, path)
        stop()
    assert len(server.batches) == 1
    assert not any(c.reason for c in candidates)


def test_a_refused_job_stops_with_the_servers_words(path):
    server = Loopback()

    def refuse():
        while not server.batches:
            time.sleep(0.01)
        batch = next(iter(server.batches.values()))
        batch.update(status="failed", errors={"object": "list", "data": [{"code": "x", "message": "model m has no batches"}]})

    thread = threading.Thread(target=refuse)
    with server.running():
        thread.start()
        with pytest.raises(ModelError, match="model m has no batches"):
            run(server, make(5), path)
        thread.join()


def test_results_that_were_not_asked_for_are_ignored(path):
    server = Loopback()
    alien = {"id": "r", "custom_id": "0" * 64, "response": {"status_code": 200, "body": {}}, "error": None}

    def finish():
        while not server.batches:
            time.sleep(0.01)
        identifier = next(iter(server.batches))
        server.finish(identifier)
        file_id = server.batches[identifier]["output_file_id"]
        server.files[file_id] = json.dumps(alien).encode() + b"\nnot json\n" + server.files[file_id]

    thread = threading.Thread(target=finish)
    with server.running():
        thread.start()
        candidates = run(server, make(5), path)
        thread.join()
    assert not any(c.reason for c in candidates)


def test_a_live_run_names_jobs_that_are_still_open(path):
    captions, server = make(5), Loopback()
    with Ledger(path) as ledger, RequestTable(ledger) as table:
        chain = GENERATORS.get("openai")(Options(kinds=("lexical",), model="m", base_url="http://x/v1"))._chains(None)[0]
        table.plan([chain.follow(caption, lambda request: None) for caption in captions])
        table.claim(5, batch="job")
        table.sent("job")
    with server.running(), pytest.raises(ModelError, match="5 requests are in jobs of the Batch API"):
        run(server, captions, path, batch_api=False)
    assert not server.asked
