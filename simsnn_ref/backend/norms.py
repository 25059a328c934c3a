"""Norms of a field, over all points, scaled so that they neither overflow nor underflow."""

import math
from types import ModuleType
from typing import Any

from simsnn_ref.backend.processes import WholeShard
from simsnn_ref.backend.protocol import Array, Shard

__all__ = ["largest", "rms"]


def largest(xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> float:
    """The largest |e_i| over all points; of a complex step the largest |Re e_i|."""
    shard = shard or WholeShard(math.prod(e.shape))
    magnitude = xp.abs(xp.real(e)) if xp.isdtype(e.dtype, "complex floating") else xp.abs(e)
    return shard.max(float(xp.max(magnitude)))


def rms(xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> float:
    """Root mean square s (1/n sum_i (e_i / s)^2)^(1/2) over all n points, with s = max|e|.

    `e` is that of all points, or of the part that `shard` describes.
    """
    shard = shard or WholeShard(math.prod(e.shape))
    scale = largest(xp, e, shard)
    r = e / scale if scale > 0.0 else e
    [mean] = shard.sum(xp.sum(r * r / shard.n_total))
    return scale * math.sqrt(float(mean))
