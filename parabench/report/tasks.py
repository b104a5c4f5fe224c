"""The terminal table of the tasks beside paraphrased retrieval, and what was skipped."""

from __future__ import annotations

from collections.abc import Sequence

from parabench.evaluate.result import Result
from parabench.evaluate.run import Run
from parabench.report.numbers import measured

_SHOWN_KINDS = 8


def task_cells(results: Sequence[Result]) -> list[tuple[str, str, list[str]]]:
    """Task, metric and one cell a run; tasks whose numbers the paraphrase table shows are left out."""
    shown = {"paraphrase", "retrieval"} if any("paraphrase" in result.tasks for result in results) else set()
    tasks = list(dict.fromkeys(name for result in results for name in result.tasks if name not in shown))
    rows: list[tuple[str, str, list[str]]] = []
    for task in tasks:
        held = [result.tasks[task].metrics if task in result.tasks else {} for result in results]
        for name in dict.fromkeys(name for metrics in held for name in metrics):
            rows.append((task, name, [measured(metrics.get(name)) for metrics in held]))
            kinds = next(metrics[name].by_kind or {} for metrics in held if name in metrics)
            if len(results) == 1 and len(kinds) <= _SHOWN_KINDS:
                rows += [(task, f"  {kind}", [f"{measured(entry)}  n={entry.n:,}"]) for kind, entry in kinds.items()]
    return rows


def print_tasks(runs: Sequence[Run]) -> None:
    """Print the table, what was skipped and why, and the folders of runs that rank no pairs."""
    from rich.console import Console
    from rich.table import Column, Table

    results = [run.result for run in runs]
    console = Console(soft_wrap=False, markup=False, emoji=False)  # model specs and names of sets are data
    if rows := task_cells(results):
        table = Table("task", "metric", *(Column(result.model.spec, overflow="fold") for result in results), box=None, padding=(0, 2, 0, 0))
        before = ""
        for task, name, cells in rows:
            table.add_row("" if task == before else task, name, *cells)
            before = task
        console.print(table)
    for result in results:
        for task, held in result.tasks.items():
            for what, why in held.details.get("skipped", {}).items():
                what = "" if what == task else f" {what}"
                console.print(f"! {result.model.spec.rstrip(':')}: {task}{what} was skipped: {why}", style="yellow", highlight=False)
            for key in ("note", "no_order"):
                if key in held.details:
                    console.print(f"! {result.model.spec.rstrip(':')}: {task}: {held.details[key]}", style="yellow", highlight=False)
    for run in runs:
        if "paraphrase" not in run.result.tasks:
            console.print(f"run: {run.folder}", highlight=False, soft_wrap=True)
