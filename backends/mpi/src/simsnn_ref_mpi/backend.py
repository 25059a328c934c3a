"""NumPy on every rank of an MPI job, and what makes them one fit."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import mpi4py
import numpy as np
import scipy.fft

from simsnn_ref.backend import THREADS_VARIABLE, Array, Backend, NumpyBackend, default_threads
from simsnn_ref.errors import SimsnnError
from simsnn_ref_mpi.communicator import MPI, Communicator, shares
from simsnn_ref_mpi.maps import shard_of

__all__ = ["MpiBackend", "MpiProcesses"]

Result = TypeVar("Result")

GRACE = 3.0
"""Seconds that a rank other than the first waits before it ends the job: what is wrong with the data or the options is
wrong in all of them, and one line is enough."""

FORWARDING = 0.5
"""Seconds that mpiexec has to pass on the last words of a rank."""


class MpiProcesses:
    """See `simsnn_ref.backend.Processes`. One rank is a process like any other.

    Attributes
    ----------
    communicator : Communicator
        Its `traffic` counts what is sent.
    """

    def __init__(self, communicator: Communicator | None = None) -> None:
        self.communicator = Communicator() if communicator is None else communicator
        self.size, self.is_root = self.communicator.size, self.communicator.rank == 0
        here = self.communicator.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.size_here = int(here.Get_size())
        here.Free()

    def shard(self, fmap: Any) -> Any:
        return fmap if self.size == 1 else shard_of(fmap, self.communicator)

    def distributed(self, backend: Backend) -> Backend:
        if self.size == 1 or not isinstance(backend, NumpyBackend):
            return backend
        return _Distributed(workers=backend.workers, communicator=self.communicator)

    def max(self, value: float) -> float:
        return self.communicator.max(value) if self.size > 1 else value

    def at_root(self, action: Callable[[], Result]) -> Result:
        return self.communicator.at_root(action) if self.size > 1 else action()

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        if self.size > 1:
            self.communicator.require_same(what, arrays)

    @contextlib.contextmanager
    def guard(self, *, typed: bool = False) -> Iterator[None]:
        """See `simsnn_ref.backend.Processes`."""
        try:
            yield
        except BaseException as error:
            if self.size > 1 and (typed or not isinstance(error, SimsnnError)):
                self.end(error)
            raise

    def end(self, error: BaseException) -> NoReturn:
        """End all ranks because of an error in this one, with one line on stderr."""
        if not self.is_root:
            time.sleep(GRACE)
        known = isinstance(error, SimsnnError | KeyboardInterrupt)
        trace = "" if known else "".join(traceback.format_exception(error))
        named = type(error).__name__
        message = " ".join(str(error).split())
        if not isinstance(error, SimsnnError):
            message = f"{named}: {message}" if message else named
        # In one piece, and read by mpiexec before it hears of the end: it drops what it has not read by then.
        sys.stderr.write(f"{trace}simsnn: error: rank {self.communicator.rank} of {self.size}: {message}\n")
        sys.stderr.flush()
        sys.stdout.flush()
        time.sleep(FORWARDING)
        # As the command's: 1 for a result that is not what it should be, 2 for bad input.
        is_input = isinstance(error, SimsnnError) and not isinstance(error, ArithmeticError)
        status = 2 if is_input else 1
        self.communicator.comm.Abort(status)
        # MPICH's returns now and then, and ends the process a little later.
        os._exit(status)


@dataclass(frozen=True)
class MpiBackend(NumpyBackend):
    """NumPy, whose processes share a fit; started as ``mpiexec -n P``, all of them with the same arguments.

    Without mpiexec, or with one rank, it does what NumPy does, bit by bit. An exception that nothing catches ends all
    ranks.

    Parameters
    ----------
    workers : int, optional
        Threads of this rank. By default SIMSNN_NUM_THREADS, or the cores divided by the ranks on this machine.
    device : str
        "cpu".
    """

    name: str = "mpi"
    processes: MpiProcesses = field(default_factory=MpiProcesses, compare=False)
    workers: int = 0

    def __post_init__(self) -> None:
        if self.workers == 0:
            object.__setattr__(self, "workers", _threads(self.processes.size_here))
        super().__post_init__()
        if self.processes.size > 1:
            _end_all_by(self.processes)

    def describe(self) -> dict[str, str]:
        """What `simsnn doctor` tells of it."""
        return {
            "mpi4py": mpi4py.__version__,
            "library": MPI.Get_library_version().split("\n")[0].rstrip("\0").strip(),
            "ranks": f"{self.processes.size}, {self.processes.size_here} of them on this machine",
            "threads": f"{self.workers} a rank",
        }


def _threads(ranks_here: int) -> int:
    """The cores are for all ranks of the machine, unless mpiexec has given each its own."""
    threads = default_threads()
    if os.environ.get(THREADS_VARIABLE) or threads < (os.cpu_count() or 1):
        return threads
    return max(1, threads // ranks_here)


def _end_all_by(processes: MpiProcesses) -> None:
    """An exception that ends this process ends the others."""
    sys.excepthook = lambda kind, error, where: processes.end(error)


@dataclass(frozen=True)
class _Distributed(NumpyBackend):
    """Transforms of a field that every rank has, of which each does a part.

    The last axis but one is divided first, and put together before its own transform, when another one is: the axes
    are done in the order of SciPy's, which leaves the same bits.
    """

    name: str = "mpi"
    communicator: Communicator = field(default_factory=Communicator)

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        if x.ndim < 2 or list(axes) != list(range(x.ndim)):
            return super().rfftn(x, axes, kept)
        communicator, workers = self.communicator, self.workers
        first, second = x.ndim - 2, 0 if x.ndim > 2 else 1
        here = shares(x.shape[first], communicator.size)
        own = here[communicator.rank]
        spectrum = scipy.fft.rfft(x[..., own, :], axis=-1, workers=workers)[..., :kept]
        if first:
            spectrum = scipy.fft.fftn(spectrum, axes=range(first), workers=workers)
        shape = (*x.shape[:-1], spectrum.shape[-1])
        there = shares(shape[second], communicator.size)
        divided = np.empty(_with(shape, second, there[communicator.rank]), dtype=spectrum.dtype)
        communicator.exchange(
            np.ascontiguousarray(spectrum),
            [_block(spectrum.shape, second, part) for part in there],
            divided,
            [_block(divided.shape, first, part) for part in here],
        )
        divided = np.ascontiguousarray(scipy.fft.fft(divided, axis=first, workers=workers))
        whole = np.empty(shape, dtype=divided.dtype)
        everything = tuple(slice(0, n) for n in divided.shape)
        communicator.exchange(
            divided, [everything] * communicator.size, whole, [_block(shape, second, part) for part in there]
        )
        return whole


def _with(shape: Sequence[int], axis: int, part: slice) -> tuple[int, ...]:
    return (*shape[:axis], part.stop - part.start, *shape[axis + 1 :])


def _block(shape: Sequence[int], axis: int, part: slice) -> tuple[slice, ...]:
    """The part along one axis, all of the others."""
    return tuple(part if other == axis else slice(0, n) for other, n in enumerate(shape))
