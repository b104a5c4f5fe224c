"""Answers on disk while requests fly: one thread owns the ledger's connection, groups what comes and claims what is next.

A commit waits for the disk.  With one commit an answer, 64 requests in flight would queue behind it; so everything that
arrives while a commit runs goes into the next one.  An answer is at most one commit away from being safe.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from typing import Any

from parabench.build.requests import Outcome, Request, RequestTable
from parabench.progress import bar

_HEARTBEAT = 10.0
_WAIT_FOR_OTHERS = 0.2


class DurableQueue:
    """Pending requests out, outcomes in.

    Args:
        requests: the table, which nobody else may use while the queue is open.
        ahead: how many requests to claim before they are needed.
        loop: where :meth:`next` is awaited.
    """

    def __init__(self, requests: RequestTable, ahead: int, loop: asyncio.AbstractEventLoop) -> None:
        self._requests, self._ahead, self._loop = requests, ahead, loop
        self._inbox: queue.SimpleQueue[Outcome | asyncio.Future[list[Request]] | None] = queue.SimpleQueue()
        self._claimed: deque[Request] = deque()
        self._claiming: asyncio.Future[list[Request]] | None = None
        self._error: BaseException | None = None
        self._ending = False
        tally = requests.tally()
        self._bar = bar("requests", tally.total, "request", initial=tally.total - tally["pending"])
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    async def next(self) -> Request | None:
        """The next request to send, or ``None`` when every one of the plan has ended or stands with this process."""
        while True:
            if self._error is not None or self._ending:
                return None
            if len(self._claimed) < self._ahead // 2 and self._claiming is None:
                self._claiming = self._loop.create_future()
                self._inbox.put(self._claiming)
            if self._claimed:
                return self._claimed.popleft()
            assert self._claiming is not None
            claiming = self._claiming
            claimed = await asyncio.shield(claiming)
            if self._claiming is claiming:  # the first of those who wait takes it in
                self._claiming = None
                self._claimed.extend(claimed)
            if not self._claimed and not claimed:
                return None

    def end(self) -> None:
        """Hand out nothing more; also those who wait for other processes get ``None``."""
        self._ending = True

    def put(self, outcome: Outcome) -> None:
        """Hand over what became of a request."""
        self._inbox.put(outcome)

    def close(self) -> None:
        """Wait until everything handed over is on disk.

        Raises:
            ParabenchError: the ledger could not be written.
        """
        self._inbox.put(None)
        self._thread.join()
        self._bar.close()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        open_ = True
        while open_:
            arrived = self._wait()
            open_ = None not in arrived
            outcomes = [item for item in arrived if isinstance(item, Outcome)]
            asked = [item for item in arrived if isinstance(item, asyncio.Future)]
            claimed: list[Request] = []
            if self._error is None:
                try:
                    if outcomes:
                        self._requests.store(outcomes)
                        self._bar.update(len(outcomes))
                    if asked:
                        claimed = self._claim(open_)
                except BaseException as error:  # handed to the caller by close()
                    self._error = error
            for future in asked:
                self._loop.call_soon_threadsafe(_resolve, future, claimed)

    def _claim(self, open_: bool) -> list[Request]:
        """Claim; while another living process holds the rest, wait for what it does or gives back."""
        while open_ and not self._ending:
            if claimed := self._requests.claim(self._ahead):
                return claimed
            if not self._requests.held_by_others():
                return []
            waiting: list[Outcome | asyncio.Future[list[Request]] | None] = []
            try:
                waiting.append(self._inbox.get(timeout=_WAIT_FOR_OTHERS))
            except queue.Empty:
                continue
            item = waiting[0]
            if isinstance(item, Outcome):
                self._requests.store([item])
                self._bar.update(1)
            else:
                self._inbox.put(item)
                open_ = item is not None
        return []

    def _wait(self) -> list[Any]:
        while True:
            try:
                arrived = [self._inbox.get(timeout=_HEARTBEAT)]
                break
            except queue.Empty:
                if self._error is None:
                    try:
                        self._requests.beat()
                    except BaseException as error:
                        self._error = error
        while True:
            try:
                arrived.append(self._inbox.get_nowait())
            except queue.Empty:
                return arrived


def _resolve(future: asyncio.Future[list[Request]], claimed: list[Request]) -> None:
    if not future.done():
        future.set_result(claimed)
