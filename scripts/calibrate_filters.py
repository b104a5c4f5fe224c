"""Precision and recall of every scored check, on pairs that people and reviewers rated.

    PARABENCH_DATA=DIR python scripts/calibrate_filters.py --encoder sentence-transformers/all-MiniLM-L6-v2

``DIR`` holds ``cxc/``, ``sugarcrepe_pp/`` and ``coco/`` as the built-in sets name them.  Writes
``docs/images/filters_*.svg`` and the tables between the markers of ``docs/filters.md``.

Three questions, none of which uses a number of another:

* Crisscrossed Captions: is a pair of COCO captions a paraphrase (people's rating ≥ 4)?
* SugarCrepe++: which of (caption, caption2) and (caption, negative) is the paraphrase?
* coco-paraphrase: which of our sentences did the machine reviews reject?  And which do the defaults drop?
"""

from __future__ import annotations

import argparse
import datetime
import platform
import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.filters import FilterConfig, Funnel, load_filters, run_filters
from parabench.build.filters.closeness import Closeness
from parabench.build.filters.content import content_checks
from parabench.build.filters.form import Length
from parabench.data import load
from parabench.encoders.sbert import SentenceEncoder
from parabench.encoders.spec import ModelSpec
from parabench.retrieval import Embedder
from parabench.retrieval.cache import EmbeddingCache

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMAND = "PARABENCH_DATA=DIR python scripts/calibrate_filters.py --encoder sentence-transformers/all-MiniLM-L6-v2"
SCORES = {  # score → whether a paraphrase has a high one
    "similarity": True, "self_bleu": True, "jaccard": True, "ratio": True, "length_ratio_off": False,
    "content_changed": False,
}  # fmt: skip


@dataclass
class Pairs:
    """Pairs, whether each is a paraphrase, and its scores."""

    name: str
    candidates: list[Candidate]
    good: np.ndarray
    scores: dict[str, np.ndarray]


def candidate(number: int, caption: str, text: str, role: str = "paraphrase") -> Candidate:
    return Candidate(str(number), Caption(str(number), str(number), caption), text, role, "", "", "", "")  # type: ignore[arg-type]


def read(sample: int, seed: int) -> list[Pairs]:
    """The three sets: CxC sampled, the others whole."""
    rng = random.Random(seed)
    cxc = load("coco-cxc?min_rating=0").pairs.to_pylist()
    cxc = rng.sample(cxc, min(sample, len(cxc)))
    rated = [next(s["value"] for s in row["scores"] if s["name"] == "human") for row in cxc]
    sets = [("Crisscrossed Captions", [(r["caption"], r["paraphrase"], h >= 4) for r, h in zip(cxc, rated, strict=True)])]
    sugar = load("sugarcrepe-pp")
    sets.append(("SugarCrepe++", [(r["caption"], r["paraphrase"], True) for r in sugar.pairs.to_pylist()]
                 + [(r["caption"], r["foil"], False) for r in sugar.foils.to_pylist()]))  # fmt: skip
    ours = load("coco-paraphrase")
    rejected = [row for row in ours.rejected.to_pylist() if row["kind"] != "foil"]
    sets.append(("coco-paraphrase", [(r["caption"], r["paraphrase"], True) for r in ours.pairs.to_pylist()]
                 + [(r["caption"], r["paraphrase"], False) for r in rejected]))  # fmt: skip
    return [
        Pairs(name, [candidate(i, a, b) for i, (a, b, _) in enumerate(rows)], np.array([g for *_, g in rows]), {})
        for name, rows in sets
    ]


def score(pairs: Pairs, config: FilterConfig, embedder: Embedder) -> None:
    """What every scored check says of every pair, whatever the others say."""
    found: dict[str, list[float]] = {}
    checks = [Length(config.length), Closeness(config.closeness), *content_checks(config.numbers, config.colours, config.negation, config.names)]
    for check in checks:
        for verdict in check.check(pairs.candidates):
            for name, value in verdict.scores.items():
                found.setdefault(name, []).append(value)
    pairs.scores = {name: np.array(values) for name, values in found.items()}
    pairs.scores["content_changed"] = sum(value for name, value in pairs.scores.items() if name.endswith("_changed"))
    pairs.scores["length_ratio_off"] = np.abs(np.log(np.maximum(pairs.scores["length_ratio"], 1e-3)))
    captions = embedder.texts([c.caption.text for c in pairs.candidates])
    texts = embedder.texts([c.text for c in pairs.candidates])
    pairs.scores["similarity"] = (captions * texts).sum(1)
