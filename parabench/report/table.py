"""A table of text cells, and how it is written as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from parabench.storage import write_text

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "\0": "{}", '"': r"\textquotedbl{}", "−": "$-$", "–": "--", "→": r"$\rightarrow$", "≥": r"$\geq$", "≤": r"$\leq$",
    "×": r"$\times$", "Δ": r"$\Delta$", "…": r"\dots{}", "±": r"$\pm$", "½": r"$\frac{1}{2}$", "√": r"$\surd$", "∞": r"$\infty$",
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")
_LINK = re.compile(r"(?i)\b(https?|ftp)(://)|\b(www)(\.)")


@dataclass(frozen=True)
class Table:
    """Cells of text; the first column names the row, the others hold numbers.

    Attributes:
        name: the stem of its files, unique on a page (``"paraphrase"``).
        caption: what it shows, one line.
        headings: one a column.
        rows: one tuple of cells a row, as long as ``headings``.
        n_text_columns: how many leading columns hold words rather than numbers.
    """

    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_text_columns: int = 1

    def markdown(self) -> str:
        """A pipe table; every cell shows as the text it is, whatever it contains."""
        lines = [f"**{escape_markdown(self.caption)}**", "", _pipes(self.headings)]
        lines.append(_pipes(["---" if at < self.n_text_columns else "---:" for at in range(len(self.headings))], escape=False))
        return "\n".join([*lines, *(_pipes(row) for row in self.rows)]) + "\n"

    def latex(self) -> str:
        """A ``booktabs`` table float; compiles with ``\\usepackage{booktabs}`` and ``[T1]{fontenc}``."""
        columns = "l" * self.n_text_columns + "r" * (len(self.headings) - self.n_text_columns)
        return "\n".join(
            [
                "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
                "\\begin{table}", "\\centering", f"\\caption{{{escape_latex(self.caption)}}}",
                f"\\label{{tab:{re.sub(r'[^a-zA-Z0-9-]+', '-', self.name)}}}", f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
                "\\toprule", _ampersands(self.headings), "\\midrule", *(_ampersands(row) for row in self.rows),
                "\\bottomrule", "\\end{tabular}", "\\end{table}", "",
            ]
        )  # fmt: skip


def write_tables(tables: Iterable[Table], folder: Path) -> None:
    """Write every table as ``<name>.md`` and ``<name>.tex``."""
    for table in tables:
        write_text(folder / f"{table.name}.md", table.markdown())
        write_text(folder / f"{table.name}.tex", table.latex())


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is.  Characters of its grammar are escaped, controls and line breaks become spaces."""
    apart = re.sub(r"(?<=([-',]))(?=\1)", "\0", _one_line(text))  # -- '' ,, would join to other characters
    escaped = "".join(_LATEX.get(char, char) for char in apart)
    return re.sub(r"(?<![\w.)}-])-(?=\.?\d)", "$-$", escaped)  # a minus, not a hyphen


def escape_markdown(text: str) -> str:
    """Text that Markdown (with tables, links, HTML and autolinks) shows as it is."""
    escaped = _MARKDOWN.sub(r"\\\1", _one_line(text))
    return _LINK.sub(lambda found: f"{found[1] or found[3]}{'&#58;' + '//' if found[1] else '&#46;'}", escaped)


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _pipes(cells: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(escape_markdown(cell) if escape else cell for cell in cells) + " |"


def _ampersands(cells: Sequence[str]) -> str:
    # a row that starts with "[" or "*" would be read as an argument of the preceding \\
    escaped = [escape_latex(cell) for cell in cells]
    if escaped[0][:1] in ("[", "*"):
        escaped[0] = "{}" + escaped[0]
    return " & ".join(escaped) + r" \\"
