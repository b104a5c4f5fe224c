"""Validate, score, render, write: the whole site from a folder of submissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parabench.errors import DataError
from parabench.leaderboard.ahead import score_ahead
from parabench.leaderboard.reference import References
from parabench.leaderboard.scoring import AO_SCALE
from parabench.leaderboard.site.board import RANKED, SIZES, Board, boards_of
from parabench.leaderboard.site.drawing import bar
from parabench.leaderboard.site.entry import entry_context
from parabench.leaderboard.site.export import as_csv, as_json, as_latex, feed
from parabench.leaderboard.site.folder import SiteFolder
from parabench.leaderboard.site.pictures import Pictures
from parabench.leaderboard.validate import Entry, Validator, Verdict, find_submissions
from parabench.progress import bar as progress_bar
from parabench.progress import note
from parabench.report.numbers import count, interval, number
from parabench.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

COLUMNS = (
    ("both@10", "Both@10", "Both wordings find the right picture among the first 10: stable and right"),
    ("AO@10", "AO@10", "Average overlap of the two rankings: 1 is the same pictures in the same order"),
    ("R@10", "R@10", "Captions whose own picture is among the first 10"),
    ("R@10 paraphrase", "R@10 para.", "Paraphrases whose picture is among the first 10"),
    ("flip@10", "Flip@10", "Pairs where only one wording finds the picture: lower is better"),
    ("foil-AUC", "Foil-AUC", "How often a paraphrase stays closer to its caption than a false sentence does; .5 is a coin's toss"),
)  # fmt: skip
"""Metric, heading, what it is."""


@dataclass(frozen=True)
class Built:
    """What a build did."""

    n_entries: int
    n_boards: int
    refused: list[Verdict]
    written: int
    kept: int
    removed: int


def build_site(submissions: Path, out: Path, references: References, *, url: str = "") -> Built:
    """Build the site of all submissions that pass.

    Args:
        submissions: folder of submission folders.
        out: the site; files that an earlier build made are replaced or removed, others are never touched.
        references: the datasets of the leaderboard.
        url: where the site will stand, for absolute links in the feed.

    Raises:
        DataError: no such folder, nothing passes, or ``out`` holds a foreign file where one has to be written.
    """
    if not submissions.is_dir():
        raise DataError(f"no such folder of submissions: {submissions}", "name it with --submissions")
    folder = SiteFolder(out)
    entries, refused = validated(submissions, references)
    if not entries:
        raise DataError(f"no submission in {submissions} passes", f"see why: parabench leaderboard validate {submissions}")
    boards = boards_of(entries)
    if url and not url.endswith("/"):
        url += "/"
    if not url:
        note("the feed has relative links; name the site's address with --url https://…")
    for name in ("style.css", "board.js", "versus.js"):
        folder.write(name, _asset(name))
    folder.write("index.html", _page("index.html.jinja", "", boards=boards, columns=COLUMNS, ranked=RANKED, sizes=SIZES, filters=_filters(boards)))
    folder.write("versus.html", _page("versus.html.jinja", "", boards=boards))
    for board in boards:
        pictures = Pictures(board.reference, board.key)
        folder.write(f"data/{board.key}.json", json.dumps(_units(board), separators=(",", ":")))
        for row in board.rows:
            folder.write(f"data/pairs/{row.id}.bin", _pairs(row.entry))
            folder.write(f"entries/{row.id}.html", _page("entry.html.jinja", "../", **entry_context(row, board, pictures)))
        for name, data in pictures.files.items():
            folder.write(name, data)
    folder.write("data/leaderboard.json", as_json(boards))
    folder.write("data/leaderboard.csv", as_csv(boards))
    folder.write("data/leaderboard.tex", as_latex(boards))
    folder.write("feed.xml", feed(boards, url))
    return Built(len(entries), len(boards), refused, folder.written, folder.kept, folder.finish())


def validated(submissions: Path, references: References) -> tuple[list[Entry], list[Verdict]]:
    """The entries that pass, and the verdicts on those that don't; the folder's order decides who was first."""
    entries, refused = [], []
    folders = find_submissions([submissions])
    score_ahead(folders, references)
    with Validator(references) as validator, progress_bar("validate and score", len(folders), "entry") as shown:
        for path in folders:
            verdict, entry = validator.validate(path)
            if entry is None:
                refused.append(verdict)
            else:
                entries.append(entry)
            shown.update()
    return entries, refused


def _filters(boards: Sequence[Board]) -> dict[str, list[str]]:
    """What the table can be filtered by, with the values that occur."""
    rows = [row for board in boards for row in board.rows]
    kinds = sorted({kind for row in rows for kind in row.kinds})
    return {
        "track": sorted({row.track for row in rows}), "type": sorted({row.type for row in rows if not row.reference}),
        "training": sorted({data for row in rows for data in row.training})[:60], "kinds": kinds,
    }  # fmt: skip


def _units(board: Board) -> dict[str, Any]:
    """What the head-to-head page needs of a dataset: the picture of each pair, and which pair is the first of its caption."""
    return {
        "dataset": board.reference.title, "ao_scale": AO_SCALE, "pictures": board.reference.pair_pictures.tolist(),
        "first": np.flatnonzero(board.reference.first_pairs).tolist(),
        "entries": [{"id": row.id, "name": row.entry.submission.model.name, "track": row.track} for row in board.rows],
    }  # fmt: skip


def _pairs(entry: Entry) -> bytes:
    """Three little-endian uint16 arrays over the pairs: AO@10 × 25,200, the caption's rank, the paraphrase's rank."""
    scored = entry.scored
    return b"".join(part.astype("<u2").tobytes() for part in (scored.ao, scored.caption_rank, scored.paraphrase_rank))


def _asset(name: str) -> str:
    static = resources.files("parabench.leaderboard.site").joinpath("static")
    if name != "style.css":
        return static.joinpath(name).read_text("utf-8")
    report = resources.files("parabench.report").joinpath("templates", "style.css").read_text("utf-8")
    return report + static.joinpath("board.css").read_text("utf-8")


def _page(template: str, root: str, **context: Any) -> str:
    return templates().get_template(template).render(root=root, version=__version__, **context)


@cache
def templates() -> Environment:
    """The site's templates and the report's macros; everything that is put into them is escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("parabench.leaderboard.site"), PackageLoader("parabench.report")]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"number": number, "count": count, "parameters": parameters}
    environment.globals |= {"bar": bar, "interval": interval}
    return environment


def parameters(n: int | None) -> str:
    """``22.7 M``, ``1.4 B``; a dash where there is none."""
    if not n:
        return "–"
    return f"{n / 1e9:.1f} B" if n >= 1e9 else f"{n / 1e6:.1f} M" if n >= 1e5 else f"{n:,}"
