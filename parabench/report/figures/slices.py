"""Parts of the pairs, each a dot with its interval and its n."""

from __future__ import annotations

from collections.abc import Sequence

from parabench.evaluate.result import Measure, Result
from parabench.report.figures.canvas import SOFT, Figure, canvas, error_bars, finish, series, unit_ticks
from parabench.report.numbers import count, interval, number
from parabench.report.table import Table

MOST = 24
"""Parts that a figure shows; its table has all of them."""

_FEW = 20
"""Parts of fewer pictures are drawn and not spoken of: their means are mostly noise."""

Parts = dict[str, dict[str, dict[int, Measure]]]
"""What the pairs are parted by → part → number of the run → measure, in the order in which they are to be shown."""


def parts_of(results: Sequence[Result], metric: str) -> Parts:
    """The slices of the paraphrase task, and its kinds where no slice says them."""
    parts: Parts = {}
    for place, result in enumerate(results):
        task = result.tasks["paraphrase"]
        for entry in task.slices:
            if metric in entry.metrics:
                parts.setdefault(entry.by, {}).setdefault(entry.level, {})[place] = entry.metrics[metric]
        if not any(entry.by == "kind" for entry in task.slices):
            for kind, measure in (task.metrics[metric].by_kind or {}).items():
                parts.setdefault("kind", {}).setdefault(kind, {})[place] = measure
    return parts


def slice_figures(results: Sequence[Result], names: Sequence[str], metric: str) -> list[Figure]:
    """One figure for everything the pairs are parted by."""
    overall = [result.tasks["paraphrase"].metrics[metric].value for result in results]
    return [_figure(by, levels, names, metric, overall) for by, levels in parts_of(results, metric).items()]


def _figure(by: str, levels: dict[str, dict[int, Measure]], names: Sequence[str], metric: str, overall: Sequence[float]) -> Figure:
    stem = "slice-" + ("-".join("".join(c if c.isalnum() else " " for c in by).split()).lower() or "other")
    shown = list(levels)
    if len(shown) > MOST:
        largest = set(sorted(shown, key=lambda level: -next(iter(levels[level].values())).n)[:MOST])
        shown = [level for level in shown if level in largest]
    with canvas(height=max(2.1, 0.95 + (0.105 * len(names) + 0.17) * len(shown))) as (drawing, axes):
        for place, name in enumerate(names):
            style = series(place)
            rows = [(at, levels[level][place]) for at, level in enumerate(shown) if place in levels[level]]
            axes.errorbar(
                [m.value for _, m in rows], [at + 0.62 * ((place + 0.5) / len(names) - 0.5) for at, _ in rows],
                xerr=error_bars([(m.value, m.ci_low, m.ci_high) for _, m in rows]),
                linestyle="none", color=style["color"], marker=style["marker"], markersize=6 if len(names) == 1 else 4.5, capsize=2, label=name,
            )  # fmt: skip
        if len(names) == 1:
            axes.axvline(overall[0], color=SOFT, linewidth=1.2, linestyle=(0, (2, 2)), label=f"all pairs {number(overall[0])}")
        drawing.legend(loc="outside upper left", ncols=2)
        axes.set_yticks(range(len(shown)), [f"{_clip(level)}  (n = {count(next(iter(levels[level].values())).n)})" for level in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlim=(-0.03, 1.03), xlabel=metric)
        axes.grid(visible=False, axis="y")
        unit_ticks(axes, "x")
        table = Table(stem, f"{metric} by {by}", (by, "model", metric, "95 %", "n", "pictures"), tuple(
            (level, names[place], number(m.value), interval(m.ci_low, m.ci_high), count(m.n), count(m.clusters))
            for level, runs in levels.items() for place, m in runs.items()
        ), n_text_columns=2)  # fmt: skip
        return finish(drawing, stem, f"{metric} by {by}", _description(levels, names, metric, by, len(shown)), table)


def _description(levels: dict[str, dict[int, Measure]], names: Sequence[str], metric: str, by: str, shown: int) -> str:
    sentences = []
    for place, name in enumerate(names):
        told = {level: runs[place] for level, runs in levels.items() if place in runs}
        large = {level: measure for level, measure in told.items() if measure.clusters >= _FEW}
        values = {level: measure.value for level, measure in (large or told).items()}
        if len(values) > 1:
            low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
            sentences.append(f"{name}: lowest for {low} ({number(values[low])}), highest for {high} ({number(values[high])}).")
    if shown < len(levels):
        sentences.append(f"The {shown} largest of {len(levels)} are drawn; the table has all.")
    return f"{metric} by {by}, with 95 % intervals. " + " ".join(sentences)


def _clip(text: str, longest: int = 22) -> str:
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
