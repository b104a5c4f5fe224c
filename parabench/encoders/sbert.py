"""``sbert:…``: sentence-transformers models; text-only ones search a caption gallery."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from parabench.encoders.network import NetworkEncoder
from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.resolution import Identity, file_state, versions
from parabench.encoders.spec import ModelSpec
from parabench.encoders.torch_runtime import inference, to_numpy
from parabench.errors import MissingDependencyError, ModelError, UsageError, brief
from parabench.libraries import import_torch, importing
from parabench.storage import sha256_file

_PACKAGES = ("sentence-transformers", "transformers", "torch")


class SentenceEncoder(NetworkEncoder):
    """A sentence-transformers model from a local folder or the hub (``@revision`` is what is loaded).

    CLIP models are dual encoders.  Others have no image tower: a picture is then the mean of its captions.
    ``?prompt=`` or ``?prompt_name=`` goes before every text.
    """

    batch_size = 128

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.allow(("prompt", "prompt_name"))
        if not spec.name:
            raise UsageError("sbert: names no model", "e.g. sbert:sentence-transformers/all-MiniLM-L6-v2")
        super().__init__(str(spec), device, precision)
        self._spec, self._remote = spec, trust_remote_code
        identity = self._resolve({"packages": versions(_PACKAGES), "cwd": _where(spec)}, lambda: self._network[1])
        self.sees: Literal["pixels", "captions"] = "pixels" if identity.extra["pixels"] else "captions"

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32, what ``SentenceTransformer.encode`` gives."""
        return self._encode(list(texts), **self._prompt)

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """RGB pictures → ``(n, dim)`` float32; :class:`ModelError` for a text-only model."""
        if self.sees == "captions":
            raise ModelError(f"{self.spec} has no image tower; it searches captions")
        return self._encode(list(images))

    @property
    def _prompt(self) -> dict[str, str]:
        return dict(self._spec.options)

    def _encode(self, items: list[Any], **options: Any) -> FloatMatrix:
        model = self._network[0]
        with inference(self.device, self._precision):
            output = model.encode(items, batch_size=max(1, len(items)), convert_to_tensor=True, show_progress_bar=False, **options)
        return np.atleast_2d(to_numpy(output))

    @cached_property
    def _network(self) -> tuple[Any, Identity]:
        import_torch("hf", "sbert:")
        try:
            with importing():
                from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingDependencyError("sentence_transformers", "hf", "sbert:") from None
        self._choose_device()
        try:
            model = SentenceTransformer(
                self._spec.name, revision=self._spec.revision, device=self._device, trust_remote_code=self._remote
            ).eval()
        except Exception as error:  # hub, file and configuration errors come in many classes
            raise ModelError(
                f"{self.spec} could not be loaded: {brief(error)}",
                "check the name and the network, or give a local folder",
            ) from error
        name = self._spec.options.get("prompt_name")
        if name is not None and name not in model.prompts:
            raise UsageError(f"{self.spec} has no prompt '{name}'", f"it has {', '.join(model.prompts) or 'none'}")
        folder = _folder(self._spec, model)
        weights = _weight_files(folder)
        configuration = {
            str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*.json"))
            if path.stat().st_size < 1 << 26
        }  # fmt: skip
        resolved = {
            "backend": "sbert", "model": self._spec.name if not folder.samefile(_local(self._spec) or ".") else folder.name,
            "revision": self._spec.revision, "packages": versions(_PACKAGES),
            "weights": {str(path.relative_to(folder)): sha256_file(path) for path in weights},
            "configuration": configuration, "prompt": self._prompt, "precision": self._precision,
        }  # fmt: skip
        pixels = type(model[0]).__name__ == "CLIPModel" or "image" in (getattr(model, "modalities", None) or ["text"])
        dim = len(np.atleast_2d(to_numpy(model.encode(["a"], convert_to_tensor=True, show_progress_bar=False)))[0])
        identity = Identity(
            resolved, dim, sum(p.numel() for p in model.parameters()), [file_state(path) for path in weights],
            {"pixels": bool(pixels)},
        )  # fmt: skip
        return model, self._verified(identity)


def _local(spec: ModelSpec) -> Path | None:
    path = Path(spec.name).expanduser()
    return path if path.is_dir() else None


def _where(spec: ModelSpec) -> str:
    local = _local(spec)
    return "" if local is None else str(local.resolve())


def _folder(spec: ModelSpec, model: Any) -> Path:
    local = _local(spec)
    if local is not None:
        return local.resolve()
    from huggingface_hub import snapshot_download

    name = spec.name if "/" in spec.name else f"sentence-transformers/{spec.name}"
    return Path(snapshot_download(name, revision=spec.revision, local_files_only=True))


def _weight_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not files:
        raise ModelError(f"{folder} holds no weights (*.safetensors)")
    return files
