"""One self-contained HTML page for a comparison: who wins, by how much, and on which pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pandas as pd

from parabench.data import Benchmark
from parabench.errors import DataError
from parabench.evaluate.comparison import Comparison
from parabench.evaluate.run import Run
from parabench.report.examples import differ_most
from parabench.report.figures import agreement_figure, difference_figure
from parabench.report.names import short_names
from parabench.report.numbers import count
from parabench.report.page import run_figures
from parabench.report.provenance import provenance_of
from parabench.report.reading import verdicts
from parabench.report.render import set_line, write_files, write_page
from parabench.report.result_tables import (
    both_hit_tables,
    compared_table,
    contrast_table,
    lead_metric,
    task_notes,
    task_tables,
)
from parabench.report.strips import Example, StripMaker
from parabench.report.thumbnails import Thumbnails


@dataclass(frozen=True)
class Disagreement:
    """Pairs that one model keeps and another loses, each pair with both models' strips."""

    title: str
    examples: tuple[Example, ...]


def write_comparison(comparison: Comparison, runs: Sequence[Run], benchmark: Benchmark | None, images: Sequence[Path], page: Path) -> None:
    """Write the page of a comparison, and its figures and tables to ``<page>-files/``.

    Args:
        comparison: what was compared and found.
        runs: its runs, in its order.
        benchmark: where pictures and foils are; without it the page has placeholders for pictures.
        images: folders with the pictures, searched first.
        page: the file to write; it refers to nothing outside itself.

    Raises:
        DataError: the runs were made with no similarity metric in common, from which the page's figures are drawn.
    """
    results = [run.result for run in runs]
    names = short_names([run.label for run in comparison.runs])
    by_label = {run.label: name for run, name in zip(comparison.runs, names, strict=True)}
    metric = comparison.metrics[0]
    lead = metric if all(metric in run.pairs for run in runs) else lead_metric(results)
    if lead is None:
        raise DataError("the runs have no similarity metric in common", f"evaluate them again with the same --metrics, e.g. {metric}")
    joined = _joined(runs, lead)
    differences = difference_figure(
        [(c.metric, by_label[c.run], c.difference, c.ci_low, c.ci_high) for c in comparison.contrasts], names[0]
    )
    figures = run_figures(runs, names, lead)
    figures["agreement"] = [
        agreement_figure(joined[0].to_numpy(float), joined[place].to_numpy(float), (names[0], names[place]), lead, f"agreement-{place}")
        for place in range(1, len(runs))
    ]
    part = comparison.n_pairs != comparison.dataset.n_pairs
    compared = [f"{count(comparison.n_pairs)} pairs of {count(comparison.clusters)} pictures are compared"] if part else []
    contrasts = contrast_table(comparison, by_label)
    overview = compared_table(comparison, names)
    tables = [*task_tables(results, names), *both_hit_tables(results, names)]
    disagreements = _disagreements(runs, names, lead, joined, Thumbnails(benchmark, images), benchmark)
    drawn = [differences, *(figure for group in figures.values() for figure in group)]
    write_files(page.with_name(f"{page.stem}-files"), drawn, [overview, contrasts, *tables])
    write_page(
        page, "comparison.html.jinja",
        [("summary", "Who wins", True), ("paired", "Paired differences", True),
         ("agreement", "Pair by pair", True),
         ("curves", "How deep, how many", figures["curves"]),
         ("slices", "Parts of the set", figures["slices"]), ("disagree", "Where they differ most", disagreements),
         ("numbers", "All numbers", True), ("provenance", "Where this comes from", True)],
        {"title": f"{' against '.join(names) if len(names) < 4 else f'{len(names)} models'} on {comparison.dataset.name}",
         "heading": "Which model keeps the pictures when the words change?",
         "subtitle": "; ".join([set_line(results[0]), *compared]),
         "sentences": verdicts(comparison, by_label), "reference": names[0], "notes": [*comparison.notes, *_whole(comparison, runs)], "task_notes": task_notes(results, names),
         "warnings": [(name, warning) for name, run in zip(names, comparison.runs, strict=True) for warning in run.warnings],
         "overview": overview, "contrasts": contrasts, "tables": tables, "figures": figures | {"differences": differences},
         "disagreements": disagreements, "provenance": [provenance_of(run) for run in runs],
         "level": f"{100 * float(comparison.settings.get('level', 0.95)):g}"},
    )  # fmt: skip


def _joined(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """The metric on the pairs that all runs have: one row a pair, one column a run, with each run's row and the pair's picture."""
    same = ["image_id", "caption", "paraphrase"]  # ids of pairs may differ between files that hold the same pairs
    frames = []
    for place, run in enumerate(runs):
        own = run.pairs[[*same, metric]].rename(columns={metric: place})
        own[f"row {place}"] = range(len(own))
        frames.append(own.drop_duplicates(same))
    return reduce(lambda left, right: left.merge(right, on=same), frames)


def _whole(comparison: Comparison, runs: Sequence[Run]) -> list[str]:
    """Says so where not all pairs of a run are compared, because its own figures and tables are of all of them."""
    if all(run.result.dataset.n_pairs == comparison.n_pairs for run in runs):
        return []
    return ["The verdicts, the paired differences and the pair-by-pair figures are of the compared pairs; the other figures and tables are of all pairs of each run."]


def _disagreements(
    runs: Sequence[Run], names: Sequence[str], metric: str, joined: pd.DataFrame, thumbs: Thumbnails, benchmark: Benchmark | None
) -> list[Disagreement]:
    """For the reference and every other run, pairs that the one keeps and the other loses, both ways."""
    makers = [StripMaker(run, name, thumbs, benchmark) for run, name in zip(runs, names, strict=True)]
    groups = []
    shown = 2 if len(runs) == 2 else 1
    for other in range(1, len(runs)):
        for keeps, loses in ((0, other), (other, 0)):
            places = differ_most(joined[keeps], joined[loses], joined["image_id"], shown)
            examples = tuple(
                makers[run].example(int(joined[f"row {run}"].iloc[place]), metric, foil=False)
                for place in places for run in (keeps, loses)
            )  # fmt: skip
            if examples:
                groups.append(Disagreement(f"{names[keeps]} keeps the pictures, {names[loses]} loses them", examples))
    return groups


