"""The terminal table of a comparison, and what it says in a sentence."""

from __future__ import annotations

from parabench.evaluate.comparison import Comparison, Contrast


def p_text(p: float | None) -> str:
    """``.003``, ``<.001``, or nothing."""
    if p is None:
        return ""
    return "<.001" if p < 0.001 else _number(p)


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Metric, run, value, reference value, difference with interval, p, Holm's p, smallest detectable difference, n."""
    return [
        (
            c.metric, c.run, _number(c.value), _number(c.reference_value), difference_text(c), p_text(c.p), p_text(c.p_holm),
            "" if c.minimum_detectable is None else _number(c.minimum_detectable), f"{c.n:,}",
        )
        for name in comparison.metrics
        for c in comparison.contrasts
        if c.metric == name
    ]  # fmt: skip


def difference_text(contrast: Contrast) -> str:
    """``+.052 [+.040, +.063]``."""
    value = _signed(contrast.difference)
    if contrast.ci_low is None or contrast.ci_high is None:
        return value
    return f"{value} [{_signed(contrast.ci_low)}, {_signed(contrast.ci_high)}]"


def comparison_reading(comparison: Comparison) -> list[str]:
    """One sentence a run on the first metric: which is higher, and whether that is more than chance."""
    first = comparison.metrics[0]
    sentences = []
    for c in comparison.contrasts:
        if c.metric != first:
            continue
        pair = f"{first} of {c.run} against that of {c.reference}: {difference_text(c)}"
        if c.p_holm is None:
            sentences.append(f"{pair}; one picture says nothing about others.")
        elif c.p_holm < 0.05:
            p = p_text(c.p_holm)
            sentences.append(f"{pair}, {'higher' if c.difference > 0 else 'lower'} than chance explains (p {p if p[0] == '<' else f'= {p}'} after Holm).")
        else:
            sentences.append(f"{pair}: no difference is shown; this set would show one of {_number(c.minimum_detectable or 0.0)}.")
    return sentences


def print_comparison(comparison: Comparison) -> None:
    """Print the table, the notes and the reading."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(soft_wrap=False)
    dataset = comparison.dataset
    console.print(
        f"{dataset.name}{f', split {dataset.split}' if dataset.split else ''}: {comparison.n_pairs:,} pairs of "
        f"{comparison.clusters:,} pictures; differences to {comparison.runs[0].label}", highlight=False,
    )  # fmt: skip
    for run in comparison.runs[1:]:
        console.print(run.label, style="bold", highlight=False)
        table = Table(
            "metric", "value", "reference", Column("difference, 95 %", no_wrap=True),
            "p", "Holm", "detectable", box=None, padding=(0, 1, 0, 0),
        )  # fmt: skip
        for metric, label, value, reference, difference, p, adjusted, least, _ in comparison_rows(comparison):
            if label == run.label:
                table.add_row(metric, value, reference, difference, p, adjusted, least)
        console.print(table)
    for text in comparison.notes:
        console.print(f"! {text}", style="yellow", highlight=False)
    for sentence in comparison_reading(comparison):
        console.print(sentence, highlight=False)


def _number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.3f}"
