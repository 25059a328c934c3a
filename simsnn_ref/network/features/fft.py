"""Frozen grid wavenumbers on the grid they belong to: the three products are fast Fourier transforms.

With k_j the DFT's mode m_j and theta_j = b_j + k_j.x_0,

    forward   z_h(x_n)  = Re sum_j c_hj exp(2 pi i m_j.n / N),     c_hj = W_hj A_j exp(i theta_j),
    adjoint   Dhat_h(j) = sum_n dz_h(x_n) exp(2 pi i m_j.n / N),
              dW_hj = A_j Re(exp(i theta_j) Dhat_hj),    db_j = -A_j sum_h W_hj Im(exp(i theta_j) Dhat_hj),

O(N^d log N) per hidden unit whatever n_f is. Where the modes reach only part of the way to the largest wavenumber of
the last axis, the transforms along the other axes run over that part alone.
"""

import math

import numpy as np

from simsnn_ref.backend import Array, Backend, WholeShard
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.features.base import FeatureGradient, Features
from simsnn_ref.spectrum import Grid, Period

__all__ = ["BLOCK_ELEMENTS", "FFTMap"]

BLOCK_ELEMENTS = 2**18
"""Points of a period times hidden units of one task: 2 MiB per float64 temporary stay in the cache and in the hands of
the allocator, which fetches larger ones anew each time. At least one unit."""

_FROZEN = "feature_map = 'fft' keeps the wavenumbers B frozen; use 'separable' or 'dense'"


