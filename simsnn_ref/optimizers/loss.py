"""The L^p loss of section 3.3, eq. 7, in a form that neither overflows nor underflows."""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array, Shard, WholeShard, largest
from simsnn_ref.errors import ConfigError

__all__ = ["LpLoss"]

LEAST_SUM = 1e-100
"""Of the p-th powers, and its inverse the largest: between them no term that matters, above eps of the sum, is anywhere
near the ends of float64's range, 1e-308 and 1e308."""


@dataclass(frozen=True)
class LpLoss:
    """L(e) = (1/n sum_i |e_i|^p)^(1/p).

    Eq. 7 with the sum replaced by the mean: it differs by the constant n^(1/p), so that p = 2 is the RMS (p = 2 and
    the MSE have the same minimisers) and the value does not depend on the number of points.

    L is homogeneous, so that everything is evaluated for r = e / s with a scale s. With S = sum_i |r_i|^p over all n
    points,

        L = s (S / n)^(1/p),    dL/de_i = sign(r_i) |r_i|^(p-1) f,    f = (S / n)^(1/p - 1) / n.

    s = max|e| makes 1 <= S <= n. Any s about as large as L will do, and needs no pass over the points to be found: see
    `simsnn_ref.optimizers.Objective.value_and_gradient`. s does not contribute to the derivative. For even p no
    absolute value is taken: the value is analytic in e, and complex-step differentiation holds.

    Where `e` is that of a part of the points, `shard` says of which.

    Parameters
    ----------
    p : float
        At least 2; 10 in the paper.

    Raises
    ------
    ConfigError
        If p is below 2 or not finite.
    """

    p: float = 10.0

    def __post_init__(self) -> None:
        if not 2.0 <= self.p < float("inf"):
            raise ConfigError(f"p = {self.p}: the L^p loss needs a finite p >= 2")

    def forward(self, xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> Array:
        """L(e), a 0-d array; `e` of any shape, real (or complex in a complex step)."""
        return self._at_largest(xp, e, shard)[0]

    def vjp(self, xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> Array:
        """dL/de, of the shape of `e`; the zero vector at e = 0, a subgradient."""
        _, factor, slopes = self._at_largest(xp, e, shard)
        return slopes * factor

    def jvp(self, xp: ModuleType | Any, e: Array, e_dot: Array, shard: Shard | None = None) -> Array:
        """L_dot = <dL/de, e_dot>, a 0-d array."""
        shard = shard or WholeShard(math.prod(e.shape))
        return shard.sum(xp.sum(self.vjp(xp, e, shard) * e_dot))[0]

    def _at_largest(self, xp: ModuleType | Any, e: Array, shard: Shard | None) -> tuple[Array, Array, Array]:
        """L, f and the slopes less f, with s = max|e|."""
        shard = shard or WholeShard(math.prod(e.shape))
        scale = largest(xp, e, shard) or 1.0
        total, _, slopes = self.sums(xp, e, scale)
        [total] = shard.sum(total)
        return *self.finish(total, shard.n_total, scale), slopes

    def sums(self, xp: ModuleType | Any, e: Array, scale: float) -> tuple[Array, Array, Array]:
        """What a part of the points gives for s = `scale`: sums of |r_i|^p and r_i^2, and sign(r_i) |r_i|^(p-1)."""
        r = e / scale
        slopes = self._power(xp, r, self.p - 1.0)
        if self.p % 2 != 0:
            slopes = xp.sign(r) * slopes
        return xp.sum(slopes * r), xp.sum(r * r), slopes

    def finish(self, total: Any, n: int, scale: float) -> tuple[Any, Any]:
        """L and f from S = `total` over all n points."""
        mean = total / n
        if mean == 0.0:
            return scale * mean, mean
        return scale * mean ** (1.0 / self.p), mean ** (1.0 / self.p - 1.0) / n

    @staticmethod
    def keeps_digits(total: float) -> bool:
        """Whether S tells that no power that matters has left the range of float64."""
        return LEAST_SUM < total < 1.0 / LEAST_SUM

    def _power(self, xp: ModuleType | Any, r: Array, exponent: float) -> Array:
        """|r|^exponent, or for even p the analytic r^exponent, whose odd powers keep the sign of r."""
        if self.p % 2 != 0:
            return xp.abs(r) ** exponent
        power = r if exponent % 2 else xp.ones_like(r)
        square, halves = r * r, int(exponent) // 2
        while halves:
            if halves % 2:
                power = power * square
            halves //= 2
            if halves:
                square = square * square
        return power
