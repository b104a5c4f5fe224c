"""Which captions are rewritten: a seeded sample that depends on ids and seed, never on the order of the file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from parabench.build.caption import Caption
from parabench.build.junk import junk_reason
from parabench.build.labels import read_labels
from parabench.build.record import SourceRecord
from parabench.data.coco import read_karpathy, read_official
from parabench.data.schema import image_order
from parabench.data.sentences import Row, caption_id_of
from parabench.errors import DataError, UsageError, did_you_mean
from parabench.storage import sha256_file

_UNLABELLED = ""


class Sampling(BaseModel):
    """How captions are chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int | None = Field(default=None, ge=1)
    """How many pictures; ``None`` for all that have a usable caption."""
    captions_per_image: int = Field(default=1, ge=1)
    min_words: int = Field(default=6, ge=1)
    max_words: int = Field(default=25, ge=1)
    seed: int = 0
    split: str = "test"
    """The split that the pairs will stand in."""
    from_split: str | None = None
    """For Karpathy files with splits: the one to take."""


@dataclass(frozen=True)
class Sample:
    """What a build starts from.

    Attributes:
        captions: those to rewrite, in gallery order of their pictures, then by caption id.
        images: every picture of the file (the gallery), rows as :func:`parabench.data.coco.read_official` gives them,
            with ``labels`` where known.
        source: the file.
        settings: how it was done.
        facts: what came of it: counts of pictures, captions, junk by reason, strata.
    """

    captions: list[Caption]
    images: list[Row]
    source: SourceRecord
    settings: Sampling
    facts: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Settings and facts, for the build record; where captions are given by name, bounds and seed played no part."""
        by_name = {"images", "captions_per_image", "min_words", "max_words", "seed"}
        return {**self.settings.model_dump(exclude=None if "left_out" in self.facts else by_name), **self.facts}


def read_images(path: Path, from_split: str | None = None) -> tuple[list[Row], Literal["coco", "karpathy"]]:
    """Pictures with ``captions`` as ``(caption id, text)`` of an official captions file or a Karpathy file.

    Raises:
        DataError: the file is neither, is cut off, or names an id twice.
        UsageError: ``from_split`` is none of the file's splits.
    """
    if not path.is_file():
        raise DataError(f"no such file of captions: {path}", "check --captions")
    try:
        with path.open(encoding="utf-8") as stream:
            raw = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON, or is cut off: {error}", "download the annotations again and check their md5"
        ) from None
    kind: Literal["coco", "karpathy"] = "karpathy"
    if isinstance(raw, dict) and "annotations" in raw:
        kind = "coco"
        _check_official(path, raw)
    elif not (isinstance(raw, list) or (isinstance(raw, dict) and "images" in raw)):
        raise DataError(
            f"{path} is neither an official COCO captions file nor a Karpathy file",
            "use captions_val2017.json or dataset_coco.json",
        )
    del raw
    images = read_official(path) if kind == "coco" else read_karpathy(path)
    splits = sorted({str(image["split"]) for image in images if image.get("split")})
    if from_split is not None:
        if from_split not in splits:
            hint = did_you_mean(from_split, splits) if splits else "the file names no splits: leave the option out"
            raise UsageError(f"{path} has no split '{from_split}'", hint)
        images = [image for image in images if image.get("split") == from_split]
    _check_ids(path, images)
    for image in images:
        image["captions"] = [
            (caption_id if caption_id is not None else caption_id_of(image["image_id"], text), text)
            for caption_id, text in image["captions"]
        ]
    return [images[at] for at in image_order([image["image_id"] for image in images])], kind


def draw(path: Path, settings: Sampling, labels: Path | None = None) -> Sample:
    """Choose captions.

    Captions are filtered first (junk and length).  Then pictures are drawn: with ``labels`` stratified by category in
    proportion (largest remainders), a picture standing in the stratum of its rarest category; then captions of each
    drawn picture.  Every choice is by the SHA-256 of seed and id, so that equal files give equal samples in any order.

    Raises:
        DataError: the file is not what it has to be, or holds fewer usable pictures than asked for.
        UsageError: the bounds on length exclude each other.
    """
    if settings.min_words > settings.max_words:
        raise UsageError(
            f"--min-words {settings.min_words} is more than --max-words {settings.max_words}", "swap them"
        )
    images, kind = read_images(path, settings.from_split)
    known = {} if labels is None else read_labels(labels)
    if labels is not None and not any(image["image_id"] in known for image in images):
        raise DataError(f"{labels} names none of the pictures of {path}", "give the categories of these pictures")
    for image in images:
        image["labels"] = list(known.get(image["image_id"], ())) if labels is not None else None
    junk: Counter[str] = Counter()
    usable: dict[str, list[tuple[str, str]]] = {}
    for image in images:
        for caption_id, text in image["captions"]:
            if reason := junk_reason(text, min_words=settings.min_words, max_words=settings.max_words):
                junk[reason] += 1
            else:
                usable.setdefault(image["image_id"], []).append((caption_id, text))
    wanted = len(usable) if settings.images is None else settings.images
    if wanted > len(usable) or not usable:
        raise DataError(
            f"{path} has {len(usable):,} pictures with a usable caption, {max(wanted, 1):,} are wanted",
            "ask for fewer with --images, or loosen --min-words and --max-words",
        )
    strata = _strata(sorted(usable), known)
    shares = _proportional({name: len(ids) for name, ids in strata.items()}, wanted)
    drawn = {
        image_id
        for name, ids in strata.items()
        for image_id in sorted(ids, key=lambda image_id: _rank(settings.seed, image_id))[: shares[name]]
    }
    captions = [
        Caption(caption_id, image["image_id"], text, settings.split, tuple(known.get(image["image_id"], ())))
        for image in images
        if image["image_id"] in drawn
        for caption_id, text in _some(usable[image["image_id"]], settings)
    ]
    facts = {
        "n_images_in_file": len(images),
        "n_captions_in_file": sum(len(image["captions"]) for image in images),
        "n_images": len(drawn),
        "n_captions": len(captions),
        "left_out": dict(sorted(junk.items())),
        "strata": {name or "(no category)": share for name, share in sorted(shares.items())} if known else {},
    }
    source = SourceRecord(name=path.name, sha256=sha256_file(path), kind=kind)
    return Sample(captions, images, source, settings, facts)


def named(path: Path, caption_ids: Sequence[str], settings: Sampling, labels: Path | None = None) -> Sample:
    """The captions that somebody's sentences rewrite, in gallery order; ids that the file does not have are left out.

    Raises:
        DataError: the file is not what it has to be, or has none of these captions.
    """
    images, kind = read_images(path, settings.from_split)
    known = {} if labels is None else read_labels(labels)
    wanted = set(caption_ids)
    for image in images:
        image["labels"] = list(known.get(image["image_id"], ())) if labels is not None else None
    captions = [
        Caption(caption_id, image["image_id"], text, settings.split, tuple(known.get(image["image_id"], ())))
        for image in images
        for caption_id, text in dict(image["captions"]).items()
        if caption_id in wanted
    ]
    if not captions:
        raise DataError(
            f"{path} has none of the {len(wanted):,} captions that are to be rewritten, e.g. {next(iter(wanted), '')}",
            "use the annotations file that these sentences were written for",
        )
    facts = {
        "n_images_in_file": len(images),
        "n_captions_in_file": sum(len(image["captions"]) for image in images),
        "n_images": len({caption.image_id for caption in captions}),
        "n_captions": len(captions),
    }
    source = SourceRecord(name=path.name, sha256=sha256_file(path), kind=kind)
    return Sample(captions, images, source, settings, facts)


def _check_official(path: Path, raw: dict[str, Any]) -> None:
    try:
        known = Counter(image["id"] for image in raw["images"])
        ids = Counter(entry["id"] for entry in raw["annotations"])
        strangers = [entry["image_id"] for entry in raw["annotations"] if entry["image_id"] not in known]
        texts = [entry["caption"] for entry in raw["annotations"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a COCO captions file: {type(error).__name__}: {error}",
            "use captions_val2017.json (not instances_… or person_keypoints_…)",
        ) from None
    for name, counts in (("image", known), ("caption", ids)):
        if twice := next((key for key, count in counts.items() if count > 1), None):
            raise DataError(f"{path}: the {name} id {twice} stands twice", "download the annotations again")
    if strangers:
        raise DataError(
            f"{path}: {len(strangers)} captions belong to pictures that the file does not list, e.g. {strangers[0]}",
            "download the annotations again",
        )
    if wrong := next((text for text in texts if not isinstance(text, str)), None):
        raise DataError(f"{path}: a caption is {wrong!r}, not a text", "download the annotations again")


def _check_ids(path: Path, images: Sequence[Row]) -> None:
    if not images:
        raise DataError(f"{path} lists no pictures", "use captions_val2017.json or a Karpathy file")
    counts = Counter(image["image_id"] for image in images)
    if twice := next((image_id for image_id, count in counts.items() if count > 1), None):
        raise DataError(f"{path}: the image id {twice} stands twice", "list each picture once")
    seen: set[str] = set()
    for image in images:
        for caption_id, text in image["captions"]:
            if not isinstance(text, str):
                raise DataError(f"{path}: a caption of image {image['image_id']} is {text!r}, not a text", "repair it")
            if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
                raise DataError(
                    f"{path}: a caption of image {image['image_id']} holds half of a surrogate pair, which is no character",
                    "repair the file's encoding",
                )
            if caption_id is not None and caption_id in seen:
                raise DataError(f"{path}: the caption id {caption_id} stands twice", "give each caption its own id")
            seen.add(caption_id)


def _strata(image_ids: Sequence[str], known: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Category → pictures; a picture stands with its rarest category, so that rare ones are not swallowed by 'person'."""
    frequency = Counter(label for image_id in image_ids for label in known.get(image_id, ()))
    strata: dict[str, list[str]] = {}
    for image_id in image_ids:
        name = min(known.get(image_id, ()), key=lambda label: (frequency[label], label), default=_UNLABELLED)
        strata.setdefault(name, []).append(image_id)
    return strata


def _proportional(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Seats by largest remainder (Hamilton); integers only, ties by name."""
    total = sum(sizes.values())
    seats = {name: size * wanted // total for name, size in sizes.items()}
    order = sorted(sizes, key=lambda name: (-(sizes[name] * wanted % total), name))
    for name in order[: wanted - sum(seats.values())]:
        seats[name] += 1
    return seats


def _some(captions: list[tuple[str, str]], settings: Sampling) -> list[tuple[str, str]]:
    unique: dict[str, tuple[str, str]] = {}
    for caption_id, text in sorted(captions, key=lambda caption: _rank(settings.seed, caption[0])):
        unique.setdefault(text, (caption_id, text))  # one of several equal captions of a picture is enough
    chosen = list(unique.values())[: settings.captions_per_image]
    return [chosen[at] for at in image_order([caption_id for caption_id, _ in chosen])]


def _rank(seed: int, identifier: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{identifier}".encode()).digest()
