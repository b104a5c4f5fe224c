"""``parabench evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from parabench.errors import ParabenchError, UsageError


@click.command("evaluate")
@click.option("--model", "-m", "models", multiple=True, required=True, metavar="SPEC",
              help="Encoder to evaluate, e.g. openclip:ViT-B-32; repeat for several. See `parabench models`.")
@click.option("--dataset", "-d", default="scenes", show_default=True, metavar="NAME|PATH",
              help="Built-in name, Hub id, or your own CSV/JSONL/parquet with image_id, caption, paraphrase.")
@click.option("--gallery", type=click.Path(path_type=Path), help="File that names the pictures to search (image_id, file_name, …).")
@click.option("--images", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with the pictures; may be repeated.")
@click.option("--split", help="Rows of one split ('all' for every row); sets with splits default to test.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="RUN",
              help="Run folder [default: runs/<dataset>/<model>]; with several models, the folder that holds their runs.")
@click.option("--metrics", default=None, metavar="LIST", help="Comma-separated, e.g. 'AO@10,JS@10,RBO(p=0.9)@100'.")
@click.option("--tasks", default=None, metavar="LIST",
              help="Comma-separated: paraphrase,retrieval (of --dataset; the default), sts, zeroshot, compositional, human. "
                   "Without the first two no dataset is loaded.")
@click.option("--task-data", "task_data", multiple=True, metavar="TASK=PATH",
              help="Where the files of a task are, e.g. sts=STS/, zeroshot=imagenet/val, compositional=sugarcrepe_pp/, human=cxc/, "
                   "retrieval=eccv/ (more right answers for coco-karpathy); else sts, compositional and human look in $PARABENCH_DATA.")
@click.option("--depth", type=int, default=None, help="How deep rankings are stored [default: 100, or the whole of a smaller gallery].")
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and the floor.")
@click.option("--ceiling", type=click.Choice(["batch", "fp32", "bf16", "fp16", "off"]), default="batch", show_default=True,
              help="Numerical noise, on a sample of captions: other batches, another precision, or not at all.")
@click.option("--gallery-sizes", default=None, metavar="LIST", help="Sizes of the gallery-size curve, e.g. 1000,5000, or 'off' [default: 100,500,1000,…].")
@click.option("--distractors", default=None, metavar="embeddings:DIR", help="Pictures of the same model that extend the gallery-size curve.")
@click.option("--collapse-duplicates", is_flag=True, help="Pictures that look the same count as one.")
@click.option("--batch-size", type=int, default=None, help="Items a forward pass [default: the model's own].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--engine", default="local", show_default=True, help="Where the network runs: local, or ray (workers of a Ray cluster, each with its own).")
@click.option("--workers", type=int, default=None, help="ray: how many [default: one a GPU, else one a machine].")
@click.option("--trust-remote-code", is_flag=True, help="Run code that a hub model brings along.")
@click.option("--no-cache", is_flag=True, help="Do not keep embeddings.")
@click.option("--rebuild-cache", is_flag=True, help="Forget this model's cached embeddings first.")
@click.option("--overwrite", is_flag=True, help="Replace a run of another model or dataset in RUN.")
@click.option("--no-report", is_flag=True, help="Do not write report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON on stdout and nothing else.")
def command(
    models: tuple[str, ...], dataset: str, gallery: Path | None, images: tuple[Path, ...], split: str | None,
    out: Path | None, metrics: str | None, tasks: str | None, task_data: tuple[str, ...], depth: int | None, resamples: int,
    seed: int, ceiling: str, gallery_sizes: str | None, distractors: str | None, collapse_duplicates: bool,
    batch_size: int | None, device: str,
    precision: str, engine: str, workers: int | None, trust_remote_code: bool, no_cache: bool, rebuild_cache: bool, overwrite: bool, no_report: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Evaluate encoders on paraphrased retrieval and write a run folder for each.

    \b
    parabench evaluate --model openclip:ViT-B-32 --dataset coco-paraphrase --images val2017/
    parabench evaluate --model tfidf: --model random:512 --dataset scenes
    parabench evaluate --model embeddings:my_vectors/ --dataset pairs.csv --gallery gallery.csv
    parabench evaluate --model openclip:ViT-B-32 --tasks sts,zeroshot --task-data sts=STS/ --task-data zeroshot=imagenet/val
    """
    from parabench.data import load
    from parabench.evaluate import DEFAULT_METRICS, Run, evaluate, slug
    from parabench.evaluate.tasks.plan import needs_dataset, task_names
    from parabench.metrics import split_names
    from parabench.progress import note, quiet

    if len(set(models)) != len(models):
        raise UsageError("the same --model is given twice", "give each model once")
    chosen = None if tasks is None else split_names(tasks)
    places = _places(task_data)
    with quiet(as_json):
        benchmark = load(dataset, gallery=gallery, images=images) if needs_dataset(task_names(chosen)) else None
        runs: list[Run] = []
        failures: list[ParabenchError] = []
        for model in models:
            if len(models) > 1:
                note(f"model: {model}")
            target = out / slug(model) if out is not None and len(models) > 1 else out
            try:
                run = evaluate(
                    model, benchmark or dataset, out=target, split=split, images=images,
                    metrics=split_names(metrics) if metrics else DEFAULT_METRICS, tasks=chosen, task_data=places,
                    depth=depth, n_resamples=resamples, seed=seed, ceiling=ceiling, gallery_sizes=_sizes(gallery_sizes),
                    distractors=distractors, collapse_duplicates=collapse_duplicates, batch_size=batch_size, device=device,
                    precision=precision, engine=engine, workers=workers,
                    trust_remote_code=trust_remote_code, cache=not no_cache, rebuild_cache=rebuild_cache,
                    overwrite=overwrite,
                )  # fmt: skip
            except ParabenchError as error:
                if len(models) == 1:
                    raise
                failures.append(error)
                click.echo(f"parabench: {model}: {error}", err=True)
            else:
                runs.append(run)
        ranked = [run for run in runs if "paraphrase" in run.result.tasks]
        if not no_report:
            from parabench.evaluate.run import PAGE
            from parabench.report import write_report

            for run in runs:
                write_report([run], benchmark if run in ranked else None, images, run.folder / PAGE)
    if as_json:
        records = [run.record() for run in runs]
        click.echo(json.dumps(records[0] if len(models) == 1 else records, ensure_ascii=False))
    elif runs:
        from parabench.report import print_runs, print_tasks

        if ranked:
            print_runs(ranked)
        print_tasks(runs)
    if failures:  # the other models have run; the exit status still says that not all is well
        click.get_current_context().exit(failures[0].exit_code)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None or text.strip() == "off":
        return None if text is None else ()
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"--gallery-sizes '{text}' is not a list of numbers", "e.g. --gallery-sizes 1000,5000, or off") from None


def _places(task_data: tuple[str, ...]) -> dict[str, str]:
    """``TASK=PATH`` → task → path."""
    places: dict[str, str] = {}
    for text in task_data:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"--task-data '{text}' is not TASK=PATH", "e.g. --task-data sts=STS/")
        if name in places:
            raise UsageError(f"--task-data names {name} twice", "give each task one file or folder")
        places[name] = path
    return places
