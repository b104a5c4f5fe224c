"""``human``: tasks out to people, answers back in.

Tasks are written for MTurk (CSV), Prolific (CSV), Label Studio (JSON), Argilla (JSONL records) or as plain CSV or JSONL.
Some of them are attention checks, seeded and looking like the rest; what they expect is never in the file.  Answers are
read from what these platforms export, or from any table with ``task_id``, ``answer`` and ``annotator``.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.generate.answers import MalformedAnswerError, plain_sentence
from parabench.build.generate.platforms import PLATFORMS, Answer, read_answers
from parabench.build.generate.protocol import Options, Plan
from parabench.build.ledger import Ledger
from parabench.build.record import GeneratorRecord, PromptRecord, RequestsRecord
from parabench.errors import DataError, UsageError, did_you_mean
from parabench.progress import note
from parabench.storage import sha256_json, sha256_text, write_text

INSTRUCTIONS = {
    "lexical": "Say the same with other words: exchange as many words as you can and keep the order of the sentence.",
    "syntactic": "Say the same with another structure: move, split or turn around the parts of the sentence.",
    "free": "Say the same as you would say it yourself.",
    "two-step": "Say the same with as few of the sentence's own words as you can.",
    "foil": "Change one visible thing, so that the sentence looks alike and is no longer true of the photograph.",
}
COMMON = (
    " Keep every number, colour, name and place, add nothing and leave nothing out. If a sentence asks you to type a "
    "certain word, type that word and nothing else."
)
ONE_CHECK_IN = 20
"""Every twentieth task is an attention check, at least one."""
PASSED = 0.7
"""Share of the attention checks that an annotator must pass; an annotator who met none counts as passing."""
_CHECK_WORDS = ("lantern", "pebble", "harvest", "cabinet", "ribbon", "meadow", "anchor", "velvet", "kettle", "violin")


@dataclass(frozen=True)
class Task:
    """A sheet for one person: ``expected`` is the word of an attention check, ``""`` for a real task."""

    task_id: str
    kind: str
    instruction: str
    caption: str
    image_id: str = ""
    expected: str = ""

    def row(self) -> dict[str, str]:
        """What a platform shows."""
        return {
            "task_id": self.task_id, "instruction": self.instruction, "caption": self.caption, "image_id": self.image_id
        }  # fmt: skip


class HumanGenerator:
    """The backend.  Without answers it can only hand tasks out (:meth:`hand_out`)."""

    def __init__(self, options: Options) -> None:
        if options.platform is not None and options.platform not in PLATFORMS:
            raise UsageError(f"unknown platform '{options.platform}'", did_you_mean(options.platform, PLATFORMS))
        if options.file is None and options.tasks is None:
            raise UsageError(
                "the generator 'human' needs --tasks FILE (write tasks) or --answers FILE (read what came back)",
                "write the tasks first",
            )
        if not options.kinds and not options.foils:
            raise UsageError("there is nothing to write", "name --kinds, or ask for --foils")
        self._options = options
        self._kinds = [*options.kinds, *(["foil"] if options.foils else [])]
        self._answers = [] if options.file is None else read_answers(options.file)
        self._facts: dict[str, Any] = {}

    def record(self) -> GeneratorRecord:
        """Instructions, and how attentive the annotators were."""
        return GeneratorRecord(
            source="human", model="people", about="Written by people; each is named by a pseudonym.",
            parameters=self._facts,
            prompts=[
                PromptRecord(name=f"instruction-{kind}", sha256=sha256_text(_instruction(kind)), text=_instruction(kind))
                for kind in self._kinds
            ],
        )  # fmt: skip

    def requests(self) -> RequestsRecord:
        """Nothing is asked of a server."""
        return RequestsRecord()

    def plan(self, captions: Sequence[Caption], ledger: Ledger | None) -> Plan:
        """Sheets for people cost what people are paid; that is not estimated."""
        return Plan(len(captions), len(captions) * len(self._kinds) * self._options.per_task)

    def hand_out(self, captions: Sequence[Caption]) -> Path:
        """Write the tasks, attention checks mixed in, and return the file.

        Raises:
            UsageError: no file was named.
            ParabenchError: it can't be written.
        """
        if self._options.tasks is None:
            raise UsageError("there is no file for the tasks", "name it with --tasks FILE")
        platform = self._options.platform or "csv"
        tasks = list(self._tasks(captions))
        write_text(self._options.tasks, PLATFORMS[platform]([task.row() for task in tasks], self._options.per_task))
        checks = sum(bool(task.expected) for task in tasks)
        note(f"{len(tasks):,} tasks for {platform}, {checks:,} of them attention checks")
        return self._options.tasks

    def generate(self, captions: Sequence[Caption], ledger: Ledger, created: str) -> Iterator[Candidate]:
        """One candidate an answer, in the order of the captions; those of inattentive annotators carry that reason.

        Raises:
            DataError: an answer belongs to no task of this sample.
        """
        if not self._answers:
            raise UsageError("there are no answers yet", "name the file that came back with --answers")
        salt = ledger.set_default("annotator-salt", f"{random.SystemRandom().getrandbits(128):032x}")
        tasks = {task.task_id: task for task in self._tasks(captions)}
        by_task: dict[str, list[Answer]] = {}
        for answer in self._answers:
            if answer.task_id not in tasks:
                raise DataError(
                    f"{answer.where}: there is no task '{answer.task_id}' for these captions and settings",
                    "give the same --captions, --images, --seed, --kinds and --foils as when the tasks were written",
                )
            named = replace(answer, annotator=_pseudonym(salt, answer.annotator))
            if any(other.annotator == named.annotator for other in by_task.get(answer.task_id, ())):
                raise DataError(f"{answer.where}: the same person answers this task twice", "remove one of the two rows")
            by_task.setdefault(answer.task_id, []).append(named)
        shares = self._attention(tasks, by_task)
        for caption in captions:
            for kind in self._kinds:
                task_id = self._task_id(caption, kind)
                given = sorted(by_task.get(task_id, ()), key=lambda answer: answer.annotator)
                for number, answer in enumerate(given):
                    text, reason = _read(answer.text)
                    share = shares.get(answer.annotator)
                    if share is not None and share < PASSED:
                        reason = reason or "annotator failed the attention checks"
                    yield Candidate(
                        pair_id=f"{caption.caption_id}-{kind}" + (f"-{number + 1}" if len(given) > 1 else ""),
                        caption=caption, text=text, role="foil" if kind == "foil" else "paraphrase", kind=kind,
                        source="human", generator=answer.annotator, created=created,
                        prompt_sha256=sha256_text(_instruction(kind)),
                        scores={} if share is None else {"attention": share}, reason=reason,
                    )  # fmt: skip

    def _tasks(self, captions: Sequence[Caption]) -> Iterator[Task]:
        """Real tasks in order; checks stand where the seed puts them."""
        n = len(captions) * len(self._kinds)
        chance = random.Random(f"{self._options.seed}:{n}")
        places = Counter(chance.randrange(n) for _ in range(max(1, n // ONE_CHECK_IN)))
        at = 0
        for caption in captions:
            for kind in self._kinds:
                for _ in range(places[at]):
                    yield self._check(chance, kind, captions[chance.randrange(len(captions))])
                yield Task(
                    self._task_id(caption, kind), kind, _instruction(kind), caption.text, caption.image_id
                )
                at += 1

    def _check(self, chance: random.Random, kind: str, model: Caption) -> Task:
        word = chance.choice(_CHECK_WORDS)
        start = " ".join(model.text.split()[:4]).rstrip(".,")
        sentence = f"{start} … Please type the word {word} instead of rewriting this sentence."
        task_id = sha256_json([self._options.seed, "check", chance.getrandbits(64)])[:16]
        return Task(task_id, kind, _instruction(kind), sentence, model.image_id, expected=word)

    def _task_id(self, caption: Caption, kind: str) -> str:
        return sha256_json([self._options.seed, caption.caption_id, caption.sha256, kind])[:16]

    def _attention(self, tasks: dict[str, Task], by_task: dict[str, list[Answer]]) -> dict[str, float]:
        """Pseudonym → share of attention checks passed."""
        met: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        for task_id, answers in by_task.items():
            if expected := tasks[task_id].expected:
                for answer in answers:
                    met[answer.annotator] += 1
                    passed[answer.annotator] += re.sub(r"[\W_]+", "", answer.text.lower()) == expected
        shares = {name: passed[name] / met[name] for name in met}
        people = {answer.annotator for answers in by_task.values() for answer in answers}
        self._facts = {
            "annotators": len(people),
            "annotators_checked": len(shares),
            "annotators_failed": sum(share < PASSED for share in shares.values()),
            "attention_checks_answered": sum(met.values()),
            "attention_checks_passed": sum(passed.values()),
        }
        return shares


def _instruction(kind: str) -> str:
    return INSTRUCTIONS[kind] + ("" if kind == "foil" else COMMON)


def _pseudonym(salt: str, annotator: str) -> str:
    """The same name for the same person in one ledger, and no way back without it."""
    return f"p-{sha256_text(f'{salt}:{annotator}')[:10]}"


def _read(text: str) -> tuple[str, str]:
    from parabench.build.generate.chain import NO_ANSWER

    try:
        return plain_sentence(text), ""
    except MalformedAnswerError:
        return " ".join(text.split())[:1000] or NO_ANSWER, "no usable answer"
