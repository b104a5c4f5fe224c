"""How numbers are printed: the same in the terminal, the page, LaTeX and Markdown."""

from __future__ import annotations

import math

from parabench.evaluate.result import Measure


def number(value: float | None, digits: int = 3) -> str:
    """``.457``, ``1.000``, ``86.72``, ``-.012``; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) > 1:
        return f"{value:,.2f}"
    text = f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-.0") else text


def interval(low: float | None, high: float | None) -> str:
    """``[.437, .477]``, empty where there is none."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def measured(measure: Measure | None) -> str:
    """``.457 [.437, .477]``: a value with its interval."""
    if measure is None:
        return ""
    return f"{number(measure.value)} {interval(measure.ci_low, measure.ci_high)}".strip()


def percent(value: float) -> str:
    """``92 %``, with a decimal where rounding would say all or none."""
    rounded = f"{value:.0%}"
    if (rounded == "100%" and value < 1) or (rounded == "0%" and value > 0):
        rounded = f"{value:.1%}"
    return rounded.replace("%", " %")


def p_value(p: float | None) -> str:
    """``.012``, ``< .001``."""
    if p is None or not math.isfinite(p):
        return "–"
    return "< .001" if p < 0.001 else number(p)


def count(n: int) -> str:
    """``9,355``."""
    return f"{n:,}"
