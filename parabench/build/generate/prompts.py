"""The prompts: readable files under ``parabench/build/prompts``, each named in a build by its hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from parabench.build.record import PromptRecord
from parabench.errors import DataError
from parabench.storage import sha256_text

STEPS = {
    "lexical": ("lexical",),
    "syntactic": ("syntactic",),
    "free": ("free",),
    "two-step": ("two-step-first", "two-step-second"),
    "foil": ("foil",),
}
"""Kind → its prompts in turn.  ``two-step`` is ParaCLIP's (arXiv 2402.15120): rewrite, then rewrite without the words used."""


@dataclass(frozen=True)
class Prompt:
    """A prompt file.

    Attributes:
        name: of the file, without ``.yaml``.
        system: the instruction; it holds no caption, captions come as JSON in the user message.
        answer: the field of the JSON object that is asked for.
        text: the whole file.
    """

    name: str
    system: str
    answer: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the file."""
        return sha256_text(self.text)

    def record(self) -> PromptRecord:
        """For the build record."""
        return PromptRecord(name=self.name, sha256=self.sha256, text=self.text)

    def schema(self) -> dict[str, Any]:
        """``response_format`` of a request: a JSON object with the one field."""
        return {
            "type": "json_schema",
            "json_schema": {
                "name": self.answer,
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {self.answer: {"type": "string"}},
                    "required": [self.answer],
                    "additionalProperties": False,
                },
            },
        }

    def messages(self, data: dict[str, Any]) -> list[dict[str, str]]:
        """The conversation: the instruction, and what it is about as quoted JSON."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
        ]


def read_prompt(name: str, folder: Path | None = None) -> Prompt:
    """The prompt ``name``: from ``folder`` where it has one, else the package's own.

    Raises:
        DataError: the file is not a prompt.
    """
    import yaml

    own = None if folder is None else folder / f"{name}.yaml"
    if folder is not None and not folder.is_dir():
        raise DataError(f"no such folder of prompts: {folder}", "check --prompts")
    if own is not None and own.is_file():
        text, where = own.read_text(encoding="utf-8"), str(own)
    else:
        text = resources.files("parabench.build").joinpath("prompts", f"{name}.yaml").read_text(encoding="utf-8")
        where = f"{name}.yaml"
    try:
        fields = yaml.safe_load(text)
        system, answer = fields["system"], fields["answer"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is not a prompt: {type(error).__name__}: {error}", "write the fields 'system' and 'answer'"
        ) from None
    if not (isinstance(system, str) and system.strip() and isinstance(answer, str) and answer.strip()):
        raise DataError(f"{where} is not a prompt", "'system' and 'answer' are texts")
    return Prompt(name, system.strip(), answer.strip(), text)
