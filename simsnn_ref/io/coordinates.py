"""From an array with labels to samples on a grid: the box that its coordinates span, and whether they are uniform."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from simsnn_ref.backend import host_array
from simsnn_ref.errors import DataError
from simsnn_ref.io.field_info import Attributes, Axis, FieldInfo, Scalar, default_info
from simsnn_ref.io.gaps import without_gaps
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


def on_grid(
    raw: Labelled, source: str, box: Box | None, periodic: bool | Sequence[bool], gaps: str = "fit"
) -> SampledField:
    """Check values and coordinates and make the grid that they are on.

    Parameters
    ----------
    raw : Labelled
    source : str
        Name of the file, or an empty text, for messages.
    box : Box or None
        The domain, in place of what the coordinates span.
    periodic : bool or sequence of d bools
        Whether an axis is periodic, its end left out.
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
    ends = tuple(map(bool, periodic)) if isinstance(periodic, Sequence) else (bool(periodic),)
    ends = ends * d if len(ends) == 1 else ends
    if len(ends) != d:
        raise DataError(f"periodic: {len(ends)} entries, but {where} has {d} axes")
    if box is not None and box.ndim != d:
        raise DataError(f"box: {d} axes need {2 * d} numbers, got {2 * box.ndim}")
    if labels is None:
        lower, upper = ((-1.0,), (1.0,)) if box is None else (box.lower, box.upper)
        values, filled = without_gaps(values, ends, where)
        notes += filled
        return SampledField(values, Grid(values.shape, lower, upper, ends), None, notes)
    bounds, axes, intervals, descending = [], [], [], []
    for i, (dim, n) in enumerate(zip(labels.dims, values.shape, strict=True)):
        given, attrs = labels.axes.get(dim, (None, {}))
        name = f"{source}: coordinate {dim}".removeprefix(": ")
        if given is not None and given.dtype.kind in "fiu" and given[-1] < given[0]:
            values, given = np.flip(values, axis=i), given[::-1]
            descending.append(i)
            notes.append(f"{name} descends; the field is fitted in ascending order, predictions have that of the input")
        coordinate = None
        if box is not None:
            bounds.append((box.lower[i], box.upper[i]))
        elif given is None:
            bounds.append((-1.0, 1.0))
            notes.append(f"{name} does not exist; the box is [-1, 1] there, or give one")
        else:
            coordinate, rounding = _uniform(given, name)
            length = (coordinate[-1] - coordinate[0]) * (n / (n - 1))
            end = _neat(float(coordinate[0] + length), rounding) if ends[i] else float(coordinate[-1])
            bounds.append((float(coordinate[0]), end))
            intervals.append(
                f"{dim} in [{bounds[-1][0]:.6g}, {bounds[-1][1]:.6g}{')' if ends[i] else ']'},"
                f" {'periodic with the end left out' if ends[i] else 'both ends included'}"
            )
        axes.append(Axis(dim, attrs, coordinate))
    if intervals:
        notes.append(f"{where}: {'; '.join(intervals)}; no file says what is periodic, --periodic does")
    grid = Grid(values.shape, tuple(lo for lo, _ in bounds), tuple(hi for _, hi in bounds), ends)
    for i in descending:
        known = axes[i].values
        axes[i] = replace(axes[i], values=(grid.axes()[i] if known is None else known)[::-1])
    info = FieldInfo(labels.name, tuple(axes), labels.attrs, labels.scalars, labels.dataset_attrs)
    values, filled = without_gaps(values, ends, where)
    notes += filled
    return SampledField(np.ascontiguousarray(values), grid, info, notes)


def on_axes(
    axes: tuple[Any, ...], values: Any, *, box: Box | None, periodic: bool | Sequence[bool], gaps: str = "fit"
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
