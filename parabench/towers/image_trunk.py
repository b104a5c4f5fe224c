"""Image trunks: an RGB picture → an array, a batch of arrays → vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from parabench.errors import DataError, MissingDependencyError, ModelError, UsageError, brief, did_you_mean
from parabench.libraries import import_open_clip
from parabench.towers.cells import WIDTH, picture_features
from parabench.towers.config import ImageConfig


class ImageTrunk(Protocol):
    """What an image tower asks of its trunk (an ``nn.Module`` that maps a batch to ``(n, width)``).

    Attributes:
        width: length of a vector.
    """

    width: int

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """One RGB picture → the trunk's input; thread-safe."""
        ...


class Cells(nn.Module):
    """The fixed descriptor of :mod:`parabench.towers.cells`."""

    def __init__(self) -> None:
        super().__init__()
        self.width = WIDTH

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """The descriptor itself, ``(width,)``."""
        described: NDArray[np.float32] = picture_features(image)
        return described

    def forward(self, batch: Any) -> Any:
        """``(n, width)`` unchanged."""
        return batch


class Features(nn.Module):
    """Precomputed vectors by image id, in the layout of ``embeddings:``.

    A row is known by its image id, so the encoder opens no picture.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        names, array = folder / "image_ids.txt", folder / "image_embeddings.npy"
        for path in (names, array):
            if not path.is_file():
                raise DataError(f"image features: {path} is not there", "image.path names a folder with image_ids.txt and image_embeddings.npy")
        try:
            ids = names.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            vectors = np.load(array, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"image features in {folder} can't be read: {error}", "save them with numpy.save, one id a line") from None
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(ids):
            raise DataError(
                f"image features in {folder}: {len(ids)} ids and an array of {vectors.dtype} {vectors.shape}",
                "a float array with one row an id is needed",
            )
        if not np.isfinite(vectors).all():
            raise DataError(f"image features in {folder}: the vector of '{ids[int(np.argmin(np.isfinite(vectors).all(1)))]}' is not finite")
        self.ids, self.vectors = ids, vectors.astype(np.float32)
        self.row = {image_id: row for row, image_id in enumerate(ids)}
        self.width = int(vectors.shape[1])

    def of(self, image_ids: list[str]) -> NDArray[np.float32]:
        """Vectors ``(n, width)`` of image ids; :class:`DataError` for ids that are not there."""
        absent = [image_id for image_id in image_ids if image_id not in self.row]
        if absent:
            raise DataError(
                f"{len(absent)} of {len(image_ids)} images have no precomputed features (first: '{absent[0]}')",
                "add them to image_ids.txt and image_embeddings.npy",
            )
        found: NDArray[np.float32] = self.vectors[[self.row[image_id] for image_id in image_ids]]
        return found

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """The vector of an image *id*."""
        vector: NDArray[np.float32] = self.of([str(image)])[0]
        return vector

    def save(self, folder: Path) -> None:
        """Write ids and vectors."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image_ids.txt").write_text("\n".join(self.ids) + "\n", encoding="utf-8")
        np.save(folder / "image_embeddings.npy", self.vectors)

    def forward(self, batch: Any) -> Any:
        """``(n, width)`` unchanged."""
        return batch


