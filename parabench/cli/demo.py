"""``parabench demo``."""

from __future__ import annotations

from pathlib import Path

import click

DEMO_MODELS = ("random:512", "constant:512", "tfidf:", "cca:scenes")


@click.command("demo")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="Where the runs and the page go.")
def command(out: Path) -> None:
    """Compare four encoders on the built-in pictures: a random one, a constant one, one that counts words, one that was trained.

    Needs no network, no key, no GPU and no torch.
    """
    from parabench.data import load
    from parabench.evaluate import evaluate, slug
    from parabench.progress import note
    from parabench.report import print_runs, write_report

    benchmark = load("scenes", split="test")
    runs = []
    for model in DEMO_MODELS:
        note(f"model: {model}")
        runs.append(evaluate(model, benchmark, out=out / slug(model), overwrite=True))
    page = out / "report.html"
    write_report(runs, benchmark, (), page)
    print_runs(runs)
    click.echo(f"page: {page}")
