"""One self-contained HTML page for a run, or for several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parabench.data import Benchmark
from parabench.evaluate.result import Measure, Result
from parabench.evaluate.run import Run
from parabench.report.examples import lost, most_stable, most_unstable
from parabench.report.figures import Figure, curve_figures, slice_figures, spread_figure, stability_figure
from parabench.report.names import short_names
from parabench.report.numbers import interval, number
from parabench.report.provenance import provenance_of
from parabench.report.reading import plain_reading, reading
from parabench.report.render import set_line, write_files, write_page
from parabench.report.result_tables import (
    accuracy_metric,
    both_hit_tables,
    lead_metric,
    measure_of,
    overview_table,
    task_notes,
    task_tables,
)
from parabench.report.strips import Example, StripMaker
from parabench.report.thumbnails import Thumbnails


@dataclass(frozen=True)
class Tile:
    """A headline number; positions on its ruler are in percent, ``None`` where it has no ruler or no such mark."""

    name: str
    value: str
    interval: str
    text: str
    at: float | None
    low: float | None
    high: float | None
    floor: float | None


def write_report(runs: Sequence[Run], benchmark: Benchmark | None, images: Sequence[Path], page: Path) -> None:
    """Write the page, and its figures and tables as files.

    A single run's files go to ``plots/`` and ``tables/`` of its folder; those of several runs to
    ``<page>-files/``.

    Args:
        runs: finished runs on one benchmark.
        benchmark: where pictures and foils are; without it the page has placeholders for pictures.
        images: folders with the pictures, searched first.
        page: the file to write; it refers to nothing outside itself.
    """
    results = [run.result for run in runs]
    names = short_names([result.model.spec for result in results])
    metric = lead_metric(results)
    figures = run_figures(runs, names, metric)
    tables = [*task_tables(results, names), *both_hit_tables(results, names)]
    overview = overview_table(results, names)
    shown = _most_useful(runs)
    examples = _examples(runs[shown], names[shown], metric, Thumbnails(benchmark, images), benchmark)
    several = len(runs) > 1
    warnings = [(name, warning) for name, result in zip(names, results, strict=True) for warning in result.warnings]
    folder = page.with_name(f"{page.stem}-files") if several else runs[0].folder
    write_files(folder, [figure for group in figures.values() for figure in group], [overview, *tables])
    write_page(
        page, "run.html.jinja",
        [("summary", "In plain words", True), ("stability-section", "Stable, and right?", figures["stability"] + figures["spread"]),
         ("curves", "How deep, how many", figures["curves"]),
         ("slices", "Parts of the set", figures["slices"]), ("least", "Changes most", examples["least"]),
         ("lost", "Found, then lost", examples["lost"]), ("most", "Changes least", examples["most"]),
         ("numbers", "All numbers", True), ("provenance", "Where this comes from", True)],
        {"title": f"{' · '.join(names) if len(names) < 4 else f'{len(names)} models'} on {results[0].dataset.name}", "heading": "Same pictures for other words?",
         "subtitle": f"{names[0] + ' on ' if not several else ''}{set_line(results[0])}",
         "sentences": [reading(results)] if several else plain_reading(runs[0]), "warnings": warnings, "several": several, "paired": metric is not None,
         "tiles": [] if several or metric is None else _tiles(results[0], metric), "overview": overview if several else None,
         "figures": figures, "examples": examples, "tables": tables, "notes": task_notes(results, names), "provenance": [provenance_of(run) for run in runs],
         "level": _level(results[0])},
    )  # fmt: skip


def run_figures(runs: Sequence[Run], names: Sequence[str], metric: str | None) -> dict[str, list[Figure]]:
    """The figures that runs have, by section; ``metric`` stands for stability, ``None`` where no pairs were asked."""
    results = [run.result for run in runs]
    if metric is None:
        return {"stability": [], "spread": [], "slices": [], "curves": curve_figures(results, names)}
    floor = results[0].tasks["paraphrase"].metrics[metric].floor
    stability = stability_figure(results, names, metric)
    return {
        "stability": [] if stability is None else [stability],
        "curves": curve_figures(results, names),
        "spread": [spread_figure([run.pairs[metric].to_numpy(float) for run in runs], names, metric, floor)],
        "slices": slice_figures(results, names, metric),
    }


def _examples(run: Run, name: str, metric: str | None, thumbs: Thumbnails, benchmark: Benchmark | None) -> dict[str, list[Example]]:
    """Pairs that teach: no picture is asked about twice."""
    if metric is None:
        return {"least": [], "lost": [], "most": []}
    maker = StripMaker(run, name, thumbs, benchmark)
    least = most_unstable(run, metric)
    rows = {"least": least, "lost": lost(run, metric, without=least)}
    rows["most"] = most_stable(run, metric, without=[*rows["least"], *rows["lost"]])
    return {key: [maker.example(row, metric) for row in chosen] for key, chosen in rows.items()}


def _most_useful(runs: Sequence[Run]) -> int:
    """The run whose strips teach most: the one that finds the right picture most often, preferring one that looks at pictures."""
    accuracy = accuracy_metric([run.result for run in runs]) or ""

    def merit(place: int) -> tuple[bool, float]:
        result = runs[place].result
        recall = measure_of(result, "retrieval", accuracy)
        return result.settings.get("gallery") != "captions", recall.value if recall else 0.0

    return max(range(len(runs)), key=merit)


def _tiles(result: Result, metric: str) -> list[Tile]:
    paraphrase = result.tasks["paraphrase"].metrics
    recall = accuracy_metric([result])
    depth = (recall or "R@10").removeprefix("R@")
    chance = result.tasks["retrieval"].details.get("chance", {}).get(recall) if recall is not None else None
    lead = paraphrase[metric]
    floor = f"; the grey mark is {number(lead.floor)}, what unrelated captions get" if lead.floor is not None else ""
    if lead.normalised is not None:
        floor += f"; between that and the ceiling it stands at {number(lead.normalised)}"
    wanted: list[tuple[str, Measure | None, str, float | None]] = [
        (metric, lead, f"Stability: 1 is the same pictures in the same order{floor}.", lead.floor),
        (f"R@{depth}", measure_of(result, "retrieval", f"R@{depth}"), f"Captions whose own picture is among the first {depth}; the grey mark is chance.", chance),
        (f"R@{depth} paraphrase", measure_of(result, "retrieval", f"R@{depth} paraphrase"), "The same for the paraphrases.", chance),
        (f"flip@{depth}", paraphrase.get(f"flip@{depth}"), "Pairs where only one of the two wordings finds the picture: lower is better.", None),
        (f"foil-AUC({metric})", paraphrase.get(f"foil-AUC({metric})"), "How often a paraphrase stays closer to its caption than a false sentence does; the grey mark is a coin's toss.", 0.5),
    ]  # fmt: skip
    return [_tile(name, measure, text, mark) for name, measure, text, mark in wanted if measure is not None]


def _tile(name: str, measure: Measure, text: str, mark: float | None) -> Tile:
    def at(value: float | None) -> float | None:
        return None if value is None else round(100 * min(1.0, max(0.0, value)), 2)

    return Tile(name, number(measure.value), interval(measure.ci_low, measure.ci_high), text, at(measure.value), at(measure.ci_low), at(measure.ci_high), at(mark))


def _level(result: Result) -> str:
    return f"{100 * float(result.settings.get('level', 0.95)):g}"


