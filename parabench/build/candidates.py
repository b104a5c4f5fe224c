"""Candidates: the sentences that a build got, each with what the checks said of it, in a table of the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, cast

from parabench.build.caption import Caption
from parabench.build.ledger import Ledger
from parabench.storage import canonical_json

Role = Literal["paraphrase", "foil"]

_TABLE = """CREATE TABLE IF NOT EXISTS candidates (
    position INTEGER PRIMARY KEY, pair_id TEXT NOT NULL UNIQUE, caption_id TEXT NOT NULL, image_id TEXT NOT NULL,
    caption TEXT NOT NULL, split TEXT NOT NULL, labels TEXT NOT NULL, text TEXT NOT NULL, role TEXT NOT NULL,
    kind TEXT NOT NULL, source TEXT NOT NULL, generator TEXT NOT NULL, prompt_sha256 TEXT, created TEXT NOT NULL,
    scores TEXT NOT NULL, reason TEXT NOT NULL)"""
_COLUMNS = (
    "pair_id, caption_id, image_id, caption, split, labels, text, role, kind, source, generator, prompt_sha256,"
    " created, scores, reason"
)


@dataclass(frozen=True)
class Candidate:
    """A sentence that may become a paraphrase or a foil of a caption.

    Attributes:
        pair_id: unique in the build; what verdicts and reviews refer to.
        caption: what it rewrites.
        text: the sentence.
        role: ``paraphrase`` (same meaning) or ``foil`` (a small change that makes it false).
        kind: ``lexical``, ``syntactic``, ``free``, ``two-step``, …; ``foil`` for foils.
        source: the way it came: ``openai``, ``human``, ``hf``, ``rules``, ``import``.
        generator: who wrote it: a model with its revision, a pseudonym, ``rules-1``.
        prompt_sha256: hash of the prompt file, where there was one.
        created: ISO date.
        scores: what every check measured, by name.
        reason: why it was dropped, ``""`` while it is kept.
    """

    pair_id: str
    caption: Caption
    text: str
    role: Role
    kind: str
    source: str
    generator: str
    created: str
    prompt_sha256: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def judged(self, reason: str, scores: Mapping[str, float]) -> Candidate:
        """The same candidate with more scores; the first reason to drop it stays."""
        return replace(self, reason=self.reason or reason, scores={**self.scores, **scores})


_BATCH = 1000


class CandidateTable:
    """The candidates of a build, in a fixed order that does not depend on when answers came."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        with ledger.errors():
            ledger.connection.execute(_TABLE)

    @property
    def state(self) -> str | None:
        """What :meth:`replace` was told the table is, or ``None``."""
        return self._ledger.meta("candidates")

    def replace(self, candidates: Iterable[Candidate], state: Callable[[], str] | None = None) -> None:
        """Write the whole table anew, whole or not at all; the position follows from the order given.

        Args:
            candidates: in order.
            state: says, once all have been written, what the table is now.

        Candidates are collected beside the ledger first, so that a slow stream (checks, a generator that asks) holds
        no lock on it; the exchange itself is one short transaction.
        """
        connection = self._ledger.connection
        stream = iter(candidates)
        with self._ledger.errors():
            connection.execute("DROP TABLE IF EXISTS temp.staged")
            connection.execute("CREATE TEMP TABLE staged AS SELECT * FROM main.candidates WHERE 0")
        position = 0
        while batch := list(islice(stream, _BATCH)):
            with self._ledger.errors():
                connection.execute("BEGIN")
                connection.executemany(
                    f"INSERT INTO temp.staged (position, {_COLUMNS}) VALUES ({', '.join('?' * 16)})",
                    ((at, *_values(candidate)) for at, candidate in enumerate(batch, position + 1)),
                )
                connection.execute("COMMIT")
            position += len(batch)
        with self._ledger.transaction():
            connection.execute("DELETE FROM main.candidates")
            connection.execute("INSERT INTO main.candidates SELECT * FROM temp.staged ORDER BY position")
            connection.execute("DELETE FROM meta WHERE name='candidates'")
            if state is not None:
                connection.execute("INSERT INTO meta VALUES ('candidates', ?)", [state()])
        with self._ledger.errors():
            connection.execute("DROP TABLE temp.staged")

    def __len__(self) -> int:
        with self._ledger.errors():
            return int(self._ledger.connection.execute("SELECT count(*) FROM candidates").fetchone()[0])

    def __iter__(self) -> Iterator[Candidate]:
        """All candidates in order, streamed."""
        with self._ledger.errors():
            for row in self._ledger.connection.execute(f"SELECT {_COLUMNS} FROM candidates ORDER BY position"):
                yield _candidate(row)

    def get(self, pair_id: str) -> Candidate | None:
        """One candidate, or ``None``."""
        with self._ledger.errors():
            row = self._ledger.connection.execute(
                f"SELECT {_COLUMNS} FROM candidates WHERE pair_id=?", [pair_id]
            ).fetchone()
        return None if row is None else _candidate(row)


def _values(c: Candidate) -> tuple[str | None, ...]:
    return (
        c.pair_id, c.caption.caption_id, c.caption.image_id, c.caption.text, c.caption.split,
        canonical_json(list(c.caption.labels)), c.text, c.role, c.kind, c.source, c.generator, c.prompt_sha256,
        c.created, canonical_json(dict(c.scores)), c.reason,
    )  # fmt: skip


def _candidate(row: tuple[str, ...]) -> Candidate:
    (pair_id, caption_id, image_id, caption, split, labels, text, role, kind, source, generator, prompt, created,
     scores, reason) = row  # fmt: skip
    return Candidate(
        pair_id=pair_id, caption=Caption(caption_id, image_id, caption, split, tuple(json.loads(labels))), text=text,
        role=cast(Role, role), kind=kind, source=source, generator=generator, created=created, prompt_sha256=prompt,
        scores=json.loads(scores), reason=reason,
    )  # fmt: skip
