"""Modes whose sum goes through every sample, whatever these are: the field mirrored at the ends of its box.

Least squares with few modes of the extended box (`fourier_extension`) follow a field that is smooth and leave the rest.
Mirrored at both ends samples make a field that repeats after two lengths of the box, without a jump; its DFT is the
cosine transform of type I, and the sum of all its modes is the samples again, to rounding.
"""

from dataclasses import replace

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.spectrum.fourier_extension import extension_period
from simsnn_ref.spectrum.grid import Grid, wavenumber_units
from simsnn_ref.spectrum.modes import Modes, count_modes, fourier_modes

__all__ = ["count_mirrored_modes", "mirrored_modes"]


def _mirrored(grid: Grid) -> Grid:
    """The grid of the mirrored field; all its axes repeat."""
    shape = tuple(n if periodic else 2 * (n - 1) for n, periodic in zip(grid.shape, grid.periodic, strict=True))
    return Grid(shape)


def mirrored_modes(u: Array, grid: Grid, backend: Backend) -> Modes:
    """The modes of the extended box whose sum is `u` at every grid point, largest amplitude first.

    Parameters
    ----------
    u : Array of float64, shape grid.shape
    grid : Grid
    backend : Backend
    """
    mirrored, xp = _mirrored(grid), backend.xp
    for axis, periodic in enumerate(grid.periodic):
        if not periodic:
            inner = u[tuple(slice(1, -1) if other == axis else slice(None) for other in range(grid.ndim))]
            u = xp.concat([u, xp.flip(inner, axis=axis)], axis=axis)
    modes, period = fourier_modes(u, mirrored, backend), extension_period(grid)
    # Both grids start at the same sample: k.x_0 of the one has to make way for that of the other.
    moved = mirrored.origin_phases(modes.indices) - grid.origin_phases(modes.indices, period)
    return replace(
        modes,
        period=period,
        wavenumbers=backend.asarray(modes.indices * np.asarray(wavenumber_units(period))),
        phases=modes.phases + backend.asarray(moved),
    )


def count_mirrored_modes(grid: Grid) -> int:
    """The most modes that `mirrored_modes` can return."""
    return count_modes(_mirrored(grid))
