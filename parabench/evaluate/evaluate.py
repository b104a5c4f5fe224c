"""One model on one benchmark: embed, rank, measure, write the run."""

from __future__ import annotations

import contextlib
import operator
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from parabench.columns import column
from parabench.data import Benchmark, ImageStore
from parabench.data.duplicates import PictureHashes
from parabench.encoders import load_encoder
from parabench.encoders.protocol import CorpusEncoder, Encoder, Traits, checked
from parabench.engine import Engine
from parabench.errors import DataError, ParabenchError, UsageError
from parabench.evaluate.collapse import collapsed
from parabench.evaluate.environment import describe_call, environment, used_device
from parabench.evaluate.paraphrase import DEFAULT_METRICS, paraphrase_task
from parabench.evaluate.resampling import MOST_RESAMPLES, Resampling
from parabench.evaluate.result import DatasetRecord, ModelRecord, Result
from parabench.evaluate.retrieval import retrieval_task
from parabench.evaluate.run import RANKINGS, RESULT, Run, claim, slug, write_failure
from parabench.evaluate.searches import check_ceiling, other_precision, plan_controls
from parabench.evaluate.tasks.alone import evaluate_tasks
from parabench.evaluate.tasks.plan import TaskPlan, rescored
from parabench.evaluate.warnings import warnings_of
from parabench.metrics import Metric, parse
from parabench.progress import note
from parabench.retrieval.distributed import forward_of
from parabench.retrieval.embed import Embedder
from parabench.retrieval.forward import Forward
from parabench.retrieval.gallery import Controls, rank
from parabench.retrieval.rankings import Rankings

DEPTH = 100


