"""Checkpoints: weights, optimiser, averages, random states and the data's position, whole or not there.

``step-00000100.safetensors``  all tensors
``step-00000100.json``         written after it: its SHA-256, the step, the data's position, the recipe's digest

A checkpoint counts only if its JSON is there and the hash agrees; otherwise the one before it is used, and said so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from parabench.errors import ModelError
from parabench.progress import note
from parabench.storage import atomic_path, sha256_file, write_text
from parabench.towers.folder import fit
from parabench.train.distributed import Ranks
from parabench.train.optimiser import MovingAverage


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        data: position of each rank's data.
        path: the checkpoint, or ``None`` at the start.
    """

    step: int
    data: list[dict[str, Any]]
    path: Path | None = None


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
        recipe: digest of the recipe; another one's checkpoints are refused.
        keep: how many are kept.
    """

    def __init__(self, folder: Path, recipe: str, keep: int) -> None:
        self.folder, self._recipe, self._keep = folder, recipe, keep

    def save(self, step: int, data: dict[str, Any], model: Any, optimiser: Any, average: MovingAverage | None, ranks: Ranks) -> None:
        """Write a checkpoint (every rank calls it, the first one writes)."""
        tensors = {f"model.{name}": _whole(value) for name, value in _learned(model).items()}
        for name, state in _states(model, optimiser).items():
            tensors |= {f"optimiser.{name}/{key}": _whole(value) for key, value in state.items()}
        if average is not None:
            tensors |= {f"average.{name}": _whole(value) for name, value in average.tensors.items()}
        shared = ranks.collect((_random_states(ranks.device), data))
        if not ranks.is_first:
            return
        for rank, (states, _) in enumerate(shared):
            tensors |= {f"random.{rank}.{name}": value for name, value in states.items()}
        from safetensors.torch import save_file

        path = self.folder / f"step-{step:08d}.safetensors"
        with atomic_path(path) as part:
            save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part)
        record = {"step": step, "recipe": self._recipe, "sha256": sha256_file(path), "data": [held for _, held in shared]}
        write_text(path.with_suffix(".json"), json.dumps(record, indent=1))
        for old in self._paths()[: -self._keep]:
            old.with_suffix(".json").unlink(missing_ok=True)
            old.unlink(missing_ok=True)

    def latest(self) -> Position | None:
        """The newest checkpoint that is what was written; broken ones are named and passed over.

        Raises:
            ModelError: checkpoints of another recipe lie here.
        """
        for path in reversed(self._paths()):
            try:
                record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
                intact = sha256_file(path) == record["sha256"]
                position = Position(int(record["step"]), list(record["data"]), path)
                recipe = record["recipe"]
            except (OSError, ValueError, KeyError, TypeError):
                intact = False
            if not intact:
                note(f"checkpoint {path.name} is corrupt or half-written: passing it over")
                continue
            if recipe != self._recipe:
                raise ModelError(f"{path} belongs to another recipe", "choose another --out, or pass --overwrite to start again")
            return position
        return None

    def load(self, position: Position, model: Any, optimiser: Any, average: MovingAverage | None, ranks: Ranks) -> None:
        """Restore everything that a checkpoint holds.

        Raises:
            ModelError: it belongs to another architecture.
        """
        from safetensors.torch import load_file

        assert position.path is not None
        tensors = load_file(position.path)

        def under(prefix: str) -> dict[str, Any]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        own = _learned(model)
        fit(_Named(own), under("model."), str(position.path))
        _restore_states(model, optimiser, under("optimiser."))
        if average is not None:
            for name, value in under("average.").items():
                _copy(average.tensors[name], value)
        states = under(f"random.{ranks.rank}.")
        if len(position.data) == ranks.size and states:
            _set_random_states(states, ranks.device)
        else:
            note(f"the checkpoint was written by {len(position.data)} ranks and now there are {ranks.size}: dropout goes on from another random state")

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))


class _Named:
    """Tensors by name with the two methods of a module that :func:`fit` uses."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self._tensors = tensors

    def state_dict(self) -> dict[str, Any]:
        return self._tensors

    def load_state_dict(self, tensors: dict[str, Any], strict: bool) -> None:
        for name, value in tensors.items():
            _copy(self._tensors[name], value)


def _learned(model: Any) -> dict[str, Any]:
    """What training changes: learning parameters, and buffers outside frozen trunks."""
    frozen = tuple(
        f"{tower}.trunk." for tower in ("image", "text")
        if not any(parameter.requires_grad for parameter in getattr(model, tower).trunk.parameters())
    )  # fmt: skip
    learned = {name: value for name, value in model.named_parameters() if value.requires_grad}
    saved = model.state_dict().keys()
    return learned | {
        name: value for name, value in model.named_buffers() if name in saved and not name.startswith(frozen or ("\0",))
    }


def _states(model: Any, optimiser: Any) -> dict[str, dict[str, Any]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: state for parameter, state in optimiser.state.items()}


def _restore_states(model: Any, optimiser: Any, tensors: dict[str, Any]) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        held = value if entry == "step" else _like(parameter, value)
        optimiser.state.setdefault(parameter, {})[entry] = held.clone()


def _whole(tensor: Any) -> Any:
    """A tensor that is split over ranks, put together."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _like(reference: Any, value: Any) -> Any:
    """``value`` on the device, and split over ranks, as ``reference`` is."""
    if hasattr(reference, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(reference.device), reference.device_mesh, reference.placements)
    return value.to(reference.device)


def _copy(target: Any, value: Any) -> None:
    with torch.no_grad():
        target.copy_(_like(target, value))


def _random_states(device: str) -> dict[str, Any]:
    states = {"cpu": torch.random.get_rng_state()}
    if device.startswith("cuda"):
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_states(states: dict[str, Any], device: str) -> None:
    torch.random.set_rng_state(states["cpu"])
    if "cuda" in states and device.startswith("cuda"):
        torch.cuda.set_rng_state(states["cuda"], device)
