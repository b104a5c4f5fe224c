"""Recipes: one short YAML file says everything about a training run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from parabench.errors import UsageError, brief, did_you_mean
from parabench.storage import sha256_json
from parabench.towers.config import DualEncoderConfig, ImageConfig, Pooling, Strict
from parabench.train.losses.base import LOSSES, Loss
from parabench.train.strategies.base import STRATEGIES, Strategy


class TextRecipe(Strict):
    """The text tower before the strategy has its say.

    Attributes:
        model: Hub id or folder of a language model; every strategy but ``scratch`` needs one.
        revision: its commit or tag.
        layers: layers of CLIP's transformer (``scratch``), or how many of the language model's are kept.
        width, heads: of CLIP's transformer (``scratch``).
        max_length: tokens a text may have.
        pooling: ``mean``, ``cls``, ``eot`` or ``last``; ``scratch`` pools at the end token.
    """

    model: str | None = None
    revision: str | None = None
    layers: int | None = Field(default=None, ge=1)
    width: int = Field(default=512, ge=8)
    heads: int = Field(default=8, ge=1)
    max_length: int = Field(default=77, ge=3)
    pooling: Pooling | None = None


class DataRecipe(Strict):
    """Where pictures and captions come from, see :mod:`parabench.train.data`.

    Attributes:
        kind: ``benchmark`` (a built-in set, own file or Hub benchmark: its gallery's captions, its paraphrases
            as rewrites), ``coco`` (official or Karpathy captions and a folder), ``flickr`` (a token file and a
            folder), ``huggingface`` (a dataset of the ``datasets`` library) or ``webdataset`` (tar shards).
        name: of the benchmark or the Hugging Face dataset (Hub id or folder).
        split: of it; for ``coco`` the Karpathy split.
        path: annotation file (``coco``, ``flickr``) or shards with brace lists, ``::`` between several (``webdataset``).
        images: folder with the pictures.
        only: ``flickr``: file that names the pictures to use, one a line.
        image_column, caption_column: of the Hugging Face dataset.
        rewrites: where a rewrite of a caption is taken from, first come first served.
        limit: use the first so many pictures only.
        resampled: ``webdataset``: draw shards with replacement instead of a pass after another.
        shuffle: ``webdataset``: how many samples are mixed.
        augment: crop pictures at random (90–100 % of the area), as CLIP's training does.
        cache: compute what is frozen once (the default wherever it can be).
        cache_precision: how computed states are stored.
        workers: threads that decode pictures.
    """

    kind: Literal["benchmark", "coco", "flickr", "huggingface", "webdataset"] = "benchmark"
    name: str = ""
    split: str | None = None
    path: str = ""
    images: str = ""
    only: str = ""
    image_column: str = "image"
    caption_column: str = "caption"
    rewrites: list[Literal["paraphrases", "captions"]] = Field(default=["paraphrases", "captions"])
    limit: int | None = Field(default=None, ge=2)
    resampled: bool = False
    shuffle: int = Field(default=2048, ge=1)
    augment: bool = False
    cache: bool = True
    cache_precision: Literal["fp32", "fp16"] = "fp32"
    workers: int = Field(default=2, ge=1)


class OptimiserRecipe(Strict):
    """AdamW with warm-up and cosine decay, and how a step is cut into pieces.

    Attributes:
        steps: optimiser steps.
        batch: pictures in one contrastive loss, over all ranks.
        chunk: forward so many at a time on a rank and keep embeddings only (GradCache, Gao et al. 2021,
            arXiv 2101.06983): same gradients, less memory, one more forward pass.
        accumulate: losses a step; negatives stay within each.
        lr: peak learning rate; ``backbone_lr`` that of pretrained parts that learn (default: a tenth).
        warmup: steps of linear warm-up; ``final_lr``: what the cosine ends at, as a share of the peak.
        clip: largest norm of the gradient; ``max_scale``: largest factor of the cosine (CLIP: 100).
        ema: decay of the moving average that is evaluated and saved; ``None``: there is none.
        precision: ``bf16`` runs the towers under autocast; losses are float32 always.
    """

    steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=256, ge=2)
    chunk: int | None = Field(default=None, ge=1)
    accumulate: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    backbone_lr: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.98, ge=0, lt=1)
    eps: float = Field(default=1e-6, gt=0)
    warmup: int = Field(default=100, ge=0)
    final_lr: float = Field(default=0.0, ge=0, le=1)
    clip: float | None = Field(default=1.0, gt=0)
    max_scale: float = Field(default=100.0, gt=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["fp32", "bf16"] = "fp32"


class RunRecipe(Strict):
    """How the run goes: seeds, checkpoints, logs, ranks.

    Attributes:
        checkpoint_every: steps between checkpoints; ``keep``: how many are kept.
        log_every: steps between lines of ``training/log.jsonl``.
        tensorboard: write TensorBoard events too.
        parallel: ``ddp``, or ``fsdp`` (FSDP2) to split parameters over the ranks.
        compile: run the towers through ``torch.compile``.
        threads: CPU threads of torch; its own choice by default.
        refer: do not copy a frozen pretrained trunk into the model folder, refer to its source.
    """

    seed: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=2)
    log_every: int = Field(default=10, ge=1)
    tensorboard: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    compile: bool = False
    threads: int | None = Field(default=None, ge=1)
    refer: bool = False


class EvaluationRecipe(Strict):
    """Evaluation with this project's own harness, while training and at the end.

    Attributes:
        dataset: name or path of a benchmark; ``None``: no evaluation.
        split: of it.
        every: steps between evaluations; ``None``: at the end only.
        images: folder with its pictures.
    """

    dataset: str | None = None
    split: str | None = None
    every: int | None = Field(default=None, ge=1)
    images: str = ""


class Recipe(Strict):
    """A whole training run.  Unknown keys and impossible combinations are refused when it is read."""

    name: str
    data: DataRecipe
    image: ImageConfig
    text: TextRecipe = Field(default_factory=TextRecipe)
    strategy: SerializeAsAny[Strategy]
    loss: SerializeAsAny[Loss]
    embed_dim: int = Field(default=512, ge=2)
    optimiser: OptimiserRecipe = Field(default_factory=OptimiserRecipe)
    run: RunRecipe = Field(default_factory=RunRecipe)
    evaluation: EvaluationRecipe = Field(default_factory=EvaluationRecipe)

    @field_validator("strategy", mode="before")
    @classmethod
    def _strategy(cls, value: Any) -> Any:
        return _named(value, STRATEGIES, "strategy")

    @field_validator("loss", mode="before")
    @classmethod
    def _loss(cls, value: Any) -> Any:
        return _named(value, LOSSES, "loss")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.strategy.check(self.text)
        step, frozen_text = self.optimiser, type(self.strategy).trunk == "frozen"
        if step.chunk is not None and step.chunk > step.batch:
            raise UsageError(f"optimiser.chunk={step.chunk} is larger than optimiser.batch={step.batch}", "leave it out or make it smaller")
        if step.warmup > step.steps:
            raise UsageError(f"optimiser.warmup={step.warmup} is longer than optimiser.steps={step.steps}")
        if self.image.kind in ("cells", "features") and self.image.projection == "none":
            raise UsageError(f"image.kind={self.image.kind} has nothing that learns with image.projection=none", "choose linear or mlp")
        if self.data.augment and (self.image.locked or self.image.kind in ("cells", "features")) and self.data.cache:
            raise UsageError("data.augment changes pictures whose vectors are computed once", "set data.augment=false or data.cache=false")
        if self.image.kind == "features" and self.data.kind == "webdataset":
            raise UsageError("image.kind=features looks pictures up by id and data.kind=webdataset gives pixels")
        if self.image.standardise and not (self.image.locked or self.image.kind in ("cells", "features")):
            raise UsageError("image.standardise measures vectors that do not change", "lock the image tower: image.locked=true")
        if self.image.standardise and self.data.kind == "webdataset":
            raise UsageError("image.standardise measures all training pictures first, which a stream of shards can't give")
        if self.data.kind == "webdataset" and any(view.startswith(("rewrite", "other", "sampled")) for view in self.loss.views):
            raise UsageError(f"loss {self.loss.name} needs several texts a picture, and a shard holds one caption each",
                             "use infonce or siglip, or a dataset with several captions")  # fmt: skip
        if not frozen_text and self.run.refer and self.text.model and not self.image.weights:
            raise UsageError("run.refer leaves frozen pretrained parts out, and this recipe has none", "leave run.refer out")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the recipe."""
        return sha256_json(self.model_dump())

    def model(self) -> DualEncoderConfig:
        """The networks that the recipe trains."""
        return DualEncoderConfig(
            image=self.image, text=self.strategy.text_config(self.text), embed_dim=self.embed_dim,
            **self.loss.initial(),
        )  # fmt: skip

    @classmethod
    def load(cls, name: str | Path, changes: Iterable[str] = ()) -> Recipe:
        """Read a recipe by built-in name or path and apply ``key.subkey=value`` changes.

        Raises:
            UsageError: there is no such recipe, or a key or value is wrong (names the nearest).
        """
        return cls.parse(_apply(_read(str(name)), changes), str(name))

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "recipe") -> Recipe:
        """Validate plain values; :class:`UsageError` in one line."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(*explain(error, cls, where)) from None

    def to_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def recipes() -> dict[str, str]:
    """Built-in recipes: name → its comment lines on top."""
    found = {}
    for entry in sorted(resources.files("parabench.train.recipes").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            lines = entry.read_text(encoding="utf-8").splitlines()
            found[entry.name.removesuffix(".yaml")] = "\n".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    return found


def explain(error: ValidationError, model: type[BaseModel], where: str) -> tuple[str, str]:
    """The first problem of a validation in one line, and what to type instead."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        holder = model
        for part in path[:-1]:
            field = holder.model_fields.get(part)
            annotation = None if field is None else field.annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                holder = annotation
        return f"{where}: unknown key '{key}'", did_you_mean(path[-1], holder.model_fields)
    if first["type"] == "missing":
        return f"{where}: '{key}' is missing", "see docs/training.md for the keys of a recipe"
    return f"{where}: {key}={first.get('input')!r:.60}: {first['msg']}", "see docs/training.md for the keys of a recipe"


