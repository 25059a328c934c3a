"""The ranks of an MPI job as the processes of one fit."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from simsnn_ref.backend import Backend, NumpyBackend
from simsnn_ref.errors import SimsnnError
from simsnn_ref_mpi.communicator import MPI, Communicator
from simsnn_ref_mpi.maps import shard_of
from simsnn_ref_mpi.transforms import DistributedTransforms

__all__ = ["MpiProcesses"]

T = TypeVar("T")

GRACE = 3.0
"""Seconds that a rank other than the first waits before it ends the job: bad data or options are bad in all ranks, and
one line about them is enough."""

FORWARDING = 0.5
"""Seconds that mpiexec has to pass on the last line of a rank."""


class MpiProcesses:
    """The ranks of a communicator; see `simsnn_ref.backend.Processes`. A single rank is a process like any other.

    Attributes
    ----------
    communicator : Communicator
        Ranks and what they send each other; its `traffic` counts the bytes.
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
        return DistributedTransforms(workers=backend.workers, communicator=self.communicator)

    def max(self, value: float) -> float:
        return self.communicator.max(value) if self.size > 1 else value

    def at_root(self, action: Callable[[], T]) -> T:
        return self.communicator.at_root(action) if self.size > 1 else action()

    def require_same(self, what: str, arrays: Mapping[str, Any]) -> None:
        if self.size > 1:
            self.communicator.require_same(what, arrays)

    @contextlib.contextmanager
    def guard(self, *, typed: bool = False) -> Iterator[None]:
        """End all ranks where an error leaves the context in one; see `simsnn_ref.backend.Processes`."""
        try:
            yield
        except BaseException as error:
            if self.size > 1 and (typed or not isinstance(error, SimsnnError)):
                self._end_all(error)
            raise

    def _end_all(self, error: BaseException) -> NoReturn:
        """End all ranks because of an error in this one, with one line on stderr."""
        if not self.is_root:
            time.sleep(GRACE)
        known = isinstance(error, SimsnnError | KeyboardInterrupt)
        trace = "" if known else "".join(traceback.format_exception(error))
        message = " ".join(str(error).split())
        if not isinstance(error, SimsnnError):
            kind = type(error).__name__
            message = f"{kind}: {message}" if message else kind
        # In one piece, and read by mpiexec before it hears of the end: it drops what it has not read by then.
        sys.stderr.write(f"{trace}simsnn: error: rank {self.communicator.rank} of {self.size}: {message}\n")
        sys.stderr.flush()
        sys.stdout.flush()
        time.sleep(FORWARDING)
        # The exit status of the command: 1 for a result that is not what it should be, 2 for bad input.
        is_input = isinstance(error, SimsnnError) and not isinstance(error, ArithmeticError)
        status = 2 if is_input else 1
        self.communicator.comm.Abort(status)
        # MPICH's Abort returns now and then, and ends the process a little later.
        os._exit(status)
