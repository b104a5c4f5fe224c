"""``parabench train``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("train")
@click.argument("recipe", required=False)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the recipe, e.g. optimiser.steps=200; may be repeated.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Model folder [default: models/<recipe name>].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps; under torchrun each process takes its own.")
@click.option("--overwrite", is_flag=True, help="Replace the run of another recipe in DIR.")
@click.option("--show", is_flag=True, help="Print the recipe with all defaults and stop.")
@click.option("--trust-remote-code", is_flag=True, help="Run code that a Hub model brings along.")
@click.option("--json", "as_json", is_flag=True, help="Print the folder and its scores as JSON on stdout and nothing else.")
def command(
    recipe: str | None, changes: tuple[str, ...], out: Path | None, device: str, overwrite: bool, show: bool,
    trust_remote_code: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train a dual encoder from a RECIPE (a built-in name or a YAML file) into a model folder.

    \b
    parabench train scenes-align --out models/scenes-align
    parabench train scenes-align --set strategy.layers=4 --set run.seed=1 --out models/four
    torchrun --nproc-per-node 8 -m parabench train cc12m --out models/cc12m
    parabench evaluate --model parabench:models/scenes-align

    The same command goes on where an interrupted run was. Without a RECIPE, the built-in ones are listed.
    """
    from parabench.progress import quiet
    from parabench.train import Recipe, recipes

    if recipe is None:
        for name, text in recipes().items():
            click.echo(f"{name}\n    " + text.replace("\n", "\n    "))
        return
    chosen = Recipe.load(recipe, changes)
    if show:
        click.echo(chosen.to_yaml(), nl=False)
        return
    from parabench.cli.training_evaluation import evaluator
    from parabench.libraries import import_torch

    import_torch("train", "parabench train")
    from parabench.towers.record import read_record
    from parabench.train import train

    with quiet(as_json):
        folder = train(
            chosen, out or Path("models") / chosen.name, evaluate=evaluator(chosen.evaluation), device=device,
            overwrite=overwrite, trust_remote_code=trust_remote_code,
        )  # fmt: skip
    if as_json:
        training = read_record(folder).training
        click.echo(json.dumps({"model": f"parabench:{folder}", "scores": training["scores"], "parameters": training["parameters"]}))
