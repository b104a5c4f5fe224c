"""``parabench:DIR`` or ``parabench:owner/name``: what ``parabench train`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.network import NetworkEncoder
from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.resolution import Identity, file_state, versions
from parabench.encoders.spec import ModelSpec
from parabench.encoders.torch_runtime import inference, to_numpy
from parabench.errors import ModelError, UsageError, brief
from parabench.libraries import import_torch
from parabench.storage import sha256_file
from parabench.towers.record import WEIGHTS, read_record

_PACKAGES = ("torch", "torchvision", "transformers", "open_clip_torch", "timm", "peft")


class TrainedEncoder(NetworkEncoder):
    """A model folder of this project, local or on the Hub (``@revision``).

    A model on precomputed image vectors knows pictures by id; ``?features=DIR`` gives it other vectors than the
    ones in its folder (``image_ids.txt`` and ``image_embeddings.npy`` of the same image tower).
    """

    batch_size = 128

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.allow(("features",))
        if not spec.name:
            raise UsageError("parabench: names no model", "give the folder that `parabench train --out` wrote, or a Hub id")
        super().__init__(str(spec), device, precision)
        self._remote, self._folder = trust_remote_code, _folder(spec)
        features = spec.options.get("features")
        self._features = None if features is None else Path(features).expanduser()
        identity = self._resolve({"folder": str(self._folder.resolve()), "packages": versions(_PACKAGES)}, self._examine)
        self.sees: Literal["pixels", "ids"] = "ids" if identity.extra["ids"] else "pixels"

    @classmethod
    def of(cls, model: Any, name: str, device: str, precision: str = "fp32") -> Self:
        """A model in memory, for evaluation while it trains; nothing of it is cached."""
        encoder = cls.__new__(cls)
        NetworkEncoder.__init__(encoder, f"parabench:{name}", device, precision)
        encoder._device, encoder.fingerprint = device, f"parabench:{name}"
        encoder.cacheable = False
        encoder.dim, encoder.resolved = model.config.embed_dim, {"backend": "parabench", "in_training": name}
        encoder.n_parameters = sum(parameter.numel() for parameter in model.parameters())
        encoder.sees = model.image.sees
        encoder.__dict__["_model"] = model
        return encoder

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32, not normalised; the context is as long as the longest text of the batch."""
        from parabench.towers.tokens import tokenize

        model = self._model
        tokens = tokenize(model.text.tokenizer, list(texts)).to(self.device)
        with inference(self.device, self._precision):
            return to_numpy(model.text(tokens))

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """One RGB picture (or image id) → the image tower's input."""
        array: NDArray[np.float32] = self._model.image.trunk.preprocess(image)
        return array

    def encode_pixels(self, batch: NDArray[np.float32]) -> FloatMatrix:
        """A stack of inputs → ``(n, dim)`` float32, not normalised."""
        import torch

        model = self._model
        with inference(self.device, self._precision):
            return to_numpy(model.image(torch.from_numpy(batch).to(self.device)))

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """RGB pictures, or image ids where the encoder sees ``"ids"``, → ``(n, dim)`` float32."""
        return self.encode_pixels(np.stack([self.preprocess(image) for image in images]))

    @cached_property
    def _model(self) -> Any:
        import_torch("train", "parabench:")
        from parabench.towers.folder import load_model

        self._choose_device()
        model, _ = load_model(self._folder, features=self._features, trust_remote_code=self._remote)
        return model.to(self._device)

    def _examine(self) -> Identity:
        """Who the model is, without torch."""
        record, weights = read_record(self._folder), self._folder / WEIGHTS
        if not weights.is_file():
            raise ModelError(f"{self._folder} has no {WEIGHTS}")
        parts = sorted(path for name in ("text", "image") for path in (self._folder / name).rglob("*") if path.is_file())
        if self._features is not None:
            parts += [path for path in sorted(self._features.iterdir()) if path.name.startswith("image_")]
        resolved = {
            "backend": "parabench", "version": 1, "model": record.model.model_dump(), "weights": sha256_file(weights),
            "references": record.references, "parts": {path.name: sha256_file(path) for path in parts},
            "packages": versions(_PACKAGES), "precision": self._precision,
        }  # fmt: skip
        files = [file_state(path) for path in (self._folder / "parabench.json", weights, *parts)]
        n_parameters = int(record.training.get("parameters", {}).get("total", 0))
        return Identity(resolved, record.model.embed_dim, n_parameters, files, {"ids": record.model.image.kind == "features"})


def _folder(spec: ModelSpec) -> Path:
    local = Path(spec.name).expanduser()
    if local.is_dir():
        spec.no_revision()
        return local
    if spec.name.count("/") != 1 or spec.name.startswith((".", "/", "~")):
        raise UsageError(f"'{spec}': no such folder: {local}", "give a model folder, or a Hub id (owner/name)")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(spec.name, revision=spec.revision, ignore_patterns=["training/*"]))
    except Exception as error:  # the hub client raises a dozen kinds of its own
        raise ModelError(
            f"{spec} is no local folder and could not be downloaded: {brief(error)}",
            "check the name, the revision and the network",
        ) from error
