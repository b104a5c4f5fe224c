"""Packages that are imported at their first use, though a library asks for them when it is imported itself.

open_clip imports timm and transformers, and torchvision torch's compiler, for the few models and functions that need
them; that is half of the time that open_clip takes to come up.  Within :func:`deferred` such an import leaves
stand-ins, which fetch what they stand for when they are called, subclassed or asked for an attribute.  Afterwards
everybody's ``import`` finds the real package.  (What Python 3.15 calls lazy imports, PEP 810.)
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def deferred(*packages: str) -> Iterator[None]:
    """While other libraries are imported, these packages are not.

    Args:
        packages: names such as ``"timm"`` or ``"torch._dynamo"``, with all below them.  One that is not installed is left
            to fail, and one that is imported already is left alone.
    """
    finder = _Finder([name for name in packages if name not in sys.modules and importlib.util.find_spec(name) is not None])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in list(finder.packages):
            finder.withdraw(name)


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins for ``packages`` and what is below them."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package = next((name for name in self.packages if f"{fullname}.".startswith(f"{name}.")), None)
        return None if package is None else ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """A stand-in has nothing to run."""

    def withdraw(self, package: str) -> None:
        """From now on ``package`` is the real one; names that were taken from its stand-in fetch theirs from there."""
        self.packages.remove(package)
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
            stand_in, (parent, _, child) = sys.modules.pop(name), name.rpartition(".")
            if vars(sys.modules.get(parent, stand_in)).get(child) is stand_in:
                delattr(sys.modules[parent], child)

    def fetch(self, module: str, name: str) -> Any:
        """The real ``module.name``."""
        for package in [package for package in self.packages if f"{module}.".startswith(f"{package}.")]:
            self.withdraw(package)  # used while the library is still being imported
        real = importlib.import_module(module)
        try:
            return getattr(real, name)
        except AttributeError:
            raise ImportError(f"cannot import name {name!r} from {module!r}", name=name) from None


class _Module(ModuleType):
    """Stands for a module."""

    def __init__(self, name: str, finder: _Finder) -> None:
        super().__init__(name)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        waiting = sys.modules.get(self.__name__) is self
        return _Name(self._finder, self.__name__, name) if waiting else self._finder.fetch(self.__name__, name)


class _Name:
    """Stands for a name of a module: a function or a class."""

    def __init__(self, finder: _Finder, module: str, name: str) -> None:
        self._source = finder, module, name

    def _real(self) -> Any:
        finder, module, name = self._source
        return finder.fetch(module, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._real())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __getitem__(self, key: Any) -> Any:
        return self._real()[key]

    def __or__(self, other: Any) -> Any:
        return self._real() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._real()
