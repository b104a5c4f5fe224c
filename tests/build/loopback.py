"""An OpenAI-compatible server on loopback that misbehaves on purpose: real sockets, real HTTP, no mocks.

Run as a script it serves until killed and prints its port: ``python loopback.py [seconds of delay]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any


def canonical(payload: Any) -> str:
    """SHA-256 of the canonical JSON, written here independently of the project."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def say(payload: dict[str, Any]) -> str:
    """What a well-behaved model answers: a function of the payload alone."""
    data = json.loads(payload["messages"][1]["content"])
    field = "foil" if '{"foil"' in payload["messages"][0]["content"] else "paraphrase"
    caption = data["caption"].strip(" .")
    parts = re.match(r"(.+) (on|in|at|under) (an? .+)", caption)
    if parts is None:
        sentence = f"What one sees here: {caption}."
    elif field == "foil":
        sentence = f"{parts[1]} on a roof."
    elif "avoid" in data:
        sentence = f"{parts[1]} can be seen {parts[2]} {parts[3]}."
    else:
        be = "are" if parts[1].lower().startswith(("two", "three")) else "is"
        sentence = f"{parts[2].capitalize()} {parts[3]}, there {be} {parts[1][0].lower()}{parts[1][1:]}."
    return json.dumps({field: sentence})


def completion(content: str | None, **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": message.pop("finish_reason", "stop"),
                     "message": {"role": "assistant", "content": content, **message}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }  # fmt: skip


Reply = tuple[int, dict[str, str], bytes]
Behaviour = Callable[["Loopback", dict[str, Any], int], "Reply | str"]


def good(server: Loopback, payload: dict[str, Any], nth: int) -> Reply | str:
    return 200, {}, json.dumps(completion(say(payload))).encode()


def wicked(server: Loopback, payload: dict[str, Any], nth: int) -> Reply | str:
    """By the payload's hash: most are answered at once, others after trouble, some never."""
    fate = int(canonical(payload["messages"][:2]), 16) % 20
    if len(payload["messages"]) > 2 and fate != 6:  # a repair
        return good(server, payload, nth)
    if fate == 0 and nth < 2:
        return 429, {"Retry-After": "1" if nth else "0", "retry-after-ms": "20"}, b'{"error": {"message": "slow down"}}'
    if fate == 1 and nth < 2:
        return 500, {}, b"internal error"
    if fate == 2 and nth < 1:
        return 200, {"Content-Type": "text/html"}, b"<html>garbage"
    if fate == 3 and nth < 2:
        return "half"
    if fate == 4 and nth < 1:
        return "drop"
    if fate == 5:
        return 200, {}, json.dumps(completion('```json\n{"paraphrase": "A half sent')).encode()
    if fate == 6:
        return 200, {}, json.dumps(completion("Here you are: no JSON at all")).encode()
    if fate == 7:
        return 200, {}, json.dumps(completion(None, refusal="I can't help with that.")).encode()
    if fate == 8:
        return 200, {}, json.dumps(completion("I'm sorry, but I can't describe that.")).encode()
    if fate == 9:
        return 400, {}, b'{"error": {"message": "context too long"}}'
    if fate == 10:
        return 200, {}, json.dumps(completion("Sure!\n```json\n" + say(payload) + "\n```\nAnything else?")).encode()
    return good(server, payload, nth)


