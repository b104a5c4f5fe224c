"""Tables as Markdown and LaTeX: read back by independent readers, every cell is the text it was."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hostile_texts import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.evaluate import Measure
from parabench.report.numbers import interval, measured, number, p_value, percent, value_of
from parabench.report.table import Table, escape_latex, escape_markdown, write_tables


class Cells(HTMLParser):
    """The text of table cells, and every tag that was met."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags, self.inside = [], set(), False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def plain(text):
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def rendered(markdown):
    from markdown_it import MarkdownIt

    reader = Cells()
    reader.feed(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(markdown))
    return reader


def test_parts_are_on_the_scale_of_the_whole():
    whole = Measure(value=8.2, ci_low=1.0, ci_high=15.0, n=9, clusters=9)
    part = Measure(value=0.253, ci_low=None, ci_high=None, n=3, clusters=3)
    assert (value_of(part, like=whole), value_of(part), value_of(whole)) == ("0.25", ".253", "8.20")


def check_markdown(cells):
    reader = rendered(Table("t", "caption", ("one", "two"), tuple((cell, "x") for cell in cells)).markdown())
    assert reader.cells[2::2] == [plain(cell) for cell in cells]
    assert reader.tags <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}


def test_hostile_cells_in_markdown():
    check_markdown([*HOSTILE.values(), "1. list", "- item", "# title", "a|b\\|c", "www.evil.example", "***", "&lt;", "a\nb", ":---"])


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=1).filter(lambda text: plain(text)))
def test_any_cell_in_markdown(text):
    check_markdown([f"x {text}", text + "x"])


COMMANDS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">",
    "textbar": "|", "textquotedbl": '"', "textasciigrave": "`",
}  # fmt: skip


def read_latex(source):
    """What LaTeX prints, by the rules of its manual; refuses whatever would not print as itself."""
    tokens = re.findall(r"\\([a-z]+)\{\}|\\([&%$#_{}])|(\{\})|\$(-)\$|([^\\&%$#_{}~^<>|\"`])|(.)", source)
    assert not [wrong for *_, wrong in tokens if wrong], source
    assert not re.search(r"--|''|,,|\?`|!`", source)
    return "".join(COMMANDS[name] if name else symbol or minus or char for name, symbol, _, minus, char, _ in tokens)


@pytest.mark.parametrize("text", [*HOSTILE.values(), r"50% & $x_1$ #2 {a} ~b^c \d", "a_b -- c ---d", "[x] first", "''a'', ,,b,, ``c``?`"])
def test_hostile_cells_in_latex(text):
    assert read_latex(escape_latex(text)) == plain(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=126)))
def test_any_cell_in_latex(text):
    assert read_latex(escape_latex(text)) == plain(text)


def test_latex_leaves_no_character_of_its_grammar():
    raw = "".join(map(chr, range(32, 127)))
    escaped = escape_latex(raw)
    for char in "&%$#_":
        assert escaped.count(char) == escaped.count("\\" + char) == 1, char
    assert escape_latex("--x") == "-{}-x" and escape_latex("-.012") == "$-$.012" and escape_latex("[-.01, .02]") == "[$-$.01, .02]"
    assert escape_latex("top-1 R@10") == "top-1 R@10"


def test_latex_table():
    table = Table("task-x y", "AO@10 & more, 95 %", ("model", "AO@10"), (("[odd]_name", ".457"), ("b", "-.012")))
    lines = table.latex().splitlines()
    assert [line for line in lines if line.startswith("\\") and "rule" in line] == ["\\toprule", "\\midrule", "\\bottomrule"]
    assert "\\caption{AO@10 \\& more, 95 \\%}" in lines and "\\label{tab:task-x-y}" in lines
    assert "{}[odd]\\_name & .457 \\\\" in lines and "b & $-$.012 \\\\" in lines
    assert "\\begin{tabular}{@{}lr@{}}" in lines


def test_files(tmp_path):
    write_tables([Table("a", "c", ("h",), (("1",),))], tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["a.md", "a.tex"]


def test_numbers():
    assert [number(value) for value in (0.4567, 1.0, 0.0, -0.0001, -0.25, 86.7161, None, float("nan"))] == [
        ".457", "1.000", ".000", ".000", "-.250", "86.72", "–", "–"]  # fmt: skip
    assert interval(0.1, None) == "" and interval(-0.01, 1) == "[-.010, 1.000]"
    assert measured(Measure(value=0.5, ci_low=0.4, ci_high=0.6, n=1, clusters=1)) == ".500 [.400, .600]"
    assert [p_value(p) for p in (0.0001, 0.0123, None)] == ["< .001", ".012", "–"]
    assert [percent(share) for share in (0.924, 1.0, 0.999, 0.0, 0.001)] == ["92 %", "100 %", "99.9 %", "0 %", "0.1 %"]
    assert escape_markdown("plain words") == "plain words"
