"""How the pairs spread: of one run as bars, of several as cumulative lines; and pair by pair of two runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parabench.report.figures.canvas import INK, SERIES, SOFT, Figure, canvas, finish, series, unit_ticks
from parabench.report.numbers import count, number, percent
from parabench.report.table import Table

Values = NDArray[np.float64]
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def spread_figure(values: Sequence[Values], names: Sequence[str], metric: str, floor: float | None = None) -> Figure:
    """The distribution of a metric over pairs.

    Args:
        values: one array a run, ``(n_pairs,)`` in [0, 1].
        names: one a run.
        metric: its name.
        floor: drawn with a single run.
    """
    title = f"How the pairs spread: {metric}"
    quantiles = [np.quantile(run, _SHARES) for run in values]
    table = Table(
        "spread", title, ("model", *(f"{share:.0%} of pairs below" for share in _SHARES), "exactly 0", "exactly 1"),
        tuple((name, *(number(q) for q in quantile), percent(float((run == 0).mean())), percent(float((run == 1).mean())))
              for name, run, quantile in zip(names, values, quantiles, strict=True)),
    )  # fmt: skip
    with canvas(height=3.5) as (drawing, axes):
        if len(values) == 1:
            (run,) = values
            heights, edges = np.histogram(run, bins=20, range=(0, 1))
            axes.bar(edges[:-1], heights, width=0.05, align="edge", color=SERIES[0], edgecolor="#fffffe", linewidth=0.8)
            axes.axvline(run.mean(), color=INK, linewidth=1.6, label=f"mean {number(float(run.mean()))}")
            if floor is not None:
                axes.axvline(floor, color=SOFT, linewidth=1.6, linestyle=(0, (2, 2)), label=f"floor {number(floor)}")
            axes.set(ylabel="pairs", xlim=(0, 1))
            axes.grid(visible=False, axis="x")
        else:
            for place, (name, run) in enumerate(zip(names, values, strict=True)):
                style = series(place)
                x, share = np.unique(run, return_counts=True)
                axes.step(np.r_[0, x, 1], np.r_[0, np.cumsum(share) / len(run), 1], where="post", color=style["color"], linestyle=style["linestyle"], label=name)
            axes.set(ylabel="share of pairs at or below", xlim=(0, 1), ylim=(0, 1.02))
            unit_ticks(axes, "y")
        axes.set_xlabel(metric)
        unit_ticks(axes, "x")
        drawing.legend(loc="outside upper left", ncols=2)
        description = " ".join(
            f"{name}: median {number(float(q[2]))}, middle half of the pairs {number(float(q[1]))} to {number(float(q[3]))}."
            for name, q in zip(names, quantiles, strict=True)
        )
        return finish(drawing, "spread", title, description, table)


def agreement_figure(a: Values, b: Values, names: tuple[str, str], metric: str, stem: str) -> Figure:
    """Pair by pair, one run across and the other up; a mark's area is how many pairs lie there."""
    bins = 12
    cells, edges, _ = np.histogram2d(a, b, bins=bins, range=((0, 1), (0, 1)))
    centre = (edges[:-1] + edges[1:]) / 2
    column, row = np.nonzero(cells)
    with canvas(height=4.4) as (drawing, axes):
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        axes.scatter(centre[column], centre[row], s=300 * cells[column, row] / cells.max() + 2, marker="h", color=SERIES[0], linewidth=0, zorder=2)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"{metric}: {names[0]}", ylabel=f"{metric}: {names[1]}", aspect="equal")
        for which in "xy":
            unit_ticks(axes, which)
        above, below = float((b > a).mean()), float((b < a).mean())
        description = (
            f"{count(len(a))} pairs. {names[1]} is more stable on {percent(above)} of them, {names[0]} on {percent(below)}; "
            f"the correlation of the two is {_correlation(a, b)}. The dotted line is equality."
        )
        table = Table(stem, f"Pair by pair: {metric}", ("", "share of pairs"), (
            (f"{names[1]} more stable", percent(above)), (f"{names[0]} more stable", percent(below)), ("equal", percent(1 - above - below)),
            ("correlation", _correlation(a, b)),
        ))  # fmt: skip
        return finish(drawing, stem, f"Pair by pair: {names[0]} and {names[1]}", description, table)


def _correlation(a: Values, b: Values) -> str:
    return number(float(np.corrcoef(a, b)[0, 1])) if a.std() > 0 and b.std() > 0 else "undefined (no spread)"
