"""What is minimised: the loss of a network's residual, its gradient, and products with J = du/dtheta."""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, Shard, largest, rms
from simsnn_ref.network import FeatureMap, Network, Parameters
from simsnn_ref.optimizers.loss import LpLoss

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """theta -> L(u(theta) - t), with J = du/dtheta over the parameters that train.

    Parameters
    ----------
    network : Network
    fmap : FeatureMap
        The training points, all or those of this process.
    target : Array of float64, shape (n_points,)
        t, of RMS 1 over all points.
    loss : LpLoss
    backend : Backend
        Whose arrays all of these are.
    """

    network: Network
    fmap: FeatureMap
    target: Array
    loss: LpLoss
    backend: Backend

    @property
    def xp(self) -> ModuleType | Any:
        return self.network.xp

    def is_overparameterized(self, params: Parameters) -> bool:
        """Whether there are as many parameters as points, so that J d = -e can be solved whatever the row weights."""
        return self.network.n_parameters(params) >= self.shard.n_total

    @property
    def shard(self) -> Shard:
        """Which points these are."""
        return self.fmap.shard

    def evaluate(self, params: Parameters) -> tuple[float, Array]:
        """L(e) and the residual e = u - t, shape (n_points,)."""
        e = self.network.forward(params, self.fmap) - self.target
        return float(self.loss.forward(self.xp, e, self.shard)), e

    def total(self, values: Parameters) -> Parameters:
        """Sums over the points here to sums over all of them."""
        return dict(zip(values, self.shard.sum(*values.values()), strict=True))

    def value_and_gradient(self, params: Parameters, last: float = 1.0) -> tuple[float, float, Parameters]:
        """L(e), the RMS of e and dL/dtheta, in one pass over the points and one sum over the processes.

        The pass needs a scale for the powers of e. What L is about gives one; where it was so far off that the powers
        lost digits, a second pass takes the largest residual.

        Parameters
        ----------
        last : float
            About what L is.
        """
        # A power of two, so that scaling rounds nothing.
        scale = 2.0 ** min(math.frexp(last)[1], 1023) if 0.0 < last < math.inf else 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            power, square, slopes = self._pass(params, scale)
        if not self.loss.keeps_digits(power):
            scale = largest(self.xp, self.network.forward(params, self.fmap) - self.target, self.shard) or 1.0
            power, square, slopes = self._pass(params, scale)
        n = self.shard.n_total
        value, factor = self.loss.finish(power, n, scale)
        return value, scale * math.sqrt(square / n), {name: factor * slope for name, slope in slopes.items()}

    def _pass(self, params: Parameters, scale: float) -> tuple[float, float, Parameters]:
        """Sums of |r|^p and r^2 over all points, r = e / scale, and dL/dtheta but for the factor of `LpLoss.finish`."""
        sums: dict[int, tuple[Array, Array]] = {}

        def cotangent(u: Array, block: slice) -> Array:
            power, square, du = self.loss.sums(self.xp, u - self.target[block], scale)
            sums[block.start] = power, square
            return du

        slopes = self.network.backward(params, self.fmap, cotangent)
        # In the order of the points, whatever order the blocks were done in.
        here = (sum(parts) for parts in zip(*(sums[start] for start in sorted(sums)), strict=True))
        power, square, *totals = self.shard.sum(*here, *slopes.values())
        return float(power), float(square), dict(zip(slopes, totals, strict=True))

    def rms(self, e: Array) -> float:
        """The RMS over all points of what `e` is here."""
        return rms(self.xp, e, self.shard)

    def flatten(self, values: Parameters, params: Parameters) -> Array:
        """`values` (parameters, a direction or scales) as one vector, in the order of ``network.trainable(params)``."""
        return self.xp.concat([self.xp.reshape(values[name], (-1,)) for name in self.network.trainable(params)])

    def unflatten(self, vector: Array, params: Parameters) -> Parameters:
        """Inverse of `flatten`: the parameters that train, with the shapes they have in `params`."""
        values, start = {}, 0
        for name in self.network.trainable(params):
            shape = params[name].shape
            stop = start + math.prod(shape)
            values[name] = self.xp.reshape(vector[start:stop], shape)
            start = stop
        return values
