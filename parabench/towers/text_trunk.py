"""Text trunks: token ids → token states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from parabench.errors import MissingDependencyError, ModelError, UsageError, brief
from parabench.libraries import import_open_clip
from parabench.towers.config import TextConfig
from parabench.towers.texts import Texts


class ClipTextTrunk(nn.Module):
    """CLIP's text transformer (Radford et al. 2021, arXiv 2103.00020), with open_clip's layers and parameter names.

    Runs on as many places as the longest text of the batch has: the mask is causal, so the places after the
    end token can't be seen from it.
    """

    def __init__(self, config: TextConfig, vocabulary: int) -> None:
        super().__init__()
        open_clip = import_open_clip("train", "CLIP's text transformer")
        if config.width % config.heads:
            raise UsageError(f"text.width={config.width} is not a multiple of text.heads={config.heads}")
        self.network = open_clip.transformer.TextTransformer(
            context_length=config.max_length, vocab_size=vocabulary, width=config.width, heads=config.heads,
            layers=config.layers or 12, output_dim=None, proj_type="none", pool_type="none",
        )  # fmt: skip
        self.width, self.heads = config.width, config.heads

    def forward(self, texts: Texts) -> Any:
        """Token ids ``(n, t)`` → states ``(n, t, width)``."""
        network, t = self.network, texts.values.shape[1]
        states = network.token_embedding(texts.values) + network.positional_embedding[:t]
        states = network.transformer(states, attn_mask=network.attn_mask[:t, :t].to(states.dtype))
        return network.ln_final(states)

    @property
    def layer_list(self) -> Any:
        """The transformer layers, first to last."""
        return self.network.transformer.resblocks


class LanguageModelTrunk(nn.Module):
    """A language model of transformers: an encoder, a decoder, or the encoder of an encoder–decoder.

    Args:
        config: names it; ``layers`` keeps only the first ones.
        source: Hub id or folder to read from.
        weights: read the weights too (else the network is built with random ones, to be filled).

    Raises:
        ModelError: it can't be had, or is no language model.
    """

    def __init__(self, config: TextConfig, source: str, *, weights: bool = True, trust_remote_code: bool = False) -> None:
        super().__init__()
        try:
            from transformers import AutoConfig, AutoModel
            from transformers.utils import logging
        except ImportError:
            raise MissingDependencyError("transformers", "train", f"the language model {config.name}") from None
        logging.disable_progress_bar()
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # it lists the weights of layers that are left out on purpose
        try:
            options = {"revision": config.revision, "trust_remote_code": trust_remote_code}
            settings = AutoConfig.from_pretrained(source, **options)
            if config.layers is not None:
                held = int(settings.num_hidden_layers)
                if config.layers > held:
                    raise UsageError(f"text.layers={config.layers}, but '{source}' has {held} layers", f"choose 1 to {held}")
                settings.num_hidden_layers = config.layers
            network: Any = (
                AutoModel.from_pretrained(source, config=settings, dtype=torch.float32, **options)
                if weights
                else AutoModel.from_config(settings, trust_remote_code=trust_remote_code)
            )
        except UsageError:
            raise
        except Exception as error:  # the hub client, files and configurations fail in a dozen classes
            raise ModelError(
                f"the language model '{source}' could not be loaded: {brief(error)}",
                "check text.model and the network, or give a local folder",
            ) from error
        finally:
            logging.set_verbosity(verbosity)
        if getattr(settings, "is_encoder_decoder", False):
            network = network.get_encoder()
        if getattr(network, "pooler", None) is not None:
            network.pooler = None  # pools for another task; without it every parameter takes part
        if hasattr(network.config, "use_cache"):
            network.config.use_cache = False
        self.network = network.float()
        self.settings = settings
        self.width = int(getattr(network.config, "hidden_size", None) or network.config.d_model)
        self.heads = int(getattr(network.config, "num_attention_heads", 0) or 1)

    def forward(self, texts: Texts) -> Any:
        """Token ids ``(n, t)`` → states ``(n, t, width)``; padding is masked."""
        output = self.network(input_ids=texts.values, attention_mask=texts.mask.to(torch.int64))
        return output.last_hidden_state

    @property
    def layer_list(self) -> Any:
        """The transformer layers, first to last; :class:`ModelError` where the network has no list of them."""
        lists = [module for module in self.network.modules() if isinstance(module, nn.ModuleList)]
        if not lists:
            raise ModelError(f"{type(self.network).__name__} has no list of layers")
        return max(lists, key=lambda held: sum(parameter.numel() for parameter in held.parameters()))
