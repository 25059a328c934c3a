"""The array library the numerics run on: a protocol of a few members, with NumPy embedded.

A backend is a value that is passed down, never global state. Numerical code takes its namespace ``backend.xp`` (the
Python array API standard, version 2023.12 or later) and uses nothing else of the library; what the standard leaves
out (host transfer, a threaded FFT, waiting for a device) are the backend's own members.

Plug-ins register a class or function in the entry-point group ``simsnn_ref.backends``::

    [project.entry-points."simsnn_ref.backends"]
    torch = "simsnn_ref_torch:TorchBackend"

Only the one that is asked for is imported. It is called without arguments, or with ``device=`` where ``NAME:DEVICE`` is
asked for. `simsnn_ref.testing` tells whether it does what the numerics rely on.
"""

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import scipy.fft

from simsnn_ref.errors import BackendError

__all__ = [
    "ENTRY_POINT_GROUP",
    "LARGEST_SCALE",
    "SCALE_BYTES",
    "THREADS_VARIABLE",
    "Array",
    "Backend",
    "NumpyBackend",
    "available_backends",
    "block_scale",
    "default_threads",
    "load_backend",
    "scale_for",
]

Array: TypeAlias = Any
"""An array of the backend's library; NumPy's ``ndarray`` for the embedded backend."""

LARGEST_SCALE = 2**6
"""Of blocks of work on a device: they hold 2^18 points then; at 30 units 63 MB an array, to read or write which takes
19 us at the 3.35 TB/s of an H100's data sheet, a few times as long as a launch. Larger ones would gain little."""

SCALE_BYTES = 2**28
"""Free memory of a device for each unit of the scale. A block's largest arrays, the dense map's, have 8 MiB then, and
eight of them at a time are a quarter of it: the rest is the whole grid's."""

ENTRY_POINT_GROUP = "simsnn_ref.backends"
"""Where plug-ins register."""

THREADS_VARIABLE = "SIMSNN_NUM_THREADS"
"""Environment variable for the number of threads; `--threads` sets it."""


@runtime_checkable
class Backend(Protocol):
    """What the numerics need of an array library.

    Attributes
    ----------
    name : str
        The name it is chosen by.
    xp : module
        Array API namespace; arrays are float64, complex128 and int64.
    device : object
        Passed as ``device=`` to the namespace's creation functions.
    real_dtype : type
        NumPy's type of the real numbers that the host prepares for the device: float64.
    """

    @property
    def name(self) -> str: ...

    @property
    def xp(self) -> ModuleType | Any: ...

    @property
    def device(self) -> Any: ...

    @property
    def real_dtype(self) -> Any: ...

    def asarray(self, host: Any) -> Array:
        """A host (NumPy) array on the device, dtype and shape kept; not a copy where the device is the host."""
        ...

    def to_numpy(self, array: Array) -> np.ndarray:
        """Copy a device array to the host; the only way back."""
        ...

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        """Forward real DFT over `axes`, unscaled: sum_n x_n exp(-2 pi i m.n / N); of the last axis, which is also the
        array's, m = 0 .. kept - 1, by default N // 2.
        """
        ...

    def irfftn(self, x: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
        """Inverse of `rfftn` without the factor 1/N: sum_m x_m exp(+2 pi i m.n / N) over `shape`; along the last axis
        `x` may hold the first modes only, the others are 0.
        """
        ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`function` of every item, in their order; several at a time where the library gains by it."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has finished; a no-op on the host."""
        ...


def block_scale(backend: Backend) -> int:
    """How many times larger than a processor's cache would have them the backend wants its blocks of work.

    Its member `block_scale`, which it need not have: a whole number, 1 by default. A device without such a cache gains
    by fewer and larger pieces; how large they may be, its memory says.
    """
    scale: int = getattr(backend, "block_scale", 1)
    return scale


def scale_for(free_bytes: int) -> int:
    """The `block_scale` of a device with so much free memory: a power of two, at most `LARGEST_SCALE`."""
    scale = max(1, min(LARGEST_SCALE, free_bytes // SCALE_BYTES))
    return 1 << (scale.bit_length() - 1)


def default_threads() -> int:
    """Threads used unless a backend is told otherwise: `THREADS_VARIABLE`, or the cores this process may use.

    Raises
    ------
    BackendError
        If the variable is not a whole number above 0.
    """
    told = os.environ.get(THREADS_VARIABLE, "")
    if told:
        if not told.isdecimal() or int(told) == 0:
            raise BackendError(f"{THREADS_VARIABLE} = {told!r}: needs a whole number above 0")
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_thread = threading.local()


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that stay, so that what they free is theirs to take again: memory is not fetched anew in every step."""
    return ThreadPoolExecutor(workers, "simsnn", initializer=lambda: setattr(_thread, "is_worker", True))


@functools.cache
def _keep_freed_memory() -> None:
    """Give a block of just under 32 MiB back once: the C library of Linux (glibc) takes it as a sign that blocks up to
    that size come and go, and keeps what is freed. Else it returns every temporary of a megabyte to the system, which
    costs three times the arithmetic done on it.
    """
    np.empty(2**25 - 2**16, dtype=np.uint8)


if hasattr(os, "register_at_fork"):
    # A child has none of its parent's threads and would wait for them for ever.
    os.register_at_fork(after_in_child=_pool.cache_clear)


@dataclass(frozen=True)
class NumpyBackend:
    """The embedded backend: NumPy arrays, SciPy's threaded FFT.

    Parameters
    ----------
    workers : int, optional
        Threads of the FFT and of `map`; `default_threads` by default. Results do not depend on it on the fft map. The
        threads of BLAS are the user's to set (OMP_NUM_THREADS); a network's products are too small for them.
    device : str
        "cpu".

    Raises
    ------
    BackendError
        For another device.
    """

    workers: int = field(default_factory=default_threads)
    name: str = "numpy"
    xp: Any = np
    device: Any = "cpu"
    real_dtype: Any = np.float64

    def __post_init__(self) -> None:
        if self.device != "cpu":
            raise BackendError(f"backend {self.name!r}: there is no device {self.device!r}, only 'cpu'")
        _keep_freed_memory()

    def __getstate__(self) -> dict[str, Any]:
        # A module cannot be pickled; without it the class's own is found.
        return {name: value for name, value in vars(self).items() if name != "xp"}

    def asarray(self, host: Any) -> Array:
        return np.asarray(host)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.asarray(array)

    def _threads(self) -> int:
        """Inside `map` every core has a task already."""
        return 1 if getattr(_thread, "is_worker", False) else self.workers

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        *others, last = axes
        threads = self._threads()
        # Modes that are not kept need not be transformed along the other axes.
        spectrum = scipy.fft.rfft(x, axis=last, workers=threads)[..., :kept]
        return scipy.fft.fftn(spectrum, axes=others, workers=threads) if others else spectrum

    def irfftn(self, x: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
        *others, last = axes
        threads = self._threads()
        if others:
            x = scipy.fft.ifftn(x, axes=others, norm="forward", workers=threads)
        return scipy.fft.irfft(x, shape[-1], axis=last, norm="forward", workers=threads)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        items = list(items)
        if self._threads() == 1 or len(items) < 2:
            return [function(item) for item in items]
        # NumPy and SciPy let other threads run while they compute.
        contexts = [copy_context() for _ in items]  # what np.errstate says holds there too
        return list(_pool(self.workers).map(lambda context, item: context.run(function, item), contexts, items))

    def synchronize(self) -> None:
        pass


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
        if not isinstance(backend, Backend):
            raise BackendError(f"backend {name!r} lacks a member of simsnn_ref.backend.Backend")
        return backend
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
