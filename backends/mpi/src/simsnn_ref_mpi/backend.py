"""NumPy in every rank of an MPI job."""

import os
from dataclasses import dataclass, field

import mpi4py

from simsnn_ref.backend import THREADS_VARIABLE, NumpyBackend, default_threads
from simsnn_ref_mpi.communicator import MPI
from simsnn_ref_mpi.processes import MpiProcesses

__all__ = ["MpiBackend"]


@dataclass(frozen=True)
class MpiBackend(NumpyBackend):
    """NumPy, with the ranks of an MPI job as the processes that share a fit.

    The job is ``mpiexec -n P simsnn fit ... --backend mpi``, or ``mpiexec -n P python -m mpi4py script.py`` for a
    script that calls `simsnn_ref.fit`: all ranks run the same with the same arguments, and an error that nothing
    catches in one of them ends all. Without mpiexec, or with one rank, it does what NumPy does, bit by bit.

    Parameters
    ----------
    workers : int, optional
        Number of threads of this rank. By default SIMSNN_NUM_THREADS, or the machine's cores divided by its ranks.
    device : str
        The only device there is, "cpu".
    """

    name: str = "mpi"
    processes: MpiProcesses = field(default_factory=MpiProcesses, compare=False)
    workers: int = 0

    def __post_init__(self) -> None:
        if self.workers == 0:
            object.__setattr__(self, "workers", _threads(self.processes.size_here))
        super().__post_init__()

    def describe(self) -> dict[str, str]:
        """Return what `simsnn doctor` says about it."""
        return {
            "mpi4py": mpi4py.__version__,
            "library": MPI.Get_library_version().split("\n")[0].rstrip("\0").strip(),
            "ranks": f"{self.processes.size}, {self.processes.size_here} of them on this machine",
            "threads": f"{self.workers} a rank",
        }


def _threads(ranks_here: int) -> int:
    """Number of threads of a rank: the machine's ranks share its cores, unless mpiexec has given each its own."""
    threads = default_threads()
    if os.environ.get(THREADS_VARIABLE) or threads < (os.cpu_count() or 1):
        return threads
    return max(1, threads // ranks_here)
