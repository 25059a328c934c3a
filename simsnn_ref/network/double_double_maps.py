"""Where networks in double-double arithmetic are evaluated: the first layer without a fast transform.

SciPy's transform has no double-double numbers. Frozen Fourier modes on a grid take one matrix of sines and cosines per
axis instead, whose angles are reduced with integers,

    z_h(x_n) = Re sum_m c_hm prod_i exp(i pi m_i x_n,i / period_i),   c_hm = W_hm A_m exp(i b_m),

and other features the maps that serve every kind of number.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from simsnn_ref.backend import SERIAL, WholeShard, double_double
from simsnn_ref.backend.double_double import PI, DoubleDouble, concat, cos, quotient, rearranged, sin
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.features.base import Features
from simsnn_ref.network.features.dense import DenseMap
from simsnn_ref.network.features.linear import LinearMap
from simsnn_ref.network.features.separable import SeparableMap
from simsnn_ref.network.network import Network
from simsnn_ref.spectrum import Grid, Period

__all__ = ["DoubleDoubleBackend", "ModesMap", "double_double_map", "interpolate"]

BLOCK_ELEMENTS = 2**21
"""Coefficients held at a time."""


class DoubleDoubleBackend:
    """What of `simsnn_ref.backend.Backend` the evaluation of a network takes, on the host; it has no transform."""

    name = "numpy-double-double"
    xp = double_double
    device = "cpu"
    block_scale = 1
    processes = SERIAL
    pi = PI

    def asarray(self, host: Any) -> DoubleDouble:
        return host if isinstance(host, DoubleDouble) else DoubleDouble(host)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(item) for item in items]


def _half_turns(numerators: np.ndarray, denominator: int) -> tuple[DoubleDouble, DoubleDouble]:
    """Cos and sin of pi numerators / denominator, the numerators first reduced to one turn about 0."""
    reduced = np.remainder(numerators + denominator, 2 * denominator) - denominator
    angle = PI * quotient(reduced, denominator)
    return cos(angle), sin(angle)


class ModesMap:
    """Cosine features at frozen Fourier modes on a grid; any whole-numbered modes of any rational period.

    Parameters
    ----------
    indices : ndarray of int64, shape (n_f, d)
        Signed integer wavenumbers m_j, no two equal; k_j = pi m_j / period.
    period : d fractions, optional
        In lengths of the box; that of the grid's DFT by default.

    Raises
    ------
    ConfigError
        If two modes are equal.
    """

    name = "modes"

    def __init__(self, grid: Grid, indices: np.ndarray, period: Period | None = None) -> None:
        self.grid_shape = grid.shape
        self.n_points = grid.size
        self.shard = WholeShard(self.n_points)
        slots, self.factors = [], []
        for n, intervals, p, m in zip(
            grid.shape, grid.intervals, grid.dft_period if period is None else period, indices.T, strict=True
        ):
            values, slot = np.unique(m, return_inverse=True)
            # x_n = (2n - intervals) / intervals, so that k x is pi times a ratio of integers.
            turns = values[:, None] * p.denominator * (2 * np.arange(n) - intervals)
            c, s = _half_turns(turns, p.numerator * intervals)
            # [Re, Im] times this is [Re, Im] of the product with exp(i k x).
            self.factors.append(concat([concat([c, s], axis=1), concat([-s, c], axis=1)]))
            slots.append(slot.ravel())
        self.table = tuple(factor.shape[0] // 2 for factor in self.factors)
        self.slots = np.ravel_multi_index(tuple(slots), self.table)
        if np.unique(self.slots).size != self.slots.size:
            raise ConfigError("two features are the same Fourier mode")

    def forward(self, W: DoubleDouble, features: Features) -> DoubleDouble:
        """Z = Re of the coefficients times one factor per axis, a few units at a time."""
        real, imag = features.amplitudes * cos(features.phases), features.amplitudes * sin(features.phases)
        step = max(1, BLOCK_ELEMENTS // max(self.n_points, int(np.prod(self.table))))
        blocks = [W[start : start + step] for start in range(0, W.shape[0], step)]
        return concat([self._synthesize(block * real, block * imag) for block in blocks])

    def _synthesize(self, real: DoubleDouble, imag: DoubleDouble) -> DoubleDouble:
        h = real.shape[0]
        parts = []
        for coefficients in (real, imag):
            table = double_double.zeros((h, int(np.prod(self.table))))
            table[:, self.slots] = coefficients
            parts.append(table.reshape(h, *self.table))
        for axis, (n, factor) in enumerate(zip(self.grid_shape, self.factors, strict=True)):
            # The axis in turn is the first behind the units; its points go last, so that all end up in order.
            joined = concat([rearranged(lambda x: np.moveaxis(x[0], 1, -1), [part]) for part in parts], axis=-1)
            rest = joined.shape[:-1]
            is_last = axis == len(self.factors) - 1
            product = joined.reshape(-1, factor.shape[0]) @ (factor[:, :n] if is_last else factor)
            parts = [product[:, start : start + n].reshape(*rest, n) for start in range(0, product.shape[1], n)]
        return parts[0].reshape(h, -1)


def double_double_map(network: Network, where: Grid | DoubleDouble, backend: DoubleDoubleBackend) -> Any:
    """The feature map for a network in double-double arithmetic at a grid, or at points in [-1, 1]^d."""
    plain: Any = backend
    if not isinstance(where, Grid):
        return (LinearMap if network.amplitudes is None else DenseMap)(where, plain)
    if network.indices is not None:
        return ModesMap(where, network.indices, network.period)
    axes = [quotient(2 * np.arange(n) - m, m) for n, m in zip(where.shape, where.intervals, strict=True)]
    if network.amplitudes is None:
        return LinearMap(rearranged(_tensor_points, axes), plain)
    origin = double_double.zeros((1,))
    before, last = (axes, origin) if where.ndim == 1 else ([*axes[:-1], origin], axes[-1])
    rows: Any = rearranged(_tensor_points, before)
    offsets: Any = last
    return SeparableMap(rows, offsets, plain, grid_shape=where.shape)


def _tensor_points(axes: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=-1)


def interpolate(u: DoubleDouble, grid: Grid, cells: Sequence[Fraction]) -> DoubleDouble:
    """`simsnn_ref.spectrum.shift_samples` by its definition: u at x + `cells` times the spacing, periodic grids only.

    u(x_j + s) = sum_k D(j - k + s) u_k along each axis, with D(t) = (1/N) sum_m cos(2 pi m t / N) over m = -N/2 .. N/2,
    where the two modes of an even N's ends are one, cos(pi r) cos(pi s) at t = r + s.

    Raises
    ------
    ConfigError
        If an axis of the grid is not periodic.
    """
    if not all(grid.periodic):
        raise ConfigError("off_grid = 'interpolation' needs samples that are periodic along every axis")
    for n, shift in zip(grid.shape, cells, strict=True):
        if shift == 0:
            matrix = DoubleDouble(np.eye(n))
        else:
            a, b = shift.numerator, shift.denominator
            r = np.arange(n)
            cosines, _ = _half_turns(2 * np.arange(1, (n + 1) // 2) * (r[:, None] * b + a), n * b)
            kernel = cosines @ np.full(cosines.shape[1], 2.0) + 1.0
            if n % 2 == 0:
                kernel = kernel + _half_turns(np.asarray(a), b)[0] * (1.0 - 2.0 * (r % 2))
            matrix = (kernel / n)[(r[:, None] - r) % n]
        moved = rearranged(lambda x: np.moveaxis(x[0], 0, -1), [u])
        u = (moved.reshape(-1, n) @ matrix.T).reshape(moved.shape)
    return u
