"""The files of annotation platforms: tasks as each takes them in, answers as each gives them out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.data import cells
from parabench.data.table_file import TableFile, read_table
from parabench.errors import DataError

Rows = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Answer:
    """What one person wrote for one task; ``where`` names the file and line."""

    task_id: str
    text: str
    annotator: str
    where: str


def _csv(rows: Rows, per_task: int) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*rows[0], "answer", "annotator"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "answer": "", "annotator": ""} for row in rows for _ in range(per_task))
    return stream.getvalue()


def _mturk(rows: Rows, per_task: int) -> str:
    """Input of a HIT template with ``${instruction}`` and ``${caption}``; the number of people is set at MTurk."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    # MTurk's upload takes no characters outside the basic plane
    writer.writerows({k: "".join(c for c in v if ord(c) < 0x10000) for k, v in row.items()} for row in rows)
    return stream.getvalue()


def _label_studio(rows: Rows, per_task: int) -> str:
    """Tasks for a labelling interface with a ``TextArea`` that is named ``answer``."""
    return json.dumps([{"data": row} for row in rows], ensure_ascii=False, indent=1) + "\n"


def _argilla(rows: Rows, per_task: int) -> str:
    """Records with ``fields``, a text question ``answer`` and the task id as metadata."""
    return "".join(
        json.dumps(
            {
                "id": row["task_id"],
                "fields": {"instruction": row["instruction"], "caption": row["caption"]},
                "metadata": {"task_id": row["task_id"], "image_id": row["image_id"], "min_submitted": per_task},
            },
            ensure_ascii=False,
        )
        + "\n"
        for row in rows
    )


def _jsonl(rows: Rows, per_task: int) -> str:
    return "".join(
        json.dumps({**row, "answer": "", "annotator": ""}, ensure_ascii=False) + "\n" for row in rows for _ in range(per_task)
    )


PLATFORMS: dict[str, Callable[[Rows, int], str]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "mturk": _mturk,
    "prolific": _csv,
    "label-studio": _label_studio,
    "argilla": _argilla,
}
"""Platform → the text of its task file."""

_TASK = ("task_id", "Input.task_id", "metadata.task_id", "id")
_TEXT = ("answer", "Answer.answer", "Answer.paraphrase", "paraphrase", "text")
_PERSON = ("annotator", "WorkerId", "participant_id", "Participant id", "PROLIFIC_PID", "user_id", "annotator_id")


def read_answers(path: Path) -> list[Answer]:
    """Answers in a file: an export of Label Studio (JSON) or Argilla (JSONL, JSON), MTurk's results, or a table.

    Rows without an answer are left out.

    Raises:
        DataError: the file is none of these, or a row lacks its task or person.
    """
    table = read_table(path)
    if "annotations" in table.columns:
        return _of_label_studio(table)
    if "responses" in table.columns:
        return _of_argilla(table)
    columns = [next((name for name in names if name in table.columns), None) for names in (_TASK, _TEXT, _PERSON)]
    for column, names, what in zip(columns, (_TASK, _TEXT, _PERSON), ("task", "answer", "person"), strict=True):
        if column is None:
            raise DataError(
                f"{path}: there is no column for the {what} (columns: {', '.join(table.columns)})",
                f"name it one of {', '.join(names)}",
            )
    task, text, person = (str(column) for column in columns)
    found = [
        _answer(raw[task], raw.get(text), raw.get(person), table.where(at))
        for at, raw in enumerate(table.rows)
        if isinstance(raw.get(text), str) and raw[text].strip()
    ]
    return _some(path, found)


def _of_label_studio(table: TableFile) -> list[Answer]:
    found: list[Answer] = []
    for at, raw in enumerate(table.rows):
        where = table.where(at)
        try:
            for annotation in raw["annotations"] or []:
                if annotation.get("was_cancelled"):
                    continue
                person = annotation.get("completed_by", annotation.get("created_username"))
                if isinstance(person, dict):
                    person = person.get("email") or person.get("id")
                for result in annotation.get("result", []):
                    said = result["value"].get("text")
                    text = " ".join(said) if isinstance(said, list) else said
                    if isinstance(text, str) and text.strip():
                        found.append(_answer(raw["data"]["task_id"], text, person, where))
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"{where}: not a task of Label Studio: {type(error).__name__}: {error}", "export it as JSON"
            ) from None
    return _some(table.path, found)


def _of_argilla(table: TableFile) -> list[Answer]:
    found: list[Answer] = []
    for at, raw in enumerate(table.rows):
        where = table.where(at)
        try:
            task_id = (raw.get("metadata") or {}).get("task_id") or raw["id"]
            responses: Any = raw["responses"]
            if isinstance(responses, dict):  # {"answer": [{"value": …, "user_id": …}]}
                responses = [
                    {"user_id": one.get("user_id"), "values": {name: one}, "status": one.get("status", "submitted")}
                    for name, given in responses.items()
                    for one in given
                ]
            for response in responses or []:
                if response.get("status", "submitted") != "submitted":
                    continue
                text = next((v["value"] for n, v in response["values"].items() if n in _TEXT), None)
                if isinstance(text, str) and text.strip():
                    found.append(_answer(task_id, text, response.get("user_id"), where))
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"{where}: not a record of Argilla: {type(error).__name__}: {error}", "export records as JSON"
            ) from None
    return _some(table.path, found)


def _answer(task_id: Any, text: Any, person: Any, where: str) -> Answer:
    return Answer(
        cells.identifier(task_id, "task", where, untyped=True), cells.text(text, "answer", where),
        cells.identifier(person, "person", where, untyped=True), where,
    )  # fmt: skip


def _some(path: Path, found: list[Answer]) -> list[Answer]:
    if not found:
        raise DataError(f"{path} holds no answers", "export the finished tasks")
    return found
