"""``parabench submit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command("submit")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name in the table.")
@click.option("--license", "license_", help="Licence of the weights.")
@click.option("--training-data", multiple=True, help="What it was trained on; may be repeated.")
@click.option("--test-paraphrases", type=click.Choice(["no", "yes", "unknown"]), help="Were rewrites of this set's test captions in the training data?")
@click.option("--author", multiple=True, help="Who submits; may be repeated.")
@click.option("--contact", help="Mail address, https link or @handle.")
@click.option("--paper", help="https link.")
@click.option("--code", help="https link.")
@click.option("--weights", help="https link.")
@click.option("--notes", help="Anything a reader should know, at most 1,000 characters.")
@click.option("--card", type=click.Path(path_type=Path, dir_okay=False), help="YAML file with these declarations; options go before it.")
@click.option("--spec", help="What others type to run the model, where the run used a local copy.")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("leaderboard/submissions"), show_default=True, help="Where submissions are.")
@click.option("--references", type=click.Path(path_type=Path), help="Folder with references of further datasets.")
@click.option("--open-pr", metavar="dataset:OWNER/NAME|space:OWNER/NAME", help="Also open the pull request on the Hugging Face Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def command(
    run: Path, name: str | None, license_: str | None, training_data: tuple[str, ...], test_paraphrases: str | None,
    author: tuple[str, ...], contact: str | None, paper: str | None, code: str | None, weights: str | None, notes: str | None,
    card: Path | None, spec: str | None, out: Path, references: Path | None, open_pr: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make the leaderboard submission of a finished RUN, check it as the leaderboard will, and say what to do next.

    \b
    parabench submit runs/coco-paraphrase/my-model --name "My CLIP" --license MIT --training-data CC12M \\
        --test-paraphrases no --author "Ada Lovelace" --contact ada@example.org
    """
    from parabench.errors import DataError
    from parabench.evaluate import Run
    from parabench.leaderboard.reference import References
    from parabench.leaderboard.submission import make_submission, read_declarations
    from parabench.leaderboard.validate import Validator, find_submissions
    from parabench.progress import quiet

    declared: dict[str, Any] = read_declarations(card) if card is not None else {}
    given = {
        "name": name, "license": license_, "training_data": list(training_data), "paraphrases_of_test_captions": test_paraphrases,
        "authors": list(author), "contact": contact, "notes": notes,
    }  # fmt: skip
    declared |= {key: value for key, value in given.items() if value}
    links = {key: value for key, value in (("paper", paper), ("code", code), ("weights", weights)) if value}
    if links:
        declared["links"] = {**declared.get("links", {}), **links}
    with quiet(as_json):
        known = References(references)
        folder = make_submission(Run.load(run), declared, out, known, spec=spec)
        others = [other for other in find_submissions([out]) if other != folder] if out.is_dir() else []
        with Validator(known, others) as validator:
            verdict, _ = validator.validate(folder)
    click.echo(verdict.model_dump_json() if as_json else f"{folder}: {verdict.status}")
    if not as_json:
        for line in (*verdict.faults, *(f"for a person to look at: {flag}" for flag in verdict.flags)):
            click.echo(f"  {line}")
    if verdict.status == "refused":
        raise DataError(f"{folder} would be refused", verdict.faults[0])
    if open_pr is not None:
        from parabench.leaderboard.hub import open_pull_request

        address = open_pull_request(folder, open_pr)
        click.echo(json.dumps({"pull_request": address}) if as_json else f"pull request: {address}")
    elif not as_json:
        click.echo(
            f"next, in a clone of the leaderboard's repository:\n  git switch -c {folder.name}\n"
            f"  git add {folder}\n  git commit -m 'Submit {verdict.model} on {verdict.dataset}'\n  git push -u origin {folder.name}\n"
            "and open a pull request; its checks are the ones that ran here."
        )
