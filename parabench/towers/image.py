"""The image tower: a trunk (picture → vector) and a head (vector → embedding)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from parabench.errors import UsageError
from parabench.towers.config import ImageConfig
from parabench.towers.image_trunk import Features, TransformersTrunk, build_trunk
from parabench.towers.modes import PartlyFrozen, is_frozen


class ImageTower(PartlyFrozen):
    """Pixels, or trunk vectors, → embedding.

    Attributes:
        trunk: see :mod:`parabench.towers.image_trunk`.
        mean, scale: buffers ``(width,)`` that standardise a trunk vector; 0 and 1 until they are measured.
        projection: the head; the identity for ``projection: none``.
    """

    def __init__(self, config: ImageConfig, embed_dim: int, trunk: Any) -> None:
        super().__init__()
        self.config, self.trunk, width = config, trunk, trunk.width
        if config.projection == "none" and width != embed_dim:
            raise UsageError(
                f"image.projection=none, but the image tower gives {width} numbers and embed_dim is {embed_dim}",
                f"set embed_dim={width} or image.projection=linear",
            )
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.projection: Any = nn.Identity()
        if config.projection == "linear":
            self.projection = nn.Linear(width, embed_dim, bias=False)
        elif config.projection == "mlp":
            hidden = 2 * embed_dim
            self.projection = nn.Sequential(
                nn.Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, embed_dim, bias=False)
            )

    @classmethod
    def build(cls, config: ImageConfig, embed_dim: int, *, source: str | None = None, weights: bool = True) -> ImageTower:
        """Build the tower of a configuration, see :func:`parabench.towers.image_trunk.build_trunk`."""
        return cls(config, embed_dim, build_trunk(config, embed_dim, source=source, weights=weights))

    @property
    def sees(self) -> str:
        """``"pixels"``, or ``"ids"`` where vectors are precomputed."""
        return "ids" if isinstance(self.trunk, Features) else "pixels"

    @property
    def trunk_is_frozen(self) -> bool:
        """Whether the vector of a picture never changes, so that it can be computed once."""
        return is_frozen(self.trunk)

    def standardise(self, vectors: Any) -> None:
        """Measure mean and deviation of trunk vectors ``(n, width)``; constant entries are left unscaled."""
        deviation, mean = torch.std_mean(vectors.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(1 / torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def vectors(self, images: Any) -> Any:
        """A batch of trunk inputs → trunk vectors ``(n, width)``; vectors pass through."""
        if images.ndim == 2:
            return images
        if self.trunk_is_frozen:
            with torch.no_grad():
                return self.trunk(images)
        return self.trunk(images)

    def forward(self, images: Any) -> Any:
        """Trunk inputs ``(n, 3, height, width)`` or trunk vectors ``(n, width)`` → embeddings ``(n, embed_dim)``."""
        vectors = self.vectors(images)
        if self.config.standardise:
            vectors = (vectors - self.mean) * self.scale
        return self.projection(vectors)

    def save(self, folder: Path) -> None:
        """Write what the trunk needs besides weights: precomputed vectors, a processor's settings."""
        if isinstance(self.trunk, Features):
            self.trunk.save(folder)
        elif isinstance(self.trunk, TransformersTrunk):
            folder.mkdir(parents=True, exist_ok=True)
            self.trunk.settings.save_pretrained(folder)
            self.trunk.processor.save_pretrained(folder)
