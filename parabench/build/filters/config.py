"""The thresholds of the quality checks: one YAML file with all of them, and a file of yours that changes some."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from parabench.errors import DataError, UsageError, did_you_mean


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Check(_Section):
    """A check that has no threshold."""

    enabled: StrictBool


class LanguageCheck(Check):
    """``min_english``: the least posterior probability of English."""

    min_english: float = Field(ge=0, le=1)


class LengthCheck(Check):
    """Words of the sentence, and its words over those of the caption."""

    min_words: int = Field(ge=1)
    max_words: int = Field(ge=1)
    min_ratio: float = Field(ge=0)
    max_ratio: float = Field(gt=0)


class ClosenessCheck(Check):
    """Too close for a paraphrase, too far for a foil."""

    max_ratio: float = Field(ge=0, le=1)
    max_jaccard: float = Field(ge=0, le=1)
    min_order: float = Field(ge=0, le=1)
    max_bleu: float = Field(ge=0, le=100)
    foil_min_ratio: float = Field(ge=0, le=1)


class SemanticCheck(Check):
    """A sentence encoder and the least cosine similarity of caption and paraphrase."""

    model: str
    revision: str | None
    device: str
    batch_size: int = Field(ge=1)
    min_similarity: float = Field(ge=-1, le=1)


class EntailmentCheck(Check):
    """An NLI cross-encoder and the least probability of entailment, both ways."""

    model: str
    revision: str | None
    device: str
    batch_size: int = Field(ge=1)
    min_forward: float = Field(ge=0, le=1)
    min_backward: float = Field(ge=0, le=1)


class ToxicityCheck(Check):
    """``files``: word lists beside our own, one word or phrase a line, ``#`` before a comment."""

    files: list[Path]


class NearDuplicates(Check):
    """Words of two sentences as sets: their Jaccard similarity from which they are near-duplicates."""

    min_jaccard: float = Field(gt=0, le=1)


class DuplicatesCheck(NearDuplicates):
    """``same_caption_min_ratio``: string similarity for two sentences of one caption, where order is what differs."""

    same_caption_min_ratio: float = Field(ge=0, le=1)


class SemanticDuplicatesCheck(Check):
    """The cosine similarity from which sentences of two captions are duplicates."""

    min_similarity: float = Field(ge=-1, le=1)


class FilterConfig(_Section):
    """All checks, in the order in which they run."""

    characters: Check
    junk: Check
    length: LengthCheck
    language: LanguageCheck
    toxicity: ToxicityCheck
    pii: Check
    closeness: ClosenessCheck
    numbers: Check
    colours: Check
    negation: Check
    names: Check
    semantic: SemanticCheck
    entailment: EntailmentCheck
    leakage: NearDuplicates
    duplicates: DuplicatesCheck
    semantic_duplicates: SemanticDuplicatesCheck

    @classmethod
    def read(cls, path: Path | None = None) -> FilterConfig:
        """The defaults, changed by what the YAML file at ``path`` says; it need name only what it changes.

        Raises:
            UsageError: an unknown check or setting, or a value that a setting can't have.
            DataError: the file is missing or no YAML mapping.
        """
        settings = _defaults()
        if path is not None:
            _change(settings, _read_mapping(path), path, "")
            files = settings["toxicity"]["files"]
            if isinstance(files, list):  # names in a file are meant from where the file is
                settings["toxicity"]["files"] = [path.parent / str(name) for name in files]
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"{path}: {name} is {first['input']!r}: {first['msg'].lower()}", f"the default is {name}: {_default(first['loc'])}"
            ) from None


def _defaults() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(resources.files(__package__).joinpath("defaults.yaml").read_text(encoding="utf-8"))
    return settings


def _default(place: tuple[int | str, ...]) -> Any:
    value: Any = _defaults()
    for part in place:
        value = value[part] if isinstance(value, dict) and part in value else value
    return value


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        changes = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"can't read the filter settings {path}: {error.strerror or error}", "check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {error}", "write e.g. numbers: {enabled: false}") from None
    if changes is None:
        return {}
    if not isinstance(changes, dict):
        raise DataError(f"{path} holds no settings but {type(changes).__name__}", "write e.g. numbers: {enabled: false}")
    return changes


def _change(settings: dict[str, Any], changes: dict[str, Any], path: Path, prefix: str) -> None:
    for name, value in changes.items():
        where = f"{prefix}{name}"
        if name not in settings:
            noun = "setting" if prefix else "check"
            raise UsageError(f"{path}: unknown {noun} '{where}'", did_you_mean(str(name), settings))
        if isinstance(settings[name], dict):
            if not isinstance(value, dict):
                raise UsageError(f"{path}: {where} is {value!r}, not settings", f"write {where}: {{enabled: false}}")
            _change(settings[name], value, path, f"{where}.")
        else:
            settings[name] = value
