"""Losses that know of paraphrases: beyond training on pictures and captions alone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch.nn import functional

from parabench.train.losses.base import Embedded, Loss
from parabench.train.losses.contrastive import info_nce


class SampledRewrites(Loss):
    """InfoNCE of a picture and one text drawn uniformly from its caption and the caption's rewrites.

    L = InfoNCE(v, t̃), t̃ ~ Uniform{t_0, t_1, …, t_M}: LaCLIP, Fan et al. 2023 (arXiv 2305.20088).
    """

    name: Literal["sampled-rewrites"] = "sampled-rewrites"

    @property
    def views(self) -> tuple[str, ...]:
        """The drawn text."""
        return ("sampled",)

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows."""
        return info_nce(batch, batch.image, batch.texts["sampled"])


class ThreeTerm(Loss):
    """L = InfoNCE(v, t″) + InfoNCE(t, t′) + InfoNCE(t′, t″) with two rewrites t′, t″ of the caption t.

    ParaCLIP, Kim et al. 2024, *Fine-tuning CLIP Text Encoders with Two-step Paraphrasing* (arXiv 2402.15120).
    """

    name: Literal["three-term"] = "three-term"

    @property
    def views(self) -> tuple[str, ...]:
        """Caption and two rewrites."""
        return ("caption", "rewrite", "rewrite2")

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows."""
        caption, first, second = (batch.texts[view] for view in self.views)
        return info_nce(batch, batch.image, second) + info_nce(batch, caption, first) + info_nce(batch, first, second)


class RankConsistency(Loss):
    """A caption and its rewrite rank the pictures of the batch alike.

    With p_i = softmax_j(s·⟨t_i, v_j⟩) and q_i = softmax_j(s·⟨t′_i, v_j⟩) over all pictures j of the batch:
    L = ½ InfoNCE(v, t) + ½ InfoNCE(v, t′) + (λ/N) Σ_i D(p_i, q_i), where D is the Jensen–Shannon divergence
    JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = (p + q)/2, or the symmetric KL(p ‖ q)/2 + KL(q ‖ p)/2.
    The divergence of score distributions is ListNet's (Cao et al. 2007) between two queries; it is this
    project's own use of it.

    Attributes:
        weight: λ.
        divergence: ``js`` or ``kl``.
    """

    name: Literal["rank-consistency"] = "rank-consistency"
    weight: float = Field(default=1.0, ge=0)
    divergence: Literal["js", "kl"] = "js"

    @property
    def views(self) -> tuple[str, ...]:
        """Caption and rewrite."""
        return ("caption", "rewrite")

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows."""
        caption, rewrite = (batch.texts[view] for view in self.views)
        pictures = batch.gather(batch.image)
        p = functional.log_softmax(batch.scale * caption @ pictures.T, dim=1)
        q = functional.log_softmax(batch.scale * rewrite @ pictures.T, dim=1)
        match = (info_nce(batch, batch.image, caption) + info_nce(batch, batch.image, rewrite)) / 2
        return match + self.weight * (jensen_shannon(p, q) if self.divergence == "js" else symmetric_kl(p, q)).mean()


class EmbeddingConsistency(Loss):
    """A caption and its rewrite have one embedding: L = ½ InfoNCE(v, t) + ½ InfoNCE(v, t′) + (λ/N) Σ_i (1 − ⟨t_i, t′_i⟩).

    The invariance term of BYOL and SimSiam (Chen & He 2021, arXiv 2011.10566) on paraphrases.

    Attributes:
        weight: λ.
    """

    name: Literal["embedding-consistency"] = "embedding-consistency"
    weight: float = Field(default=1.0, ge=0)

    @property
    def views(self) -> tuple[str, ...]:
        """Caption and rewrite."""
        return ("caption", "rewrite")

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows."""
        caption, rewrite = (batch.texts[view] for view in self.views)
        match = (info_nce(batch, batch.image, caption) + info_nce(batch, batch.image, rewrite)) / 2
        return match + self.weight * (1 - (caption * rewrite).sum(1)).mean()


def jensen_shannon(p: Any, q: Any) -> Any:
    """Jensen–Shannon divergence in nats, 0 to ln 2, of rows of log-probabilities ``(n, m)`` → ``(n,)``."""
    middle = (p.exp() + q.exp()).div(2).clamp_min(1e-30).log()
    return (p.exp() * (p - middle)).sum(1) / 2 + (q.exp() * (q - middle)).sum(1) / 2


def symmetric_kl(p: Any, q: Any) -> Any:
    """½ KL(p‖q) + ½ KL(q‖p) in nats, of rows of log-probabilities ``(n, m)`` → ``(n,)``."""
    return ((p.exp() - q.exp()) * (p - q)).sum(1) / 2
