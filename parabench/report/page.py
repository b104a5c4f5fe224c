"""One self-contained HTML page for a run, or for several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from parabench.data import Benchmark
from parabench.evaluate.run import Run
from parabench.report.strips import Strip, Thumbnails, make_strip, pick_pairs
from parabench.report.table import kind_rows, reading, table_columns
from parabench.storage import write_text


@dataclass(frozen=True)
class Dot:
    """A run in the stability–accuracy picture, in percent of the plot's sides."""

    label: str
    x: float
    y: float
    low: float
    high: float


def write_report(runs: Sequence[Run], benchmark: Benchmark, images: Sequence[Path], page: Path) -> None:
    """Write the page: reading, table, stability against accuracy, the spread of pairs, strips of pictures, provenance.

    Args:
        runs: finished runs on one benchmark.
        benchmark: where pictures and sentences are.
        images: folders with the pictures, searched first.
        page: the file to write; it refers to nothing outside itself.
    """
    from jinja2 import Environment

    results = [run.result for run in runs]
    metric = next(iter(results[0].tasks["paraphrase"].metrics))
    thumbs = Thumbnails(benchmark, tuple(images))
    shown = _most_useful(runs)
    least, most = pick_pairs(shown, metric)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("parabench.report").joinpath("page.html.jinja").read_text("utf-8"))
    html = template.render(
        results=results, dataset=results[0].dataset, metric=metric, reading=reading(results),
        columns=table_columns(results), kinds=[kind_rows(result) for result in results], dots=_dots(runs, metric),
        histograms=[(run.result.model.spec, _histogram(run.pairs[metric].to_numpy())) for run in runs],
        shown=shown.result.model.spec, least=_strips(shown, least, metric, thumbs),
        most=_strips(shown, most, metric, thumbs),
    )  # fmt: skip
    write_text(page, html)


def _strips(run: Run, rows: Sequence[int], metric: str, thumbs: Thumbnails) -> list[Strip]:
    return [make_strip(run, row, metric, thumbs) for row in rows]


def _most_useful(runs: Sequence[Run]) -> Run:
    """The run whose strips teach most: the one that finds the right picture most often, preferring one that looks at pictures."""
    def merit(run: Run) -> tuple[bool, float]:
        recall = run.result.tasks["retrieval"].metrics.get("R@10")
        return run.result.settings.get("gallery") != "captions", recall.value if recall else 0.0

    return max(runs, key=merit)


def _dots(runs: Sequence[Run], metric: str) -> list[Dot]:
    dots = []
    for run in runs:
        stability = run.result.tasks["paraphrase"].metrics[metric]
        recall = run.result.tasks["retrieval"].metrics.get("R@10")
        if recall is not None:
            low, high = (stability.value if end is None else end for end in (stability.ci_low, stability.ci_high))
            dots.append(Dot(run.result.model.spec, 100 * recall.value, 100 * stability.value, 100 * low, 100 * high))
    return dots


def _histogram(values: np.ndarray, bins: int = 20) -> list[tuple[float, int]]:
    """Height in percent of the fullest bin, and the count, for each of ``bins`` equal bins over [0, 1]."""
    counts, _ = np.histogram(values, bins=bins, range=(0, 1))
    return [(100 * count / max(1, counts.max()), int(count)) for count in counts]