class OpenClipTrunk(nn.Module):
    """The image tower of an open_clip model, by name or by its ``vision_cfg``; the vector is its embedding."""

    def __init__(self, config: ImageConfig, embed_dim: int, *, weights: bool) -> None:
        super().__init__()
        open_clip = import_open_clip("train", f"the image tower {config.name}")
        if config.vision is not None:
            if config.weights:
                raise UsageError("image.vision describes a network without a name, so it has no image.weights")
            try:
                text = {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
                model = open_clip.CLIP(embed_dim=embed_dim, vision_cfg=dict(config.vision), text_cfg=text)
            except (TypeError, ValueError, AssertionError) as error:
                raise UsageError(f"image.vision is no vision_cfg of open_clip: {error}") from None
        else:
            known = open_clip.list_models()
            if config.name not in known:
                raise UsageError(f"open_clip has no model '{config.name}'", did_you_mean(config.name, known))
            tags = open_clip.list_pretrained_tags_by_model(config.name)
            if config.weights and config.weights not in tags and not Path(config.weights).is_file():
                raise UsageError(f"open_clip has no weights '{config.weights}' for {config.name}", did_you_mean(config.weights, tags))
            try:
                model = open_clip.create_model(config.name, pretrained=config.weights if weights else None)
            except Exception as error:  # hub, file and shape errors come in many classes
                raise ModelError(f"the image tower {config.name} could not be built: {brief(error)}",
                                 "check image.weights and the network") from error  # fmt: skip
        self.network = model.visual
        settings = dict(getattr(model.visual, "preprocess_cfg", None) or {})
        self.mean = getattr(model.visual, "image_mean", None) or open_clip.OPENAI_DATASET_MEAN
        self.std = getattr(model.visual, "image_std", None) or open_clip.OPENAI_DATASET_STD
        self.interpolation = settings.get("interpolation", "bicubic")
        self._transform = open_clip.image_transform(
            model.visual.image_size, is_train=False, mean=self.mean, std=self.std, interpolation=self.interpolation
        )
        with torch.no_grad():
            probe = torch.zeros(1, 3, *_pair(model.visual.image_size))
            self.width = int(self.network.eval()(probe).shape[-1])

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """open_clip's evaluation input, ``(3, height, width)``."""
        array: NDArray[np.float32] = self._transform(image).numpy()
        return array

    def forward(self, batch: Any) -> Any:
        """``(n, 3, height, width)`` → ``(n, width)``."""
        return self.network(batch)


class TimmTrunk(nn.Module):
    """A timm network without its classifier."""

    def __init__(self, config: ImageConfig, *, weights: bool) -> None:
        super().__init__()
        try:
            import timm
        except ImportError:
            raise MissingDependencyError("timm", "train", f"the image tower {config.name}") from None
        _only(config, ("pretrained",))
        if not timm.is_model(config.name):
            raise UsageError(f"timm has no model '{config.name}'", did_you_mean(config.name, timm.list_models()))
        try:
            self.network = timm.create_model(config.name, pretrained=bool(config.weights) and weights, num_classes=0)
        except Exception as error:  # hub and file errors come in many classes
            raise ModelError(f"the weights of timm's {config.name} could not be had: {brief(error)}",
                             "check the network, or leave image.weights out to train from scratch") from error  # fmt: skip
        data: Any = timm.data
        self._transform = data.create_transform(**data.resolve_data_config({}, model=self.network), is_training=False)
        self.width = int(self.network.num_features)

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """timm's evaluation input, ``(3, height, width)``."""
        array: NDArray[np.float32] = self._transform(image).numpy()
        return array

    def forward(self, batch: Any) -> Any:
        """``(n, 3, height, width)`` → ``(n, width)``."""
        return self.network(batch)


class TransformersTrunk(nn.Module):
    """A vision network of transformers; the vector is its pooled output, or its first token without one."""

    def __init__(self, config: ImageConfig, *, source: str, weights: bool) -> None:
        super().__init__()
        try:
            from transformers import AutoConfig, AutoImageProcessor, AutoModel
        except ImportError:
            raise MissingDependencyError("transformers", "train", f"the image tower {config.name}") from None
        _only(config, ("pretrained",))
        try:
            self.processor: Any = AutoImageProcessor.from_pretrained(source)
            settings = AutoConfig.from_pretrained(source)
            network: Any = (
                AutoModel.from_pretrained(source, dtype=torch.float32)
                if config.weights and weights
                else AutoModel.from_config(settings)
            )
        except Exception as error:  # hub, file and configuration errors come in many classes
            raise ModelError(f"the image tower '{source}' could not be loaded: {brief(error)}",
                             "check image.name and the network, or give a local folder") from error  # fmt: skip
        self.settings = settings
        self.network = getattr(network, "vision_model", network).float()
        inner = self.network.config
        self.width = int(getattr(inner, "hidden_size", 0) or inner.hidden_sizes[-1])

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """The processor's input, ``(3, height, width)``."""
        array: NDArray[np.float32] = np.asarray(self.processor(images=image, return_tensors="np")["pixel_values"][0], np.float32)
        return array

    def forward(self, batch: Any) -> Any:
        """``(n, 3, height, width)`` → ``(n, width)``."""
        output = self.network(pixel_values=batch)
        pooled = getattr(output, "pooler_output", None)
        return output.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)


def build_trunk(config: ImageConfig, embed_dim: int, *, source: str | None = None, weights: bool = True) -> Any:
    """The trunk of a configuration; ``source`` is a model folder's own copy of what a name would fetch."""
    if config.kind == "cells":
        return Cells()
    if config.kind == "features":
        if not (source or config.path):
            raise UsageError("image.kind=features needs image.path", "a folder with image_ids.txt and image_embeddings.npy")
        return Features(Path(source or config.path).expanduser())
    if not config.name and config.vision is None:
        raise UsageError(f"image.kind={config.kind} needs image.name", "e.g. image.name=ViT-B-32")
    if config.kind == "open_clip":
        return OpenClipTrunk(config, embed_dim, weights=weights)
    if config.kind == "timm":
        return TimmTrunk(config, weights=weights)
    return TransformersTrunk(config, source=source or config.name, weights=weights)


def _only(config: ImageConfig, known: tuple[str, ...]) -> None:
    if config.weights is not None and config.weights not in known:
        raise UsageError(f"image.weights={config.weights}: {config.kind} knows {' or '.join(known)}", "or leave it out for random weights")


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