def evaluate(
    model: str | Encoder,
    dataset: str | Path | Benchmark = "scenes",
    *,
    out: str | Path | None = None,
    split: str | None = None,
    gallery: str | Path | None = None,
    images: Sequence[str | Path] = (),
    metrics: Sequence[str] = DEFAULT_METRICS,
    tasks: Sequence[str] | None = None,
    task_data: Mapping[str, str | Path] | None = None,
    depth: int | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    ceiling: str = "batch",
    gallery_sizes: Sequence[int] | None = None,
    distractors: str | None = None,
    collapse_duplicates: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "local",
    workers: int | None = None,
    trust_remote_code: bool = False,
    cache: bool = True,
    rebuild_cache: bool = False,
    overwrite: bool = False,
) -> Run:
    """Evaluate a dual encoder on paraphrased retrieval and write the run folder.

    Args:
        model: a model spec (``"openclip:ViT-B-32"``) or any object with the members of ``Encoder``.
        dataset: a path, a built-in name, a Hub id, or a loaded :class:`Benchmark`.
        out: the run folder; ``runs/<dataset>/<model>`` by default.
        split: rows of one split; sets with splits default to ``test``.
        gallery: file that names the pictures to search (own data).
        images: folders that hold the pictures.
        metrics: rank-similarity metrics such as ``"AO@10"``.
        tasks: what to measure: ``paraphrase``, ``retrieval`` (the default), ``sts``, ``zeroshot``,
            ``compositional``, ``human``; the dataset is loaded only where one of the first two is asked for.
        task_data: where a task's own files are: ``{"sts": "STS/", "zeroshot": "imagenet/val"}``.
        depth: how deep rankings are stored (K); by default 100, or the whole of a smaller gallery.
        n_resamples: bootstrap resamples for the intervals.
        seed: of the bootstrap, the unrelated-caption floor, the ceiling's sample and the smaller galleries.
        ceiling: how the numerical noise is measured on a sample of at most 500 captions: ``"batch"`` embeds
            them again in other batches, ``"fp32"``, ``"bf16"`` or ``"fp16"`` in another precision, ``"off"``
            not at all.
        gallery_sizes: sizes of the gallery-size curve; by default 100, 500, 1,000, 5,000, … below the gallery's
            own; ``()`` for none.
        distractors: ``"embeddings:DIR"`` of the same model whose pictures extend the gallery-size curve; the
            main numbers stay on the benchmark's own gallery.
        collapse_duplicates: pictures that look the same count as one: any of them is a hit.
        batch_size: items a forward pass; the model's own choice by default.
        device: of a network: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; asked for and absent is an error.
        precision: ``fp32``, ``bf16`` or ``fp16`` in the network; scores are float32 always.
        engine: ``"local"``, or ``"ray"``: by workers of a Ray cluster, each with the network of its own.
        workers: of the cluster; one a GPU by default, or one a machine where there are none.
        trust_remote_code: allow code that a hub model brings along.
        cache: keep embeddings between runs.
        rebuild_cache: forget this model's cached embeddings first.
        overwrite: replace a run of another model or dataset in ``out``.

    Raises:
        ParabenchError: anything a user can fix, in one line.
    """
    if not isinstance(model, str):
        checked(model)
    call = describe_call(evaluate, locals())
    started = time.perf_counter()
    chosen = [_similarity(name) for name in ([metrics] if isinstance(metrics, str) else metrics)]
    seed, n_resamples = _whole("seed", seed, 0), _whole("resamples", n_resamples, 1, MOST_RESAMPLES)
    depth = None if depth is None else _whole("depth", depth, 1)
    images = [images] if isinstance(images, (str, Path)) else images
    if not chosen:
        raise UsageError("no metric was asked for", "leave --metrics out or give names such as AO@10")
    check_ceiling(model, ceiling, precision)
    runs_on = Engine(engine, workers, device)
    plan = TaskPlan.of(tasks, task_data or {}, dataset, gallery=gallery, images=images, split=split)

    def load_model() -> Encoder:
        if not isinstance(model, str):
            return model
        return load_encoder(model, device=device, precision=precision, trust_remote_code=trust_remote_code)

    if plan.benchmark is None or not plan.ranks_pairs:
        return evaluate_tasks(
            load_model, plan, out=out, metrics=[str(metric) for metric in chosen], n_resamples=n_resamples, seed=seed,
            batch_size=batch_size, engine=runs_on, precision=precision, cache=cache, rebuild_cache=rebuild_cache, overwrite=overwrite,
            call=call,
        )  # fmt: skip
    benchmark = plan.benchmark
    if benchmark.provenance:
        note(f"dataset: {benchmark.provenance}")
    by_default = split is None and benchmark.split is None
    benchmark = _choose_split(benchmark, split)
    if benchmark.split is not None:
        pairs, pictures = benchmark.pairs.num_rows, len(benchmark.image_ids)
        note(f"split: {benchmark.split} ({pairs:,} pairs, {pictures:,} pictures)" + ("; choose another with --split" if by_default else ""))
    if len(chosen) != len({str(metric) for metric in chosen}):
        chosen = list({str(metric): metric for metric in chosen}.values())
    depth = _depth(chosen, depth, benchmark)
    timings = {"dataset": time.perf_counter() - started}

    mark = time.perf_counter()
    encoder = load_model()
    if isinstance(encoder, CorpusEncoder):
        encoder.fit_corpus([text for texts in benchmark.gallery["captions"].to_pylist() for text in texts or ()])
    timings["model"] = time.perf_counter() - mark
    traits = Traits.of(encoder)
    folder = Path(out) if out is not None else Path("runs") / slug(benchmark.name) / slug(encoder.spec)
    claim(folder, encoder.fingerprint, benchmark.fingerprint, overwrite=overwrite)

    controls = plan_controls(
        model, encoder, benchmark, chosen, ceiling=ceiling, precision=precision, gallery_sizes=gallery_sizes,
        distractors=distractors, seed=seed,
        embed_again=other_precision(
            encoder.spec, ceiling, benchmark, device=device, trust_remote_code=trust_remote_code, batch_size=batch_size, cache=cache
        ),
    )  # fmt: skip
    settings: dict[str, Any] = {
        "metrics": [str(metric) for metric in chosen], "depth": depth, "n_resamples": n_resamples, "seed": seed,
        "level": 0.95, "precision": precision, "batch_size": batch_size or traits.batch_size,
        "gallery": traits.sees if traits.sees == "captions" else "images", "ceiling": ceiling,
        "gallery_sizes": list(controls.sizes), "collapse_duplicates": collapse_duplicates,
    }  # fmt: skip
    if controls.distractors is not None:
        added = controls.distractors
        settings["distractors"] = {"spec": added.name, "n": len(added.vectors), "fingerprint": added.fingerprint}
    result = Result(
        status="running",
        model=ModelRecord(
            spec=encoder.spec, resolved=traits.resolved, fingerprint=encoder.fingerprint, n_parameters=traits.n_parameters
        ),
        dataset=DatasetRecord(
            name=benchmark.name, split=benchmark.split, fingerprint=benchmark.fingerprint,
            n_pairs=benchmark.pairs.num_rows, n_images=len(benchmark.image_ids), provenance=benchmark.provenance,
        ),
        settings=settings, environment=environment(traits.device, call), timings=timings,
    )  # fmt: skip
    store = ImageStore(benchmark, extra_roots=tuple(Path(root) for root in images)) if traits.sees == "pixels" else None
    earlier = (folder / RESULT).exists()
    try:
        with forward_of(encoder, batch_size, runs_on, load_model) as forward:
            rankings = _ranked(encoder, benchmark, store, depth, forward, cache, rebuild_cache, result, controls)
            mark = time.perf_counter()
            pairs = score(result, rankings, benchmark)
            result.timings["metrics"] = time.perf_counter() - mark
            result.tasks = plan.asked(result.tasks)
            rows = plan.run(encoder, result, forward=forward, cache=cache)
        result.environment["device"] = used_device(encoder, result)
        result.timings["total"] = time.perf_counter() - started
        result.status = "complete"
        return Run.write(folder, result, rankings, pairs, rows)
    except ParabenchError as error:
        if not earlier:
            write_failure(folder, result, error)
        raise


