"""The field as the fit sees it: values in extended precision on the grid it trains on, of which the samples are a part.

In mode paper that is the grid of the samples. In mode accurate it is finer, so that what the network does between the
samples is seen and trained: samples that repeat along every axis are known there by trigonometric interpolation, other
samples by that of `GridInterpolant`, functions by evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.io import sample_function
from simsnn_ref.model import FitConfig
from simsnn_ref.network import extended_backend, interpolated
from simsnn_ref.spectrum import Grid, GridInterpolant, Scatter

__all__ = ["TrainingSet", "at_samples_only", "finer", "rounding_of", "training_grid", "training_set"]

MAX_POINTS = 2**18
"""A function is sampled up to 4 times as finely as asked, and `finer`, as long as this many training points are not
exceeded."""

MAX_ALONG = 2**12
"""Points along an axis that is not periodic: the modes of the extended box are found by dense least squares."""


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
        The function the samples were taken from, or their interpolant.
    """
    if isinstance(grid, Scatter):
        return at_samples_only(samples, grid)
    factor = _refinement(grid, target is not None, config)
    if target is not None:
        return _sampled(target, grid, factor)
    # Samples that neither repeat nor have an interpolant are all the same.
    if factor == 1 or not all(grid.periodic):
        return at_samples_only(samples, grid)
    return TrainingSet(grid.refined(factor), _interpolated(samples, grid, factor), factor)


def at_samples_only(samples: np.ndarray, grid: Grid | Scatter) -> TrainingSet:
    """The samples and nothing between them."""
    return TrainingSet(grid, extended_backend().asarray(samples), 1)


def training_grid(grid: Grid, is_function: bool, config: FitConfig) -> Grid:
    """The grid of the first stage, of which the samples are a part."""
    factor = _refinement(grid, is_function, config)
    return grid if factor == 1 else grid.refined(factor)


def _refinement(grid: Grid, is_function: bool, config: FitConfig) -> int:
    """Training points per sample along each axis."""
    if config.mode == "paper":
        return 1
    if config.sampling.refine:
        return config.sampling.refine
    if not is_function and all(grid.periodic):
        return 2
    return next((factor for factor in (4, 3) if grid.refined(factor).size <= MAX_POINTS), 2)


def finer(training: TrainingSet, grid: Grid, target: Callable[[np.ndarray], Any]) -> TrainingSet | None:
    """A function on a grid twice as fine as that of `training`; None where that has too many points.

    Parameters
    ----------
    grid : Grid
        That of the samples.
    """
    fine = grid.refined(2 * training.stride)
    bounded = (n for n, periodic in zip(fine.shape, fine.periodic, strict=True) if not periodic)
    if fine.size > MAX_POINTS or max(bounded, default=0) > MAX_ALONG:
        return None
    return _sampled(target, grid, 2 * training.stride)


def rounding_of(values: Array) -> float:
    """What the values resolve, relative to their own size: some eps of the type that they came in."""
    wide = np.asarray(values)
    rounded = wide.astype(np.float64)
    dtype = np.float64 if np.array_equal(wide, rounded) else wide.dtype
    return 8.0 * float(np.finfo(dtype).eps)


def _sampled(target: Callable[[np.ndarray], Any], grid: Grid, factor: int) -> TrainingSet:
    fine = grid.refined(factor)
    if isinstance(target, GridInterpolant):
        return TrainingSet(fine, extended_backend().asarray(target.on(fine)), factor)
    points = grid.box.to_physical(fine.scaled_points(np.longdouble))
    values = sample_function(target, points, extended=True).reshape(fine.shape)
    return TrainingSet(fine, extended_backend().asarray(values), factor)


def _interpolated(samples: np.ndarray, grid: Grid, factor: int) -> Array:
    extended = extended_backend()
    u = extended.asarray(samples)
    values = extended.asarray(np.zeros(grid.refined(factor).shape))
    for corner in product(range(factor), repeat=grid.ndim):
        moved = interpolated(u, grid, [Fraction(c, factor) for c in corner]) if any(corner) else u
        values[tuple(slice(c, None, factor) for c in corner)] = moved
    return values
