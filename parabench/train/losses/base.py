"""What a loss is: which texts of a picture it reads, and a number for a batch of embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parabench.registry import Registry
from parabench.towers.config import Strict


def alone(tensor: Any) -> Any:
    """The global batch of a single rank: the batch itself."""
    return tensor


@dataclass(frozen=True)
class Embedded:
    """A rank's share of a batch, embedded.

    Attributes:
        image: ``(n, dim)`` unit vectors of its pictures.
        texts: view → ``(n, dim)`` unit vectors; row i belongs to picture i.
        groups: ``(n,)`` int64, equal where two rows show one picture.
        scale, bias: 0-dimensional; score = scale · cosine + bias.
        gather: ``(n, …)`` → ``(N, …)``, the rows of all ranks in rank order, with gradients.
        offset: place of this rank's first row among all.
    """

    image: Any
    texts: dict[str, Any]
    groups: Any
    scale: Any
    bias: Any
    gather: Callable[[Any], Any] = alone
    offset: int = 0


class Loss(Strict, ABC):
    """A loss with its options.

    A rank computes the mean over its own rows against the columns of all ranks.  Ranks have equal shares, so
    the mean over ranks is the loss of the whole batch, and so is its gradient after DDP's averaging.

    Attributes:
        name: as written in recipes.
    """

    name: str
    @property
    def views(self) -> tuple[str, ...]:
        """Texts of a picture that the loss reads, see :func:`parabench.train.data.views.draw`."""
        return ("caption",)

    def initial(self) -> dict[str, float]:
        """Initial values of the scale and bias, where they are not CLIP's."""
        return {}

    @abstractmethod
    def __call__(self, batch: Embedded) -> Any:
        """The mean over this rank's rows, 0-dimensional."""


LOSSES: Registry[type[Loss]] = Registry(
    "loss",
    {
        "infonce": "parabench.train.losses.contrastive:InfoNCE",
        "siglip": "parabench.train.losses.contrastive:SigLIP",
        "multi-positive": "parabench.train.losses.contrastive:MultiPositive",
        "sampled-rewrites": "parabench.train.losses.paraphrase:SampledRewrites",
        "three-term": "parabench.train.losses.paraphrase:ThreeTerm",
        "rank-consistency": "parabench.train.losses.paraphrase:RankConsistency",
        "embedding-consistency": "parabench.train.losses.paraphrase:EmbeddingConsistency",
    },
    group="parabench.losses",
)
