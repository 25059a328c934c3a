"""The noise floor of samples: the level below which they no longer tell about the field between them.

The spectrum of a field that its grid resolves falls to rounding before the grid's largest wavenumbers. Where it does
not, what is left there is noise, or structure finer than the grid that has been folded onto it; either is about as
strong at every lower wavenumber too. The noise floor is the RMS of white noise as strong as what is left:

    periodic      RMS of the modes with |m_i| > 2/3 N_i/2 along some axis, over the square root of their share of all;
    otherwise     RMS that the modes of the extended box leave of the samples, over that of the share of the samples
                  that they cannot follow.
"""

import math

import numpy as np

from simsnn_ref.backend import NumpyBackend, rms
from simsnn_ref.spectrum.fourier_extension import extension_modes
from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.modes import fourier_modes

__all__ = ["noise_floor"]

OUTER = 2.0 / 3.0
"""Of the largest wavenumber: spectral codes, too, take what lies beyond for what aliasing may have touched."""


def noise_floor(u: np.ndarray, grid: Grid) -> float:
    """RMS of what samples leave undetermined, relative to their own.

    About 1e-16 for a field resolved to the rounding of float64, 1e-8 to that of float32, 1e-3 with 0.1 % of noise.

    Parameters
    ----------
    u : ndarray of float64, shape grid.shape
    """
    scale = rms(np, u)
    if scale == 0.0:
        return 0.0
    if not all(grid.periodic):
        modes, fit_residual = extension_modes(u / scale, grid, NumpyBackend())
        return fit_residual / math.sqrt(max(1.0 - len(modes) / u.size, 1.0 / u.size))
    modes = fourier_modes(u / scale, grid, NumpyBackend())
    outer = np.any(np.abs(modes.indices) > OUTER * np.asarray(grid.shape) / 2.0, axis=1)
    if not np.any(outer):
        return 0.0
    return math.sqrt(0.5 * float(np.sum(modes.amplitudes[outer] ** 2)) / float(np.mean(outer)))
