"""White noise in samples on a grid: whether there is any, and the field without it.

The samples are written in an orthonormal basis that is ordered by roughness: along an axis that repeats the Fourier
modes, along others the eigenvectors of D^T D, D the differences of some order between neighbours (the discrete form of
the basis of Demmler & Reinsch, Numer. Math. 24, 1975, in which a smoothing spline shrinks coefficients). White noise is
equally large in all of them, a field that the grid resolves is not. So the roughest quarter tells how large the noise
is; then every group of modes of about the same roughness is multiplied by the share of its energy that is not noise,

    max(0, 1 - (1 + 3 sqrt(2 / L)) L sigma^2 / sum of c^2)    for L coefficients c

(Stein's estimator by blocks with a penalty, Cavalier & Tsybakov, Math. Methods Statist. 10, 2001), and modes that stick
out of the noise by themselves are kept as they are, however rough.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.fft import dct, idct
from scipy.linalg import eigh

from simsnn_ref.backend import binary_scale, rms
from simsnn_ref.spectrum.expected_error import unit_of_rounding
from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.line_interpolation import from_lines, lines_along

__all__ = ["Signal", "signal_in_noise"]

ORDERS = (4, 6, 8)
"""Of the differences; the one is taken that leaves the least error by Stein's estimate."""

LONG = 2048
"""Points of an axis that does not repeat beyond which the order is 1: the cosine transform has its eigenvectors."""

ROUGHEST = 0.25
"""Share of the modes that tell of the noise."""

FEWEST = 32
"""Of these modes, of which it can be told whether they are noise."""

MEDIAN_REAL, MEDIAN_COMPLEX = 0.45493642, math.log(2.0)
"""Median energy of a real and of a complex Gaussian number of variance 1."""

LEAST_NOISE = 1e-12
"""Relative to the field; below, it is rounding."""

ROUNDINGS = 4.0
"""Nor is it more than rounding below so many units of rounding of the samples."""

PENALTY = 3.0
"""Standard deviations by which the energy of a group has to exceed that of noise."""

GROWTH, LEAST_GROUP = 1.1, 4
"""Of the number of modes up to the end of a group; the least in one."""

STICKS_OUT = 2.0
"""Energy of a mode that noise does not have, in units of sigma^2 log n."""

MOSTLY_NOISE = 0.8
"""Least share of the roughest modes that do not stick out."""

LEFT_OUT = 2.0
"""Squared error over that of the noise that is kept. The signal in the modes that are left out is about as much: where
it was more they would have been kept."""


@dataclass(frozen=True)
class Signal:
    """What samples say of a field, and how much of them does not.

    Attributes
    ----------
    values : ndarray of float64, shape grid.shape
        The samples without their noise.
    noise : float
        Standard deviation of the noise, in units of the samples.
    error : float
        RMS error to expect of the values, in units of the samples.
    """

    values: np.ndarray
    noise: float
    error: float


def signal_in_noise(u: np.ndarray, grid: Grid) -> Signal | None:
    """The field without the white noise of its samples; None where they have none, or are not much else.

    Parameters
    ----------
    u : ndarray of float64, shape grid.shape
    grid : Grid

    Examples
    --------
    >>> grid = Grid((64, 64), periodic=False)
    >>> x, y = np.meshgrid(*grid.axes(), indexing="ij")
    >>> field = np.exp(x) * np.sin(3.0 * y + x)
    >>> signal_in_noise(field, grid) is None
    True
    >>> found = signal_in_noise(field + 1e-3 * np.random.default_rng(0).standard_normal(field.shape), grid)
    >>> print(f"{found.noise:.2e} {np.std(found.values - field):.0e}")
    1.01e-03 2e-04
    """
    if ROUGHEST * u.size < FEWEST:
        return None
    scale = binary_scale(u)
    relative = u / scale
    transform = _Transform(grid, ORDERS[0])
    coefficients = transform.forward(relative)
    sigma = _noise_of(coefficients, transform)
    if sigma <= rms(np, relative) * max(LEAST_NOISE, ROUNDINGS * unit_of_rounding(u)):
        return None
    best = _shrunk(coefficients, transform, sigma)
    for order in ORDERS[1:] if not all(grid.periodic) else ():
        transform = _Transform(grid, order)
        best = min(best, _shrunk(transform.forward(relative), transform, sigma), key=lambda each: each.stein)
    values = best.transform.backward(best.coefficients)
    if rms(np, values) < sigma:
        return None
    error = sigma * math.sqrt(LEFT_OUT * best.freedom / u.size)
    return Signal(scale * values, scale * sigma, scale * error)


class _Transform:
    """The orthonormal basis of a grid, for differences of some order where an axis does not repeat."""

    def __init__(self, grid: Grid, order: int) -> None:
        roughness = []
        self._there_and_back: list[tuple[Any, Any]] = []
        pair: tuple[Any, Any]
        for n, periodic in zip(grid.shape, grid.periodic, strict=True):
            if periodic:
                pair = partial(np.fft.fft, norm="ortho"), partial(np.fft.ifft, norm="ortho")
            elif n > LONG:
                pair = partial(dct, norm="ortho"), partial(idct, norm="ortho")
            else:
                vectors = _difference_modes(n, min(order, n - 1))
                pair = partial(_product, vectors.T), partial(_product, vectors)
            self._there_and_back.append(pair)
            roughness.append(2.0 * np.abs(np.fft.fftfreq(n)) if periodic else np.arange(n) / n)
        squared = sum(each**2 for each in np.meshgrid(*roughness, indexing="ij", sparse=True))
        self.by_roughness = np.argsort(np.ravel(np.sqrt(squared)), kind="stable")
        """Numbers of the modes, the smoothest first."""

    def forward(self, u: np.ndarray) -> np.ndarray:
        """Coefficients, complex if an axis repeats; the sum of their squares is that of the samples."""
        for axis, (there, _) in enumerate(self._there_and_back):
            u = there(u, axis=axis)
        return u

    def backward(self, coefficients: np.ndarray) -> np.ndarray:
        """Inverse of `forward`."""
        for axis, (_, back) in enumerate(self._there_and_back):
            coefficients = back(coefficients, axis=axis)
        return np.ascontiguousarray(np.real(coefficients))


