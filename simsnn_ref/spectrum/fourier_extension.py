"""Fourier extension: modes of a box longer than the data's, for data that are not periodic.

On a box `EXTENSION` times as long, a smooth function is a rapidly converging sum of cosines although it is not
periodic. The coefficients are not unique; regularised least squares (truncated singular values) picks small ones
(Huybrechs, SIAM J. Numer. Anal. 47, 2010; Adcock, Huybrechs & Martin-Vaquero, Found. Comput. Math. 14, 2014). On a
tensor grid the matrix is a Kronecker product of one small matrix per axis, and so is its singular value decomposition.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from simsnn_ref.backend import EPS, Backend
from simsnn_ref.spectrum.grid import PI, Grid, Period, wavenumber_units
from simsnn_ref.spectrum.modes import Modes
from simsnn_ref.spectrum.scattered_points import Scatter

__all__ = ["EXTENSION", "FourierExtension", "count_extension_modes", "extension_modes", "extension_period"]

EXTENSION = Fraction(2)
"""Period along an axis that is not periodic, in lengths of the box."""


def extension_period(where: Grid | Scatter) -> Period:
    """Per axis 1 (periodic) or `EXTENSION`."""
    return tuple(Fraction(1) if periodic else EXTENSION for periodic in where.periodic)


@dataclass(frozen=True)
class _Axis:
    """A = U diag(s) V^T along one axis; A's columns: 1, then sqrt(2) cos(k_m x), then sqrt(2) sin(k_m x), m = 1 .. n.

    Attributes
    ----------
    wide : ndarray of long double
        A.
    """

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    wide: np.ndarray


def _basis(x: np.ndarray, n: int, period: Fraction) -> np.ndarray:
    """A, in long double."""
    phase = np.multiply.outer(x, PI * np.arange(1, n + 1) * period.denominator / period.numerator)
    ones = np.ones((len(x), 1), dtype=np.longdouble)
    return np.concatenate([ones, np.sqrt(2 * ones[0]) * np.cos(phase), np.sqrt(2 * ones[0]) * np.sin(phase)], axis=1)


def _axis(x: np.ndarray, n: int, period: Fraction) -> _Axis:
    """Decompose A for the points `x`, long double, of one axis.

    On a periodic axis its columns are orthogonal. On another one the points are symmetric about 0: cosines are even and
    sines odd, and either half of A's decomposition is that of a matrix with half the rows.
    """
    wide = _basis(x, n, period)
    a = wide.astype(np.float64)
    if period == 1:
        norm = math.sqrt(len(x))
        return _Axis(a / norm, np.full(2 * n + 1, norm), np.eye(2 * n + 1), wide)
    u, s, v = np.zeros((len(x), 2 * n + 1)), np.zeros(2 * n + 1), np.zeros((2 * n + 1, 2 * n + 1))
    halves = ((slice(0, n + 1), len(x) // 2, 1.0), (slice(n + 1, None), (len(x) + 1) // 2, -1.0))
    for columns, first, parity in halves:
        # A row and its mirror image make one, sqrt(2) times as long; that at 0 is its own, and sines vanish there.
        weights = np.where(x[first:] == 0.0, 1.0, math.sqrt(2.0))[:, np.newaxis]
        half, s[columns], vt = np.linalg.svd(weights * a[first:, columns], full_matrices=False)
        u[first:, columns] = half / weights
        u[: len(x) - first, columns] = parity * (half / weights)[::-1]
        v[columns, columns] = vt.T
    return _Axis(u, s, v, wide)


class FourierExtension:
    """Least squares with the modes |m_i| <= n_i of the extended box, as products of cosines and sines.

    Parameters
    ----------
    grid : Grid
        Where the data are; periodic axes keep their period.
    n : sequence of d ints
        Largest wavenumber along each axis.
    """

    def __init__(self, grid: Grid, n: tuple[int, ...]) -> None:
        self.n = n
        self.period = extension_period(grid)
        axes = zip(grid.scaled_axes(np.longdouble), n, self.period, strict=True)
        self._axes = [_axis(x, n_i, period) for x, n_i, period in axes]

    def coefficients(self, t: np.ndarray, rcond: float) -> np.ndarray:
        """Coefficients a, float64 of shape (2 n_1 + 1, ...), of the truncated least-squares fit to samples `t`.

        Along each axis they belong to 1, cosines and sines, in this order. Singular values of the Kronecker product
        below `rcond` times the largest are left out.
        """
        a, s = t, np.ones(())
        for axis, part in enumerate(self._axes):
            a = _along(axis, part.u.T, a)
            s = np.multiply.outer(s, part.s)
        kept = s > rcond * np.max(s)
        a = np.where(kept, a / np.where(kept, s, 1.0), 0.0)
        for axis, part in enumerate(self._axes):
            a = _along(axis, part.v, a)
        return a

    def values(self, a: np.ndarray) -> np.ndarray:
        """The sum of the modes on the grid, long double: a's rounding is not to hide the fit's error."""
        total = a.astype(np.longdouble)
        for axis, part in enumerate(self._axes):
            total = _along(axis, part.wide, total)
        return total

    def modes(self, a: np.ndarray, backend: Backend) -> Modes:
        """The real modes of coefficients `a`, one of each pair of wavenumbers, largest amplitude first.

        sqrt(2) (a cos kx + b sin kx) = c exp(ikx) + conj(c) exp(-ikx) with c = (a - ib) / sqrt(2), axis by axis.
        """
        n = np.asarray(self.n)
        c = a.astype(np.complex128)
        for axis, n_i in enumerate(self.n):
            first, cosines, sines = np.split(np.moveaxis(c, axis, 0), [1, n_i + 1])
            plus, minus = (cosines - 1j * sines) / math.sqrt(2.0), (cosines + 1j * sines) / math.sqrt(2.0)
            c = np.moveaxis(np.concatenate([minus[::-1], first, plus]), 0, axis)
        indices = np.stack(np.meshgrid(*(np.arange(-n_i, n_i + 1) for n_i in self.n), indexing="ij"), axis=-1)
        indices, c = indices.reshape(-1, n.size), c.ravel()
        # C order is symmetric about the middle, m = 0: the second half holds one of each pair.
        half = slice(c.size // 2, None)
        indices, c = indices[half], c[half]
        amplitudes = np.where(np.any(indices != 0, axis=1), 2.0, 1.0) * np.abs(c)
        order = np.argsort(-amplitudes, stable=True)
        order = order[amplitudes[order] > 0.0]
        return Modes(
            indices=indices[order],
            period=self.period,
            wavenumbers=backend.asarray(indices[order] * np.asarray(wavenumber_units(self.period))),
            amplitudes=backend.asarray(amplitudes[order]),
            phases=backend.asarray(np.angle(c[order])),
        )


def _along(axis: int, matrix: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The product with a matrix along one axis."""
    return np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis)


