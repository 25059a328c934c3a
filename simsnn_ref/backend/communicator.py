"""Processes that fit together, each with a part of the points; here the only one of its kind, which has them all.

Every process runs the same fit of the same field and holds all parameters; a plug-in backend that has an attribute
``ranks`` divides what has a number for every point and hidden unit. Numerical code sees it as sums over the points:
those of one process are to be completed by `Slab.total`. Decisions are taken from what all have to the bit.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from simsnn_ref.backend.protocol import Array, Backend

__all__ = ["ALONE", "Alone", "Ranks", "Slab", "WholeSlab", "ranks_of", "slab_of"]

Result = TypeVar("Result")


class Slab(Protocol):
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

    def total(self, *sums: Any) -> list[Any]:
        """Numbers or arrays of float64, each a sum over the points here, to the sums over all points."""
        ...

    def largest(self, value: float) -> float:
        """The largest of all processes' values."""
        ...

    def told(self, value: float) -> float:
        """The first process's value, for what no two of them measure alike: the time."""
        ...

    def part(self, x: Array) -> Array:
        """Of a vector over all points, shape (n_total,), what belongs to those here."""
        ...

    def whole(self, x: Array) -> Array:
        """Inverse of `part`, for all processes."""
        ...


@dataclass(frozen=True)
class WholeSlab:
    """All points."""

    n_total: int
    is_whole: bool = True

    def total(self, *sums: Any) -> list[Any]:
        return list(sums)

    def largest(self, value: float) -> float:
        return value

    def told(self, value: float) -> float:
        return value

    def part(self, x: Array) -> Array:
        return x

    def whole(self, x: Array) -> Array:
        return x


class Ranks(Protocol):
    """The processes of one fit; the attribute ``ranks`` of a backend.

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

    def share(self, fmap: Any) -> Any:
        """The feature map at this process's points, whose attribute ``slab`` says which they are."""
        ...

    def together(self, backend: Backend) -> Backend:
        """`backend` with transforms, of a field that all processes have, of which each does a part."""
        ...

    def largest(self, value: float) -> float:
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


@dataclass(frozen=True)
class Alone:
    """One process."""

    size: int = 1
    size_here: int = 1
    is_root: bool = True

    def share(self, fmap: Any) -> Any:
        return fmap

    def together(self, backend: Backend) -> Backend:
        return backend

    def largest(self, value: float) -> float:
        return value

    def at_root(self, action: Callable[[], Result]) -> Result:
        return action()

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        pass

    def guard(self, *, typed: bool = False) -> AbstractContextManager[None]:
        return nullcontext()


ALONE = Alone()


def ranks_of(backend: Any) -> Ranks:
    """The processes that share the points on `backend`."""
    ranks: Ranks = getattr(backend, "ranks", ALONE)
    return ranks


def slab_of(fmap: Any) -> Slab:
    """Which points a feature map serves: all, unless it is from `Ranks.share`."""
    slab: Slab | None = getattr(fmap, "slab", None)
    return WholeSlab(fmap.n_points) if slab is None else slab
