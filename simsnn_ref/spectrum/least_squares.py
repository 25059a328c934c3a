"""Fourier modes of values at scattered points, by regularised least squares.

The candidates are the modes of the extended box (`fourier_extension`) with the smallest |k|, k in units of the box: a
cosine and a sine each, the columns of A. One factorization

    [A; lambda sqrt(n) I] = [Q; .] R

of the columns in the order of |k| serves every right-hand side and every cutoff: the coefficients of the first m
columns solve R_m c = Q_m^T t. So does the error of a prediction at each point from all the others,

    (t - Q_m Q_m^T t)_i / (1 - h_i),    h_i = sum of the squares of row i of Q_m,

whose RMS over the points picks the cutoff (PRESS; Allen, Technometrics 16, 1974): too few modes cannot follow the
field, too many follow the noise or oscillate between the points, and neither predicts.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr, solve_triangular

from simsnn_ref.backend import EPS, Backend, NumpyBackend, rms
from simsnn_ref.errors import ConfigError
from simsnn_ref.spectrum.energy import EnergySpectrum
from simsnn_ref.spectrum.fourier_extension import extension_period
from simsnn_ref.spectrum.grid import wavenumber_units
from simsnn_ref.spectrum.modes import Modes
from simsnn_ref.spectrum.scattered_points import Scatter

__all__ = ["ScatteredFit", "ScatteredModes", "count_scattered_modes"]

DAMPING = 1e-14
"""Lambda: smaller singular values, relative to sqrt(n), are rounding, and make the sum large between the points."""

POINTS_PER_COEFFICIENT = 2
"""Of the largest candidate set; with fewer points per coefficient a sum can follow anything."""

FIRST_MODES = 128
GROWTH = 2
"""For the first field, the candidate set grows by this factor while its predictions get better."""

MAX_ELEMENTS = 2**26
MAX_WORK = 2**38
"""Of A, 512 MiB, and n m^2 of its factorization, about a minute of one core."""

CUTOFFS = 48
"""Tried, in equal ratios."""

WORSE = 10.0
"""Times the best prediction: beyond, more candidates do not help."""

SETTLED, PREDICTED = 0.5, 1e-3
"""Nor do they where twice as many do not halve the error, once the field is predicted at all."""

ROUNDING = 8.0 * EPS
LEAST_FREEDOM = 1e-10
"""Of 1 - h_i, which rounding leaves at points that a fit goes through."""

BINS = 200


def count_scattered_modes(scatter: Scatter) -> int:
    """The most modes that the least squares take: what the points determine, memory holds and a minute allows."""
    n = scatter.size
    return (max(1, min(n // POINTS_PER_COEFFICIENT, MAX_ELEMENTS // n, math.isqrt(MAX_WORK // n))) + 1) // 2


@dataclass(frozen=True)
class ScatteredFit:
    """The modes that predict best.

    Attributes
    ----------
    modes : Modes
        Largest amplitude first.
    fit_residual : float
        RMS of the values less their sum.
    predicted : float
        RMS error of the prediction of each value from the others.
    """

    modes: Modes
    fit_residual: float
    predicted: float


class ScatteredModes:
    """Least squares at some points; the factorization is kept from one field to the next.

    Parameters
    ----------
    scatter : Scatter
    """

    def __init__(self, scatter: Scatter) -> None:
        self.scatter = scatter
        self.period = extension_period(scatter)
        self._points = np.asarray(scatter.box.to_scaled(scatter.points.astype(np.longdouble)), dtype=np.float64)
        self._units = np.asarray(wavenumber_units(self.period))
        # What later stages leave over is what these candidates cannot predict; more of them rarely can.
        self._is_chosen = False
        self._factorize(min(FIRST_MODES, self.count()))

    def count(self) -> int:
        """The most modes that a fit can have."""
        return count_scattered_modes(self.scatter)

    def require(self, n_modes: int) -> None:
        """Raise ConfigError unless there are as many candidates."""
        if not 1 <= n_modes <= self.count():
            raise ConfigError(
                f"n_features = {n_modes}: {self.scatter.size} training points determine up to {self.count()} modes;"
                f" choose 1 to {self.count()}"
            )

    def _candidates(self, n_modes: int) -> np.ndarray:
        """Indices of the `n_modes` smallest |k|, one of each pair {k, -k}, shape (n_modes, d); k = 0 is the first."""
        per_axis = np.asarray([float(period) for period in self.period])
        d, radius = per_axis.size, 1.0
        while True:
            axes = [np.arange(-int(radius * p), int(radius * p) + 1) for p in per_axis]
            indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
            # C order is symmetric about the middle, m = 0: the second half holds one of each pair.
            indices = indices[indices.shape[0] // 2 :]
            squared = np.sum((indices / per_axis) ** 2, axis=1)
            if np.count_nonzero(squared <= radius**2) >= n_modes:
                return indices[np.argsort(squared, kind="stable")[:n_modes]].astype(np.int64)
            radius *= 1.1

    def _factorize(self, n_modes: int) -> None:
        """Q, R of the columns 1, cos k_1.x, sin k_1.x, ..., where they may be cut, and the leverages there."""
        self._indices = self._candidates(n_modes)
        phase = self._points @ (self._indices * self._units).T
        n, columns = self.scatter.size, 2 * self._indices.shape[0] - 1
        matrix = np.zeros((n + columns, columns))
        matrix[:n, 0] = 1.0
        matrix[:n, 1::2], matrix[:n, 2::2] = np.cos(phase[:, 1:]), np.sin(phase[:, 1:])
        matrix[n:, :][np.diag_indices(columns)] = DAMPING * math.sqrt(n)
        q, self._r = qr(matrix, mode="economic", overwrite_a=True, check_finite=False)
        self._q = q[:n]
        # Cutting between modes of equal |k| would prefer a direction.
        size = np.linalg.norm(self._indices / np.asarray([float(period) for period in self.period]), axis=1)
        ends = 2 * np.append(np.flatnonzero(np.diff(size) > 1e-9), size.size - 1) + 1
        wanted = np.geomspace(1, columns, CUTOFFS)
        self._cutoffs = np.unique(ends[np.minimum(np.searchsorted(ends, wanted), ends.size - 1)])
        starts = [0, *self._cutoffs[:-1]]
        pieces = [np.sum(self._q[:, a:b] ** 2, axis=1) for a, b in zip(starts, self._cutoffs, strict=True)]
        self._leverages = np.cumsum(pieces, axis=0)

    @property
    def ndim(self) -> int:
        return self.scatter.ndim

    def fit(self, t: np.ndarray, backend: Backend, n_modes: int = 1) -> ScatteredFit:
        """The fit of `t`, float64 of shape (n,), that predicts best of those with at least `n_modes` modes.

        Raises
        ------
        ConfigError
            If there are not as many candidates.
        """
        self.require(n_modes)
        scale = rms(np, t) or 1.0
        t = t / scale
        while self._indices.shape[0] < n_modes:
            self._grow()
        before = math.inf
        while True:
            projections = self._q.T @ t
            errors = self._predictions(t, projections)
            best = int(np.argmin(np.where(self._cutoffs >= 2 * n_modes - 1, errors, np.inf)))
            has_settled = before * SETTLED < errors[best] < PREDICTED
            done = errors[best] <= ROUNDING or errors[-1] > WORSE * errors[best] or has_settled
            if self._is_chosen or done or self._indices.shape[0] == self.count():
                break
            before = errors[best]
            self._grow()
        self._is_chosen = True
        cutoff = int(self._cutoffs[best])
        c = scale * solve_triangular(self._r[:cutoff, :cutoff], projections[:cutoff], check_finite=False)
        host = self._modes(c, NumpyBackend())
        total = host.sum_at(self._points, NumpyBackend())
        return ScatteredFit(self._modes(c, backend), rms(np, scale * t - total), scale * errors[best])

    def _grow(self) -> None:
        self._factorize(min(GROWTH * self._indices.shape[0], self.count()))

    def _predictions(self, t: np.ndarray, projections: np.ndarray) -> list[float]:
        """RMS error of the prediction of each value from the others, for every cutoff."""
        errors, start, left = [], 0, t
        for stop, leverage in zip(self._cutoffs, self._leverages, strict=True):
            left = left - self._q[:, start:stop] @ projections[start:stop]
            start = stop
            errors.append(rms(np, left / np.maximum(1.0 - leverage, LEAST_FREEDOM)))
        return errors

    def _modes(self, c: np.ndarray, backend: Backend) -> Modes:
        """From a cos k.x + b sin k.x to alpha cos(k.x + theta), largest alpha first."""
        cosines, sines = np.append(c[0], c[1::2]), np.append(0.0, c[2::2])
        amplitudes = np.hypot(cosines, sines)
        order = np.argsort(-amplitudes, stable=True)
        indices = self._indices[order]
        return Modes(
            indices=indices,
            period=self.period,
            wavenumbers=backend.asarray(indices * self._units),
            amplitudes=backend.asarray(amplitudes[order]),
            phases=backend.asarray(np.arctan2(-sines, cosines)[order]),
        )

    def energy_spectrum(self, t: np.ndarray) -> EnergySpectrum:
        """E(k), eq. 13, of the modes that `fit` finds, in `BINS` bins that reach to the last candidate there can be.

        It sums to the mean of t^2 where the box is periodic; elsewhere to that of the sum over the extended box.
        """
        modes = self.fit(t, NumpyBackend()).modes
        unit = self._units * 2.0 / np.asarray(self.scatter.box.lengths)
        largest = float(np.max(np.linalg.norm(self._candidates(self.count()) * unit, axis=1)))
        edges = np.linspace(0.0, largest or 1.0, BINS + 1)
        k = np.linalg.norm(modes.indices * unit, axis=1)
        energy = modes.amplitudes**2 * np.where(k > 0.0, 0.5, 1.0)
        found, _ = np.histogram(np.minimum(k, edges[-1]), bins=edges, weights=energy)
        return EnergySpectrum(wavenumber=0.5 * (edges[:-1] + edges[1:]), energy=found)
