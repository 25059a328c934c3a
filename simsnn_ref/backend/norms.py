"""Norms of a vector over all points, which neither overflow nor underflow: they are taken of e / max|e|.

A vector is that of all points, or the part of them that a shard describes.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np

from simsnn_ref.backend.processes import WholeShard
from simsnn_ref.backend.protocol import Array, Shard

__all__ = ["binary_scale", "largest", "rms"]


def largest(xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> float:
    """Return the maximum norm max_i |e_i|; of a complex e, as a complex step has it, max_i |Re e_i|."""
    shard = shard or WholeShard(math.prod(e.shape))
    magnitude = xp.abs(xp.real(e)) if xp.isdtype(e.dtype, "complex floating") else xp.abs(e)
    return shard.max(float(xp.max(magnitude)))


def rms(xp: ModuleType | Any, e: Array, shard: Shard | None = None) -> float:
    """Return the root mean square s (1/n sum_i (e_i / s)^2)^(1/2) over all n points, with s = max_i |e_i|.

    Parameters
    ----------
    xp : module
        Array API namespace of `e`.
    e : Array of float64
        Values at the points.
    shard : Shard, optional
        Points that `e` belongs to; all of them by default.

    >>> import numpy as np
    >>> rms(np, np.array([1e300, -1e300, 1e300]))
    1e+300
    """
    shard = shard or WholeShard(math.prod(e.shape))
    scale = largest(xp, e, shard)
    r = e / scale if scale > 0.0 else e
    [mean] = shard.sum(xp.sum(r * r / shard.n_total))
    return scale * math.sqrt(float(mean))


def binary_scale(values: np.ndarray) -> float:
    """A power of two above the largest |value|, NaN apart: dividing by it loses no bit, and squares are in range.

    >>> binary_scale(np.asarray([3.0, -5.0, np.nan]))
    8.0
    """
    return 2.0 ** math.frexp(float(np.nanmax(np.abs(values))))[1]
