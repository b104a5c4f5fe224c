"""A name → a benchmark: a local path, then a built-in name, then a Hub id; which one it was is said aloud."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

from parabench.data.benchmark import Benchmark
from parabench.data.catalog import DATASETS
from parabench.errors import DataError, UsageError, brief, did_you_mean


def load(
    name_or_path: str | Path,
    *,
    gallery: str | Path | None = None,
    images: Sequence[str | Path] | str | Path = (),
    split: str | None = None,
    annotations: str | Path | None = None,
) -> Benchmark:
    """Load a benchmark.

    Args:
        name_or_path: a CSV/TSV/JSONL/JSON/parquet file of pairs, a benchmark folder, a built-in name
            (``"scenes"``, ``"coco-cxc?min_rating=4.5"``), or a Hub id (``"parabench/coco-paraphrase"``).
        gallery: for own files: the file that names the pictures to search.
        images: folders that hold the pictures.
        split: keep the rows of one split.
        annotations: folder with the files that a built-in set is joined with.

    Raises:
        UsageError: the name is unknown.
        DataError: a file is missing or not what it has to be (with file and line).
    """
    text = str(name_or_path)
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a zero byte, nobody's home
        raise UsageError(f"'{text:.60}' can't be a path or a dataset's name: {brief(error)}", "check --dataset") from None
    base, _, query = text.partition("?")
    if path.is_dir():
        from parabench.data.release import read_release

        benchmark = read_release(path)
    elif path.exists():
        from parabench.data.own import read_own

        benchmark = read_own(path, None if gallery is None else Path(gallery).expanduser())
        gallery = None
    elif base in DATASETS:
        benchmark = _builtin(base, _options(text, query), annotations)
    elif _looks_like_a_path(text):
        raise DataError(
            f"no such file or folder: {text}", "check the path, or `parabench datasets` for built-in names"
        )
    elif text.count("/") == 1:
        from parabench.data.hub import read_hub

        benchmark = read_hub(text)
    else:
        raise UsageError(
            f"unknown dataset '{text}': no file or folder, not built in, no Hub id (owner/name)",
            did_you_mean(base, DATASETS),
        )
    if gallery is not None:
        raise UsageError(
            f"--gallery goes with a file of pairs, and '{text}' brings its own gallery", "leave --gallery out"
        )
    if isinstance(images, (str, Path)):
        images = [images]
    given = [Path(root).expanduser() for root in images]
    for root in given:
        if not root.is_dir():
            raise DataError(f"no such folder of pictures: {root}", "check --images")
    roots = tuple(dict.fromkeys([*given, *benchmark.image_roots]))
    return replace(benchmark, image_roots=roots).select(split)


def _options(text: str, query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True)) if query else {}
    except ValueError:
        raise UsageError(
            f"the options of '{text}' are malformed", "write name?option=value&option=value"
        ) from None


def _builtin(name: str, options: dict[str, str], annotations: str | Path | None) -> Benchmark:
    loader = DATASETS.get(name)
    parameters = inspect.signature(loader).parameters
    known = [key for key in parameters if key != "annotations"]
    for key in options:
        if key not in known:
            raise UsageError(
                f"dataset '{name}' has no option '{key}'",
                did_you_mean(key, known) if known else "it takes no options",
            )
    values: dict[str, object] = dict(options)
    if "annotations" in parameters:
        values["annotations"] = None if annotations is None else Path(annotations)
    return loader(**values)


def _looks_like_a_path(text: str) -> bool:
    from parabench.data.table_file import SUFFIXES

    return text.startswith((".", "/", "~")) or text.lower().endswith(SUFFIXES) or text.endswith("/")
