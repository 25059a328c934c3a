"""The error between the training points, measured for every stage in extended precision.

========================  =======================================================================================
interpolation             periodic samples: trigonometric interpolation half way between the training points
random                    a function: its values at random points of the box (of a periodic one: at copies of the
                          training grid with random offsets)
holdout                   samples: training sees every second one along each axis, the others are the judge; of
                          scattered points a random tenth is the judge
========================  =======================================================================================
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from simsnn_ref.backend import SERIAL, Array, Processes, rms
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.io import LEAST_SAMPLES, sample_function
from simsnn_ref.model import ErrorSample, FitConfig
from simsnn_ref.multistage.sampling import TrainingSet
from simsnn_ref.network import Network, Parameters, evaluate_extended, extended_backend, interpolated, scaled_points
from simsnn_ref.spectrum import Grid, Scatter

__all__ = [
    "Judge",
    "choose_off_grid",
    "hold_out",
    "hold_out_points",
    "sampled_claim",
]


RANDOM_COPIES = 2
"""Copies of a periodic grid, each at an offset of its own, at which a function judges the fit."""


@dataclass
class _Patch:
    """Some of the judge's points: those of `where`, moved by `delta`, and the residue there."""

    where: Grid | Array
    delta: Array
    values: Array
    residue: Array

    def points(self, chosen: np.ndarray) -> Array:
        """Some of the points, by number, in [-1, 1]^d and extended precision."""
        points = scaled_points(self.where, chosen) if isinstance(self.where, Grid) else self.where[chosen]
        return points + self.delta

    def without(self, eps: float, network: Network, params: Parameters, processes: Processes) -> Array:
        """The residue less eps u_s."""
        return self.residue - eps * evaluate_extended(
            network, network.shifted(params, self.delta), self.where, processes
        )


def _rms_and_max(residues: list[Array]) -> tuple[float, float]:
    residue = np.concatenate([np.asarray(part) for part in residues])
    return rms(np, residue), float(np.max(np.abs(residue)))


