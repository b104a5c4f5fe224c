"""``flickr8k``: two paraphrases and a foil of Flickr8k captions; splits ``test`` (reviewed) and ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parabench.data.benchmark import Benchmark
from parabench.data.own import gallery_table, sentence_table
from parabench.data.schema import FOILS, PAIRS, REJECTED
from parabench.data.sources.files import find, shipped_rows, verdict
from parabench.data.table_file import read_utf8
from parabench.errors import DataError
from parabench.storage import sha256_text


def load_flickr8k(annotations: Path | None = None) -> Benchmark:
    """Join the sentences that come with the package with Flickr8k's captions; the gallery is the pictures they name.

    All pictures are searched in either split, because the test pictures alone are few.

    Raises:
        DataError: ``Flickr8k.token.txt`` is not there, or its captions are not those that were rewritten.
    """
    path = find(["flickr8k/Flickr8k.token.txt"], annotations, "the Flickr8k authors (Hodosh et al. 2013)")
    captions = dict(line.split("\t", 1) for line in read_utf8(path).splitlines() if "\t" in line)
    own: dict[str, list[str]] = {}
    for key, text in captions.items():
        own.setdefault(key.partition("#")[0], []).append(text)
    pairs: list[dict[str, Any]] = []
    foils: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    names: set[str] = set()
    for row in shipped_rows("flickr8k_paraphrase.jsonl.gz"):
        key = row["caption_key"]
        image_id, caption = key.partition("#")[0], captions.get(key, "")
        if sha256_text(caption) != row["caption_sha256"]:
            raise DataError(f"{path}: caption {key} is not the caption that was rewritten", "use the original Flickr8k.token.txt")
        names.add(image_id)
        reasons = verdict(row)
        shared = {
            "image_id": image_id, "caption_id": key, "caption": caption, "source": "flickr8k",
            "generator": f"llm-{row.get('writer', 'w')}", "created": "2026-11", "scores": [], "split": row["split"],
        }  # fmt: skip
        for kind in ("lexical", "syntactic"):
            entry = {**shared, "pair_id": f"{key}-{kind}", "paraphrase": row[kind], "kind": kind, "reason": reasons[kind]}
            (pairs if reasons[kind] is None else rejected).append(entry)
        if reasons["foil"] is None:
            foils.append({**shared, "pair_id": f"{key}-foil", "foil": row["foil"], "kind": "foil"})
    gallery = gallery_table([{"image_id": name, "file_name": name, "captions": own[name]} for name in sorted(names)])
    return Benchmark(
        name="flickr8k", pairs=sentence_table(pairs, PAIRS), foils=sentence_table(foils, FOILS),
        rejected=sentence_table(rejected, REJECTED), gallery=gallery,
        image_roots=tuple(folder for folder in (path.parent / "images", path.parent / "Flicker8k_Dataset") if folder.is_dir()),
        provenance=f"flickr8k (built-in, {len(pairs):,} pairs; captions from {path}, {gallery.num_rows:,} pictures)",
    )  # fmt: skip
