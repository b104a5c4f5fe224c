"""Pictures with a class each, the names of the classes, and the sentences that a name is put in.

Two layouts: a folder of pictures for each class, and webdataset shards (``*.tar`` with ``KEY.jpg`` and
``KEY.cls``).  ``classnames.txt`` and ``templates.txt`` (or ``zeroshot_classification_templates.txt``) stand in
the folder itself or in the one above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from parabench import columns
from parabench.data.benchmark import Benchmark
from parabench.data.images import SUFFIXES, ImageStore, Pictures
from parabench.data.own import gallery_table
from parabench.data.picture_parts import Member, TarPictures, tar_samples
from parabench.data.schema import PAIRS
from parabench.data.table_file import read_utf8
from parabench.errors import DataError
from parabench.progress import note

DEFAULT_TEMPLATE = "a photo of a {c}."
_NAMES, _TEMPLATES = ("classnames.txt",), ("templates.txt", "zeroshot_classification_templates.txt")
_SLOT = re.compile(r"\{(?:c|class|classname|)\}")


@dataclass(frozen=True)
class ClassifiedPictures:
    """A set for zero-shot classification.

    Attributes:
        folder: where it is.
        image_ids: ``"class folder/file"``, or the keys of the shards.
        labels: the class of each picture, a position in ``classes``.
        classes: names of the classes, as they go into the templates.
        templates: sentences with one ``{c}``.
        pictures: opens the pictures by id.
    """

    folder: Path
    image_ids: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    pictures: Pictures

    def prompts(self) -> list[list[str]]:
        """One list a class: its name in every template."""
        return [[template.replace("{c}", name) for template in self.templates] for name in self.classes]


def read_classified(folder: Path) -> ClassifiedPictures:
    """Read a set.

    Raises:
        DataError: no such folder, no pictures, an empty class folder, class names that do not match the
            folders or the labels, a malformed template, a damaged shard.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder of classes: {folder}", "check --task-data zeroshot=DIR")
    templates = _templates(folder)
    shards = sorted(folder.glob("*.tar")) or sorted((folder / "test").glob("*.tar"))
    if shards:
        return _from_shards(folder, shards, templates)
    if packed := sorted(folder.glob("*.tar.gz")) + sorted(folder.glob("*.tgz")):
        raise DataError(f"{packed[0]} is compressed", "decompress the shards (gunzip) so that pictures can be read where they stand")
    return _from_folders(folder, templates)


