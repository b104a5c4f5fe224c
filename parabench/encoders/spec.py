"""Model specs: ``backend:name[/tag][@revision][?key=value&…]``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from parabench.errors import UsageError, did_you_mean

_EXAMPLE = "write backend:name[/tag][@revision][?key=value], e.g. openclip:ViT-B-32/openai"


@dataclass(frozen=True)
class ModelSpec:
    """A parsed model spec; ``str()`` gives the text back."""

    backend: str
    name: str
    revision: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Parse a spec; :class:`UsageError` with an example when it is malformed."""
        backend, colon, rest = text.strip().partition(":")
        if not colon:
            hint = f"did you mean 'openclip:{text}'?" if text.lower().startswith(("vit", "rn", "convnext", "roberta")) else ""
            raise UsageError(f"'{text}' is not a model spec: it names no backend", hint or _EXAMPLE)
        if not backend:
            raise UsageError(f"'{text}' is not a model spec", _EXAMPLE)
        rest, question, query = rest.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if question else []
        except ValueError:
            raise UsageError(f"'{text}': the part after '?' is not key=value&key=value", _EXAMPLE) from None
        name, at, revision = rest.rpartition("@") if "@" in rest else (rest, "", "")
        if at and not revision:
            raise UsageError(f"'{text}': nothing stands after '@'", _EXAMPLE)
        return cls(backend, name, revision or None, dict(pairs))

    def __str__(self) -> str:
        query = f"?{urlencode(sorted(self.options.items()))}" if self.options else ""
        return f"{self.backend}:{self.name}{f'@{self.revision}' if self.revision else ''}{query}"

    def allow(self, known: Iterable[str]) -> None:
        """Refuse options that the backend does not have."""
        for key in self.options:
            if key not in set(known):
                raise UsageError(f"'{self}': {self.backend} has no option '{key}'", did_you_mean(key, known))

    def no_revision(self) -> None:
        """Refuse a revision where the backend could not honour it."""
        if self.revision is not None:
            raise UsageError(f"'{self}': {self.backend} models have no revisions", f"leave out '@{self.revision}'")

    def integer(self, key: str, default: int) -> int:
        """An option as a non-negative integer."""
        value = self.options.get(key, str(default))
        if not value.isdigit():
            raise UsageError(f"'{self}': {key}={value} is not a whole number", f"e.g. ?{key}={default}")
        return int(value)
