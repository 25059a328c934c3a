"""Where a model is evaluated: points, a grid or a tensor product of axes; which are outside its box; block by block."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.backend import EPS, Array, host_array
from simsnn_ref.errors import ConfigError, DataError, OutsideBoxWarning
from simsnn_ref.network import Network, block_map, extended_backend, network_map, tensor_map
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["OUTSIDE", "EvaluationPoints", "Where", "check_outside"]

Where: TypeAlias = "np.ndarray | Sequence[Sequence[float]] | Grid | tuple[np.ndarray, ...]"
"""Where to evaluate: points (n, d), a `Grid`, or a tuple of d coordinate arrays whose tensor product is meant."""

OUTSIDE = ("extrapolate", "nan", "error")
"""What is done with points outside the box of an axis that does not repeat."""

ROUNDING = 8.0
"""Points outside by so many eps of the larger bound are inside: ends that were computed are off by a few roundings."""

BLOCK_BYTES = 2**28
"""Memory of what the first layer gives: values of 1024 x 1024 points and 30 units in float64 are one block."""

SCATTERED_BLOCK = 2**14
"""Most scattered points in a block."""


def check_outside(outside: str) -> None:
    """Raise ConfigError unless `outside` is one of `OUTSIDE`."""
    if outside not in OUTSIDE:
        raise ConfigError(f"outside = {outside!r}: choose one of {', '.join(OUTSIDE)}")


@dataclass(frozen=True)
class EvaluationPoints:
    """Points of a shape, in the network's coordinates.

    Attributes
    ----------
    shape : tuple of int
    points : Grid, tuple of arrays, or array of shape (n, d)
        A grid on the model's box, axes of a tensor product, or points; scaled to [-1, 1]^d where they are inside.
    outside : ndarray of bool, shape `shape`, or None
        Where they are outside; None if nowhere.
    """

    shape: tuple[int, ...]
    points: Any
    outside: np.ndarray | None

    @classmethod
    def of(cls, where: Where, grid: Grid | Scatter, backend: Any, outside: str) -> "EvaluationPoints":
        """Check `where` for a model fitted on `grid`; `outside` is one of `OUTSIDE`.

        Raises
        ------
        DataError
            If the points have the wrong dimension or are not finite, or are outside where that is an error.
        ConfigError
            If `outside` is none of `OUTSIDE`.
        """
        check_outside(outside)
        if not isinstance(where, Grid | tuple):
            points, eps = _points(where, grid.ndim)
            masks = [_mask(x, grid, axis, eps) for axis, x in enumerate(points.T)]
            is_outside = _handle(masks, reduce(np.logical_or, masks), list(points.T), grid, outside)
            return cls((len(points),), grid.box.to_scaled(_wide(points, backend)), is_outside)
        if isinstance(where, Grid):
            axes = where.axes()
        else:
            axes = tuple(host_array(axis, "where").astype(np.float64) for axis in where)
        if len(axes) != grid.ndim or any(axis.ndim != 1 or not np.all(np.isfinite(axis)) for axis in axes):
            raise DataError(f"where: expected {grid.ndim} one-dimensional arrays of finite coordinates")
        shape = tuple(axis.shape[0] for axis in axes)
        if isinstance(where, Grid) and where.box == grid.box:
            return cls(shape, where, None)
        masks = [_mask(x, grid, axis, EPS) for axis, x in enumerate(axes)]
        anywhere = reduce(np.logical_or, np.meshgrid(*masks, indexing="ij", sparse=True))
        is_outside = _handle(masks, anywhere, axes, grid, outside)
        bounds = zip(axes, grid.lower, grid.box.lengths, strict=True)
        scaled = tuple(2.0 * ((_wide(axis, backend) - lo) / length) - 1.0 for axis, lo, length in bounds)
        return cls(shape, scaled, is_outside)

    @property
    def is_scattered(self) -> bool:
        return not isinstance(self.points, Grid | tuple)

    def blocks(self, bytes_per_point: int) -> Iterator[tuple[slice, ...]]:
        """Blocks that make up the shape, in C order, of at most `BLOCK_BYTES`."""
        most = max(1, BLOCK_BYTES // bytes_per_point)
        lengths = list(self.shape)
        if self.is_scattered:
            most = min(most, SCATTERED_BLOCK)
        while math.prod(lengths) > most:
            longest = lengths.index(max(lengths))
            lengths[longest] = -(-lengths[longest] // 2)
        counts = [-(-n // length) if length else 0 for n, length in zip(self.shape, lengths, strict=True)]
        for number in np.ndindex(*counts):
            yield tuple(slice(i * length, (i + 1) * length) for i, length in zip(number, lengths, strict=True))

    def feature_map(self, network: Network, block: tuple[slice, ...], backend: Any) -> Any:
        """The feature map for `network` at the points of a block."""
        if isinstance(self.points, Grid):
            is_whole = all(cut.stop >= n for cut, n in zip(block, self.shape, strict=True)) and not any(
                cut.start for cut in block
            )
            if is_whole:
                return network_map(network, self.points, backend)
            return block_map(network, self.points, block, backend)
        if isinstance(self.points, tuple):
            return tensor_map(network, [axis[cut] for axis, cut in zip(self.points, block, strict=True)], backend)
        return network_map(network, backend.asarray(self.points[block[0], :]), backend)


def _points(where: Any, ndim: int) -> tuple[np.ndarray, float]:
    """Points of shape (n, d) in float64, or long double if they are, and the eps of the type they came in."""
    points = host_array(where, "points")
    if points.dtype.kind not in "fiu":
        raise DataError(f"points: {points.dtype} values are not real coordinates")
    eps = max(EPS, float(np.finfo(points.dtype).eps)) if points.dtype.kind == "f" else EPS
    points = np.ma.filled(points.astype(np.promote_types(points.dtype, np.float64)), np.nan)
    if points.ndim == 1 and ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != ndim:
        raise DataError(f"points: shape {points.shape}, expected (n, {ndim})")
    if not np.all(np.isfinite(points)):
        raise DataError(f"points: not finite at row {int(np.argmin(np.all(np.isfinite(points), axis=1)))}")
    return points, eps


def _wide(coordinates: np.ndarray, backend: Any) -> Array:
    """Host coordinates in the precision of `backend`."""
    is_extended = type(backend) is type(extended_backend())
    return backend.asarray(coordinates) if is_extended else coordinates.astype(np.float64)


def _mask(x: np.ndarray, grid: Grid | Scatter, axis: int, eps: float) -> np.ndarray:
    """Which coordinates along an axis are outside."""
    if grid.periodic[axis]:
        return np.zeros(x.shape, dtype=bool)
    lower, upper = grid.lower[axis], grid.upper[axis]
    slack = ROUNDING * eps * max(abs(lower), abs(upper))
    return (x < lower - slack) | (x > upper + slack)


def _handle(
    masks: Sequence[np.ndarray],
    is_outside: np.ndarray,
    coordinates: Sequence[np.ndarray],
    grid: Grid | Scatter,
    outside: str,
) -> np.ndarray | None:
    """Warn or raise for the points outside; which they are, or None if there are none."""
    count = int(np.sum(is_outside))
    if count == 0:
        return None
    axis = next(axis for axis, mask in enumerate(masks) if np.any(mask))
    lower, upper = grid.lower[axis], grid.upper[axis]
    first = float(coordinates[axis][masks[axis]][0])
    text = (
        f"{count} of {is_outside.size} points are outside the box of the fit, the first at {first:.10g} on axis {axis},"
        f" [{lower:.10g}, {upper:.10g}], which does not repeat"
    )
    if outside == "error":
        raise DataError(f"points: {text}")
    if outside == "extrapolate":
        text += "; values there are extrapolated, and no error of the fit speaks of them"
    # The caller of the model's method.
    warnings.warn(f"{text} (outside: {', '.join(OUTSIDE)})", OutsideBoxWarning, stacklevel=5)
    return is_outside
