"""``parabench leaderboard validate|build|serve|reference|hub-results``."""

from __future__ import annotations

from pathlib import Path

import click

_SUBMISSIONS = Path("leaderboard/submissions")
_references = click.option("--references", type=click.Path(path_type=Path), help="Folder with references of further datasets.")


@click.group("leaderboard")
def command() -> None:
    """Check submissions, build the leaderboard's site, look at it."""


@command.command("validate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--against", type=click.Path(path_type=Path), help="Folder of the entries that stand already [default: beside each PATH].")
@_references
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of verdicts.")
def validate(paths: tuple[Path, ...], against: Path | None, references: Path | None, as_json: bool) -> None:
    """Check submissions: safe to read, complete, of a known dataset, and every number recomputed from the rankings.

    PATH is a submission or a folder of submissions. Exit 1 when any is refused.
    """
    import json

    from parabench.leaderboard.ahead import score_ahead
    from parabench.leaderboard.reference import References
    from parabench.leaderboard.validate import Validator, find_submissions
    from parabench.progress import bar

    folders = find_submissions(paths)
    beside = {folder.parent for folder in folders} if against is None else {against}
    standing = [other for root in sorted(beside) if root.is_dir() for other in find_submissions([root])]
    inside = {folder.resolve() for folder in folders}
    known = [other for other in standing if other.resolve() not in inside and (other / "submission.json").is_file()]
    verdicts = []
    datasets = References(references)
    score_ahead(folders, datasets)
    with Validator(datasets, known) as validator, bar("validate", len(folders), "entry") as shown:
        for folder in folders:
            verdicts.append(validator.validate(folder)[0])
            shown.update()
    if as_json:
        click.echo(json.dumps([verdict.model_dump() for verdict in verdicts], indent=1))
    else:
        for verdict in verdicts:
            click.echo(f"{verdict.status:<9} {verdict.entry}" + (f"  ({verdict.model} on {verdict.dataset})" if verdict.model else ""))
            for line in verdict.faults:
                click.echo(f"          {line}")
            for line in verdict.flags:
                click.echo(f"          for a person to look at: {line}")
        counts = {status: sum(verdict.status == status for verdict in verdicts) for status in ("accepted", "flagged", "refused")}
        click.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    if any(verdict.status == "refused" for verdict in verdicts):
        raise SystemExit(1)


@command.command("build")
@click.option("--submissions", type=click.Path(path_type=Path), default=_SUBMISSIONS, show_default=True, help="Folder of submissions.")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("site"), show_default=True, help="The site's folder.")
@click.option("--url", default="", help="Where the site will be, for the feed's links: https://…")
@_references
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON on stdout and nothing else.")
def build(submissions: Path, out: Path, url: str, references: Path | None, as_json: bool) -> None:
    """Build the static site: every entry is validated and re-scored, refused ones are left out and named."""
    import json

    from parabench.leaderboard.reference import References
    from parabench.leaderboard.site import build_site
    from parabench.progress import quiet

    with quiet(as_json):
        built = build_site(submissions, out, References(references), url=url)
    if as_json:
        refused = [verdict.model_dump() for verdict in built.refused]
        click.echo(json.dumps({"page": str(out / "index.html"), **vars(built), "refused": refused}, ensure_ascii=False))
        return
    for verdict in built.refused:
        click.echo(f"left out: {verdict.entry}: {verdict.faults[0]}", err=True)
    entries, boards = "entry" if built.n_entries == 1 else "entries", "board" if built.n_boards == 1 else "boards"
    click.echo(f"{built.n_entries} {entries} on {built.n_boards} {boards}; {built.written} files written, {built.kept} unchanged, {built.removed} removed: {out / 'index.html'}")


@command.command("serve")
@click.option("--site", type=click.Path(path_type=Path), default=Path("site"), show_default=True, help="A site that build made.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
def serve(site: Path, port: int) -> None:
    """Show a built site at http://127.0.0.1:PORT, to this machine alone."""
    from parabench.leaderboard.serve import make_server

    server = make_server(site, port)
    click.echo(f"http://127.0.0.1:{server.server_port}/ shows {site}; stop with Ctrl-C")
    with server:
        server.serve_forever()


@command.command("reference")
@click.argument("dataset")
@click.option("--split", default=None, help="Rows of one split.")
@click.option("--gallery", type=click.Path(path_type=Path), help="Gallery file, for own data.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of references.")
def reference(dataset: str, split: str | None, gallery: Path | None, out: Path) -> None:
    """Write the reference of DATASET (hashes of its queries and gallery), so that a leaderboard can take entries on it."""
    from parabench.data import load
    from parabench.leaderboard.reference import Reference

    made = Reference.of(load(dataset, split=split, gallery=gallery))
    click.echo(f"{made.title}: {len(made.targets):,} queries, {len(made.image_ids):,} pictures: {made.write(out)}")


@command.command("hub-results")
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--dataset-id", required=True, metavar="OWNER/NAME", help="The benchmark dataset on the Hub, e.g. parabench/coco-paraphrase.")
@click.option("--task-id", help="The task in its eval.yaml [default: the dataset's name].")
@click.option("--source-url", help="https link to the entry's page.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="A clone of the model's repository.")
@_references
def hub_results(submission: Path, dataset_id: str, task_id: str | None, source_url: str | None, out: Path, references: Path | None) -> None:
    """Write .eval_results/*.yaml of a validated SUBMISSION for the model's repository on the Hugging Face Hub."""
    from parabench.leaderboard.hub import write_eval_results
    from parabench.leaderboard.reference import References

    click.echo(str(write_eval_results(submission, References(references), out, dataset_id, task_id, source_url)))
