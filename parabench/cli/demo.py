"""``parabench demo``."""

from __future__ import annotations

from pathlib import Path

import click

DEMO_MODELS = ("random:512", "constant:512", "tfidf:", "cca:scenes", "demo:scratch", "demo:align")


@click.command("demo")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="Where the runs and the page go.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as a JSON list on stdout and nothing else.")
def command(out: Path, as_json: bool) -> None:
    """Compare six encoders on the built-in pictures: random, constant, word counts, and three that were trained.

    demo:scratch and demo:align are the experiment's two text towers; the package holds their vectors for these
    pictures and texts, not their weights.  Needs no network, no key, no GPU and no torch.
    """
    import json

    from parabench.data import load
    from parabench.evaluate import evaluate, slug
    from parabench.progress import note, quiet
    from parabench.report import print_runs, write_report

    with quiet(as_json):
        benchmark = load("scenes", split="test")
        runs = []
        for model in DEMO_MODELS:
            note(f"model: {model}" + (" (its shipped vectors; the weights come from `parabench train`)" if model.startswith("demo:") else ""))
            runs.append(evaluate(model, benchmark, out=out / slug(model), overwrite=True))
        page = out / "report.html"
        write_report(runs, benchmark, (), page)
    if as_json:
        click.echo(json.dumps([run.record() for run in runs], ensure_ascii=False))
        return
    print_runs(runs)
    click.echo(f"page: {page}")
