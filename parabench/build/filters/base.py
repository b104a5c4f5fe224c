"""What a quality check is: it answers keep, or drop with a reason, and says what it measured either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parabench.build.candidates import Candidate, Role

BOTH_ROLES: frozenset[Role] = frozenset(("paraphrase", "foil"))
PARAPHRASES: frozenset[Role] = frozenset(("paraphrase",))


@dataclass(frozen=True)
class Verdict:
    """Keep (``reason == ""``) or drop with a short reason such as ``"number added: two"``; scores are recorded always.

    What stands before the colon is the kind of reason, which the funnel counts; what follows is the detail.
    """

    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


class Filter(Protocol):
    """One quality check.

    Batches come in the build's fixed order, so a check that compares sentences with earlier ones (duplicates)
    may keep state between calls.  Candidates that an earlier check dropped are not shown to later ones.

    Attributes:
        name: unique among the filters of a run; what the funnel calls it.
        roles: the candidates it is shown; a change of meaning drops a paraphrase and is the point of a foil.
    """

    name: str
    roles: frozenset[Role]

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One verdict a candidate, in order."""
        ...
