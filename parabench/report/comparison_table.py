"""The terminal table of a comparison, and what it says in sentences."""

from __future__ import annotations

from parabench.evaluate.comparison import Comparison
from parabench.report.numbers import interval, number, p_value
from parabench.report.reading import verdicts
from parabench.report.result_tables import signed


def print_comparison(comparison: Comparison) -> None:
    """Print the table, the notes and the reading."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(soft_wrap=False, markup=False, emoji=False)  # labels are data
    dataset = comparison.dataset
    console.print(
        f"{dataset.name}{f', split {dataset.split}' if dataset.split else ''}: {comparison.n_pairs:,} pairs of "
        f"{comparison.clusters:,} pictures; differences to {comparison.runs[0].label}", highlight=False,
    )  # fmt: skip
    for run in comparison.runs[1:]:
        console.print(run.label, style="bold", highlight=False)
        table = Table(
            "metric", "value", "reference", Column("difference, 95 %", no_wrap=True),
            "p", "Holm", "detectable", box=None, padding=(0, 1, 0, 0),
        )  # fmt: skip
        for c in comparison.contrasts:
            if c.run == run.label:
                table.add_row(
                    c.metric, number(c.value), number(c.reference_value), f"{signed(c.difference)} {interval(c.ci_low, c.ci_high)}",
                    p_value(c.p), p_value(c.p_holm), number(c.minimum_detectable),
                )  # fmt: skip
        console.print(table)
    for text in [*(f"{run.label}: {warning}" for run in comparison.runs for warning in run.warnings), *comparison.notes]:
        console.print(f"! {text}", style="yellow", highlight=False)
    for sentence in verdicts(comparison, {run.label: run.label for run in comparison.runs}):
        console.print(sentence, highlight=False)
