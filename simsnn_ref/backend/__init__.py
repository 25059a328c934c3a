"""The array library that the numerics run on, and the processes that share a fit.

`Backend` is the protocol, `NumpyBackend` the embedded one; plug-ins are loaded by name. Beside them stand double-double
arithmetic and the norms of a field.
"""

from simsnn_ref.backend.communicator import ALONE, Ranks, Slab, WholeSlab, ranks_of, slab_of
from simsnn_ref.backend.double_double import PI, DoubleDouble, concat, cos, quotient, rearranged, sin
from simsnn_ref.backend.loading import ENTRY_POINT_GROUP, available_backends, load_backend
from simsnn_ref.backend.norms import largest, rms
from simsnn_ref.backend.numpy_backend import THREADS_VARIABLE, NumpyBackend, default_threads
from simsnn_ref.backend.protocol import Array, Backend, block_scale, scale_for

__all__ = [
    "ALONE",
    "ENTRY_POINT_GROUP",
    "PI",
    "THREADS_VARIABLE",
    "Array",
    "Backend",
    "DoubleDouble",
    "NumpyBackend",
    "Ranks",
    "Slab",
    "WholeSlab",
    "available_backends",
    "block_scale",
    "concat",
    "cos",
    "default_threads",
    "largest",
    "load_backend",
    "quotient",
    "ranks_of",
    "rearranged",
    "rms",
    "scale_for",
    "sin",
    "slab_of",
]
