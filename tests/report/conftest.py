"""Runs to show: one of hostile sentences, some of whose pictures are missing, and one of real photographs."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from hostile_texts import HOSTILE
from PIL import Image

import parabench
from parabench.report import write_comparison, write_report


class Hashed:
    """An encoder whose name is as hostile as the captions; equal texts get equal vectors."""

    dim, sees, cacheable = 16, "ids", False

    def __init__(self, spec, salt):
        self.spec, self.fingerprint, self.salt = spec, f"hashed-{salt}", salt

    def encode_text(self, texts):
        return np.stack([np.random.default_rng([self.salt, *text.encode()]).normal(size=16) for text in texts])

    def encode_images(self, images):
        return np.stack([np.random.default_rng([7, *str(image).encode()]).normal(size=16) for image in images])


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """Eight pairs with hostile texts, kinds and foils, half of the pictures absent, two models; and their pages."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_id", "file_name", "caption", "paraphrase", "kind", "foil"])
        for number, (name, text) in enumerate(HOSTILE.items()):
            if number % 2:
                Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / "photos" / f"{number}.png")
            writer.writerow([f"{number}<i>\"", f"{number}.png", text, f"{text} in other words", f"<u>{name}</u> $x^2$", f"not {text}"])
    benchmark = parabench.load(folder / "pairs.csv", images=[folder / "photos"])
    specs = ("mine:<script>window.pwned=3</script>$a_b%&", "mine:\"other\" | & model")
    runs = [
        parabench.evaluate(Hashed(spec, salt), benchmark, out=folder / f"run{salt}", metrics=["AO@5", "JS@5"], n_resamples=200)
        for salt, spec in enumerate(specs)
    ]
    images = [folder / "photos"]
    write_report(runs[:1], benchmark, images, folder / "run0" / "report.html")
    write_report(runs, benchmark, images, folder / "several.html")
    comparison = parabench.compare(*runs, n_resamples=200, n_permutations=200)
    write_comparison(comparison, runs, benchmark, images, folder / "comparison.html")
    return SimpleNamespace(
        folder=folder, runs=runs, benchmark=benchmark, images=images, comparison=comparison,
        pages={"run": folder / "run0" / "report.html", "several": folder / "several.html", "comparison": folder / "comparison.html"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def photographs(flickr, shared, tmp_path_factory):
    """CLIP's vectors and a random model on real photographs: the runs and their pages."""
    folder = tmp_path_factory.mktemp("photographs")
    images = [shared / "flickr8k" / "images"]
    benchmark = parabench.load(flickr / "pairs.csv", gallery=flickr / "gallery.csv", images=images)
    runs = [
        parabench.evaluate(spec, benchmark, out=folder / name, n_resamples=500)
        for name, spec in (("clip", f"embeddings:{flickr / 'vectors'}"), ("random", "random:64"))
    ]
    write_report(runs[:1], benchmark, images, folder / "clip" / "report.html")
    comparison = parabench.compare(*runs, n_resamples=500, n_permutations=500)
    write_comparison(comparison, runs, benchmark, images, folder / "comparison.html")
    return SimpleNamespace(runs=runs, benchmark=benchmark, images=images,
                           pages={"run": folder / "clip" / "report.html", "comparison": folder / "comparison.html"})  # fmt: skip
