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

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

__all__ = ["LARGEST_SCALE", "SCALE_BYTES", "Array", "Backend", "Processes", "Shard", "missing_members", "scale_for"]

Result = TypeVar("Result")

Array: TypeAlias = Any
"""An array of the backend's library; NumPy's ``ndarray`` for the embedded backend."""

LARGEST_SCALE = 2**6
"""Of blocks of work on a device: they hold 2^18 points then; at 30 units 63 MB an array, to read or write which takes
19 us at the 3.35 TB/s of an H100's data sheet, a few times as long as a launch. Larger ones would gain little."""

SCALE_BYTES = 2**28
"""Free memory of a device for each unit of the scale. A block's largest arrays, the dense map's, have 8 MiB then, and
eight of them at a time are a quarter of it: the rest is the whole grid's."""


class Shard(Protocol):
    """The part of the points that a process holds.

    Attributes
    ----------
    n_total : int
        Number of all points.
    is_whole : bool
        Whether all of them are here.
    """

    @property
    def n_total(self) -> int: ...

    @property
    def is_whole(self) -> bool: ...

    def sum(self, *sums: Any) -> list[Any]:
        """Numbers or arrays of float64, each a sum over the points here, to the sums over all points."""
        ...

    def max(self, value: float) -> float:
        """The largest of all processes' values."""
        ...

    def broadcast(self, value: float) -> float:
        """The first process's value, for what no two of them measure alike: the time."""
        ...

    def part(self, x: Array) -> Array:
        """Of a vector over all points, shape (n_total,), what belongs to those here."""
        ...

    def gather(self, x: Array) -> Array:
        """Inverse of `part`, for all processes."""
        ...


class Processes(Protocol):
    """The processes of one fit; the attribute ``processes`` of a backend.

    Attributes
    ----------
    size, size_here : int
        Number of processes, and of those that share this machine's memory.
    is_root : bool
        Whether this is the one that prints and writes.
    """

    @property
    def size(self) -> int: ...

    @property
    def size_here(self) -> int: ...

    @property
    def is_root(self) -> bool: ...

    def shard(self, fmap: Any) -> Any:
        """The feature map at this process's points, whose attribute ``shard`` says which they are."""
        ...

    def distributed(self, backend: "Backend") -> "Backend":
        """`backend` with transforms, of a field that all processes have, of which each does a part."""
        ...

    def max(self, value: float) -> float:
        """The largest of all processes' values."""
        ...

    def at_root(self, action: Callable[[], Result]) -> Result:
        """What `action` returns in the one that prints and writes, for all; what it raises there, in all."""
        ...

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        """Raise BackendError where processes have come to different bits."""
        ...

    def guard(self, *, typed: bool = False) -> AbstractContextManager[None]:
        """What all processes do together: where an error ends it in one, all processes end, and one line says why.

        Errors of this package's own types count only if `typed`: a caller may catch them, in all processes.
        """
        ...


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
    block_scale : int
        How many times larger than a processor's cache would have them the blocks of work are to be: 1 on a host. A
        device gains by fewer and larger pieces; how large they may be, its memory says (`scale_for`).
    processes : Processes
        The processes that share a fit; `SERIAL` where there is one.
    """

    @property
    def name(self) -> str: ...

    @property
    def xp(self) -> ModuleType | Any: ...

    @property
    def device(self) -> Any: ...

    @property
    def real_dtype(self) -> Any: ...

    @property
    def block_scale(self) -> int: ...

    @property
    def processes(self) -> Processes: ...

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


def missing_members(backend: Any) -> list[str]:
    """Names of the members of `Backend` that an object does not have."""
    members = [name for name in dir(Backend) if not name.startswith("_")]
    return [name for name in members if not hasattr(backend, name)]


def scale_for(free_bytes: int) -> int:
    """The `block_scale` of a device with so much free memory: a power of two, at most `LARGEST_SCALE`."""
    scale = max(1, min(LARGEST_SCALE, free_bytes // SCALE_BYTES))
    return 1 << (scale.bit_length() - 1)
