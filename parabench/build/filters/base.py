"""What a quality check is: it answers keep, or drop with a reason, and says what it measured either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parabench.build.candidates import Candidate


@dataclass(frozen=True)
class Verdict:
    """Keep (``reason == ""``) or drop with a short reason such as ``"number added: two"``; scores are recorded always."""

    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


class Filter(Protocol):
    """One quality check.

    Batches come in the build's fixed order, so a check that compares sentences with earlier ones (duplicates)
    may keep state between calls.  Candidates that an earlier check dropped are not shown to later ones.
    """

    name: str

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One verdict a candidate, in order."""
        ...
