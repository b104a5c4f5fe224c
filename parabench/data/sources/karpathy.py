"""``coco-karpathy``, ``flickr30k-karpathy``, ``flickr8k-karpathy``: captioned pictures, by the splits of Karpathy & Fei-Fei 2015.

The sets on which image–text retrieval is reported.  "COCO 5k" is COCO's ``test`` (or ``val``) split with the
first five captions of each of its 5,000 pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parabench import columns
from parabench.data.benchmark import Benchmark
from parabench.data.coco import CAPTIONS_AN_IMAGE, read_karpathy
from parabench.data.own import gallery_table
from parabench.data.schema import PAIRS
from parabench.data.sources.files import NotHereError, find
from parabench.data.table_file import read_utf8
from parabench.errors import DataError, UsageError

SOURCE = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
_FLICKR8K_LISTS = {"train": "train", "val": "dev", "test": "test"}


@dataclass(frozen=True)
class CaptionSet(Benchmark):
    """A gallery whose captions are the queries; there are no paraphrases.

    Attributes:
        caption_ids: image id → the ids of its captions in the order of ``gallery.captions``; empty where
            the file names none.
    """

    caption_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def select(self, split: str | None) -> Benchmark:
        """The set itself; its split is part of its name (``coco-karpathy?split=val``)."""
        if split not in (None, self.split):
            raise DataError(f"{self.name} was loaded with its split '{self.split}', not '{split}'", f"--dataset '{self.name}?split={split}'")
        return self


def load_coco_karpathy(annotations: Path | None = None, split: str = "test") -> CaptionSet:
    """COCO captions, 5,000 pictures in ``test`` and in ``val``, the first five captions each."""
    images = coco_images(split, annotations)
    return _caption_set("coco-karpathy", split, images, ("coco/images", "images", "."), annotations)


def load_flickr30k_karpathy(annotations: Path | None = None, split: str = "test") -> CaptionSet:
    """Flickr30k captions (Young et al. 2014), 1,000 pictures in ``test``, five captions each."""
    _check_split(split, "flickr30k-karpathy")
    path = find(["flickr30k/dataset_flickr30k.json", f"flickr30k/flickr30k_{split}.json"], annotations, SOURCE)
    return _caption_set("flickr30k-karpathy", split, _of_split(path, split), ("flickr30k/images", "flickr30k-images", "."), annotations)


def load_flickr8k_karpathy(annotations: Path | None = None, split: str = "test") -> CaptionSet:
    """Flickr8k captions (Hodosh et al. 2013), 1,000 pictures in ``test``, five captions each.

    From Karpathy's file, or from ``Flickr8k.token.txt`` with the official lists of pictures.
    """
    _check_split(split, "flickr8k-karpathy")
    try:
        images = _of_split(find(["flickr8k/dataset_flickr8k.json"], annotations, SOURCE), split)
    except NotHereError:
        images = _flickr8k_tokens(split, annotations)
    return _caption_set("flickr8k-karpathy", split, images, ("flickr8k/images", "Flicker8k_Dataset", "."), annotations)


def coco_images(split: str, annotations: Path | None) -> list[dict[str, Any]]:
    """The pictures of a COCO split as :func:`~parabench.data.coco.read_karpathy` gives them, with caption ids where known.

    From ``dataset_coco.json``, or from the short form ``coco_karpathy_<split>.json``, whose caption ids are in a
    ``.npy`` file of their own (first five a picture).

    Raises:
        UsageError: no such split.
        DataError: a file is not there, malformed, or without pictures of the split.
    """
    _check_split(split, "coco-karpathy")
    try:
        return _of_split(find(["coco/dataset_coco.json"], annotations, SOURCE), split)
    except NotHereError:
        pass
    path = find([f"coco/coco_karpathy_{split}.json"], annotations, f"{SOURCE} (dataset_coco.json)")
    images = _of_split(path, split)
    try:
        ids = find([f"coco/coco_karpathy_{split}_caption_ids.npy"], annotations, f"{SOURCE} (dataset_coco.json)")
    except NotHereError:
        return images
    try:
        numbers = np.load(ids, allow_pickle=False).ravel().tolist()
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{ids} is not a .npy file of caption ids: {error}", "get it again") from None
    if len(numbers) != CAPTIONS_AN_IMAGE * len(images):
        raise DataError(f"{ids}: {len(numbers)} caption ids for {len(images)} pictures", f"{CAPTIONS_AN_IMAGE} a picture are expected")
    for row, image in enumerate(images):
        own = numbers[CAPTIONS_AN_IMAGE * row : CAPTIONS_AN_IMAGE * (row + 1)]
        image["captions"] = [(str(key), text) for key, (_, text) in zip(own, image["captions"], strict=False)]
    return images


def caption_places(images: list[dict[str, Any]]) -> dict[int, tuple[int, int]]:
    """Caption id → (picture, which of its captions).

    Raises:
        DataError: the file names no caption ids.
    """
    try:
        places = {
            int(key): (row, column)
            for row, image in enumerate(images)
            for column, (key, _) in enumerate(image["captions"])
            if key is not None
        }
    except ValueError as error:
        raise DataError(f"a caption id of COCO Karpathy is no whole number: {error}", "get the files again") from None
    if not places:
        raise DataError("the captions of COCO Karpathy have no ids here", f"use dataset_coco.json from {SOURCE}, or add coco_karpathy_val_caption_ids.npy")
    return places


def _of_split(path: Path, split: str) -> list[dict[str, Any]]:
    images = [image for image in read_karpathy(path) if image["split"] in (None, split)]
    if not images:
        raise DataError(f"{path} has no pictures of the split '{split}'", "choose test, val or train")
    return images


def _flickr8k_tokens(split: str, annotations: Path | None) -> list[dict[str, Any]]:
    path = find(["flickr8k/Flickr8k.token.txt"], annotations, f"{SOURCE} (dataset_flickr8k.json)")
    listed = path.with_name(f"Flickr_8k.{_FLICKR8K_LISTS[split]}Images.txt")
    if not listed.is_file():
        raise DataError(f"{path} has no {listed.name} beside it", "get the official lists of pictures, or dataset_flickr8k.json")
    captions: dict[str, list[tuple[str | None, str]]] = {name: [] for name in read_utf8(listed).split()}
    for number, line in enumerate(read_utf8(path).replace("\r\n", "\n").split("\n"), 1):
        key, tab, text = line.partition("\t")
        if line and not tab:
            raise DataError(f"{path}, line {number}: no tab after the caption's key", "use the original file")
        if (own := captions.get(key.partition("#")[0])) is not None and text:
            own.append((key, text))
    return [{"image_id": name, "file_name": name, "split": split, "captions": own} for name, own in captions.items()]


def _caption_set(
    name: str, split: str, images: list[dict[str, Any]], folders: tuple[str, ...], annotations: Path | None
) -> CaptionSet:
    """The first five captions of every picture; pictures without any are refused."""
    from parabench.data.sources.files import search_folders

    first_five = {image["image_id"]: image["captions"][:CAPTIONS_AN_IMAGE] for image in images}
    if len(first_five) != len(images):
        raise DataError(f"{name}: an image id stands twice among the {len(images)} pictures", "use the original file")
    if bare := [image_id for image_id, own in first_five.items() if not own]:
        raise DataError(f"{name}: {len(bare)} pictures have no caption (first: '{bare[0]}')", "use the original file")
    gallery = gallery_table(
        [
            {"image_id": image["image_id"], "file_name": image["file_name"], "captions": [text for _, text in first_five[image["image_id"]]]}
            for image in images
        ]
    )
    named = all(key is not None for own in first_five.values() for key, _ in own)
    roots = [root / folder for root in search_folders(annotations) for folder in folders]
    return CaptionSet(
        name=name,
        pairs=columns.table([], PAIRS),
        gallery=gallery,
        image_roots=tuple(root for root in roots if root.is_dir()),
        provenance=f"{name} (built-in, split {split}: {len(images):,} pictures, "
        f"{sum(map(len, first_five.values())):,} captions)",
        split=split,
        caption_ids={key: tuple(str(own_id) for own_id, _ in own) for key, own in first_five.items()} if named else {},
    )


def _check_split(split: str, name: str) -> None:
    if split not in ("test", "val", "train"):
        raise UsageError(f"{name} has no split '{split}'", f"{name}?split=test, val or train")
