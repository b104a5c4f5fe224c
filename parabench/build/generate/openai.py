"""``openai``: any server with the chat-completions API, through the ``openai`` client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from parabench.build.generate.answers import is_refusal
from parabench.build.generate.chat import ChatGenerator, StructuredOutputRefusedError
from parabench.build.generate.durable import DurableQueue
from parabench.build.generate.protocol import Options
from parabench.build.requests import Outcome, Request, RequestTable, Status
from parabench.data.download import retry_after_seconds
from parabench.errors import ModelError, ParabenchError, UsageError
from parabench.progress import note

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

DEFAULTS = {"temperature": 0.7, "max_tokens": 200}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LONGEST_RETRY_AFTER = 600.0
_LONGEST_LIMITED = 1800.0
_REFUSED_CONNECTIONS = 4
_HOPELESS = 25


def openai_generator(options: Options) -> ChatGenerator:
    """The backend; with ``options.batch_api`` the same requests go through the Batch API.

    Raises:
        UsageError: no model is named, or there is no key for the default server.
    """
    if not options.model:
        raise UsageError("the generator 'openai' needs a model", "name it with --model, as the server knows it")
    from parabench.build.generate.batch import BatchAsker

    asker = BatchAsker(options) if options.batch_api else OpenAIAsker(options)
    parameters = {**DEFAULTS, "seed": options.seed, **options.parameters}
    about = "Written by a large language model to the prompts below; nobody has to have checked it."
    return ChatGenerator("openai", options.model, about, asker, options, parameters)


def client_settings(options: Options) -> dict[str, Any]:
    """Arguments of ``openai.OpenAI`` and ``AsyncOpenAI``: address, key, no retries of its own.

    Raises:
        UsageError: no key for the client's default server, or a malformed address.
    """
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL") or None
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if base_url is None and not key:
        raise UsageError(
            "there is no key: $OPENAI_API_KEY is not set",
            "export OPENAI_API_KEY=…, or name your own server with --base-url http://host:port/v1",
        )
    if base_url is not None and urlsplit(base_url).scheme not in ("http", "https"):
        raise UsageError(f"--base-url {base_url} is not an http address", "write http://host:port/v1")
    return {"base_url": base_url, "api_key": key or "none", "max_retries": 0, "timeout": options.timeout}


def address(base_url: object) -> str:
    """A server's address without user name, password and query."""
    parts = urlsplit(str(base_url))
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"


