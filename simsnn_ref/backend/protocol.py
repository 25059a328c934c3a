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

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

__all__ = [
    "LARGEST_SCALE",
    "SCALE_BYTES",
    "Array",
    "Backend",
    "block_scale",
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
