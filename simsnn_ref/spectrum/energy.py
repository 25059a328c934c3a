"""The angle-averaged power spectrum E(k), eq. 13."""

from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.modes import half_shape, multiplicity, signed_index

__all__ = ["EnergySpectrum", "energy_spectrum"]


@dataclass(frozen=True)
class EnergySpectrum:
    """Angle-averaged power spectrum E(k) of eq. 13; host arrays.

    Attributes
    ----------
    wavenumber : ndarray of float64, shape (bins,)
        Bin centres, angular wavenumber in the data's own units (integers on [0, 2 pi)).
    energy : ndarray of float64, shape (bins,)
        Sum of |u~|^2 over the bin, u~ the DFT divided by the number of points: E sums to the mean of u^2.
    """

    wavenumber: np.ndarray
    energy: np.ndarray

    def __repr__(self) -> str:
        return f"EnergySpectrum({len(self.wavenumber)} bins)"


def energy_spectrum(u: Array, grid: Grid, backend: Backend, bins: int = 200) -> EnergySpectrum:
    """Angle-averaged power spectrum, eq. 13: E(k) = sum of |u~(k')|^2 over k - dk <= |k'| < k + dk.

    The bins have equal width 2 dk and reach from 0 to the largest wavenumber of the grid, which the last one includes.
    u~ is divided by the number of points (the paper's eq. 3 is not), so that Parseval reads sum E = mean(u^2).

    Parameters
    ----------
    u : Array of float64, shape grid.shape
    bins : int
        200 in the paper. Bins narrower than the spacing of the wavenumbers can be empty: E = 0 there.
    """
    spectrum = backend.to_numpy(backend.rfftn(u, tuple(range(grid.ndim)))) / grid.size
    power = np.abs(spectrum) ** 2 * multiplicity(grid)
    squared = np.zeros(())
    for axis, (n, length) in enumerate(zip(half_shape(grid), grid.box.lengths, strict=True)):
        index = signed_index(np.arange(n), grid.shape[axis])
        k = index * (grid.wavenumber_units[axis] * 2.0 / length)
        squared = np.add.outer(squared, k**2)
    edges = np.linspace(0.0, float(np.sqrt(np.max(squared))), bins + 1)
    energy, _ = np.histogram(np.sqrt(squared).ravel(), bins=edges, weights=power.ravel())
    return EnergySpectrum(wavenumber=0.5 * (edges[:-1] + edges[1:]), energy=energy)
