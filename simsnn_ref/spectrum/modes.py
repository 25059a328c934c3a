"""Discrete Fourier transform of a sampled field as real modes, eqs. 1-3 and 8-10, and its power spectrum, eq. 13.

Errata of the paper that are put right here (`docs/conventions.md` tells them with figures):

* Algorithm 1 weights every mode with k_y > 0 by 2/N^2. On the Nyquist row k_y = N/2 (N even) a self-conjugate mode has
  weight 1/N^2, like k = 0.
* On k_y = 0 and on the Nyquist row, k and -k are the same real mode; they are folded into one of weight 2/N^2.
* The DFT's phase belongs to coordinates that start at 0; with x_0 = -1 it becomes theta - k.x_0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.grid import PI, Grid, Period

__all__ = [
    "EnergySpectrum",
    "Modes",
    "count_modes",
    "dominant_frequency",
    "dominant_of",
    "energy_spectrum",
    "fourier_modes",
    "shift_samples",
]


@dataclass(frozen=True)
class Modes:
    """Real Fourier modes sum_j alpha_j cos(k_j.x + theta_j), eq. 10, in coordinates x in [-1, 1)^d.

    Attributes
    ----------
    indices : ndarray of int64, shape (n, d)
        Signed integer wavenumbers m, on the host: they are structure, not data.
    period : d fractions
        Period P_i / 2 along each axis in lengths of the box.
    wavenumbers : Array of float64, shape (n, d)
        Angular wavenumbers k_i = pi m_i / period_i, rounded; pi m on a periodic grid.
    amplitudes : Array of float64, shape (n,)
        alpha >= 0, in the units of the field.
    phases : Array of float64, shape (n,)
        theta - k.x_0, in radians.
    """

    indices: np.ndarray
    period: Period
    wavenumbers: Array
    amplitudes: Array
    phases: Array

    def __len__(self) -> int:
        return int(self.indices.shape[0])

    def largest(self, n: int) -> "Modes":
        """The first `n` modes, or all if there are fewer."""
        n = min(n, len(self))
        return replace(
            self,
            indices=self.indices[:n, :],
            wavenumbers=self.wavenumbers[:n, :],
            amplitudes=self.amplitudes[:n],
            phases=self.phases[:n],
        )


def _half_shape(grid: Grid) -> tuple[int, ...]:
    """Shape of the half spectrum that a real transform stores: the last axis holds m_d = 0 .. N_d // 2."""
    return (*grid.shape[:-1], grid.shape[-1] // 2 + 1)


def _signed(index: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """The DFT's index 0 .. n-1 as a signed wavenumber; n/2 counts as positive."""
    return np.where(index > n // 2, index - n, index)


def _multiplicity(grid: Grid) -> np.ndarray:
    """How many of the N^d complex modes each stored one stands for: 2 where its conjugate is not stored, else 1."""
    n = grid.shape[-1]
    last = np.full(n // 2 + 1, 2.0)
    last[0] = 1.0
    if n % 2 == 0:
        last[-1] = 1.0
    return np.broadcast_to(last, _half_shape(grid))


def _folded_weights(grid: Grid) -> np.ndarray:
    """Weight of each stored mode in the sum of cosines: 2 for a pair {m, -m}, 1 if m = -m (mod N), 0 for the twin.

    Only the planes m_d = 0 and m_d = N_d / 2 hold both members of a pair; the one met first in C order stays.
    """
    weights = _multiplicity(grid).copy()
    leading = grid.shape[:-1]
    flat = np.arange(int(np.prod(leading, dtype=np.int64))).reshape(leading)
    conjugate = flat
    for axis in range(len(leading)):
        conjugate = np.roll(np.flip(conjugate, axis), 1, axis)
    on_plane = np.where(flat == conjugate, 1.0, np.where(flat < conjugate, 2.0, 0.0))
    for column in range(weights.shape[-1]):
        if column == 0 or 2 * column == grid.shape[-1]:
            weights[..., column] = on_plane
    return weights


def count_modes(grid: Grid) -> int:
    """Number of distinct real modes of a grid (`fourier_modes` can return no more).

    One of each pair {m, -m}, and those with m = -m modulo N: 0, and N/2 where N is even, along every axis.
    """
    alone = math.prod(2 if n % 2 == 0 else 1 for n in grid.shape)
    return (grid.size + alone) // 2


def fourier_modes(u: Array, grid: Grid, backend: Backend, n_modes: int | None = None) -> Modes:
    """The `n_modes` largest real Fourier modes of `u`, largest |u~| first; Algorithm 1 with its errata put right.

    The sum of all of them reproduces `u` at every grid point to rounding (eq. 10).

    Parameters
    ----------
    u : Array of float64, shape grid.shape
    grid : Grid
        Non-periodic axes are transformed with period 2N/(N-1), as if the next point repeated the first.
    backend : Backend
    n_modes : int, optional
        All by default. Equal magnitudes keep the order of the transform.

    Raises
    ------
    ConfigError
        If more modes are asked for than exist.
    DataError
        If `u` does not have the grid's shape.
    """
    xp = backend.xp
    if tuple(u.shape) != grid.shape:
        raise DataError(f"u: shape {tuple(u.shape)} does not match the grid's {grid.shape}")
    weights = _folded_weights(grid)
    total = int(np.count_nonzero(weights))
    n_modes = total if n_modes is None else n_modes
    if not 1 <= n_modes <= total:
        raise ConfigError(
            f"n_features = {n_modes}: a grid of {' x '.join(map(str, grid.shape))} points has {total} Fourier modes;"
            f" choose 1 to {total}"
        )
    spectrum = xp.reshape(backend.rfftn(u, tuple(range(grid.ndim))), (-1,)) / grid.size
    weight = backend.asarray(weights.reshape(-1))
    magnitude = xp.where(weight > 0.0, xp.abs(spectrum), -1.0)
    chosen = xp.argsort(-magnitude, stable=True)[:n_modes]
    spectrum, weight = xp.take(spectrum, chosen), xp.take(weight, chosen)
    indices = np.stack(np.unravel_index(backend.to_numpy(chosen), _half_shape(grid)), axis=-1).astype(np.int64)
    indices = _signed(indices, np.asarray(grid.shape))
    phases = xp.atan2(xp.imag(spectrum), xp.real(spectrum)) - backend.asarray(grid.origin_phases(indices))
    return Modes(
        indices=indices,
        period=grid.dft_period,
        wavenumbers=backend.asarray(indices * np.asarray(grid.wavenumber_units)),
        amplitudes=weight * xp.abs(spectrum),
        phases=phases,
    )


def dominant_frequency(u: Array, grid: Grid, backend: Backend) -> float:
    """Dominant frequency f_d of `u` in cycles over the whole box [-1, 1], a length of 2: |k| = pi f_d.

    This is the unit in which kappa = pi f_d / sqrt(Var) gives first-layer wavenumbers kappa w of standard deviation
    |k|. The mean of the field does not count. A field without any variation but the transform's rounding gives 0.
    """
    return dominant_of(fourier_modes(u, grid, backend, min(2, count_modes(grid))), backend)


def dominant_of(modes: Modes, backend: Backend) -> float:
    """`dominant_frequency` of a field from its modes, largest first; two are enough."""
    modes = modes.largest(2)
    amplitudes = backend.to_numpy(modes.amplitudes)
    wavenumbers = np.linalg.norm(backend.to_numpy(modes.wavenumbers), axis=1)
    varying = (wavenumbers > 0.0) & (amplitudes > 8.0 * np.finfo(np.float64).eps * amplitudes[0])
    return float(wavenumbers[varying][0] / np.pi) if np.any(varying) else 0.0


@dataclass(frozen=True)
class EnergySpectrum:
    """Angle-averaged power spectrum E(k) of eq. 13; host arrays.

    Attributes
    ----------
    wavenumber : ndarray of float64, shape (bins,)
        Bin centres, angular wavenumber in the data's own units (integers on [0, 2 pi)).
    energy : ndarray of float64, shape (bins,)
        Sum of |u~|^2 over the bin, u~ the DFT divided by the number of points: E sums to the mean of u^2.
    """

    wavenumber: np.ndarray
    energy: np.ndarray


def energy_spectrum(u: Array, grid: Grid, backend: Backend, bins: int = 200) -> EnergySpectrum:
    """Angle-averaged power spectrum, eq. 13: E(k) = sum of |u~(k')|^2 over k - dk <= |k'| < k + dk.

    The bins have equal width 2 dk and reach from 0 to the largest wavenumber of the grid, which the last one includes.
    u~ is divided by the number of points (the paper's eq. 3 is not), so that Parseval reads sum E = mean(u^2).

    Parameters
    ----------
    u : Array of float64, shape grid.shape
    bins : int
        200 in the paper. Bins narrower than the spacing of the wavenumbers can be empty: E = 0 there.
    """
    spectrum = backend.to_numpy(backend.rfftn(u, tuple(range(grid.ndim)))) / grid.size
    power = np.abs(spectrum) ** 2 * _multiplicity(grid)
    squared = np.zeros(())
    for axis, (n, length) in enumerate(zip(_half_shape(grid), grid.box.lengths, strict=True)):
        index = _signed(np.arange(n), grid.shape[axis])
        k = index * (grid.wavenumber_units[axis] * 2.0 / length)
        squared = np.add.outer(squared, k**2)
    edges = np.linspace(0.0, float(np.sqrt(np.max(squared))), bins + 1)
    energy, _ = np.histogram(np.sqrt(squared).ravel(), bins=edges, weights=power.ravel())
    return EnergySpectrum(wavenumber=0.5 * (edges[:-1] + edges[1:]), energy=energy)


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
    for axis, (n, kept, shift) in enumerate(zip(grid.shape, _half_shape(grid), cells, strict=True)):
        index = _signed(np.arange(kept), n)
        angle = 2.0 * PI.astype(backend.real_dtype) * index * shift / n
        factor = np.cos(angle) + 1j * np.where(2 * index == n, 0.0, np.sin(angle))
        along = tuple(kept if other == axis else 1 for other in axes)
        spectrum = spectrum * backend.asarray(factor.reshape(along))
    return backend.irfftn(spectrum, grid.shape, axes)
