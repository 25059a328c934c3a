"""From an array with labels to samples on a grid: the box that its coordinates span, and whether they are uniform."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from simsnn_ref.backend import host_array
from simsnn_ref.errors import DataError
from simsnn_ref.io.field_info import Attributes, Axis, FieldInfo, Scalar, default_info
from simsnn_ref.io.gaps import lines_without_gaps, without_gaps
from simsnn_ref.io.periodicity import AxisPeriod, Periodic, find_period, per_axis
from simsnn_ref.io.samples import check_samples
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = ["ROUNDINGS", "Labelled", "Labels", "SampledField", "eps_of", "follows", "on_axes", "on_grid"]

ROUNDINGS = 4.0
"""Allowed error of a coordinate that follows a line, in eps of the largest: a rounding each of the coordinate, of both
ends and of the step that it was computed with. Those of linspace, arange and their like have 2 or 3."""

COARSEST = 0.125
"""Largest tolerance of a coordinate, in spacings."""

FEWEST_DECIMALS, MOST_DECIMALS = 0, 9
"""Decimals that coordinates are rounded to in files that people write."""

FEW_EPS = 1e-9
"""Rounding of the differences that are compared with one unit of the last decimal."""

CHANCE = 0.01
"""Rounding, in units of the last decimal, up to which a number that is one is so for a reason."""


class SampledField(NamedTuple):
    """A field as it was read.

    Attributes
    ----------
    values : ndarray of float64, of the shape of the grid, or (n,) at n scattered points
    where : Grid or Scatter
        Where the values are.
    info : FieldInfo or None
        What the field is called; None where the source holds nothing but values.
    notes : list of str
        What a user should know of how it was read.
    """

    values: np.ndarray
    where: Grid | Scatter
    info: FieldInfo | None
    notes: list[str]


@dataclass(frozen=True)
class Labels:
    """What a source calls a field and its coordinates, before these are looked at.

    Attributes
    ----------
    axes : dict of (ndarray, dict)
        Values and attributes of the coordinates that exist, by dimension.
    others
        Those of `FieldInfo`.
    """

    name: str
    dims: tuple[str, ...]
    axes: dict[str, tuple[np.ndarray, Attributes]]
    attrs: Attributes
    scalars: tuple[Scalar, ...]
    dataset_attrs: Attributes


@dataclass(frozen=True)
class Labelled:
    """Values as a source has them, with their labels where there are any, and notes on the reading."""

    values: np.ndarray
    labels: Labels | None
    notes: list[str] = field(default_factory=list)


def on_grid(raw: Labelled, source: str, box: Box | None, periodic: Periodic = None, gaps: str = "fit") -> SampledField:
    """Check values and coordinates and make the grid that they are on.

    Parameters
    ----------
    raw : Labelled
    source : str
        Name of the file, or an empty text, for messages.
    box : Box or None
        The domain, in place of what the coordinates span.
    periodic : bool or sequence of d bools, optional
        Whether an axis is periodic, its end left out; None, also for single axes, is found out by `find_period`.
    gaps : str, one of `GAPS`
        Whether missing values are filled or refused.

    Raises
    ------
    DataError
        If the values cannot be fitted, a coordinate is not uniform, or box or periodicity are of other dimensions.
    """
    labels = raw.labels
    where = source if labels is None else f"{source}: {labels.name}".removeprefix(": ")
    values, notes = check_samples(raw.values, where, gaps=gaps)
    notes = [*raw.notes, *notes]
    d = values.ndim
    asked = per_axis(periodic, d, where)
    if box is not None and box.ndim != d:
        raise DataError(f"box: {d} axes need {2 * d} numbers, got {2 * box.ndim}")
    dims = tuple(f"axis {i}" for i in range(d)) if labels is None else labels.dims
    axes: list[_Coordinate] = []
    for i, dim in enumerate(dims):
        axis = _coordinate(raw, source, dim)
        if axis.descends:
            values = np.flip(values, axis=i)
        if labels is not None and axis.values is None and box is None:
            notes.append(f"{axis.name} does not exist; the box is [-1, 1] there, or give one")
        notes += axis.notes
        axes.append(axis)
    ends, bounds = [], []
    for i, axis in enumerate(axes):
        found = find_period(lines_without_gaps(values, i), asked[i], axis.values, axis.attrs, axis.dim)
        if found.drops_end:
            kept = (*(slice(None),) * i, slice(None, -1))
            values = values[kept]
            axes[i] = axis.without_end()
        ends.append(found.repeats)
        bounds.append((box.lower[i], box.upper[i]) if box is not None else axes[i].bounds(values.shape[i], found))
        lower, upper = bounds[-1]
        notes.append(f"{axis.name} in [{lower:.6g}, {upper:.6g}{')' if found.repeats else ']'} {found.note}")
    grid = Grid(values.shape, tuple(lo for lo, _ in bounds), tuple(hi for _, hi in bounds), tuple(ends))
    values, filled = without_gaps(values, ends, where)
    notes += filled
    if labels is None:
        return SampledField(values, grid, None, notes)
    described = tuple(axis.described(grid.axes()[i], given=box is None) for i, axis in enumerate(axes))
    info = FieldInfo(labels.name, described, labels.attrs, labels.scalars, labels.dataset_attrs)
    return SampledField(np.ascontiguousarray(values), grid, info, notes)


@dataclass(frozen=True)
class _Coordinate:
    """The coordinate of an axis, ascending, or None where there is none, and how far it is rounded."""

    name: str
    dim: str
    attrs: Attributes
    values: np.ndarray | None = None
    rounding: float = 0.0
    descends: bool = False
    notes: tuple[str, ...] = ()

    def without_end(self) -> "_Coordinate":
        return self if self.values is None else replace(self, values=self.values[:-1])

    def bounds(self, n: int, found: AxisPeriod) -> tuple[float, float]:
        """The box along the axis, one spacing longer than the coordinate where the field repeats."""
        if self.values is None:
            return -1.0, 1.0
        first, last = float(self.values[0]), float(self.values[-1])
        if not found.repeats:
            return first, last
        if found.circle is not None:
            return first, first + found.circle
        return first, _neat(first + (last - first) * (n / (n - 1)), self.rounding)

    def described(self, on_grid: np.ndarray, *, given: bool) -> Axis:
        """For the model to keep, in the order of the input."""
        values = self.values if given else None
        if self.descends:
            values = (on_grid if values is None else values)[::-1]
        return Axis(self.dim, self.attrs, values)


def _coordinate(raw: Labelled, source: str, dim: str) -> _Coordinate:
    """What a source has of the coordinate of an axis.

    Raises
    ------
    DataError
        If it is not uniform.
    """
    if raw.labels is None:
        return _Coordinate(f"{source}: {dim}".removeprefix(": "), dim, {})
    given, attrs = raw.labels.axes.get(dim, (None, {}))
    name = f"{source}: coordinate {dim}".removeprefix(": ")
    if given is None:
        return _Coordinate(name, dim, attrs)
    descends = given.dtype.kind in "fiu" and bool(given[-1] < given[0])
    notes: tuple[str, ...] = ()
    if descends:
        given = given[::-1]
        notes = (f"{name} descends; the field is fitted in ascending order, predictions have that of the input",)
    values, rounding = _uniform(given, name)
    return _Coordinate(name, dim, attrs, values, rounding, descends, notes)


def on_axes(
    axes: tuple[Any, ...], values: Any, *, box: Box | None, periodic: Periodic, gaps: str = "fit"
) -> SampledField | None:
    """Values of d dimensions on the tensor product of d coordinate arrays, as `on_grid` has them; None unless they are.

    Raises
    ------
    DataError
        As for `on_grid`, and if the axes are of other lengths.
    """
    values = host_array(values, "u")
    if values.ndim != len(axes):
        return None
    coordinates = [host_array(axis, f"axis {i} of the grid") for i, axis in enumerate(axes)]
    if any(axis.ndim != 1 for axis in coordinates):
        return None
    if values.shape != tuple(map(len, coordinates)):
        lengths = ", ".join(str(len(axis)) for axis in coordinates)
        raise DataError(f"u: shape {values.shape} on axes of {lengths} points")
    described = default_info(values.ndim)
    named: dict[str, tuple[np.ndarray, Attributes]] = {
        name: (axis, {}) for name, axis in zip(described.dims, coordinates, strict=True)
    }
    labels = Labels(described.name, described.dims, named, {}, (), {})
    return on_grid(Labelled(values, labels), "", box, periodic, gaps)


def follows(coordinates: np.ndarray, line: np.ndarray) -> bool:
    """Whether coordinates are those of a line but for rounding: what every reader here takes for uniform.

    Parameters
    ----------
    coordinates, line : ndarray, shape (n,)
        Nothing follows a line of fewer than two points, or of another shape.

    Examples
    --------
    >>> follows(0.1 * np.arange(11), np.linspace(0.0, 1.0, 11))
    True
    >>> follows(np.asarray([0.0, 0.3333, 0.6667, 1.0]), np.linspace(0.0, 1.0, 4))
    True
    """
    return _rounding(coordinates, line) is not None


def _rounding(coordinates: np.ndarray, line: np.ndarray) -> float | None:
    """The least rounding that explains how far coordinates are from a line; None if none does.

    It is that of their type, of float32 if all of them are such numbers, or one unit of their last decimal: half of one
    for the coordinate, and as much for the ends of the line.
    """
    if line.shape != coordinates.shape or line.size < 2:
        return None
    values = coordinates.astype(np.float64)
    error, largest = float(np.max(np.abs(values - line))), float(np.max(np.abs(values)))
    # Rounding as large as the spacing would hide anything.
    most = COARSEST * float(np.abs(line[1] - line[0]))
    eps = [eps_of(coordinates)]
    with np.errstate(over="ignore"):
        if np.array_equal(values.astype(np.float32), values):
            eps.append(float(np.finfo(np.float32).eps))
    for each in eps:
        if error <= min(ROUNDINGS * each * largest, most):
            return ROUNDINGS * each * largest
    for decimals in range(FEWEST_DECIMALS, MOST_DECIMALS + 1):
        unit = 10.0**-decimals
        if max(eps) * largest < unit <= most and np.all(
            np.abs(np.round(values, decimals) - values) <= max(eps) * largest
        ):
            return unit if error <= unit * (1.0 + FEW_EPS) else None
    return None


def eps_of(coordinate: np.ndarray) -> float:
    """Unit of rounding of a coordinate's type; for integers that of float64, which they are taken as."""
    return float(np.finfo(coordinate.dtype if coordinate.dtype.kind == "f" else np.float64).eps)


