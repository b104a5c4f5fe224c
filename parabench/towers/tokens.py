"""Texts → token ids without padding, for both kinds of trunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from parabench.errors import MissingDependencyError, ModelError, brief
from parabench.libraries import import_open_clip
from parabench.towers.config import TextConfig
from parabench.towers.texts import Texts


class Tokenizer(Protocol):
    """What a text tower asks of its tokeniser.

    Attributes:
        pad_id: what fills the places after a text; any id will do, since masks come from lengths.
        identity: what changes the ids, for fingerprints.
    """

    pad_id: int
    identity: dict[str, Any]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included: 1 to ``max_length`` of them."""
        ...

    def save(self, folder: Path) -> None:
        """Write what is needed to load the tokeniser again."""
        ...


class ClipTokens:
    """CLIP's byte pairs, through open_clip: start token, text, end token."""

    def __init__(self, max_length: int) -> None:
        open_clip = import_open_clip("train", "CLIP's text transformer")
        self._tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=max_length)
        self._room = max_length - 2
        self.vocabulary = int(self._tokenizer.vocab_size)
        self.pad_id = 0
        self.identity: dict[str, Any] = {"tokenizer": "clip-bpe", "vocabulary": self.vocabulary, "max_length": max_length}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Start, at most ``max_length - 2`` byte pairs, end."""
        start, end = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        return [[start, *self._tokenizer.encode(text)[: self._room], end] for text in texts]

    def save(self, folder: Path) -> None:
        """Nothing to write: the vocabulary comes with open_clip."""


class LanguageModelTokens:
    """The tokeniser of a language model, from the Hub or a folder.

    With ``eot`` pooling every text ends in the end-of-text token, added where the tokeniser adds none.
    """

    def __init__(self, config: TextConfig, source: str, *, trust_remote_code: bool = False) -> None:
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise MissingDependencyError("transformers", "train", f"the language model {config.name}") from None
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                source, revision=config.revision, trust_remote_code=trust_remote_code
            )
        except Exception as error:  # the hub client and the tokenisers raise a dozen kinds of their own
            raise ModelError(
                f"the tokenizer of '{source}' could not be loaded: {brief(error)}",
                "check text.model and the network, or give a local folder",
            ) from error
        end = self._tokenizer.eos_token_id
        self._end = end if end is not None else self._tokenizer.sep_token_id
        if config.pooling == "eot" and self._end is None:
            raise ModelError(f"the tokenizer of '{source}' has no end-of-text token", "choose text.pooling=last or mean")
        self._append = config.pooling == "eot"
        self._max_length = config.max_length
        pad = self._tokenizer.pad_token_id
        self.pad_id = int(pad if pad is not None else self._end or 0)
        self.identity = {
            "tokenizer": type(self._tokenizer).__name__, "vocabulary": len(self._tokenizer),
            "max_length": config.max_length, "end_token": self._append,
        }  # fmt: skip

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokeniser's own ids, cut to ``max_length``; a text without any token gets the end token."""
        if not texts:
            return []
        rows: list[list[int]] = self._tokenizer(
            list(texts), padding=False, truncation=True, max_length=self._max_length, return_attention_mask=False
        )["input_ids"]
        if self._append:
            rows = [row if row and row[-1] == self._end else [*row[: self._max_length - 1], self._end] for row in rows]
        return [row or [self._end if self._end is not None else self.pad_id] for row in rows]

    def save(self, folder: Path) -> None:
        """Write the tokeniser's own files."""
        self._tokenizer.save_pretrained(folder)


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> Texts:
    """Texts → one padded batch."""
    return Texts.pad(tokenizer.ids(texts), tokenizer.pad_id)
