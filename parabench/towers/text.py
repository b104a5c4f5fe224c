"""The text tower: a trunk that makes token states, and a head that makes an embedding of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from parabench.errors import MissingDependencyError, UsageError
from parabench.towers.alignment import AlignmentLayers, BottleneckAdapter, standard_normal
from parabench.towers.config import TextConfig
from parabench.towers.modes import PartlyFrozen, is_frozen
from parabench.towers.pooling import pool
from parabench.towers.text_trunk import ClipTextTrunk, LanguageModelTrunk
from parabench.towers.texts import Texts
from parabench.towers.tokens import ClipTokens, LanguageModelTokens, Tokenizer


class TextTower(PartlyFrozen):
    """Tokens → embedding.

    Attributes:
        tokenizer: makes its tokens.
        trunk: CLIP's text transformer or a language model; ``(n, t)`` ids → ``(n, t, width)`` states.
        adapters: bottleneck adapters that sit behind the trunk's layers (may be empty).
        alignment: :class:`AlignmentLayers` or ``None``.
        projection: linear map to the embedding.
    """

    def __init__(self, config: TextConfig, embed_dim: int, tokenizer: Tokenizer, trunk: Any) -> None:
        super().__init__()
        self.config, self.tokenizer, self.trunk = config, tokenizer, trunk
        self.adapters = nn.ModuleList()
        if config.adapter is not None and config.adapter.kind == "bottleneck":
            self.adapters.extend(BottleneckAdapter(trunk.width, config.adapter.rank) for _ in trunk.layer_list)
            for adapter, layer in zip(self.adapters, trunk.layer_list, strict=True):
                adapter.after(layer)
        elif config.adapter is not None:
            _insert_lora(trunk, config.adapter.rank)
        self.alignment = None
        width = trunk.width
        if config.alignment_layers:
            width = config.alignment_width or trunk.width
            heads = config.alignment_heads or (trunk.heads if width == trunk.width else max(1, width // 64))
            if width % heads:
                raise UsageError(
                    f"{heads} attention heads do not divide the width {width} of the alignment layers",
                    "choose strategy.heads so that they do",
                )
            self.alignment = AlignmentLayers(trunk.width, width, config.alignment_layers, heads)
        self.projection = nn.Linear(width, embed_dim, bias=False)
        standard_normal(self.projection.weight, width**-0.5)

    @classmethod
    def build(
        cls, config: TextConfig, embed_dim: int, *, source: str | None = None, weights: bool = True,
        trust_remote_code: bool = False,
    ) -> TextTower:  # fmt: skip
        """Build the tower of a configuration; a language model is read from ``source`` (default: its name)."""
        if config.kind == "clip":
            tokens = ClipTokens(config.max_length)
            return cls(config, embed_dim, tokens, ClipTextTrunk(config, tokens.vocabulary))
        place = source or config.name
        tokenizer = LanguageModelTokens(config, place, trust_remote_code=trust_remote_code)
        trunk = LanguageModelTrunk(config, place, weights=weights, trust_remote_code=trust_remote_code)
        return cls(config, embed_dim, tokenizer, trunk)

    @property
    def trunk_is_frozen(self) -> bool:
        """Whether the states of a text never change, so that they can be computed once."""
        return is_frozen(self.trunk) and len(self.adapters) == 0

    def states(self, texts: Texts) -> Any:
        """Token ids → states ``(n, t, width)``; states pass through."""
        if texts.are_states:
            return texts.values
        if self.trunk_is_frozen:
            with torch.no_grad():
                return self.trunk(texts)
        return self.trunk(texts)

    def cacheable(self, texts: Texts) -> Texts:
        """What a frozen trunk needs to be asked for only once.

        All states where alignment layers read them; otherwise the pooled vector as a text of one token, which
        every pooling leaves as it is.
        """
        states = self.states(texts)
        if self.alignment is not None:
            return Texts(states, texts.lengths)
        return Texts(pool(states, texts.lengths, self.config.pooling)[:, None], torch.ones_like(texts.lengths))

    def forward(self, texts: Texts) -> Any:
        """Ids or states → embeddings ``(n, embed_dim)``, not normalised."""
        states = self.states(texts)
        if self.alignment is not None:
            states = self.alignment(states, texts.mask)
        return self.projection(pool(states, texts.lengths, self.config.pooling))

    def save(self, folder: Path) -> None:
        """Write the tokeniser and the language model's configuration (weights lie elsewhere)."""
        if isinstance(self.trunk, LanguageModelTrunk):
            folder.mkdir(parents=True, exist_ok=True)
            self.trunk.settings.save_pretrained(folder)
            self.tokenizer.save(folder)


def _insert_lora(trunk: Any, rank: int) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingDependencyError("peft", "train", "strategy.kind=lora") from None
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"), trunk.network)
