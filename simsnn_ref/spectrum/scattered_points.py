"""Scattered points in 1, 2 or 3 dimensions, rescaled to [-1, 1]^d: the domain of data that are on no grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from simsnn_ref.backend import EPS, host_array
from simsnn_ref.errors import DataError
from simsnn_ref.spectrum.grid import Box

__all__ = ["Scatter"]

ROUNDINGS = 4.0
"""Distance up to which two points are one place, in eps of the largest coordinate: each is rounded, and so are the
differences to the corner of the box."""


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

    def __repr__(self) -> str:
        return f"Scatter({self.size} points, box={self.box}, periodic={self.periodic})"

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
        """Raise DataError unless `u` has one value for each point."""
        if u.shape == self.shape:
            return
        text = f"values: shape {u.shape} does not match the {self.size} points, expected ({self.size},)"
        if u.size == self.size:
            text += "; give values.ravel(), in the order of the points"
        elif u.ndim == 2 and len(u) == self.size:
            text += "; the points come first, fit(points, values)"
        raise DataError(text)

    def first_at_place(self) -> np.ndarray:
        """Number of the first point that is at the same place as each point, to rounding; int64 of shape (n,).

        The two ends of a period are one place.

        Examples
        --------
        >>> Scatter([0.1 + 0.2, 0.7, 0.3, 1.0, 0.0], Box((0.0,), (1.0,)), periodic=True).first_at_place().tolist()
        [0, 1, 0, 3, 3]
        """
        lower, lengths, periodic = np.asarray(self.lower), np.asarray(self.box.lengths), np.asarray(self.periodic)
        places = (self.points - lower) / lengths
        places = np.where(periodic, np.mod(places, 1.0), places)
        rounding = ROUNDINGS * EPS * np.max(np.maximum(np.abs(lower), np.abs(self.upper)) / lengths)
        # Exact copies first, for n of them have n^2 pairs.
        places, copies = np.unique(places, axis=0, return_inverse=True)
        tree = cKDTree(places, boxsize=np.where(periodic, 1.0, 0.0))
        pairs = tree.query_pairs(float(rounding), p=np.inf, output_type="ndarray")
        linked = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(places),) * 2)
        _, labels = connected_components(linked, directed=False)
        _, first, inverse = np.unique(labels[copies.ravel()], return_index=True, return_inverse=True)
        return np.asarray(first[inverse], dtype=np.int64)


def _checked(values: Any) -> np.ndarray:
    """(n, d) in float64, which nobody else writes to."""
    points = host_array(values, "points")
    if points.dtype.kind not in "fiu":
        raise DataError(f"points: {points.dtype} values are not real coordinates")
    if np.ma.is_masked(points):
        row = int(np.argmax(np.any(np.ma.getmaskarray(points).reshape(len(points), -1), axis=1)))
        raise DataError(f"points: masked at row {row}; leave out the points whose place is not known")
    points = np.ma.getdata(points)
    is_constant = points.flags.owndata and not points.flags.writeable
    points = points.astype(np.float64, copy=not is_constant)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or not 1 <= points.shape[1] <= 3 or points.shape[0] == 0:
        raise DataError(f"points: shape {points.shape}, expected (n, d) with d = 1, 2 or 3{_hint(points.shape)}")
    # A mask of a model's points would take memory that reading them has not got (docs/format.md).
    if not np.all(np.isfinite([np.min(points), np.max(points)])):
        finite = np.all(np.isfinite(points), axis=1)
        raise DataError(f"points: not finite at row {int(np.argmin(finite))}")
    return points


def _hint(shape: tuple[int, ...]) -> str:
    """What to do about points of a wrong shape, where it is that of d rows, or of what meshgrid gives."""
    if len(shape) == 2 and shape[0] in (1, 2, 3):
        return "; these are rows of coordinates, give points.T"
    if len(shape) > 2 and shape[0] == len(shape) - 1:
        return (
            "; these are the coordinates of a grid: if it is uniform give the tuple of its axes, each of one dimension,"
            " else points.reshape(len(points), -1).T and values.ravel()"
        )
    if len(shape) > 2 and shape[-1] == len(shape) - 1:
        return f"; give points.reshape(-1, {shape[-1]}) and values.ravel(), or of a uniform grid the tuple of its axes"
    return ""


def _bounding_box(points: np.ndarray) -> Box:
    lower, upper = np.min(points, axis=0), np.max(points, axis=0)
    flat = lower == upper
    if np.any(flat):
        axis = int(np.argmax(flat))
        raise DataError(
            f"points: all have the same coordinate {lower[axis]:g} along axis {axis}; leave it out, or give a box"
        )
    return Box(tuple(lower.tolist()), tuple(upper.tolist()))
