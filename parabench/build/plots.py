"""The pictures of a dataset card: the funnel, the lengths, the scores of kept and rejected sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_KEPT, _DROPPED, _INK = "#2f6f9f", "#d98c5f", "#2b2f36"
_MOST_SCORES = 12
_STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": "#9aa3ad", "axes.labelcolor": _INK,
    "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "figure.dpi": 120, "savefig.dpi": 120, "svg.hashsalt": "parabench",
}  # fmt: skip


def plot_funnel(steps: Sequence[tuple[str, int]], path: Path) -> None:
    """Bars of how many sentences are left after each step.

    Args:
        steps: (name, left) in order, the first before any check.
        path: the PNG to write.
    """
    figure, axes = _figure(7.2, 0.9 + 0.34 * len(steps))
    names, left = [name for name, _ in steps], np.array([count for _, count in steps])
    places = np.arange(len(steps))[::-1]
    axes.barh(places, left, color=_KEPT, height=0.68)
    lost = np.maximum(0, np.concatenate([[0], left[:-1] - left[1:]]))
    axes.barh(places, lost, left=left, color=_DROPPED, height=0.68)
    for place, count, gone in zip(places, left, lost, strict=True):
        label = f"{count:,}" + (f"  (−{gone:,})" if gone else "")
        axes.text(count + gone + left.max(initial=1) * 0.01, place, label, va="center", fontsize=9)
    axes.set_yticks(places, names)
    axes.set_xlim(0, left.max(initial=1) * 1.18)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("sentences left")
    _save(figure, path)


def plot_lengths(captions: Sequence[str], paraphrases: Sequence[str], path: Path) -> None:
    """Histograms of words a caption and words a paraphrase."""
    figure, axes = _figure(7.2, 3.0)
    counts = [np.array([len(text.split()) for text in texts]) for texts in (captions, paraphrases)]
    top = int(np.percentile(np.concatenate(counts), 99.5)) + 2
    bins = np.arange(0.5, top + 1)
    for values, colour, label in zip(counts, (_DROPPED, _KEPT), ("captions", "paraphrases"), strict=True):
        axes.hist(
            np.minimum(values, top), bins=bins, histtype="step", linewidth=1.8, color=colour,
            label=f"{label} (mean {values.mean():.1f})",
        )  # fmt: skip
    axes.set_xlabel("words")
    axes.set_ylabel("pairs")
    axes.legend(frameon=False)
    _save(figure, path)


def scores_to_plot(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of the scores that differ between rows, at most twelve, by name."""
    values: dict[str, set[float]] = {}
    for scores in rows:
        for name, value in scores.items():
            held = values.setdefault(name, set())
            if len(held) < 2:
                held.add(value)
    return sorted(name for name, held in values.items() if len(held) > 1)[:_MOST_SCORES]


def plot_scores(kept: Sequence[Mapping[str, float]], rejected: Sequence[Mapping[str, float]], path: Path) -> None:
    """A small histogram for each of :func:`scores_to_plot` (at least one), kept against rejected."""
    shown = scores_to_plot([*kept, *rejected])
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 1.9 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for name, panel in zip(shown, axes, strict=False):
            values = [np.array([s[name] for s in side if name in s], dtype=float) for side in (kept, rejected)]
            everything = np.concatenate(values)
            low, high = everything.min(), everything.max()
            bins = np.linspace(low, high, 25)
            for side, colour, label in zip(values, (_KEPT, _DROPPED), ("kept", "rejected"), strict=True):
                if side.size:
                    panel.hist(
                        side, bins=bins, weights=np.full(side.size, 1 / side.size), histtype="step", linewidth=1.5,
                        color=colour, label=label,
                    )  # fmt: skip
            panel.set_title(name, fontsize=9)
            panel.tick_params(labelsize=8)
            panel.set_yticks([])
        for panel in axes[len(shown) :]:
            panel.set_visible(False)
        handles = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=2, frameon=False, fontsize=9)
        _write(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    from matplotlib import rc_context

    with rc_context(_STYLE):
        _write(figure, path)


def _write(figure: Any, path: Path) -> None:
    # Without the "Software" field the bytes follow from the data and the version of matplotlib's rasteriser alone.
    figure.savefig(path, format="png", metadata={"Software": None})
