"""All numbers of an entry, from its rankings alone, in the leaderboard's own settings.

The functions are those of every run (:mod:`parabench.evaluate`), so a run in the default settings has the
same values to the last bit, and the same intervals to the rounding of float32 products.  Results are kept in the cache folder under a hash of the rankings, the
dataset and everything that could change a number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from parabench.evaluate.items import Items
from parabench.evaluate.paraphrase import DEFAULT_METRICS, paraphrase_task
from parabench.evaluate.resampling import Resampling
from parabench.evaluate.result import TaskResult
from parabench.evaluate.retrieval import retrieval_task
from parabench.evaluate.warnings import warnings_of
from parabench.leaderboard.reference import Reference
from parabench.metrics import parse
from parabench.retrieval.rankings import Rankings
from parabench.storage import cache_home, sha256_json, write_text
from parabench.version import __version__

METRICS = DEFAULT_METRICS
RESAMPLES, SEED, LEVEL = 10_000, 0, 0.95
AO_SCALE = 25_200
"""``AO@10`` is a multiple of 1/25,200: ten terms X_d/d, and 2,520 is a multiple of 1, …, 10."""

FAR = 65_535
"""Ranks are published up to here; no metric of the table looks that deep."""

_VERSION = 2
_EXAMPLES, _SHOWN = 6, 5


class Example(BaseModel):
    """A pair, by its number, and the first gallery positions for its caption and for its paraphrase."""

    pair: int
    caption_top: list[int]
    paraphrase_top: list[int]


@dataclass(frozen=True)
class Scored:
    """The numbers of an entry.

    Attributes:
        tasks: ``paraphrase`` and ``retrieval``, as in a run's ``result.json``.
        warnings: what a reader must know before trusting a high similarity.
        ao: ``(n_pairs,)`` AO@10 of every pair in 1/25,200.
        caption_rank, paraphrase_rank: ``(n_pairs,)`` 1-based ranks of the right picture, at most 65,535.
        examples: pairs where the wording changed most.
        depth: how deep the rankings are.
    """

    tasks: dict[str, TaskResult]
    warnings: list[str]
    ao: NDArray[np.uint16]
    caption_rank: NDArray[np.uint16]
    paraphrase_rank: NDArray[np.uint16]
    examples: list[Example]
    depth: int

    def number(self, task: str, metric: str) -> Any:
        """One :class:`Measure`, or ``None``."""
        return self.tasks[task].metrics.get(metric)

    def per_pair(self, name: str) -> NDArray[np.float64]:
        """The items of a metric of the table, one a pair: ``AO@10``, ``both@10``, ``R@10``, ``R@10 paraphrase``, ``flip@10``."""
        caption, paraphrase = self.caption_rank <= 10, self.paraphrase_rank <= 10
        by_name = {
            "AO@10": self.ao / AO_SCALE, "both@10": caption & paraphrase, "R@10": caption, "R@10 paraphrase": paraphrase,
            "flip@10": caption != paraphrase,
        }  # fmt: skip
        return np.asarray(by_name[name], np.float64)


def score_rankings(rankings: Rankings) -> Scored:
    """Compute everything."""
    resampling = Resampling(RESAMPLES, SEED, LEVEL)
    paraphrase, per_pair = paraphrase_task(rankings, [parse(name) for name in METRICS], resampling, SEED)
    tasks = {"paraphrase": paraphrase, "retrieval": retrieval_task(rankings, resampling)}
    rows = Items(rankings).paraphrases
    ranks = np.minimum(rankings.target_rank, FAR).astype(np.uint16)
    return Scored(
        tasks, warnings_of(tasks, rankings), np.rint(per_pair["AO@10"] * AO_SCALE).astype(np.uint16),
        ranks[rankings.caption_row[rows]], ranks[rows], _examples(rankings, rows, per_pair["AO@10"]),
        rankings.depth,
    )  # fmt: skip


def _examples(rankings: Rankings, rows: NDArray[np.int64], similarity: NDArray[np.float64]) -> list[Example]:
    """Where the caption finds its picture first and the paraphrase is least alike: at most one a picture."""
    captions = rankings.caption_row[rows]
    found_first = rankings.target_rank[captions] == 1
    order = np.lexsort((np.arange(len(rows)), -rankings.target_rank[rows], similarity, ~found_first))
    seen: set[str] = set()
    chosen: list[Example] = []
    for pair in order.tolist():
        if len(chosen) < _EXAMPLES and rankings.image_id[rows[pair]] not in seen:
            seen.add(rankings.image_id[rows[pair]])
            first, second = rankings.top[captions[pair], :_SHOWN], rankings.top[rows[pair], :_SHOWN]
            chosen.append(Example(pair=pair, caption_top=first.tolist(), paraphrase_top=second.tolist()))
    return chosen


def cache_key(rankings_sha256: str, reference: Reference) -> str:
    """Under which the numbers of a rankings file are kept."""
    return sha256_json(
        [_VERSION, __version__, np.__version__, METRICS, RESAMPLES, SEED, LEVEL, rankings_sha256, reference.fingerprint,
         reference.queries_sha256, reference.gallery_sha256]
    )  # fmt: skip


def remember(key: str, scored: Scored) -> None:
    """Keep the numbers of a rankings file."""
    told = {
        "tasks": {name: task.model_dump(mode="json") for name, task in scored.tasks.items()}, "warnings": scored.warnings,
        "depth": scored.depth,
        "examples": [example.model_dump() for example in scored.examples],
        "pairs": np.stack([scored.ao, scored.caption_rank, scored.paraphrase_rank]).astype("<u2").tobytes().hex(),
    }  # fmt: skip
    body = json.dumps(told, separators=(",", ":"))
    write_text(_place(key), json.dumps({"sha256": sha256_json(body)}) + "\n" + body, durable=False)


def recall(key: str) -> Scored | None:
    """The numbers that were kept, unless there are none or the file is damaged."""
    try:
        head, _, body = _place(key).read_text(encoding="utf-8").partition("\n")
        if json.loads(head)["sha256"] != sha256_json(body):
            return None
        told = json.loads(body)
        ao, caption_rank, paraphrase_rank = np.frombuffer(bytes.fromhex(told["pairs"]), "<u2").reshape(3, -1)
        return Scored(
            {name: TaskResult.model_validate(task) for name, task in told["tasks"].items()}, told["warnings"], ao,
            caption_rank, paraphrase_rank,
            [Example.model_validate(example) for example in told["examples"]], int(told["depth"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError):
        return None


def is_kept(key: str) -> bool:
    """Whether numbers are kept under this key."""
    return _place(key).exists()


def _place(key: str) -> Path:
    return cache_home() / "leaderboard" / f"{key}.json"
