"""Discrete Fourier transform of a sampled field as real modes, eqs. 1-3 and 8-10, and its power spectrum, eq. 13.

Errata of the paper that are put right here (`docs/conventions.md` tells them with figures):

* Algorithm 1 weights every mode with k_y > 0 by 2/N^2. On the Nyquist row k_y = N/2 (N even) a self-conjugate mode has
  weight 1/N^2, like k = 0.
* On k_y = 0 and on the Nyquist row, k and -k are the same real mode; they are folded into one of weight 2/N^2.
* The DFT's phase belongs to coordinates that start at 0; with x_0 = -1 it becomes theta - k.x_0.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from simsnn_ref.backend import EPS, Array, Backend
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.spectrum.grid import Grid, Period

__all__ = [
    "Modes",
    "count_modes",
    "dominant_frequency",
    "dominant_of",
    "fourier_modes",
    "half_shape",
    "multiplicity",
    "require_modes",
    "signed_index",
]

SUM_ELEMENTS = 2**20
"""Cosines held at a time by `Modes.sum_at`: 8 MiB for each temporary."""


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

    def __repr__(self) -> str:
        return f"Modes({len(self)} modes of period {', '.join(map(str, self.period))} times the box)"

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

    def sum_at(self, points: Array, backend: Backend) -> Array:
        """Eq. 10 at `points` (n, d) in [-1, 1]^d: sum_j alpha_j cos(k_j.x + theta_j), shape (n,)."""
        xp = backend.xp
        step = max(1, SUM_ELEMENTS // max(1, len(self)))
        blocks = [points[i : i + step, :] for i in range(0, points.shape[0], step)]
        return xp.concat(
            [self.amplitudes @ xp.cos(self.wavenumbers @ block.T + self.phases[:, None]) for block in blocks]
        )


def half_shape(grid: Grid) -> tuple[int, ...]:
    """Shape of the half spectrum that a real transform stores: the last axis holds m_d = 0 .. N_d // 2."""
    return (*grid.shape[:-1], grid.shape[-1] // 2 + 1)


def signed_index(index: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """The DFT's index 0 .. n-1 as a signed wavenumber; n/2 counts as positive."""
    return np.where(index > n // 2, index - n, index)


def multiplicity(grid: Grid) -> np.ndarray:
    """How many of the N^d complex modes each stored one stands for: 2 where its conjugate is not stored, else 1."""
    n = grid.shape[-1]
    last = np.full(n // 2 + 1, 2.0)
    last[0] = 1.0
    if n % 2 == 0:
        last[-1] = 1.0
    return np.broadcast_to(last, half_shape(grid))


def _folded_weights(grid: Grid) -> np.ndarray:
    """Weight of each stored mode in the sum of cosines: 2 for a pair {m, -m}, 1 if m = -m (mod N), 0 for the twin.

    Only the planes m_d = 0 and m_d = N_d / 2 hold both members of a pair; the one met first in C order stays.
    """
    weights = multiplicity(grid).copy()
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


def require_modes(grid: Grid, n_modes: int, total: int | None = None) -> None:
    """Raise ConfigError unless a grid has so many modes: those of its DFT, or `total`."""
    total = count_modes(grid) if total is None else total
    if not 1 <= n_modes <= total:
        raise ConfigError(
            f"n_features = {n_modes}: a grid of {' x '.join(map(str, grid.shape))} points has {total} Fourier modes;"
            f" choose 1 to {total}"
        )


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
    n_modes = count_modes(grid) if n_modes is None else n_modes
    require_modes(grid, n_modes)
    weights = _folded_weights(grid)
    spectrum = xp.reshape(backend.rfftn(u, tuple(range(grid.ndim))), (-1,)) / grid.size
    weight = backend.asarray(weights.reshape(-1))
    magnitude = xp.where(weight > 0.0, xp.abs(spectrum), -1.0)
    chosen = xp.argsort(-magnitude, stable=True)[:n_modes]
    spectrum, weight = xp.take(spectrum, chosen), xp.take(weight, chosen)
    indices = np.stack(np.unravel_index(backend.to_numpy(chosen), half_shape(grid)), axis=-1).astype(np.int64)
    indices = signed_index(indices, np.asarray(grid.shape))
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
    varying = (wavenumbers > 0.0) & (amplitudes > 8.0 * EPS * amplitudes[0])
    return float(wavenumbers[varying][0] / np.pi) if np.any(varying) else 0.0
