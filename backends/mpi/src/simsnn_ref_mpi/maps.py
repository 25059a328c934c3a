"""The first layer shared by ranks: points for the layers behind it, hidden units for the transform.

A map of coordinates serves any points, so that every rank has one for its own. A transform needs the whole grid; but
the h hidden units are as many independent transforms, so that rank r does units h r / P .. h (r + 1) / P of them all on
the grid, with the map that a single process takes, and one exchange turns units into points,

    forward, jvp    z  (h / P, n)  ->  (h, n / P),        vjp    dz  (h, n / P)  ->  (h / P, n):

what a distributed transform sends too, 8 h n / P (1 - 1/P) bytes a rank. The gradient of W_1 then has the rank's units
alone, those of b and K their share: the sum over the ranks, which the other layers' gradients need, completes them.
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
    """A rank's points: one after the other in C order, as many as the others have, to within one.

    See `simsnn_ref.backend.Shard`.
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
    """A feature map whose hidden units are divided among the ranks, and its points behind it.

    Parameters
    ----------
    whole : FeatureMap
        Of all points, on NumPy; every rank has it.
    shard : MpiShard
    """

    def __init__(self, whole: Any, shard: MpiShard) -> None:
        self.whole, self.shard = whole, shard
        self.name, self.grid_shape, self.n_points = whole.name, whole.grid_shape, shard.n_points
        self._communicator = shard.communicator

    def _units(self, h: int) -> slice:
        return shares(h, self._communicator.size)[self._communicator.rank]

    def _to_points(self, z: Array, h: int) -> Array:
        """(units, n) to (h, points)."""
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
        """Inverse of `_to_points`: (h, points) to (units, n)."""
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
        """See `simsnn_ref.network.FeatureMap`."""
        own = W[self._units(W.shape[0])]
        z = self.whole.forward(own, features) if len(own) else np.empty((0, self.shard.n_total), dtype=W.dtype)
        return self._to_points(z, W.shape[0])

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """The share of this rank in the gradient."""
        units, dz = self._units(W.shape[0]), self._to_units(dz)
        dW = np.zeros_like(W)
        if not len(dz):
            dK = np.zeros_like(features.wavenumbers) if wavenumbers else None
            return FeatureGradient(weights=dW, wavenumbers=dK, phases=np.zeros_like(features.phases))
        own = self.whole.vjp(W[units], features, dz, wavenumbers=wavenumbers)
        dW[units] = own.weights
        return FeatureGradient(weights=dW, wavenumbers=own.wavenumbers, phases=own.phases)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """See `simsnn_ref.network.FeatureMap`."""
        units = self._units(W.shape[0])
        own = W[units]
        if len(own):
            z_dot = self.whole.jvp(own, features, W_dot[units], K_dot, b_dot)
        else:
            z_dot = np.empty((0, self.shard.n_total), dtype=W.dtype)
        return self._to_points(z_dot, W.shape[0])


def shard_of(fmap: Any, communicator: Communicator) -> Any:
    """The map at this rank's points."""
    shard = MpiShard(fmap.n_points, communicator)
    if not isinstance(fmap, DenseMap | LinearMap):
        return SharedMap(fmap, shard)
    here: Any = copy.copy(fmap)
    here.points, here.n_points, here.shard = shard.part(fmap.points), shard.n_points, shard
    return here
