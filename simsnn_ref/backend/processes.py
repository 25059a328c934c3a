"""One process, which holds all points: the serial implementations of `Processes` and `Shard`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from simsnn_ref.backend.protocol import Array, Backend, Processes

__all__ = ["SERIAL", "SerialProcess", "WholeShard"]

T = TypeVar("T")


@dataclass(frozen=True)
class WholeShard:
    """All points; see `Shard`."""

    n_total: int
    is_whole: bool = True

    def sum(self, *sums: Any) -> list[Any]:
        return list(sums)

    def max(self, value: float) -> float:
        return value

    def broadcast(self, value: float) -> float:
        return value

    def part(self, x: Array) -> Array:
        return x

    def gather(self, x: Array) -> Array:
        return x


@dataclass(frozen=True)
class SerialProcess:
    """The only process; see `Processes`."""

    size: int = 1
    size_here: int = 1
    is_root: bool = True

    def shard(self, fmap: Any) -> Any:
        return fmap

    def distributed(self, backend: Backend) -> Backend:
        return backend

    def max(self, value: float) -> float:
        return value

    def at_root(self, action: Callable[[], T]) -> T:
        return action()

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        pass

    def guard(self, *, typed: bool = False) -> AbstractContextManager[None]:
        return nullcontext()


SERIAL: Processes = SerialProcess()
"""The processes of every backend that does not divide a fit."""
