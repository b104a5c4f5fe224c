"""Where caption sets come from: benchmarks, COCO and Flickr folders, Hugging Face datasets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from parabench.data import ImageStore, load
from parabench.data.coco import CAPTIONS_AN_IMAGE, read_karpathy, read_official
from parabench.data.images import decode
from parabench.errors import DataError, UsageError, brief, did_you_mean
from parabench.progress import note
from parabench.storage import sha256_file
from parabench.train.data.captions import CaptionSet
from parabench.train.recipe import DataRecipe


def caption_set(recipe: DataRecipe) -> CaptionSet:
    """The training set of a recipe; :class:`DataError` or :class:`UsageError` in one line."""
    found = {"benchmark": _benchmark, "coco": _coco, "flickr": _flickr, "huggingface": _huggingface}[recipe.kind](recipe)
    return found.first(recipe.limit)


def _benchmark(recipe: DataRecipe) -> CaptionSet:
    """Pictures that the split's pairs name, the gallery's captions, and paraphrases as rewrites."""
    name = recipe.name or "scenes"
    whole = load(name, images=(recipe.images,) if recipe.images else ())
    splits = {value for value in whole.pairs["split"].to_pylist() if value}
    split = recipe.split or ("train" if "train" in splits else None)
    if split == "test" or (split is None and "test" in splits):
        raise UsageError(f"data.split={split or 'all rows'} of {name} holds what the benchmark is tested on", "set data.split=train")
    chosen = whole.select(split)
    rewrites: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for image_id, caption, paraphrase in zip(
        *(chosen.pairs[column].to_pylist() for column in ("image_id", "caption", "paraphrase")), strict=True
    ):
        held = own.setdefault(image_id, [])
        if caption not in held:
            held.append(caption)
        rewrites.setdefault(caption, []).append(paraphrase)
    gallery = dict(zip(chosen.image_ids, chosen.gallery["captions"].to_pylist(), strict=True))
    captions = [list(dict.fromkeys([*(gallery.get(image_id) or ()), *texts])) for image_id, texts in own.items()]
    store = ImageStore(chosen, (Path(recipe.images).expanduser(),) if recipe.images else ())
    return CaptionSet(f"{name}/{split or 'all'}", list(own), captions, store.open, store.sha256, rewrites)


def _coco(recipe: DataRecipe) -> CaptionSet:
    """The official captions file, or a Karpathy file with ``data.split``; five captions a picture."""
    path = _file(recipe.path, "data.path", "an official captions_train2017.json or dataset_coco.json")
    entries = read_karpathy(path) if _is_karpathy(path) else read_official(path)
    if recipe.split is not None:
        known = {str(entry["split"]) for entry in entries if entry.get("split")}
        entries = [entry for entry in entries if entry.get("split") == recipe.split]
        if not entries:
            raise UsageError(f"{path} has no split '{recipe.split}'", did_you_mean(recipe.split, known))
    entries = [entry for entry in entries if entry["captions"]]
    files = {entry["image_id"]: entry["file_name"] for entry in entries}
    captions = [[text.strip() for _, text in entry["captions"][:CAPTIONS_AN_IMAGE]] for entry in entries]
    folder = _folder(recipe.images)
    return _of_files(path.name, list(files), captions, {image_id: _inside(folder, name) for image_id, name in files.items()})


def _flickr(recipe: DataRecipe) -> CaptionSet:
    """A token file ``<image>#<n>\t<caption>`` and a folder; ``data.only`` names the pictures to use."""
    path = _file(recipe.path, "data.path", "Flickr8k.token.txt or results_20130124.token")
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        key, tab, caption = line.partition("\t")
        if not line.strip():
            continue
        if not tab:
            raise DataError(f"{path}, line {number}: there is no tab between key and caption")
        captions.setdefault(key.partition("#")[0], []).append(caption.strip())
    if recipe.only:
        wanted = _file(recipe.only, "data.only", "").read_text(encoding="utf-8").split()
        absent = [name for name in wanted if name not in captions]
        if absent:
            raise DataError(f"{recipe.only} names {len(absent)} pictures without captions in {path} (first: '{absent[0]}')")
        captions = {name: captions[name] for name in dict.fromkeys(wanted)}
    if not recipe.images:  # precomputed features need no pictures
        return CaptionSet(path.name, list(captions), list(captions.values()), _no_pictures, str)
    folder = _folder(recipe.images)
    return _of_files(path.name, list(captions), list(captions.values()), {name: _inside(folder, name) for name in captions})


