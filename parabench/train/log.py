"""What a run says: lines for machines, one line for people, TensorBoard where it is asked for."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from parabench.errors import MissingDependencyError
from parabench.progress import note
from parabench.storage import write_text


class Log:
    """``log.jsonl``: one JSON object a line, by ``step``.

    Args:
        folder: where it lies.
        step: steps already done; later lines of an interrupted run are dropped, so that a resumed run's log is
            the log of an uninterrupted one.
        tensorboard: write events too.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        self._path = folder / "log.jsonl"
        kept = [line for line in read_log(self._path) if line["step"] <= step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._events: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise MissingDependencyError("tensorboard", "train", "run.tensorboard") from None
            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is open."""
        if self._events is not None:
            self._events.close()


class Meter:
    """Samples a second since the last reading."""

    def __init__(self) -> None:
        self._mark, self._samples = time.perf_counter(), 0
        self._paused = 0.0

    def add(self, samples: int) -> None:
        """Count samples."""
        self._samples += samples

    @contextlib.contextmanager
    def pause(self) -> Any:
        """Time within the block does not count (evaluation, checkpoints)."""
        started = time.perf_counter()
        yield
        self._paused += time.perf_counter() - started

    def read(self) -> float:
        """Samples a second since the last reading."""
        now = time.perf_counter()
        rate = self._samples / max(1e-9, now - self._mark - self._paused)
        self._mark, self._samples, self._paused = now, 0, 0.0
        return rate


def memory_mb(device: str) -> float:
    """Peak memory so far in MB: of the accelerator, or of the process on the CPU."""
    if device.startswith("cuda"):
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def read_log(path: Path) -> list[dict[str, Any]]:
    """Lines of a log; a last line that a crash cut off is left out."""
    lines = []
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(text))
    except FileNotFoundError:
        return []
    except ValueError:
        note(f"{path.name}: the last line was cut off and is dropped")
    return lines
