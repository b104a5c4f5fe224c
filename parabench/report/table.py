"""The terminal table of one or more runs, and what it means in two sentences."""

from __future__ import annotations

from collections.abc import Sequence

from parabench.evaluate.result import Measure, Result
from parabench.evaluate.run import Run

COLUMNS = (
    ("AO@10", "paraphrase", "AO@10"),
    ("floor", "paraphrase", "AO@10"),
    ("JS@10", "paraphrase", "JS@10"),
    ("R@1", "retrieval", "R@1"),
    ("R@10", "retrieval", "R@10"),
    ("R@10 para.", "retrieval", "R@10 paraphrase"),
    ("flip@10", "paraphrase", "flip@10"),
    ("foil-gap", "paraphrase", "foil-gap(AO@10)"),
    ("foil-AUC", "paraphrase", "foil-AUC(AO@10)"),
)
"""Heading, task and metric of each column; a column that no run has is left out."""


NARROW = ("AO@10", "JS@10", "R@10", "R@10 para.", "foil-AUC")
"""What fits beside the model names on 80 columns; the rest is in the page and in ``--json``."""


def show(measure: Measure | None) -> str:
    """``.457 [.437, .477]``: a value with its interval."""
    if measure is None:
        return ""
    value = _number(measure.value)
    if measure.ci_low is None or measure.ci_high is None:
        return value
    return f"{value} [{_number(measure.ci_low)}, {_number(measure.ci_high)}]"


def _number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def table_columns(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """Heading → one cell a run.  The first column falls back to the first metric where AO@10 was not asked for."""
    columns: list[tuple[str, list[str]]] = []
    for heading, task, name in COLUMNS:
        cells = []
        for result in results:
            measure = result.tasks[task].metrics.get(name) if task in result.tasks else None
            if heading == "floor":
                cells.append(_number(measure.floor) if measure is not None and measure.floor is not None else "")
            else:
                cells.append(show(measure))
        if any(cells):
            columns.append((heading, cells))
    if not any(heading == "AO@10" for heading, _ in columns):
        first = next(iter(results[0].tasks["paraphrase"].metrics))
        columns.insert(0, (first, [show(result.tasks["paraphrase"].metrics.get(first)) for result in results]))
    return columns


def kind_rows(result: Result) -> list[tuple[str, str, int]]:
    """Kind, the first metric with its interval, and n, for each kind of paraphrase."""
    name, measure = next(iter(result.tasks["paraphrase"].metrics.items()))
    return [(f"{name} {kind}", show(entry), entry.n) for kind, entry in (measure.by_kind or {}).items()]


def reading(results: Sequence[Result]) -> str:
    """Two sentences in plain words: how alike the results are, and whether to believe it."""
    sentences = []
    useful = [result for result in results if not any("stable but useless" in w for w in result.warnings)]
    chosen = useful or list(results)
    name = next(iter(results[0].tasks["paraphrase"].metrics))
    best = max(chosen, key=lambda result: _value(result, "retrieval", "R@10"))
    measure = best.tasks["paraphrase"].metrics[name]
    floor = f" (unrelated captions: {_number(measure.floor)})" if measure.floor is not None else ""
    recall = best.tasks["retrieval"].metrics.get("R@10")
    found = f", and it has the right picture in the first ten for {recall.value:.0%} of captions" if recall else ""
    sentences.append(
        f"{'Of these, ' if len(results) > 1 else ''}{best.model.spec} finds the right pictures {'most often: its' if len(results) > 1 else 'so: its'} "
        f"results for a caption and for its paraphrase agree to {name} = {show(measure)}, where 1 is the same pictures in the same order{floor}{found}."
    )
    useless = [result for result in results if result not in useful]
    if useless:
        names = " and ".join(result.model.spec for result in useless)
        sentences.append(f"{names} looks perfectly stable and is useless: it returns the same pictures whatever is asked.")
    else:
        flip = best.tasks["paraphrase"].metrics.get("flip@10")
        if flip is not None:
            sentences.append(f"For {flip.value:.0%} of the pairs only one of the two wordings finds the right picture in the first ten.")
    return " ".join(sentences)


def _value(result: Result, task: str, name: str) -> float:
    measure = result.tasks[task].metrics.get(name)
    return measure.value if measure is not None else 0.0


def print_runs(runs: Sequence[Run]) -> None:
    """Print the table, the kinds of a single run, the warnings, the reading and the folders."""
    from rich.console import Console
    from rich.table import Column, Table

    results = [run.result for run in runs]
    first = results[0].dataset
    console = Console(soft_wrap=False)
    wide = console.width >= 150
    console.print(f"{first.name}{f', split {first.split}' if first.split else ''}: {first.n_pairs:,} pairs, {first.n_images:,} pictures; 95 % intervals over pictures", highlight=False)
    if len(runs) == 1:
        table = Table("metric", Column(results[0].model.spec, overflow="fold"), box=None)
        for heading, cells in table_columns(results):
            table.add_row(heading, cells[0])
        for kind, cell, n in kind_rows(results[0]):
            table.add_row(f"  {kind}", f"{cell}  n={n:,}")
    else:
        columns = [column for column in table_columns(results) if wide or column[0] in NARROW]
        table = Table("model", *(heading for heading, _ in columns), box=None, padding=(0, 1, 0, 0))
        for row, result in enumerate(results):
            table.add_row(result.model.spec, *(_cell(cells[row], wide) for _, cells in columns))
    console.print(table)
    for result in results:
        for warning in result.warnings:
            console.print(f"! {result.model.spec}: {warning}", style="yellow", highlight=False)
    console.print(reading(results), highlight=False)
    for run in runs:
        console.print(f"run: {run.folder}", highlight=False, soft_wrap=True)


def _cell(text: str, wide: bool) -> str:
    return text if wide or " [" not in text else text.replace(" [", "\n[", 1)
