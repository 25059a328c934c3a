"""The first layer divided among ranks: its transforms by hidden units, and all behind them by points.

The maps `dense` and `linear` take any points, so that every rank has one for its own points. A transform needs the
whole grid; but the h hidden units are h independent transforms. Each of P ranks therefore does h / P of them, on the
whole grid, with the map that a single process has, and one exchange turns units into points,

    forward, jvp    z  (h / P, n)  ->  (h, n / P),        vjp    dz  (h, n / P)  ->  (h / P, n):

in which a rank sends 8 h n / P (1 - 1/P) bytes, as it would in a distributed transform. Of the gradient of W_1 a rank
then has the rows of its units, and of those of b and K the sum over its units: the sum over the ranks, which the other
layers' gradients need too, completes them.
"""

import copy
from typing import Any

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.errors import DataError
from simsnn_ref.network import DenseMap, FeatureGradient, Features, LinearMap
from simsnn_ref_mpi.communicator import Communicator, shares

__all__ = ["MpiShard", "SharedMap", "shard_of"]


class MpiShard:
    """The points of a rank: consecutive ones in C order, as many as any other rank has, to within one.

    See `simsnn_ref.backend.Shard`.

    Raises
    ------
    DataError
        If there are fewer points than ranks.
    """

    is_whole = False

    def __init__(self, n_total: int, communicator: Communicator) -> None:
        if n_total < communicator.size:
            raise DataError(f"{n_total} points are too few for {communicator.size} ranks: each needs one")
        self.n_total, self.communicator = n_total, communicator
        self.all = shares(n_total, communicator.size)
        self.here = self.all[communicator.rank]
        self.n_points = self.here.stop - self.here.start

    def sum(self, *sums: Any) -> list[Any]:
        arrays = [np.asarray(value, dtype=np.float64) for value in sums]
        flat = self.communicator.sum(np.concatenate([array.reshape(-1) for array in arrays]))
        stops = np.cumsum([array.size for array in arrays])
        return [part.reshape(array.shape) for part, array in zip(np.split(flat, stops[:-1]), arrays, strict=True)]

    def max(self, value: float) -> float:
        return self.communicator.max(value)

    def broadcast(self, value: float) -> float:
        return self.communicator.broadcast(value)

    def part(self, x: Array) -> Array:
        return x[self.here]

    def gather(self, x: Array) -> Array:
        everything = np.empty(self.n_total, dtype=x.dtype)
        self.communicator.gather(np.ascontiguousarray(x), everything)
        return everything


class SharedMap:
    """A feature map that computes by hidden units, a share of them in each rank, and returns values by points.

    See `simsnn_ref.network.FeatureMap`.

    Parameters
    ----------
    whole : FeatureMap
        The map at all points, on NumPy, which every rank has.
    shard : MpiShard
        The points of this rank.
    """

    def __init__(self, whole: Any, shard: MpiShard) -> None:
        self.whole, self.shard = whole, shard
        self.name, self.grid_shape, self.n_points = whole.name, whole.grid_shape, shard.n_points
        self._communicator = shard.communicator

    def _units(self, h: int) -> slice:
        return shares(h, self._communicator.size)[self._communicator.rank]

    def _to_points(self, z: Array, h: int) -> Array:
        """Exchange this rank's units at all points, (h / P, n), for all units at its points, (h, n / P)."""
        shard, size = self.shard, self._communicator.size
        own = slice(0, z.shape[0])
        divided = np.empty((h, shard.n_points), dtype=z.dtype)
        points = slice(0, shard.n_points)
        self._communicator.exchange(
            np.ascontiguousarray(z),
            [(own, there) for there in shard.all],
            divided,
            [(units, points) for units in shares(h, size)],
        )
        return divided

    def _to_units(self, dz: Array) -> Array:
        """Exchange all units at this rank's points, (h, n / P), for its units at all points, (h / P, n)."""
        shard, size, h = self.shard, self._communicator.size, dz.shape[0]
        units = self._units(h)
        whole = np.empty((units.stop - units.start, shard.n_total), dtype=dz.dtype)
        points, own = slice(0, shard.n_points), slice(0, whole.shape[0])
        self._communicator.exchange(
            np.ascontiguousarray(dz),
            [(there, points) for there in shares(h, size)],
            whole,
            [(own, there) for there in shard.all],
        )
        return whole

    def forward(self, W: Array, features: Features | None) -> Array:
        own = W[self._units(W.shape[0])]
        z = self.whole.forward(own, features) if len(own) else np.empty((0, self.shard.n_total), dtype=W.dtype)
        return self._to_points(z, W.shape[0])

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Return the terms of this rank's units in the gradient; the sum over the ranks is the gradient."""
        units, dz = self._units(W.shape[0]), self._to_units(dz)
        dW = np.zeros_like(W)
        if not len(dz):
            dK = np.zeros_like(features.wavenumbers) if wavenumbers else None
            return FeatureGradient(weights=dW, wavenumbers=dK, phases=np.zeros_like(features.phases))
        own = self.whole.vjp(W[units], features, dz, wavenumbers=wavenumbers)
        dW[units] = own.weights
        return FeatureGradient(weights=dW, wavenumbers=own.wavenumbers, phases=own.phases)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        units = self._units(W.shape[0])
        own = W[units]
        if len(own):
            z_dot = self.whole.jvp(own, features, W_dot[units], K_dot, b_dot)
        else:
            z_dot = np.empty((0, self.shard.n_total), dtype=W.dtype)
        return self._to_points(z_dot, W.shape[0])


def shard_of(fmap: Any, communicator: Communicator) -> Any:
    """Return the map at this rank's points, from the map at all points."""
    shard = MpiShard(fmap.n_points, communicator)
    if not isinstance(fmap, DenseMap | LinearMap):
        return SharedMap(fmap, shard)
    here: Any = copy.copy(fmap)
    here.points, here.n_points, here.shard = shard.part(fmap.points), shard.n_points, shard
    return here
