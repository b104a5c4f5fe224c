"""``coco-paraphrase``: two paraphrases and a foil of one caption of each COCO val2017 picture."""

from __future__ import annotations

from pathlib import Path

from parabench.data.benchmark import Benchmark
from parabench.data.coco import file_below_split, read_official
from parabench.data.download import COCO_ANNOTATIONS, COCO_CAPTIONS_MD5, download_coco_captions
from parabench.data.own import gallery_table
from parabench.data.sources.files import NotHereError, find
from parabench.data.sources.reviewed import ReviewedSentences, shipped_rows
from parabench.errors import DataError
from parabench.storage import sha256_text


def load_coco_paraphrase(annotations: Path | None = None) -> Benchmark:
    """Join the sentences that come with the package with COCO's own captions, which do not.

    The set is, row for row, what ``parabench build-dataset`` without arguments writes: the package holds what the
    machine reviews and the automatic checks of that build said of each sentence, and the dropped ones are in
    ``rejected`` with the reason.  The sentences are machine-written and machine-reviewed.  Without
    ``annotations`` and where the annotation file is nowhere, it is downloaded.

    Raises:
        DataError: the annotation file can't be had, or its captions are not those that were rewritten.
    """
    names = ["coco/captions_val2017.json", "annotations/captions_val2017.json"]
    try:
        path = find(names, annotations, COCO_ANNOTATIONS)
    except NotHereError:
        if annotations is not None:
            raise
        path = download_coco_captions()
    images = read_official(path)
    captions = {
        caption_id: (image["image_id"], text) for image in images for caption_id, text in image["captions"]
    }
    sentences = ReviewedSentences("import")
    for row in shipped_rows("coco_paraphrase.jsonl.gz"):
        caption_id = str(row["caption_id"])
        image_id, caption = captions.get(caption_id, ("", ""))
        if sha256_text(caption) != row["caption_sha256"]:
            raise DataError(
                f"{path}: caption {caption_id} is not the caption that was rewritten",
                f"use the official captions_val2017.json (md5 {COCO_CAPTIONS_MD5})",
            )
        sentences.add(row, image_id, caption_id, caption, "test")
    gallery = [
        {
            **image,
            "file_name": file_below_split(image),
            "captions": [text for _, text in image["captions"]],
        }
        for image in images
    ]
    roots = (path.parent / "images", path.parent, path.parent.parent)
    return Benchmark(
        name="coco-paraphrase",
        **sentences.tables(),
        gallery=gallery_table(gallery),
        image_roots=tuple(root for root in roots if (root / "val2017").is_dir()),
        provenance=f"coco-paraphrase (built-in, {len(sentences.pairs):,} pairs; captions from {path}, "
        f"{len(gallery):,} pictures)",
    )
