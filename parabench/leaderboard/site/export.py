"""The table as CSV, JSON and LaTeX, and a feed of new entries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from parabench.leaderboard.site.board import RANKED, Board, export_row
from parabench.report.numbers import interval, number

_FORMULA = ("=", "+", "-", "@", "\t")


def as_json(boards: Sequence[Board]) -> str:
    """A list of objects, one an entry."""
    return json.dumps([export_row(row) for board in boards for row in board.rows], indent=1) + "\n"


def as_csv(boards: Sequence[Board]) -> str:
    """One line an entry; texts that a spreadsheet would run are quoted with an apostrophe."""
    rows = [export_row(row) for board in boards for row in board.rows]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for key, value in row.items()})
    return stream.getvalue()


def as_latex(boards: Sequence[Board]) -> str:
    """One ``tabular`` a dataset, for ``booktabs``."""
    parts = []
    for board in boards:
        names = list(RANKED)
        lines = [
            f"% {_tex(board.reference.title)}: {board.reference.n_pairs} pairs, {len(board.reference.image_ids)} pictures",
            r"\begin{tabular}{rl" + "r" * len(names) + "}", r"\toprule",
            " & ".join(["Rank", "Model", *(_tex(name) for name in names)]) + r" \\", r"\midrule",
        ]  # fmt: skip
        for row in board.rows:
            measures = [row.numbers[name] for name in names]
            cells = [f"{number(m.value)} {{\\scriptsize {interval(m.ci_low, m.ci_high)}}}" for m in measures]
            lines.append(" & ".join([_tex(row.rank(RANKED[0])), _tex(row.entry.submission.model.name), *cells]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]))
    return "\n".join(parts)


def feed(boards: Sequence[Board], url: str) -> str:
    """RSS 2.0, newest first."""
    rows = sorted((row for board in boards for row in board.rows if not row.reference), key=lambda row: (row.entry.submission.created, row.id), reverse=True)
    items = []
    for row in rows[:50]:
        submission, link = row.entry.submission, f"{url}entries/{row.id}.html"
        numbers = ", ".join(f"{name} {number(row.numbers[name].value)}" for name in RANKED)
        items.append(
            f"<item><title>{escape(submission.model.name)} on {escape(row.entry.reference.title)}</title><link>{escape(link)}</link>"
            f'<guid isPermaLink="false">{escape(row.id)}:{submission.rankings.sha256[:16]}</guid><pubDate>{_day(submission.created)}</pubDate>'
            f"<description>{escape(f'Rank {row.rank(RANKED[0])}, track {row.track}: {numbers}')}</description></item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>parabench leaderboard: new entries</title>'
        f"<link>{escape(url or 'index.html')}</link><description>Encoders by how stable and how right they are under paraphrase.</description>\n"
        + "\n".join(items) + "\n</channel></rss>\n"
    )  # fmt: skip


def _day(text: str) -> str:
    return format_datetime(datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC))


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    special |= {char: f"\\{char}" for char in "&%$#_{}"}
    return "".join(special.get(char, char) for char in text)
