"""What a generator of sentences is, and what it may be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.ledger import Ledger
from parabench.build.record import GeneratorRecord, RequestsRecord
from parabench.engine import Engine
from parabench.errors import UsageError, did_you_mean

PARAPHRASE_KINDS = ("lexical", "syntactic", "free", "two-step")


@dataclass(frozen=True)
class Options:
    """What the command line tells a generator; each reads the fields that concern it.

    Attributes:
        kinds: kinds of paraphrases wanted, one sentence a kind and caption.
        foils: whether a foil of each caption is wanted too.
        model: the model's name as the server or the hub knows it.
        base_url: address of an OpenAI-compatible server; ``None`` for the client's default.
        concurrency: requests in flight.
        timeout: seconds until a request counts as unanswered.
        attempts: how often a request is sent at most.
        parameters: sent with every request (``temperature``, …); ``None`` as a value leaves a default out.
        price_in, price_out: per million tokens, in any currency; ``None`` where unknown.
        retry_failed: send requests again that failed in an earlier run.
        prompts: folder with own versions of the prompt files.
        file: what is imported, or the answers of people.
        tasks, platform: where tasks for people are written, and for which platform.
        per_task: how many people see each task.
        batch_api: use the Batch API.
        poll: seconds between looks at a batch job.
        device, batch_size: for local models.
        engine: where local models run.
        seed: of everything random.
    """

    kinds: tuple[str, ...] = ("lexical", "syntactic")
    foils: bool = False
    model: str | None = None
    base_url: str | None = None
    concurrency: int = 16
    timeout: float = 60.0
    attempts: int = 6
    parameters: Mapping[str, Any] = field(default_factory=dict)
    price_in: float | None = None
    price_out: float | None = None
    retry_failed: bool = False
    prompts: Path | None = None
    file: Path | None = None
    tasks: Path | None = None
    platform: str | None = None
    per_task: int = 1
    batch_api: bool = False
    poll: float = 30.0
    device: str = "auto"
    batch_size: int = 16
    engine: Engine = field(default_factory=Engine)
    seed: int = 0

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in PARAPHRASE_KINDS:
                raise UsageError(f"unknown kind of paraphrase '{kind}'", did_you_mean(kind, PARAPHRASE_KINDS))
        if len(set(self.kinds)) != len(self.kinds):
            raise UsageError("the same kind of paraphrase is asked for twice", "name each kind once")


@dataclass(frozen=True)
class Plan:
    """What a build would ask, before anything is asked.

    Attributes:
        captions: that are rewritten.
        candidates: sentences that should come of it.
        requests: that this takes; repairs of malformed answers come on top.
        answered: those of them that the ledger holds an answer to.
        tokens_in, tokens_out: an estimate of what the others take, at four characters a token.
        cost: an estimate from the prices given; ``None`` where none were.
    """

    captions: int
    candidates: int
    requests: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None

    def __str__(self) -> str:
        lines = [f"plan: {self.captions:,} captions, {self.candidates:,} sentences"]
        if self.requests:
            lines.append(
                f"requests: {self.requests:,}, of which {self.answered:,} are answered in the ledger and "
                f"{self.requests - self.answered:,} are to be sent"
            )
            lines.append(f"tokens (estimated): {self.tokens_in:,} sent, {self.tokens_out:,} received")
            lines.append(
                "cost: give --price-in and --price-out (per million tokens) for an estimate"
                if self.cost is None
                else f"cost (estimated, at the prices given): {self.cost:.4f}"
            )
        return "\n".join(lines)


class Generator(Protocol):
    """A writer of paraphrases and foils."""

    def record(self) -> GeneratorRecord:
        """Who writes, with which parameters and prompts."""
        ...

    def plan(self, captions: Sequence[Caption], ledger: Ledger | None) -> Plan:
        """What it would take; asks nothing and writes nothing (``ledger`` is ``None`` where there is none yet)."""
        ...

    def generate(self, captions: Sequence[Caption], ledger: Ledger, created: str) -> Iterator[Candidate]:
        """All candidates, streamed in an order that depends on the captions alone.

        A sentence that could not be had is a candidate too, with the reason.  Interrupted at any moment, it continues
        from the ledger.

        Raises:
            ModelError: the writer can't work at all (wrong key, no server, no such model); what it got is kept.
        """
        ...

    def requests(self) -> RequestsRecord:
        """What was asked, after :meth:`generate`."""
        ...


Factory = Callable[[Options], Generator]
"""What a backend registers under a name, also through the entry-point group ``parabench.generators``."""
