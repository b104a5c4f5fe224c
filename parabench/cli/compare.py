"""``parabench compare``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN…")
@click.option("--metrics", default=None, metavar="LIST",
              help="Comma-separated: AO@10, R@10, 'R@10 paraphrase', flip@10, both@10, 'foil-AUC(AO@10)', … [default: the usual ones].")
@click.option("--intersect", is_flag=True, help="Where pairs or depths differ, compare what all runs share.")
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap resamples.")
@click.option("--permutations", type=click.IntRange(1), default=10_000, show_default=True, help="Sign patterns of the permutation test.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of both.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="PAGE",
              help="Also write the HTML page of the comparison (or, to a name that ends in .json, its numbers).")
@click.option("--dataset", "-d", default=None, help="Where pictures and foils of the page are [default: the name in the runs].")
@click.option("--gallery", type=click.Path(path_type=Path), help="The gallery file the runs used.")
@click.option("--images", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with the pictures; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON on stdout and nothing else.")
def command(
    runs: tuple[Path, ...], metrics: str | None, intersect: bool, resamples: int, permutations: int, seed: int,
    out: Path | None, dataset: str | None, gallery: Path | None, images: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Compare finished runs pair by pair; the first RUN is the reference.

    \b
    parabench compare runs/a runs/b --out comparison.html
    parabench compare runs/a runs/b runs/c --metrics 'AO@10,R@10,flip@10' --json
    """
    from parabench.evaluate import Run, compare
    from parabench.metrics import split_names
    from parabench.progress import quiet
    from parabench.storage import write_text

    with quiet(as_json):
        loaded = [Run.load(folder) for folder in runs]
        comparison = compare(
            *loaded, metrics=split_names(metrics) if metrics is not None else None, intersect=intersect,
            n_resamples=resamples, n_permutations=permutations, seed=seed,
        )  # fmt: skip
        if out is not None and out.suffix == ".json":
            write_text(out, comparison.model_dump_json(indent=1) + "\n")
        elif out is not None:
            from parabench.report import dataset_of, write_comparison

            write_comparison(comparison, loaded, dataset_of(loaded[:1], dataset, gallery=gallery, images=images), images, out)
    if as_json:
        click.echo(comparison.model_dump_json())
        return
    from parabench.report.comparison_table import print_comparison

    print_comparison(comparison)
    if out is not None:
        click.echo(f"{'numbers' if out.suffix == '.json' else 'page'}: {out}")
