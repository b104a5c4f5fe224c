"""``flickr8k``: two paraphrases and a foil of Flickr8k captions; splits ``test`` (reviewed) and ``train``."""

from __future__ import annotations

from pathlib import Path

from parabench.data.benchmark import Benchmark
from parabench.data.own import gallery_table
from parabench.data.sources.files import find
from parabench.data.sources.reviewed import ReviewedSentences, shipped_rows
from parabench.data.table_file import read_utf8
from parabench.errors import DataError
from parabench.storage import sha256_text

_SOURCE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k/Flickr8k_text.zip"


def load_flickr8k(annotations: Path | None = None) -> Benchmark:
    """Join the sentences that come with the package with Flickr8k's captions.

    The gallery is the pictures that the sentences name.  All of them are searched in either split, because
    the test pictures alone are few.  The sentences of ``train`` are not reviewed and all kept.

    Raises:
        DataError: ``Flickr8k.token.txt`` is not there, or its captions are not those that were rewritten.
    """
    path = find(["flickr8k/Flickr8k.token.txt"], annotations, f"{_SOURCE} (Hodosh et al. 2013)")
    lines = read_utf8(path).replace("\r\n", "\n").split("\n")
    captions = dict(line.split("\t", 1) for line in lines if "\t" in line)
    sentences = ReviewedSentences("flickr8k")
    own: dict[str, list[str]] = {}
    for row in shipped_rows("flickr8k_paraphrase.jsonl.gz"):
        key = row["caption_key"]
        caption = captions.get(key, "")
        if sha256_text(caption) != row["caption_sha256"]:
            raise DataError(
                f"{path}: caption {key} is not the caption that was rewritten",
                "use the original Flickr8k.token.txt",
            )
        image_id = key.partition("#")[0]
        own[image_id] = []
        sentences.add(row, image_id, key, caption, row["split"])
    for key, text in captions.items():
        if (image_id := key.partition("#")[0]) in own:
            own[image_id].append(text)
    gallery = [{"image_id": name, "file_name": name, "captions": texts} for name, texts in own.items()]
    roots = (path.parent / folder for folder in ("images", "Images", "Flicker8k_Dataset"))
    return Benchmark(
        name="flickr8k",
        **sentences.tables(),
        gallery=gallery_table(gallery),
        image_roots=tuple(root for root in roots if root.is_dir()),
        provenance=f"flickr8k (built-in, {len(sentences.pairs):,} pairs; captions from {path}, "
        f"{len(gallery):,} pictures)",
    )
