"""Analytic targets: functions of points, shape (n, d), with values of shape (n,), in the precision of the points."""

import math

import numpy as np

from simsnn_ref.errors import DataError

__all__ = ["abc3d", "logcos", "ug"]


def ug(points: np.ndarray) -> np.ndarray:
    """u_g(x, y) = [sin(2x + 1) - 0.5 x] (1 - y^2) on [-1, 1]^2, the paper's smooth example (figure 1), not periodic.

    Parameters
    ----------
    points : array, shape (n, 2)

    Returns
    -------
    array, shape (n,), float64, or long double if the points are

    Raises
    ------
    DataError
        If `points` has another shape.
    """
    x, y = _coordinates(points, 2)
    values: np.ndarray = (np.sin(2.0 * x + 1.0) - 0.5 * x) * (1.0 - y) * (1.0 + y)
    return values


def logcos(points: np.ndarray) -> np.ndarray:
    """f(x) = log(x + 2) cos(2x + x^3) on [-1, 1], not periodic.

    Parameters
    ----------
    points : array, shape (n, 1)

    Returns
    -------
    array, shape (n,), float64, or long double if the points are

    Raises
    ------
    DataError
        If `points` has another shape.
    """
    (x,) = _coordinates(points, 1)
    # log1p keeps the logarithm's relative accuracy at its zero, the end x = -1.
    values: np.ndarray = np.log1p(x + 1.0) * np.cos(2.0 * x + x**3)
    return values


def abc3d(points: np.ndarray) -> np.ndarray:
    """First component of the Arnold-Beltrami-Childress flow and three harmonics on [0, 2 pi)^3, periodic.

    f(x, y, z) = sqrt(3) sin z + cos y + sin(2x - y + z) / e + cos(3x + 2y) / (10 pi) + sqrt(2)/100 sin(5x - 4y + 3z)

    The flow is the usual one, A^2 : B^2 : C^2 = 3 : 2 : 1, u = A sin z + C cos y (Dombre et al., J. Fluid Mech. 167,
    1986). It does not depend on x; the harmonics do, and their amplitudes are incommensurate, so that no two modes tie
    when they are ranked. A grid of 11 or more points per axis resolves it exactly.

    Parameters
    ----------
    points : array, shape (n, 3)

    Returns
    -------
    array, shape (n,), float64, or long double if the points are

    Raises
    ------
    DataError
        If `points` has another shape.
    """
    x, y, z = _coordinates(points, 3)
    values: np.ndarray = (
        math.sqrt(3.0) * np.sin(z)
        + np.cos(y)
        + np.sin(2.0 * x - y + z) / math.e
        + np.cos(3.0 * x + 2.0 * y) / (10.0 * math.pi)
        + math.sqrt(2.0) / 100.0 * np.sin(5.0 * x - 4.0 * y + 3.0 * z)
    )
    return values


def _coordinates(points: np.ndarray, ndim: int) -> tuple[np.ndarray, ...]:
    points = np.asarray(points, dtype=np.result_type(points, np.float64))
    if points.ndim != 2 or points.shape[1] != ndim:
        raise DataError(f"points: expected shape (n, {ndim}), got {points.shape}")
    return tuple(points.T)
