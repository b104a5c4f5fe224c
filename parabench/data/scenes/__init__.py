"""The built-in benchmark: rendered pictures with captions, paraphrases and foils, made from a seed, needing no network."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.columns import read_parquet
from parabench.data.benchmark import Benchmark
from parabench.data.own import gallery_table, sentence_table
from parabench.data.scenes.language import HELD_OUT_WORDS, captions, foil, paraphrases
from parabench.data.scenes.scene import Scene, sample_scenes
from parabench.data.schema import FOILS, PAIRS
from parabench.progress import bar, note
from parabench.storage import cache_home, disk_errors

VERSION = "scenes-v1"
COUNTS = {"train": 1000, "val": 200, "test": 600}
_TABLES = ("pairs", "gallery", "foils")
_CREATED = "2026-11-24"


def load_scenes() -> Benchmark:
    """The set, rendered into the cache on first use (some seconds) and read from there afterwards."""
    folder = cache_home() / VERSION
    tables = _read(folder)
    if tables is None:
        note(f"scenes: drawing {sum(COUNTS.values()):,} pictures into {folder} ({'once' if not folder.exists() else 'again: it was damaged'})")
        with disk_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
        build_scenes(folder, COUNTS)
        tables = {name: read_parquet(folder / f"{name}.parquet") for name in _TABLES}
    return Benchmark(
        name="scenes", **tables, image_roots=(folder / "images",),
        provenance=f"scenes (built-in, {tables['pairs'].num_rows:,} pairs, {tables['gallery'].num_rows:,} pictures)",
    )  # fmt: skip


def _read(folder: Path) -> dict[str, pa.Table] | None:
    """The tables of a whole set; ``None`` where something is missing or can't be read."""
    try:
        tables = {name: read_parquet(folder / f"{name}.parquet") for name in _TABLES}
        names = {path.name for path in (folder / "images").iterdir()}
        return tables if names.issuperset(tables["gallery"]["file_name"].to_pylist()) else None
    except (OSError, KeyError, pa.ArrowException):
        return None


def build_scenes(folder: Path, counts: dict[str, int], seed: int = 2405) -> None:
    """Render the pictures and write the tables; the folder appears whole or not at all."""
    scenes = sample_scenes(counts, seed)
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            jobs = [(scene, part / "images" / f"{scene.image_id}.png") for scene in scenes]
            (part / "images").mkdir()
            _draw_all(jobs)
            for name, table in tables_of(scenes).items():
                pq.write_table(table, part / f"{name}.parquet", compression="zstd")
            part.chmod(0o755)
            try:
                part.replace(folder)
            except OSError:
                if not (folder / "gallery.parquet").exists():  # another process was faster otherwise
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)


def tables_of(scenes: list[Scene]) -> dict[str, pa.Table]:
    """The ``pairs``, ``foils`` and ``gallery`` tables of scenes."""
    pairs: list[dict[str, Any]] = []
    foils: list[dict[str, Any]] = []
    gallery: list[dict[str, Any]] = []
    for scene in scenes:
        chance = random.Random(scene.seed)
        texts = captions(scene)
        gallery.append({
            "image_id": scene.image_id, "file_name": f"{scene.image_id}.png", "width": 256, "height": 256,
            "license": "CC0-1.0", "labels": [scene.first.kind, scene.second.kind], "captions": texts, "split": scene.split,
        })  # fmt: skip
        for number in (0, 1):
            shared = {
                "image_id": scene.image_id, "caption_id": f"{scene.image_id}#{number}", "caption": texts[number],
                "source": "scenes", "generator": VERSION, "created": _CREATED, "scores": [], "split": scene.split,
            }  # fmt: skip
            for kind, text in paraphrases(scene, number, chance).items():
                pairs.append({**shared, "pair_id": f"{shared['caption_id']}-{kind}", "paraphrase": text, "kind": kind})
            what, text = foil(scene, number, chance)
            foils.append({**shared, "pair_id": f"{shared['caption_id']}-foil", "foil": text, "kind": what})
    return {"pairs": sentence_table(pairs, PAIRS), "foils": sentence_table(foils, FOILS), "gallery": gallery_table(gallery)}


def _draw_all(jobs: list[tuple[Scene, Path]]) -> None:
    with bar("pictures", len(jobs), "picture") as progress, ProcessPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done in pool.map(_draw_some, [jobs[start : start + 50] for start in range(0, len(jobs), 50)]):
            progress.update(done)


def _draw_some(jobs: list[tuple[Scene, Path]]) -> int:
    from parabench.data.scenes.render import render

    for scene, path in jobs:
        render(scene).save(path, compress_level=1)
    return len(jobs)


__all__ = ["HELD_OUT_WORDS", "build_scenes", "load_scenes", "tables_of"]
