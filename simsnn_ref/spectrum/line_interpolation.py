"""Interpolation along one axis that does not repeat, by the method that best predicts samples left out.

Splines and Floater-Hormann rational functions of several degrees (the piecewise and the global polynomial-like methods
of SciPy), AAA rational approximation of a single line, and a least-squares Fourier extension, which is best for waves.
Which one suits a field is not known before; that a sample is predicted from the others is.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from scipy.interpolate import AAA, BSpline, FloaterHormannInterpolator, make_interp_spline
from scipy.linalg import svd

from simsnn_ref.backend import EPS, binary_scale, rms

__all__ = [
    "Choice",
    "Line",
    "choose_line_method",
    "from_lines",
    "interpolate_lines",
    "lines_along",
    "periodic_prediction_error",
]

RATIONAL = (3, 5, 8, 12)
"""Blending degrees of the rational functions."""

CALM = "spline of degree 3"
"""The method of lowest degree."""

ALL_LEFT_OUT = 65
"""Up to so many samples each is left out by itself; of more, `FOLDS` sets of samples far from each other are."""

FOLDS = 16

MOST_LINES = 64
"""Lines, evenly spread over the other axes, by which a method is chosen."""

AAA_SAMPLES = 1025
"""Up to which AAA is tried, the work of which grows with the samples times the square of its support points."""

SPURIOUS = 0.1
"""Distance from the axis, in spacings, of a pole that no sample tells of."""

WAVES = 2
"""Samples for each coefficient of the Fourier extension."""

TRUNCATION = 1e-14
"""Of its singular values, relative to the largest."""

KNOTS_ON_KINKS = 0.01
"""Ratio of the prediction from every second sample to that from all but one below which the first one counts: a spline
is exact on a kink that stays a knot and wrong where the sample on it is left out."""

BETWEEN, AT_ENDS = 1.0 / 6.0, 0.02
"""Error between the samples over that of the prediction of a sample, inside and of the one at an end. Half way between
samples h apart a polynomial of degree k through the nearest is nearer than at a sample that is left out, by a factor
of 3 (k = 1) to 50 (k = 9); in the first interval it is nearer than at an end that is left out, by a factor of
(k + 1)! / prod_j |1/2 - j|, 25 (k = 3) to 100 (k = 9)."""

TIED = 16.0 * EPS
"""Errors below, relative to the largest value, are rounding: the first method of the list is taken, the calmest."""


@dataclass(frozen=True)
class Choice:
    """A method and what it was chosen by.

    Attributes
    ----------
    name : str
        In words.
    error : float
        RMS error of the prediction of samples that were left out.
    between : float
        RMS error between the samples that this lets expect.
    """

    name: str
    error: float
    between: float


def lines_along(u: np.ndarray, axis: int) -> np.ndarray:
    """A field as lines along one of its axes, shape (n, lines)."""
    return np.moveaxis(u, axis, 0).reshape(u.shape[axis], -1)


def from_lines(lines: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `lines_along` for a field of this shape; lines may have another number of entries than its axis."""
    return np.moveaxis(lines.reshape(-1, *shape[:axis], *shape[axis + 1 :]), 0, axis)


@dataclass(frozen=True)
class Line:
    """An interpolant as a sum of functions of the position along the axis.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (k, lines)
    basis : callable
        From positions (m,) to the functions there, (m, k).
    """

    coefficients: np.ndarray
    basis: Callable[[np.ndarray], Any]

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        values: np.ndarray = self.basis(positions) @ self.coefficients
        return values

    def plus(self, other: "Line") -> "Line":
        """The sum of two."""
        return Line(
            np.concatenate([self.coefficients, other.coefficients]),
            lambda positions: sparse.hstack([self.basis(positions), other.basis(positions)], format="csr"),
        )


def _spline(x: np.ndarray, u: np.ndarray, degree: int) -> Line:
    spline = make_interp_spline(x, u, degree)
    return Line(spline.c, lambda positions: BSpline.design_matrix(positions, spline.t, degree, extrapolate=True))


