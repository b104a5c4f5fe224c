"""Two towers, one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from parabench.towers.config import DualEncoderConfig
from parabench.towers.image import ImageTower
from parabench.towers.modes import PartlyFrozen
from parabench.towers.text import TextTower
from parabench.towers.texts import Texts


class DualEncoder(PartlyFrozen):
    """An image tower and a text tower with the learned scale (and bias) of their scores.

    Attributes:
        logit_scale: natural log of the factor of the cosine in a loss, as in CLIP.
        logit_bias: added to it (SigLIP), or ``None``.
    """

    def __init__(self, config: DualEncoderConfig, image: ImageTower, text: TextTower) -> None:
        super().__init__()
        self.config, self.image, self.text = config, image, text
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale))
        self.logit_bias = None if config.logit_bias is None else nn.Parameter(torch.tensor(config.logit_bias))

    @classmethod
    def build(cls, config: DualEncoderConfig, *, trust_remote_code: bool = False) -> DualEncoder:
        """Build both towers with their initial weights (pretrained ones where the configuration names some)."""
        image = ImageTower.build(config.image, config.embed_dim)
        return cls(config, image, TextTower.build(config.text, config.embed_dim, trust_remote_code=trust_remote_code))

    def forward(self, images: Any, views: Sequence[Texts]) -> tuple[Any, list[Any], Any, Any]:
        """One batch.

        Args:
            images: trunk inputs or trunk vectors of ``n`` pictures.
            views: one or more batches of texts (caption, rewrite, …).

        Returns:
            Unit image embeddings ``(n, dim)``, a list of unit text embeddings, the scale (not its log) and the
            bias (0 where there is none); float32 under autocast too.
        """
        image = functional.normalize(self.image(images).float(), dim=-1)
        texts = [functional.normalize(self.text(view).float(), dim=-1) for view in views]
        bias = self.logit_scale.new_zeros(()) if self.logit_bias is None else self.logit_bias
        return image, texts, self.logit_scale.exp(), bias
