"""How much the durable ledger costs: requests to a slow loopback server, beside the bare ``openai`` client.

    python scripts/bench_build.py                       # 1,000 requests, 64 in flight, 500 ms each
    python scripts/bench_build.py --resume 100000       # also: a finished run of 100,000 rows, run again

Both sides send the same 1,000 payloads to the same server (a process of its own) in turn, three times; shown is each
round (with the processor time of this process and the load of the machine) and the best of each side, against the ideal
of requests / in flight x delay.  Ours includes planning, the
durable ledger and reading the answers back; the bare client keeps its answers in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ANSWER = json.dumps({
    "id": "x", "object": "chat.completion", "created": 0, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"paraphrase": "In the open, one sees a dog."}'}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}).encode()  # fmt: skip


async def serve(delay: float) -> None:
    """Answer every request after ``delay`` seconds; print the port."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in request.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                await reader.readexactly(length)
                await asyncio.sleep(delay)
                writer.write(head + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resume", type=int, default=0, metavar="ROWS", help="time a finished run of this many rows")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        asyncio.run(serve(arguments.serve))
        return
    ideal = arguments.requests / arguments.concurrency * arguments.delay
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(arguments.delay)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        print(f"{arguments.requests} requests, {arguments.concurrency} in flight, {arguments.delay:g} s each: ideal {ideal:.2f} s")
        bare(url, 1, 1), ours(url, 1, 1)  # imports and code paths are warm for both
        best = {"bare": float('inf'), "ours": float('inf')}
        for number in range(arguments.rounds):
            for name, run in (("bare", bare), ("ours", ours)):
                busy = time.process_time()
                seconds = run(url, arguments.requests, arguments.concurrency)
                busy = time.process_time() - busy
                best[name] = min(best[name], seconds)
                print(
                    f"round {number + 1}  {name}  {seconds:6.2f} s  {seconds / ideal:.3f} x ideal  processor {busy:.2f} s"
                    f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True,
                )  # fmt: skip
        print(f"best     bare openai client    {best['bare']:6.2f} s  {best['bare'] / ideal:.3f} x ideal")
        print(f"best     parabench, ledger on  {best['ours']:6.2f} s  {best['ours'] / ideal:.3f} x ideal  ({best['ours'] / best['bare']:.3f} x bare)")
    finally:
        server.kill()
        server.wait()
    if arguments.resume:
        resume(arguments.resume)


def payloads(n: int, url: str):
    from parabench.build.caption import Caption
    from parabench.build.generate import GENERATORS, Options

    captions = [Caption(str(i), str(i), f"A dog with the number {i} stands in an open field.") for i in range(n)]
    return captions, lambda c: GENERATORS.get("openai")(Options(kinds=("free",), model="m", base_url=url, concurrency=c))


def bare(url: str, n: int, concurrency: int) -> float:
    """The client's own calls under a semaphore."""
    from openai import AsyncOpenAI

    captions, make = payloads(n, url)
    bodies = [make(1)._chains(None)[0].follow(caption, lambda request: None).payload for caption in captions]

    async def run() -> None:
        gate = asyncio.Semaphore(concurrency)
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

            async def one(body: dict) -> str:  # type: ignore[type-arg]
                async with gate:
                    answer = await client.chat.completions.create(**body)
                    return json.loads(answer.choices[0].message.content)["paraphrase"]

            await asyncio.gather(*(one(dict(body)) for body in bodies))

    start = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - start


def ours(url: str, n: int, concurrency: int) -> float:
    """Plan, ask with the durable ledger, read the candidates."""
    from parabench.build.ledger import Ledger

    captions, make = payloads(n, url)
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        generator = make(concurrency)
        start = time.perf_counter()
        kept = sum(not candidate.reason for candidate in generator.generate(captions, ledger, "2026-01-01"))
        seconds = time.perf_counter() - start
    assert kept == n
    return seconds


def resume(rows: int) -> None:
    """Fill a ledger with answers, build the release (checks included), and time the finished build: nothing is asked."""
    from parabench.build.generate import Options
    from parabench.build.ledger import Ledger
    from parabench.build.pipeline import Build, Settings
    from parabench.build.requests import Outcome, RequestTable

    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), range(1, rows + 1)
        captions = {
            "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in numbers],
            "annotations": [{"id": i, "image_id": i, "caption": f"A dog with the number {i} stands in an open field."} for i in numbers],
        }
        (folder / "captions.json").write_text(json.dumps(captions))
        options = Options(kinds=("free",), model="m", base_url="http://127.0.0.1:9/v1")
        build = lambda: Build(Settings(captions=folder / "captions.json", out=folder / "set", generator="openai", options=options))  # noqa: E731
        with Ledger(folder / "set.ledger.sqlite") as ledger, RequestTable(ledger) as table:
            chain = build().generator._chains(None)[0]  # type: ignore[attr-defined]
            table.plan(chain.follow(caption, lambda request: None) for caption in build().sample.captions)
            while claimed := table.claim(5000):
                said = (json.loads(request.payload["messages"][1]["content"])["caption"].split()[5] for request in claimed)
                table.store([
                    Outcome(request.key, "answered", json.dumps({"paraphrase": f"In the open, number {number} is worn by a standing dog."}))
                    for request, number in zip(claimed, said, strict=True)
                ])  # fmt: skip
        for what in ("answered", "finished"):
            start = time.perf_counter()
            _, record = build().run()
            seconds = time.perf_counter() - start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{what} build of {record.n_candidates:,} rows: {seconds:.1f} s, nothing asked, peak memory {memory:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
