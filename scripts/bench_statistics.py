"""Speed and memory of the cluster bootstrap against the usual ways to write it, in one run.

    python scripts/bench_statistics.py

10,000 pairs in 5,000 clusters.  Each way runs in a process of its own, so that its peak memory is its own.
The loops and ``scipy.stats.bootstrap`` (which resamples clusters through a statistic of ratios) get fewer
resamples and one metric where they would take minutes; their time is scaled to the whole job and marked so.
``inspect_ai`` is compared where it is installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

PAIRS, CLUSTERS, METRICS, RESAMPLES = 10_000, 5_000, 8, 10_000


def data():
    rng = np.random.default_rng(0)
    return rng.random((PAIRS, METRICS)), np.repeat(np.arange(CLUSTERS), PAIRS // CLUSTERS)


def parabench(values, clusters):
    from parabench.metrics import cluster_bootstrap

    found = cluster_bootstrap(values, clusters, n_resamples=RESAMPLES)
    return 1.0, [found[0].ci_low, found[0].ci_high]


def parabench_again(values, clusters):
    """A second call over the same clusters, as every further table of a run is."""
    return parabench(values, clusters)


def paired(values, clusters):
    """Interval, sign-flip test and detectable difference of 8 metrics."""
    from parabench.metrics import paired_differences

    found = paired_differences(values - 0.5, clusters, n_resamples=RESAMPLES, n_permutations=10_000)
    return 1.0, [found[0].ci_low + 0.5, found[0].ci_high + 0.5]


def concatenation(values, clusters, resamples=200):
    """Draw clusters, concatenate their rows, take the mean."""
    rows = np.split(np.arange(PAIRS), np.flatnonzero(np.diff(clusters)) + 1)
    rng = np.random.default_rng(1)
    means = [values[np.concatenate([rows[c] for c in rng.integers(0, CLUSTERS, CLUSTERS)])].mean(axis=0) for _ in range(resamples)]
    return RESAMPLES / resamples, np.quantile(np.array(means)[:, 0], [0.025, 0.975]).tolist()


def cluster_sums(values, clusters, resamples=2000):
    """Draw clusters, add their sums and sizes."""
    sums = np.stack([np.bincount(clusters, column, CLUSTERS) for column in values.T], axis=1)
    sizes = np.bincount(clusters, minlength=CLUSTERS)
    rng = np.random.default_rng(1)
    means = []
    for _ in range(resamples):
        drawn = rng.integers(0, CLUSTERS, CLUSTERS)
        means.append(sums[drawn].sum(axis=0) / sizes[drawn].sum())
    return RESAMPLES / resamples, np.quantile(np.array(means)[:, 0], [0.025, 0.975]).tolist()


def scipy_bootstrap(values, clusters, resamples=1000):
    """scipy.stats.bootstrap over clusters, one metric at a time."""
    from scipy.stats import bootstrap

    sizes = np.bincount(clusters, minlength=CLUSTERS)
    ends = []
    for column in values.T[:2]:
        sums = np.bincount(clusters, column, CLUSTERS)
        found = bootstrap((sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True, vectorized=True, batch=50,
                          n_resamples=resamples, method="percentile", rng=1)  # fmt: skip
        ends.append([found.confidence_interval.low, found.confidence_interval.high])
    return RESAMPLES / resamples * METRICS / 2, ends[0]


def inspect_ai(values, clusters, resamples=100):
    """inspect_ai's bootstrap standard error, which has no clusters, one metric at a time."""
    from inspect_ai.scorer import SampleScore, Score, bootstrap_stderr

    scores = [SampleScore(score=Score(value=float(value))) for value in values[:, 0]]
    error = bootstrap_stderr(num_samples=resamples)(scores)
    mean = values[:, 0].mean()
    return RESAMPLES / resamples * METRICS, [mean - 1.96 * error, mean + 1.96 * error]


WAYS = {way.__name__: way for way in (parabench, parabench_again, paired, cluster_sums, concatenation, scipy_bootstrap, inspect_ai)}


def one(name: str) -> None:
    values, clusters = data()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if name == "parabench_again":
        parabench(values[:, :1], clusters)
    started, cpu = time.perf_counter(), time.process_time()
    factor, ends = WAYS[name](values, clusters)
    spent, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": spent * factor, "cpu": cpu * factor, "scaled": factor != 1, "peak": peak / 1024, "added": (peak - before) / 1024, "ends": ends}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return one(options.way)
    print(f"{RESAMPLES:,} resamples of {PAIRS:,} pairs in {CLUSTERS:,} clusters, {METRICS} metrics")
    ours = None
    for name in WAYS:
        done = subprocess.run([sys.executable, __file__, "--way", name], capture_output=True, text=True)
        if done.returncode:
            print(f"{name:16} not run: {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout)
        ours = ours or found["seconds"]
        scaled = " (scaled)" if found["scaled"] else ""
        print(f"{name:16} {found['seconds']:8.2f} s (CPU {found['cpu']:7.2f} s) {found['seconds'] / ours:7.1f}x  peak {found['peak']:5.0f} MB  "
              f"first metric [{found['ends'][0]:.4f}, {found['ends'][1]:.4f}]{scaled}")  # fmt: skip
    return None


if __name__ == "__main__":
    main()
