"""A small dataset of its own, encoders of graded quality on it, and their submissions."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import parabench
from parabench.leaderboard.reference import Reference, References
from parabench.leaderboard.submission import make_submission

N_IMAGES = 48
DECLARED = {
    "license": "MIT", "training_data": ["none"], "paraphrases_of_test_captions": "no", "authors": ["Ada Lovelace"],
    "contact": "ada@example.org", "links": {"code": "https://example.org/code"}, "notes": "A test.",
}  # fmt: skip


class Noisy:
    """An encoder that knows the right picture of every sentence and is as far off as ``noise`` says."""

    dim, cacheable = 24, False

    def __init__(self, name, noise, seed, owner, sees="ids"):
        self.spec, self.fingerprint = f"python:tests.{name}", f"noisy-{name}-{noise}-{seed}"
        self.noise, self.seed, self.owner, self.sees = noise, seed, owner, sees
        self.n_parameters = 10_000_000 * (1 + seed % 7)

    def encode_images(self, images):
        return np.stack([np.random.default_rng([7, int(image)]).normal(size=self.dim) for image in images])

    def encode_text(self, texts):
        base = self.encode_images([self.owner[text] for text in texts])
        return base + self.noise * np.stack([np.random.default_rng([self.seed, *text.encode()]).normal(size=self.dim) for text in texts])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A benchmark of 48 pictures, two captions each, two kinds of rewrites and a foil; its references; graded runs."""
    folder = tmp_path_factory.mktemp("tiny")
    owner, rows = {}, []
    for image in range(N_IMAGES):
        for number in (0, 1):
            caption = f"caption {number} of picture {image}"
            texts = {kind: f"{kind} words for {caption}" for kind in ("lexical", "syntactic")}
            foil = f"what {caption} does not show"
            owner |= dict.fromkeys((caption, *texts.values()), image) | {foil: (image + 1) % N_IMAGES}
            rows += [[str(image), f"{image}-{number}", caption, text, kind, foil] for kind, text in texts.items()]
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["image_id", "caption_id", "caption", "paraphrase", "kind", "foil"], *rows])
    with (folder / "gallery.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_id", "url", "labels", "captions"])
        for image in range(N_IMAGES):
            own = json.dumps([f"caption {number} of picture {image}" for number in range(3)])
            writer.writerow([str(image), f"http://images.example.org/{image}.jpg", json.dumps([["cat", "dog"][image % 2]]), own])
    for image in range(N_IMAGES):
        owner[f"caption 2 of picture {image}"] = image
    benchmark = dataclasses.replace(parabench.load(folder / "pairs.csv", gallery=folder / "gallery.csv"), name="tiny")
    references = folder / "references"
    Reference.of(benchmark).write(references)
    own = SimpleNamespace(folder=folder, benchmark=benchmark, references=references, declared=DECLARED)

    def run(name, noise=1.0, salt=0, sees="ids", **options):
        return parabench.evaluate(Noisy(name, noise, salt, owner, sees), benchmark, out=folder / "runs" / name, overwrite=True, **options)

    def submit(made, name, out, **declared):
        return make_submission(made, {**DECLARED, "name": name, **declared}, out, References(references))

    own.run, own.submit = run, submit
    return own


@pytest.fixture(scope="session")
def standing(tiny, tmp_path_factory):
    """A folder of six entries that pass: references, one much better, two alike, a caption-gallery one."""
    out = tmp_path_factory.mktemp("standing") / "submissions"
    for spec, name in (("random:512", "random"), ("constant:512", "constant"), ("tfidf:", "tfidf")):
        made = parabench.evaluate(spec, tiny.benchmark, out=tiny.folder / "runs" / name)
        tiny.submit(made, name, out)
    for name, noise, seed, sees in (("Good Model", 1.5, 1, "ids"), ("Fair Model A", 3.0, 2, "ids"), ("Fair Model B", 3.0, 3, "ids"), ("Text Only", 2.0, 4, "captions")):
        tiny.submit(tiny.run(name.replace(" ", ""), noise, seed, sees=sees), name, out)
    return out


@pytest.fixture
def entry(standing, tmp_path):
    """A copy of one good submission, to be spoiled; ``entry.edit(path, value)`` changes its JSON."""
    folder = tmp_path / "good-model--tiny"
    shutil.copytree(standing / "good-model--tiny", folder)

    def edit(where, value):
        path = folder / "submission.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        *parents, last = where.split("/")
        spot = told
        for key in parents:
            spot = spot[int(key)] if isinstance(spot, list) else spot[key]
        spot[int(last) if isinstance(spot, list) else last] = value
        path.write_text(json.dumps(told), encoding="utf-8")

    return SimpleNamespace(folder=folder, edit=edit)
