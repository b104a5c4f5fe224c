"""``openclip:ViT-B-32[/tag]``: every model of open_clip."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parabench.encoders.network import NetworkEncoder
from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.resolution import Identity, file_state, versions
from parabench.encoders.spec import ModelSpec
from parabench.encoders.torch_runtime import inference, to_numpy
from parabench.errors import ModelError, UsageError, brief, did_you_mean
from parabench.libraries import import_open_clip
from parabench.progress import note
from parabench.storage import sha256_file

if TYPE_CHECKING:
    from parabench.encoders.clip_towers import CausalTextTower

DEFAULT_TAGS = {
    "ViT-B-32": "laion2b_s34b_b79k",
    "ViT-B-16": "laion2b_s34b_b88k",
    "ViT-L-14": "laion2b_s32b_b82k",
    "ViT-H-14": "laion2b_s32b_b79k",
    "ViT-g-14": "laion2b_s34b_b88k",
    "roberta-ViT-B-32": "laion2b_s12b_b32k",
    "xlm-roberta-base-ViT-B-32": "laion5b_s13b_b90k",
    "convnext_base_w": "laion2b_s13b_b82k",
    "RN50": "openai",
    "RN101": "openai",
}
"""The tag that a model without one gets; other models get the last tag that open_clip lists for them."""

_PROBES = ["two red boats", "two red boats on a wide lake under a grey sky near the old harbour wall"]
_PICTURES_IN_CACHE = 24
"""On a processor, pictures that run through the image tower at once: with 64 the activations leave its cache, a seventh slower."""

_OPTIONS = ("seed", "prompt", "checkpoint")
_PACKAGES = ("open_clip_torch", "torch", "torchvision", "timm", "transformers")


@dataclass
class _Network:
    """What is loaded.

    Attributes:
        model: open_clip's own, with its image tower shortened where it can be.
        transform: its evaluation transform.
        tokenizer: texts → ids.
        text: the text tower, shortened; ``None`` where ``model`` runs it itself.
        pad_id: the token that ``model``'s text tower can do without at the end, if any.
        identity: who it is.
    """

    model: Any
    transform: Any
    tokenizer: Any
    text: CausalTextTower | None
    pad_id: int | None
    identity: Identity


class OpenClipEncoder(NetworkEncoder):
    """An open_clip model.

    ``/untrained`` gives seeded random weights (``?seed=0``); ``?checkpoint=FILE`` loads a local checkpoint
    with ``weights_only``; ``?prompt=a photo of {}`` wraps every text.  Towers run with less work
    (:mod:`parabench.encoders.clip_towers`), or at least without padding, wherever a check at loading time shows the
    same vectors.
    """

    sees = "pixels"
    batch_size = 64

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.allow(_OPTIONS)
        spec.no_revision()
        self._architecture, _, tag = spec.name.partition("/")
        self._seed = spec.integer("seed", 0)
        self._prompt = spec.options.get("prompt", "{}")
        if "{}" not in self._prompt:
            raise UsageError(f"'{spec}': the prompt has no '{{}}' for the text", "e.g. ?prompt=a photo of {}")
        self._checkpoint = spec.options.get("checkpoint")
        if not self._architecture:
            raise UsageError("openclip: names no model", "e.g. openclip:ViT-B-32/openai")
        if tag != "untrained" and "seed" in spec.options:
            raise UsageError(f"'{spec}': a seed goes with /untrained weights only")
        self._tag = self._choose_tag(tag)
        super().__init__(str(ModelSpec("openclip", f"{self._architecture}/{self._tag}", None, spec.options)), device, precision)
        self._resolve({"packages": versions(_PACKAGES)}, lambda: self._network.identity)

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32, not normalised, equal to open_clip's ``encode_text``."""
        network = self._network
        tokens = self._tokens(texts)
        with inference(self.device, self._precision):
            if network.text is not None:
                return to_numpy(network.text(tokens.numpy()))
            length = tokens.shape[1] if network.pad_id is None else int(_lengths(tokens, network.pad_id).max(initial=1))
            return to_numpy(network.model.encode_text(tokens[:, :length].to(self.device)))

    def text_lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """How many tokens the text tower runs for each text by itself ``(n,)``."""
        network, tokens = self._network, self._tokens(texts)
        if network.text is not None:
            return network.text.ends(tokens.numpy()) + 1
        return np.full(len(texts), tokens.shape[1]) if network.pad_id is None else _lengths(tokens, network.pad_id)

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._network.tokenizer([self._prompt.replace("{}", text) for text in texts])

    def preprocess(self, image: Any) -> NDArray[np.float32]:
        """One RGB picture → open_clip's evaluation input ``(3, height, width)`` float32."""
        array: NDArray[np.float32] = self._network.transform(image).numpy()
        return array

    def encode_pixels(self, batch: NDArray[np.float32]) -> FloatMatrix:
        """``(n, 3, height, width)`` → ``(n, dim)`` float32, equal to open_clip's ``encode_image``."""
        import torch

        model = self._network.model
        parts = -(-len(batch) // _PICTURES_IN_CACHE) if self.device == "cpu" else 1
        outputs = []
        with inference(self.device, self._precision):
            for part in np.array_split(batch, max(1, parts)):
                outputs.append(to_numpy(model.encode_image(torch.from_numpy(part).to(self.device))))
        return np.concatenate(outputs)

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """RGB pictures → ``(n, dim)`` float32."""
        return self.encode_pixels(np.stack([self.preprocess(image) for image in images]))

    @cached_property
    def _network(self) -> _Network:
        open_clip = import_open_clip("openclip", "openclip:")
        import torch

        from parabench.encoders.clip_towers import shorten_images, shorten_text

        device = self._choose_device()
        weights: dict[str, Any]
        files: list[list[Any]] = []
        pretrained: str | None = None
        if self._tag == "untrained":
            weights = {"untrained": True, "seed": self._seed}
        else:
            path = self._weights_file()
            pretrained = str(path)
            weights = {"sha256": sha256_file(path)}
            files = [file_state(path)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            options: dict[str, Any] = {}
            if self._tag not in ("untrained", "local"):
                config = open_clip.get_pretrained_cfg(self._architecture, self._tag) or {}
                options = {f"image_{k}": config[k] for k in ("mean", "std", "interpolation", "resize_mode") if k in config}
                options["force_quick_gelu"] = bool(config.get("quick_gelu", False))
            try:
                # weights go on in a second step: create_model would fall back to random ones with a warning
                logging.disable(logging.WARNING)
                model, _, transform = open_clip.create_model_and_transforms(
                    self._architecture, pretrained=None, pretrained_image=False, **options
                )
                if pretrained is not None:
                    open_clip.load_checkpoint(model, pretrained, weights_only=True)
            except (RuntimeError, OSError, ValueError, KeyError) as error:
                raise ModelError(f"{self.spec} could not be built: {error}", "check the tag and the checkpoint") from error
            finally:
                logging.disable(logging.NOTSET)
        model = model.eval().requires_grad_(False).to(device)
        try:
            tokenizer = open_clip.get_tokenizer(self._architecture)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the tokenizer of {self._architecture} could not be had: {brief(error)}",
                "check the network (and HF_HUB_OFFLINE), or set HF_HOME to a folder that holds it",
            ) from error
        resolved = {
            "backend": "openclip", "packages": versions(_PACKAGES), "model": self._architecture, "tag": self._tag,
            "weights": weights, "config": _jsonable(open_clip.get_model_config(self._architecture)),
            "preprocess": str(transform), "tokenizer": type(tokenizer).__name__,
            "context_length": getattr(tokenizer, "context_length", None), "prompt": self._prompt,
            "precision": self._precision,
        }  # fmt: skip
        n_parameters = sum(p.numel() for p in model.parameters())
        probes = tokenizer(_PROBES)
        packed = device == "cpu" and self._precision == "fp32"
        with torch.inference_mode():
            whole = model.encode_text(probes.to(device))
            text = shorten_text(model, probes.numpy(), whole, packed=packed)
            pad = None if text is not None else _padding(model, probes.to(device), whole)
            shorten_images(model, packed=packed)
        identity = Identity(resolved, int(whole.shape[-1]), n_parameters, files)
        return _Network(model, transform, tokenizer, text, pad, self._verified(identity))

    def _choose_tag(self, tag: str) -> str:
        if tag == "untrained":
            return tag
        if self._checkpoint is not None:
            if tag:
                raise UsageError(f"openclip:{self._architecture}: a tag and ?checkpoint= can't be given together")
            return "local"
        if tag and DEFAULT_TAGS.get(self._architecture) == tag:
            return tag
        open_clip = import_open_clip("openclip", "openclip:")
        known = open_clip.list_models()
        if self._architecture not in known:
            raise UsageError(f"open_clip has no model '{self._architecture}'", did_you_mean(self._architecture, known))
        tags = open_clip.list_pretrained_tags_by_model(self._architecture)
        if tag:
            if tag not in tags:
                raise UsageError(
                    f"open_clip has no weights '{tag}' for {self._architecture}", did_you_mean(tag, [*tags, "untrained"])
                )
            return tag
        if not tags:
            raise UsageError(
                f"open_clip has no pretrained weights for {self._architecture}",
                f"give ?checkpoint=FILE, or openclip:{self._architecture}/untrained for seeded random weights",
            )
        chosen = DEFAULT_TAGS.get(self._architecture, tags[-1])
        note(f"openclip:{self._architecture} names no weights: using /{chosen} (others: {', '.join(tag for tag in tags if tag != chosen) or 'none'})")
        return str(chosen)

    def _weights_file(self) -> Path:
        if self._checkpoint is not None:
            path = Path(self._checkpoint).expanduser()
            if not path.is_file():
                raise ModelError(f"no such checkpoint: {path}", "check ?checkpoint=")
            return path
        open_clip = import_open_clip("openclip", "openclip:")
        config = open_clip.get_pretrained_cfg(self._architecture, self._tag)
        try:
            return Path(open_clip.download_pretrained(config))
        except Exception as error:  # the hub client raises a dozen kinds of its own
            raise ModelError(
                f"the weights of {self.spec} could not be downloaded: {brief(error)}",
                "check the network (and HF_HUB_OFFLINE), set HF_HOME to a folder that holds them, or give ?checkpoint=FILE",
            ) from error


def _padding(model: Any, tokens: Any, whole: Any) -> int | None:
    """The padding token of these texts, if cutting it off leaves their vectors ``whole`` as they are."""
    from parabench.encoders.clip_towers import same_vectors

    tail = tokens[:, -1]
    if not bool((tail == tail[0]).all()):
        return None
    pad = int(tail[0])
    try:
        short = model.encode_text(tokens[:, : int(_lengths(tokens, pad).max())])
    except (RuntimeError, IndexError, AssertionError):  # a tower with a place for every token of its context
        return None
    return pad if same_vectors(short, whole) else None


def _lengths(tokens: Any, pad: int) -> NDArray[np.int64]:
    words = tokens.cpu().numpy() != pad
    lengths: NDArray[np.int64] = words.shape[1] - np.argmax(words[:, ::-1], axis=1)
    return lengths


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(entry) for entry in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