def _neat(bound: float, rounding: float) -> float:
    """The decimal number of few places that a bound is but for rounding, 360 for 360.00000000000006; else the bound."""
    for decimals in range(FEWEST_DECIMALS, MOST_DECIMALS + 1):
        # By chance one bound in fifty is as close to so coarse a number.
        if CHANCE * 10.0**-decimals >= rounding and abs(round(bound, decimals) - bound) <= rounding:
            return round(bound, decimals)
    return bound


def _uniform(raw: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """An ascending coordinate in float64 with its rounding, or DataError if it is not uniform."""
    if raw.dtype.kind not in "fiu":
        raise DataError(f"{name} holds {raw.dtype}, not numbers or times; give a coordinate of numbers, or drop it")
    values = raw.astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise DataError(f"{name} is not finite at index {int(np.argmin(np.isfinite(values)))}")
    line = values[0] + (values[-1] - values[0]) * (np.arange(len(values)) / (len(values) - 1))
    rounding = _rounding(raw, line)
    if np.all(np.diff(values) > 0.0) and rounding is not None:
        return values, rounding
    worst = int(np.argmax(np.abs(values - line)))
    raise DataError(
        f"{name} is not uniform: {values[worst]:.10g} stands where {line[worst]:.10g} would; fit scattered points"
        " (--values or --coords), or give the box if it is meant to be uniform"
    )
