"""Compositional foils: true captions of a picture beside a false one that differs in little.

Three public forms are read, told apart by their fields: SugarCrepe++ (Dumpala et al. 2024; two true
captions), SugarCrepe (Hsieh et al. 2023; one) and ARO's Visual Genome sets (Yuksekgonul et al. 2023; one,
about a box of the picture).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.data import cells
from parabench.data.picture_parts import Box
from parabench.data.sources.files import read_json, search_folders
from parabench.errors import DataError

SOURCES = "https://github.com/Sri-Harsha/scpp, https://github.com/RAIVNLab/sugar-crepe or https://github.com/mertyg/vision-language-models-are-bows"
FAMILIES = ("SugarCrepe++", "SugarCrepe", "ARO")
_FOLDERS = {"SugarCrepe++": "sugarcrepe_pp", "SugarCrepe": "sugarcrepe", "ARO": "aro"}
_FIELDS = {
    "SugarCrepe++": ("filename", "caption", "caption2", "negative_caption"),
    "SugarCrepe": ("filename", "caption", "negative_caption"),
    "ARO": ("image_path", "true_caption", "false_caption"),
}
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


@dataclass(frozen=True)
class FoilItem:
    """One picture with its true captions and a false one.

    Attributes:
        family: one of :data:`FAMILIES`.
        subset: the name of the file (``"replace_att"``, ``"visual_genome_relation"``).
        group: what the item tests within its subset: ARO's relation or pair of attributes; ``""`` otherwise.
        file_name: the picture.
        box: the part of the picture that the captions speak of, or ``None`` for all of it.
        caption: a true caption.
        caption2: another true caption (SugarCrepe++), or ``None``.
        foil: the false caption.
    """

    family: str
    subset: str
    group: str
    file_name: str
    box: Box | None
    caption: str
    caption2: str | None
    foil: str

    @property
    def photo_id(self) -> str:
        """The picture as a whole: its number where the file name is one, else the file name."""
        stem, _, _ = self.file_name.rpartition(".")
        return str(int(stem)) if stem.isdecimal() else self.file_name

    @property
    def image_id(self) -> str:
        """What the encoder sees: the picture, or the box of it."""
        return self.photo_id if self.box is None else f"{self.photo_id}@{','.join(map(str, self.box))}"


@dataclass(frozen=True)
class FoilSets:
    """All items that were found, and where: ``folders`` may also hold the pictures."""

    items: tuple[FoilItem, ...]
    files: tuple[Path, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders in which the pictures may lie beside the files."""
        parents = dict.fromkeys(path.parent for path in self.files)
        known = [folder for parent in parents for folder in (parent / "images", parent / "val2017", parent)]
        coco = [parent.parent / "coco" / "images" / "val2017" for parent in parents]
        return tuple(folder for folder in (*known, *coco) if folder.is_dir())


def find_foils(given: Path | None) -> FoilSets:
    """The items of a file, of the JSON files of a folder, or of ``sugarcrepe_pp``, ``sugarcrepe`` and ``aro`` in it.

    Without ``given``, these three folders are looked for in the search folders.

    Raises:
        DataError: nothing was found, or a file is malformed (with its entry).
    """
    if given is not None and not given.exists():
        raise DataError(f"no such file or folder of foils: {given}", "check --task-data compositional=…")
    if given is not None and given.is_file():
        files = [given]
    else:
        homes = search_folders(None) if given is None else [given]
        files = sorted(given.glob("*.json")) if given is not None else []
        for name in _FOLDERS.values():
            files += next((found for home in homes if (found := sorted((home / name).glob("*.json")))), [])
    if not files:
        raise DataError(
            f"no SugarCrepe++, SugarCrepe or ARO file was found in {given or ', '.join(map(str, search_folders(None)))}",
            f"get one from {SOURCES} and name its folder: --task-data compositional=DIR",
        )
    return FoilSets(tuple(item for path in files for item in _read(path)), tuple(files))


def _read(path: Path) -> list[FoilItem]:
    raw = read_json(path)
    entries: Iterable[tuple[Any, Any]] = raw.items() if isinstance(raw, dict) else enumerate(raw if isinstance(raw, list) else ())
    rows = list(entries)
    if not rows:
        raise DataError(f"{path} is neither a list nor a dictionary with entries", f"get the file from {SOURCES}")
    first = rows[0][1] if isinstance(rows[0][1], dict) else {}
    family = next((name for name in FAMILIES if set(_FIELDS[name]) <= set(first)), None)
    if family is None:
        raise DataError(
            f"{path}, entry {rows[0][0]}: none of the forms that are read",
            "; ".join(f"{name} has {', '.join(fields)}" for name, fields in _FIELDS.items()),
        )
    return [_item(family, path, f"{path}, entry {key}", row) for key, row in rows]


def _item(family: str, path: Path, where: str, row: Any) -> FoilItem:
    fields = _FIELDS[family]
    lacking = [name for name in fields if not isinstance(row, dict) or name not in row]
    if lacking:
        raise DataError(f"{where}: lacks {', '.join(lacking)}", f"an entry of {family} has {', '.join(fields)}")
    file_name, *captions = (cells.text(row[name], name, where) for name in fields)
    if family != "ARO":
        second = captions[1] if family == "SugarCrepe++" else None
        return FoilItem(family, path.stem, "", file_name, None, captions[0], second, captions[-1])
    attributes = row.get("attributes")
    group = "_".join(map(str, attributes)) if isinstance(attributes, list) else str(row.get("relation_name") or "")
    return FoilItem(family, path.stem, group, file_name, _box(row, where), captions[0], None, captions[1])


def _box(row: dict[str, Any], where: str) -> Box | None:
    if not any(name in row for name in _BOX):
        return None
    numbers = [cells.number(row.get(name)) for name in _BOX]
    left, top, width, height = (-1 if number is None else round(number) for number in numbers)
    if left < 0 or top < 0 or width < 1 or height < 1:
        raise DataError(f"{where}: {', '.join(_BOX)} are not a box of the picture", "write whole numbers of pixels, width and height above 0")
    return left, top, left + width, top + height
