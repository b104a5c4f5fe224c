"""Which tasks a run does, with their data read and checked before any model is loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from parabench.data import Benchmark, load
from parabench.data.sources.karpathy import CaptionSet
from parabench.encoders.protocol import CorpusEncoder, Encoder
from parabench.errors import DataError, ModelError, UsageError
from parabench.evaluate.resampling import Resampling
from parabench.evaluate.result import Result, TaskResult
from parabench.evaluate.tasks import TASKS, Task, TaskModel, TaskSource
from parabench.progress import note
from parabench.retrieval.embed import Embedder
from parabench.retrieval.forward import Forward
from parabench.storage import sha256_json

OF_THE_DATASET = ("paraphrase", "retrieval")
"""Tasks that ask about ``--dataset``; they are also the default."""


@dataclass(frozen=True)
class TaskPlan:
    """What a run does.

    Attributes:
        names: the tasks, in the order asked for.
        benchmark: the dataset, or ``None`` where no task asks about one.
        own: tasks with data of their own: name → (task, its data).
    """

    names: tuple[str, ...]
    benchmark: Benchmark | None
    own: dict[str, tuple[Task, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        tasks: Sequence[str] | None,
        task_data: Mapping[str, str | Path],
        dataset: str | Path | Benchmark,
        *,
        gallery: str | Path | None = None,
        images: Sequence[str | Path] = (),
        split: str | None = None,
    ) -> TaskPlan:
        """Check the names, load the dataset where a task needs it, and read every task's own data.

        Args:
            tasks: names; ``None`` for what the dataset can answer.
            task_data: task → file or folder.
            dataset, gallery, images, split: as in :func:`parabench.evaluate`.

        Raises:
            UsageError: a name is unknown, or data is given for a task that is not asked for.
            DataError: data is absent or malformed.
        """
        names = task_names(tasks)
        for name in task_data:
            TASKS.target(name)
            if name == "paraphrase":
                raise UsageError("the data of paraphrase is the dataset", "--dataset NAME|PATH")
            if name not in names:
                raise UsageError(f"--task-data names {name}, which is not among the tasks {', '.join(names)}", f"--tasks {','.join([*names, name])}")
        benchmark = None
        if needs_dataset(names):
            benchmark = dataset if isinstance(dataset, Benchmark) else load(dataset, gallery=gallery, images=images)
        own = [name for name in names if name not in OF_THE_DATASET]
        if isinstance(benchmark, CaptionSet):
            benchmark.select(split)  # refuses another split than its own
            if tasks is None:
                names = ("retrieval",)
            elif "paraphrase" in names:
                raise UsageError(f"{benchmark.name} holds captions and no paraphrases", f"--tasks {','.join(n for n in names if n != 'paraphrase')}")
            own = list(names)
        elif "retrieval" in task_data:
            own.append("retrieval")  # refuses, and says which sets it reads
        folders = tuple(Path(folder).expanduser() for folder in images)
        for folder in folders:
            if own and not folder.is_dir():
                raise DataError(f"no such folder of pictures: {folder}", "check --images")
        loaded: dict[str, tuple[Task, Any]] = {}
        for name in own:
            given = Path(task_data[name]).expanduser() if name in task_data else None
            task = TASKS.get(name)()
            loaded[name] = (task, task.load(TaskSource(given, folders, benchmark)))
            note(f"{name}: {loaded[name][1].provenance}")
        return cls(names, benchmark, loaded)

    @property
    def ranks_pairs(self) -> bool:
        """Whether the dataset's pairs are ranked: a task asks about a dataset that has pairs."""
        return self.benchmark is not None and not isinstance(self.benchmark, CaptionSet)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tasks' own data."""
        return sha256_json({name: data.fingerprint for name, (_, data) in self.own.items()})

    def asked(self, tasks: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
        """The results to keep: stability never stands alone, so ``paraphrase`` keeps ``retrieval`` beside it."""
        return {name: task for name, task in tasks.items() if name in self.names or "paraphrase" in self.names}

    def run(
        self, encoder: Encoder, result: Result, *, forward: Forward, cache: bool, rebuild: bool = False
    ) -> dict[str, pa.Table]:
        """Run the tasks that have data of their own and put their numbers into ``result``.

        An encoder that learns word weights learns them from each task's own texts, so that a task's
        numbers do not depend on the tasks beside it.

        Returns:
            Task → its rows.

        Raises:
            ModelError: not one number of the run could be computed with this encoder.
        """
        resampling = resampling_of(result)
        tables: dict[str, pa.Table] = {}
        computed = dict(result.settings.get("computed", {}))
        for at, (name, (task, data)) in enumerate(self.own.items()):
            mark = time.perf_counter()
            if isinstance(encoder, CorpusEncoder):
                encoder.fit_corpus(data.texts())
            with Embedder.opened(encoder, forward, cache=cache, rebuild=rebuild and at == 0) as embedder:
                tables[name] = task.rows(data, TaskModel(embedder, result.settings["metrics"]))
                for modality, count in embedder.computed.items():
                    computed[modality] = computed.get(modality, 0) + count
            scored = task.score(tables[name], resampling)
            result.tasks[name] = _described(scored, data.provenance, data.fingerprint)
            result.timings[f"task_{name}"] = time.perf_counter() - mark
            for what, why in scored.details.get("skipped", {}).items():
                note(f"{name}: skipped {what}: {why}" if what != name else f"{name}: skipped: {why}")
        result.settings |= {"computed": computed, "tasks": list(self.names)}
        if result.tasks and not any(task.metrics for task in result.tasks.values()):
            reasons = [why for task in result.tasks.values() for why in task.details.get("skipped", {}).values()]
            raise ModelError(f"nothing could be measured: {'; '.join(dict.fromkeys(reasons))}", "choose another --model or other --tasks")
        return tables


def task_names(tasks: Sequence[str] | None) -> tuple[str, ...]:
    """Known names, each once; the default for ``None``; :class:`UsageError` for an unknown one or for none at all."""
    if tasks is None:
        return OF_THE_DATASET
    if not tasks:
        raise UsageError("no task was asked for", f"leave --tasks out or give names such as {', '.join(OF_THE_DATASET)}")
    for name in tasks:
        TASKS.target(name)
    return tuple(dict.fromkeys(tasks))


def needs_dataset(names: Sequence[str]) -> bool:
    """Whether one of the tasks asks about ``--dataset``."""
    return any(name in OF_THE_DATASET for name in names)


def resampling_of(result: Result) -> Resampling:
    """How the intervals of a run are made."""
    return Resampling(result.settings["n_resamples"], result.settings["seed"], result.settings["level"])


def rescored(result: Result, tables: Mapping[str, pa.Table]) -> dict[str, TaskResult]:
    """The numbers of tasks again, from their rows alone; what the data was is taken from ``result``."""
    again = {}
    for name, rows in tables.items():
        known = result.tasks[name].details
        again[name] = _described(TASKS.get(name)().score(rows, resampling_of(result)), known["data"], known["data_sha256"])
    return again


def _described(task: TaskResult, provenance: str, fingerprint: str) -> TaskResult:
    task.details |= {"data": provenance, "data_sha256": fingerprint}
    return task
