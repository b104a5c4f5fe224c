"""The tables of a run: its numbers side by side, and every number of every task."""

from __future__ import annotations

from collections.abc import Sequence

from parabench.evaluate.comparison import Comparison
from parabench.evaluate.paraphrase import DEFAULT_METRICS
from parabench.evaluate.result import Measure, Result
from parabench.evaluate.retrieval import accuracy_name
from parabench.report.numbers import count, interval, measured, number, p_value, value_of
from parabench.report.table import Table


def measure_of(result: Result, task: str, metric: str) -> Measure | None:
    """A number of a run, or ``None`` where the task did not run or has no such metric."""
    return result.tasks[task].metrics.get(metric) if task in result.tasks else None


def lead_metric(results: Sequence[Result]) -> str | None:
    """The similarity metric that stands for stability: the first of the first run; ``None`` where a run has no pairs."""
    if not all("paraphrase" in result.tasks for result in results):
        return None
    name = next(iter(results[0].tasks["paraphrase"].metrics))
    return name if all(name in result.tasks["paraphrase"].metrics for result in results) else None


def accuracy_metric(results: Sequence[Result]) -> str | None:
    """The recall that stands for accuracy: ``R@10``, or a smaller depth where a gallery is small; ``None`` without retrieval."""
    if not all("retrieval" in result.tasks for result in results):
        return None
    name = accuracy_name(*(result.tasks["retrieval"].details.get("chance", {}) for result in results))
    return name if all(measure_of(result, "retrieval", name) for result in results) else None


