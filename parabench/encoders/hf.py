"""``hf:…``: dual encoders of transformers (CLIP, SigLIP, SigLIP 2, ALIGN, Chinese-CLIP, …)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.network import NetworkEncoder
from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.resolution import Identity, file_state, versions
from parabench.encoders.spec import ModelSpec
from parabench.encoders.torch_runtime import inference, to_numpy
from parabench.errors import MissingDependencyError, ModelError, UsageError, brief
from parabench.libraries import import_torch, importing
from parabench.storage import sha256_file

_PACKAGES = ("transformers", "tokenizers", "torch", "torchvision", "pillow")
_FIXED_LENGTH = {"siglip": 64, "siglip2": 64}  # trained with padding up to here, and the padding is not masked


class HuggingFaceEncoder(NetworkEncoder):
    """A transformers model with ``get_text_features`` and ``get_image_features``.

    ``@revision`` is what is downloaded, and the commit it stood for is recorded.  ``?prompt=a photo of {}``
    wraps every text.  Padding goes to the longest text of the batch where the model masks it.
    """

    sees = "pixels"
    batch_size = 64

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.allow(("prompt",))
        if not spec.name:
            raise UsageError("hf: names no model", "e.g. hf:openai/clip-vit-base-patch32")
        self._prompt = spec.options.get("prompt", "{}")
        if "{}" not in self._prompt:
            raise UsageError(f"'{spec}': the prompt has no '{{}}' for the text", "e.g. ?prompt=a photo of {}")
        super().__init__(str(spec), device, precision)
        self._spec, self._remote = spec, trust_remote_code
        local = Path(spec.name).expanduser()
        self._local = local.resolve() if local.is_dir() else None
        self._resolve({"packages": versions(_PACKAGES), "folder": str(self._local)}, lambda: self._network[2])

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32, what ``get_text_features`` gives."""
        model, processor, _ = self._network
        fixed = _FIXED_LENGTH.get(model.config.model_type)
        limit = getattr(getattr(model.config, "text_config", None), "max_position_embeddings", None)
        inputs = processor.tokenizer(
            [self._prompt.replace("{}", text) for text in texts], return_tensors="pt", truncation=True,
            padding="max_length" if fixed else "longest", max_length=min(fixed or limit or 77, limit or 10**9),
        )  # fmt: skip
        with inference(self.device, self._precision):
            return _features(model.get_text_features(**inputs.to(self.device)))

    def text_lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """How many tokens the text tower runs for each text by itself ``(n,)``."""
        model, processor, _ = self._network
        fixed = _FIXED_LENGTH.get(model.config.model_type)
        found = processor.tokenizer([self._prompt.replace("{}", text) for text in texts])["input_ids"]
        return np.array([fixed or len(ids) for ids in found], np.int64)

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """One RGB picture → the model's pixel input ``(3, height, width)`` float32."""
        pixels = self._network[1].image_processor(images=image, return_tensors="np")["pixel_values"]
        array: NDArray[np.float32] = np.asarray(pixels[0], np.float32)
        return array

    def encode_pixels(self, batch: NDArray[np.float32]) -> FloatMatrix:
        """``(n, 3, height, width)`` → ``(n, dim)`` float32, what ``get_image_features`` gives."""
        import torch

        with inference(self.device, self._precision):
            return _features(self._network[0].get_image_features(pixel_values=torch.from_numpy(batch).to(self.device)))

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """RGB pictures → ``(n, dim)`` float32."""
        return self.encode_pixels(np.stack([self.preprocess(image) for image in images]))

    @cached_property
    def _network(self) -> tuple[Any, Any, Identity]:
        import_torch("hf", "hf:")
        try:
            with importing():
                from transformers import AutoModel, AutoProcessor
        except ImportError:
            raise MissingDependencyError("transformers", "hf", "hf:") from None
        self._choose_device()
        options = {"revision": self._spec.revision, "trust_remote_code": self._remote}
        source = str(self._local or self._spec.name)
        try:
            model = AutoModel.from_pretrained(source, **options)
            processor = AutoProcessor.from_pretrained(source, **options)
        except Exception as error:  # hub, file and configuration errors come in many classes
            raise ModelError(
                f"{self.spec} could not be loaded: {brief(error)}",
                "check the name and the network, or give a local folder; remote code needs --trust-remote-code",
            ) from error
        for member in ("get_text_features", "get_image_features"):
            if not hasattr(model, member):
                raise ModelError(f"{self.spec} is a {type(model).__name__}, which has no {member}",
                                 "choose a dual encoder; text-only models go with sbert:")  # fmt: skip
        model = model.float().eval().requires_grad_(False).to(self._device)
        folder = self._local or _snapshot(self._spec)
        weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
        resolved = {
            "backend": "hf", "model": folder.name if self._local else self._spec.name, "packages": versions(_PACKAGES),
            "commit": getattr(model.config, "_commit_hash", None), "prompt": self._prompt, "precision": self._precision,
            "weights": {path.name: sha256_file(path) for path in weights},
            "configuration": {path.name: sha256_file(path) for path in sorted(folder.glob("*.json"))},
        }  # fmt: skip
        with inference(self._device, "fp32"):
            probe = processor.tokenizer(["a"], return_tensors="pt").to(self._device)
            dim = _features(model.get_text_features(**probe)).shape[1]
        identity = Identity(
            resolved, int(dim), sum(p.numel() for p in model.parameters()), [file_state(path) for path in weights]
        )
        return model, processor, self._verified(identity)


def _features(output: Any) -> FloatMatrix:
    """The projected features, which newer versions of transformers wrap in an output object."""
    return to_numpy(output if hasattr(output, "detach") else output.pooler_output)


def _snapshot(spec: ModelSpec) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(spec.name, revision=spec.revision, local_files_only=True))
