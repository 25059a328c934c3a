"""Extended precision on the host: wider arithmetic through the same numerical code.

A stage's own rounding, a few 1e-16 of its share, is white noise that no later stage can remove. So the residue between
stages is evaluated in long double (64 bits of mantissa on x86, eps = 1.1e-19), or where that is no wider than float64
in double-double arithmetic (eps = 4.9e-32), from parameters that stay float64.

Arrays of either kind have +, -, *, /, @ and indexing in common. ``np.asarray`` leaves long double as it is and rounds
double-double to float64: of a residue, whose leading digits have cancelled, that keeps 16 digits of what is left, all
that the next stage fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Array, Backend, NumpyBackend, double_double
from simsnn_ref.network.double_double_maps import DoubleDoubleBackend, interpolate
from simsnn_ref.network.network import Network, Parameters
from simsnn_ref.spectrum import PI, Grid, shift_samples

__all__ = [
    "ExtendedBackend",
    "extend",
    "extended_backend",
    "extended_eps",
    "interpolated",
    "is_extended",
    "scaled_axes",
]


@dataclass(frozen=True)
class ExtendedBackend(NumpyBackend):
    """NumPy with long double in place of float64; SciPy's FFT has it too."""

    name: str = "numpy-extended"
    real_dtype: Any = np.longdouble
    pi: Any = PI

    def asarray(self, host: Any) -> Array:
        array = np.asarray(host)
        wider = {"f": np.longdouble, "c": np.clongdouble}.get(array.dtype.kind)
        return array if wider is None else array.astype(wider)


def is_extended() -> bool:
    """Whether long double is wider than float64 on this machine."""
    return bool(np.finfo(np.longdouble).eps < EPS)


def extended_backend() -> Any:
    """Long double where it is wider than float64, else double-double."""
    return ExtendedBackend() if is_extended() else DoubleDoubleBackend()


def extended_eps() -> float:
    """What the extended arithmetic resolves: 1.1e-19 for long double on x86, 4.9e-32 for double-double."""
    return float(np.finfo(np.longdouble).eps) if is_extended() else double_double.EPS


def extend(network: Network, params: Parameters, backend: Backend) -> tuple[Network, Parameters]:
    """The same network on the host in extended precision.

    Wavenumbers that are frozen at Fourier modes are exactly pi m / period; their float64 values in ``B`` are roundings
    of these and are replaced.
    """
    extended = extended_backend()
    wide = {name: extended.asarray(backend.to_numpy(value)) for name, value in params.items()}
    if network.indices is not None and network.period is not None:
        numerators = np.asarray([p.denominator for p in network.period])
        denominators = np.asarray([p.numerator for p in network.period])
        wide["B"] = extended.pi * (network.indices * numerators) / denominators
    amplitudes = None if network.amplitudes is None else extended.asarray(backend.to_numpy(network.amplitudes))
    return replace(network, backend=extended, amplitudes=amplitudes), wide


def scaled_axes(grid: Grid) -> tuple[Array, ...]:
    """The coordinates in [-1, 1] of each axis of a grid in extended precision."""
    asarray = extended_backend().asarray
    return tuple(asarray(2.0 * np.arange(n) - m) / m for n, m in zip(grid.shape, grid.intervals, strict=True))


def interpolated(u: Array, grid: Grid, cells: Sequence[Fraction]) -> Array:
    """Trigonometric interpolation of periodic samples, `simsnn_ref.spectrum.shift_samples` in extended precision."""
    if not is_extended():
        return interpolate(u, grid, cells)
    shifts: list[Any] = [np.longdouble(cell.numerator) / cell.denominator for cell in cells]
    return shift_samples(u, grid, shifts, ExtendedBackend())
