"""Several runs on the same pairs: paired differences with their uncertainty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from parabench.errors import DataError, UsageError
from parabench.evaluate.comparison import ComparedRun, Comparison, Contrast
from parabench.evaluate.items import Items, canonical_name
from parabench.evaluate.resampling import MOST_RESAMPLES, Resampling, measure
from parabench.evaluate.run import Run
from parabench.metrics import PairedDifference, holm, paired_differences
from parabench.retrieval.rankings import Rankings

Key = tuple[Any, ...]


def compare(
    *runs: str | Path | Run,
    metrics: Sequence[str] | None = None,
    intersect: bool = False,
    n_resamples: int = 10_000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare finished runs on the same pairs; the first run is the reference of every difference.

    Everything is computed from the runs' rankings, so it does not matter with which metrics, seeds or numbers
    of resamples they were made.

    Args:
        *runs: run folders or :class:`Run` objects, at least two.
        metrics: names such as ``"AO@10"``, ``"R@10"``, ``"R@10 paraphrase"``, ``"flip@10"``, ``"both@10"``,
            ``"foil-AUC(AO@10)"``; by default the runs' first two similarity metrics and the usual ones
            beside them.
        intersect: compare the pairs (and the depth) that all runs have in common, where they differ.
        n_resamples: of the bootstrap of each paired difference.
        n_permutations: of the sign-flip test, where exact enumeration is too much.
        seed: of both.

    Returns:
        ``contrasts``: for every other run and metric ``value``, ``reference_value`` (the first run's), their paired
        ``difference`` (value − reference, in the metric's unit) with ``ci_low`` and ``ci_high``, ``p``, ``p_holm`` and
        ``minimum_detectable``; ``runs``: each run's metrics on the compared pairs; ``notes``: what differs between them.

    Raises:
        UsageError: fewer than two runs, one given twice, an unknown metric, too few or too many resamples.
        DataError: a run is not finished; galleries, pairs or depths differ (and ``intersect`` is off).
    """
    if min(n_resamples, n_permutations) < 1:
        raise UsageError("the numbers of resamples and permutations must be positive", "leave them at 10000")
    if max(n_resamples, n_permutations) > MOST_RESAMPLES:
        raise UsageError("that many resamples or permutations don't fit in memory", f"give {MOST_RESAMPLES:,} or fewer")
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative", "give 0 or more")
    opened = _opened(runs)
    labels = _labels(opened)
    notes = _notes(opened, labels)
    aligned = _aligned(opened, labels, intersect, notes)
    items = [Items(rankings) for rankings in aligned]
    names = _chosen(metrics, opened, items[0])
    resampling = Resampling(n_resamples, seed)
    tables = [{name: each.values(name) for name in names} for each in items]
    names = [name for name in names if len(tables[0][name][0])]  # a set without foils has no foil items
    if not names:
        raise DataError("these runs have no items of the metrics that were asked for", "choose others with --metrics")
    contrasts = [
        contrast
        for at in range(1, len(opened))
        for contrast in _contrasts(names, tables[0], tables[at], labels[0], labels[at], resampling, n_permutations)
    ]
    tested = [contrast for contrast in contrasts if contrast.p is not None]
    for contrast, adjusted in zip(tested, holm([c.p for c in tested if c.p is not None]).tolist(), strict=True):
        contrast.p_holm = adjusted
    if not tested:
        notes.append("all pairs belong to one picture: there are no intervals and no p-values")
    return Comparison(
        dataset=opened[0].result.dataset,
        runs=[
            ComparedRun(
                label=label, folder=str(run.folder), model=run.result.model,
                metrics={n: measure(resampling.estimate([table[n][0]], table[n][1])[0]) for n in names},
                warnings=run.result.warnings,
            )
            for label, run, table in zip(labels, opened, tables, strict=True)
        ],
        metrics=names, contrasts=contrasts, n_pairs=len(items[0].paraphrases), clusters=items[0].n_images,
        depth=aligned[0].depth, notes=notes,
        settings={
            "n_resamples": n_resamples, "n_permutations": n_permutations, "seed": seed, "level": resampling.level,
            "adjusted": "Holm", "tests": len(tested),
        },
    )  # fmt: skip


