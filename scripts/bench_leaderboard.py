"""How long a site of 500 synthetic entries takes: `python scripts/bench_leaderboard.py [--entries 500]`.

Entries are the rankings of the random baseline on `scenes`, with the own picture moved up in a share of queries that differs by entry.
They are scored once by `submit`'s own functions, so the first build that is timed validates and takes scores from the cache, as
a leaderboard does that checked its entries when they came in; the second build finds everything unchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import parabench
from parabench.evaluate import Run
from parabench.leaderboard.compact import believe, read_compact, write_compact
from parabench.leaderboard.reference import References
from parabench.leaderboard.schema import RANKINGS, SUBMISSION, slug
from parabench.leaderboard.scoring import cache_key, remember, score_rankings
from parabench.leaderboard.site import build_site
from parabench.leaderboard.submission import make_submission
from parabench.progress import bar
from parabench.storage import sha256_file

DECLARED = {"license": "none", "training_data": ["none"], "paraphrases_of_test_captions": "no", "authors": ["bench"], "contact": "@bench"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = parabench.evaluate("random:512", "scenes", out=folder / "run")
        references = References()
        base = make_submission(run, {**DECLARED, "name": "base"}, folder / "base", references)
        started = time.perf_counter()
        synthesise(run, base, folder / "submissions", arguments.entries, references)
        made = time.perf_counter() - started
        print(f"{arguments.entries} entries made and scored: {made:.1f} s ({made / arguments.entries:.2f} s each), {os.cpu_count()} cores")
        for what in ("validate, rank, render, write (scores from the cache)", "again, nothing changed"):
            started = time.perf_counter()
            built = build_site(folder / "submissions", folder / "site", references)
            print(f"{what}: {time.perf_counter() - started:.1f} s; {built.written} files written, {len(built.refused)} refused")
        size = sum((folder / "site" / name).stat().st_size for name in ("index.html", "style.css", "board.js"))
        print(f"first load of the table: {size / 1000:.0f} KB")


def synthesise(run: Run, base: Path, out: Path, n: int, references: References) -> None:
    """Write ``n`` submissions whose rankings are those of the run with the own picture swapped to a better place."""
    reference = references.get(run.result.dataset.name, run.result.dataset.split)
    rankings, told = run.rankings, json.loads((base / SUBMISSION).read_text(encoding="utf-8"))
    targets = np.array([rankings.gallery.index(image_id) for image_id in rankings.image_id])
    with bar("synthetic entries", n, "entry") as shown:
        for number in range(n):
            rng = np.random.default_rng(number)
            top, rank = rankings.top[:, :20].copy(), rankings.target_rank.copy()
            for row in np.flatnonzero((rng.random(len(top)) < number / n) & (rank > 20)):
                place = int(rng.integers(20))
                top[row, place], rank[row] = targets[row], place + 1
            name = f"Synthetic {number:03d}"
            folder = out / f"{slug(name)}--{slug('scenes.test')}"
            write_compact(replace(rankings, top=top, scores=rankings.scores[:, :20], target_rank=rank), reference, folder / RANKINGS, 20)
            digest = sha256_file(folder / RANKINGS)
            scored = score_rankings(believe(read_compact(folder / RANKINGS, len(reference.targets), len(reference.image_ids)), reference))
            remember(cache_key(digest, reference), scored)
            told["model"] |= {"name": name, "fingerprint": f"synthetic-{number}", "spec": f"python:synthetic.n{number}"}
            told["rankings"]["sha256"] = digest
            told["numbers"] = {
                task: {metric: {"value": m.value, "ci_low": m.ci_low, "ci_high": m.ci_high} for metric, m in own.metrics.items()}
                for task, own in scored.tasks.items()
            }
            (folder / SUBMISSION).write_text(json.dumps(told), encoding="utf-8")
            shown.update()


if __name__ == "__main__":
    main()
