"""The L^p loss of section 3.3, eq. 7, in a form that neither overflows nor underflows."""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array, Shard, WholeShard, largest
from simsnn_ref.errors import ConfigError

__all__ = [
    "LpLoss",
]

LEAST_SUM = 1e-100
"""Of the p-th powers: terms that matter are then far from the ends of float64's range."""


@dataclass(frozen=True)
class LpLoss:
    """L(e) = (1/n sum_i |e_i|^p)^(1/p).

    Eq. 7 with the sum replaced by the mean: it differs by the constant n^(1/p), so that p = 2 is the RMS (p = 2 and
    the MSE have the same minimisers) and the value does not depend on the number of points.

    Everything is evaluated for r = e / s, s = max|e|, of which L is homogeneous: L(e) = s L(r), n^(-1/p) <= L(r) <= 1.
    For even p no absolute value is taken, so that the value is analytic in e and complex-step differentiation holds
    (s then scales without contributing to the derivative).

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

    def _normalised(self, xp: ModuleType | Any, e: Array, shard: Shard) -> tuple[Array, float]:
        scale = largest(xp, e, shard)
        return (e / scale if scale > 0.0 else e), scale

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

    def forward(self, xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> Array:
        """L(e), a 0-d array; `e` of any shape, real (or complex in a complex step)."""
        shard = shard or WholeShard(math.prod(e.shape))
        r, scale = self._normalised(xp, e, shard)
        [mean] = shard.sum(xp.sum(self._power(xp, r, self.p) / shard.n_total))
        return scale * mean ** (1.0 / self.p)

    def vjp(self, xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> Array:
        """dL/de_i = (1/n) sign(r_i) |r_i|^(p-1) L(r)^(1-p); the zero vector at e = 0, a subgradient."""
        shard = shard or WholeShard(math.prod(e.shape))
        r, scale = self._normalised(xp, e, shard)
        if scale == 0.0:
            return xp.zeros_like(e)
        [total] = shard.sum(xp.sum(self._power(xp, r, self.p)))
        mean = total / shard.n_total
        signed = self._power(xp, r, self.p - 1.0)
        if self.p % 2 != 0:
            signed = xp.sign(r) * signed
        return signed * (mean ** (1.0 / self.p - 1.0) / shard.n_total)

    def scaled(self, xp: ModuleType | Any, e: Array, scale: float) -> tuple[Array, Array, Array]:
        """Sum of |r_i|^p, sum of r_i^2 and sign(r_i) |r_i|^(p-1) for r = e / scale: what a part of the points gives.

        With S and Q the sums over all n points and s the scale, L, the RMS and the slope are

            s (S / n)^(1/p),    s (Q / n)^(1/2),    dL/de_i = sign(r_i) |r_i|^(p-1) (S / n)^(1/p - 1) / n,

        whose last factors, one number, are known when all parts are (`finish`).
        """
        limit = LEAST_SUM ** (-1.0 / self.p)
        # Beyond, S is useless, as `finish` finds; the powers need not overflow.
        r = xp.clip(e, -limit * scale, limit * scale) / scale
        power = self._power(xp, r, self.p - 1.0)
        signed = power if self.p % 2 == 0 else xp.sign(r) * power
        return xp.sum(signed * r), xp.sum(r * r), signed

    def finish(self, total: float, n: int, scale: float) -> tuple[float, float] | None:
        """L and the factor of dL/de from S; None where the scale was so far off that S lost digits."""
        if not LEAST_SUM < total < 0.5 / LEAST_SUM:
            return None
        mean = total / n
        return scale * mean ** (1.0 / self.p), mean ** (1.0 / self.p - 1.0) / n

    def jvp(self, xp: ModuleType | Any, e: Array, e_dot: Array, shard: Shard | None = None) -> Array:
        """L_dot = <dL/de, e_dot>, a 0-d array."""
        shard = shard or WholeShard(math.prod(e.shape))
        return shard.sum(xp.sum(self.vjp(xp, e, shard) * e_dot))[0]
