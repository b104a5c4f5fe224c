"""How long a site of 500 synthetic entries takes: `python scripts/bench_leaderboard.py [--entries 500]`.

Entries are the rankings of the random baseline on `scenes`, with the own picture moved up in a share of queries that differs by entry.
Three builds are timed: with no entry scored yet (on all cores), into a new folder with
all scores in the cache, as a leaderboard does that scored its entries when they came in, and again with nothing changed.
With ``--browser`` (Chromium, chromedriver and selenium), the table is then sorted, searched and filtered: from the event to the
second frame after it, and the longest task of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import parabench
from parabench.evaluate import Run
from parabench.leaderboard.compact import believe, read_compact, write_compact
from parabench.leaderboard.reference import References
from parabench.leaderboard.schema import RANKINGS, SUBMISSION, slug
from parabench.leaderboard.scoring import score_rankings
from parabench.leaderboard.serve import make_server
from parabench.leaderboard.site import build_site
from parabench.leaderboard.submission import make_submission
from parabench.progress import bar
from parabench.storage import sha256_file

DECLARED = {"license": "none", "training_data": ["none"], "paraphrases_of_test_captions": "no", "authors": ["bench"], "contact": "@bench"}

ROWS = "return [...document.querySelectorAll('#table tbody tr[data-n]')].filter(row => row.offsetParent !== null).length"
TIMED = """const [action, wait, done] = arguments, start = performance.now(); new Function(action)();
setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start))), wait);"""
_INPUT = "form.dispatchEvent(new Event('input', {bubbles: true}))"
ACTIONS = {
    "sort by AO@10, up and down": "[...document.querySelectorAll('#table thead button')].find(b => b.textContent === 'AO@10').click()",
    "sort by name": "[...document.querySelectorAll('#table thead button')].find(b => b.textContent === 'Model').click()",
    "a key typed into the search (60 ms of waiting included)": f"const form = document.getElementById('controls'); form.elements.q.value += '1'; {_INPUT}",
    "filters cleared": "document.getElementById('controls').reset()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--browser", action="store_true", help="also time the page in a headless Chromium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = parabench.evaluate("random:512", "scenes", out=folder / "run")
        references = References()
        base = make_submission(run, {**DECLARED, "name": "base"}, folder / "base", references)
        started = time.perf_counter()
        synthesise(run, base, folder / "submissions", arguments.entries, references)
        print(f"{arguments.entries} entries made: {time.perf_counter() - started:.1f} s; {os.cpu_count()} cores")
        for what, site in (("nothing scored yet", "first"), ("scores from the cache", "second"), ("again, nothing changed", "second")):
            started = time.perf_counter()
            built = build_site(folder / "submissions", folder / site, references)
            print(f"build, {what}: {time.perf_counter() - started:.1f} s; {built.written} files written, {len(built.refused)} refused")
        size = sum((folder / "second" / name).stat().st_size for name in ("index.html", "style.css", "board.js"))
        print(f"first load of the table: {size / 1000:.0f} KB")
        if arguments.browser:
            drive(folder / "second")


def drive(site: Path) -> None:
    """Print how long the table takes to answer a reader."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    if binary := shutil.which("chromium") or shutil.which("google-chrome"):
        options.binary_location = binary
    with make_server(site, 0) as server, webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        loaded = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"browser: loaded after {loaded:.0f} ms; {driver.execute_script(ROWS)} rows shown")
        for what, action in ACTIONS.items():
            times = [driver.execute_async_script(TIMED, action, 60 if "search" in what else 0) for _ in range(5)]
            print(f"browser: {what}: median {np.median(times):.0f} ms, most {max(times):.0f} ms; {driver.execute_script(ROWS)} rows shown")
        server.shutdown()


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