class Judge:
    """Keeps the residue of the growing model at points that training never sees.

    Parameters
    ----------
    method : str
        For the record.
    patches : list
        Where, and the field's values there in extended precision.
    processes : Processes
        Who evaluates.
    """

    def __init__(self, method: str, patches: list[_Patch], processes: Processes = SERIAL) -> None:
        self.method = method
        self._processes = processes
        self._patches = patches

    def subtract(self, eps: float, network: Network, params: Parameters) -> None:
        """Take eps u_s off the residue; `network` and `params` are those of `simsnn_ref.network.extend`."""
        for patch in self._patches:
            patch.residue = patch.without(eps, network, params, self._processes)

    def left(self, eps: float, network: Network, params: Parameters) -> float:
        """RMS of the residue that `subtract` would leave; there must be points."""
        return _rms_and_max([patch.without(eps, network, params, self._processes) for patch in self._patches])[0]

    def sample(self, n: int, rng: np.random.Generator) -> ErrorSample | None:
        """What was found at `n` random points and at the worst one; None if nothing is measured."""
        if not self._patches:
            return None
        claims = [
            sampled_claim(patch.points, patch.values, patch.residue, -(-n // len(self._patches)), rng)
            for patch in self._patches
        ]
        concat = extended_backend().xp.concat
        return ErrorSample(
            concat([claim.points for claim in claims]),
            concat([claim.values for claim in claims]),
            concat([claim.residue for claim in claims]),
            np.concatenate([claim.random for claim in claims]),
        )

    def errors(self) -> tuple[float, float] | None:
        """RMS and largest absolute value of the residue; None if it is not measured."""
        if not self._patches:
            return None
        return _rms_and_max([patch.residue for patch in self._patches])


def sampled_claim(
    points: Callable[[np.ndarray], Array],
    values: Array,
    residue: Array,
    n: int,
    rng: np.random.Generator,
) -> ErrorSample:
    """A claim about `n` random entries of `residue` and the one of largest absolute value."""
    chosen = np.append(rng.integers(0, residue.size, n), np.argmax(np.abs(np.asarray(residue))))
    return ErrorSample(points(chosen), values[chosen], residue[chosen], np.arange(n + 1) < n)


def choose_off_grid(
    config: FitConfig,
    training: TrainingSet,
    target: Callable[[np.ndarray], Any] | None,
    held_out: tuple[np.ndarray, np.ndarray] | None,
    processes: Processes = SERIAL,
) -> Judge:
    """The judge that `config.off_grid` names, or the best there is for these data.

    Parameters
    ----------
    target : callable, optional
        The function the samples were taken from.
    held_out : pair of ndarrays, optional
        Physical points (n, d) and values (n,) from `hold_out`.
    processes : Processes
        Who evaluates.

    Raises
    ------
    ConfigError
        If the method does not fit the data.
    """
    method, grid = config.off_grid, training.grid
    if isinstance(grid, Scatter):
        return Judge("none", []) if held_out is None else Judge("holdout", [_scattered(*held_out, grid)], processes)
    if method == "auto":
        method = "random" if target is not None else "interpolation" if all(grid.periodic) else "none"
    patches = []
    if method == "random":
        if target is None:
            raise ConfigError(
                "off_grid = 'random' needs a function as target; samples take 'interpolation' or 'holdout'"
            )
        patches = _random(config, grid, target)
    elif method == "holdout" and held_out is not None:
        patches = [_scattered(*held_out, grid)]
    elif method == "interpolation":
        for corner in list(product((0, 1), repeat=grid.ndim))[1:]:
            between = interpolated(training.values, grid, [Fraction(c, 2) for c in corner])
            delta = extended_backend().asarray(np.asarray(corner, dtype=np.float64)) / grid.shape
            patches.append(_patch(grid, delta, between.ravel()))
    return Judge(method, patches, processes)


def _random(config: FitConfig, grid: Grid, target: Callable[[np.ndarray], Any]) -> list[_Patch]:
    """Random points: copies of a periodic grid at random offsets, which the fft map reaches, else scattered ones."""
    rng = np.random.default_rng([config.seed, 0])
    if not all(grid.periodic):
        points = rng.uniform(grid.lower, grid.upper, (config.off_grid_points, grid.ndim))
        return [_scattered(points, sample_function(target, points, extended=True), grid)]
    patches, asarray = [], extended_backend().asarray
    for _ in range(RANDOM_COPIES):
        cells = rng.uniform(0.1, 0.9, grid.ndim)
        delta = asarray(2 * cells) / grid.shape
        points = grid.box.to_physical(grid.scaled_points(np.longdouble) + np.asarray(delta))
        patches.append(_patch(grid, delta, asarray(sample_function(target, points, extended=True))))
    return patches


def _scattered(points: np.ndarray, values: np.ndarray, grid: Grid | Scatter) -> _Patch:
    asarray = extended_backend().asarray
    return _patch(grid.box.to_scaled(asarray(points)), asarray(np.zeros(grid.ndim)), asarray(values))


def _patch(where: Grid | Array, delta: Array, values: Array) -> _Patch:
    return _Patch(where, delta, values, values)


HELD_OUT = 0.1
"""Share of scattered points that judge the fit."""


def hold_out_points(
    u: np.ndarray, scatter: Scatter, config: FitConfig
) -> tuple[np.ndarray, Scatter, tuple[np.ndarray, np.ndarray] | None]:
    """Split scattered points: a random tenth, drawn with the seed, judges, unless `config.off_grid` is ``none``.

    Returns
    -------
    u, scatter
        What is left to train on.
    held_out : pair of ndarrays or None
        Physical points (n, d) and values (n,).

    Raises
    ------
    ConfigError
        If `config.off_grid` names a method for grids.
    DataError
        If too few points are left.
    """
    if config.off_grid not in ("auto", "holdout", "none"):
        raise ConfigError(f"off_grid = {config.off_grid!r} needs a grid or a function; points take 'holdout' or 'none'")
    n_held = 0 if config.off_grid == "none" else math.ceil(HELD_OUT * scatter.size)
    if scatter.size - n_held < LEAST_SAMPLES:
        raise DataError(
            f"points: {scatter.size} of them, {n_held} held out, are too few to fit; at least {LEAST_SAMPLES} train"
        )
    if n_held == 0:
        return u, scatter, None
    order = np.random.default_rng([config.seed, 0]).permutation(scatter.size)
    held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
    return u[kept], scatter.subset(kept), (scatter.points[held], u[held])


def hold_out(u: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid, tuple[np.ndarray, np.ndarray]]:
    """Split samples: every second one along each axis trains, the rest inside their box judges.

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
    judged = ~is_kept.ravel() & inside
    return u[(slice(None, None, 2),) * grid.ndim], coarse, (points[judged], u.ravel()[judged])
