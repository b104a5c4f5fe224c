"""Stability against accuracy: a model is worth something only towards the upper right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parabench.evaluate.result import Result
from parabench.report.figures.canvas import (
    LINE,
    PAPER,
    SOFT,
    Figure,
    canvas,
    ends,
    error_bars,
    finish,
    series,
    unit_ticks,
)
from parabench.report.figures.labels import place_labels
from parabench.report.numbers import interval, measured, number
from parabench.report.result_tables import accuracy_metric
from parabench.report.table import Table


def stability_figure(results: Sequence[Result], names: Sequence[str], metric: str) -> Figure | None:
    """One dot a run: recall across, rank similarity up, both with their intervals; ``None`` without recall.

    With one run its floor stands beside it: what a pair of unrelated captions gets, at the recall of chance.
    """
    accuracy_name = accuracy_metric(results)
    if accuracy_name is None:
        return None
    dots = [
        (name, result.tasks["retrieval"].metrics[accuracy_name], result.tasks["paraphrase"].metrics[metric], place)
        for place, (result, name) in enumerate(zip(results, names, strict=True))
    ]
    chance = float(results[0].tasks["retrieval"].details["chance"][accuracy_name])
    with canvas() as (drawing, axes):
        x, y, labels = [dot[1].value for dot in dots], [dot[2].value for dot in dots], [dot[0] for dot in dots]
        bars = []
        for _, accuracy, stability, place in dots:
            style = series(place)
            (left, right), (low, high) = (ends(m.value, m.ci_low, m.ci_high) for m in (accuracy, stability))
            bars += [(left, stability.value, right, stability.value), (accuracy.value, low, accuracy.value, high)]
            axes.errorbar(
                accuracy.value, stability.value, xerr=error_bars([(accuracy.value, left, right)]),
                yerr=error_bars([(stability.value, low, high)]), color=style["color"], marker=style["marker"],
                markersize=8, capsize=3, elinewidth=1.4, markeredgecolor=PAPER, zorder=3,
            )  # fmt: skip
        axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.07), xlabel=f"{accuracy_name}: finds the right picture", ylabel=f"{metric}: same pictures for other words")
        axes.axvline(chance, color=SOFT, linewidth=1, linestyle=(0, (2, 2)))
        axes.axvspan(-0.03, min(1.0, 2 * chance), color=LINE, alpha=0.5, linewidth=0)
        if len(dots) == 1 and dots[0][2].floor is not None:
            axes.plot(chance, dots[0][2].floor, marker="x", color=SOFT, markersize=7, linestyle="none")
            x, y, labels = [*x, chance], [*y, dots[0][2].floor], [*labels, "unrelated captions, chance"]
        for which in "xy":
            unit_ticks(axes, which)
        place_labels(drawing, axes, x, y, labels, np.array(bars))
        best = max(dots, key=lambda dot: dot[1].value)
        most = " finds the right picture most often" if len(dots) > 1 else ""
        description = (
            f"One dot a model, {accuracy_name} across and {metric} up, with 95 % intervals; the band at the left is recall at chance "
            f"({number(chance)}). {best[0]}{most}: {accuracy_name} {measured(best[1])}, {metric} {measured(best[2])}."
        )
        table = Table(
            "stability", f"Stability ({metric}) and accuracy ({accuracy_name})",
            ("model", accuracy_name, "95 %", metric, "95 %", "floor"),
            tuple((name, number(a.value), interval(a.ci_low, a.ci_high), number(s.value), interval(s.ci_low, s.ci_high), number(s.floor))
                  for name, a, s, _ in dots),
        )  # fmt: skip
        return finish(drawing, "stability", f"{metric} against {accuracy_name}", description, table)


def difference_figure(rows: Sequence[tuple[str, str, float, float | None, float | None]], reference: str) -> Figure:
    """Paired differences with their intervals: ``(metric, run, difference, low, high)`` a row, zero marked."""
    runs = list(dict.fromkeys(run for _, run, *_ in rows))
    metrics = list(dict.fromkeys(metric for metric, *_ in rows))
    with canvas(height=max(2.2, 0.9 + (0.22 * len(runs) + 0.14) * len(metrics))) as (drawing, axes):
        for run_place, run in enumerate(runs):
            style = series(run_place + 1)
            chosen = [(metrics.index(metric), d, low, high) for metric, other, d, low, high in rows if other == run]
            at = [place + 0.72 * ((run_place + 0.5) / len(runs) - 0.5) for place, *_ in chosen]
            values = [d for _, d, _, _ in chosen]
            axes.errorbar(values, at, xerr=error_bars([(d, low, high) for _, d, low, high in chosen]), linestyle="none", color=style["color"], marker=style["marker"], markersize=6, capsize=2.5, label=run)
        axes.axvline(0, color=SOFT, linewidth=1.2)
        axes.set_yticks(range(len(metrics)), metrics)
        axes.set_ylim(len(metrics) - 0.5, -0.5)
        axes.set_xlabel(f"difference from {reference}")
        axes.grid(visible=False, axis="y")
        unit_ticks(axes, "x")
        if len(runs) > 1:
            drawing.legend(loc="outside upper left", ncols=2)
        description = f"Difference of each metric from {reference} on the same pairs, with 95 % intervals; an interval that crosses zero says that no difference is shown."
        return finish(drawing, "differences", f"Paired differences from {reference}", description)
