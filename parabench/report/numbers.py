"""How numbers are printed: the same in the terminal, the page, LaTeX and Markdown."""

from __future__ import annotations

import math

from parabench.evaluate.result import Measure


def number(value: float | None, *, hundred: bool = False) -> str:
    """``.457``, ``1.000``, ``86.72``, ``-.012``; a dash where there is none.

    ``hundred``: the value is one of a scale to 100, and has two decimals however small it is.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if hundred or abs(value) > 1:
        return f"{value:,.2f}"
    text = f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"
    return text.removeprefix("-") if not text.strip("-.0") else text


def interval(low: float | None, high: float | None) -> str:
    """``[.437, .477]``, empty where there is none."""
    if low is None or high is None:
        return ""
    hundred = max(abs(low), abs(high)) > 1
    return f"[{number(low, hundred=hundred)}, {number(high, hundred=hundred)}]"


def value_of(measure: Measure, *, like: Measure | None = None) -> str:
    """The value with the decimals of its interval, or of the number that it is a part of (``like``)."""
    ends = [abs(end) for end in (measure.ci_low, measure.ci_high) if end is not None]
    whole = [] if like is None else [abs(end) for end in (like.value, like.ci_low, like.ci_high) if end is not None]
    return number(measure.value, hundred=max([*ends, *whole], default=0.0) > 1)


def measured(measure: Measure | None) -> str:
    """``.457 [.437, .477]``: a value with its interval."""
    if measure is None:
        return ""
    return f"{value_of(measure)} {interval(measure.ci_low, measure.ci_high)}".strip()


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


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``9,355 pairs``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
