"""The benchmark folder: parquet tables and a card that ``datasets.load_dataset`` reads as it is."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.columns import column
from parabench.data.benchmark import Benchmark
from parabench.data.schema import FOILS, PAIRS, REJECTED, TABLES
from parabench.data.sentences import (
    Row,
    gallery_of_pairs,
    gallery_table,
    parse_gallery,
    parse_others,
    parse_pairs,
    sentence_table,
)
from parabench.data.table_file import SUFFIXES, TableFile, read_table, read_utf8
from parabench.errors import DataError, brief
from parabench.storage import disk_errors

_CARD = "README.md"
_UNNAMED_SPLIT = "test"
ACCOMPANYING = frozenset({"CHECKSUMS", "VERSION", "build.json", "croissant.json", "eval.yaml", "plots"})
"""Files and folders that a release has beside the tables and the card."""


def write_benchmark(
    benchmark: Benchmark,
    folder: Path,
    card_extra: str = "",
    *,
    metadata: Mapping[str, Any] | None = None,
    accompany: Callable[[Path], None] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a benchmark as a folder: ``pairs/``, ``gallery/``, ``foils/``, ``rejected/`` and ``README.md``.

    Tables without rows are left out.  A table has one file a split, in order of
    first appearance; rows that name no split are in the file ``test``.  Pictures are not copied.  The
    folder appears whole or not at all.

    Args:
        benchmark: what to write.
        folder: where; must not exist or be empty.
        card_extra: Markdown that follows the generated text of the card.
        metadata: YAML fields of the card (``license``, ``language``, ``pretty_name``, …).
        accompany: called with the finished but not yet visible folder; may add what ``ACCOMPANYING`` names.
        overwrite: replace an earlier benchmark folder; never one that holds anything else.

    Raises:
        DataError: there are no pairs, the folder is in use, or the metadata names ``configs``.
        ParabenchError: the disk is full or read-only.
    """
    if metadata and "configs" in metadata:
        raise DataError("the card's 'configs' follow from the tables", "leave 'configs' out of the metadata")
    if not benchmark.pairs.num_rows:
        raise DataError(f"dataset '{benchmark.name}' has no pairs to write")
    folder = folder.expanduser().absolute()
    _refuse_foreign(folder, overwrite)
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            configs = [
                config for name in TABLES if (config := _write_table(benchmark, name, part)) is not None
            ]
            (part / _CARD).write_text(_card(benchmark, configs, card_extra, metadata or {}), encoding="utf-8")
            if accompany is not None:
                accompany(part)
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o777 & ~umask)
            if folder.exists():
                old = part.with_suffix(".old")
                folder.rename(old)
                part.rename(folder)
                shutil.rmtree(old)
            else:
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def read_release(folder: Path, name: str | None = None) -> Benchmark:
    """Read a benchmark folder, with the same checks as any other file.

    The card's ``configs`` say where the tables are; without a card, ``pairs/*.parquet`` and so on.

    Raises:
        DataError: the folder holds no pairs, or a row is not what it has to be (with file and row).
    """
    files = _table_files(folder)
    if not files.get("pairs"):
        raise DataError(f"{folder} is not a benchmark folder: it has no pairs/*.parquet", _own_files(folder))
    images: list[Row] | None = None
    if files.get("gallery"):
        images = parse_gallery(_joined(folder, files["gallery"]))
    known = None if images is None else {row["image_id"]: at for at, row in enumerate(images)}
    pairs, foils = parse_pairs(_joined(folder, files["pairs"]), known, folder / "gallery")
    if files.get("foils"):
        foils += parse_others(_joined(folder, files["foils"]), "foil", known)
    rejected: list[Row] = []
    if files.get("rejected"):
        rejected = parse_others(_joined(folder, files["rejected"]), "paraphrase", None)
    images = images if images is not None else gallery_of_pairs([*pairs, *foils])
    return Benchmark(
        name=name or folder.resolve().name,
        pairs=sentence_table(pairs, PAIRS),
        gallery=gallery_table(images),
        foils=sentence_table(foils, FOILS),
        rejected=sentence_table(rejected, REJECTED),
        image_roots=tuple(root for root in (folder / "images", folder) if root.is_dir()),
        provenance=f"{folder} (local benchmark folder, {len(pairs)} pairs, {len(images)} pictures)",
    )


