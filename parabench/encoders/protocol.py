"""What an encoder is: two functions into one space, and an honest fingerprint.

Anything with the members of :class:`Encoder` can be evaluated.  The optional members below it let a
backend say more; a missing one takes the default that :class:`Traits` documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parabench.errors import ModelError, ParabenchError, UsageError

FloatMatrix = NDArray[np.float32]

Sees = Literal["pixels", "ids", "captions"]


@runtime_checkable
class Encoder(Protocol):
    """A dual encoder.

    Attributes:
        spec: the model spec as the user would type it (``"openclip:ViT-B-32/openai"``).
        fingerprint: hash of everything that changes a number: backend and version, resolved weights,
            preprocessing, tokeniser, prompt, pooling, precision.  Two encoders with one fingerprint give
            the same vectors; the embedding cache is keyed by it.
        dim: length of an embedding.
    """

    spec: str
    fingerprint: str
    dim: int

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(len(texts), dim)`` float32; need not be normalised.  Row i depends on text i only."""
        ...

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Images → ``(len(images), dim)`` float32; need not be normalised.

        An image is a ``PIL.Image.Image`` in mode RGB when the encoder sees ``"pixels"`` (the default) and
        the image id as ``str`` when it sees ``"ids"``.
        """
        ...


@runtime_checkable
class PixelEncoder(Encoder, Protocol):
    """An encoder that splits image work in two, so that pictures are prepared while the network runs."""

    def preprocess(self, image: Any) -> NDArray[Any]:
        """One RGB ``PIL.Image.Image`` → an array; called from background threads, so it must be thread-safe."""
        ...

    def encode_pixels(self, batch: NDArray[Any]) -> FloatMatrix:
        """A stacked batch of :meth:`preprocess` outputs ``(n, …)`` → ``(n, dim)`` float32."""
        ...


@runtime_checkable
class LengthEncoder(Encoder, Protocol):
    """An encoder that can say what a text costs, so that texts of one length run together and nothing is padded."""

    def text_lengths(self, texts: Sequence[str]) -> NDArray[Any]:
        """How many tokens the text tower runs for each text by itself ``(n,)`` int64."""
        ...


@dataclass(frozen=True)
class Traits:
    """What an encoder says about itself beyond the Protocol (attributes of the same name, all optional).

    Attributes:
        sees: what ``encode_images`` takes: ``"pixels"``; ``"ids"`` (precomputed and baseline encoders, which
            open no picture); or ``"captions"``: the encoder has no image tower, and an image is the mean of
            the embeddings of its captions other than the query's own.
        cacheable: whether embedding is dear enough to be stored.
        resolved: exact identity of what runs (weights, revision, versions), recorded in results.
        n_parameters: number of network parameters, if any.
        device: where it runs (``"cpu"``, ``"cuda:0"``), if it runs on a device.
        batch_size: the batch size that suits it.
    """

    sees: Sees = "pixels"
    cacheable: bool = True
    resolved: dict[str, Any] = field(default_factory=dict)
    n_parameters: int | None = None
    device: str = "cpu"
    batch_size: int = 64

    @classmethod
    def of(cls, encoder: Encoder) -> Traits:
        """The traits of ``encoder``, with defaults for what it does not say.

        Raises:
            ModelError: one of them is not what it has to be, or can't be read.
        """
        default = cls()
        own = {name: read_member(encoder, name, getattr(default, name)) for name in cls.__dataclass_fields__}
        _refuse_odd(encoder, own)
        return cls(**{**own, "device": str(own["device"]), "cacheable": bool(own["cacheable"])})


def read_member(encoder: Any, name: str, default: Any) -> Any:
    """``encoder.<name>``, or ``default`` where it has none; :class:`ModelError` where reading it fails."""
    try:
        return getattr(encoder, name, default)
    except ParabenchError:
        raise
    except Exception as error:
        raise ModelError(
            f"the encoder ({type(encoder).__name__}) fails when its '{name}' is read: {type(error).__name__}: {error}",
            "the error is in that class",
        ) from error


def checked(encoder: Any) -> Encoder:
    """Somebody's object, if it has what an :class:`Encoder` needs.

    Raises:
        UsageError: a member is missing.
        ModelError: one is of the wrong kind, or can't be read.
    """
    held = {name: read_member(encoder, name, None) for name in ("spec", "fingerprint", "dim", "encode_text")}
    if lacking := [name for name, value in held.items() if value is None]:
        raise UsageError(
            f"the encoder ({type(encoder).__name__}) has no {', '.join(lacking)}",
            "give it what parabench.encoders.Encoder names, or wrap it in a function and pass python:module:function",
        )
    _refuse_odd(encoder, held)
    known: Encoder = encoder
    return known


def _named(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) > 0


_FITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "spec": (_named, "a name"),
    "fingerprint": (_named, "a text that changes when the vectors do"),
    "dim": (_whole, "a whole number above 0"),
    "encode_text": (callable, "a method"),
    "sees": (lambda value: isinstance(value, str) and value in get_args(Sees), "'pixels', 'ids' or 'captions'"),
    "resolved": (lambda value: isinstance(value, dict), "a dict"),
    "n_parameters": (lambda value: value is None or _whole(value) or value == 0, "a whole number or None"),
    "batch_size": (_whole, "a whole number above 0"),
}
"""Member or trait → whether a value fits, and what fits, for the message."""


def _refuse_odd(encoder: Any, held: Mapping[str, Any]) -> None:
    for name, value in held.items():
        fits, needed = _FITS.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise ModelError(f"the encoder ({type(encoder).__name__}) says {name} = {value!r:.80}", f"it has to be {needed}")


@runtime_checkable
class CorpusEncoder(Encoder, Protocol):
    """An encoder that looks at the gallery's captions before it can encode (word weights of TF-IDF)."""

    def fit_corpus(self, captions: Sequence[str]) -> None:
        """Learn from the captions; the fingerprint then covers them."""
        ...