RCONDS = (1e-14, 1e-16, 1e-18, 1e-20)
"""Truncations tried. The Kronecker product's singular values are accurate far below eps times the largest."""

MILDER, MILDEST = 100.0, 1e-2
"""Factor from one truncation to the next where the first of them leaves coefficients that are too large."""

WORTH_IT = 0.5
"""More modes, or smaller singular values, are taken if they lower the residue to this share."""


ROUNDING = 64.0 * EPS
"""Residues below are rounding of the coefficients, up and down with them."""


def extension_modes(
    t: np.ndarray, grid: Grid, backend: Backend, largest: float = math.inf, enough: float = 0.0
) -> tuple[Modes, float]:
    """Modes of the extended box for samples `t` of RMS 1: the fewest wavenumbers and the mildest truncation that do.

    The largest wavenumber along the axes that are not periodic is at most half of what the samples resolve; each is
    tried with every truncation. The wavenumbers are the fewest whose best residue at the samples is within `WORTH_IT`
    of that of all, found by bisection since more of them leave less, and the truncation is the mildest within
    `WORTH_IT` of the best: both keep the sum small between the samples.

    Parameters
    ----------
    largest : float, optional
        Sum of the sizes of the coefficients, relative to the RMS of the field, beyond which no smaller singular value
        is taken. That of smooth fields is some hundred; noise makes it grow without end.
    enough : float, optional
        Residues below are as good as each other, as those below `ROUNDING` are.

    Returns
    -------
    modes : Modes
        Largest amplitude first.
    fit_residual : float
        RMS of the samples less the sum of the modes.
    """
    levels, enough = _levels(grid), max(enough, ROUNDING)
    low, high = 0, len(levels) - 1
    best = _fits(t, grid, levels[high], largest)
    lowest = max(best[0].residue, enough)
    while low < high:
        middle = (low + high) // 2
        fits = _fits(t, grid, levels[middle], largest)
        lowest = max(min(lowest, fits[0].residue), enough)
        if WORTH_IT * fits[0].residue <= lowest:
            best, high = fits, middle
        else:
            low = middle + 1
    chosen = max((fit for fit in best if WORTH_IT * fit.residue <= lowest), key=lambda fit: fit.rcond)
    return chosen.extension.modes(chosen.coefficients, backend), chosen.residue


@dataclass(frozen=True)
class _Fit:
    extension: FourierExtension
    coefficients: np.ndarray
    rcond: float
    residue: float


def _fits(t: np.ndarray, grid: Grid, n: tuple[int, ...], largest: float) -> list[_Fit]:
    """The fits with each truncation, the lowest RMS of what is left first."""
    extension = FourierExtension(grid, n)
    fits: list[_Fit] = []
    rconds: tuple[float, ...] = RCONDS
    a = extension.coefficients(t, rconds[0])
    while np.sum(np.abs(a)) > largest and rconds[0] < MILDEST:
        rconds = (rconds[0] * MILDER,)
        a = extension.coefficients(t, rconds[0])
    for rcond in rconds:
        if fits:
            a = extension.coefficients(t, rcond)
            if np.sum(np.abs(a)) > largest:
                break
        fits.append(_Fit(extension, a, rcond, float(np.sqrt(np.mean((t - extension.values(a)) ** 2)))))
    return sorted(fits, key=lambda fit: fit.residue)


def count_extension_modes(grid: Grid) -> int:
    """The most modes that `extension_modes` can return."""
    return (math.prod(2 * n + 1 for n in _levels(grid)[-1]) + 1) // 2


def _levels(grid: Grid) -> list[tuple[int, ...]]:
    """Largest wavenumbers to try, per axis."""
    axes = list(zip(grid.shape, grid.periodic, strict=True))
    highest = max(size // 4 for size, periodic in axes if not periodic)
    levels, level = [], 2
    while level < highest:
        levels.append(level)
        level = max(level + 1, level * 6 // 5)
    return [
        tuple((size - 1) // 2 if periodic else max(1, min(level, size // 4)) for size, periodic in axes)
        for level in [*levels, max(1, highest)]
    ]
