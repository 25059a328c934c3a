"""The backend ``mpi`` of `simsnn_ref`: NumPy, and a fit that several processes share."""

from simsnn_ref_mpi.backend import MpiBackend
from simsnn_ref_mpi.communicator import Communicator, Traffic
from simsnn_ref_mpi.maps import MpiShard, SharedMap

__all__ = ["Communicator", "MpiBackend", "MpiShard", "SharedMap", "Traffic"]
