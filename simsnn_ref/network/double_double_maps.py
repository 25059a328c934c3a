"""Where networks in double-double arithmetic are evaluated: the first layer without a fast transform.

SciPy's transform has no double-double numbers. Frozen Fourier modes on a grid take a matrix product per axis instead,
and other features the maps that serve every kind of number.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from simsnn_ref.backend import SERIAL, double_double
from simsnn_ref.backend.double_double import PI, DoubleDouble, quotient, rearranged
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.features.dense import DenseMap
from simsnn_ref.network.features.linear import LinearMap
from simsnn_ref.network.features.modes import ModesMap, half_turns
from simsnn_ref.network.features.separable import SeparableMap
from simsnn_ref.network.network import Network
from simsnn_ref.spectrum import Grid

__all__ = ["DoubleDoubleBackend", "double_double_map", "double_double_tensor_map", "interpolate"]


class DoubleDoubleBackend:
    """What of `simsnn_ref.backend.Backend` the evaluation of a network takes, on the host; it has no transform."""

    name = "numpy-double-double"
    xp = double_double
    device = "cpu"
    block_scale = 1
    processes = SERIAL
    pi = PI

    def asarray(self, host: Any) -> Any:
        is_index = isinstance(host, np.ndarray) and host.dtype.kind == "i"
        return host if is_index or isinstance(host, DoubleDouble) else DoubleDouble(host)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(item) for item in items]


def double_double_map(network: Network, where: Grid | DoubleDouble, backend: DoubleDoubleBackend) -> Any:
    """The feature map for a network in double-double arithmetic at a grid, or at points in [-1, 1]^d."""
    plain: Any = backend
    if not isinstance(where, Grid):
        return (LinearMap if network.amplitudes is None else DenseMap)(where, plain)
    if network.indices is not None:
        return ModesMap(where, network.indices, backend, network.period)
    axes = [quotient(2 * np.arange(n) - m, m) for n, m in zip(where.shape, where.intervals, strict=True)]
    return double_double_tensor_map(network, axes, backend)


def double_double_tensor_map(network: Network, axes: Sequence[DoubleDouble], backend: DoubleDoubleBackend) -> Any:
    """The feature map for a network in double-double arithmetic on the tensor product of axes in [-1, 1]."""
    plain: Any = backend
    if network.amplitudes is None:
        return LinearMap(rearranged(_tensor_points, axes), plain)
    origin = double_double.zeros((1,))
    before, last = (axes, origin) if len(axes) == 1 else ([*axes[:-1], origin], axes[-1])
    rows: Any = rearranged(_tensor_points, before)
    offsets: Any = last
    return SeparableMap(rows, offsets, plain, grid_shape=tuple(len(axis) for axis in axes))


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
    backend = DoubleDoubleBackend()
    for n, shift in zip(grid.shape, cells, strict=True):
        if shift == 0:
            matrix = DoubleDouble(np.eye(n))
        else:
            a, b = shift.numerator, shift.denominator
            r = np.arange(n)
            cosines, _ = half_turns(2 * np.arange(1, (n + 1) // 2) * (r[:, None] * b + a), n * b, backend)
            kernel = cosines @ np.full(cosines.shape[1], 2.0) + 1.0
            if n % 2 == 0:
                kernel = kernel + half_turns(np.asarray(a), b, backend)[0] * (1.0 - 2.0 * (r % 2))
            matrix = (kernel / n)[(r[:, None] - r) % n]
        moved = rearranged(lambda x: np.moveaxis(x[0], 0, -1), [u])
        u = (moved.reshape(-1, n) @ matrix.T).reshape(moved.shape)
    return u
