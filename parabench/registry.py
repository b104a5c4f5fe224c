"""One lazy registry for everything that has a name and can be plugged in.

Entries are ``"module:attribute"`` strings, imported on first use, so that a registry of heavy backends
costs nothing to list.  Other packages add entries through an entry-point group.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Any, Generic, TypeVar, cast

from parabench.errors import ParabenchError, UsageError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names → objects, imported on first use.

    Args:
        noun: what an entry is called in messages (``"backend"``).
        builtin: name → ``"module:attribute"``.
        group: entry-point group that adds names; a name that is already taken is an error, never a
            silent replacement.
    """

    def __init__(self, noun: str, builtin: Mapping[str, str], group: str | None = None) -> None:
        self.noun = noun
        self._builtin = dict(builtin)
        self._group = group

    @cached_property
    def _targets(self) -> dict[str, str]:
        targets = dict(self._builtin)
        for point in metadata.entry_points(group=self._group) if self._group else ():
            if point.name in targets and targets[point.name] != point.value:
                raise ParabenchError(
                    f"{self.noun} '{point.name}' is registered twice: {targets[point.name]} and {point.value}",
                    "uninstall one of the two packages",
                )
            targets[point.name] = point.value
        return targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def target(self, name: str) -> str:
        """The ``"module:attribute"`` behind ``name``; :class:`UsageError` with the nearest names if unknown."""
        try:
            return self._targets[name]
        except KeyError:
            raise UsageError(f"unknown {self.noun} '{name}'", did_you_mean(name, self._targets)) from None

    def get(self, name: str) -> T:
        """The object behind ``name``, imported now."""
        module, _, attribute = self.target(name).partition(":")
        return cast(T, getattr(importlib.import_module(module), attribute))

    def describe(self) -> dict[str, Any]:
        """Name → ``"module:attribute"`` of every entry, nothing imported."""
        return dict(sorted(self._targets.items()))