def beside(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Heading and metric of the columns of accuracy beside those of stability."""
    name = accuracy_metric(results) or "R@10"
    return [*((recall, recall) for recall in dict.fromkeys(("R@1", name, "R@10"))), (f"{name} para.", f"{name} paraphrase")]


def similarities(results: Sequence[Result]) -> list[str]:
    """The similarity metrics that a table shows: the first two of the default ones, all of others."""
    asked = [result.settings["metrics"] for result in results if "paraphrase" in result.tasks]
    return list(dict.fromkeys(name for names in asked for name in (names[:2] if tuple(names) == DEFAULT_METRICS else names)))


def table_columns(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """Heading → one cell a run; a column that no run has is left out.

    The first similarity metric of each run has its floor, foil-gap and foil-AUC beside it.
    """
    shown = similarities(results)
    leads = [next(iter(result.tasks["paraphrase"].metrics), "") if "paraphrase" in result.tasks else "" for result in results]
    led = [measure_of(result, "paraphrase", lead) for result, lead in zip(results, leads, strict=True)]
    stable = [(name, [measured(measure_of(result, "paraphrase", name)) for result in results]) for name in shown]
    floors = [number(m.floor) if m is not None and m.floor is not None else "" for m in led]
    accurate = [(heading, [measured(measure_of(result, "retrieval", name)) for result in results]) for heading, name in beside(results)]
    flip = f"flip@{(accuracy_metric(results) or 'R@10').removeprefix('R@')}"
    heard = [
        (heading, [measured(measure_of(result, "paraphrase", name.format(lead))) for result, lead in zip(results, leads, strict=True)])
        for heading, name in ((flip, flip), ("foil-gap", "foil-gap({})"), ("foil-AUC", "foil-AUC({})"))
    ]
    columns = [*stable[:1], ("floor", floors), *stable[1:], *accurate, *heard]
    return [(heading, cells) for heading, cells in columns if any(cells)]


def overview_table(results: Sequence[Result], names: Sequence[str]) -> Table:
    """One row a run, the numbers that are looked at first, and the first number of every other task."""
    columns = table_columns(results)
    for task in dict.fromkeys(task for result in results for task in result.tasks if task not in ("paraphrase", "retrieval")):
        first = next((name for result in results if task in result.tasks for name in result.tasks[task].metrics), None)
        if first is not None:
            columns.append((f"{task}: {first}", [measured(measure_of(result, task, first)) for result in results]))
    return Table(
        "overview", "Overview, with 95 % intervals", ("model", *(heading for heading, _ in columns)),
        tuple((name, *(cells[row] for _, cells in columns)) for row, name in enumerate(names)),
    )  # fmt: skip


def task_tables(results: Sequence[Result], names: Sequence[str]) -> list[Table]:
    """Every number of every task, a table a task."""
    tasks = dict.fromkeys(task for result in results for task in result.tasks)
    tables = []
    for task in tasks:
        held = [(name, result.tasks[task]) for name, result in zip(names, results, strict=True) if task in result.tasks]
        metrics = dict.fromkeys(metric for _, entry in held for metric in entry.metrics)
        rows = [(metric, name, value_of(entry.metrics[metric]), entry.metrics[metric]) for metric in metrics for name, entry in held if metric in entry.metrics]
        rows += [
            (f"{metric}, {kind}", name, value_of(measure, like=entry.metrics[metric]), measure)
            for metric in metrics for name, entry in held if metric in entry.metrics
            for kind, measure in (entry.metrics[metric].by_kind or {}).items()
        ]  # fmt: skip
        if rows:
            tables.append(_measures(f"task-{task}", f"Task {task}", rows, several=len(results) > 1))
    return tables


def both_hit_tables(results: Sequence[Result], names: Sequence[str]) -> list[Table]:
    """Which of the two wordings finds the right picture, and how alike the results are in each case."""
    cells: dict[str, list[tuple[str, ...]]] = {}
    similarity = ""
    for name, result in zip(names, results, strict=True):
        details = result.tasks["paraphrase"].details.get("both_hit", {}) if "paraphrase" in result.tasks else {}
        similarity = str(details.get("similarity", similarity))
        for depth, table in details.items():
            if depth != "similarity":
                cells.setdefault(depth, []).extend(
                    (name, cell.replace("_", " "), count(held["n"]), number(held["share"]), number(held["similarity"]))
                    for cell, held in table.items()
                )
    return [
        Table(f"both-hit-{depth.replace('@', '')}", f"Who finds the right picture within {depth.removeprefix('R@')}",
              ("model", "found by", "pairs", "share", similarity), tuple(rows), n_text_columns=2)
        for depth, rows in cells.items()
    ]  # fmt: skip


def task_notes(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """What tasks say about themselves: what they skipped and why, what a number is not."""
    notes = []
    for name, result in zip(names, results, strict=True):
        for task, entry in result.tasks.items():
            for key, held in entry.details.items():
                if key in ("note", "no_order") and isinstance(held, str):
                    notes.append(f"{name}, {task}: {held}")
                elif key == "skipped" and isinstance(held, dict):
                    notes += [f"{name}, {task}: {what} was skipped: {why}" for what, why in held.items()]
    return notes


def compared_table(comparison: Comparison, names: Sequence[str]) -> Table:
    """One row a run: its numbers on the compared pairs."""
    return Table(
        "overview", f"On the {count(comparison.n_pairs)} compared pairs, with 95 % intervals", ("model", *comparison.metrics),
        tuple((name, *(measured(run.metrics.get(metric)) for metric in comparison.metrics))
              for name, run in zip(names, comparison.runs, strict=True)),
    )  # fmt: skip


def contrast_table(comparison: Comparison, names: dict[str, str]) -> Table:
    """Every paired difference of a comparison."""
    return Table(
        "differences", f"Paired differences from {names[comparison.runs[0].label]}: {count(comparison.n_pairs)} pairs of {count(comparison.clusters)} pictures",
        ("metric", "model", "value", "reference", "difference", "95 %", "p", "p (Holm)", "detectable"),
        tuple(
            (c.metric, names[c.run], number(c.value), number(c.reference_value), signed(c.difference), interval(c.ci_low, c.ci_high),
             p_value(c.p), p_value(c.p_holm), number(c.minimum_detectable))
            for c in comparison.contrasts
        ), n_text_columns=2,
    )  # fmt: skip


def signed(value: float) -> str:
    """``+.033``, ``-.012``."""
    return number(value) if value < 0 else f"+{number(value)}"


def _measures(name: str, caption: str, rows: Sequence[tuple[str, str, str, Measure]], *, several: bool) -> Table:
    optional = [(heading, field) for heading, field in (("floor", "floor"), ("ceiling", "ceiling"), ("normalised", "normalised"))
                if any(getattr(measure, field) is not None for _, _, _, measure in rows)]  # fmt: skip
    return Table(
        name, caption, ("metric", *(("model",) if several else ()), "value", "95 %", *(heading for heading, _ in optional), "n", "pictures"),
        tuple(
            (metric, *((model,) if several else ()), f"{m.value:g}" if metric.startswith("MedR") else value, interval(m.ci_low, m.ci_high),
             *(number(getattr(m, field)) for _, field in optional), count(m.n), count(m.clusters))
            for metric, model, value, m in rows
        ), n_text_columns=2 if several else 1,
    )  # fmt: skip
