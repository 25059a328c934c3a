"""Backends by name: the embedded one, and plug-ins, which other distributions bring.

A plug-in registers a class or function in the entry-point group ``simsnn_ref.backends``::

    [project.entry-points."simsnn_ref.backends"]
    torch = "simsnn_ref_torch:TorchBackend"

Only the one that is asked for is imported. It is called without arguments, or with ``device=DEVICE`` where
``NAME:DEVICE`` is asked for, and returns a `Backend`; `simsnn_ref.testing` checks whether that does what the numerics
rely on.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from simsnn_ref.backend.numpy_backend import NumpyBackend
from simsnn_ref.backend.protocol import Backend, Processes, missing_members
from simsnn_ref.errors import BackendError

__all__ = ["ENTRY_POINT_GROUP", "PLUGINS", "available_backends", "load_backend"]

ENTRY_POINT_GROUP = "simsnn_ref.backends"
"""Entry-point group in which plug-ins register."""

PLUGINS = ("cupy", "mpi", "torch")
"""Backends of this project that are distributions of their own, ``simsnn-ref-NAME``."""


def available_backends() -> list[str]:
    """Return the names that `load_backend` accepts: ``numpy`` and those of all plug-ins, none of which it imports."""
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
        If no installed distribution registers the name, its import fails (the reason is given), it does not know the
        device, or it lacks members of `Backend` or of `Processes` (their names are given).

    >>> load_backend("numpy:cpu").device
    'cpu'
    """
    name, colon, device = name.partition(":")
    if colon and not device:
        raise BackendError(f"backend '{name}:': a device is missing after the colon")
    arguments: dict[str, Any] = {"device": device} if colon else {}
    if name == "numpy":
        return NumpyBackend(**arguments)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        backend = _make(name, entry_point, arguments)
        _require_members(name, backend)
        loaded: Backend = backend
        return loaded
    available = f"available: {', '.join(available_backends())}"
    if name in PLUGINS:
        raise BackendError(f"backend {name!r} is not installed; {available}; pip install simsnn-ref-{name} brings it")
    raise BackendError(f"backend {name!r} is not known; {available}; plug-ins of this project: {', '.join(PLUGINS)}")


def _require_members(name: str, backend: Any) -> None:
    missing = missing_members(backend, Backend)
    if missing:
        raise BackendError(f"backend {name!r} lacks {', '.join(missing)}: see simsnn_ref.backend.Backend")
    missing = missing_members(backend.processes, Processes)
    if missing:
        raise BackendError(f"backend {name!r}: processes lacks {', '.join(missing)}: see simsnn_ref.backend.Processes")


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
        asked = ":".join([name, *arguments.values()])
        raise BackendError(f"backend {asked!r}: {name!r} has no choice of devices; leave it out") from None
