"""The terminal table of one or more runs, and what it means in two sentences."""

from __future__ import annotations

from collections.abc import Sequence

from parabench.evaluate.result import Result
from parabench.evaluate.run import Run
from parabench.report.numbers import measured
from parabench.report.reading import reading
from parabench.report.render import set_line
from parabench.report.result_tables import accuracy_metric, lead_metric, similarities, table_columns


def print_runs(runs: Sequence[Run]) -> None:
    """Print the table, the kinds of a single run, the warnings, the reading and the folders."""
    from rich.console import Console
    from rich.table import Column, Table

    results = [run.result for run in runs]
    first = results[0].dataset
    console = Console(soft_wrap=False, markup=False, emoji=False)  # model specs and kinds are data
    wide = console.width >= 150
    if first.n_pairs:
        intervals = "; 95 % intervals over pictures of the pairs" if any(_has_intervals(result) for result in results) else ""
        console.print(f"{set_line(results[0])}{intervals}", highlight=False)
    if len(runs) == 1:
        table = Table("metric", Column(results[0].model.spec, overflow="fold"), box=None)
        for heading, cells in table_columns(results):
            table.add_row(heading, cells[0])
        for kind, cell, n in _kind_rows(results[0]):
            table.add_row(f"  {kind}", f"{cell}  n={n:,}")
    else:
        # on 80 columns the rest is in the page and in --json
        accurate = accuracy_metric(results)
        narrow = {*similarities(results)[:3], accurate, f"{accurate} para.", "foil-AUC"}
        columns = [column for column in table_columns(results) if wide or column[0] in narrow]
        table = Table("model", *(heading for heading, _ in columns), box=None, padding=(0, 1, 0, 0))
        for row, result in enumerate(results):
            table.add_row(result.model.spec, *(_cell(cells[row], wide) for _, cells in columns))
    console.print(table)
    for result in results:
        for warning in result.warnings:
            console.print(f"! {result.model.spec.rstrip(':')}: {warning}", style="yellow", highlight=False)
    console.print(reading(results), highlight=False)
    for run in runs:
        console.print(f"run: {run.folder}", highlight=False, soft_wrap=True)


def _has_intervals(result: Result) -> bool:
    return any(measure.ci_low is not None for entry in result.tasks.values() for measure in entry.metrics.values())


def _kind_rows(result: Result) -> list[tuple[str, str, int]]:
    """Kind, the first metric with its interval, and n, for each kind of paraphrase."""
    if (name := lead_metric([result])) is None:
        return []
    measure = result.tasks["paraphrase"].metrics[name]
    return [(f"{name} {kind}", measured(entry), entry.n) for kind, entry in (measure.by_kind or {}).items()]


def _cell(text: str, wide: bool) -> str:
    return text if wide or " [" not in text else text.replace(" [", "\n[", 1)
