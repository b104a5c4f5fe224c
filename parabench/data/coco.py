"""COCO captions: the official annotation file (pycocotools) and the Karpathy split."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from parabench.errors import DataError

CAPTIONS_AN_IMAGE = 5
"""The convention of the COCO 5k protocol: the first five captions of a picture."""


def read_official(path: Path) -> list[dict[str, Any]]:
    """Pictures of an official captions file, through pycocotools.

    Returns one dict a picture: ``image_id, file_name, url, width, height, license`` and ``captions``, a
    list of ``(caption id, text)`` in the order of their ids.

    Raises:
        DataError: the file is not a COCO captions file.
    """
    from pycocotools.coco import COCO

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path))
            licenses = {entry["id"]: entry["name"] for entry in coco.dataset.get("licenses", [])}
            return [
                {
                    "image_id": str(image["id"]),
                    "file_name": image["file_name"],
                    "url": image.get("coco_url"),
                    "width": image.get("width"),
                    "height": image.get("height"),
                    "license": licenses.get(image.get("license")),
                    "captions": [
                        (str(entry["id"]), entry["caption"])
                        for entry in sorted(coco.imgToAnns[image["id"]], key=lambda entry: int(entry["id"]))
                    ],
                }
                for image in coco.dataset["images"]
            ]
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(
            f"{path} is not a COCO captions file: {type(error).__name__}: {error}",
            "use captions_val2017.json from the official annotations",
        ) from error


def file_below_split(image: dict[str, Any]) -> str | None:
    """The file of a picture below its split's folder (``val2017/000000000139.jpg``), as its address has it.

    Pictures named so are found in a folder with or without the split's folder in it.
    """
    name: str | None = image["file_name"]
    url: str | None = image.get("url")
    if name and url and "/" not in name and url.endswith(f"/{name}"):
        folder = url.removesuffix(f"/{name}").rpartition("/")[2]
        if folder.startswith(("train", "val", "test")):
            return f"{folder}/{name}"
    return name


def read_karpathy(path: Path) -> list[dict[str, Any]]:
    """Pictures of a Karpathy file: the short form (``image``, ``caption[]``) or ``dataset_coco.json``.

    Returns one dict a picture: ``image_id`` (COCO's number where the file name carries it), ``file_name``,
    ``split`` and ``captions``, a list of ``(caption id or None, text)``: all of them, in file order.

    Raises:
        DataError: the file has neither form.
    """
    import json

    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(raw, dict):
            images = [
                {
                    "image_id": str(entry.get("cocoid", entry["filename"])),
                    "split": entry.get("split"),
                    "file_name": "/".join(
                        part for part in (entry.get("filepath"), entry["filename"]) if part
                    ),
                    "captions": [
                        (str(s["sentid"]) if "sentid" in s else None, s["raw"]) for s in entry["sentences"]
                    ],
                }
                for entry in raw["images"]
            ]
        else:
            images = [
                {
                    "image_id": _number(entry["image"]),
                    "file_name": entry["image"],
                    "split": None,
                    "captions": [(None, text) for text in _list(entry["caption"])],
                }
                for entry in raw
            ]
        if any(not isinstance(text, str) for image in images for _, text in image["captions"]):
            raise TypeError("a caption is no text")
        return images
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is not a Karpathy split: {type(error).__name__}: {error}") from error


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value


def _number(file_name: str) -> str:
    digits = Path(file_name).stem.rpartition("_")[2]
    return str(int(digits)) if digits.isdigit() else file_name
