"""Frozen Fourier modes on a grid or a block of one: a product with sines and cosines along each axis, no transform.

    z_h(x_n) = Re sum_m c_hm prod_i exp(i pi m_i x_n,i / period_i),   c_hm = W_hm A_m exp(i b_m),

with the angles reduced by integers. It serves where there is no fast transform (of double-double numbers), and where a
grid has more points than should be held at a time: a transform gives them all at once.
"""

import math
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, WholeShard
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.features.base import Features
from simsnn_ref.spectrum import Grid, Period

__all__ = ["ModesMap", "half_turns"]

BLOCK_ELEMENTS = 2**21
"""Coefficients, or values at the points, held at a time."""


def half_turns(numerators: np.ndarray, denominator: int, backend: Any) -> tuple[Array, Array]:
    """Cos and sin of pi numerators / denominator, the numerators first reduced to one turn about 0."""
    reduced = np.remainder(numerators + denominator, 2 * denominator) - denominator
    # Extended precision has a pi of its own.
    angle = getattr(backend, "pi", math.pi) * (backend.asarray(reduced.astype(np.float64)) / denominator)
    return backend.xp.cos(angle), backend.xp.sin(angle)


class ModesMap:
    """Cosine features at frozen Fourier modes on a block of a grid, forward only; of any rational period.

    Parameters
    ----------
    grid : Grid
    indices : ndarray of int64, shape (n_f, d)
        Signed integer wavenumbers m_j, no two equal; k_j = pi m_j / period.
    backend : Backend, or that of extended precision
    period : d fractions, optional
        In lengths of the box; that of the grid's DFT by default.
    block : d slices, optional
        Which points along each axis; all by default.

    Raises
    ------
    ConfigError
        If two modes are equal.
    """

    name = "modes"

    def __init__(
        self,
        grid: Grid,
        indices: np.ndarray,
        backend: Any,
        period: Period | None = None,
        block: tuple[slice, ...] | None = None,
    ) -> None:
        xp = self.xp = backend.xp
        period = grid.dft_period if period is None else period
        axes = zip(grid.shape, grid.intervals, period, block or (slice(None),) * grid.ndim, indices.T, strict=True)
        shape, slots, self.factors = [], [], []
        for n, intervals, p, cut, m in axes:
            values, slot = np.unique(m, return_inverse=True)
            # x_n = (2n - intervals) / intervals, so that k x is pi times a ratio of integers.
            twice_x = 2 * np.arange(n)[cut] - intervals
            c, s = half_turns(values[:, None] * p.denominator * twice_x, p.numerator * intervals, backend)
            # [Re, Im] times this is [Re, Im] of the product with exp(i k x).
            self.factors.append(xp.concat([xp.concat([c, s], axis=1), xp.concat([-s, c], axis=1)], axis=0))
            slots.append(slot.ravel())
            shape.append(len(twice_x))
        self.grid_shape = tuple(shape)
        self.n_points = math.prod(shape)
        self.shard = WholeShard(self.n_points)
        self.table = tuple(factor.shape[0] // 2 for factor in self.factors)
        occupied = np.ravel_multi_index(tuple(slots), self.table)
        if np.unique(occupied).size != occupied.size:
            raise ConfigError("two features are the same Fourier mode")
        # The array API has no scatter: each entry of the table gathers its coefficient, most of them the zero.
        source = np.full(math.prod(self.table), len(indices), dtype=np.int64)
        source[occupied] = np.arange(len(indices))
        self._source = backend.asarray(source)

    def forward(self, W: Array, features: Features) -> Array:
        """Z = Re of the coefficients times one factor per axis, a few units at a time."""
        xp = self.xp
        real, imag = features.amplitudes * xp.cos(features.phases), features.amplitudes * xp.sin(features.phases)
        h, step = W.shape[0], max(1, BLOCK_ELEMENTS // max(self.n_points, math.prod(self.table)))
        blocks = [W[start : min(start + step, h), :] for start in range(0, h, step)]
        return xp.concat([self._synthesize(block * real, block * imag) for block in blocks], axis=0)

    def _synthesize(self, real: Array, imag: Array) -> Array:
        xp, h, d = self.xp, real.shape[0], len(self.table)
        zero = 0.0 * real[:, :1]
        parts = [
            xp.reshape(xp.take(xp.concat([part, zero], axis=1), self._source, axis=1), (h, *self.table))
            for part in (real, imag)
        ]
        for axis, (n, factor) in enumerate(zip(self.grid_shape, self.factors, strict=True)):
            # The axis in turn is the first behind the units; its points go last, so that all end up in order.
            joined = xp.concat([xp.permute_dims(part, (0, *range(2, d + 1), 1)) for part in parts], axis=-1)
            rest = joined.shape[:-1]
            is_last = axis == d - 1
            product = xp.reshape(joined, (-1, factor.shape[0])) @ (factor[:, :n] if is_last else factor)
            starts = range(0, product.shape[1], n)
            parts = [xp.reshape(product[:, start : start + n], (*rest, n)) for start in starts]
        return xp.reshape(parts[0], (h, -1))
