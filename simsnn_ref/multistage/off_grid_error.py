"""The error between the training points, measured for every stage in extended precision.

========================  =======================================================================================
interpolation             periodic samples: trigonometric interpolation half way between the training points
random                    a function: its values at random points of the box (of a periodic one: at copies of the
                          training grid with random offsets)
holdout                   samples: training sees every second one along each axis, the others are validation points; of
                          scattered points a random tenth is
========================  =======================================================================================
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend, rms
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.io import LEAST_SAMPLES, sample_function
from simsnn_ref.model import ErrorSample, FitConfig, Stage
from simsnn_ref.multistage.sampling import TrainingSet
from simsnn_ref.network import (
    evaluate_extended,
    extend,
    extended_backend,
    interpolated,
    scaled_points,
)
from simsnn_ref.spectrum import Grid, GridInterpolant, Scatter

__all__ = ["OffGridError", "choose_off_grid", "hold_out", "hold_out_points", "sample_errors"]

RANDOM_COPIES = 2
"""Copies of a periodic grid, each at an offset of its own, at which a function checks the fit."""

LEAST_OFFSET, LARGEST_OFFSET = 0.1, 0.9
"""Offsets of these copies in grid spacings: nearer to the training points the error is that at them."""


@dataclass(frozen=True)
class _PointSet:
    """Some of the validation points: those of `where`, moved by `delta`, and what is left of the field there."""

    where: Grid | Array
    delta: Array
    values: Array
    residue: Array

    def points(self, chosen: np.ndarray) -> Array:
        """Some of the points, by number, in [-1, 1]^d and extended precision."""
        points = scaled_points(self.where, chosen) if isinstance(self.where, Grid) else self.where[chosen]
        return points + self.delta

    def minus(self, stage: Stage, backend: Backend) -> "_PointSet":
        network, params = extend(stage.network, stage.params, backend)
        u_s = evaluate_extended(network, network.shifted(params, self.delta), self.where, backend.processes)
        return replace(self, residue=self.residue - stage.eps * u_s)


@dataclass(frozen=True)
class OffGridError:
    """What the stages so far leave of the field at points that training never sees.

    Attributes
    ----------
    method : str
        How the points and the values there are come by, for the record.
    point_sets : tuple
        The points, and the field's values there in extended precision; none where nothing is measured.
    backend : Backend
        Whose arrays the parameters of the stages are.
    """

    method: str
    point_sets: tuple[_PointSet, ...]
    backend: Backend

    def minus(self, stage: Stage) -> "OffGridError":
        """The error with one stage more."""
        return replace(self, point_sets=tuple(part.minus(stage, self.backend) for part in self.point_sets))

    def errors(self) -> tuple[float, float] | None:
        """RMS and largest absolute value of the residue; None if it is not measured."""
        if not self.point_sets:
            return None
        residue = np.concatenate([np.asarray(part.residue) for part in self.point_sets])
        return rms(np, residue), float(np.max(np.abs(residue)))

    def sample(self, n: int, rng: np.random.Generator) -> ErrorSample | None:
        """The error at `n` random points and at the worst one; None if nothing is measured."""
        if not self.point_sets:
            return None
        samples = [
            sample_errors(part.points, part.values, part.residue, -(-n // len(self.point_sets)), rng)
            for part in self.point_sets
        ]
        concat = extended_backend().xp.concat
        return ErrorSample(
            concat([sample.points for sample in samples]),
            concat([sample.values for sample in samples]),
            concat([sample.residue for sample in samples]),
            np.concatenate([sample.random for sample in samples]),
        )


def sample_errors(
    points: Callable[[np.ndarray], Array],
    values: Array,
    residue: Array,
    n: int,
    rng: np.random.Generator,
) -> ErrorSample:
    """`n` random entries of `residue` and the one of largest absolute value, with their points and values."""
    chosen = np.append(rng.integers(0, residue.size, n), np.argmax(np.abs(np.asarray(residue))))
    return ErrorSample(points(chosen), values[chosen], residue[chosen], np.arange(n + 1) < n)


def choose_off_grid(
    config: FitConfig,
    training: TrainingSet,
    target: Callable[[np.ndarray], Any] | None,
    held_out: tuple[np.ndarray, np.ndarray] | None,
    backend: Backend | None = None,
) -> OffGridError:
    """The error between the points by the method that `config.sampling.off_grid` names, or by the best for these data.

    Parameters
    ----------
    target : callable, optional
        The function the samples were taken from, or their interpolant.
    held_out : pair of ndarrays, optional
        Physical points (n, d) and values (n,) from `hold_out`.
    backend : Backend, optional
        Whose arrays the parameters of the stages will be; NumPy's by default.

    Raises
    ------
    ConfigError
        If the method does not fit the data.
    """
    method, grid = config.sampling.off_grid, training.grid
    backend = NumpyBackend() if backend is None else backend
    if isinstance(grid, Scatter):
        if held_out is None:
            return OffGridError("none", (), backend)
        return OffGridError("holdout", (_scattered(*held_out, grid),), backend)
    is_function = target is not None and not isinstance(target, GridInterpolant)
    if method == "auto":
        is_known = target is not None or all(grid.periodic)
        method = "random" if is_function else "interpolation" if is_known else "none"
    point_sets: list[_PointSet] = []
    if method == "random" or (method == "interpolation" and target is not None and not all(grid.periodic)):
        if target is None or (method == "random" and not is_function):
            raise ConfigError(
                "off_grid = 'random' needs a function as target; samples take 'interpolation' or 'holdout'"
            )
        point_sets = _random(config, grid, target)
    elif method == "holdout" and held_out is not None:
        point_sets = [_scattered(*held_out, grid)]
    elif method == "interpolation":
        for corner in list(product((0, 1), repeat=grid.ndim))[1:]:
            between = interpolated(training.values, grid, [Fraction(c, 2) for c in corner])
            delta = extended_backend().asarray(np.asarray(corner, dtype=np.float64)) / grid.shape
            point_sets.append(_point_set(grid, delta, between.ravel()))
    return OffGridError(method, tuple(point_sets), backend)


def _random(config: FitConfig, grid: Grid, target: Callable[[np.ndarray], Any]) -> list[_PointSet]:
    """Random points: copies of a periodic grid at random offsets, which the fft map reaches, else scattered ones."""
    rng = np.random.default_rng([config.run.seed, 0])
    if not all(grid.periodic):
        points = rng.uniform(grid.lower, grid.upper, (config.sampling.off_grid_points, grid.ndim))
        return [_scattered(points, sample_function(target, points, extended=True), grid)]
    point_sets, asarray = [], extended_backend().asarray
    for _ in range(RANDOM_COPIES):
        cells = rng.uniform(LEAST_OFFSET, LARGEST_OFFSET, grid.ndim)
        delta = asarray(2 * cells) / grid.shape
        points = grid.box.to_physical(grid.scaled_points(np.longdouble) + np.asarray(delta))
        point_sets.append(_point_set(grid, delta, asarray(sample_function(target, points, extended=True))))
    return point_sets


def _scattered(points: np.ndarray, values: np.ndarray, grid: Grid | Scatter) -> _PointSet:
    asarray = extended_backend().asarray
    return _point_set(grid.box.to_scaled(asarray(points)), asarray(np.zeros(grid.ndim)), asarray(values))


def _point_set(where: Grid | Array, delta: Array, values: Array) -> _PointSet:
    return _PointSet(where, delta, values, values)


HELD_OUT = 0.1
"""Share of scattered points that are validation points."""


def hold_out_points(
    u: np.ndarray, scatter: Scatter, config: FitConfig
) -> tuple[np.ndarray, Scatter, tuple[np.ndarray, np.ndarray] | None]:
    """Split scattered points: a random tenth, drawn with the seed, unless `config.sampling.off_grid` is ``none``.

    Returns
    -------
    u, scatter
        What is left to train on.
    held_out : pair of ndarrays or None
        Physical points (n, d) and values (n,).

    Raises
    ------
    ConfigError
        If `config.sampling.off_grid` names a method for grids.
    DataError
        If too few points are left.
    """
    if config.sampling.off_grid not in ("auto", "holdout", "none"):
        raise ConfigError(
            f"off_grid = {config.sampling.off_grid!r} needs a grid or a function; points take 'holdout' or 'none'"
        )
    n_held = 0 if config.sampling.off_grid == "none" else math.ceil(HELD_OUT * scatter.size)
    if scatter.size - n_held < LEAST_SAMPLES:
        raise DataError(
            f"points: {scatter.size} of them, {n_held} held out, are too few to fit; at least {LEAST_SAMPLES} train"
        )
    if n_held == 0:
        return u, scatter, None
    order = np.random.default_rng([config.run.seed, 0]).permutation(scatter.size)
    held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
    return u[kept], scatter.subset(kept), (scatter.points[held], u[held])


def hold_out(u: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid, tuple[np.ndarray, np.ndarray]]:
    """Split samples: every second one along each axis trains, the rest inside their box are validation points.

    Returns
    -------
    u, grid
        What is left to train on.
    held_out : pair of ndarrays
        Physical points (n, d) and values (n,).

    Raises
    ------
    DataError
        If too few samples are left, or a periodic axis has an odd number of points.
    """
    for axis, (n, periodic) in enumerate(zip(grid.shape, grid.periodic, strict=True)):
        if periodic and n % 2:
            raise DataError(f"off_grid = 'holdout': periodic axis {axis} has an odd number of points, {n}")
        if (n + 1) // 2 < LEAST_SAMPLES:
            raise DataError(f"off_grid = 'holdout': axis {axis} has {n} points, half of them are too few to fit")
    coarse = grid.every_second()
    is_kept = np.zeros(grid.shape, dtype=bool)
    is_kept[(slice(None, None, 2),) * grid.ndim] = True
    points = grid.points()
    inside = np.all(points <= np.where(grid.periodic, np.inf, coarse.upper), axis=1)
    is_validation = ~is_kept.ravel() & inside
    return u[(slice(None, None, 2),) * grid.ndim], coarse, (points[is_validation], u.ravel()[is_validation])
