"""A run without paraphrase pairs: only tasks that bring their own data, or a captioned set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parabench.encoders.protocol import Encoder, Traits
from parabench.engine import Engine
from parabench.errors import ParabenchError
from parabench.evaluate.environment import environment, used_device
from parabench.evaluate.result import DatasetRecord, ModelRecord, Result
from parabench.evaluate.run import RESULT, Run, claim, slug, write_failure
from parabench.evaluate.tasks.plan import TaskPlan
from parabench.retrieval.distributed import forward_of


def evaluate_tasks(
    load_model: Callable[[], Encoder],
    plan: TaskPlan,
    *,
    out: str | Path | None,
    metrics: Sequence[str],
    n_resamples: int,
    seed: int,
    batch_size: int | None,
    engine: Engine,
    precision: str,
    cache: bool,
    rebuild_cache: bool,
    overwrite: bool,
    call: str,
) -> Run:
    """Run the tasks of a plan that ranks no pairs, and write the run folder.

    ``dataset`` in the result is the captioned set, or the names of the tasks where there is none; its
    fingerprint is that of the tasks' data.  ``call`` is recorded where no command line runs.  Arguments and errors as :func:`parabench.evaluate`.
    """
    started = time.perf_counter()
    encoder = load_model()
    timings = {"model": time.perf_counter() - started}
    traits = Traits.of(encoder)
    benchmark = plan.benchmark
    name = benchmark.name if benchmark is not None else "+".join(plan.names)
    folder = Path(out) if out is not None else Path("runs") / slug(name) / slug(encoder.spec)
    claim(folder, encoder.fingerprint, plan.fingerprint, overwrite=overwrite)
    settings: dict[str, Any] = {
        "metrics": list(metrics), "n_resamples": n_resamples, "seed": seed, "level": 0.95, "precision": precision,
        "batch_size": batch_size or traits.batch_size, "tasks": list(plan.names),
        "gallery": traits.sees if traits.sees == "captions" else "images",
    }  # fmt: skip
    result = Result(
        status="running",
        model=ModelRecord(
            spec=encoder.spec, resolved=traits.resolved, fingerprint=encoder.fingerprint, n_parameters=traits.n_parameters
        ),
        dataset=DatasetRecord(
            name=name, split=benchmark.split if benchmark is not None else None, fingerprint=plan.fingerprint, n_pairs=0,
            n_images=len(benchmark.image_ids) if benchmark is not None else 0,
            provenance=benchmark.provenance if benchmark is not None else "; ".join(data.provenance for _, data in plan.own.values()),
        ),
        settings=settings, environment=environment(traits.device, call), timings=timings,
    )  # fmt: skip
    earlier = (folder / RESULT).exists()
    try:
        with forward_of(encoder, batch_size, engine, load_model) as forward:
            tables = plan.run(encoder, result, forward=forward, cache=cache, rebuild=rebuild_cache)
        result.environment["device"] = used_device(encoder, result)
        timings["total"] = time.perf_counter() - started
        result.timings |= timings
        result.status = "complete"
        return Run.write(folder, result, None, None, tables)
    except ParabenchError as error:
        if not earlier:
            write_failure(folder, result, error)
        raise
