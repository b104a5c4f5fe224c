"""What encoders that load a network have in common: where it runs, and who it is before it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parabench.encoders.resolution import Identity, identify, verify
from parabench.encoders.torch_runtime import resolve_device
from parabench.progress import note


class NetworkEncoder:
    """Base of encoders whose network is loaded on first use."""

    cacheable = True
    spec: str
    fingerprint: str
    dim: int
    resolved: dict[str, Any]
    n_parameters: int

    def __init__(self, spec: str, device: str, precision: str) -> None:
        self.spec, self._precision = spec, precision
        self._device_asked, self._device = device, ""

    @property
    def device(self) -> str:
        """Where the network runs; as asked for until it is loaded."""
        return self._device or self._device_asked

    def _choose_device(self) -> str:
        """Settle on the device that was asked for, and say so: the network is about to be loaded there."""
        self._device = resolve_device(self._device_asked)
        note(f"{self.spec}: the network runs on {self._device}")
        return self._device

    def _resolve(self, key: dict[str, Any], examine: Callable[[], Identity]) -> Identity:
        """Take the identity that is known under ``key``, or the one that ``examine`` finds by loading the network."""
        identity = identify({"spec": self.spec, "precision": self._precision, **key}, examine)
        self.fingerprint, self.dim = identity.fingerprint, identity.dim
        self.resolved, self.n_parameters = identity.resolved, identity.n_parameters
        return identity

    def _verified(self, identity: Identity) -> Identity:
        """The identity of a network that was just loaded; :class:`ModelError` where another one was known."""
        if hasattr(self, "fingerprint"):
            verify(self.fingerprint, identity, self.spec)
        return identity