def score(result: Result, rankings: Rankings, benchmark: Benchmark | None = None) -> pa.Table:
    """Fill ``result.tasks`` and ``result.warnings`` from rankings alone; returns the per-pair table."""
    settings = result.settings
    resampling = Resampling(settings["n_resamples"], settings["seed"], settings["level"])
    chosen = [parse(name) for name in settings["metrics"]]
    duplicates = [list(group) for group in rankings.duplicates]
    own_picture = rankings.image_id
    if settings.get("collapse_duplicates"):
        rankings = collapsed(rankings)
        _check_collapsed_depth(chosen, rankings.depth)
    task, per_pair = paraphrase_task(rankings, chosen, resampling, settings["seed"])
    result.tasks = {"paraphrase": task, "retrieval": retrieval_task(rankings, resampling)}
    result.warnings = warnings_of(result.tasks, rankings)
    if duplicates:
        task.details["duplicate_pictures"] = duplicates
        if not settings.get("collapse_duplicates"):
            result.warnings.append(
                f"{sum(map(len, duplicates))} pictures look like another one ({len(duplicates)} groups, first: {', '.join(duplicates[0][:3])}); "
                "finding the copy counts as a miss (--collapse-duplicates counts it as a hit)"
            )
    rows = rankings.rows("paraphrase")
    captions = rankings.caption_row[rows]
    columns: dict[str, Any] = {
        name: [held[row] for row in rows]
        for name, held in (("pair_id", rankings.query_id), ("image_id", own_picture), ("caption_id", rankings.caption_id), ("kind", rankings.kind))
    }
    if benchmark is not None:
        columns |= {name: benchmark.pairs[name].to_pylist() for name in ("caption", "paraphrase")}
    if len(rankings.words):
        columns |= {"caption_words": rankings.words[rows], "lexical_distance": rankings.distance[rows]}
    if rankings.source:
        columns["source"] = [rankings.source[row] for row in rows]
    columns |= {"caption_rank": rankings.target_rank[captions], "paraphrase_rank": rankings.target_rank[rows]}
    return pa.table(
        {
            name: column(values, pa.string() if isinstance(values, list) else pa.from_numpy_dtype(values.dtype))
            for name, values in (columns | per_pair).items()
        }
    )