def _write_table(benchmark: Benchmark, name: str, folder: Path) -> dict[str, Any] | None:
    table: pa.Table = getattr(benchmark, name).cast(TABLES[name])
    if not table.num_rows:
        return None
    (folder / name).mkdir()
    rows_of: dict[str, list[int]] = {}
    for row, split in enumerate(table["split"].to_pylist()):
        rows_of.setdefault(_split_name(split), []).append(row)
    files: list[dict[str, str]] = []
    for split, rows in rows_of.items():
        relative = f"{name}/{split}.parquet"
        pq.write_table(table.take(column(rows, pa.int64())), folder / relative, compression="zstd")
        files.append({"split": split, "path": relative})
    config: dict[str, Any] = {"config_name": name, "data_files": files}
    return {"config_name": name, "default": True, "data_files": files} if name == "pairs" else config


def _split_name(split: str | None) -> str:
    """A name that ``datasets`` accepts for a split; ``all`` means something else to it."""
    name = re.sub(r"\W", "_", split or _UNNAMED_SPLIT, flags=re.ASCII)
    return "all_" if name == "all" else name


def _card(
    benchmark: Benchmark, configs: list[dict[str, Any]], extra: str, metadata: Mapping[str, Any]
) -> str:
    import yaml

    header = {
        "pretty_name": benchmark.name,
        "tags": ["paraphrase", "image-text-retrieval"],
        **metadata,
        "configs": configs,
    }
    counts = "\n".join(f"| `{name}` | {getattr(benchmark, name).num_rows:,} |" for name in TABLES)
    parts = [
        "---\n" + yaml.safe_dump(header, sort_keys=False, allow_unicode=True) + "---",
        f"# {benchmark.name}",
        "Captions with paraphrases, and the gallery of pictures that they search.",
        "| table | rows |\n|---|---:|\n" + counts,
        'Load a table with `datasets.load_dataset(FOLDER, "pairs")`; evaluate a model on it with\n'
        "`parabench evaluate --dataset FOLDER --model …`.",
        extra.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _refuse_foreign(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file", "choose another folder")
    entries = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if entries and not overwrite:
        raise DataError(f"{folder} is not empty", "choose another folder, or overwrite the earlier benchmark")
    foreign = sorted(entries - {_CARD, *TABLES} - ACCOMPANYING)
    if foreign:
        raise DataError(
            f"{folder} holds '{foreign[0]}', which is no part of a benchmark", "choose another folder"
        )


def _table_files(folder: Path) -> dict[str, list[Path]]:
    """Table name → its files, from the card or from the folders' names."""
    configs = _card_configs(folder)
    files: dict[str, list[Path]] = {}
    for config in configs:
        name = str(config.get("config_name", "default"))
        if name not in TABLES and (config.get("default") or name == "default" or len(configs) == 1):
            name = "pairs"
        if name in TABLES and name not in files:
            files[name] = [path for pattern in _patterns(config) for path in _matching(folder, pattern)]
    for name in TABLES:
        if not files.get(name):
            files[name] = sorted((folder / name).glob("*.parquet"))
    if not files["pairs"]:
        files["pairs"] = sorted((folder / "data").glob("*.parquet"))
    return {name: list(dict.fromkeys(paths)) for name, paths in files.items()}


def _card_configs(folder: Path) -> list[dict[str, Any]]:
    import yaml

    card = folder / _CARD
    match = re.match(r"---\r?\n(.*?)\r?\n---", read_utf8(card), re.DOTALL) if card.is_file() else None
    if match is None:
        return []
    try:
        header = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: the 31st of February
        raise DataError(
            f"{card}: the YAML at the top is malformed: {brief(error)}", "repair it, or remove it"
        ) from None
    configs = header.get("configs") if isinstance(header, dict) else None
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _patterns(config: Mapping[str, Any]) -> list[str]:
    given = config.get("data_files", [])
    patterns: list[str] = []
    for item in given if isinstance(given, list) else [given]:
        path = item.get("path", []) if isinstance(item, dict) else item
        patterns += [str(pattern) for pattern in (path if isinstance(path, list) else [path])]
    return patterns


def _matching(folder: Path, pattern: str) -> list[Path]:
    relative = PurePosixPath(pattern)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise DataError(
            f"{folder / _CARD}: the data file '{pattern}' points outside the folder",
            "use names relative to it",
        )
    found = sorted(path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(
            f"{folder / _CARD} names the data file '{pattern}', which is not there",
            "download the folder again",
        )
    return found


def _joined(folder: Path, paths: list[Path]) -> TableFile:
    return TableFile.joined(folder, [read_table(path) for path in paths])


def _own_files(folder: Path) -> str:
    own = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return f"name the file of pairs itself, e.g. {folder / own[0]}" if own else "check the path"