def _huggingface(recipe: DataRecipe) -> CaptionSet:
    """A dataset of the ``datasets`` library, by Hub id or as a folder, with picture and caption columns."""
    import datasets

    if not recipe.name:
        raise UsageError("data.kind=huggingface needs data.name", "a Hub id or a folder")
    try:
        table: Any = datasets.load_dataset(recipe.name, split=recipe.split or "train")
    except Exception as error:  # the library and the hub client raise a dozen kinds of their own
        raise DataError(f"the dataset '{recipe.name}' could not be loaded: {brief(error)}",
                        "check data.name, data.split and the network") from error  # fmt: skip
    for column in (recipe.image_column, recipe.caption_column):
        if column not in table.column_names:
            raise UsageError(f"the dataset '{recipe.name}' has no column '{column}'", did_you_mean(column, table.column_names))
    raw = table.cast_column(recipe.image_column, datasets.Image(decode=False))
    captions: list[list[str]] = []
    rows: list[int] = []
    for row, value in enumerate(table[recipe.caption_column]):
        own = [text.strip() for text in ([value] if isinstance(value, str) else value or []) if text and text.strip()]
        if own:
            captions.append(own)
            rows.append(row)
    if len(rows) < len(table):
        note(f"data: {len(table) - len(rows):,} of {len(table):,} rows have no caption and are left out")

    def image_bytes(image_id: str) -> bytes:
        held = raw[int(image_id)][recipe.image_column]
        data: bytes = held["bytes"] if held.get("bytes") is not None else Path(held["path"]).read_bytes()
        return data

    return CaptionSet(
        f"{recipe.name}/{recipe.split or 'train'}", [str(row) for row in rows], captions,
        lambda image_id: open_bytes(image_bytes(image_id), f"row {image_id} of {recipe.name}"),
        lambda image_id: hashlib.sha256(image_bytes(image_id)).hexdigest(),
    )  # fmt: skip


def open_bytes(data: bytes, name: str) -> Any:
    """The RGB picture in ``data``; :class:`DataError` when it can't be decoded."""
    import io

    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except Exception as error:  # a broken picture fails in any of Pillow's plugins
        raise DataError(f"the picture of {name} can't be decoded: {type(error).__name__}: {error}") from None


def _of_files(name: str, image_ids: list[str], captions: list[list[str]], files: dict[str, Path]) -> CaptionSet:
    absent = [image_id for image_id in image_ids if not files[image_id].is_file()]
    if absent:
        raise DataError(f"{len(absent)} of {len(image_ids)} pictures are not there (first: {files[absent[0]]})", "check data.images")
    return CaptionSet(
        name, image_ids, captions, lambda image_id: decode(files[image_id], image_id), lambda image_id: sha256_file(files[image_id])
    )


def _no_pictures(image_id: str) -> Any:
    raise DataError(f"there is no folder with the picture '{image_id}'", "set data.images, or image.kind=features")


def _is_karpathy(path: Path) -> bool:
    head = path.open(encoding="utf-8").read(4096).lstrip()
    return head.startswith("[") or '"sentences"' in head or '"sentids"' in head


def _file(name: str, key: str, example: str) -> Path:
    path = Path(name).expanduser()
    if not name or not path.is_file():
        raise UsageError(f"{key}={name or '(nothing)'}: no such file", example)
    return path


def _folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise UsageError(f"data.images={name or '(nothing)'}: no such folder", "name the folder that holds the pictures")
    return folder


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    return path if path.is_file() else folder / Path(name).name