def _from_folders(folder: Path, templates: tuple[str, ...]) -> ClassifiedPictures:
    homes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not homes:
        raise DataError(f"{folder} holds neither a folder for each class nor *.tar shards", "name the folder with the classes: --task-data zeroshot=DIR")
    classes = _names_of([home.name for home in homes], folder)
    image_ids: list[str] = []
    labels: list[int] = []
    for label, home in enumerate(homes):
        names = sorted(path.relative_to(folder).as_posix() for path in home.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not names:
            raise DataError(f"the class folder {home} holds no picture", "put one there, or remove the folder and its class name")
        image_ids += names
        labels += [label] * len(names)
    gallery = gallery_table([{"image_id": name, "file_name": name} for name in image_ids])
    store = ImageStore(Benchmark(folder.name, columns.table([], PAIRS), gallery, image_roots=(folder,)))
    return ClassifiedPictures(folder, tuple(image_ids), tuple(labels), classes, templates, store)


def _from_shards(folder: Path, shards: list[Path], templates: tuple[str, ...]) -> ClassifiedPictures:
    path = _beside(folder, _NAMES)
    if path is None:
        raise DataError(f"{folder} has no classnames.txt, and shards name classes by number only", "write one name a line, in the order of the numbers")
    classes = tuple(name for name, _ in _entries(path))
    suffixes = {suffix[1:] for suffix in SUFFIXES}
    members: dict[str, Member] = {}
    labels: list[int] = []
    for shard in shards:
        for key, sample in tar_samples(shard):
            picture = next((extension for extension in sample if extension in suffixes), None)
            if picture is None or "cls" not in sample:
                raise DataError(f"{shard}, sample '{key}': no {'picture' if picture is None else '.cls file'}", "a sample is KEY.jpg (png, webp) and KEY.cls")
            written = sample["cls"].read().decode("ascii", "replace").strip()
            if not written.isdecimal() or int(written) >= len(classes):
                raise DataError(f"{shard}, sample '{key}': the class is '{written:.40}'", f"a number from 0 to {len(classes) - 1}: {path} holds {len(classes)} names")
            if key in members:
                raise DataError(f"{shard}, sample '{key}': the key stands in {members[key].tar} too", "give every sample its own key")
            members[key] = sample[picture]
            labels.append(int(written))
    if not members:
        raise DataError(f"the shards in {shards[0].parent} hold no pictures", "download them again")
    return ClassifiedPictures(folder, tuple(members), tuple(labels), classes, templates, TarPictures(members))


def _names_of(folders: list[str], folder: Path) -> tuple[str, ...]:
    """The class name of each folder.

    ``folder<TAB>name`` lines say it outright; plain names that are the folders' own match by name; otherwise
    line i names the i-th folder in sorted order, as ImageNet's lists do.
    """
    path = _beside(folder, _NAMES)
    if path is None:
        return tuple(name.replace("_", " ") for name in folders)
    entries = _entries(path)
    if len(entries) != len(folders):
        own = {name.replace(" ", "_").lower() for name, _ in entries} | {key for _, key in entries if key}
        lone = [name for name in folders if name not in own and name.lower() not in own]
        raise DataError(
            f"{path} names {len(entries)} classes and {folder} has {len(folders)} class folders"
            + (f" (without a name: '{lone[0]}')" if 0 < len(lone) < len(folders) else ""),
            "write one line a folder: its name, a tab, the name of the class",
        )
    if any(key for _, key in entries):
        named = {key: name for name, key in entries}
        if absent := [name for name in folders if name not in named]:
            raise DataError(f"{path} has no line for the class folder '{absent[0]}'", "write its name, a tab, the name of the class")
        return tuple(named[name] for name in folders)
    plain = {name.replace(" ", "_").lower(): name for name, _ in entries}
    if set(plain) == {name.replace(" ", "_").lower() for name in folders}:
        return tuple(plain[name.replace(" ", "_").lower()] for name in folders)
    note(f"zeroshot: line i of {path} names the i-th folder in sorted order ('{folders[0]}' is '{entries[0][0]}')")
    return tuple(name for name, _ in entries)


def _entries(path: Path) -> list[tuple[str, str | None]]:
    """``(class name, folder or None)`` a line."""
    entries: list[tuple[str, str | None]] = []
    first: dict[str, int] = {}
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        key, tab, name = line.strip().partition("\t")
        entries.append((name.strip(), key.strip()) if tab else (key, None))
        if first.setdefault(key, number) != number and tab:  # ImageNet's own list holds names twice
            raise DataError(f"{path}, line {number}: '{key}' stands in line {first[key]} too", "give every folder one line")
    if not entries:
        raise DataError(f"{path} is empty", "write one class name a line")
    if len({key is None for _, key in entries}) > 1:
        raise DataError(f"{path}: some lines have a tab and some have none", "write all lines as a name, or all as folder, tab, name")
    return entries


def _templates(folder: Path) -> tuple[str, ...]:
    path = _beside(folder, _TEMPLATES)
    if path is None:
        note(f"zeroshot: no templates.txt in {folder}; using '{DEFAULT_TEMPLATE}'")
        return (DEFAULT_TEMPLATE,)
    templates: list[str] = []
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        filled, slots = _SLOT.subn("{c}", line.strip())
        if slots != 1:
            raise DataError(f"{path}, line {number}: {slots} places for the class name in '{line.strip():.60}'", "write exactly one {c}, e.g. a photo of a {c}.")
        templates.append(filled)
    if not templates:
        raise DataError(f"{path} is empty", f"write one template a line, e.g. {DEFAULT_TEMPLATE}")
    return tuple(dict.fromkeys(templates))


def _beside(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((path for place in (folder, folder.parent) for name in names if (path := place / name).is_file()), None)
