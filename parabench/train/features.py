"""The cached path: what is frozen is computed once, into feature shards that are typed, keyed and verified.

A store is one folder named by its key: SHA-256 over what computes (weights, tokeniser, pooling, precision) and what
it computes of (hash of each text or picture, in order).  A shard is a safetensors file with the states of some
thousand items and a checksum in its header.  A shard that is not what was written is computed again, and said so;
after kill -9 the whole shards are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parabench.errors import DataError, brief
from parabench.progress import bar, note
from parabench.storage import atomic_path, cache_home, disk_errors, sha256_json, sha256_text
from parabench.towers.folder import digest
from parabench.towers.pooling import pool
from parabench.towers.texts import Texts
from parabench.train.data.captions import CaptionSet

FORMAT = 1
SHARD = 8192
_DTYPES = {"fp32": np.float32, "fp16": np.float16}

Compute = Callable[[list[int]], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Item numbers → their states ``(sum of lengths, width)`` one after another, and lengths ``(items,)``."""


@dataclass(frozen=True)
class FeatureStore:
    """Stored states: those of item i are ``values[starts[i]:starts[i + 1]]``.

    Attributes:
        key: what the folder is named by.
        values: one array ``(places, width)`` a shard, fp16 or fp32.
        starts: one array ``(items + 1,)`` a shard, int64.
    """

    key: str
    values: list[NDArray[Any]]
    starts: list[NDArray[np.int64]]

    @property
    def width(self) -> int:
        """Length of a state."""
        return int(self.values[0].shape[1])

    def texts(self, rows: Sequence[int]) -> Texts:
        """The states of some texts as one padded float32 batch."""
        picked = [self._item(row) for row in rows]
        lengths = torch.tensor([len(states) for states in picked], dtype=torch.int64)
        values = torch.zeros(len(rows), int(lengths.max()), self.width)
        for row, states in enumerate(picked):
            values[row, : len(states)] = torch.from_numpy(states.astype(np.float32, copy=False))
        return Texts(values, lengths)

    def vectors(self) -> NDArray[np.float32]:
        """All items of one state each, ``(items, width)`` float32."""
        return np.concatenate(self.values).astype(np.float32, copy=False)

    def _item(self, row: int) -> NDArray[Any]:
        shard, place = divmod(row, SHARD)
        starts = self.starts[shard]
        return self.values[shard][starts[place] : starts[place + 1]]


def open_store(
    what: dict[str, Any], contents: Sequence[str], compute: Compute, *, precision: str = "fp32", noun: str = "text",
    folder: Path | None = None,
) -> FeatureStore:  # fmt: skip
    """Read a store, computing what is missing or broken.

    Args:
        what: everything that decides a number (weights, tokeniser, …).
        contents: hash of each item, in order.
        compute: makes states.
        precision: ``fp32`` or ``fp16`` on disk.
        noun: what an item is called.
        folder: where stores lie; ``cache_home()/"features"`` by default.

    Raises:
        DataError: a state is not finite (names the item).
    """
    key = _key(what, contents, precision)
    home = _home(folder, key)
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    values: list[NDArray[Any]] = []
    starts: list[NDArray[np.int64]] = []
    numbers = range(0, len(contents), SHARD)
    with bar(f"{noun} features", len(contents), noun) as progress:
        for number, first in enumerate(numbers):
            items = list(range(first, min(first + SHARD, len(contents))))
            path = home / f"shard-{number:05d}.safetensors"
            shard = _read(path, key, number)
            if shard is None:
                shard = _pack(*compute(items), precision, first, noun)
                _write(path, key, number, *shard)
            values.append(shard[0])
            starts.append(shard[1])
            progress.update(len(items))
    return FeatureStore(key, values, starts)


