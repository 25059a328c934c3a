"""The array library that the numerics run on, and the processes that share a fit.

`Backend`, `Processes` and `Shard` are protocols; `NumpyBackend`, in one process, is the backend that is always there,
and plug-ins are loaded by name. Beside them stand double-double arithmetic, the norms of a field, and
`host_array`, which takes what users have.
"""

from simsnn_ref.backend.block_scale import scale_for
from simsnn_ref.backend.host_array import host_array
from simsnn_ref.backend.loading import ENTRY_POINT_GROUP, available_backends, load_backend
from simsnn_ref.backend.norms import binary_scale, largest, rms
from simsnn_ref.backend.numpy_backend import THREADS_VARIABLE, NumpyBackend, default_threads
from simsnn_ref.backend.processes import SERIAL, SerialProcess, WholeShard
from simsnn_ref.backend.protocol import EPS, Array, Backend, Processes, Shard, missing_members

__all__ = [
    "ENTRY_POINT_GROUP",
    "EPS",
    "SERIAL",
    "THREADS_VARIABLE",
    "Array",
    "Backend",
    "NumpyBackend",
    "Processes",
    "SerialProcess",
    "Shard",
    "WholeShard",
    "available_backends",
    "binary_scale",
    "default_threads",
    "host_array",
    "largest",
    "load_backend",
    "missing_members",
    "rms",
    "scale_for",
]