def _named(value: Any, registry: Any, noun: str) -> Any:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        return value
    if "name" not in value:
        raise UsageError(f"recipe: {noun} has no name", did_you_mean("", registry))
    chosen = registry.get(str(value["name"]))
    try:
        return chosen.model_validate(dict(value))
    except ValidationError as error:
        raise UsageError(*explain(error, chosen, f"{noun} {value['name']}")) from None


def _read(name: str) -> dict[str, Any]:
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UsageError(f"no such recipe file: {path}")
        text = path.read_text(encoding="utf-8", errors="replace")
    else:
        known = recipes()
        if name not in known:
            raise UsageError(f"unknown recipe '{name}'", did_you_mean(name, known))
        text = resources.files("parabench.train.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"recipe {name} is not YAML: {brief(error)}") from None
    if not isinstance(values, dict):
        raise UsageError(f"recipe {name} is no mapping of keys to values")
    return values


def _apply(values: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {change!r} is not key=value", "e.g. --set optimiser.steps=200")
        *path, last = key.strip().split(".")
        place = values
        for part in path:
            held = place.get(part)
            if isinstance(held, str) and part in ("strategy", "loss"):
                held = {"name": held}
            if held is None:
                held = {}
            if not isinstance(held, dict):
                raise UsageError(f"--set {change}: '{part}' holds a value, not keys")
            place[part] = held
            place = held
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError(f"--set {change!r}: the value is not YAML", "quote it") from None
        if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
            with contextlib.suppress(ValueError):
                value = float(value)
        if last == "name" and path and path[-1] in ("strategy", "loss") and place.get("name") != value:
            place.clear()  # the options of another strategy or loss would be unknown keys
        if not path and last in ("strategy", "loss") and isinstance(value, str):
            value = {"name": value}
        place[last] = value
    return values