def _check_collapsed_depth(metrics: Sequence[Metric], depth: int) -> None:
    for metric in metrics:
        if metric.k is not None and metric.k > depth:
            raise UsageError(
                f"{metric} looks {metric.k} deep, and without duplicates the stored rankings hold {depth} pictures",
                "give a larger --depth, a smaller k, or leave --collapse-duplicates out",
            )


def _choose_split(benchmark: Benchmark, split: str | None) -> Benchmark:
    if split is not None:
        return benchmark if benchmark.split == split else benchmark.select(None if split == "all" else split)
    splits = {value for value in benchmark.pairs["split"].to_pylist() if value}
    if benchmark.split is None and len(splits) > 1 and "test" in splits:
        return benchmark.select("test")
    return benchmark


def _similarity(name: str) -> Metric:
    if re.match(r"(R|Recall|MRR)\s*(@|$)", name.strip(), re.IGNORECASE):
        raise UsageError(f"'{name}' is no similarity of two rankings", "R@1, R@5, R@10 and MRR are measured by themselves; name e.g. AO@10")
    return parse(name)


def _whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """``value`` as an ``int``, be it NumPy's."""
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"--{name} {value!r} is no whole number", f"give {least} or more") from None
    if number < least:
        raise UsageError(f"--{name} {number} is too small", f"give {least} or more")
    if most is not None and number > most:
        raise UsageError(f"--{name} {number} is too many", f"give {most:,} or fewer")
    return number


def _depth(metrics: Sequence[Metric], asked: int | None, benchmark: Benchmark) -> int:
    size = len(benchmark.image_ids)
    depth = min(DEPTH, size) if asked is None else asked
    for metric in metrics:
        if metric.k is not None and metric.k > size:
            raise UsageError(
                f"{metric} looks {metric.k} deep and the gallery of '{benchmark.name}' has {size} pictures",
                f"choose a depth of at most {size}, e.g. --metrics AO@{size}",
            )
        if metric.k is None and depth < size:
            raise UsageError(
                f"{metric} compares the scores of the whole gallery, and --depth {depth} keeps those of {depth} of {size} pictures",
                f"pass --depth {size}, or call parabench.metrics.spearman on score vectors",
            )
    if depth > size:
        raise UsageError(f"--depth {depth} does not fit the gallery of {size} pictures", f"choose 1 to {size}, or leave it out")
    return max([depth, *(metric.k or 1 for metric in metrics)])


def _ranked(
    encoder: Encoder,
    benchmark: Benchmark,
    store: ImageStore | None,
    depth: int,
    forward: Forward,
    cache: bool,
    rebuild: bool,
    result: Result,
    controls: Controls,
) -> Rankings:
    mark = time.perf_counter()
    if store is not None and (missing := store.missing()):
        raise DataError(
            f"{len(missing)} of {len(benchmark.image_ids)} pictures of '{benchmark.name}' were not found (first: image '{missing[0]}')",
            "name their folder with --images DIR, or leave them out of --gallery",
        )
    with contextlib.ExitStack() as stack:
        embedder = stack.enter_context(Embedder.opened(encoder, forward, cache=cache, rebuild=rebuild))
        if store is not None:
            kept = stack.enter_context(PictureHashes()) if cache else None
            known = kept.get([store.sha256(image_id) for image_id in benchmark.image_ids]) if kept is not None else {}
            embedder.picture_hashes = dict(known)
        rankings = rank(benchmark, embedder, depth=depth, store=store, controls=controls)
        if store is not None and kept is not None and embedder.picture_hashes:
            kept.put({content: own for content, own in embedder.picture_hashes.items() if content not in known})
    result.timings |= forward.seconds | {"embed_and_rank": time.perf_counter() - mark}
    result.settings["computed"] = dict(embedder.computed)
    return rankings


def rescore(run: Run) -> Result:
    """All metrics of a finished run again, from its rankings and the rows of its tasks alone."""
    again = run.result.model_copy(deep=True)
    own = {name: run.rows(name) for name in run.result.tasks if f"{name}.parquet" in run.result.files}
    if RANKINGS in run.result.files:
        score(again, run.rankings)
        again.tasks = {name: task for name, task in again.tasks.items() if name in run.result.tasks}
    again.tasks |= rescored(run.result, own)
    return again