class Loopback:
    """A server in a thread.

    Attributes:
        asked: payload hash → how often it came.
        answered: payload hash → how often a complete chat completion was written to a client that was still there.
        bodies: every payload, in order of arrival, when ``keep`` is set.
        batches: jobs of the Batch API.
    """

    def __init__(self, behaviour: Behaviour = good, delay: float = 0.0, *, keep: bool = False) -> None:
        self.behaviour, self.delay, self.keep = behaviour, delay, keep
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.keys: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.authorization: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.times: list[float] = []
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @contextlib.contextmanager
    def running(self) -> Iterator[Loopback]:
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self.connection, "127.0.0.1", self.port, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            async with server:
                await server.serve_forever()

        def run() -> None:
            asyncio.set_event_loop(loop)
            self.task = loop.create_task(serve())
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self.task)
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.wait(10)
        try:
            yield self
        finally:
            with contextlib.suppress(RuntimeError):  # it has died already
                loop.call_soon_threadsafe(self.task.cancel)
            thread.join(10)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.authorization[headers.get("authorization", "")] += 1
                if path.startswith("/v1/chat/completions"):
                    await self.chat(headers, json.loads(body), reader, writer)
                else:
                    await self.write(writer, self.other(method, path, headers, body))
        writer.close()

    async def chat(self, headers: Any, payload: dict[str, Any], reader: Any, writer: asyncio.StreamWriter) -> None:
        key = canonical(payload)
        nth = self.asked[key]
        self.asked[key] += 1
        self.keys.append(headers.get("idempotency-key", ""))
        self.times.append(time.monotonic())
        if self.keep:
            self.bodies.append(payload)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.delay:
            await asyncio.sleep(self.delay)
        self.in_flight -= 1
        reply = self.behaviour(self, payload, nth)
        if reply == "drop":
            writer.transport.abort()
            return
        if reply == "half":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"choices": [{"mes')
            await writer.drain()
            writer.close()
            return
        if reply[0] == 200 and reply[2].startswith(b"{") and not (writer.transport.is_closing() or reader.at_eof()):
            self.answered[key] += 1
        await self.write(writer, reply)

    async def write(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        status, headers, body = reply
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()

    def other(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """The parts of the Batch API."""
        path, _, _ = path.removeprefix("/v1").partition("?")
        if path == "/files" and method == "POST":
            boundary = headers["content-type"].partition("boundary=")[2].encode()
            part = next(p for p in body.split(b"--" + boundary) if b'name="file"' in p)
            identifier = f"file-{len(self.files)}"
            self.files[identifier] = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            return self.json({"id": identifier, "object": "file", "bytes": 1, "created_at": 0, "filename": "x", "purpose": "batch", "status": "processed"})
        if path == "/batches" and method == "POST":
            asked = json.loads(body)
            identifier = f"batch-{uuid.uuid4().hex[:8]}"
            self.batches[identifier] = {
                "id": identifier, "object": "batch", "endpoint": asked["endpoint"], "input_file_id": asked["input_file_id"],
                "completion_window": "24h", "created_at": 0, "status": "in_progress", "metadata": asked.get("metadata"),
            }  # fmt: skip
            return self.json(self.batches[identifier])
        if path == "/batches":
            return self.json({"object": "list", "data": list(self.batches.values()), "has_more": False})
        if path.startswith("/batches/"):
            return self.json(self.batches[path.split("/")[2]])
        if path.startswith("/files/") and path.endswith("/content"):
            return 200, {"Content-Type": "application/octet-stream"}, self.files[path.split("/")[2]]
        return 404, {}, b'{"error": {"message": "no such address"}}'

    def finish(self, identifier: str, status: str = "completed", share: float = 1.0) -> None:
        """End a batch job; a share of its lines is answered."""
        batch = self.batches[identifier]
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        results = []
        for line in lines[: int(len(lines) * share)]:
            key = canonical(line["body"])
            self.asked[key] += 1
            nth = self.asked[key] - 1
            reply = self.behaviour(self, line["body"], nth)
            code, _, body = reply if not isinstance(reply, str) else (500, {}, b"{}")
            if code == 200 and body.startswith(b"{"):
                self.answered[key] += 1
            value = json.loads(body) if body.startswith(b"{") else {"error": {"message": body.decode()}}
            results.append({"id": "r", "custom_id": line["custom_id"], "response": {"status_code": code, "request_id": "q", "body": value}, "error": None})
        identifier = f"file-{len(self.files)}"
        self.files[identifier] = "\n".join(json.dumps(result) for result in reversed(results)).encode()
        batch.update(status=status, output_file_id=identifier)

    @staticmethod
    def json(value: Any) -> Reply:
        return 200, {}, json.dumps(value).encode()


if __name__ == "__main__":
    server = Loopback(delay=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
    with server.running():
        print(server.port, flush=True)
        threading.Event().wait()
