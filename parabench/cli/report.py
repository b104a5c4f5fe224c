"""``parabench report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--images", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with the pictures, for the strips.")
@click.option("--dataset", "-d", default=None, help="Where the sentences and pictures are [default: the name in the run].")
@click.option("--gallery", type=click.Path(path_type=Path), help="The gallery file the run used.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The page [default: RUN/report.html, or report.html for several].")
@click.option("--json", "as_json", is_flag=True, help="Print the results and where the page is as JSON on stdout and nothing else.")
def command(
    runs: tuple[Path, ...], images: tuple[Path, ...], dataset: str | None, gallery: Path | None, out: Path | None, as_json: bool
) -> None:
    """Write one self-contained HTML page for finished runs (one, or several side by side).

    The numbers come from the runs. Pictures and foils come from the dataset: name it with --dataset if it is a file
    of your own; without it the page has placeholders.
    """
    import json

    from parabench.evaluate import Run
    from parabench.evaluate.run import PAGE
    from parabench.progress import quiet
    from parabench.report import dataset_of, print_runs, print_tasks, write_report

    with quiet(as_json):
        loaded = [Run.load(folder) for folder in runs]
        benchmark = dataset_of(loaded, dataset, gallery=gallery, images=images)
        page = out or (loaded[0].folder / PAGE if len(loaded) == 1 else Path(PAGE))
        write_report(loaded, benchmark, images, page)
    if as_json:
        click.echo(json.dumps({"page": str(page), "runs": [run.record() for run in loaded]}, ensure_ascii=False))
        return
    if ranked := [run for run in loaded if "paraphrase" in run.result.tasks]:
        print_runs(ranked)
    print_tasks(loaded)
    click.echo(f"page: {page}")