def _product(matrix: np.ndarray, u: np.ndarray, axis: int) -> np.ndarray:
    return from_lines(matrix @ lines_along(u, axis), axis, u.shape)


def _difference_modes(n: int, order: int) -> np.ndarray:
    """Eigenvectors of D^T D, the smoothest first, as columns.

    The matrix is the same from either end, so that they are even or odd, and those of matrices of half the size.
    """
    differences = np.diff(np.eye(n), order, axis=0)
    matrix = differences.T @ differences
    half, middle = n // 2, n % 2
    near, far = matrix[:half, :half], matrix[:half, n - half :][:, ::-1]
    even = np.zeros((half + middle, half + middle))
    even[:half, :half] = near + far
    even[:half, half:] = math.sqrt(2.0) * matrix[:half, half : half + middle]
    even[half:, half:] = matrix[half : half + middle, half : half + middle]
    values, vectors = [], np.zeros((n, n))
    for block, parity, columns in (
        (even, 1.0, slice(half + middle)),
        (near - far, -1.0, slice(half + middle, None)),
    ):
        value, vector = eigh(block, lower=False, driver="evd")
        values.append(value)
        vectors[:half, columns] = vector[:half] / math.sqrt(2.0)
        vectors[half : len(vector), columns] = vector[half:]
        vectors[n - half :, columns] = parity * vectors[:half, columns][::-1]
    return vectors[:, np.argsort(np.concatenate(values), kind="stable")]


def _noise_of(coefficients: np.ndarray, transform: _Transform) -> float:
    """Standard deviation of the noise; 0 where the roughest modes are not those of white Gaussian noise.

    Those of noise are as large in their smoother half as in their rougher one, their energies have the distribution of
    the squares of Gaussian numbers, and what they add to the field is equally large everywhere. A spectrum that decays,
    waves near the limit of the grid, and fronts and kinks, whose roughest modes add up at one place, are none.
    """
    chosen = transform.by_roughness[-int(ROUGHEST * coefficients.size) :]
    energy = np.abs(coefficients.ravel()[chosen]) ** 2
    variance = float(np.median(energy)) / (MEDIAN_COMPLEX if np.iscomplexobj(coefficients) else MEDIAN_REAL)
    is_noise = energy <= STICKS_OUT * math.log(coefficients.size) * variance
    n, chosen = np.count_nonzero(is_noise), chosen[is_noise]
    halves = np.array_split(energy[is_noise], 2)
    few = n < MOSTLY_NOISE * energy.size
    if variance == 0.0 or few or np.any([np.sum(half) == 0.0 for half in halves]):
        return 0.0
    rough = np.zeros(coefficients.size, coefficients.dtype)
    rough[chosen] = coefficients.ravel()[chosen]
    field = transform.backward(rough.reshape(coefficients.shape))
    kurtosis = float(np.mean(field**4) / np.mean(field**2) ** 2)
    # Three standard deviations or more of each of the three for noise, found with many drawings of it, and a margin.
    spread = 1.0 / math.sqrt(n)
    is_white = (
        abs(math.log(np.mean(energy[is_noise]) / variance)) < 0.15 + 6.0 * spread
        and abs(math.log(np.mean(halves[0]) / np.mean(halves[1]))) < 0.15 + 9.0 * spread
        and abs(kurtosis - 3.0) < 0.5 + 14.0 * spread
    )
    return math.sqrt(variance) if is_white else 0.0


@dataclass(frozen=True)
class _Shrunk:
    """Coefficients with less noise, how many of them are free, and Stein's unbiased estimate of their error."""

    transform: _Transform
    coefficients: np.ndarray
    freedom: float
    stein: float


def _shrunk(coefficients: np.ndarray, transform: _Transform, sigma: float) -> _Shrunk:
    n, order = coefficients.size, transform.by_roughness
    energy = (np.abs(coefficients.ravel()[order]) / sigma) ** 2
    factors = (energy > STICKS_OUT * math.log(n)).astype(np.float64)
    stein, start = 0.0, 0
    while start < n:
        group = slice(start, min(n, max(start + LEAST_GROUP, int(GROWTH * start))))
        others = factors[group] == 0.0
        size, total = np.count_nonzero(others), float(np.sum(energy[group], where=others))
        factor = max(0.0, 1.0 - (1.0 + PENALTY * math.sqrt(2.0 / size)) * size / total) if total > 0.0 else 0.0
        stein += (1.0 - factor) ** 2 * total + (2.0 * factor - 1.0) * size + (energy[group].size - size)
        factors[group][others] = factor
        start = group.stop
    by_mode = np.empty(n)
    by_mode[order] = factors
    shrunk = coefficients * by_mode.reshape(coefficients.shape)
    return _Shrunk(transform, shrunk, float(np.sum(factors)), stein)
