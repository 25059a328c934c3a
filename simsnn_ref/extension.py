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

from simsnn_ref.backend import Backend
from simsnn_ref.grid import PI, Grid, Period
from simsnn_ref.scatter import Scatter
from simsnn_ref.spectrum import Modes

__all__ = ["EXTENSION", "FourierExtension", "count_extension_modes", "extension_modes", "extension_period"]

EXTENSION = Fraction(2)
"""Period along an axis that is not periodic, in lengths of the box."""


def extension_period(where: Grid | Scatter) -> Period:
    """Per axis 1 (periodic) or `EXTENSION`."""
    return tuple(Fraction(1) if periodic else EXTENSION for periodic in where.periodic)


@dataclass(frozen=True)
class _Axis:
    """U diag(s) V^H = exp(i k_m x_n) along one axis, m = -n .. n."""

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray


class FourierExtension:
    """Least squares with the modes |m_i| <= n_i of the extended box.

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
        self.grid = grid
        self._axes = []
        for x, n_i, period in zip(grid.scaled_axes(), n, self.period, strict=True):
            matrix = np.exp(1j * np.pi / float(period) * np.multiply.outer(x, np.arange(-n_i, n_i + 1)))
            u, s, vh = np.linalg.svd(matrix, full_matrices=False)
            self._axes.append(_Axis(u, s, vh.conj().T))

    def coefficients(self, t: np.ndarray, rcond: float) -> np.ndarray:
        """Complex coefficients c, shape (2 n_1 + 1, ...), of the truncated least-squares fit to real samples `t`.

        Singular values of the Kronecker product below `rcond` times the largest are left out.
        """
        c, s = t.astype(np.complex128), np.ones(())
        for axis, part in enumerate(self._axes):
            c = np.moveaxis(np.tensordot(part.u.conj().T, c, axes=(1, axis)), 0, axis)
            s = np.multiply.outer(s, part.s)
        kept = s > rcond * np.max(s)
        c = np.where(kept, c / np.where(kept, s, 1.0), 0.0)
        for axis, part in enumerate(self._axes):
            c = np.moveaxis(np.tensordot(part.v, c, axes=(1, axis)), 0, axis)
        # Real data have c(-m) = conj c(m); what rounding left of the rest goes.
        return 0.5 * (c + np.conj(np.flip(c)))

    def values(self, c: np.ndarray) -> np.ndarray:
        """The sum of the modes on the grid, long double: c's rounding is not to hide the fit's error."""
        total = c.astype(np.clongdouble)
        for axis, (x, n_i, period) in enumerate(
            zip(self.grid.scaled_axes(np.longdouble), self.n, self.period, strict=True)
        ):
            k = PI * np.arange(-n_i, n_i + 1) * period.denominator / period.numerator
            phase = np.multiply.outer(x, k)
            total = np.moveaxis(np.tensordot(np.cos(phase) + 1j * np.sin(phase), total, axes=(1, axis)), 0, axis)
        return np.real(total)

    def modes(self, c: np.ndarray, backend: Backend) -> Modes:
        """The real modes of coefficients `c`, one of each pair, largest amplitude first."""
        n = np.asarray(self.n)
        indices = np.stack(np.meshgrid(*(np.arange(-n_i, n_i + 1) for n_i in self.n), indexing="ij"), axis=-1)
        indices, c = indices.reshape(-1, n.size), c.ravel()
        # C order is symmetric about the middle, m = 0: the second half holds one of each pair.
        half = slice(c.size // 2, None)
        indices, c = indices[half], c[half]
        amplitudes = np.where(np.any(indices != 0, axis=1), 2.0, 1.0) * np.abs(c)
        order = np.argsort(-amplitudes, stable=True)
        order = order[amplitudes[order] > 0.0]
        units = np.asarray([np.pi / float(period) for period in self.period])
        return Modes(
            indices=indices[order],
            period=self.period,
            wavenumbers=backend.asarray(indices[order] * units),
            amplitudes=backend.asarray(amplitudes[order]),
            phases=backend.asarray(np.angle(c[order])),
        )


RCONDS = (1e-14, 1e-16, 1e-18, 1e-20)
"""Truncations tried. The Kronecker product's singular values are accurate far below eps times the largest."""

WORTH_IT = 0.5
"""More modes, or smaller singular values, are taken if they lower the residue to this share."""


def extension_modes(t: np.ndarray, grid: Grid, backend: Backend) -> tuple[Modes, float]:
    """Modes of the extended box for samples `t`: the fewest wavenumbers and the mildest truncation that do.

    Also the RMS of what they leave of the samples.

    The largest wavenumber along the axes that are not periodic grows by a fifth at a time, up to half of what the
    samples resolve; each is tried with every truncation. Of the fits whose residue at the samples is within `WORTH_IT`
    the lowest, the one with the fewest modes is taken, and of these the one with the largest singular values: both keep
    the sum small between the samples.
    """
    tried = []
    for n in _levels(grid):
        fit = FourierExtension(grid, n)
        for rcond in RCONDS:
            c = fit.coefficients(t, rcond)
            tried.append((float(np.sqrt(np.mean((t - fit.values(c)) ** 2))), fit, c))
    lowest = min(residue for residue, _, _ in tried)
    residue, fit, c = next(entry for entry in tried if WORTH_IT * entry[0] <= lowest)
    return fit.modes(c, backend), residue


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
