"""Deduplication of synthetic captions: our exact + MinHash check against a plain datasketch loop, in one run.

    python scripts/bench_dedup.py                      # 100,000 and 1,000,000 captions
    python scripts/bench_dedup.py --rows 100000

One caption in ten is a near-duplicate of an earlier one: a word replaced, dropped or added, or only case and
punctuation changed.  Printed: rows a second, the ratio, the share of planted ones that are caught, the share of the
others that are lost (every one is checked to have an earlier sentence with exact Jaccard at the threshold), and how
far the process's memory grew.  Every size runs in a process of its own.  Both rates are given by the wall clock and by CPU seconds (all threads),
since the first says little on a machine that others use.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.filters.config import FilterConfig
from parabench.build.filters.duplicates import Duplicates
from parabench.build.filters.text import words

BATCH = 1024
_ONSETS, _VOWELS, _CODAS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "gl", "kr", "pl", "st", "tr"], ["a", "e", "i", "o", "u"], ["", "n", "r", "l", "s", "k"]
_FRAME = ["a", "the", "two", "some", "of", "on", "in", "with", "near", "by", "over", "under", "while", "and", "its"]


def vocabulary() -> list[str]:
    syllables = [onset + vowel + coda for onset in _ONSETS for vowel in _VOWELS for coda in _CODAS]
    rng = random.Random(0)
    return list(dict.fromkeys("".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3)))) for _ in range(12_000)))


def captions(count: int, seed: int) -> Iterator[tuple[str, int | None]]:
    """``(caption, number of the caption it nearly repeats, or None)``.

    Eight to fourteen words, a third of them from a short list of function words, the others from 12,000 made-up
    words with a Zipf-like distribution, so that unrelated captions share words as real ones do.
    """
    rng = random.Random(seed)
    content = vocabulary()
    weights = [1 / (rank + 20) for rank in range(len(content))]
    cumulative, total = [], 0.0
    for weight in weights:
        total += weight
        cumulative.append(total)
    originals: dict[int, list[str]] = {}
    for number in range(count):
        if number > 100 and rng.random() < 0.1:
            source = rng.choice(list_of_recent(originals, rng))
            yield touched(originals[source], content, rng), source
            continue
        length = rng.randint(8, 14)
        framed = rng.choices(_FRAME, k=length // 3)
        own = framed + rng.choices(content, cum_weights=cumulative, k=length - len(framed))
        rng.shuffle(own)
        originals[number] = own
        if len(originals) > 50_000:  # what may be repeated later, without keeping everything
            del originals[next(iter(originals))]
        yield " ".join(own).capitalize() + ".", None


def list_of_recent(originals: dict[int, list[str]], rng: random.Random) -> list[int]:
    newest = next(reversed(originals))
    oldest = next(iter(originals))
    while (number := rng.randint(oldest, newest)) not in originals:
        pass
    return [number]


def touched(own: list[str], content: list[str], rng: random.Random) -> str:
    changed = list(own)
    at = rng.randrange(len(changed))
    kind = rng.randrange(4)
    if kind == 0:
        changed[at] = rng.choice(content)
    elif kind == 1:
        del changed[at]
    elif kind == 2:
        changed.insert(at, rng.choice(content))
    else:
        return " ".join(own).upper() + " !"
    return " ".join(changed).capitalize() + "."


def memory() -> float:
    """Peak resident megabytes so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def candidate(number: int, text: str) -> Candidate:
    return Candidate(str(number), Caption(str(number), str(number), ""), text, "paraphrase", "", "", "", "")


def ours(count: int, seed: int) -> None:
    """One run of the check over captions that were made before, as the peer's were; making the candidates is not counted."""
    check = Duplicates(FilterConfig.read().duplicates)
    spent, cpu, planted, caught, others, lost = 0.0, 0.0, 0, 0, 0, 0
    made = list(captions(count, seed))
    before = memory()
    batch: list[Candidate] = []
    sources: list[int | None] = []

    def judge() -> None:
        nonlocal spent, cpu, planted, caught, others, lost
        started, started_cpu = time.perf_counter(), time.process_time()
        verdicts = check.check(batch)
        spent += time.perf_counter() - started
        cpu += time.process_time() - started_cpu
        for verdict, source in zip(verdicts, sources, strict=True):
            planted += source is not None
            caught += source is not None and bool(verdict.reason)
            others += source is None
            lost += source is None and bool(verdict.reason)
        batch.clear()
        sources.clear()

    for number, (text, source) in enumerate(made):
        batch.append(candidate(number, text))
        sources.append(source)
        if len(batch) == BATCH:
            judge()
    judge()
    print(
        f"ours {count} {count / spent:.0f} rows/s {count / cpu:.0f} rows/CPU-s; planted caught {caught / planted:.2%} of {planted}; "
        f"others lost {lost / others:.3%} of {others}; memory grew {memory() - before:.0f} MB "
        f"({(memory() - before) * 2**20 / count:.0f} bytes a row)", flush=True,
    )  # fmt: skip


def peer(count: int, seed: int) -> None:
    """What the documentation of datasketch shows: a MinHash a row, query, insert."""
    from datasketch import MinHash, MinHashLSH

    texts = list(captions(count, seed))
    started, started_cpu = time.perf_counter(), time.process_time()
    index = MinHashLSH(threshold=0.7, num_perm=128)
    planted = caught = 0
    for number, (text, source) in enumerate(texts):
        sketch = MinHash(num_perm=128)
        for word in set(words(text)):
            sketch.update(word.encode())
        duplicate = bool(index.query(sketch))
        if not duplicate:
            index.insert(str(number), sketch)
        planted += source is not None
        caught += source is not None and duplicate
    spent, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    print(f"peer {count} {count / spent:.0f} rows/s {count / cpu:.0f} rows/CPU-s; planted caught {caught / planted:.2%}, not verified", flush=True)


def rates(line: str) -> tuple[float, float]:
    """Rows by the second and by the CPU second."""
    return float(line.split()[2]), float(line.split()[4])


def run(kind: str, count: int, seed: int) -> str:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--only", kind, "--rows", str(count), "--seed", str(seed)]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(line, flush=True)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--peer-rows", type=int, default=100_000, help="rows of the datasketch loop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return {"ours": ours, "peer": peer}[options.only](options.rows[0], options.seed)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("rensa", "datasketch"))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {versions}")
    theirs = rates(run("peer", options.peer_rows, options.seed))
    for count in options.rows:
        wall, cpu = (mine / other for mine, other in zip(rates(run("ours", count, options.seed)), theirs, strict=True))
        print(f"{wall:.1f}x the datasketch loop by the clock, {cpu:.1f}x by CPU seconds", flush=True)
    return None


if __name__ == "__main__":
    main()
