"""A model folder: configuration, weights, tokeniser; what training writes and ``parabench:`` reads.

``parabench.json``    the configuration, the weights' SHA-256 and where parts come from
``model.safetensors`` every parameter and buffer, or all but frozen parts that are referred to
``text/``, ``image/`` tokeniser and settings of the language model; precomputed vectors or image processor
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from parabench.errors import MissingDependencyError, ModelError
from parabench.storage import atomic_path, sha256_file, write_text
from parabench.towers.dual_encoder import DualEncoder
from parabench.towers.image import ImageTower
from parabench.towers.modes import is_frozen
from parabench.towers.record import SETTINGS, WEIGHTS, ModelRecord, read_record
from parabench.towers.text import TextTower


def save_model(
    model: DualEncoder, folder: Path, training: dict[str, Any], *, tensors: dict[str, Any] | None = None, refer: bool = False
) -> ModelRecord:
    """Write a model folder; ``parabench.json`` comes last.

    Args:
        model: what to write.
        folder: where; other files in it stay.
        training: recorded as it is (JSON values).
        tensors: weights to write in place of the model's own (moving averages).
        refer: leave out trunks that are frozen and come from a named source, and refer to the source.
    """
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise MissingDependencyError("safetensors", "train", "a model folder") from None
    state = dict(model.state_dict()) | (tensors or {})
    references: dict[str, str] = {}
    for tower in ("image", "text") if refer else ():
        part = getattr(model, tower)
        source = part.config.weights if tower == "image" else part.config.name
        if source and is_frozen(part.trunk):
            references[tower] = digest(part.trunk)
            state = {name: value for name, value in state.items() if not name.startswith(f"{tower}.trunk.")}
    folder.mkdir(parents=True, exist_ok=True)
    model.text.save(folder / "text")
    model.image.save(folder / "image")
    with atomic_path(folder / WEIGHTS) as part:
        # a copy of each tensor: shared storage and views are nothing that the format can hold
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, part, {"format": "pt"})
    record = ModelRecord(
        model=model.config, weights_sha256=sha256_file(folder / WEIGHTS), references=references, training=training
    )
    write_text(folder / SETTINGS, json.dumps(record.model_dump(), indent=1, ensure_ascii=False) + "\n")
    return record


def load_model(folder: Path, *, features: Path | None = None, trust_remote_code: bool = False) -> tuple[DualEncoder, ModelRecord]:
    """Rebuild a model from its folder, in eval mode, on the CPU.

    Args:
        folder: the model folder.
        features: other precomputed image vectors than the folder's own.
        trust_remote_code: allow code that a language model brings along.

    Raises:
        ModelError: the weights are not those that were written, or belong to another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    record = read_record(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{folder} has no {WEIGHTS}")
    if sha256_file(path) != record.weights_sha256:
        raise ModelError(f"{path} is not the file that {SETTINGS} was written for", "copy or download the folder again")
    config, references = record.model, record.references
    image_source = str(features) if features else str(folder / "image") if (folder / "image").is_dir() else None
    image = ImageTower.build(
        config.image, config.embed_dim, weights="image" in references,
        source=config.image.name if "image" in references else image_source,
    )  # fmt: skip
    # A trunk that is referred to comes from its source; every other is built empty from the folder's own copy.
    own = str(folder / "text") if config.text.kind == "lm" and "text" not in references else None
    text = TextTower.build(config.text, config.embed_dim, source=own, weights="text" in references, trust_remote_code=trust_remote_code)
    model = DualEncoder(config, image, text)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} can't be read: {error}") from None
    fit(model, tensors, f"{path}", absent=tuple(f"{tower}.trunk." for tower in references))
    for tower, expected in references.items():
        if digest(getattr(model, tower).trunk) != expected:
            raise ModelError(
                f"{folder} was trained on other weights of '{config.text.name if tower == 'text' else config.image.name}' than the ones found here",
                "fetch the revision that the model card names",
            )
    return model.requires_grad_(False).eval(), record


def fit(model: Any, tensors: dict[str, Any], where: str, absent: tuple[str, ...] = ()) -> None:
    """Load tensors by name; every one must be there with its shape, but for the prefixes ``absent``.

    Raises:
        ModelError: they belong to another architecture (names the first difference).
    """
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(absent or ("\0",))}
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if missing or extra or shapes:
        what = (
            f"'{shapes[0]}' is {tuple(tensors[shapes[0]].shape)} and should be {tuple(own[shapes[0]].shape)}" if shapes
            else f"'{missing[0]}' is missing" if missing else f"'{extra[0]}' is unknown"
        )  # fmt: skip
        raise ModelError(f"{where} belongs to another architecture: {what} ({len(missing)} missing, {len(extra)} unknown)",
                         "use the checkpoint of this recipe, or another --out")  # fmt: skip
    model.load_state_dict(tensors, strict=not absent)


def digest(module: Any) -> str:
    """SHA-256 over the names, types, shapes and bytes of a module's parameters and buffers."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        plain = value.detach().cpu().contiguous()
        total.update(f"{name}\0{plain.dtype}\0{tuple(plain.shape)}\0".encode())
        total.update(plain.view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
