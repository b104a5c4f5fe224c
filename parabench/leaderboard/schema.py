"""What a submission says: ``submission.json``, version 1.

One folder is one model on one dataset: this file and ``rankings.parquet`` (see
:mod:`parabench.leaderboard.compact`), nothing else.  Everything in it was written by a stranger, so every
field has a cap, unknown fields are refused, and every text must be visible and no markup.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from parabench.leaderboard.names import contact_fault, link_fault, name_fault, text_fault, texts_of

SCHEMA_VERSION = 1
SUBMISSION, RANKINGS = "submission.json", "rankings.parquet"

Track = Literal["image", "caption-gallery"]
"""``image``: pictures are searched by an image tower; ``caption-gallery``: a text-only encoder searches captions."""

_LEAVES, _LEAF = 2000, 2000


def _checked(fault: Any, **caps: Any) -> AfterValidator:
    def check(text: str) -> str:
        problem = fault(text, **caps)
        if problem is not None:
            raise ValueError(problem)
        return text

    return AfterValidator(check)


Line = Annotated[str, _checked(text_fault, longest=200)]
Link = Annotated[str, _checked(link_fault)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**15)]


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    leaves = list(texts_of(value))
    if len(leaves) > _LEAVES:
        raise ValueError(f"holds more than {_LEAVES:,} values")
    for where, leaf in leaves:
        if isinstance(leaf, str):
            if leaf and (fault := text_fault(leaf, longest=_LEAF)) is not None:
                raise ValueError(f"{where[1:] or 'a key'} {fault}")
        elif isinstance(leaf, dict | list):
            if leaf:
                raise ValueError(f"{where[1:]} is nested too deeply")
        elif isinstance(leaf, float | int) and not abs(leaf) < 2**63:  # NaN too
            raise ValueError(f"{where[1:]} is not a number of reasonable size")
    return value


PlainJson = Annotated[dict[str, Any], AfterValidator(_plain_json)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Model(_Strict):
    """Which model, exactly: ``name`` is what the table shows, ``spec`` what others type to run it."""

    name: Annotated[str, _checked(name_fault, longest=80)]
    spec: Line
    fingerprint: Annotated[str, Field(pattern=r"^[\x21-\x3b\x3d\x3f-\x7e]{1,200}$")]
    resolved: PlainJson = Field(default_factory=dict)
    n_parameters: Count | None = None
    track: Track


class Declaration(_Strict):
    """What the authors declare and nobody can compute.

    ``paraphrases_of_test_captions`` says whether rewrites of this dataset's test captions (for
    ``coco-paraphrase``: of COCO val2017 captions) were seen in training, however they came there.
    """

    license: Line
    training_data: Annotated[list[Line], Field(min_length=1, max_length=20)]
    paraphrases_of_test_captions: Literal["no", "yes", "unknown"]
    authors: Annotated[list[Line], Field(min_length=1, max_length=50)]
    contact: Annotated[str, _checked(contact_fault)]
    links: Annotated[dict[Literal["paper", "code", "weights", "page"], Link], Field(max_length=4)] = Field(default_factory=dict)
    notes: Annotated[str, _checked(text_fault, longest=1000, lines=True)] | None = None


class Dataset(_Strict):
    """Which queries and which gallery; the hashes are over all query texts and all image ids, in order."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    split: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] | None = None
    fingerprint: Hash
    queries_sha256: Hash
    gallery_sha256: Hash


class Number(_Strict):
    """A number that the submitter's machine computed; it is compared with what is computed here."""

    value: float
    ci_low: float | None = None
    ci_high: float | None = None


class RankingsFile(_Strict):
    """The file beside this one."""

    sha256: Hash
    depth: Annotated[int, Field(ge=10, le=1000)]


class Submission(_Strict):
    """``submission.json``."""

    schema_version: Literal[1] = 1
    created: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    model: Model
    declared: Declaration
    dataset: Dataset
    settings: PlainJson
    environment: PlainJson
    numbers: dict[Annotated[str, Field(max_length=40)], dict[Annotated[str, Field(max_length=60)], Number]]
    rankings: RankingsFile

    @field_validator("created")
    @classmethod
    def _a_day(cls, text: str) -> str:
        date.fromisoformat(text)
        return text

    @property
    def folder_name(self) -> str:
        """What its folder has to be called: the model's name and the dataset's, ``a--b``."""
        board = self.dataset.name + (f".{self.dataset.split}" if self.dataset.split else "")
        return f"{slug(self.model.name)}--{slug(board)}"


def slug(text: str) -> str:
    """A name as a folder name: lower case, digits, dots and single dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "model"