class OpenAIAsker:
    """Sends requests, ``options.concurrency`` at a time, and stores what comes.

    A request is sent again after a broken connection, a time-out, 408, 409, 429 and 5xx, and after an answer that is no
    chat completion, with exponential backoff and jitter, at most ``options.attempts`` times; ``Retry-After`` holds all
    requests back and does not count as an attempt.  Every attempt carries the request's key as ``Idempotency-Key``.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._settings = client_settings(options)
        self._resume_at = 0.0
        self._successes = 0
        self._failures_in_a_row = 0
        self._stop: BaseException | None = None
        self._stopping, self._turn = asyncio.Event(), asyncio.Lock()
        self._flying: DurableQueue | None = None

    def ask(self, requests: RequestTable) -> None:
        """Bring every pending request of the plan to an end.

        Raises:
            ModelError: wrong key, no such model, no server, an exhausted quota, nothing but failures.
            StructuredOutputRefusedError: the server takes no JSON schema.
        """
        asyncio.run(self._ask(requests))

    async def _ask(self, requests: RequestTable) -> None:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        self._stop, self._failures_in_a_row = None, 0
        self._stopping, self._turn = asyncio.Event(), asyncio.Lock()
        loop = asyncio.get_running_loop()
        handled = self._listen(loop)
        flying = self._flying = DurableQueue(requests, 2 * self._options.concurrency, loop)
        try:
            # aiohttp costs a third less processor time a request than the client's default with as many in flight
            async with AsyncOpenAI(**self._settings, http_client=DefaultAioHttpClient()) as client:
                workers = [
                    asyncio.create_task(self._work(client, flying)) for _ in range(self._options.concurrency)
                ]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for worker in workers:
                        worker.cancel()
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
            flying.close()
        if self._stop is not None:
            raise self._stop

    def _end(self, reason: BaseException) -> None:
        """Send nothing more; what is in flight is waited for, since it is paid."""
        if self._stop is None:
            self._stop = reason
            self._stopping.set()
            if self._flying is not None:
                self._flying.end()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> list[signal.Signals]:
        """End on the first SIGINT or SIGTERM; a second one has its usual effect."""
        handled: list[signal.Signals] = []

        def stop() -> None:
            note("stopping: waiting for the requests in flight (interrupt again to stop at once)")
            self._end(KeyboardInterrupt())
            for number in handled:
                loop.remove_signal_handler(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            # not in a thread, not on Windows
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, stop)
                handled.append(number)
        return handled

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _work(self, client: AsyncOpenAI, flying: DurableQueue) -> None:
        while self._stop is None and (request := await flying.next()) is not None:
            try:
                outcome = await self._one(client, request)
            except (ParabenchError, StructuredOutputRefusedError) as error:
                self._end(error)
                return
            if outcome is None:
                return
            flying.put(outcome)
            if outcome.status == "failed":
                self._failures_in_a_row += 1
                if self._failures_in_a_row >= _HOPELESS:
                    self._end(
                        ModelError(
                            f"{_HOPELESS} requests in a row failed at {address(client.base_url)}: {outcome.error}",
                            "look at the server, then run the same command with --retry-failed: answers so far are kept",
                        )
                    )
            else:
                self._successes += 1
                self._failures_in_a_row = 0

    async def _one(self, client: AsyncOpenAI, request: Request) -> Outcome | None:
        import openai

        server = address(client.base_url)
        problem, sent, refused = "", 0, 0
        limited_since: float | None = None
        while sent < self._options.attempts:
            while (wait := self._resume_at - time.monotonic()) > 0:
                await self._pause(wait * random.uniform(1.0, 1.2))  # not all at the same moment
                if self._stop is not None:
                    return None
            if self._stop is not None:
                return None
            sent += 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (sent - 1)) * random.uniform(0.5, 1.0)
            try:
                body = await self._send(client, request)
                outcome = self._read(request, body, sent, server)
                if outcome is not None:
                    return outcome
                problem = f"an answer that is no chat completion: {body[:80]!r}"
            except openai.APIConnectionError as error:
                problem, reached = broken(error, self._options.timeout)
                if not reached:
                    refused += 1  # nothing was sent: the request stays pending, whatever becomes of the server
                    if sent == self._options.attempts or (not self._successes and refused == _REFUSED_CONNECTIONS):
                        raise ModelError(
                            f"no server answers at {server}: {problem}",
                            "check --base-url and that the server runs, then run the same command: answers so far are kept",
                        ) from None
            except openai.APIStatusError as error:
                problem = self.said(error)
                hold = self.verdict(error, server)
                if hold is None:
                    refusal = "content_filter" in problem or "content_policy" in problem
                    status: Status = "refused" if refusal else "failed"
                    return Outcome(request.key, status, error=problem, attempts=sent, server=server)
                if hold > 0:
                    sent -= 1  # a limit is no failure
                    limited_since = limited_since or time.monotonic()
                    if time.monotonic() - limited_since > _LONGEST_LIMITED:
                        raise ModelError(f"{server} has held requests back for half an hour: {problem}", "try later") from None
                    self._resume_at = max(self._resume_at, time.monotonic() + hold)
                    continue
            if sent < self._options.attempts:
                await self._pause(pause)
        return Outcome(request.key, "failed", error=f"{problem} (after {sent} attempts)", attempts=sent, server=server)

    async def _send(self, client: AsyncOpenAI, request: Request) -> bytes:
        from openai import HttpxBinaryResponseContent

        # the client's own way to send a body as it is: its typed arguments would be walked through field by field
        async with self._turn:  # one a turn of the event loop: answers come in bunches, and the first of a bunch is sent on
            await asyncio.sleep(0)  # before all others are prepared, so bunches dissolve instead of waiting for themselves
        response = await client.post(
            "/chat/completions", cast_to=HttpxBinaryResponseContent, body=request.payload,
            options={"headers": {"Idempotency-Key": request.key}},
        )  # fmt: skip
        return response.content

    def _read(self, request: Request, body: bytes, sent: int, server: str) -> Outcome | None:
        try:
            outcome = read_completion(request.key, json.loads(body), self._options)
        except (ValueError, RecursionError):
            return None
        if outcome is None:
            return None
        return Outcome(**{**outcome.__dict__, "attempts": sent, "server": server})

    def verdict(self, error: APIStatusError, server: str) -> float | None:
        """Seconds to hold all requests back, 0 for an ordinary retry, ``None`` to give this request up; or stop the run.

        Raises:
            ModelError, StructuredOutputRefusedError: no request can be answered this way.
        """
        problem, status, kept = self.said(error), error.status_code, "answers so far are kept"
        if status in (401, 403):
            raise ModelError(f"{server} refuses the key: {problem}", f"set $OPENAI_API_KEY, then run the same command: {kept}")
        if status == 404:
            raise ModelError(f"{server} has no such model or address: {problem}", f"check --model and --base-url; {kept}")
        if status == 402 or (status == 429 and "insufficient_quota" in problem):
            raise ModelError(f"{server}: the quota is used up: {problem}", f"top it up, then run the same command: {kept}")
        if status in (429, 503):
            milliseconds = error.response.headers.get("retry-after-ms", "")
            asked = retry_after_seconds(error.response.headers.get("retry-after", ""))
            wait = float(milliseconds) / 1000 if milliseconds.isdigit() else asked or 0.0
            if wait > _LONGEST_RETRY_AFTER:
                raise ModelError(f"{server} asks to wait {wait:.0f} s: {problem}", f"run the same command then: {kept}")
            return wait
        if status in (408, 409, 425) or status >= 500:
            return 0.0
        if status in (400, 422) and not self._successes and names_schema(problem):
            raise StructuredOutputRefusedError(problem)
        if status in (400, 422) and not self._successes and "param" in problem.lower():
            raise ModelError(
                f"{server} does not take these parameters: {problem}",
                "change or leave them out with --parameter, e.g. --parameter max_tokens=null --parameter temperature=1",
            )
        return None

    def said(self, error: APIStatusError) -> str:
        """HTTP status and the server's words, in one short line without the key."""
        text = error.response.text
        try:
            value = json.loads(text)
            inner = value.get("error", value) if isinstance(value, dict) else value
            if isinstance(inner, dict):
                text = " ".join(str(inner[name]) for name in ("code", "message") if inner.get(name)) or text
        except ValueError:
            pass
        text = " ".join(text.split())[:300].replace(str(self._settings["api_key"]), "…")
        return f"HTTP {error.status_code} {text}".strip()


