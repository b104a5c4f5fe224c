"""Candidates through the filters, in order and in batches, with a count of what each filter dropped and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from parabench.build.candidates import Candidate
from parabench.build.filters.base import Filter
from parabench.build.filters.text import normalise

BATCH_SIZE = 1024


@dataclass
class Step:
    """What one filter did: ``reasons`` counts the kinds of reasons, without their details."""

    name: str
    seen: int = 0
    dropped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class Funnel:
    """The steps of a run in the order of its filters; ``seen`` and ``kept`` count all candidates that ran."""

    steps: list[Step] = field(default_factory=list)
    seen: int = 0
    kept: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """One dict a step (``name, seen, dropped, reasons``), for JSON and for cards; most frequent reasons first."""
        return [{**asdict(step), "reasons": dict(step.reasons.most_common())} for step in self.steps]

    def __str__(self) -> str:
        lines = [f"{step.name}: {step.dropped:,} of {step.seen:,} dropped" for step in self.steps if step.dropped]
        return "\n".join([*lines, f"kept: {self.kept:,} of {self.seen:,}"])


def run_filters(
    candidates: Iterable[Candidate],
    filters: Sequence[Filter],
    funnel: Funnel | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Candidate]:
    """Stream every candidate with its scores and, if it is dropped, the reason.

    The order stays, and nothing depends on ``batch_size``.  Texts come back normalised
    (:func:`parabench.build.filters.text.normalise`).  A candidate that comes with a reason passes unseen.

    Args:
        candidates: in the build's fixed order.
        filters: as :func:`parabench.build.filters.load_filters` gives them; those of ``duplicates`` keep state,
            so load them anew for another run.
        funnel: counts are written into it while candidates pass.
        batch_size: candidates in memory at a time.
    """
    counts = Funnel() if funnel is None else funnel
    counts.steps += [Step(filter.name) for filter in filters]
    steps = counts.steps[len(counts.steps) - len(filters) :]
    stream = iter(candidates)
    while batch := [replace(c, text=normalise(c.text)) for c in islice(stream, batch_size)]:
        for filter, step in zip(filters, steps, strict=True):
            shown = [i for i, c in enumerate(batch) if not c.reason and c.role in filter.roles]
            if not shown:
                continue
            verdicts = filter.check([batch[i] for i in shown])
            for i, verdict in zip(shown, verdicts, strict=True):
                batch[i] = batch[i].judged(verdict.reason, verdict.scores)
                step.seen += 1
                if verdict.reason:
                    step.dropped += 1
                    step.reasons[verdict.reason.partition(":")[0]] += 1
        counts.seen += len(batch)
        counts.kept += sum(not c.reason for c in batch)
        yield from batch
