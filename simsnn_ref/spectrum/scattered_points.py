"""Scattered points in 1, 2 or 3 dimensions, rescaled to [-1, 1]^d: the domain of data that are on no grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.spectrum.grid import Box

__all__ = ["Scatter"]


@dataclass(frozen=True, eq=False)
class Scatter:
    """Points at arbitrary places of a box.

    Parameters
    ----------
    points : array_like of shape (n, d), or (n,) in one dimension
        Physical coordinates, kept in float64: in a copy, unless they are that already and read-only.
    box : Box, optional
        The domain; the bounding box of the points by default. A periodic axis needs it: its length is the period.
    periodic : bool or sequence of d bools, optional
        Per axis, False by default.

    Raises
    ------
    DataError
        If the points are not n rows of 1 to 3 finite coordinates, lie outside the box or have no extent along an axis.
    """

    points: np.ndarray
    box: Box
    periodic: tuple[bool, ...]

    def __init__(self, points: Any, box: Box | None = None, periodic: bool | Sequence[bool] = False) -> None:
        points = _checked(points)
        n, d = points.shape
        periodic = tuple(map(bool, periodic)) if isinstance(periodic, Sequence) else (bool(periodic),)
        periodic = periodic * d if len(periodic) == 1 else periodic
        if len(periodic) != d:
            raise DataError(f"periodic: {len(periodic)} entries for {d} dimensions")
        if box is None and any(periodic):
            raise DataError("box: periodic points need one, its length is the period")
        box = _bounding_box(points) if box is None else box
        if box.ndim != d:
            raise DataError(f"box: {box.ndim} dimensions, but the points have {d}")
        if np.any(np.min(points, axis=0) < box.lower) or np.any(np.max(points, axis=0) > box.upper):
            outside = np.any((points < np.asarray(box.lower)) | (points > np.asarray(box.upper)), axis=1)
            row = int(np.argmax(outside))
            raise DataError(
                f"points: row {row}, {points[row].tolist()}, is outside the box"
                f" ({np.count_nonzero(outside)} of {n} points are)"
            )
        points.setflags(write=False)
        for name, value in (("points", points), ("box", box), ("periodic", periodic)):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Scatter)
            and (self.box, self.periodic) == (other.box, other.periodic)
            and np.array_equal(self.points, other.points)
        )

    __hash__ = None  # type: ignore[assignment]  # an array decides equality

    def __str__(self) -> str:
        return f"{self.size} scattered points of [{self.lower}, {self.upper}]"

    @property
    def ndim(self) -> int:
        return int(self.points.shape[1])

    @property
    def size(self) -> int:
        """Number of points."""
        return int(self.points.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a field at the points."""
        return (self.size,)

    @property
    def lower(self) -> tuple[float, ...]:
        return self.box.lower

    @property
    def upper(self) -> tuple[float, ...]:
        return self.box.upper

    def subset(self, chosen: np.ndarray) -> "Scatter":
        """Some of the points, by number or mask, in the same box."""
        return Scatter(self.points[chosen], self.box, self.periodic)

    def check_values(self, u: np.ndarray) -> None:
        """Raise DataError unless `u` has one value for each point, the same where points coincide."""
        if u.shape != self.shape:
            raise DataError(f"values: shape {u.shape} does not match the {self.size} points, expected ({self.size},)")
        # The two ends of a period are one place.
        wraps = np.asarray(self.periodic) & (self.points == np.asarray(self.upper))
        places = np.where(wraps, np.asarray(self.lower), self.points)
        order = np.lexsort((u, *places.T))
        same = np.all(places[order[1:]] == places[order[:-1]], axis=1) & (u[order[1:]] != u[order[:-1]])
        if np.any(same):
            where = int(np.argmax(same))
            first, second = sorted((int(order[where]), int(order[where + 1])))
            raise DataError(
                f"points: rows {first} and {second} are the same point with different values,"
                f" {u[first]:.17g} and {u[second]:.17g}"
            )


def _checked(values: Any) -> np.ndarray:
    """(n, d) in float64, which nobody else writes to."""
    try:
        points = np.asarray(values)
    except ValueError as error:
        raise DataError("points: not a rectangular array of numbers") from error
    if points.dtype.kind not in "fiu":
        raise DataError(f"points: {points.dtype} values are not real coordinates")
    is_constant = points.flags.owndata and not points.flags.writeable
    points = points.astype(np.float64, copy=not is_constant)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or not 1 <= points.shape[1] <= 3 or points.shape[0] == 0:
        raise DataError(f"points: shape {np.shape(values)}, expected (n, d) with d = 1, 2 or 3")
    # A mask of a model's points would take memory that reading them has not got (docs/format.md).
    if not np.all(np.isfinite([np.min(points), np.max(points)])):
        finite = np.all(np.isfinite(points), axis=1)
        raise DataError(f"points: not finite at row {int(np.argmin(finite))}")
    return points


def _bounding_box(points: np.ndarray) -> Box:
    lower, upper = np.min(points, axis=0), np.max(points, axis=0)
    flat = lower == upper
    if np.any(flat):
        axis = int(np.argmax(flat))
        raise DataError(
            f"points: all have the same coordinate {lower[axis]:g} along axis {axis}; leave it out, or give a box"
        )
    return Box(tuple(lower.tolist()), tuple(upper.tolist()))
