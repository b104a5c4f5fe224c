"""The filters that a configuration asks for, in the order in which they run: cheap ones first, memory last."""

from __future__ import annotations

from pathlib import Path

from parabench.build.filters.base import Filter
from parabench.build.filters.config import FilterConfig
from parabench.build.filters.form import Characters, Junk, Language, Length


def load_filters(config: FilterConfig, *, training_captions: Path | None = None) -> list[Filter]:
    """Make the filters.

    Args:
        config: :meth:`FilterConfig.read`.
        training_captions: a file of captions that the benchmark must not share with a training set.
    """
    filters: list[Filter] = []
    if config.characters.enabled:
        filters.append(Characters(config.characters))
    if config.junk.enabled:
        filters.append(Junk(config.junk))
    if config.length.enabled:
        filters.append(Length(config.length))
    if config.language.enabled:
        filters.append(Language(config.language))
    return filters
