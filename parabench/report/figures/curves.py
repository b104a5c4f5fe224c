"""One metric along an axis: how deep one looks, or how many pictures are searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parabench.evaluate.result import Curve, Result
from parabench.report.figures.canvas import LINE, SOFT, Figure, canvas, finish, series, unit_ticks
from parabench.report.numbers import interval, number
from parabench.report.table import Table

_TITLES = {"depth": "How deep one looks", "gallery size": "How many pictures are searched"}
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)


def curve_figures(results: Sequence[Result], names: Sequence[str]) -> list[Figure]:
    """One figure for each curve that the runs have: their lines with intervals, floors and ceilings."""
    found: dict[tuple[str, str, str], list[tuple[int, Curve]]] = {}
    for place, result in enumerate(results):
        for task_name, task in result.tasks.items():
            for curve in task.curves:
                if curve.x:
                    found.setdefault((task_name, curve.name, curve.metric), []).append((place, curve))
    return [_figure(task, lines, names, results[0].dataset.n_images) for (task, _, _), lines in found.items()]


def _figure(task: str, lines: Sequence[tuple[int, Curve]], names: Sequence[str], n_images: int) -> Figure:
    first = lines[0][1]
    stem = "-".join("".join(c if c.isalnum() else " " for c in f"curve {first.name} {first.metric} {'' if task == 'paraphrase' else task}").split()).lower()
    with canvas() as (drawing, axes):
        for place, curve in lines:
            style = series(place)
            axes.plot(curve.x, curve.values, color=style["color"], linestyle=style["linestyle"], marker=style["marker"] if len(curve.x) < 20 else None, markersize=5, label=names[place], zorder=3)
            _band(axes, curve.x, curve.ci_low, curve.ci_high, style["color"], 0.22)
            single = len(lines) == 1
            for what, values, low, high in (("floor", curve.floor, curve.floor_low, curve.floor_high),
                                            ("ceiling", curve.ceiling, curve.ceiling_low, curve.ceiling_high)):  # fmt: skip
                if values:
                    axes.plot(curve.x, values, color=SOFT if single else style["color"], linewidth=1.2, linestyle=(0, (2, 2)) if what == "floor" else (0, (6, 2)),
                              label={"floor": "floor: unrelated captions", "ceiling": "ceiling: the same text again"}[what] if single else None)  # fmt: skip
                    if single:
                        _band(axes, curve.x, low, high, SOFT, 0.25)
        if first.name == "gallery size" and max(first.x) > n_images:
            axes.axvline(n_images, color=SOFT, linewidth=1)
            axes.annotate(" distractors added →", (n_images, 1), xycoords=("data", "axes fraction"), va="top", fontsize=9, color=SOFT)
        _log_axis(axes, [x for _, curve in lines for x in curve.x])
        top = max(v for _, curve in lines for v in (*curve.values, *curve.ci_high, *curve.ceiling))
        axes.set(ylim=(0, max(0.1, 1.04 * top)), xlabel=first.x_label, ylabel=first.metric)
        unit_ticks(axes, "y")
        if len(lines) > 1 or first.floor or first.ceiling:
            drawing.legend(loc="outside upper left", ncols=2 if len(lines) > 1 else 1)
        title = f"{_TITLES.get(first.name, first.name)}: {first.metric}"
        return finish(drawing, stem, title, _description(lines, names), _table(stem, title, lines, names))


def _description(lines: Sequence[tuple[int, Curve]], names: Sequence[str]) -> str:
    parts = [
        f"{names[place]}: {number(curve.values[0])} at {curve.x[0]:g} to {number(curve.values[-1])} at {curve.x[-1]:g}"
        + (f" (floor {number(curve.floor[0])} to {number(curve.floor[-1])})" if curve.floor else "")
        for place, curve in lines
    ]
    return f"{lines[0][1].metric} against {lines[0][1].x_label}. " + "; ".join(parts) + "."


def _table(stem: str, title: str, lines: Sequence[tuple[int, Curve]], names: Sequence[str]) -> Table:
    rows = []
    for place, curve in lines:
        for at, x in enumerate(curve.x):
            pick: Any = lambda values, at=at: values[at] if values else None  # noqa: E731
            rows.append((names[place], f"{x:g}", number(curve.values[at]), interval(pick(curve.ci_low), pick(curve.ci_high)),
                         number(pick(curve.floor)), number(pick(curve.ceiling))))  # fmt: skip
    return Table(stem, title, ("model", lines[0][1].x_label, lines[0][1].metric, "95 %", "floor", "ceiling"), tuple(rows))


def _band(axes: Any, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str, alpha: float) -> None:
    if low and high:
        axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)


def _log_axis(axes: Any, x: Sequence[float]) -> None:
    low, high = min(x), max(x)
    if low > 0 and high / low >= 5:
        axes.set_xscale("log")
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        ticks = ticks if len(ticks) <= 8 else [tick for tick in ticks if str(tick)[0] == "1"]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.grid(visible=True, color=LINE)
