"""How every figure is drawn: once with matplotlib, shown inline as SVG and kept as PNG and SVG files."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.report.table import Table
from parabench.storage import atomic_path, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

INK, SOFT, LINE, PAPER = "#1d2330", "#5b6476", "#d9dee8", "#fffffe"
SERIES = ("#1f5fd0", "#b4540a", "#0b7a5c", "#8b3fb1", "#b3261f", "#5e6b00", "#00728a", "#9c2c6c")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (9, 2, 3, 2)))
"""Series differ by colour, marker and dash, so that they can be told apart in grey print."""

_VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", PAPER: "--card"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES)
}
_RC = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.5, "axes.labelsize": 9.5,
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": LINE, "grid.linewidth": 0.6, "text.color": INK,
    "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "legend.frameon": False, "legend.fontsize": 9, "legend.handlelength": 2.6, "figure.facecolor": PAPER, "axes.facecolor": PAPER,
    "svg.fonttype": "none", "svg.hashsalt": "parabench", "text.parse_math": False, "lines.linewidth": 1.8,
}  # fmt: skip
WIDTH, HEIGHT = 4.7, 3.5
"""Inches.  Text of 9–10 points stays readable when a page of 400 px shrinks the figure to fit."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        name: the stem of its files, unique on a page.
        title: one line above it.
        description: what a reader who can't see it needs to know.
        svg: the standalone SVG file.
        png: the PNG file.
        table: the numbers that are drawn.
    """

    name: str
    title: str
    description: str
    svg: str
    png: bytes
    table: Table | None = None

    @property
    def inline(self) -> str:
        """The SVG for a page: its colours are the page's, it has a name and a description, and its ids are its own."""
        body = self.svg[self.svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = body.replace("xlink:href=", "href=")  # inside a page the namespaces are known
        body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{self.name}-", body)
        for colour, variable in _VARIABLES.items():
            body = body.replace(colour, f"var({variable}, {colour})")
        opening, rest = body.split(">", 1)
        box = re.search(r'viewBox="[^"]*"', opening)
        label = f'<title id="{self.name}-title">{escape(self.title)}</title><desc id="{self.name}-desc">{escape(self.description)}</desc>'
        return (
            f'<svg {box[0] if box else ""} role="img" '
            f'aria-labelledby="{self.name}-title {self.name}-desc">{label}{rest}'
        )

    def write(self, folder: Path) -> None:
        """Write ``<name>.svg`` and ``<name>.png``."""
        write_text(folder / f"{self.name}.svg", self.svg)
        with atomic_path(folder / f"{self.name}.png") as part:
            part.write_bytes(self.png)


@contextmanager
def canvas(width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple[Drawing, Axes]]:
    """Axes in the house style; matplotlib is imported here and nowhere earlier."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    with matplotlib.rc_context(_RC):
        drawing = Drawing(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing, drawing.add_subplot()


def finish(drawing: Drawing, name: str, title: str, description: str, table: Table | None = None) -> Figure:
    """Save a drawing as both kinds of file."""
    svg, png = io.StringIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the PNG's font lacks; the page's text uses the reader's fonts
        drawing.savefig(png, format="png", dpi=200)
        drawing.set_layout_engine("none")  # laid out once, for both
        drawing.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Figure(name, title, description, svg.getvalue(), png.getvalue(), table)


def series(number: int) -> dict[str, Any]:
    """Colour, marker and dash of one series."""
    return {
        "color": SERIES[number % len(SERIES)], "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }  # fmt: skip


def unit_ticks(axes: Axes, which: str) -> None:
    """Ticks printed as the tables print numbers: ``.2``, not ``0.2``."""
    from matplotlib.ticker import FuncFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:g}"))


def ends(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    """Where an error bar begins and ends: at the value where there is no interval, and never on the wrong side of it."""
    return value if low is None else min(low, value), value if high is None else max(high, value)


def error_bars(points: Sequence[tuple[float, float | None, float | None]]) -> tuple[list[float], list[float]]:
    """Values with their intervals → the lengths of their error bars, before and behind the values."""
    held = [(value, *ends(value, low, high)) for value, low, high in points]
    return [value - low for value, low, _ in held], [high - value for value, _, high in held]
