"""Your own data: a file of pairs, and perhaps a file that names the pictures to search."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from parabench.data.benchmark import Benchmark
from parabench.data.schema import FOILS, PAIRS
from parabench.data.sentences import (
    Row,
    gallery_of_pairs,
    gallery_table,
    parse_gallery,
    parse_pairs,
    sentence_table,
)
from parabench.data.table_file import read_table

__all__ = ["gallery_table", "read_gallery", "read_own", "sentence_table"]


def read_own(pairs: Path, gallery: Path | None = None) -> Benchmark:
    """Read pairs (``image_id, caption, paraphrase`` and any optional column) and an optional gallery file.

    Without a gallery file, the gallery is the pictures that the pairs name, each with the captions that
    these pairs give it.  A ``foil`` column becomes the ``foils`` table.  Missing ids are derived from the
    texts, so they stay the same from run to run.  Other numeric columns become ``scores``.

    Raises:
        DataError: what is wrong, with file and line.
    """
    table = read_table(pairs)
    images = None if gallery is None else parse_gallery(read_table(gallery))
    known = None if images is None else {row["image_id"]: at for at, row in enumerate(images)}
    rows, foils = parse_pairs(table, known, gallery)
    images = gallery_of_pairs([*rows, *foils]) if images is None else _with_captions(images, [*rows, *foils])
    searched = "the pictures they name" if gallery is None else str(gallery)
    return Benchmark(
        name=pairs.name,
        pairs=sentence_table(rows, PAIRS),
        foils=sentence_table(foils, FOILS),
        gallery=gallery_table(images),
        image_roots=tuple(dict.fromkeys(path.parent for path in (gallery, pairs) if path is not None)),
        provenance=f"{pairs} (local file, {len(rows)} pairs; gallery: {searched}, {len(images)} pictures)",
    )


def read_gallery(path: Path) -> pa.Table:
    """Read a gallery file: ``image_id`` and any other column of the format; lists as JSON or ``|``-separated.

    Raises:
        DataError: what is wrong, with file and line.
    """
    return gallery_table(parse_gallery(read_table(path)))


def _with_captions(images: list[Row], rows: list[Row]) -> list[Row]:
    """Where the gallery says nothing of a picture's captions or file, the pairs do."""
    named = {image["image_id"]: image for image in gallery_of_pairs(rows)}
    return [
        {
            **image,
            "captions": image["captions"] or named.get(image["image_id"], {}).get("captions"),
            "file_name": image["file_name"] or named.get(image["image_id"], {}).get("file_name"),
        }
        for image in images
    ]