class FFTMap:
    """Cosine features at frozen Fourier modes of a grid's box; the phases may train.

    The modes' period may hold more points than the grid: the transform runs over the whole period, z is cropped to the
    grid and dz is padded with zeros, each the transpose of the other.

    Parameters
    ----------
    grid : Grid
        Where to evaluate.
    indices : ndarray of int64, shape (n_f, d)
        Signed integer wavenumbers m_j, k_j = pi m_j / period, no two equal or opposite modulo the points of a period.
    period : d fractions, optional
        In lengths of the box; that of the grid's DFT by default. A finer grid of the same box serves as well as the
        one the modes were taken from (modes alias onto it as they should).

    Raises
    ------
    ConfigError
        If two modes coincide on the grid, or a period is no whole number of spacings.
    """

    name = "fft"

    def __init__(self, grid: Grid, indices: np.ndarray, backend: Backend, period: Period | None = None) -> None:
        period = grid.dft_period if period is None else period
        lattice = grid.lattice(period)
        if lattice is None:
            raise ConfigError("feature_map = 'fft': the modes' period is no whole number of this grid's spacings")
        self.backend = backend
        self.xp = backend.xp
        self.grid_shape = grid.shape
        self.lattice = lattice
        self.axes = tuple(range(1, grid.ndim + 1))
        self.n_points = grid.size
        self.shard = WholeShard(self.n_points)
        shape = np.asarray(lattice)
        n_last = lattice[-1]

        # A real transform stores m_d = 0 .. N_d/2; a mode beyond is stored as its conjugate -m, with the phase's sign.
        flipped = indices[:, -1] % n_last > n_last // 2
        stored = np.where(flipped[:, None], -indices, indices) % shape
        conjugate = -stored % shape
        # On the planes m_d = 0 and N_d/2 both members of a pair are stored, elsewhere the transform adds the other.
        on_plane = stored[:, -1] == conjugate[:, -1]
        self_conjugate = np.all(stored == conjugate, axis=1)
        twin = np.flatnonzero(on_plane & ~self_conjugate)

        half_shape = (*lattice[:-1], int(np.max(stored[:, -1])) + 1)
        slots = np.ravel_multi_index(tuple(stored.T), half_shape)
        twin_slots = np.ravel_multi_index(tuple(conjugate[twin].T), half_shape)
        occupied = np.concatenate([slots, twin_slots])
        if np.unique(occupied).size != occupied.size:
            raise ConfigError("feature_map = 'fft': two features are the same mode of this grid; use 'separable'")
        # The array API has no scatter: each slot of the spectrum gathers its coefficient, most of them the zero.
        source = np.full(int(np.prod(half_shape)), occupied.size, dtype=np.int64)
        source[occupied] = np.arange(occupied.size)

        real = backend.real_dtype
        sign = np.where(flipped, -1, 1).astype(real)
        self.half_shape = half_shape
        self.slots = backend.asarray(slots)
        self.source = backend.asarray(source)
        self.twin = backend.asarray(twin)
        self.sign = backend.asarray(sign)
        self.self_conjugate = backend.asarray(self_conjugate)
        self.origin = backend.asarray(sign * grid.origin_phases(indices, period, real))

    def _rotation(self, features: Features) -> Array:
        """A_j exp(i theta_j), conjugated where the conjugate mode is stored; shape (n_f,).

        The two phases are not added: theta_0 = k.x_0 is 0 or pi on a periodic grid and costs no rounding by itself.
        """
        xp = self.xp
        b = self.sign * features.phases
        cos_b, sin_b, cos_0, sin_0 = xp.cos(b), xp.sin(b), xp.cos(self.origin), xp.sin(self.origin)
        real, imag = cos_b * cos_0 - sin_b * sin_0, sin_b * cos_0 + cos_b * sin_0
        return features.amplitudes * (real + 1j * imag)

    def _blocks(self, h: int) -> list[slice]:
        """Hidden units at a time."""
        step = max(1, self.backend.block_scale * BLOCK_ELEMENTS // math.prod(self.lattice))
        return [slice(start, min(start + step, h)) for start in range(0, h, step)]

    def _synthesize(self, coefficients: Array) -> Array:
        """Re sum_j c_hj exp(2 pi i m_j.n / N): (h, n_f) complex to (h, n_points) real."""
        xp = self.xp
        h, real = coefficients.shape[0], xp.real(coefficients).dtype
        z = xp.empty((h, self.n_points), dtype=real, device=self.backend.device)

        def transform(block: slice) -> None:
            z[block, :] = self._synthesize_block(coefficients[block, :])

        self.backend.map(transform, self._blocks(h))
        return z

    def _synthesize_block(self, coefficients: Array) -> Array:
        xp = self.xp
        real = xp.astype(xp.real(coefficients), coefficients.dtype)
        half = xp.where(self.self_conjugate, real, 0.5 * coefficients)
        zero = xp.zeros((coefficients.shape[0], 1), dtype=coefficients.dtype, device=self.backend.device)
        table = xp.concat([half, xp.conj(xp.take(half, self.twin, axis=1)), zero], axis=1)
        spectrum = xp.reshape(xp.take(table, self.source, axis=1), (-1, *self.half_shape))
        z = self.backend.irfftn(spectrum, self.lattice, self.axes)
        if self.lattice != self.grid_shape:
            z = z[(slice(None), *(slice(0, n) for n in self.grid_shape))]
        return xp.reshape(z, (-1, self.n_points))

    def _analyze(self, dz: Array) -> Array:
        """sum_n dz_h(x_n) exp(2 pi i m_j.n / N) at the stored modes: (h, n_points) real to (h, n_f) complex."""
        blocks = self._blocks(dz.shape[0])
        return self.xp.concat(self.backend.map(lambda block: self._analyze_block(dz[block, :]), blocks))

    def _analyze_block(self, dz: Array) -> Array:
        xp = self.xp
        field = xp.reshape(dz, (-1, *self.grid_shape))
        for axis, (n, length) in enumerate(zip(self.grid_shape, self.lattice, strict=True), start=1):
            if length > n:
                missing = (*field.shape[:axis], length - n, *field.shape[axis + 1 :])
                zeros = xp.zeros(missing, dtype=field.dtype, device=self.backend.device)
                field = xp.concat([field, zeros], axis=axis)
        spectrum = self.backend.rfftn(field, self.axes, self.half_shape[-1])
        flat = xp.reshape(spectrum, (dz.shape[0], -1))
        return xp.conj(xp.take(flat, self.slots, axis=1))

    def forward(self, W: Array, features: Features) -> Array:
        """The product z = Re IDFT[W A exp(i theta)]."""
        return self._synthesize(W * self._rotation(features))

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = False) -> FeatureGradient:
        """The transpose of the transform is the transform: dW = Re(A exp(i theta) Dhat), db = -sum_h W Im(...).

        Raises
        ------
        ConfigError
            If the gradient of the wavenumbers is asked for: they are frozen.
        """
        if wavenumbers:
            raise ConfigError(_FROZEN)
        xp = self.xp
        rotated = self._rotation(features) * self._analyze(dz)
        db = -self.sign * xp.sum(W * xp.imag(rotated), axis=0)
        return FeatureGradient(weights=xp.real(rotated), wavenumbers=None, phases=db)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """z_dot = Re IDFT[(W_dot + i W b_dot) A exp(i theta)], one transform for both directions.

        Raises
        ------
        ConfigError
            If `K_dot` is given: the wavenumbers are frozen.
        """
        if K_dot is not None:
            raise ConfigError(_FROZEN)
        return self._synthesize((W_dot + 1j * (W * (self.sign * b_dot))) * self._rotation(features))
