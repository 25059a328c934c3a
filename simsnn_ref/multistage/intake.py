"""The intake: what `fit` is given becomes values, where they are, what they are called, and notes.

Nothing else looks at what the user gave.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.io import (
    FieldInfo,
    Labelled,
    Periodic,
    check_grid,
    check_samples,
    check_scattered,
    is_dataarray,
    on_axes,
    on_grid,
    read_dataarray,
    refuse_dataset,
    sample_function,
    seam_notes,
    without_gaps,
)
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = ["DEFAULT_SIZE", "FieldData", "take_in"]

DEFAULT_SIZE = {1: 256, 2: 64, 3: 32}
"""Samples per axis, by dimension, of a function given with a box only."""


@dataclass(frozen=True)
class FieldData:
    """A field to be fitted.

    Attributes
    ----------
    samples : ndarray of float64
        Of the grid's shape, or (n,) at scattered points.
    grid : Grid or Scatter
        Where the samples are.
    function : callable or None
        The function they were taken from.
    info : FieldInfo or None
        What the field is called and measured in.
    notes : tuple of str
        What was converted on the way.
    """

    samples: np.ndarray
    grid: Grid | Scatter
    function: Callable[[np.ndarray], Any] | None = None
    info: FieldInfo | None = None
    notes: tuple[str, ...] = ()


def take_in(
    u: Any,
    grid: Any = None,
    *,
    box: Box | None = None,
    periodic: Periodic = None,
    info: FieldInfo | None = None,
    gaps: str = "fit",
) -> FieldData:
    """Check what `simsnn_ref.fit` was given and make float64 samples of it.

    Parameters
    ----------
    u, grid, box, periodic, gaps
        As for `simsnn_ref.fit`.
    info : FieldInfo, optional
        Takes precedence over that of a DataArray.

    Raises
    ------
    DataError
        If the samples cannot be fitted, or do not go with the grid, the box or each other.
    """
    refuse_dataset(u)
    read = None
    if grid is None and is_dataarray(u):
        read = read_dataarray(u, box=box, periodic=periodic, gaps=gaps)
    elif isinstance(u, tuple) and not isinstance(grid, Grid | Box | Scatter):
        read = on_axes(u, grid, box=box, periodic=periodic, gaps=gaps)
    elif grid is None and not callable(u):
        read = on_grid(Labelled(u, None), "u", box, periodic, gaps)
    if read is not None:
        return FieldData(read.values, read.where, None, info or read.info, tuple(read.notes))
    if grid is not None and not isinstance(grid, Grid | Box | Scatter):
        # fit(points, values)
        ends = tuple(map(bool, periodic)) if isinstance(periodic, Sequence) else bool(periodic)
        u, grid, box = grid, Scatter(u, box, ends), None
    elif box is not None or periodic is not None:
        raise DataError("box, periodic: a Grid has its own; these describe samples or points that come without one")
    if callable(u):
        return _of_function(u, grid, info)
    return _of_samples(u, grid, info, gaps)


def _of_function(function: Callable[[np.ndarray], Any], grid: Any, info: FieldInfo | None) -> FieldData:
    if isinstance(grid, Scatter):
        raise DataError("values: a function is fitted on a Grid or a Box, points need an array of values")
    if isinstance(grid, Box):
        size = DEFAULT_SIZE.get(grid.ndim, 0)
        grid = Grid((size,) * grid.ndim, grid.lower, grid.upper, periodic=(False,))
    if grid is None:
        raise DataError("grid: a function needs a Grid or a Box to be sampled on")
    samples, notes = check_samples(sample_function(function, grid.points()).reshape(grid.shape))
    return FieldData(samples, grid, function, info, (*notes, *seam_notes(samples, grid.periodic)))


def _of_samples(u: Any, grid: Any, info: FieldInfo | None, gaps: str) -> FieldData:
    if isinstance(grid, Box):
        raise DataError(
            "grid: samples need a Grid (which says whether they are periodic), a Box serves a function only"
        )
    if isinstance(grid, Scatter):
        samples, grid, notes = check_scattered(u, grid, gaps=gaps)
        return FieldData(samples, grid, None, info, tuple(notes))
    samples, notes = check_samples(u, gaps=gaps)
    check_grid(samples, grid)
    samples, filled = without_gaps(samples, grid.periodic, "u")
    return FieldData(samples, grid, None, info, (*notes, *filled, *seam_notes(samples, grid.periodic)))
