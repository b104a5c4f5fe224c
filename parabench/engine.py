"""Where work is done: in this process, or by workers of a Ray cluster, each in a process of its own.

A worker is made once and keeps what it loaded (a network, say) until the engine is closed.  Ray Data would make its
workers anew for every stage of a run, and load the network anew with them; so these are Ray actors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from parabench.errors import MissingDependencyError, ModelError, ParabenchError, UsageError, did_you_mean
from parabench.progress import note, quiet

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")
Item_in = TypeVar("Item_in", contravariant=True)
Result_out = TypeVar("Result_out", covariant=True)
_TRIES = 3

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Engine:
    """What the user chose.

    Attributes:
        name: ``"local"``, or ``"ray"``: the cluster that ``RAY_ADDRESS`` names or that runs here, else a new one on this machine.
        workers: of the Ray cluster; one a GPU by default, or one a machine where there are none.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; a worker on a GPU sees that one alone.

    Raises:
        UsageError: an unknown engine, or workers or a device that do not go with it.
    """

    name: str = "local"
    workers: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise UsageError(f"unknown engine '{self.name}'", did_you_mean(self.name, ENGINES))
        if self.workers is not None and self.name == "local":
            raise UsageError(f"--workers {self.workers} does not go with --engine local", "add --engine ray")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers} is not positive", "leave it out or give 1 or more")
        if self.name == "ray" and ":" in self.device:
            raise UsageError(f"--device {self.device} names one device, and with --engine ray every worker has its own", "use --device cuda")

    @contextmanager
    def open(self, make: Callable[[], Callable[[Item], Result]]) -> Iterator[Workers[Item, Result]]:
        """Workers for one kind of work.

        Args:
            make: makes a worker; it, the items and the results must pickle where the engine is not local.
        """
        if self.name == "local":
            yield InProcess(make)
            return
        workers = RayWorkers(make, self.workers, gpus=self.device in ("auto", "cuda"))
        try:
            yield workers
        finally:
            workers.close()


class Workers(Protocol[Item_in, Result_out]):
    """What an engine opens."""

    @property
    def count(self) -> int:
        """How many items are worked on at once."""
        ...

    def map(self, items: Sequence[Item_in]) -> Iterator[tuple[int, Result_out]]:
        """The number and the result of every item, as they are finished; what a worker raises is raised here.

        Raises:
            MissingDependencyError: ray is not installed.
            ModelError: the cluster has no room for the workers, or one dies again and again.
        """
        ...

    def share(self, value: Shared) -> Callable[[], Shared]:
        """What items carry in place of a large value that many of them need; it goes to each worker once."""
        ...


class InProcess(Generic[Item, Result]):
    """One worker in this process."""

    count = 1

    def __init__(self, make: Callable[[], Callable[[Item], Result]]) -> None:
        self._make = make
        self._work: Callable[[Item], Result] | None = None

    def map(self, items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """See :meth:`Workers.map`; in order."""
        if self._work is None:
            self._work = self._make()
        for number, item in enumerate(items):
            yield number, self._work(item)

    def share(self, value: Shared) -> Callable[[], Shared]:
        """See :meth:`Workers.share`."""
        return lambda: value


class RayWorkers(Generic[Item, Result]):
    """Ray actors, started when there is work; a cluster that this started ends with it.

    Args:
        make: see :meth:`Engine.open`.
        count: see :class:`Engine`.
        gpus: whether workers may have one each.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Result]], count: int | None, *, gpus: bool) -> None:
        self._make, self._asked, self._gpus = make, count, gpus
        self._owns_cluster = False

    @property
    def count(self) -> int:
        """See :meth:`Workers.count`; starts them."""
        return len(self._actors)

    def map(self, items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """See :meth:`Workers.map`."""
        if not items:
            return
        actors = self._actors
        from ray.exceptions import RayError
        from ray.util import ActorPool

        pool: Any = ActorPool(actors)
        try:
            for number, result in pool.map_unordered(lambda actor, task: actor.run.remote(*task), list(enumerate(items))):
                if isinstance(result, ParabenchError):
                    raise result
                yield number, result
        except RayError as error:
            said = str(error).strip().splitlines()
            raise ModelError(
                f"a worker failed: {said[-1] if said else type(error).__name__}",
                "what is done is kept: run the same command again, with fewer --workers or a smaller --batch-size if memory ran out",
            ) from error

    def share(self, value: Shared) -> Callable[[], Shared]:
        """See :meth:`Workers.share`."""
        return _Reference(self._ray.put(value))

    def close(self) -> None:
        """End the workers, and the cluster if it is ours."""
        for actor in self.__dict__.get("_actors", ()):
            self._ray.kill(actor)
        if self._owns_cluster:
            self._ray.shutdown()

    @cached_property
    def _ray(self) -> Any:
        """The package, connected to a cluster."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
        try:
            import ray
        except ImportError:
            raise MissingDependencyError("ray", "ray", "--engine ray") from None
        if not ray.is_initialized():
            try:
                ray.init(log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                raise ModelError(f"no Ray cluster: {error}", "check RAY_ADDRESS, or unset it to use this machine") from None
            self._owns_cluster = True
        return ray

    @cached_property
    def _actors(self) -> list[Any]:
        ray = self._ray
        whole = ray.cluster_resources()
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        n_gpus = int(whole.get("GPU", 0)) if self._gpus else 0
        count = self._asked or n_gpus or len(machines)
        if count > (n_gpus or whole["CPU"]):
            what = f"{n_gpus} GPUs" if n_gpus else f"{int(whole['CPU'])} cores"
            raise ModelError(f"the Ray cluster has {what} and {count} workers were asked for", "give fewer --workers")
        on_one_machine = -(-count // len(machines))
        share = max(1, int(min(machine["CPU"] for machine in machines)) // on_one_machine)
        note(f"engine: ray, {count} worker{'s' * (count > 1)} of {'1 GPU' if n_gpus else f'{share} core' + 's' * (share > 1)}")
        actor = ray.remote(num_cpus=share, num_gpus=min(1, n_gpus), max_restarts=_TRIES, max_task_retries=_TRIES)(_Actor)
        return [actor.remote(self._make) for _ in range(count)]


class _Reference(Generic[Shared]):
    """A value in the cluster's object store; a worker reads it once."""

    _read: tuple[str, Any] = ("", None)

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def __call__(self) -> Shared:
        key = self._reference.hex()
        if _Reference._read[0] != key:
            import ray

            _Reference._read = (key, ray.get(self._reference))
        value: Shared = _Reference._read[1]
        return value


class _Actor(Generic[Item, Result]):
    """A worker in its process."""

    def __init__(self, make: Callable[[], Callable[[Item], Result]]) -> None:
        self._make = make
        self._work: Callable[[Item], Result] | None = None

    def run(self, number: int, item: Item) -> tuple[int, Result | ParabenchError]:
        with quiet():
            try:
                if self._work is None:
                    self._work = self._make()
                return number, self._work(item)
            except ParabenchError as error:
                return number, error
