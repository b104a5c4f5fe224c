"""Read strangers' parquet files in a process of their own, with little memory and little time.

A parquet file of a few bytes can claim billions of values, and a malformed one may crash the reader.  So a
child process decodes it under limits of address space and time, and hands over plain arrays
(``.npy`` without pickles).  If it dies, the file is refused and the next file gets a new child.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from parabench.errors import DataError

_MEMORY, _SECONDS = 3 << 30, 120
_MOST_ANSWER = 2 << 30


class Sandbox:
    """Decodes compact rankings one after another: ``with Sandbox() as sandbox: columns = sandbox.read(path, …)``."""

    def __init__(self, memory: int = _MEMORY, seconds: float = _SECONDS) -> None:
        self._memory, self._seconds = memory, seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def read(self, path: Path, n_queries: int, n_images: int) -> Any:
        """:func:`parabench.leaderboard.compact.read_compact` at a distance.

        Raises:
            DataError: what it raises, or: the file broke the reader or its limits.
        """
        from parabench.leaderboard.compact import Columns

        child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        timer = threading.Timer(self._seconds, child.kill)
        timer.start()
        try:
            child.stdin.write(json.dumps([str(path), n_queries, n_images]).encode() + b"\n")
            child.stdin.flush()
            head = json.loads(child.stdout.readline())
            if "fault" in head:
                raise DataError(head["fault"])
            arrays = {name: _receive(child.stdout) for name in head["arrays"]}
        except (OSError, ValueError, KeyError):
            self.close()
            raise DataError(
                f"reading {path.name} needed more than {self._memory >> 20:,} MB or {self._seconds:g} s, or broke the reader"
            ) from None
        finally:
            timer.cancel()
        smaller = {int(name.removeprefix("smaller ")): arrays.pop(name) for name in list(arrays) if name.startswith("smaller ")}
        return Columns(**arrays, smaller=smaller)

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "parabench.leaderboard.sandbox", str(self._memory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self._child


def _receive(stream: IO[bytes]) -> Any:
    size = int.from_bytes(_exactly(stream, 8), "little")
    if size > _MOST_ANSWER:
        raise ValueError("too large")
    return np.load(io.BytesIO(_exactly(stream, size)), allow_pickle=False)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("the child ended")
    return data


def _limit(memory: int) -> None:
    with contextlib.suppress(ImportError):  # not on Windows: there the caps of the footer and the timer remain
        import resource

        for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, hard))


def _serve(memory: int) -> None:
    """The child: a line with a path in, a line of JSON and arrays out, until the input ends."""
    import pyarrow as pa

    from parabench.leaderboard.compact import read_compact

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _limit(memory)
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        name, n_queries, n_images = json.loads(line)
        try:
            columns = read_compact(Path(name), n_queries, n_images)
        except (DataError, MemoryError, RecursionError) as error:
            said = error.problem if isinstance(error, DataError) else "it needs too much memory"
            out.write(json.dumps({"fault": said}).encode() + b"\n")
            out.flush()
            continue
        plain = ("query", "again", "sha256", "top", "target_rank", "caption_rank")
        arrays = {name: getattr(columns, name) for name in plain} | {f"smaller {size}": top for size, top in columns.smaller.items()}
        out.write(json.dumps({"arrays": list(arrays)}).encode() + b"\n")
        for array in arrays.values():
            stored = io.BytesIO()
            np.save(stored, array, allow_pickle=False)
            out.write(stored.tell().to_bytes(8, "little") + stored.getvalue())
        out.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
