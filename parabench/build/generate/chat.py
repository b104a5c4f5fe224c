"""Sentences from a model that is asked through the ledger: plan, ask what is missing, read the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.generate.chain import Chain, Lookup, Result
from parabench.build.generate.prompts import STEPS, read_prompt
from parabench.build.generate.protocol import Options, Plan
from parabench.build.ledger import Ledger
from parabench.build.record import GeneratorRecord, RequestsRecord
from parabench.build.requests import Outcome, Request, RequestTable
from parabench.errors import ModelError, UsageError
from parabench.progress import note

_CHARACTERS_A_TOKEN = 4
_TOKENS_AROUND_A_MESSAGE = 4
_TOKENS_AROUND_AN_ANSWER = 8
_NOTED_AT_ONCE = 1000


class StructuredOutputRefusedError(Exception):
    """The server takes no JSON schema."""


class Asker(Protocol):
    """The way questions reach a model."""

    def ask(self, requests: RequestTable) -> None:
        """Bring every pending request of the plan to an end, or raise.

        Raises:
            ModelError: nothing can be asked; everything that came is stored, the rest is pending.
            StructuredOutputRefusedError: ask again without ``response_format``.
        """
        ...


class ChatGenerator:
    """A generator that asks a chat model.

    Args:
        source: name of the backend, for provenance.
        model: its name with what pins it.
        about: one sentence for the card.
        asker: the way to the model.
        options: what is wanted.
        parameters: of every request, defaults already merged with the user's.
        plain: the model answers with the sentence and nothing else.
        structured: ask for answers by JSON schema.
    """

    def __init__(
        self, source: str, model: str, about: str, asker: Asker, options: Options, parameters: Mapping[str, Any], *,
        plain: bool = False, structured: bool = True,
    ) -> None:  # fmt: skip
        reserved = {"model", "messages", "response_format", "stream", "n"} & set(parameters)
        if reserved:
            raise UsageError(f"the parameter '{min(reserved)}' can't be set", "it follows from the other options")
        self._source, self._model, self._about, self._asker, self._options = source, model, about, asker, options
        self._parameters = {name: value for name, value in parameters.items() if value is not None}
        kinds = [*options.kinds, *(["foil"] if options.foils else [])]
        if not kinds:
            raise UsageError("there is nothing to write", "name --kinds, or ask for --foils")
        self._prompts = {kind: [read_prompt(name, options.prompts) for name in STEPS[kind]] for kind in kinds}
        self._plain, self._structured = plain, structured and not plain
        self._tally = RequestsRecord()

    def record(self) -> GeneratorRecord:
        """Model, parameters and prompts."""
        return GeneratorRecord(
            source=self._source, model=self._model, about=self._about, parameters=self._parameters,
            prompts=[prompt.record() for prompts in self._prompts.values() for prompt in prompts],
        )  # fmt: skip

    def requests(self) -> RequestsRecord:
        """What was asked, repairs included."""
        return self._tally

    def plan(self, captions: Sequence[Caption], ledger: Ledger | None) -> Plan:
        """Count requests; estimate tokens at four characters each, answers as long as the captions."""
        known = _reader(ledger)
        n_requests = answered = tokens_in = tokens_out = 0
        for caption in captions:
            for chain in self._chains(ledger):
                followed = chain.follow(caption, known)
                n_requests += len(chain.prompts)
                if isinstance(followed, Result):
                    answered += len(chain.prompts)
                    continue
                rehearsed = chain.rehearse(caption)
                before = len(chain.prompts) - 1 if _is_later_step(chain, followed) else 0
                answered += before
                for request in rehearsed[before:]:
                    said = "".join(message["content"] for message in request.payload["messages"])
                    tokens_in += _tokens(said) + 2 * _TOKENS_AROUND_A_MESSAGE
                    tokens_out += _tokens(caption.text) + _TOKENS_AROUND_AN_ANSWER
        prices = (self._options.price_in, self._options.price_out)
        cost = None
        if any(price is not None for price in prices):
            cost = (tokens_in * (prices[0] or 0.0) + tokens_out * (prices[1] or 0.0)) / 1e6
        n_candidates = len(captions) * len(self._prompts)
        return Plan(len(captions), n_candidates, n_requests, answered, tokens_in, tokens_out, cost)

    def generate(self, captions: Sequence[Caption], ledger: Ledger, created: str) -> Iterator[Candidate]:
        """Ask in rounds (first steps, repairs, second steps) until every chain has ended, then read the results."""
        with RequestTable(ledger) as table:
            retry = self._options.retry_failed
            while True:
                chains = self._chains(ledger)
                table.plan(self._open(captions, chains, table, ask_failed=retry))
                if retry:
                    note(f"{table.retry_failed():,} failed requests are asked again")
                    retry = False
                if not table.tally()["pending"]:
                    break
                try:
                    self._asker.ask(table)
                except StructuredOutputRefusedError:
                    note("the server takes no JSON schema (response_format): asking in words alone")
                    table.drop_pending()
                    ledger.set_default(self._plain_mark, "1")
                    continue
                if left := table.tally()["pending"]:
                    raise ModelError(
                        f"{left:,} requests are in jobs of the Batch API that an earlier run submitted",
                        "run the same command with --batch-api to collect them",
                    )
            table.plan(())
            yield from self._candidates(captions, chains, table, created)
            tally = table.tally()
        self._tally = RequestsRecord(
            by_status=tally.by_status, tokens_in=tally.tokens_in, tokens_out=tally.tokens_out, cost=tally.cost
        )

    def _chains(self, ledger: Ledger | None) -> list[Chain]:
        structured = self._structured and (ledger is None or ledger.meta(self._plain_mark) is None)
        return [
            Chain(kind, prompts, self._model, self._parameters, structured, self._plain)
            for kind, prompts in self._prompts.items()
        ]

    @property
    def _plain_mark(self) -> str:
        """Where the ledger notes that this model's server takes no JSON schema, so that a rerun asks the same."""
        return f"plain:{self._model}"

    def _open(
        self, captions: Sequence[Caption], chains: Sequence[Chain], table: RequestTable, *, ask_failed: bool
    ) -> Iterator[Request]:
        for caption in captions:
            for chain in chains:
                followed = chain.follow(caption, table.outcome, ask_failed=ask_failed)
                if isinstance(followed, Request):
                    yield followed

    def _candidates(
        self, captions: Sequence[Caption], chains: Sequence[Chain], table: RequestTable, created: str
    ) -> Iterator[Candidate]:
        """Results, while the plan becomes every request that led to them: what the build took in all."""
        asked: list[str] = []

        def noted(request: Request) -> Outcome | None:
            asked.append(request.key)
            return table.outcome(request)

        for caption in captions:
            for chain in chains:
                result = chain.follow(caption, noted)
                assert isinstance(result, Result)
                if len(asked) >= _NOTED_AT_ONCE:
                    table.include(asked)
                    asked.clear()
                yield Candidate(
                    pair_id=f"{caption.caption_id}-{chain.kind}", caption=caption, text=result.sentence,
                    role="foil" if chain.kind == "foil" else "paraphrase", kind=chain.kind, source=self._source,
                    generator=self._model, created=created, prompt_sha256=chain.prompts[-1].sha256, reason=result.reason,
                )  # fmt: skip
        table.include(asked)


def _reader(ledger: Ledger | None) -> Lookup:
    """Looks requests up without writing anything."""
    if ledger is None:
        return lambda request: None
    with ledger.errors():
        there = ledger.connection.execute("SELECT 1 FROM sqlite_master WHERE name='requests'").fetchone()
    if there is None:
        return lambda request: None

    def lookup(request: Request) -> Outcome | None:
        with ledger.errors():
            row = ledger.connection.execute(
                "SELECT status, answer, error FROM requests WHERE key=?", [request.key]
            ).fetchone()
        return None if row is None else Outcome(request.key, *row)

    return lookup


def _is_later_step(chain: Chain, request: Request) -> bool:
    return len(chain.prompts) > 1 and "avoid" in json.loads(request.payload["messages"][1]["content"])


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_A_TOKEN)
