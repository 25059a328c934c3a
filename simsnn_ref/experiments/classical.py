"""Interpolation of smooth samples on a grid, with nothing to train: what a network is compared with.

======================  ===========================================================================================
`spline`                tensor-product splines of degree 3 or 5 (scipy); periodic axes continue beyond both ends
`fourier_interpolation` the trigonometric interpolant of periodic samples: all their modes
`chebyshev`             interpolation of a function at Chebyshev points, N per axis, where it may be sampled
======================  ===========================================================================================
"""

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.polynomial import chebyshev as polynomials

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.spectrum import Grid, shift_samples

__all__ = ["chebyshev", "fourier_interpolation", "relative_errors", "spline", "timed"]

T = TypeVar("T")

CONTINUED = 12
"""Samples by which a periodic axis continues; the ends' influence falls by a factor of 2 to 4 a sample."""


def relative_errors(values: np.ndarray, exact: np.ndarray, unit: float) -> dict[str, float]:
    """RMS and largest absolute value, ``rms`` and ``max``, of (values - exact) / unit."""
    difference = (values - exact) / unit
    return {"rms": float(np.sqrt(np.mean(difference**2))), "max": float(np.max(np.abs(difference)))}


def timed(compute: Callable[[], T]) -> tuple[T, float]:
    """What `compute` returns, and the seconds it took."""
    started = time.perf_counter()
    result = compute()
    return result, time.perf_counter() - started


def spline(u: np.ndarray, grid: Grid, points: np.ndarray, degree: int) -> np.ndarray:
    """Interpolating spline of samples on a grid in two dimensions, at physical points.

    Parameters
    ----------
    u : ndarray of float64, shape grid.shape
    points : ndarray of float64, shape (n, 2)
    degree : int
        3 or 5.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    from scipy.interpolate import RectBivariateSpline  # noqa: PLC0415 - no other command has a use for it

    axes: list[np.ndarray] = []
    for axis, (x, periodic) in enumerate(zip(grid.axes(), grid.periodic, strict=True)):
        added = CONTINUED if periodic else 0
        width = [(added, added) if other == axis else (0, 0) for other in range(2)]
        u = np.pad(u, width, mode="wrap") if added else u
        spacing = x[1] - x[0]
        axes.append(x[0] + spacing * np.arange(-added, x.size + added) if added else x)
    across, up = axes
    fitted = RectBivariateSpline(across, up, u, kx=degree, ky=degree)
    return np.asarray(fitted(points[:, 0], points[:, 1], grid=False))


def fourier_interpolation(u: np.ndarray, grid: Grid, cells: tuple[Fraction, ...]) -> np.ndarray:
    """The trigonometric interpolant of periodic samples, at the grid moved by `cells` of its spacings; shape of `u`."""
    return np.asarray(shift_samples(u, grid, [float(cell) for cell in cells], NumpyBackend()))


def chebyshev(target: Callable[[np.ndarray], Any], n: int, points: np.ndarray) -> np.ndarray:
    """Interpolate a function on [-1, 1]^2 at n x n Chebyshev points of the first kind, by discrete orthogonality.

    Parameters
    ----------
    target : callable
        From points (m, 2) to values (m,).
    points : ndarray of float64, shape (k, 2)
        Where the interpolant is wanted, in [-1, 1]^2.

    Returns
    -------
    ndarray of float64, shape (k,)
    """
    x = polynomials.chebpts1(n)
    values = np.asarray(target(np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2))).reshape(n, n)
    weights = np.full(n, 2.0 / n)
    weights[0] = 1.0 / n
    transform = weights[:, np.newaxis] * polynomials.chebvander(x, n - 1).T
    coefficients = transform @ values @ transform.T
    return np.asarray(polynomials.chebval2d(points[:, 0], points[:, 1], coefficients))
