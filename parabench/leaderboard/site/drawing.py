"""Small drawings as SVG text: intervals in cells, curves, parts of the pairs, stability against accuracy.

They are written straight, without a drawing library, because a site has thousands of them.  Colours are the
page's own (classes of ``board.css``); nothing here has a style attribute, which the page's policy forbids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log

from parabench.evaluate.result import Curve, Measure
from parabench.report.numbers import number

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 44
_CHAR = 6.4
_Box = tuple[float, float, float, float]
_MOST_LABELS, _MOST_CROSSES = 40, 60


@dataclass(frozen=True)
class Point:
    """An entry in the plot of stability against accuracy."""

    name: str
    link: str
    x: Measure
    y: Measure
    reference: bool
    track: str
    front: bool


def bar(low: float | None, value: float, high: float | None) -> str:
    """An interval from 0 to 1 with its value, for a table's cell; a table has thousands, so it is short."""
    at, left, right = (100 * min(1.0, max(0.0, v)) for v in (value, value if low is None else low, value if high is None else high))
    return f"<svg class=b><rect x={left:.1f}% width={max(right - left, 0.6):.1f}% /><rect x={at:.1f}% /></svg>"


def front_of(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other beats in both coordinates without losing in one."""
    return [not any((x2 >= x and y2 >= y) and (x2 > x or y2 > y) for x2, y2 in points) for x, y in points]


def pareto(points: Sequence[Point], x_name: str, y_name: str, title: str) -> str:
    """Accuracy across, stability up; the front is drawn, entries are links, names cover nothing."""
    width, height = 760, 470
    left, right, top, bottom = 52, 22, 16, 48

    def sx(v: float) -> float:
        return left + v * (width - left - right)

    def sy(v: float) -> float:
        return height - bottom - v * (height - top - bottom)

    parts = [_frame(left, top, width - right, height - bottom, [v / 5 for v in range(6)], [v / 5 for v in range(6)], sx, sy, x_name, y_name)]
    ordered = sorted((p for p in points if p.front), key=lambda p: p.x.value)
    if len(ordered) > 1:
        parts.append(f'<path class="front" d="M{"L".join(f"{sx(p.x.value):.1f} {sy(p.y.value):.1f}" for p in ordered)}"/>')
    for p in points:
        x, y = sx(p.x.value), sy(p.y.value)
        kind = "ref" if p.reference else "gal" if p.track == "caption-gallery" else "img"
        shape = {
            "ref": f'<path class="dot" d="M{x - 5:.0f} {y - 5:.0f}l10 10m0 -10l-10 10"/>',
            "gal": f'<rect class="dot" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>',
            "img": f'<circle cx={x:.0f} cy={y:.0f} r=5.5 />',
        }[kind]
        cross = f'<path class="ci" d="M{sx(_low(p.x)):.1f} {y:.1f}H{sx(_high(p.x)):.1f}M{x:.1f} {sy(_low(p.y)):.1f}V{sy(_high(p.y)):.1f}"/>'
        if len(points) > _MOST_CROSSES and not p.reference:
            cross = ""
        said = f"{p.name}: {number(p.x.value)}, {number(p.y.value)}"
        parts.append(f'<a href="{escape(p.link)}" class={kind}><title>{escape(said)}</title>{cross}{shape}</a>')
    bars = [(sx(_low(p.x)) - 2, sy(p.y.value) - 4, sx(_high(p.x)) + 2, sy(p.y.value) + 4) for p in points]
    parts += _labels(points, [(sx(p.x.value), sy(p.y.value)) for p in points], bars, (left, top, width - right, height - bottom))
    return f'<svg class="chart" viewBox="0 0 {width} {height}" role="group" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _labels(points: Sequence[Point], at: Sequence[tuple[float, float]], bars: Sequence[_Box], frame: _Box) -> list[str]:
    """Names beside their dots, each at the free place closest to it; those without a free place are left to the tooltip."""
    taken = [*((x - 7, y - 7, x + 7, y + 7) for x, y in at), *bars]
    order = sorted(range(len(points)), key=lambda i: (not points[i].front, not points[i].reference, -points[i].x.value - points[i].y.value))
    parts = []
    for place in order[:_MOST_LABELS]:
        (x, y), name = at[place], points[place].name
        shown = name if len(name) <= 30 else name[:29] + "…"
        wide = _CHAR * len(shown) + 4
        for dx, dy in ((10, -8), (10, 7), (-10 - wide, -8), (-10 - wide, 7), (-wide / 2, -24), (-wide / 2, 10), (14, -26), (14, 24), (-14 - wide, -26), (-14 - wide, 24)):
            box = (x + dx, y + dy - 1, x + dx + wide, y + dy + 14)
            inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] + 16 and box[3] <= frame[3]
            if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                taken.append(box)
                parts.append(f'<text class="name" x="{box[0] + 2:.1f}" y="{box[1] + 11:.1f}">{escape(shown)}</text>')
                break
    return parts


def curve(line: Curve, title: str) -> str:
    """A curve with its interval, floor and ceiling."""
    xs = line.x
    logarithmic = max(xs) / min(xs) >= 5
    first, last = (log(min(xs)), log(max(xs))) if logarithmic else (min(xs), max(xs))

    def sx(v: float) -> float:
        share = ((log(v) if logarithmic else v) - first) / ((last - first) or 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    top = min(1.0, max(0.1, 1.08 * max([*line.values, *line.ci_high, *line.ceiling])))

    def sy(v: float) -> float:
        return _HEIGHT - _BOTTOM - min(v, top) / top * (_HEIGHT - _TOP - _BOTTOM)

    ladder = [v for v in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000, 1_000_000) if min(xs) <= v <= max(xs)]
    ticks = ladder if logarithmic else sorted({xs[0], xs[-1]})
    step = 0.2 if top > 0.5 else 0.1 if top > 0.2 else 0.05
    heights = [step * i for i in range(int(top / step + 1e-9) + 1)]
    parts = [_frame(_LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, ticks, heights, sx, sy, line.x_label, line.metric)]

    def path(values: Sequence[float]) -> str:
        return "M" + "L".join(f"{sx(x):.1f} {sy(v):.1f}" for x, v in zip(xs, values, strict=True))

    for kind, low, high in (("line", line.ci_low, line.ci_high), ("floor", line.floor_low, line.floor_high)):
        if len(low) == len(high) == len(xs):
            back = "L".join(f"{sx(x):.1f} {sy(v):.1f}" for x, v in reversed(list(zip(xs, high, strict=True))))
            parts.append(f'<path class="band {kind}" d="{path(low)}L{back}Z"/>')
    for kind, values in (("ceiling", line.ceiling), ("floor", line.floor), ("line", line.values)):
        if len(values) == len(xs):
            parts.append(f'<path class="{kind}" d="{path(values)}"/>')
            if kind != "line":
                parts.append(f'<text class="name soft" x="{_WIDTH - _RIGHT - 2}" y="{sy(values[-1]) - 4:.1f}" text-anchor="end">{kind}</text>')
    return _chart(_WIDTH, _HEIGHT, title, parts)


def levels(rows: Sequence[tuple[str, Measure]], overall: float, metric: str, title: str) -> str:
    """One dot with its interval a part of the pairs; the line is the value of all pairs."""
    label, right = 168, 16
    height = 26 * len(rows) + 52

    def sx(v: float) -> float:
        return label + v * (_WIDTH - label - right)

    def flat(v: float) -> float:
        return v

    parts = [_frame(label, 8, _WIDTH - right, height - _BOTTOM, [0, 0.25, 0.5, 0.75, 1], [], sx, flat, metric, "")]
    parts.append(f'<path class="overall" d="M{sx(overall):.1f} 8V{height - _BOTTOM}"/>')
    for place, (name, measure) in enumerate(rows):
        y = 8 + 26 * place + 13
        shown = name if len(name) <= 18 else name[:17] + "…"
        parts.append(f'<text class="label" x="{label - 8}" y="{y + 4}" text-anchor="end">{escape(shown)} ({measure.n:,})</text>')
        parts.append(f'<path class="ci" d="M{sx(_low(measure)):.1f} {y}H{sx(_high(measure)):.1f}"/><circle class="dot" cx="{sx(measure.value):.1f}" cy="{y}" r="4.5"/>')
    return _chart(_WIDTH, height, title, parts)


def _chart(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _frame(left, top, right, bottom, xs, ys, sx, sy, x_name: str, y_name: str) -> str:  # type: ignore[no-untyped-def]
    parts = [f'<path class="grid" d="{"".join(f"M{sx(x):.1f} {top}V{bottom}" for x in xs)}{"".join(f"M{left} {sy(y):.1f}H{right}" for y in ys)}"/>']
    parts += [f'<text class="label" x="{sx(x):.1f}" y="{bottom + 16}" text-anchor="middle">{_tick(x)}</text>' for x in xs]
    parts += [f'<text class="label" x="{left - 7}" y="{sy(y) + 4:.1f}" text-anchor="end">{_tick(y)}</text>' for y in ys]
    parts.append(f'<text class="axis" x="{(left + right) / 2:.1f}" y="{bottom + 36}" text-anchor="middle">{escape(x_name)}</text>')
    if y_name:
        middle = (top + bottom) / 2
        parts.append(f'<text class="axis" x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">{escape(y_name)}</text>')
    return "".join(parts)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.2g}".replace("0.", ".", 1)


def _low(measure: Measure) -> float:
    return measure.value if measure.ci_low is None else max(0.0, min(measure.ci_low, measure.value))


def _high(measure: Measure) -> float:
    return measure.value if measure.ci_high is None else min(1.0, max(measure.ci_high, measure.value))
