"""MPI as the backend uses it: an exchange of blocks of arrays, sums and maxima, and a count of the bytes they send.

Blocks are described by MPI's own subarray types, so that nothing is packed here, and as bytes, so that long double
travels as float64 does.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np

from simsnn_ref.errors import BackendError

try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    raise BackendError(
        f"backend 'mpi' finds no MPI library ({' '.join(str(error).split())}): pip install mpich, or the system's"
    ) from error

__all__ = ["MPI", "Block", "Communicator", "Traffic", "shares"]

T = TypeVar("T")

Block: TypeAlias = tuple[slice, ...]
"""Part of an array: a slice for each axis, with both ends."""


def shares(n: int, size: int) -> list[slice]:
    """Divide `n` items among `size` ranks: consecutive slices, whose lengths differ by one at most.

    >>> shares(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    stops = [n * rank // size for rank in range(size + 1)]
    return [slice(start, stop) for start, stop in pairwise(stops)]


@dataclass
class Traffic:
    """What this rank has sent to the others since the start.

    Attributes
    ----------
    exchanged : int
        Bytes that `Communicator.exchange` has sent.
    gathered : int
        Bytes that `Communicator.gather` has sent: this rank's part, once for each other rank.
    reduced : int
        Bytes in the messages of `Communicator.sum` and `Communicator.max`. How many of them are sent is the library's
        choice, at least 2 (P - 1) / P times as many for long ones.
    messages : int
        Number of collective calls.
    """

    exchanged: int = 0
    gathered: int = 0
    reduced: int = 0
    messages: int = 0


class Communicator:
    """The ranks of `comm` and what they send each other. All of them call its methods in the same order.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    """

    def __init__(self, comm: Any = MPI.COMM_WORLD) -> None:
        self.comm = comm
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self.traffic = Traffic()

    def exchange(
        self, send: np.ndarray, send_blocks: Sequence[Block], receive: np.ndarray, receive_blocks: Sequence[Block]
    ) -> None:
        """Send block q of `send` to rank q and receive block q of `receive` from it, for every q; both in C order."""
        outgoing = [_described(send, block) for block in send_blocks]
        incoming = [_described(receive, block) for block in receive_blocks]
        nowhere = [0] * self.size
        self.comm.Alltoallw(
            [_bytes(send), [count for count, _ in outgoing], nowhere, [kind for _, kind in outgoing]],
            [_bytes(receive), [count for count, _ in incoming], nowhere, [kind for _, kind in incoming]],
        )
        others = [block for rank, block in enumerate(send_blocks) if rank != self.rank]
        self.traffic.exchanged += send.itemsize * sum(_elements(block) for block in others)
        self.traffic.messages += 1

    def gather(self, part: np.ndarray, whole: np.ndarray) -> None:
        """Write the parts of all ranks, one after the other, into the `whole` of each; their lengths are `shares`."""
        item = _item(part.itemsize)
        held = shares(whole.size, self.size)
        counts = [block.stop - block.start for block in held]
        starts = [block.start for block in held]
        self.comm.Allgatherv(
            [_bytes(part), counts[self.rank], 0, item],
            [_bytes(whole), counts, starts, item],
        )
        self.traffic.gathered += part.nbytes * (self.size - 1)
        self.traffic.messages += 1

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the ranks of an array of float64, the same bits in all of them."""
        values = np.ascontiguousarray(values)
        sums = np.empty_like(values)
        self.comm.Allreduce(values, sums, op=MPI.SUM)
        self.traffic.reduced += values.nbytes
        self.traffic.messages += 1
        return sums

    def max(self, value: float) -> float:
        """Return the largest value of all ranks; infinity if one is NaN, whose order MPI does not define."""
        largest: float = self.comm.allreduce(math.inf if math.isnan(value) else value, op=MPI.MAX)
        self.traffic.reduced += 8
        self.traffic.messages += 1
        return largest

    def broadcast(self, value: float) -> float:
        """Return rank 0's value."""
        self.traffic.messages += 1
        return float(self.comm.bcast(value))

    def at_root(self, action: Callable[[], T]) -> T:
        """Call `action` in rank 0; all ranks return what it returns or raise what it raises."""
        result: Any = None
        error: Exception | None = None
        if self.rank == 0:
            try:
                result = action()
            # Whatever it is: the other ranks must not wait for a result.
            except Exception as raised:
                error = raised
        result, error = self.comm.bcast((result, error))
        self.traffic.messages += 1
        if error is not None:
            raise error
        returned: T = result
        return returned

    def require_same(self, what: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Compare the arrays of the ranks by their SHA-256.

        Raises
        ------
        BackendError
            In all ranks, with the name of the first array that differs and the ranks whose array is not rank 0's.
        """
        names = sorted(arrays)
        digests = [hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest() for name in names]
        found = self.comm.allgather(digests)
        self.traffic.messages += 1
        for index, name in enumerate(names):
            other = [rank for rank in range(self.size) if found[rank][index] != found[0][index]]
            if other:
                raise BackendError(
                    f"{what}: {name} of rank 0 is not that of rank {', '.join(map(str, other))}: ranks need the"
                    " same data, options, libraries and kind of processor"
                )


def _elements(block: Block) -> int:
    return math.prod(axis.stop - axis.start for axis in block)


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


@cache
def _item(size: int) -> Any:
    return MPI.BYTE.Create_contiguous(size).Commit()


@cache
def _subarray(item: int, shape: tuple[int, ...], sizes: tuple[int, ...], starts: tuple[int, ...]) -> Any:
    return _item(item).Create_subarray(list(shape), list(sizes), list(starts)).Commit()


def _described(array: np.ndarray, block: Block) -> tuple[int, Any]:
    """Count and MPI type of a block; there is no subarray type for an empty one."""
    if _elements(block) == 0:
        return 0, MPI.BYTE
    sizes, starts = tuple(axis.stop - axis.start for axis in block), tuple(axis.start for axis in block)
    return 1, _subarray(array.itemsize, array.shape, sizes, starts)
