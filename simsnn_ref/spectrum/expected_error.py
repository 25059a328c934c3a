"""What the samples let expect of the error between them, at other points of the field that they come from.

Nobody knows the field there. Along an axis that does not repeat, a method of interpolation is known by how well it
predicts samples left out (`line_interpolation`). Along one that repeats, the error of trigonometric interpolation is
the field's content beyond the largest wavenumber of the grid, folded back: the decay of the spectrum over the last
third of the wavenumbers is continued beyond it. White noise does not decay; of it nothing between the samples is known.
Nor is anything below the rounding of the samples.
"""

import math

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.grid_interpolant import GridInterpolant
from simsnn_ref.spectrum.line_interpolation import lines_along

__all__ = ["expected_error", "unit_of_rounding"]

BANDS = 6
"""The largest wavenumber is that many bands of wavenumbers away from 0; the last two tell of the decay."""

LEAST_HALF = 2
"""Modes in half a band from which the decay is looked at within it, too."""

POPULATED = 0.7
"""Quantile of the energies of a band that stands for all of it: a few waves that the grid resolves are no noise, and
of a symmetric field every second mode is empty."""

SINGLE_BITS, FEWER_BITS = 23, 19
"""Of the mantissa of float32, and of numbers that are exact in it by chance, since they are short."""


def unit_of_rounding(u: np.ndarray) -> float:
    """Half the spacing of the numbers next to 1 in the precision that the samples came in: float64, or float32.

    Values in float64 all of which are exact in float32 were float32 once, unless most of them are short.

    Examples
    --------
    >>> u = np.sin(np.arange(100.0))
    >>> unit_of_rounding(u) == 2.0**-53, unit_of_rounding(u.astype(np.float32)) == 2.0**-24
    (True, True)
    """
    u = np.asarray(u, dtype=np.float64)
    mantissa, _ = np.frexp(u)
    single, short = (np.ldexp(mantissa, bits + 1) for bits in (SINGLE_BITS, FEWER_BITS))
    was_single = np.all(single == np.rint(single)) and np.mean(short != np.rint(short)) > 0.5
    return 2.0 ** -(SINGLE_BITS + 1) if was_single else 2.0**-53


def expected_error(u: np.ndarray, grid: Grid, interpolant: GridInterpolant | None = None) -> float:
    """RMS error to expect between samples of what goes through them, relative to their own RMS.

    Parameters
    ----------
    u : ndarray of float64, shape grid.shape
    grid : Grid
    interpolant : GridInterpolant, optional
        Of the samples; None where all axes repeat.

    Examples
    --------
    >>> noise = 1e-3 * np.random.default_rng(0).standard_normal((64, 64))
    >>> x, y = np.meshgrid(*Grid((64, 64)).axes(), indexing="ij")
    >>> bool(0.5e-3 < expected_error(np.sqrt(2.0) * np.sin(np.pi * (x + y)) + noise, Grid((64, 64))) < 2e-3)
    True
    """
    largest = float(np.max(np.abs(u)))
    if largest == 0.0:
        return 0.0
    scale = rms(np, u)
    choices = (None,) * grid.ndim if interpolant is None else interpolant.choices
    along = [
        largest * _beyond_the_grid(lines_along(u, axis) / largest) if choice is None else choice.between
        for axis, choice in enumerate(choices)
    ]
    # The rounding of the samples is uniform, of RMS 1 / sqrt(3) of its largest.
    return math.hypot(*along, unit_of_rounding(u) * scale / math.sqrt(3.0)) / scale


def _beyond_the_grid(u: np.ndarray) -> float:
    """RMS of what lies beyond the largest wavenumber of samples u that repeat, shape (n, lines), and of its image."""
    n = len(u)
    energy = np.mean(np.abs(np.fft.rfft(u, axis=0) / n) ** 2, axis=1)
    if n % 2 == 0:
        # The mode at the limit is its own image.
        energy[-1] /= 2.0
    width = max(1, n // (2 * BANDS))
    level, before = _level(energy[-width:]), _level(energy[-2 * width : -width])
    decay = level / before if before > 0.0 else 1.0
    if width >= 2 * LEAST_HALF:
        # Where noise takes over from the field within the last band, it no longer decays there.
        first, second = _level(energy[-width : -width // 2]), _level(energy[-(width // 2) :])
        decay = max(decay, second / first if first > 0.0 else 1.0)
    elif len(energy) > 2 * width and energy[-2 * width - 1] > 0.0:
        # Single modes vary: two steps tell more than one.
        decay = max(decay, math.sqrt(level / float(energy[-2 * width - 1])))
    decay = min(1.0, decay)
    beyond = 2 * width * level * sum(decay**band for band in range(1, BANDS + 1))
    return math.sqrt(min(2.0 * beyond, n * level))


def _level(energy: np.ndarray) -> float:
    return float(np.quantile(energy, POPULATED))
