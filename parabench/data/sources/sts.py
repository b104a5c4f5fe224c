"""Semantic textual similarity: two sentences and what people say of how alike they are.

Read as their authors publish them: the STS benchmark (Cer et al. 2017), SemEval STS 2012–2016 (Agirre et
al.) one file a genre or in SentEval's layout (Conneau & Kiela 2018), and SICK (Marelli et al. 2014).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parabench.data.sources.files import search_folders
from parabench.data.table_file import read_utf8
from parabench.errors import DataError

SOURCES = "https://ixa2.si.ehu.eus/stswiki (STS) and https://zenodo.org/record/2787612 (SICK)"
SPLITS = ("test", "dev", "trial", "train")
"""Splits from the one that papers report to the one for training."""

_STSB = re.compile(r"(?:stsb-[a-z]{2}|sts)-(train|dev|test)\.csv", re.IGNORECASE)
_SEMEVAL = re.compile(r"(?P<genre>.+)\.(?P<split>train|test)\.tsv")
_YEAR = re.compile(r"(?:STS|20)?(1[2-6])(?:-en-(test|train))?", re.IGNORECASE)
_SICK = re.compile(r"SICK(?:_(train|trial|test|test_annotated))?\.txt")


@dataclass(frozen=True)
class SentencePair:
    """One rated pair; ``score`` is on the scale of its set."""

    first: str
    second: str
    score: float
    genre: str
    where: str


@dataclass(frozen=True)
class StsSet:
    """The rated pairs of one set and split.

    Attributes:
        name: ``"STS-B"``, ``"STS12"`` … ``"STS16"``, ``"SICK-R"``.
        split: one of :data:`SPLITS`.
        pairs: in file order; pairs without a human score are not there.
        files: what was read.
    """

    name: str
    split: str
    pairs: tuple[SentencePair, ...]
    files: tuple[Path, ...]


def find_sts(given: Path | None) -> list[StsSet]:
    """Every set that is found below a folder (or the one set of a file), in order of name, then split.

    Without ``given``, the folders ``sts`` and ``sick`` of the search folders.  The genres of a SemEval year
    are pooled into one set, which is how ``STS12`` … ``STS16`` are reported.

    Raises:
        DataError: nothing was found, or a file is malformed (with its line).
    """
    if given is not None and not given.exists():
        raise DataError(f"no such file or folder of STS sets: {given}", "check --task-data sts=…")
    if given is None:
        homes = [[folder / name for folder in search_folders(None)] for name in ("sts", "sick")]
        files = [path for home in homes for path in next(filter(None, map(_below, home)), [])]
    else:
        files = [given] if given.is_file() else _below(given)
    parts: dict[tuple[str, str], list[tuple[Path, list[SentencePair]]]] = {}
    seen: dict[tuple[str, str, str], Path] = {}
    for path in files:
        if (kind := _kind(path)) is not None:
            if (twin := seen.setdefault(kind, path)) != path:
                raise DataError(f"{path} and {twin} hold the same pairs", "keep one of the two, or name one folder")
            for part, pairs in _read(path, *kind):
                parts.setdefault((kind[0], part), []).append((path, pairs))
    if not parts:
        where = given if given is not None else ", ".join(str(folder) for folder in search_folders(None))
        raise DataError(
            f"no STS set was found in {where}",
            f"put stsb-en-test.csv, SICK_test_annotated.txt, 2012/*.test.tsv or STS12-en-test/ there ({SOURCES}), "
            "or name the folder: --task-data sts=DIR",
        )
    order = sorted(parts, key=lambda key: (key[0], SPLITS.index(key[1])))
    return [
        StsSet(
            name,
            split,
            tuple(pair for _, pairs in parts[name, split] for pair in pairs),
            tuple(path for path, _ in parts[name, split]),
        )
        for name, split in order
    ]


def _below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and _kind(path) is not None)


def _kind(path: Path) -> tuple[str, str, str] | None:
    """Set, split and genre by the name of the file and its folder; ``None`` for other files."""
    if match := _STSB.fullmatch(path.name):
        return "STS-B", match[1].lower(), ""
    if match := _SICK.fullmatch(path.name):
        return "SICK-R", (match[1] or "all").removesuffix("_annotated"), ""
    year = _YEAR.fullmatch(path.parent.name)
    if year and (match := _SEMEVAL.fullmatch(path.name)):
        return f"STS{year[1]}", match["split"], match["genre"]
    if year and path.name.startswith("STS.input.") and path.suffix == ".txt" and path.stem != "STS.input.ALL":
        return f"STS{year[1]}", year[2] or "test", path.stem.removeprefix("STS.input.")
    return None


def _read(path: Path, name: str, split: str, genre: str) -> Iterator[tuple[str, list[SentencePair]]]:
    """The pairs of a file by split (only ``SICK.txt`` holds several)."""
    if name == "SICK-R":
        yield from _sick(path, split)
        return
    if name == "STS-B":
        rows = _stsb(path)
    elif path.name.startswith("STS.input."):
        rows = _senteval(path, genre)
    else:
        rows = _semeval(path, genre)
    pairs = list(rows)
    if not pairs:
        raise DataError(f"{path} holds no rated pair", f"get it again from {SOURCES}")
    yield split, pairs


def _stsb(path: Path) -> Iterator[SentencePair]:
    """``sentence1,sentence2,score``, or the original seven columns by tabs."""
    text = read_utf8(path)
    if text.split("\n", 1)[0].count("\t") >= 6:
        for number, line in _lines(text):
            fields = line.split("\t")
            where = f"{path}, line {number}"
            if len(fields) < 7:
                raise _columns(where, len(fields), "genre, file, year, id, score, sentence1, sentence2")
            yield _pair(fields[5], fields[6], fields[4], fields[0], where, 0)
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            where = f"{path}, line {reader.line_num}"
            if not fields:
                continue
            if [field.strip().lower() for field in fields] == ["sentence1", "sentence2", "score"]:
                continue
            if len(fields) != 3:
                raise _columns(where, len(fields), "sentence1, sentence2, score")
            yield _pair(fields[0], fields[1], fields[2], "", where, 0)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", "check the quoting of that line") from None


def _semeval(path: Path, genre: str) -> Iterator[SentencePair]:
    """``score<TAB>sentence1<TAB>sentence2`` without quoting; an empty score means that nobody rated the pair."""
    for number, line in _lines(read_utf8(path)):
        fields = line.split("\t")
        where = f"{path}, line {number}"
        if len(fields) != 3:
            raise _columns(where, len(fields), "score, sentence1, sentence2 by tabs")
        if fields[0].strip():
            yield _pair(fields[1], fields[2], fields[0], genre, where, 0)


def _senteval(path: Path, genre: str) -> Iterator[SentencePair]:
    """``STS.input.<genre>.txt`` with its ``STS.gs.<genre>.txt``, line by line."""
    gold = path.with_name(path.name.replace("STS.input.", "STS.gs.", 1))
    if not gold.is_file():
        raise DataError(f"{path} has no {gold.name} beside it", f"get both from {SOURCES}")
    sentences, scores = (read_utf8(file).rstrip("\n").split("\n") for file in (path, gold))
    if len(sentences) != len(scores):
        raise DataError(f"{path} has {len(sentences)} lines and {gold.name} {len(scores)}", "both must have one line a pair")
    for number, (line, score) in enumerate(zip(sentences, scores, strict=True), 1):
        fields = line.rstrip("\r").split("\t")
        where = f"{path}, line {number}"
        if len(fields) < 2:
            raise _columns(where, len(fields), "sentence1, sentence2 by a tab")
        if score.strip():
            yield _pair(fields[0], fields[1], score, genre, f"{gold}, line {number}", 0)


def _sick(path: Path, split: str) -> Iterator[tuple[str, list[SentencePair]]]:
    lines = list(_lines(read_utf8(path)))
    header = lines[0][1].split("\t") if lines else []
    try:
        a, b = header.index("sentence_A"), header.index("sentence_B")
        score = next(i for i, name in enumerate(header) if name.startswith("relatedness_score"))
    except (ValueError, StopIteration):
        raise DataError(
            f"{path}, line 1: no columns sentence_A, sentence_B and relatedness_score",
            f"get the file from {SOURCES}",
        ) from None
    part = header.index("SemEval_set") if "SemEval_set" in header else None
    if split == "all" and part is None:
        raise DataError(f"{path}, line 1: no column SemEval_set", f"get the file from {SOURCES}")
    pairs: dict[str, list[SentencePair]] = {}
    for number, line in lines[1:]:
        fields = line.split("\t")
        where = f"{path}, line {number}"
        if len(fields) != len(header):
            raise DataError(f"{where}: {len(fields)} fields where the header has {len(header)}", "separate them by tabs")
        own = fields[part].strip().lower() if split == "all" and part is not None else split
        if own not in SPLITS:
            raise DataError(f"{where}: SemEval_set is '{own}'", f"one of {', '.join(SPLITS)}")
        pairs.setdefault(own, []).append(_pair(fields[a], fields[b], fields[score], "", where, 1))
    if not pairs:
        raise DataError(f"{path} holds no rated pair", f"get it again from {SOURCES}")
    yield from pairs.items()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _pair(first: str, second: str, score: str, genre: str, where: str, lowest: int) -> SentencePair:
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not lowest <= value <= 5:
        raise DataError(f"{where}: the score is '{score.strip()}', not a number from {lowest} to 5", "correct or remove the line")
    if not first.strip() or not second.strip():
        raise DataError(f"{where}: a sentence is empty", "fill it in or remove the line")
    return SentencePair(first, second, value, genre, where)


def _columns(where: str, found: int, wanted: str) -> DataError:
    return DataError(f"{where}: {found} fields where {wanted} were expected", f"get the file from {SOURCES}")
