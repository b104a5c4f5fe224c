"""``coco-paraphrase``: two paraphrases and a foil of one caption of each COCO val2017 picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parabench.data.benchmark import Benchmark
from parabench.data.coco import read_official
from parabench.data.download import download_coco_captions
from parabench.data.own import gallery_table, sentence_table
from parabench.data.schema import FOILS, PAIRS, REJECTED
from parabench.data.sources.files import find, shipped_rows, verdict
from parabench.errors import DataError
from parabench.storage import sha256_text


def load_coco_paraphrase(annotations: Path | None = None) -> Benchmark:
    """Join the sentences that come with the package with COCO's own captions, which do not.

    A sentence is kept when every review rates it ≥ 4 without a fault; the others are in ``rejected`` with
    the reason.  The sentences are machine-written and machine-reviewed.

    Raises:
        DataError: the annotation file can't be had, or its captions are not those that were rewritten.
    """
    try:
        path = find(["coco/captions_val2017.json", "annotations/captions_val2017.json"], annotations,
                    "http://images.cocodataset.org/annotations/annotations_trainval2017.zip")  # fmt: skip
    except DataError:
        path = download_coco_captions()
    images = read_official(path)
    captions = {caption_id: (image["image_id"], text) for image in images for caption_id, text in image["captions"]}
    pairs: list[dict[str, Any]] = []
    foils: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for row in shipped_rows("coco_paraphrase.jsonl.gz"):
        caption_id = str(row["caption_id"])
        image_id, caption = captions.get(caption_id, ("", ""))
        if sha256_text(caption) != row["caption_sha256"]:
            raise DataError(f"{path}: caption {caption_id} is not the caption that was rewritten",
                            "use the official captions_val2017.json (md5 176452de5364139ed60f607cfa663196)")  # fmt: skip
        reasons = verdict(row)
        for kind in ("lexical", "syntactic"):
            entry = {
                "pair_id": f"{caption_id}-{kind}", "image_id": image_id, "caption_id": caption_id, "caption": caption,
                "paraphrase": row[kind], "kind": kind, "source": "coco-val2017", "generator": f"llm-{row['writer']}",
                "created": "2026-11", "split": "test",
                "scores": [("rating", min(float(review[kind]["rating"]) for review in row["reviews"]))],
            }  # fmt: skip
            (pairs if reasons[kind] is None else rejected).append(entry | {"reason": reasons[kind]})
        if reasons["foil"] is None:
            foils.append({
                "pair_id": f"{caption_id}-foil", "image_id": image_id, "caption_id": caption_id, "caption": caption,
                "foil": row["foil"], "kind": "foil", "source": "coco-val2017", "generator": f"llm-{row['writer']}",
                "created": "2026-11", "split": "test", "scores": [],
            })  # fmt: skip
    gallery = gallery_table([{**image, "captions": [text for _, text in image["captions"]]} for image in images])
    return Benchmark(
        name="coco-paraphrase", pairs=sentence_table(pairs, PAIRS), foils=sentence_table(foils, FOILS),
        rejected=sentence_table(rejected, REJECTED), gallery=gallery,
        image_roots=tuple(folder for folder in (path.parent / "images" / "val2017", path.parent / "val2017",
                                                path.parent.parent / "val2017") if folder.is_dir()),
        provenance=f"coco-paraphrase (built-in, {len(pairs):,} pairs; captions from {path}, {gallery.num_rows:,} pictures)",
    )  # fmt: skip