def _opened(runs: Sequence[str | Path | Run]) -> list[Run]:
    if len(runs) < 2:
        raise UsageError("comparing needs at least two runs", "name two run folders: parabench compare RUN RUN")
    opened = [run if isinstance(run, Run) else Run.load(run) for run in runs]
    folders = Counter(run.folder.resolve() for run in opened)
    folder, count = folders.most_common(1)[0]
    if count > 1:
        raise UsageError(f"the run {folder} is given twice", "name each run once")
    return opened


def _labels(runs: Sequence[Run]) -> list[str]:
    """The model spec of each run; with the folder where two runs are of one spec."""
    specs = Counter(run.result.model.spec for run in runs)
    return [
        spec if specs[spec := run.result.model.spec] == 1 else f"{spec} ({run.folder})" for run in runs
    ]


def _notes(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    notes = []
    searched = {label: str(run.result.settings.get("gallery", "images")) for label, run in zip(labels, runs, strict=True)}
    if len(set(searched.values())) > 1:
        notes.append(
            "not all models see the same: " + ", ".join(f"{label} searches {what}" for label, what in searched.items())
        )
    if any(run.result.settings.get("collapse_duplicates") for run in runs):
        notes.append("pictures that look the same count as one")
    precisions = {run.result.settings.get("precision") for run in runs}
    if len(precisions) > 1:
        notes.append("the networks ran in different precisions: " + ", ".join(sorted(map(str, precisions))))
    return notes


def _aligned(runs: Sequence[Run], labels: Sequence[str], intersect: bool, notes: list[str]) -> list[Rankings]:
    """The rankings of all runs with the same rows in the same order."""
    every = [run.scored for run in runs]
    first, reference = every[0], runs[0].result
    as_one = [bool(run.result.settings.get("collapse_duplicates")) for run in runs]
    for label, run, rankings, counted in zip(labels[1:], runs[1:], every[1:], as_one[1:], strict=True):
        if counted != as_one[0]:
            one, other = (label, labels[0]) if counted else (labels[0], label)
            raise DataError(f"pictures that look the same count as one for {one} and not for {other}",
                            "evaluate all with --collapse-duplicates, or all without")  # fmt: skip
        if rankings.gallery != first.gallery:
            raise DataError(
                f"{labels[0]} and {label} searched different galleries ({reference.dataset.name}: {len(first.gallery):,} pictures; "
                f"{run.result.dataset.name}: {len(rankings.gallery):,}), and similarity depends on the gallery",
                "evaluate both on one dataset with the same --gallery and --split",
            )
    keys = [_keys(rankings) for rankings in every]
    common = set(keys[0]).intersection(*keys[1:])
    pairs = [key for key in keys[0] if key in common and key[0] == "paraphrase"]
    used = {_caption_of(key) for key in pairs}
    order = [key for key in keys[0] if key in common and (key if key[0] == "caption" else _caption_of(key)) in used]
    counts = [sum(key[0] == "paraphrase" for key in own) for own in keys]
    shared = len(pairs)
    if not shared:
        raise DataError(f"{labels[0]} and {' and '.join(labels[1:])} have no pair in common", "evaluate them on one dataset")
    depths = [rankings.depth for rankings in every]
    if any(len(own) != len(order) for own in keys):
        sizes = ", ".join(f"{label}: {count:,}" for label, count in zip(labels, counts, strict=True))
        if not intersect:
            what = "pairs" if len(set(counts)) > 1 or shared < counts[0] else "foils"
            raise DataError(f"the runs have different {what} ({sizes} pairs); they share {shared:,} pairs", "pass --intersect to compare on these")
        notes.append(f"compared on the {shared:,} pairs that all runs share ({sizes})")
    elif len({run.result.dataset.fingerprint for run in runs}) > 1:
        notes.append("the runs' data sets differ in other things than pairs and gallery ids (captions of the gallery, kinds)")
    if len(set(depths)) > 1:
        said = ", ".join(f"{label}: {depth}" for label, depth in zip(labels, depths, strict=True))
        if not intersect:
            raise DataError(
                f"the rankings were stored to different depths ({said})",
                f"evaluate with one --depth, or pass --intersect to compare the first {min(depths)}",
            )
        notes.append(f"rankings compared to depth {min(depths)} ({said})")
    return [_cut(rankings.select([rows[key] for key in order]), min(depths)) for rankings, rows in zip(every, keys, strict=True)]


def _caption_of(key: Key) -> Key:
    """The key of the caption that a paraphrase or foil belongs to."""
    return key[3:-1]


def _cut(rankings: Rankings, depth: int) -> Rankings:
    return rankings if rankings.depth == depth else replace(rankings, top=rankings.top[:, :depth], scores=rankings.scores[:, :depth])


def _keys(rankings: Rankings) -> dict[Key, int]:
    """What each row asks, whatever its ids are → the row.

    A caption is its role, picture and text, and which of several equal ones it is; a paraphrase or a foil
    also names the caption it belongs to.  Controls (captions asked again) are not compared.
    """
    seen: Counter[tuple[Any, ...]] = Counter()
    key_of: dict[int, Key] = {}
    for role in ("caption", "paraphrase", "foil"):
        for row in rankings.rows(role).tolist():
            caption = int(rankings.caption_row[row])
            what = (role, rankings.image_id[row], rankings.query_sha256[row], *(key_of[caption] if caption != row else ()))
            key_of[row] = (*what, seen[what])
            seen[what] += 1
    return {key: row for row, key in key_of.items()}


def _chosen(metrics: Sequence[str] | None, runs: Sequence[Run], items: Items) -> list[str]:
    if metrics is not None:
        names = list(dict.fromkeys(canonical_name(name) for name in metrics))
        if not names:
            raise UsageError("no metric was asked for", "leave --metrics out or give names such as AO@10")
        for name in names:
            if name.startswith("foil-") and not len(items.foils):
                raise UsageError(f"{name} needs foils, and these runs have none", "leave it out")
        return names
    shared = [
        str(name) for name in runs[0].result.settings["metrics"]
        if all(name in run.result.settings["metrics"] for run in runs)
    ] or ["AO@10"]  # fmt: skip
    size = len(items.rankings.gallery)
    beside = [f"R@{k}" for k in (1, 5, 10) if k <= size] + [f"{n}@10{s}" for n, s in (("R", " paraphrase"), ("flip", "")) if size >= 10]
    foils = [f"foil-AUC({shared[0]})"] if len(items.foils) else []
    return [*shared[:2], *beside, *foils]


def _contrasts(
    names: Sequence[str],
    reference: dict[str, tuple[np.ndarray, np.ndarray]],
    own: dict[str, tuple[np.ndarray, np.ndarray]],
    reference_label: str,
    label: str,
    resampling: Resampling,
    n_permutations: int,
) -> list[Contrast]:
    together: dict[bytes, list[str]] = {}  # metrics over the same items share resamples and sign patterns
    for name in names:
        together.setdefault(reference[name][1].tobytes(), []).append(name)
    found: dict[str, PairedDifference] = {}
    for group in together.values():
        differences = np.column_stack([own[name][0] - reference[name][0] for name in group])
        paired = paired_differences(
            differences, reference[group[0]][1], n_resamples=resampling.n_resamples, n_permutations=n_permutations,
            seed=resampling.seed, level=resampling.level,
        )  # fmt: skip
        found |= dict(zip(group, paired, strict=True))
    return [
        Contrast(
            metric=name, run=label, reference=reference_label, value=float(own[name][0].mean()),
            reference_value=float(reference[name][0].mean()), difference=found[name].difference,
            ci_low=found[name].ci_low, ci_high=found[name].ci_high, p=found[name].p,
            minimum_detectable=found[name].minimum_detectable, n=found[name].n, clusters=found[name].clusters,
        )
        for name in names
    ]  # fmt: skip
