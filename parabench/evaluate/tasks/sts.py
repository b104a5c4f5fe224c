"""Semantic textual similarity: does the text tower call alike what people call alike?"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from parabench.data.sources.sts import SPLITS, StsSet, find_sts
from parabench.errors import DataError
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.evaluate.tasks.task import TaskModel, TaskSource, details_of, paired_cosines, with_details
from parabench.metrics.bootstrap import Estimate, cluster_index
from parabench.metrics.correlation import MOST_RESAMPLES, percentile_estimate, spearman_draws, spearman_rho
from parabench.storage import sha256_json

PUBLISHED = {"STS12": 3108, "STS13": 1500, "STS14": 3750, "STS15": 3000, "STS16": 1186, "STS-B": 1379, "SICK-R": 4927}
"""The seven test sets whose mean papers report, and how many pairs each has."""


@dataclass(frozen=True)
class StsData:
    """Sets as they were found."""

    sets: tuple[StsSet, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every pair and score."""
        return sha256_json([[s.name, s.split, [(p.first, p.second, p.score) for p in s.pairs]] for s in self.sets])

    @property
    def provenance(self) -> str:
        """Sets with their sizes and folders."""
        folders = sorted({str(path.parent) for held in self.sets for path in held.files})
        return f"{', '.join(f'{s.name} {s.split} ({len(s.pairs):,})' for s in self.sets)} from {', '.join(folders)}"

    def texts(self) -> list[str]:
        """Every distinct sentence."""
        return list(dict.fromkeys(text for s in self.sets for pair in s.pairs for text in (pair.first, pair.second)))


class SentenceSimilarity:
    """Spearman's ρ × 100 between cosine and human score, for each set and split, and their mean."""

    def load(self, source: TaskSource) -> StsData:
        """Every public set below the folder; see :func:`parabench.data.sources.sts.find_sts`."""
        data = StsData(tuple(find_sts(source.given)))
        for held in data.sets:
            if len({pair.score for pair in held.pairs}) < 2:
                raise DataError(
                    f"{held.files[0]}: all {len(held.pairs)} scores of {held.name} {held.split} are equal, so they order nothing",
                    "a set needs at least two different scores",
                )
        return data

    def rows(self, data: StsData, model: TaskModel) -> pa.Table:
        """One row a pair: ``set, split, genre, first, second, human, cosine``."""
        pairs = [(held, pair) for held in data.sets for pair in held.pairs]
        texts = data.texts()
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = model.embedder.texts(texts)
        first, second = (np.array([row_of[text] for text in side]) for side in zip(*((p.first, p.second) for _, p in pairs), strict=True))
        table = pa.table(
            {
                "set": [held.name for held, _ in pairs],
                "split": [held.split for held, _ in pairs],
                "genre": [pair.genre for _, pair in pairs],
                "first": [pair.first for _, pair in pairs],
                "second": [pair.second for _, pair in pairs],
                "human": pa.array([pair.score for _, pair in pairs], pa.float64()),
                "cosine": paired_cosines(vectors, first, vectors, second),
            }
        )
        return with_details(table)

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """ρ × 100 of ``"<set> <split>"``, and ``mean`` over one split a set.

        Pairs that share their first sentence are one cluster of the bootstrap (2,000 resamples at most).  In the mean the sets are
        resampled independently.
        """
        task = TaskResult(details=details_of(rows))
        names, splits, genres = (np.array(rows[c].to_pylist()) for c in ("set", "split", "genre"))
        known: dict[str, int] = {}
        first = np.array([known.setdefault(text, len(known)) for text in rows["first"].to_pylist()], np.int64)
        human, cosine = rows["human"].to_numpy(), rows["cosine"].to_numpy().astype(np.float64)
        draws: dict[tuple[str, str], np.ndarray | None] = {}
        flat: list[str] = []
        for name, split in dict.fromkeys(zip(names.tolist(), splits.tolist(), strict=True)):
            chosen = (names == name) & (splits == split)
            x, y, cluster = cosine[chosen], human[chosen], first[chosen]
            stream = (resampling.seed, zlib.crc32(f"{name} {split}".encode()))  # sets are resampled independently
            drawn = spearman_draws(x[:, None], y, cluster, n_resamples=min(MOST_RESAMPLES, resampling.n_resamples), seed=stream)
            draws[name, split] = None if drawn is None else 100 * drawn[:, 0]
            estimate = _estimate(100 * spearman_rho(x, y), draws[name, split], cluster, resampling)
            entry = task.metrics[f"{name} {split}"] = measure(estimate)
            if len(set(x.tolist())) == 1:
                flat.append(f"{name} {split}")
            for genre in sorted(set(genres[chosen].tolist()) - {""}):
                part = genres[chosen] == genre
                if part.sum() > 1 and len(set(y[part].tolist())) > 1:
                    own = Estimate(100 * spearman_rho(x[part], y[part]), None, None, int(part.sum()), cluster_index(cluster[part])[1])
                    entry.by_kind = {**(entry.by_kind or {}), genre: measure(own)}
        counted = sorted({name: min((s for n, s in draws if n == name), key=SPLITS.index) for name, _ in draws}.items())
        values = [task.metrics[f"{name} {split}"] for name, split in counted]
        held = [drawn for key in counted if (drawn := draws[key]) is not None]
        mean = Estimate(float(np.mean([entry.value for entry in values])), None, None, sum(e.n for e in values), sum(e.clusters for e in values))
        if len(held) == len(counted):
            mean = percentile_estimate(mean.value, np.mean(held, axis=0), mean.n, mean.clusters, resampling.level)
        task.metrics["mean"] = measure(mean)
        task.details |= {"mean_of": [f"{name} {split}" for name, split in counted], "scale": "Spearman × 100"}
        sizes = {name: task.metrics[f"{name} test"].n for name in PUBLISHED if (name, "test") in draws}
        lacking = [name for name in PUBLISHED if name not in sizes]
        other = [f"{name} has {sizes[name]:,} of {PUBLISHED[name]:,} pairs" for name in sizes if sizes[name] != PUBLISHED[name]]
        if said := [*([f"without {', '.join(lacking)} (test)"] if lacking else []), *other]:
            task.details["note"] = f"not the mean of the seven published test sets: {'; '.join(said)}"
        if flat:
            task.details["no_order"] = f"all cosines are equal, counted as 0: {', '.join(flat)}"
        return task


def _estimate(value: float, draws: np.ndarray | None, clusters: np.ndarray, resampling: Resampling) -> Estimate:
    return percentile_estimate(value, draws, len(clusters), cluster_index(clusters)[1], resampling.level)
