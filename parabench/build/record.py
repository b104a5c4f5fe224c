"""What a build was: everything its card has to say, in one record that is written beside the data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RECORD_VERSION = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SourceRecord(_Record):
    """The file that the captions came from."""

    name: str
    """File name without folders."""
    sha256: str
    kind: Literal["coco", "karpathy"]


class PromptRecord(_Record):
    """A prompt as it was sent."""

    name: str
    sha256: str
    text: str


class GeneratorRecord(_Record):
    """Who wrote the sentences."""

    source: str
    """The backend: ``openai``, ``batch``, ``human``, ``hf``, ``rules``, ``import``."""
    model: str
    """The model with its revision, ``rules-1``, the name of the imported file."""
    about: str = ""
    """One sentence for the card: what kind of writer this is and what it is not."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    prompts: list[PromptRecord] = Field(default_factory=list)


class RequestsRecord(_Record):
    """What was asked and what it took; all zero where nothing is asked (``rules``, ``import``)."""

    by_status: dict[str, int] = Field(default_factory=dict)
    """``answered``, ``refused``, ``failed`` → requests."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    """In the currency of the prices that were given; ``None`` where none were."""


class FilterCount(_Record):
    """One step of the funnel."""

    name: str
    seen: int
    dropped: int
    reasons: dict[str, int] = Field(default_factory=dict)
    """Reason → candidates dropped for it, the most frequent first."""


class BuildRecord(_Record):
    """What was run to make a release; equal builds have equal records, however often they were interrupted."""

    record_version: int = RECORD_VERSION
    parabench_version: str
    created: str
    """ISO date on which the build was begun."""
    seed: int
    source: SourceRecord
    sampling: dict[str, Any]
    """The settings of :class:`parabench.build.sample.Sampling` and what came of them."""
    generator: GeneratorRecord
    requests: RequestsRecord = Field(default_factory=RequestsRecord)
    filters: dict[str, Any] = Field(default_factory=dict)
    """The configuration of the quality checks."""
    funnel: list[FilterCount] = Field(default_factory=list)
    """In the order of the checks; ``seen`` counts what the step before let through."""
    n_candidates: int = 0
    n_kept: int = 0

    def summary(self) -> str:
        """The funnel and what it took, for people."""
        lines = [f"{self.n_candidates:,} sentences of {self.generator.model}, {self.n_kept:,} kept"]
        for step in self.funnel:
            if step.dropped:
                reasons = ", ".join(f"{reason} {count:,}" for reason, count in step.reasons.items())
                lines.append(f"  {step.name}: {step.dropped:,} of {step.seen:,} dropped ({reasons})")
        asked = self.requests
        if asked.by_status:
            counts = ", ".join(f"{count:,} {status}" for status, count in asked.by_status.items())
            cost = "" if asked.cost is None else f", cost {asked.cost:.4f}"
            lines.append(f"requests: {counts}; {asked.tokens_in:,} tokens sent, {asked.tokens_out:,} received{cost}")
            if asked.by_status.get("failed"):
                lines.append("failed requests stand in 'rejected'; --retry-failed sends them again")
        return "\n".join(lines)