def text_store(
    tower: Any, texts: Sequence[str], *, precision: str, device: str, batch: int = 128, folder: Path | None = None
) -> FeatureStore:
    """The states that a text tower's frozen trunk makes of all texts (pooled where no layer reads them)."""

    def run(items: list[int], cacheable: Callable[[Texts], Texts]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        ids = tower.tokenizer.ids([texts[item] for item in items])
        made: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(items)
        order = sorted(range(len(items)), key=lambda row: len(ids[row]))  # like lengths together: no padding work
        tower.eval()
        with torch.no_grad():
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                out = cacheable(Texts.pad([ids[row] for row in rows], tower.tokenizer.pad_id).to(device))
                states = out.values.float().cpu().numpy()
                for row, state, length in zip(rows, states, out.lengths.tolist(), strict=True):
                    made[row] = state[:length].copy()
        return np.concatenate(made), np.array([len(state) for state in made], np.int64)

    def compute(items: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return run(items, tower.cacheable)

    def compute_tokens(items: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return run(items, lambda held: Texts(tower.states(held), held.lengths))

    def pooled(items: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        made = []
        for start in range(0, len(items), batch):
            held = tokens.texts(items[start : start + batch])
            made.append(pool(held.values, held.lengths, tower.config.pooling).numpy())
        return np.concatenate(made), np.ones(len(items), np.int64)

    what = {"trunk": digest(tower.trunk), "tokenizer": tower.tokenizer.identity, "states": "tokens"}
    contents = [sha256_text(text) for text in texts]
    if tower.alignment is None:
        last = (len(texts) - 1) // SHARD
        if (_home(folder, _key(what, contents, precision)) / f"shard-{last:05d}.safetensors").exists():
            # another strategy had all token states stored: pooling them is cheaper than the language model
            tokens = open_store(what, contents, compute_tokens, precision=precision, noun="text", folder=folder)
            compute = pooled
        what["states"] = tower.config.pooling
    return open_store(what, contents, compute, precision=precision, noun="text", folder=folder)


def image_store(
    tower: Any, data: CaptionSet, *, precision: str, device: str, batch: int = 64, folder: Path | None = None
) -> FeatureStore:
    """The vectors that an image tower's frozen trunk makes of all pictures."""

    def compute(items: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        made = []
        tower.eval()
        with torch.no_grad(), bar("pictures", len(items), "picture") as progress:
            for start in range(0, len(items), batch):
                arrays = [tower.trunk.preprocess(data.open(data.image_ids[item])) for item in items[start : start + batch]]
                made.append(tower.vectors(torch.from_numpy(np.stack(arrays)).to(device)).float().cpu().numpy())
                progress.update(len(arrays))
        return np.concatenate(made), np.ones(len(items), np.int64)

    what = {"trunk": digest(tower.trunk), "image": tower.config.model_dump(include={"kind", "name", "weights", "vision"})}
    return open_store(what, [data.content(image_id) for image_id in data.image_ids], compute, precision=precision,
                      noun="picture", folder=folder)  # fmt: skip


def _key(what: dict[str, Any], contents: Sequence[str], precision: str) -> str:
    return sha256_json([FORMAT, what, precision, SHARD, hashlib.sha256("\n".join(contents).encode()).hexdigest()])


def _home(folder: Path | None, key: str) -> Path:
    return (cache_home() / "features" if folder is None else folder) / key[:32]


def _pack(
    states: NDArray[np.float32], lengths: NDArray[np.int64], precision: str, first: int, noun: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    with np.errstate(over="ignore"):
        stored = states.astype(_DTYPES[precision])
    if not np.isfinite(stored).all():
        place = int(np.argmin(np.isfinite(stored).all(axis=1)))
        item = first + int(np.searchsorted(starts, place, side="right")) - 1
        raise DataError(f"the features of {noun} {item} are not finite in {precision}", "set data.cache_precision=fp32, or check the weights")
    return stored, starts


def _checksum(values: NDArray[Any], starts: NDArray[np.int64]) -> str:
    total = hashlib.sha256(values.tobytes())
    total.update(starts.tobytes())
    return total.hexdigest()


def _write(path: Path, key: str, number: int, values: NDArray[Any], starts: NDArray[np.int64]) -> None:
    from safetensors.numpy import save_file

    header = {"key": key, "shard": str(number), "sha256": _checksum(values, starts)}
    with atomic_path(path) as part:
        save_file({"values": values, "starts": starts}, part, header)


def _read(path: Path, key: str, number: int) -> tuple[NDArray[Any], NDArray[np.int64]] | None:
    """A shard, or ``None`` when it is absent or not what was written."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as shard:
            header = shard.metadata() or {}
            values, starts = shard.get_tensor("values"), shard.get_tensor("starts")
    except (SafetensorError, OSError, ValueError) as error:
        note(f"features: {path.name} is broken ({brief(error)}) and is computed again")
        return None
    if header.get("key") != key or header.get("shard") != str(number) or header.get("sha256") != _checksum(values, starts):
        note(f"features: {path.name} is not what was written and is computed again")
        return None
    if any(b < a for a, b in pairwise(starts.tolist())) or starts[-1] != len(values):
        note(f"features: {path.name} is inconsistent and is computed again")
        return None
    return values, starts
