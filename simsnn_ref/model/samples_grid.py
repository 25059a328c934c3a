"""Which samples a model was fitted to: on which grid, that of all where some were held out, and of which RMS."""

from dataclasses import replace

import numpy as np

from simsnn_ref.backend import EPS
from simsnn_ref.io import FieldInfo
from simsnn_ref.model.model import Model
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["has_rms", "is_samples_grid", "samples_grid", "with_bounds_of"]

ROUNDING = 8.0
"""Bounds that differ by so many eps of the larger one are the same: one of them was computed from spacings."""

SAME = 1e-9
"""Relative difference up to which two RMS count as those of the same samples, summed in another order or precision."""


def has_rms(model: Model, size: float) -> bool:
    """Whether samples of RMS `size` can be those that the model was fitted to."""
    return abs(size - model.history.rms) <= SAME * model.history.rms


def samples_grid(model: Model, shape: tuple[int, ...]) -> Grid | Scatter:
    """The grid of the samples of this shape that the model was fitted to; its own where there can be none.

    Where every second sample was held out, the box of the model may end one spacing before that of the samples.
    """
    grid = model.grid
    if not isinstance(grid, Grid) or model.history.off_grid != "holdout" or len(shape) != grid.ndim:
        return grid
    axes = zip(grid.lower, grid.upper, grid.intervals, shape, grid.periodic, strict=True)
    upper = [
        hi if periodic or n - 1 == 2 * intervals else lo + (hi - lo) * (n - 1) / (2 * intervals)
        for lo, hi, intervals, n, periodic in axes
    ]
    return replace(grid, shape=shape, upper=tuple(upper))


def with_bounds_of(model: Model, where: Grid, info: FieldInfo | None) -> Grid:
    """The grid of samples with the bounds of the model's along axes that have no coordinate of their own.

    Coordinates go before the model's, so that samples from elsewhere do not pass for those that were fitted.

    Parameters
    ----------
    info : FieldInfo or None
        The description of the samples.
    """
    if where.ndim != model.grid.ndim:
        return where
    expected = samples_grid(model, where.shape)
    has_own = [info is not None and info.axes[axis].values is not None for axis in range(where.ndim)]
    bounds = [(where.lower, expected.lower), (where.upper, expected.upper)]
    lower, upper = (
        tuple(own if there else other for there, own, other in zip(has_own, *pair, strict=True)) for pair in bounds
    )
    return replace(where, lower=lower, upper=upper)


def is_samples_grid(model: Model, where: Grid | Scatter) -> bool:
    """Whether samples on `where` are those the model was fitted to, as far as their places tell.

    Scattered points have to be those of the model, without those that were held out.
    """
    if isinstance(where, Scatter) or isinstance(model.grid, Scatter):
        return where == model.grid
    expected = samples_grid(model, where.shape)
    halved = tuple((n + 1) // 2 for n in where.shape)
    is_whole = where.shape == model.grid.shape if model.history.off_grid != "holdout" else halved == model.grid.shape
    bounds = np.array([where.lower, where.upper]), np.array([expected.lower, expected.upper])
    slack = ROUNDING * EPS * np.max(np.abs(bounds[1]), axis=0)
    return is_whole and where.periodic == model.grid.periodic and bool(np.all(np.abs(bounds[0] - bounds[1]) <= slack))
