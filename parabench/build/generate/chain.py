"""One sentence of one caption: the requests that lead to it, each a function of the answers before.

A chain knows no clock and no server.  Given what the ledger holds it says the next thing to ask, or the result; that is
why an interrupted build continues at the very request, and why the Batch API, a live server and a local model give the
same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parabench.build.caption import Caption
from parabench.build.generate.answers import MalformedAnswerError, plain_sentence, sentence_of
from parabench.build.generate.prompts import Prompt
from parabench.build.requests import Outcome, Request

REPAIRS = 2
"""How often a malformed answer is sent back."""
NO_ANSWER = "(no answer)"
"""The text of a candidate that nothing was said for."""

Lookup = Callable[[Request], Outcome | None]


@dataclass(frozen=True)
class Result:
    """How a chain ended: a sentence, or a reason and the last words."""

    sentence: str
    reason: str = ""


@dataclass(frozen=True)
class Chain:
    """The way to one kind of sentence.

    Attributes:
        kind: ``lexical``, …, ``foil``.
        prompts: one a step.
        model, parameters: part of every payload.
        structured: whether the server is asked to keep to a JSON schema.
        plain: whether the model answers with the sentence and nothing else.
    """

    kind: str
    prompts: Sequence[Prompt]
    model: str
    parameters: Mapping[str, Any]
    structured: bool = True
    plain: bool = False

    def follow(self, caption: Caption, lookup: Lookup, *, ask_failed: bool = False) -> Request | Result:
        """The next request of a caption, or its result.

        Args:
            caption: what is rewritten.
            lookup: what the ledger knows of a request.
            ask_failed: treat failed requests as not asked.
        """
        sentence = ""
        for prompt in self.prompts:
            data: dict[str, Any] = {"caption": caption.text}
            if sentence:
                data |= {"sentence": sentence, "avoid": words_used(caption.text, sentence)}
            messages = prompt.messages(data)
            for repair in range(REPAIRS + 1):
                request = self.request(prompt, messages)
                outcome = lookup(request)
                if outcome is None or outcome.status == "pending" or (ask_failed and outcome.status == "failed"):
                    return request
                said = outcome.answer or ""
                if outcome.status == "failed":
                    return Result(said.strip() or NO_ANSWER, f"no answer: {outcome.error or 'unknown'}")
                if outcome.status == "refused":
                    return Result(" ".join(said.split()) or NO_ANSWER, "refused by the model")
                try:
                    sentence = plain_sentence(said) if self.plain else sentence_of(said, prompt.answer)
                    break
                except MalformedAnswerError as error:
                    if self.plain or repair == REPAIRS:
                        return Result(" ".join(said.split())[:1000] or NO_ANSWER, f"malformed answer: {error}")
                    messages = [*messages, *_complaint(said, str(error), prompt.answer)]
        return Result(sentence)

    def request(self, prompt: Prompt, messages: list[dict[str, str]]) -> Request:
        """The whole body of one question."""
        payload: dict[str, Any] = {"model": self.model, "messages": messages, **self.parameters}
        if self.structured:
            payload["response_format"] = prompt.schema()
        return Request(payload)

    def rehearse(self, caption: Caption) -> list[Request]:
        """What would be asked if every answer were the caption itself: for estimates."""
        asked: list[Request] = []

        def echo(request: Request) -> Outcome:
            asked.append(request)
            field = self.prompts[len(asked) - 1].answer
            return Outcome(request.key, "answered", Request({field: caption.text}).text)

        self.follow(caption, echo)
        return asked


def words_used(*sentences: str) -> list[str]:
    """Content words of sentences, lower-cased, in order of appearance."""
    words = (word.lower() for sentence in sentences for word in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", sentence))
    return list(dict.fromkeys(word for word in words if len(word) > 1 and word not in _FUNCTION_WORDS.split()))


def _complaint(said: str, problem: str, field: str) -> list[dict[str, str]]:
    return [
        {"role": "assistant", "content": said},
        {
            "role": "user",
            "content": f"This answer can't be used: {problem}. Answer again, with one JSON object and nothing else: "
            f'{{"{field}": "..."}}',
        },
    ]


_FUNCTION_WORDS = (
    "an the and or but nor as at by for from in into of off on onto out over to under up down with without near next "
    "is are was were be been being am do does did has have had it its he she they them his her their this that these "
    "those there here who which what while when where not no some any each other another both all very so than then "
    "him himself herself itself themselves one"
)
