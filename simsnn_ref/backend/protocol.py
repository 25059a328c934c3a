"""What the numerics need of an array library, and of the processes that share a fit: three protocols.

A backend is a value that is passed down, never global state. Numerical code takes its namespace ``backend.xp`` (the
Python array API standard, version 2023.12 or later) and uses nothing else of the library; what the standard leaves
out (transfers to and from the host, a real Fourier transform of several axes, tasks side by side, waiting for a device)
are members of the backend.

Processes that share a fit each hold a shard of the points: a feature map says by its ``shard`` which one. A sum over
the points goes through `Shard.sum`, and is the same number in all processes then. `SERIAL` and `WholeShard` are the
case of one process; numerical code does not ask which it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

__all__ = ["EPS", "Array", "Backend", "Processes", "Shard", "missing_members"]

T = TypeVar("T")

EPS = 2.0**-52
"""Machine epsilon of float64, the type of real arrays: the distance from 1 to the next larger number."""

Array: TypeAlias = Any
"""An array of the backend's library; NumPy's ``ndarray`` for the embedded backend."""


class Shard(Protocol):
    """The part of the points that a process holds. All processes call its methods in the same order.

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
        """Sums over all points, from numbers or arrays of float64 that are sums over the points here.

        Every process gets the same bits.
        """
        ...

    def max(self, value: float) -> float:
        """Largest value of all processes."""
        ...

    def broadcast(self, value: float) -> float:
        """Value of the first process, where no two have the same, as of the time that has passed."""
        ...

    def part(self, x: Array) -> Array:
        """Entries that belong to the points here, of a vector over all points, shape (n_total,)."""
        ...

    def gather(self, x: Array) -> Array:
        """Vector over all points, shape (n_total,), from the parts of all processes: the inverse of `part`."""
        ...


class Processes(Protocol):
    """The processes of one fit. All of them call its methods in the same order.

    Attributes
    ----------
    size, size_here : int
        Number of processes, and of those that share this machine's memory.
    is_root : bool
        Whether this process is the one that prints and writes.
    """

    @property
    def size(self) -> int: ...

    @property
    def size_here(self) -> int: ...

    @property
    def is_root(self) -> bool: ...

    def shard(self, fmap: Any) -> Any:
        """Feature map at this process's points, from the map of all points; its attribute ``shard`` names them."""
        ...

    def distributed(self, backend: "Backend") -> "Backend":
        """Backend with the same results that divides a transform, of a field that every process holds, among them."""
        ...

    def max(self, value: float) -> float:
        """Largest value of all processes."""
        ...

    def at_root(self, action: Callable[[], T]) -> T:
        """Call `action` in the process that prints and writes; all return what it returns or raise what it raises."""
        ...

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        """Compare arrays among the processes, bit by bit.

        Raises
        ------
        BackendError
            In all processes, if one of the arrays is not the same in all. The message begins with `what`.
        """
        ...

    def guard(self, *, typed: bool = False) -> AbstractContextManager[None]:
        """Context for work that all processes do together: an error that leaves it in one of them ends all.

        The process that ends them says why in one line on stderr. Without it the others would wait for ever.

        Parameters
        ----------
        typed : bool
            Whether errors of this package's own types end the processes too. By default they are raised as always, for
            bad input raises them in all processes and a caller may catch them there.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """What the numerics need of an array library.

    Attributes
    ----------
    name : str
        Name by which it is chosen.
    xp : module
        Array API namespace; arrays are float64, complex128, int64 and bool.
    device : object
        Device of its arrays, passed as ``device=`` to the namespace's creation functions.
    real_dtype : type
        NumPy's type of the real numbers that the host prepares for the device: float64.
    block_scale : int
        Factor by which a block of work is larger than a processor's cache has room for: 1 on a host. A device gains by
        fewer and larger blocks; its memory says how large they may be (`scale_for`).
    processes : Processes
        Processes that share a fit; `SERIAL` where there is one.
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
        """Host (NumPy) array on the device, dtype and shape kept; not a copy where the device is the host."""
        ...

    def to_numpy(self, array: Array) -> np.ndarray:
        """Host array with a device array's entries; the only way back."""
        ...

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        """Forward transform of a real array over `axes`, unscaled: X_m = sum_n x_n exp(-2 pi i m.n / N).

        Parameters
        ----------
        x : Array of float64
        axes : sequence of int
            Axes to be transformed; the last of them is the array's last.
        kept : int, optional
            Number of modes along the last axis, m = 0 .. kept - 1; N // 2 + 1 by default, which are all.
        """
        ...

    def irfftn(self, x: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
        """Inverse of `rfftn` without the factor 1/N: x_n = sum_m X_m exp(+2 pi i m.n / N), real.

        Parameters
        ----------
        x : Array of complex128
            The modes m >= 0 of the last axis, or the first of them; the others are 0.
        shape : sequence of int
            Lengths of the result along `axes`.
        axes : sequence of int
        """
        ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Results of `function` for the items, in their order; several at a time where the library gains by it."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has finished; nothing to do on a host."""
        ...


def missing_members(value: Any, protocol: type) -> list[str]:
    """Names of the members of a protocol that an object does not have."""
    members = [name for name in dir(protocol) if not name.startswith("_")]
    return [name for name in members if not hasattr(value, name)]
