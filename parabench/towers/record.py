"""The record of a model folder: read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from parabench.errors import ModelError, brief
from parabench.towers.config import DualEncoderConfig, Strict

SETTINGS, WEIGHTS = "parabench.json", "model.safetensors"
FORMAT = 1


class ModelRecord(Strict):
    """``parabench.json``.

    Attributes:
        format: version of this layout.
        model: what rebuilds the networks.
        weights_sha256: of ``model.safetensors``.
        references: tower (``"text"``, ``"image"``) whose frozen trunk is not in the weights file → SHA-256 of its
            tensors; it is fetched by its name and must have them.
        training: what made the model: recipe, data, losses, versions, scores.
    """

    format: int = FORMAT
    model: DualEncoderConfig
    weights_sha256: str
    references: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


def read_record(folder: Path) -> ModelRecord:
    """The record of a model folder; :class:`ModelError` when it is none."""
    path = folder / SETTINGS
    try:
        return ModelRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} is no model folder: it has no {SETTINGS}", "give what `parabench train --out` wrote") from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ModelError(f"{path} can't be read: {brief(error)}", "was it written by another version?") from None
