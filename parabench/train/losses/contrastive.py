"""Losses between pictures and texts: InfoNCE, SigLIP, several positives."""

from __future__ import annotations

from math import log
from typing import Any, Literal

import torch
from pydantic import Field
from torch.nn import functional

from parabench.train.losses.base import Embedded, Loss


def info_nce(batch: Embedded, left: Any, right: Any) -> Any:
    r"""Symmetric InfoNCE between the rows of ``left`` and ``right`` (both ``(n, dim)``, row i ↔ row i).

    L = −(1/2N) Σ_i [ log softmax_j(s·⟨a_i, b_j⟩)_i + log softmax_j(s·⟨b_i, a_j⟩)_i ]
    (van den Oord et al. 2018, arXiv 1807.03748; in this form Radford et al. 2021, arXiv 2103.00020).
    """
    labels = torch.arange(len(left), device=left.device) + batch.offset
    forth = functional.cross_entropy(batch.scale * left @ batch.gather(right).T, labels)
    back = functional.cross_entropy(batch.scale * right @ batch.gather(left).T, labels)
    return (forth + back) / 2


class InfoNCE(Loss):
    """CLIP's loss: :func:`info_nce` of pictures and captions."""

    name: Literal["infonce"] = "infonce"

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows."""
        return info_nce(batch, batch.image, batch.texts["caption"])


class SigLIP(Loss):
    """Every pair is a yes–no question: L = −(1/N) Σ_i Σ_j log σ(z_ij (s·⟨v_i, t_j⟩ + b)), z = 1 on the diagonal, else −1.

    Zhai et al. 2023, *Sigmoid Loss for Language Image Pre-Training* (arXiv 2303.15343); s starts at 10 and
    b at −10 as there.
    """

    name: Literal["siglip"] = "siglip"

    def initial(self) -> dict[str, float]:
        """Scale 10, bias −10."""
        return {"logit_scale": log(10.0), "logit_bias": -10.0}

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's pictures."""
        scores = batch.scale * batch.image @ batch.gather(batch.texts["caption"]).T + batch.bias
        signs = -torch.ones_like(scores)
        rows = torch.arange(len(scores), device=scores.device)
        signs[rows, rows + batch.offset] = 1
        return -functional.logsigmoid(signs * scores).sum() / len(scores)


class MultiPositive(Loss):
    """Several captions a picture, all of them right.

    L = −(1/2N) Σ_i (1/|P(i)|) Σ_{j∈P(i)} log softmax_j(s·⟨v_i, t_j⟩) − (1/2M) Σ_j (1/|Q(j)|) Σ_{i∈Q(j)} log softmax_i(s·⟨t_j, v_i⟩)
    with P(i) the texts of picture i and Q(j) the rows that show the picture of text j: the supervised contrastive
    loss (Khosla et al. 2020, arXiv 2004.11362, L_out) across modalities, as in UniCL (arXiv 2204.03610).

    Attributes:
        captions: texts a picture and step; pictures with fewer repeat theirs.
    """

    name: Literal["multi-positive"] = "multi-positive"
    captions: int = Field(default=2, ge=1)

    @property
    def views(self) -> tuple[str, ...]:
        """``captions`` different captions."""
        return ("caption", *(f"other{number}" for number in range(1, self.captions)))

    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's pictures and texts."""
        texts = torch.cat([batch.texts[view] for view in self.views])
        groups = batch.groups.repeat(self.captions)
        forth = _spread(batch.scale * batch.image @ batch.gather(texts).T, batch.groups, batch.gather(groups))
        back = _spread(batch.scale * texts @ batch.gather(batch.image).T, groups, batch.gather(batch.groups))
        return (forth + back) / 2


def _spread(scores: Any, rows: Any, columns: Any) -> Any:
    """Mean over rows of the mean log-probability of each row's positives, negated."""
    positive = (rows[:, None] == columns[None, :]).to(scores.dtype)
    return -(functional.log_softmax(scores, dim=1) * positive).sum(1).div(positive.sum(1)).mean()
