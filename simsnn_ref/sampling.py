"""The field as the fit sees it: values in extended precision on the grid it trains on, of which the samples are a part.

In mode paper that is the grid of the samples. In mode accurate it is finer wherever the field is known between the
samples, so that what the network does there is seen and trained: periodic samples by trigonometric interpolation,
functions by evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.config import FitConfig
from simsnn_ref.data import sample_function
from simsnn_ref.grid import Grid
from simsnn_ref.precision import extended_backend, interpolated
from simsnn_ref.scatter import Scatter

__all__ = ["TrainingSet", "refinement", "training_set"]

MAX_POINTS = 2**18
"""A function is sampled up to 4 times as finely as asked as long as this many training points are not exceeded."""


@dataclass(frozen=True)
class TrainingSet:
    """Values of the field on `grid` in extended precision; every `stride`-th point along each axis is a sample.

    Scattered points are all samples: `grid` is then the points.
    """

    grid: Grid | Scatter
    values: Array
    stride: int

    def at_samples(self, field: Array) -> Array:
        """The entries of a field on the training grid that belong to the samples."""
        return field[(slice(None, None, self.stride),) * len(field.shape)]


def training_set(
    samples: np.ndarray, grid: Grid | Scatter, target: Callable[[np.ndarray], Any] | None, config: FitConfig
) -> TrainingSet:
    """Choose the training grid and fill it.

    Parameters
    ----------
    samples : ndarray of float64, shape grid.shape
    target : callable, optional
        The function the samples were taken from.
    """
    asarray = extended_backend().asarray
    if isinstance(grid, Scatter):
        return TrainingSet(grid, asarray(samples), 1)
    factor = refinement(grid, target is not None, config)
    if target is not None:
        fine = grid.refined(factor)
        points = grid.box.to_physical(fine.scaled_points(np.longdouble))
        values = sample_function(target, points, extended=True).reshape(fine.shape)
        return TrainingSet(fine, asarray(values), factor)
    if factor == 1:
        return TrainingSet(grid, asarray(samples), 1)
    return TrainingSet(grid.refined(factor), _interpolated(samples, grid, factor), factor)


def refinement(grid: Grid, is_function: bool, config: FitConfig) -> int:
    """Training points per sample along each axis."""
    if config.mode == "paper" or not (is_function or all(grid.periodic)):
        return 1
    if config.refine:
        return config.refine
    if not is_function:
        return 2
    return next((factor for factor in (4, 3) if grid.refined(factor).size <= MAX_POINTS), 2)


def _interpolated(samples: np.ndarray, grid: Grid, factor: int) -> Array:
    extended = extended_backend()
    u = extended.asarray(samples)
    values = extended.asarray(np.zeros(grid.refined(factor).shape))
    for corner in product(range(factor), repeat=grid.ndim):
        moved = interpolated(u, grid, [Fraction(c, factor) for c in corner]) if any(corner) else u
        values[tuple(slice(c, None, factor) for c in corner)] = moved
    return values
