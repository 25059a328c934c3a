"""Extended precision on the host: long double arithmetic through the same numerical code.

A stage's own rounding, a few 1e-16 of its share, is white noise that no later stage can remove. So the residue between
stages is evaluated in long double (64 bits of mantissa on x86, eps = 1.1e-19), from parameters that stay float64.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.grid import PI
from simsnn_ref.network import Network, Parameters

__all__ = ["ExtendedBackend", "extend", "extended_eps", "is_extended"]


def extended_eps() -> float:
    """Machine epsilon of long double: 1.1e-19 on x86, no better than float64's 2.2e-16 where it is not wider."""
    return float(np.finfo(np.longdouble).eps)


@dataclass(frozen=True)
class ExtendedBackend(NumpyBackend):
    """NumPy with long double in place of float64; SciPy's FFT has it too."""

    name: str = "numpy-extended"
    real_dtype: Any = np.longdouble

    def asarray(self, host: Any) -> Array:
        array = np.asarray(host)
        wider = {"f": np.longdouble, "c": np.clongdouble}.get(array.dtype.kind)
        return array if wider is None else array.astype(wider)


def is_extended() -> bool:
    """Whether long double is wider than float64 on this machine."""
    return extended_eps() < float(np.finfo(np.float64).eps)


def extend(network: Network, params: Parameters, backend: Backend) -> tuple[Network, Parameters]:
    """The same network on the host in long double.

    Wavenumbers that are frozen at Fourier modes are exactly pi m / period; their float64 values in ``B`` are roundings
    of these and are replaced.
    """
    extended = ExtendedBackend()
    wide = {name: extended.asarray(backend.to_numpy(value)) for name, value in params.items()}
    if network.indices is not None and network.period is not None:
        numerators = np.asarray([p.denominator for p in network.period])
        denominators = np.asarray([p.numerator for p in network.period])
        wide["B"] = PI * (network.indices * numerators) / denominators
    amplitudes = None if network.amplitudes is None else extended.asarray(backend.to_numpy(network.amplitudes))
    return replace(network, backend=extended, amplitudes=amplitudes), wide
