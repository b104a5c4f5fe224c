"""Names beside dots that cover neither each other nor the dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

Box = tuple[float, float, float, float]
"""left, bottom, right, top in pixels."""


def place_labels(
    drawing: Drawing, axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], bars: NDArray[np.float64]
) -> list[Box]:
    """Write each name near its dot, at the free place closest to it; names far from their dot get a thin line.

    Args:
        drawing, axes: where to write; limits must be final.
        x, y: dots in data coordinates.
        names: one a dot.
        bars: error bars to keep clear, ``(n, 4)`` x0, y0, x1, y1 in data coordinates.

    Returns:
        The pixel box of each name.
    """
    renderer = drawing.canvas.get_renderer()  # type: ignore[attr-defined]
    drawing.draw(renderer)
    drawing.set_layout_engine("none")  # names must not move the axes any more
    dots = axes.transData.transform(np.column_stack([x, y]))
    frame = axes.get_window_extent(renderer)
    scale = drawing.dpi / 72
    taken: list[Box] = [*_boxes_of(axes, bars), *((px - 6 * scale, py - 6 * scale, px + 6 * scale, py + 6 * scale) for px, py in dots)]
    placed: list[Box] = []
    for (px, py), name in zip(dots, names, strict=True):
        probe = axes.text(0, 0, name, fontsize=9)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        best = min(
            ((_cost(box, taken, (frame.x0, frame.y0, frame.x1, frame.y1)), distance, box)
             for distance, box in _candidates(px, py, extent.width, extent.height, scale)),
            key=lambda entry: (round(entry[0], 3), entry[1]),
        )  # fmt: skip
        left, bottom, right, top = best[2]
        middle = ((left + right) / 2, (bottom + top) / 2)
        inverse = axes.transData.inverted()
        if best[1] > 26 * scale:
            near = (min(max(px, left), right), min(max(py, bottom), top))
            line = inverse.transform([(px, py), near])
            axes.plot(line[:, 0], line[:, 1], color="#5b6476", linewidth=0.7, zorder=1)
        x_middle, y_middle = inverse.transform(middle)
        axes.text(x_middle, y_middle, name, fontsize=9, ha="center", va="center", zorder=5)
        taken.append(best[2])
        placed.append(best[2])
    return placed


def _candidates(px: float, py: float, width: float, height: float, scale: float) -> list[tuple[float, Box]]:
    """Places for a box around a dot, with how far away they are."""
    places: list[tuple[float, Box]] = []
    for gap in (9, 16, 26, 40, 60, 85):
        reach = gap * scale
        for angle in np.arange(0, 2 * np.pi, np.pi / 8):
            dx, dy = np.cos(angle), np.sin(angle)
            left = px + dx * reach + (dx - 1) / 2 * width
            bottom = py + dy * reach + (dy - 1) / 2 * height
            places.append((reach, (left, bottom, left + width, bottom + height)))
    return places


def _cost(box: Box, taken: Sequence[Box], frame: Box) -> float:
    """How much of the box lies on something or outside, in boxes' areas."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    covered = sum(_overlap(box, other) for other in taken)
    return (covered + 3 * (area - _overlap(box, frame))) / area


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _boxes_of(axes: Axes, lines: NDArray[np.float64]) -> list[Box]:
    if not len(lines):
        return []
    first, second = axes.transData.transform(lines[:, :2]), axes.transData.transform(lines[:, 2:])
    low, high = np.minimum(first, second) - 2, np.maximum(first, second) + 2
    return [(float(a[0]), float(a[1]), float(b[0]), float(b[1])) for a, b in zip(low, high, strict=True)]
