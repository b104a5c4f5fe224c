"""What a dual encoder is made of: the part of a model folder that rebuilds the networks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Pooling = Literal["mean", "cls", "eot", "last"]


class Strict(BaseModel):
    """A record that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ImageConfig(Strict):
    """The image tower: a trunk (pixels → vector) and a head (vector → embedding).

    Attributes:
        kind: ``open_clip``, ``timm`` and ``transformers`` are networks; ``cells`` is a fixed descriptor of
            colours and edges without parameters; ``features`` is precomputed vectors by image id.
        name: architecture (open_clip, timm) or Hub id or folder (transformers).
        weights: open_clip's tag, ``"pretrained"`` (timm, transformers) or ``None``: random weights.
        vision: open_clip's ``vision_cfg`` of an architecture without a name.
        path: ``features`` only: folder with ``image_ids.txt`` and ``image_embeddings.npy``.
        locked: the trunk does not learn (LiT, Zhai et al. 2022, arXiv 2111.07991).
        projection: the head: ``none`` (trunk width = embedding width), ``linear`` or ``mlp``.
        standardise: scale each trunk output to mean 0 and variance 1 over the training pictures (locked trunks).
        width: length of a trunk vector; known for networks, read from the file for ``features``.
    """

    kind: Literal["open_clip", "timm", "transformers", "cells", "features"]
    name: str = ""
    weights: str | None = None
    vision: dict[str, Any] | None = None
    path: str = ""
    locked: bool = False
    projection: Literal["none", "linear", "mlp"] = "linear"
    standardise: bool = False
    width: int | None = None


class AdapterConfig(Strict):
    """Small trainable parts inside a frozen language model.

    ``bottleneck``: Houlsby et al. 2019 (arXiv 1902.00751), one after each layer.  ``lora``: Hu et al. 2021
    (arXiv 2106.09685), on every linear map, through peft.
    """

    kind: Literal["bottleneck", "lora"]
    rank: int = Field(default=64, ge=1)


class TextConfig(Strict):
    """The text tower: a trunk (tokens → token states) and a head (states → embedding).

    Attributes:
        kind: ``clip`` is CLIP's own text transformer; ``lm`` is a language model of transformers.
        name: Hub id or folder of the language model.
        revision: commit or tag on the Hub.
        layers: transformer layers: all of a ``clip`` trunk, or how many of the language model's are kept.
        width, heads: of a ``clip`` trunk.
        max_length: tokens a text may have, special tokens included; longer ones are cut, the end token kept.
        pooling: how states become one vector, see :mod:`parabench.towers.pooling`.
        alignment_layers: transformer layers of the head, between the states and the pooling.
        alignment_width: their width; the trunk's own by default.
        alignment_heads: attention heads of each; the trunk's own number by default, or one for 64 of another width.
        adapter: small trainable parts inside the trunk.
    """

    kind: Literal["clip", "lm"]
    name: str = ""
    revision: str | None = None
    layers: int | None = Field(default=None, ge=1)
    width: int = Field(default=512, ge=8)
    heads: int = Field(default=8, ge=1)
    max_length: int = Field(default=77, ge=3)
    pooling: Pooling = "mean"
    alignment_layers: int = Field(default=0, ge=0)
    alignment_width: int | None = Field(default=None, ge=8)
    alignment_heads: int | None = Field(default=None, ge=1)
    adapter: AdapterConfig | None = None


class DualEncoderConfig(Strict):
    """Both towers and what joins them."""

    image: ImageConfig
    text: TextConfig
    embed_dim: int = Field(ge=2)
    logit_scale: float = Field(default=2.6592600369327779, description="log of the initial scale; CLIP: ln(1/0.07)")
    logit_bias: float | None = Field(default=None, description="initial bias of SigLIP; None: there is none")
