"""``parabench build-dataset``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from parabench.errors import UsageError

_FILE = click.Path(path_type=Path)


def _parameters(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"--parameter {text} is malformed", "write NAME=VALUE, e.g. temperature=0.3")
        try:
            values[name.strip()] = json.loads(value)
        except ValueError:
            values[name.strip()] = value
    return values


@click.command("build-dataset")
@click.option("--captions", type=_FILE, help="Official COCO captions (captions_val2017.json) or a Karpathy file.")
@click.option("--out", "-o", type=_FILE, help="Folder of the release [default: coco-paraphrase, or paraphrases-GENERATOR].")
@click.option("--ledger", type=_FILE, help="Where requests, answers and verdicts are kept [default: OUT.ledger.sqlite].")
@click.option("--generator", "-g", metavar="NAME", help="openai, human, hf, rules, import [default: the sentences that come with parabench].")
@click.option("--import", "file", type=_FILE, help="Finished paraphrases (CSV, JSONL, parquet): short for --generator import.")
@click.option("--kinds", default=None, metavar="LIST", help="Of lexical, syntactic, free, two-step [default: lexical,syntactic].")
@click.option("--foils", is_flag=True, help="Also ask for a foil of each caption.")
@click.option("--images", type=click.IntRange(1), help="How many pictures to draw [default: all].")
@click.option("--captions-per-image", type=click.IntRange(1), default=1, show_default=True)
@click.option("--min-words", type=click.IntRange(1), default=6, show_default=True, help="Shortest caption.")
@click.option("--max-words", type=click.IntRange(1), default=25, show_default=True, help="Longest caption.")
@click.option("--labels", type=_FILE, help="Categories to stratify by: instances_*.json, or a text file of pictures and categories.")
@click.option("--from-split", help="The split of a Karpathy file to take.")
@click.option("--split", default="test", show_default=True, help="The split that the pairs will stand in.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--model", "-m", help="openai: as the server knows it; hf: a hub id (ID@REVISION) or a folder.")
@click.option("--base-url", help="openai: address of the server, e.g. http://localhost:8000/v1.")
@click.option("--concurrency", type=click.IntRange(1, 4096), default=16, show_default=True, help="openai: requests in flight.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, help="openai: seconds.")
@click.option("--max-attempts", type=click.IntRange(1), default=6, show_default=True, help="openai: how often a request is sent at most.")
@click.option("--parameter", "parameters", multiple=True, callback=_parameters, metavar="NAME=VALUE",
              help="Sent with every request, e.g. temperature=0.3; null leaves a default out. May be repeated.")
@click.option("--prompts", type=_FILE, help="Folder with own versions of the prompt files.")
@click.option("--batch-api", is_flag=True, help="openai: through the Batch API (cheaper, slower).")
@click.option("--poll", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Batch API: seconds between looks.")
@click.option("--price-in", type=click.FloatRange(min=0), help="Price of a million tokens sent, as your provider states it.")
@click.option("--price-out", type=click.FloatRange(min=0), help="Price of a million tokens received.")
@click.option("--retry-failed", is_flag=True, help="Send requests again that failed in an earlier run.")
@click.option("--tasks", type=_FILE, help="human: write tasks for people to this file and stop.")
@click.option("--platform", default=None, help="human: mturk, prolific, label-studio, argilla, csv, jsonl [default: csv].")
@click.option("--per-task", type=click.IntRange(1), default=1, show_default=True, help="human: people a task.")
@click.option("--answers", type=_FILE, help="human: the file that came back.")
@click.option("--device", default="auto", show_default=True, help="hf: auto, cpu, cuda, cuda:1, mps.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, help="hf: sentences a forward pass.")
@click.option("--engine", default="local", show_default=True, help="hf: where the model runs: local, or ray (workers of a Ray cluster).")
@click.option("--workers", type=int, default=None, help="hf, ray: how many [default: one a GPU, else one a machine].")
@click.option("--filters", type=_FILE, help="Configuration of the quality checks [default: the package's].")
@click.option("--training-captions", type=_FILE, help="Captions of a training set that the release must not share.")
@click.option("--name", help="Name of the benchmark [default: that of OUT].")
@click.option("--release-version", default="1.0.0", show_default=True, help="Version that the release states.")
@click.option("--license", "license_", default="cc-by-4.0", show_default=True, help="Licence of the sentences, by the Hub's name.")
@click.option("--overwrite", is_flag=True, help="Replace a release in OUT that another ledger made.")
@click.option("--dry-run", is_flag=True, help="Print the plan (rows, requests, tokens, cost) and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan or the record as JSON on stdout and nothing else.")
def command(
    captions: Path | None, out: Path | None, ledger: Path | None, generator: str | None, file: Path | None,
    kinds: str | None, foils: bool, images: int | None, captions_per_image: int, min_words: int, max_words: int,
    labels: Path | None, from_split: str | None, split: str, seed: int, model: str | None, base_url: str | None,
    concurrency: int, timeout: float, max_attempts: int, parameters: dict[str, Any], prompts: Path | None,
    batch_api: bool, poll: float, price_in: float | None, price_out: float | None, retry_failed: bool,
    tasks: Path | None, platform: str | None, per_task: int, answers: Path | None, device: str, batch_size: int,
    engine: str, workers: int | None,
    filters: Path | None, training_captions: Path | None, name: str | None, release_version: str,
    license_: str, overwrite: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Build a paraphrase benchmark from captions: sample, write, check, release.

    Interrupted at any moment, the same command continues; nothing is paid twice.

    \b
    parabench build-dataset                                   # our own sentences, joined with COCO's captions
    parabench build-dataset --captions captions_val2017.json --generator rules --images 500 --out out/rules
    parabench build-dataset --captions captions_val2017.json --generator openai --model NAME \\
        --base-url http://localhost:8000/v1 --images 500 --foils --dry-run
    parabench build-dataset --captions captions_val2017.json --import mine.jsonl --out out/mine
    """
    from parabench.build.generate import Options
    from parabench.build.pipeline import OWN, Build, Settings
    from parabench.build.sample import Sampling
    from parabench.engine import Engine
    from parabench.progress import note, quiet

    if file is not None:
        if generator not in (None, "import"):
            raise UsageError(f"--import and --generator {generator} exclude each other", "leave one of them out")
        generator = "import"
    if answers is not None or tasks is not None:
        if generator not in (None, "human"):
            raise UsageError("--tasks and --answers go with --generator human", "leave them out")
        generator = "human"
    options = Options(
        kinds=("lexical", "syntactic") if kinds is None else tuple(k.strip() for k in kinds.split(",") if k.strip()),
        foils=foils, model=model, base_url=base_url, concurrency=concurrency, timeout=timeout, attempts=max_attempts,
        parameters=parameters, price_in=price_in, price_out=price_out, retry_failed=retry_failed, prompts=prompts,
        file=file or answers, tasks=tasks, platform=platform, per_task=per_task, batch_api=batch_api, poll=poll,
        device=device, batch_size=batch_size, engine=Engine(engine, workers, device), seed=seed,
    )  # fmt: skip
    if generator is None and (model or base_url):
        raise UsageError("--model and --base-url need a generator", "add --generator openai (or hf)")
    sampling = Sampling(
        images=images, captions_per_image=captions_per_image, min_words=min_words, max_words=max_words, seed=seed,
        split=split, from_split=from_split,
    )  # fmt: skip
    target = out or Path(OWN if generator is None else f"paraphrases-{generator}")
    with quiet(as_json):
        settings = Settings(
            captions=captions, out=target, ledger=ledger, generator=generator, options=options, sampling=sampling,
            labels=labels, filters=filters, training_captions=training_captions, overwrite=overwrite,
            name=name or (OWN if generator is None else None), version=release_version, license=license_,
        )  # fmt: skip
        build = Build(settings)
        if tasks is not None and not dry_run:
            written = build.hand_out()
            click.echo(json.dumps({"tasks": str(written)}) if as_json else f"tasks: {written}")
            return
        plan = build.plan()
        if dry_run:
            click.echo(json.dumps(asdict(plan)) if as_json else str(plan))
            return
        note(str(plan))
        folder, record = build.run()
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "ledger": str(build.ledger_path), **record.model_dump()}))
        return
    click.echo(record.summary())
    click.echo(f"release: {folder}\nledger:  {build.ledger_path}")
