"""``python:package.module:factory``: anybody's code as an encoder."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parabench.encoders.protocol import Encoder, FloatMatrix, Traits, read_member
from parabench.encoders.spec import ModelSpec
from parabench.errors import ModelError, ParabenchError, UsageError, did_you_mean
from parabench.progress import note
from parabench.storage import sha256_json


def load_factory(spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> Encoder:
    """Call ``factory(**options)`` and wrap what it returns; ``path/to/file.py:factory`` works too.

    The object needs ``encode_text`` and ``encode_images``.  Without ``dim`` it is measured; without
    ``fingerprint`` nothing is cached, because nothing says when the vectors change.
    """
    spec.no_revision()
    module_name, colon, attribute = spec.name.rpartition(":")
    if not colon:
        raise UsageError(f"'{spec}' names no factory", "write python:package.module:factory")
    module = _import(module_name, spec)
    factory = getattr(module, attribute, None)
    if factory is None:
        raise UsageError(f"module '{module_name}' has no '{attribute}'", did_you_mean(attribute, dir(module)))
    if not callable(factory):
        raise UsageError(f"'{module_name}:{attribute}' is not a function")
    try:
        encoder = factory(**spec.options)
    except ParabenchError:
        raise
    except Exception as error:
        raise ModelError(f"{spec.name} failed: {type(error).__name__}: {error}", "the error is in that function") from error
    for member in ("encode_text", "encode_images"):
        if not callable(getattr(encoder, member, None)) and not (
            member == "encode_images" and getattr(encoder, "sees", None) == "captions"
        ):
            raise ModelError(f"what {spec.name} returned has no {member}()", "see parabench.encoders.protocol.Encoder")
    return FactoryEncoder(encoder, spec)


class FactoryEncoder:
    """A foreign object with the Protocol's missing members filled in and its output checked."""

    def __init__(self, encoder: Any, spec: ModelSpec) -> None:
        self._encoder = encoder
        self.spec = str(spec)
        traits = Traits.of(encoder)
        self.sees, self.batch_size, self.device = traits.sees, traits.batch_size, traits.device
        self.n_parameters = traits.n_parameters
        fingerprint = read_member(encoder, "fingerprint", None)
        self.cacheable = bool(fingerprint) and traits.cacheable
        if not fingerprint:
            note(f"{self.spec} has no fingerprint, so its vectors are not cached")
        self.resolved: dict[str, Any] = {"backend": "python", **traits.resolved}
        self.fingerprint = str(fingerprint or sha256_json(["python", self.spec]))
        dim = read_member(encoder, "dim", None)
        self.dim = int(dim) if isinstance(dim, (int, np.integer)) and dim > 0 else self._call("encode_text", ["a"]).shape[1]

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts → ``(n, dim)`` float32."""
        return self._call("encode_text", list(texts))

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Images (or ids, as the object's ``sees`` says) → ``(n, dim)`` float32."""
        return self._call("encode_images", list(images))

    def _call(self, member: str, items: list[Any]) -> FloatMatrix:
        try:
            output = getattr(self._encoder, member)(items)
            if hasattr(output, "detach"):
                output = output.detach().float().cpu().numpy()
            vectors: FloatMatrix = np.asarray(output, np.float32)
        except ParabenchError:
            raise
        except Exception as error:
            raise ModelError(
                f"{self.spec}: {member}() failed: {type(error).__name__}: {error}", "the error is in that function"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(items):
            raise ModelError(f"{self.spec}: {member}() returned shape {vectors.shape} for {len(items)} items",
                             "return one row an item: (n, dim)")  # fmt: skip
        return vectors


def _import(name: str, spec: ModelSpec) -> Any:
    try:
        if name.endswith(".py"):
            path = Path(name).expanduser()
            if not path.is_file():
                raise UsageError(f"'{spec}': no such file: {path}")
            loaded = importlib.util.spec_from_file_location(path.stem, path)
            assert loaded is not None and loaded.loader is not None
            if str(path.resolve().parent) not in sys.path:
                sys.path.insert(0, str(path.resolve().parent))  # as for a script: it may import its neighbours
            module = importlib.util.module_from_spec(loaded)
            loaded.loader.exec_module(module)
            return module
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(name)
    except ParabenchError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(f"'{spec}': {error}", "run from the folder that holds it, or install it") from None
    except (Exception, SystemExit) as error:
        raise ModelError(f"importing {name} failed: {type(error).__name__}: {error}", "the error is in that module") from error
