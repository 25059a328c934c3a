"""The backend ``mpi`` of `simsnn_ref`: NumPy in each of several processes that share a fit."""

from simsnn_ref_mpi.backend import MpiBackend
from simsnn_ref_mpi.communicator import Communicator, Traffic
from simsnn_ref_mpi.maps import MpiShard, SharedMap
from simsnn_ref_mpi.processes import MpiProcesses

__all__ = ["Communicator", "MpiBackend", "MpiProcesses", "MpiShard", "SharedMap", "Traffic"]
