"""Encoders: one Protocol, one registry, one file a backend, each imported when it is used."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from parabench.encoders.protocol import Encoder, PixelEncoder, Traits
from parabench.encoders.spec import ModelSpec
from parabench.errors import UsageError
from parabench.registry import Registry

Factory = Callable[..., Encoder]


@dataclass(frozen=True)
class Backend:
    """What `parabench models` says of a backend."""

    name: str
    example: str
    about: str
    requires: tuple[str, ...] = ()
    extra: str = ""

    @property
    def ready(self) -> bool:
        """Whether the packages it needs are installed (none is imported)."""
        return all(importlib.util.find_spec(package) is not None for package in self.requires)

    @property
    def install(self) -> str:
        """How to get what is missing."""
        return f"pip install 'parabench[{self.extra}]'" if self.extra else ""


_TABLE = (
    ("parabench.encoders.openclip:OpenClipEncoder",
     Backend("openclip", "openclip:ViT-B-32/laion2b_s34b_b79k", "open_clip; without a tag a default is said aloud; /untrained for random weights", ("torch", "open_clip"), "openclip")),
    ("parabench.encoders.hf:HuggingFaceEncoder",
     Backend("hf", "hf:openai/clip-vit-base-patch32", "dual encoders of transformers: CLIP, SigLIP, ALIGN, …", ("torch", "transformers"), "hf")),
    ("parabench.encoders.sbert:SentenceEncoder",
     Backend("sbert", "sbert:sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers; text-only ones search a caption gallery", ("torch", "sentence_transformers"), "hf")),
    ("parabench.encoders.trained:TrainedEncoder",
     Backend("parabench", "parabench:models/scenes-align", "what `parabench train` writes, from a folder or the Hub", ("torch", "safetensors"), "train")),
    ("parabench.encoders.embeddings:StoredEmbeddings",
     Backend("embeddings", "embeddings:DIR", "precomputed vectors: image_ids.txt + image_embeddings.npy, texts.txt + text_embeddings.npy")),
    ("parabench.encoders.python_factory:load_factory",
     Backend("python", "python:package.module:factory", "your own code: a function that returns encode_text and encode_images")),
    ("parabench.encoders.demo:DemoEncoder",
     Backend("demo", "demo:align", "two trained models as their vectors for scenes' test split: align, scratch")),
    ("parabench.encoders.cca:CcaEncoder",
     Backend("cca", "cca:scenes", "a small trained baseline: canonical correlation of words and colours, fitted here in seconds")),
    ("parabench.encoders.tfidf:TfidfEncoder",
     Backend("tfidf", "tfidf:", "counts words: a lexical baseline on a caption gallery")),
    ("parabench.encoders.baselines:RandomEncoder",
     Backend("random", "random:512", "a random vector for each text and picture: the floor")),
    ("parabench.encoders.baselines:ConstantEncoder",
     Backend("constant", "constant:512", "one vector for everything: perfectly stable, perfectly useless")),
)  # fmt: skip

BACKENDS: Registry[Factory] = Registry(
    "backend", {backend.name: target for target, backend in _TABLE}, group="parabench.encoders"
)


def backends() -> list[Backend]:
    """Every backend, plug-ins included."""
    known = {backend.name: backend for _, backend in _TABLE}
    plugged = [Backend(name, f"{name}:…", f"plug-in {BACKENDS.target(name)}") for name in BACKENDS if name not in known]
    return [*known.values(), *plugged]


def load_encoder(
    spec: str, *, device: str = "auto", precision: str = "fp32", trust_remote_code: bool = False
) -> Encoder:
    """A model spec → an encoder; networks are loaded on first use.

    Args:
        spec: ``"openclip:ViT-B-32/openai"``; `parabench models` lists the kinds.
        device: of a network: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: of a network: ``fp32``, ``bf16`` or ``fp16``; vectors are float32 always.
        trust_remote_code: allow code that a hub model brings along.

    Returns:
        An object whose ``encode_text(texts)`` and ``encode_images(images)`` give ``(n, dim)`` float32 arrays that need not be
        normalised.

    Raises:
        UsageError: the spec is malformed, or its backend, model, tag or option is unknown.
        ModelError: the model can't be had or does not run here.
    """
    parsed = ModelSpec.parse(spec)
    if parsed.backend not in BACKENDS:
        BACKENDS.target(parsed.backend)
    if precision not in ("fp32", "bf16", "fp16"):
        raise UsageError(f"unknown precision '{precision}'", "fp32, bf16 or fp16")
    return BACKENDS.get(parsed.backend)(
        parsed, device=device, precision=precision, trust_remote_code=trust_remote_code
    )


__all__ = ["BACKENDS", "Backend", "Encoder", "ModelSpec", "PixelEncoder", "Traits", "backends", "load_encoder"]
