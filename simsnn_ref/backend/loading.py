"""Backends by name: the embedded one, and plug-ins from the entry-point group ``simsnn_ref.backends``."""

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from simsnn_ref.backend.numpy_backend import NumpyBackend
from simsnn_ref.backend.protocol import Backend, missing_members
from simsnn_ref.errors import BackendError

__all__ = ["ENTRY_POINT_GROUP", "available_backends", "load_backend"]

ENTRY_POINT_GROUP = "simsnn_ref.backends"
"""Where plug-ins register."""


def available_backends() -> list[str]:
    """Names that `load_backend` accepts: ``numpy`` and every registered plug-in, none of them imported."""
    return ["numpy", *sorted(ep.name for ep in entry_points(group=ENTRY_POINT_GROUP))]


def load_backend(name: str = "numpy") -> Backend:
    """Return the backend called `name`, importing that plug-in and no other.

    Parameters
    ----------
    name : str
        NAME or NAME:DEVICE; what follows the first colon is the backend's to read.

    Raises
    ------
    BackendError
        If no installed distribution registers the name, its import fails (the reason is given), or it does not know
        the device.
    """
    name, colon, device = name.partition(":")
    if colon and not device:
        raise BackendError(f"backend '{name}:': a device is missing after the colon")
    arguments: dict[str, Any] = {"device": device} if colon else {}
    if name == "numpy":
        return NumpyBackend(**arguments)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        backend = _make(name, entry_point, arguments)
        missing = missing_members(backend)
        if missing:
            raise BackendError(f"backend {name!r} lacks {', '.join(missing)}: see simsnn_ref.backend.Backend")
        loaded: Backend = backend
        return loaded
    raise BackendError(
        f"backend {name!r} is not installed; available: {', '.join(available_backends())}"
        f" (a plug-in is installed with: pip install simsnn-ref-{name})"
    )


def _make(name: str, entry_point: EntryPoint, arguments: dict[str, Any]) -> Any:
    try:
        factory = entry_point.load()
        _require_device_choice(name, factory, arguments)
        return factory(**arguments)
    except BackendError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BackendError(f"backend {name!r} is installed but does not load: {reason}") from error


def _require_device_choice(name: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError:
        told = ":".join([name, *arguments.values()])
        raise BackendError(f"backend {told!r}: {name!r} has no choice of devices; leave it out") from None