def _rational(x: np.ndarray, u: np.ndarray, degree: int) -> Line:
    # `weights` is documented, but not in the stubs.
    made: Any = FloaterHormannInterpolator(x, np.zeros(len(x)), d=degree)
    return Line(u, partial(_barycentric, x, np.ravel(made.weights)))


def _barycentric(x: np.ndarray, weights: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """What each of the samples at x is multiplied by at some positions: w_j / (p - x_j) over the sum of all."""
    distance = np.subtract.outer(positions, x)
    is_sample = distance == 0.0
    distance[is_sample] = 1.0
    terms = weights / distance
    hit = np.any(is_sample, axis=1)
    terms[hit] = is_sample[hit]
    shares: np.ndarray = terms / np.sum(terms, axis=1, keepdims=True)
    return shares


def _fitted_aaa(x: np.ndarray, u: np.ndarray) -> AAA:
    # Where it does not converge, its predictions of samples left out tell.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return AAA(x, u[:, 0])


def _aaa(x: np.ndarray, u: np.ndarray) -> Line:
    return Line(np.ones((1, 1)), partial(_values_of, _fitted_aaa(x, u)))


def _has_pole_between(x: np.ndarray, u: np.ndarray) -> bool:
    """Whether AAA has a pole next to the axis, as it has of noise."""
    with np.errstate(all="ignore"):
        poles = np.asarray(_fitted_aaa(x, u).poles())
    between = (poles.real > x[0]) & (poles.real < x[-1])
    return bool(np.any(between & (np.abs(poles.imag) < SPURIOUS * np.min(np.diff(x)))))


def _values_of(function: AAA, positions: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(function(positions))[:, np.newaxis]


def _extension(x: np.ndarray, u: np.ndarray) -> Line:
    """Least squares with the cosines and sines of a box twice as long, A = U diag(s) V^T at the samples.

    U^T u is no larger than u, V^T times the cosines and sines over s no larger than some number. The coefficients of
    cosines and sines, V diag(1/s) U^T u, are rounding over the smallest s, and along a second axis over its square.
    """
    n = max(1, len(x) // (2 * WAVES))
    start, unit = x[0], np.pi / (x[-1] - x[0])

    def basis(positions: np.ndarray) -> np.ndarray:
        phase = np.multiply.outer(positions - start, unit * np.arange(n + 1))
        return np.concatenate([np.cos(phase), np.sin(phase[:, 1:])], axis=1)

    vectors, s, transposed = svd(basis(x), full_matrices=False, check_finite=False)
    kept = s > TRUNCATION * s[0]
    functions = transposed[kept].T / s[kept]
    return Line(vectors[:, kept].T @ u, lambda positions: basis(positions) @ functions)


def _methods(n: int, n_lines: int) -> dict[str, Callable[[np.ndarray, np.ndarray], Line]]:
    """What can interpolate `n` samples, the calmest first."""
    methods: dict[str, Callable[[np.ndarray, np.ndarray], Line]] = {}
    for degree in (5, 7, 9, 3):
        if n > degree:
            methods[f"spline of degree {degree}"] = partial(_spline, degree=degree)
    if n_lines == 1 and n <= AAA_SAMPLES:
        methods["AAA"] = _aaa
    methods["Fourier extension"] = _extension
    for degree in RATIONAL:
        if n > degree:
            methods[f"Floater-Hormann, degree {degree}"] = partial(_rational, degree=degree)
    return methods


def interpolate_lines(name: str, x: np.ndarray, u: np.ndarray) -> Line:
    """What goes through all samples by a method of `choose_line_method`.

    Methods that only come near the samples are corrected by a cubic spline of what they leave.

    Parameters
    ----------
    name : str
    x : ndarray of float64, shape (n,)
        Positions, ascending.
    u : ndarray of float64, shape (n, lines)
    """
    scale = binary_scale(u)
    line = _methods(len(x), u.shape[1])[name](x, u / scale)
    left = u / scale - line(x)
    if np.any(left):
        line = line.plus(_spline(x, left, 3))
    return Line(scale * line.coefficients, line.basis)


def choose_line_method(x: np.ndarray, u: np.ndarray, *, linear: bool = False) -> Choice:
    """The method that predicts best the samples that it is not given.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Positions, ascending.
    u : ndarray of float64, shape (n, lines)
        Samples on several lines; one method is chosen for all.
    linear : bool, optional
        Leave out AAA, the one method that is not linear in the samples.

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 17)
    >>> choose_line_method(x, 1.0 / (1.0 + 25.0 * x[:, np.newaxis] ** 2)).name
    'AAA'
    """
    u = u[:, :: max(1, u.shape[1] // MOST_LINES)]
    scale = binary_scale(u)
    u = u / scale
    tied = TIED * float(np.max(np.abs(u)))
    best, least = "", np.inf
    for name in _methods(len(x) - 2, u.shape[1]):
        if least <= tied:
            break
        if linear and name == "AAA":
            continue
        error = _left_out_error(name, x, u)
        if error < least or not best:
            best, least = name, error
    # Higher degrees carry noise far beyond the last sample; the cubic tells what there is of it.
    at_ends = [
        min(_rms(_prediction_error(name, x, u, np.asarray([end]))) for name in (best, CALM)) for end in (0, len(x) - 1)
    ]
    share = math.sqrt(sum(error**2 for error in at_ends) / len(x))
    return Choice(best, scale * least, scale * math.hypot(BETWEEN * least, AT_ENDS * share))


def _left_out_error(name: str, x: np.ndarray, u: np.ndarray) -> float:
    """RMS error of a prediction of the samples but those at the ends; infinite where a method has none."""
    everywhere = np.arange(len(x))
    if not np.all(np.isfinite(_error(name, x, u, everywhere, everywhere))):
        return np.inf
    if name == "AAA" and _has_pole_between(x, u):
        return np.inf
    error = _rms(np.concatenate([_prediction_error(name, x, u, out) for out in _folds(len(x))]))
    every_second = _rms(_prediction_error(name, x, u, np.arange(1, len(x) - 1, 2)))
    return every_second if every_second < KNOTS_ON_KINKS * error else error


def _rms(error: np.ndarray) -> float:
    """Infinite where a method has no prediction."""
    return rms(np, error) if np.all(np.isfinite(error)) else np.inf


def _folds(n: int) -> Iterator[np.ndarray]:
    """Sets of samples to leave out at a time; the ends stay, beyond which nothing is interpolated."""
    step = n if n <= ALL_LEFT_OUT else FOLDS
    for first in range(1, min(step, n - 2) + 1):
        yield np.arange(first, n - 1, step)


def _prediction_error(name: str, x: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Errors at samples that are left out, of what the others make."""
    return _error(name, x, u, np.delete(np.arange(len(x)), out), out)


def _error(name: str, x: np.ndarray, u: np.ndarray, kept: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Errors at the samples `asked` of what those in `kept` make; infinite where a method makes nothing of them."""
    methods = _methods(len(kept), u.shape[1])
    if name not in methods:
        return np.full((len(asked), u.shape[1]), np.inf)
    try:
        error: np.ndarray = methods[name](x[kept], u[kept])(x[asked]) - u[asked]
    except (ValueError, np.linalg.LinAlgError):
        return np.full((len(asked), u.shape[1]), np.inf)
    return error


def periodic_prediction_error(u: np.ndarray) -> float:
    """RMS error of the prediction of each sample from the others if they repeat after the last one.

    The truncated Fourier series of eq. 10 with the wavenumbers up to m has 2m + 1 coefficients for n samples, and the
    leverage (2m + 1) / n at each of them. So its error at a sample that it was not given is what it leaves there,
    over 1 - (2m + 1) / n (Allen, Technometrics 16, 1974); m is the one that predicts best.

    Parameters
    ----------
    u : ndarray of float64, shape (n, lines)
    """
    n = len(u)
    energy = np.mean(np.abs(np.fft.rfft(u, axis=0) / n) ** 2, axis=1)
    energy[1 : (n + 1) // 2] *= 2.0
    left = np.cumsum(energy[::-1])[::-1]
    m = np.arange((n + 1) // 2)
    beyond = np.append(left[1:], 0.0)[: len(m)]
    freedom = 1.0 - (2.0 * m + 1.0) / n
    usable = freedom > 0.0
    return float(np.min(np.sqrt(beyond[usable]) / freedom[usable]))
