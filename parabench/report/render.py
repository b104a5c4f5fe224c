"""Templates, and what every page has: its name, its sections, files of its figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.evaluate.result import Result
from parabench.evaluate.run import drawn_files
from parabench.report.figures import Figure
from parabench.report.numbers import counted, number
from parabench.report.table import Table, write_tables
from parabench.storage import write_text
from parabench.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def templates() -> Environment:
    """The templates; everything that is put into them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("parabench.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["number"] = number
    return environment


def write_page(page: Path, template: str, sections: Sequence[tuple[str, str, Any]], context: Mapping[str, Any]) -> None:
    """Render a page and write it.

    Args:
        page: the file.
        template: its name.
        sections: (id, title, content); those without content are not listed, as they are not shown.
        context: what the template shows.
    """
    shown = [(key, title) for key, title, content in sections if content]
    write_text(page, templates().get_template(template).render(sections=shown, version=__version__, **context))


def write_files(folder: Path, figures: Iterable[Figure], tables: Iterable[Table]) -> None:
    """Write ``plots/*.svg|png`` and ``tables/*.md|tex``, of figures too, in place of those of an earlier page."""
    figures = list(figures)
    for stale in drawn_files(folder):
        stale.unlink()
    for figure in figures:
        figure.write(folder / "plots")
    write_tables([*tables, *(figure.table for figure in figures if figure.table is not None)], folder / "tables")


def set_line(result: Result) -> str:
    """``flickr8k, split test: 2,000 pairs of 100 pictures, 1,091 pictures searched``: how many are resampled, and how many there are."""
    dataset = result.dataset
    split = f", split {dataset.split}" if dataset.split else ""
    if not dataset.n_pairs:
        return f"{dataset.name}{split}"
    own = next((m.clusters for m in result.tasks["paraphrase"].metrics.values()), dataset.n_images) if "paraphrase" in result.tasks else dataset.n_images
    searched = "" if own == dataset.n_images else f", {counted(dataset.n_images, 'picture')} searched"
    return f"{dataset.name}{split}: {counted(dataset.n_pairs, 'pair')} of {counted(own, 'picture')}{searched}"
