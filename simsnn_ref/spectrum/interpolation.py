"""Trigonometric interpolation of periodic samples: the shift theorem."""

from collections.abc import Sequence

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.errors import ConfigError
from simsnn_ref.spectrum.grid import PI, Grid
from simsnn_ref.spectrum.modes import half_shape, signed_index

__all__ = ["shift_samples"]


def shift_samples(u: Array, grid: Grid, cells: Sequence[float], backend: Backend) -> Array:
    """Trigonometric interpolation of periodic samples at x + `cells` times the spacing; exact for band-limited fields.

    The shift theorem, u~_m exp(2 pi i m cells / N). On the Nyquist mode of an even axis the factor is its real part,
    cos(pi cells): the mode is shared equally between +N/2 and -N/2, which makes the interpolant the real one of least
    oscillation.

    Parameters
    ----------
    u : Array of float64, shape grid.shape
    cells : sequence of d floats
        0.5 along an axis is half way to the next sample.

    Raises
    ------
    ConfigError
        If an axis of the grid is not periodic.
    """
    if not all(grid.periodic):
        raise ConfigError("off_grid = 'interpolation' needs samples that are periodic along every axis")
    axes = tuple(range(grid.ndim))
    spectrum = backend.rfftn(u, axes) / grid.size
    for axis, (n, kept, shift) in enumerate(zip(grid.shape, half_shape(grid), cells, strict=True)):
        index = signed_index(np.arange(kept), n)
        angle = 2.0 * PI.astype(backend.real_dtype) * index * shift / n
        factor = np.cos(angle) + 1j * np.where(2 * index == n, 0.0, np.sin(angle))
        along = tuple(kept if other == axis else 1 for other in axes)
        spectrum = spectrum * backend.asarray(factor.reshape(along))
    return backend.irfftn(spectrum, grid.shape, axes)