def broken(error: APIConnectionError, timeout: float) -> tuple[str, bool]:
    """What went wrong with a connection, in a few words, and whether there was one."""
    import aiohttp

    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for cause in causes:  # by the library that made the connection: what the layers above call these is less exact
        if isinstance(cause, aiohttp.ClientConnectorError):
            number = cause.os_error.errno
            return os.strerror(number) if number is not None and number > 0 else str(cause.os_error), False
        if isinstance(cause, TimeoutError):
            return f"no answer within {timeout:g} s", not isinstance(cause, aiohttp.ConnectionTimeoutError)
        if isinstance(cause, aiohttp.ClientError):
            return f"{type(cause).__name__}: {cause}", True
    return f"{type(causes[-1]).__name__}: {causes[-1]}", True


def read_completion(key: str, value: Any, options: Options) -> Outcome | None:
    """A chat completion's JSON → an outcome; ``None`` when it is not one.

    A refusal is what the server marks so (``refusal``, ``content_filter``) or a polite no in place of JSON.
    """
    try:
        choice = value["choices"][0]
        message = choice["message"]
        content = message.get("content")
        refusal = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    usage = value.get("usage") if isinstance(value.get("usage"), dict) else {}
    tokens_in, tokens_out = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    cost = None
    if options.price_in is not None or options.price_out is not None:
        cost = ((tokens_in or 0) * (options.price_in or 0) + (tokens_out or 0) * (options.price_out or 0)) / 1e6
    paid: dict[str, Any] = {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost": cost}
    if isinstance(refusal, str) and refusal.strip():
        return Outcome(key, "refused", refusal, **paid)
    if choice.get("finish_reason") == "content_filter":
        return Outcome(key, "refused", content if isinstance(content, str) else "", "content filter", **paid)
    if isinstance(content, list):  # some servers answer in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is None:
        content = ""
    if not isinstance(content, str):
        return None
    return Outcome(key, "refused" if is_refusal(content) else "answered", content, **paid)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def names_schema(problem: str) -> bool:
    """Whether a server's complaint is about the JSON schema."""
    text = problem.lower()
    return any(word in text for word in ("response_format", "json_schema", "structured output", "guided_json", "grammar"))
