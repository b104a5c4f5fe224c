"""From a recipe to a model that learns what its strategy declares, and batches to learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from parabench.errors import DataError
from parabench.progress import note
from parabench.towers.dual_encoder import DualEncoder
from parabench.towers.image_trunk import Features
from parabench.train.data.batches import Batch, ImageSource, Pictures, SetBatches, TextSource, Tokens, Vectors
from parabench.train.data.captions import CaptionSet
from parabench.train.data.shards import ShardBatches
from parabench.train.data.sources import caption_set
from parabench.train.data.views import Order, Views
from parabench.train.distributed import Ranks
from parabench.train.features import FeatureStore, image_store, text_store
from parabench.train.recipe import Recipe
from parabench.train.strategies.base import apply


class Batches(Protocol):
    """Endless batches with a position."""

    def start(self) -> dict[str, Any]:
        """The position before the first batch."""
        ...

    def batches(self, position: dict[str, Any]) -> Iterator[Batch]:
        """Batches from a position on."""
        ...


@dataclass(frozen=True)
class Setup:
    """What the loop needs.

    Attributes:
        model: on its device, with exactly the declared parameters learning.
        batches: what it learns from.
        data_record: what the data is, for the model card.
        counts: what the data has skipped so far.
    """

    model: DualEncoder
    batches: Batches
    data_record: dict[str, Any]
    counts: Callable[[], dict[str, int]]


def prepare(recipe: Recipe, place: Ranks, *, trust_remote_code: bool = False) -> Setup:
    """Build model and data; every rank gets the same initial weights."""
    torch.manual_seed(recipe.run.seed)
    data = None if recipe.data.kind == "webdataset" else caption_set(recipe.data)
    model = DualEncoder.build(recipe.model(), trust_remote_code=trust_remote_code).to(place.device)
    learned = apply(recipe.strategy, model)
    model.eval()
    if place.is_first:
        total = sum(parameter.numel() for parameter in model.parameters())
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        note(f"{recipe.name}: {recipe.strategy.name} trains {trained:,} of {total:,} parameters in {len(learned)} tensors on {place.device}")
    if data is None:
        stream = ShardBatches(recipe.data, recipe.optimiser.batch // place.size, model, seed=recipe.run.seed, place=place)
        return Setup(model, stream, {"kind": "webdataset", "shards": recipe.data.path}, stream.counts)
    if place.is_first:
        note(f"data: {data.name}, {len(data):,} pictures, {sum(map(len, data.captions)):,} captions, {len(data.texts):,} distinct texts")
    order = Order(len(data), recipe.optimiser.batch, recipe.run.seed)
    views = Views(data, recipe.data.rewrites, recipe.run.seed)
    images, texts = _image_source(recipe, data, model, place), _text_source(recipe, data, model, place)
    source = SetBatches(order, views, recipe.loss.views, images, texts, rank=place.rank, ranks=place.size)
    record = {
        "kind": recipe.data.kind, "name": data.name, "pictures": len(data), "captions": sum(map(len, data.captions)),
        "rewritten_captions": len(data.rewrites), "sha256": data.fingerprint,
    }  # fmt: skip
    return Setup(model, source, record, dict)


def _image_source(recipe: Recipe, data: CaptionSet, model: DualEncoder, place: Ranks) -> ImageSource:
    tower = model.image
    source: ImageSource
    if isinstance(tower.trunk, Features):
        source = Vectors(tower.trunk.of(data.image_ids))
    elif tower.trunk_is_frozen and recipe.data.cache:
        source = Vectors(_first_then_all(place, lambda: image_store(
            tower, data, precision=recipe.data.cache_precision, device=place.device)).vectors())  # fmt: skip
    else:
        source = Pictures(data, tower.trunk, workers=recipe.data.workers, augment=recipe.data.augment, seed=recipe.run.seed)
    if recipe.image.standardise:
        if not isinstance(source, Vectors):
            raise DataError("image.standardise measures stored vectors", "set data.cache=true")
        tower.standardise(torch.from_numpy(source.vectors))
    return source


def _text_source(recipe: Recipe, data: CaptionSet, model: DualEncoder, place: Ranks) -> TextSource:
    tower = model.text
    if not (tower.trunk_is_frozen and recipe.data.cache):
        return Tokens(tower.tokenizer, data.texts)
    store: FeatureStore = _first_then_all(place, lambda: text_store(
        tower, data.texts, precision=recipe.data.cache_precision, device=place.device))  # fmt: skip
    return store.texts


def _first_then_all(place: Ranks, make: Callable[[], Any]) -> Any:
    """The first rank computes what is missing, the others then read it."""
    made = make() if place.is_first else None
    place.wait()
    return made if place.is_first else make()
