"""The error between the training points, measured by a second route for every stage.

========================  =======================================================================================
interpolation             periodic samples: trigonometric interpolation on the 2x finer grid, at the points between
random                    a function: its values at random points of the box
holdout                   samples: training sees every second one along each axis, the others are the judge
========================  =======================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.config import FitConfig
from simsnn_ref.data import LEAST_SAMPLES, sample_function
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.features import LinearMap, make_map
from simsnn_ref.grid import Grid
from simsnn_ref.losses import rms
from simsnn_ref.network import Network, Parameters
from simsnn_ref.spectrum import shift_samples

__all__ = ["Judge", "choose_off_grid", "hold_out", "network_map"]


def network_map(network: Network, where: Grid | Array, backend: Backend, kind: str = "auto") -> Any:
    """The feature map that serves `network` at `where` (a Grid, or points in [-1, 1]^d)."""
    if network.amplitudes is None:
        return LinearMap(
            backend.asarray(where.scaled_points(backend.real_dtype)) if isinstance(where, Grid) else where, backend
        )
    return make_map(where, backend, kind=kind, indices=network.indices, period=network.period)


@dataclass
class _Patch:
    """Some of the judge's points: those of `where`, moved by `delta`, and the residue there."""

    where: Grid | Array
    delta: Array
    residue: Array


class Judge:
    """Keeps the residue of the growing model at points that training never sees.

    Parameters
    ----------
    method : str
        For the record.
    patches : list
        Where, and the field's values there.
    """

    def __init__(self, method: str, patches: list[_Patch], backend: Backend) -> None:
        self.method = method
        self._patches = patches
        self._backend = backend

    def subtract(self, eps: float, network: Network, params: Parameters) -> None:
        """Take eps u_s off the residue."""
        for patch in self._patches:
            fmap = network_map(network, patch.where, self._backend)
            patch.residue = patch.residue - eps * network.evaluate(network.shifted(params, patch.delta), fmap)

    def errors(self) -> tuple[float, float] | None:
        """RMS and largest absolute value of the residue; None if it is not measured."""
        if not self._patches:
            return None
        xp = self._backend.xp
        residue = xp.concat([patch.residue for patch in self._patches])
        return rms(xp, residue), float(xp.max(xp.abs(residue)))


def choose_off_grid(
    config: FitConfig,
    u: np.ndarray,
    grid: Grid,
    target: Callable[[np.ndarray], Any] | None,
    held_out: tuple[np.ndarray, np.ndarray] | None,
    backend: Backend,
) -> Judge:
    """The judge that `config.off_grid` names, or the best there is for these data.

    Parameters
    ----------
    u : ndarray, shape grid.shape
        The training samples.
    target : callable, optional
        The function they were taken from.
    held_out : pair of ndarrays, optional
        Physical points (n, d) and values (n,) from `hold_out`.

    Raises
    ------
    ConfigError
        If the method does not fit the data.
    """
    method = config.off_grid
    if method == "auto":
        method = "random" if target is not None else "interpolation" if all(grid.periodic) else "none"
    still = backend.asarray(np.zeros(grid.ndim))
    patches = []
    if method == "random":
        if target is None:
            raise ConfigError(
                "off_grid = 'random' needs a function as target; samples take 'interpolation' or 'holdout'"
            )
        rng = np.random.default_rng([config.seed, 0])
        points = rng.uniform(grid.lower, grid.upper, (config.off_grid_points, grid.ndim))
        patches = [_scattered(points, sample_function(target, points), grid, still, backend)]
    elif method == "holdout" and held_out is not None:
        patches = [_scattered(*held_out, grid, still, backend)]
    elif method == "interpolation":
        samples, cell = backend.asarray(u), 2.0 / np.asarray(grid.shape)
        for corner in list(product((0.0, 0.5), repeat=grid.ndim))[1:]:
            between = backend.xp.reshape(shift_samples(samples, grid, corner, backend), (-1,))
            patches.append(_Patch(grid, backend.asarray(cell * np.asarray(corner)), between))
    return Judge(method, patches, backend)


def _scattered(points: np.ndarray, values: np.ndarray, grid: Grid, still: Array, backend: Backend) -> _Patch:
    return _Patch(backend.asarray(grid.box.to_scaled(points)), still, backend.asarray(values))


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
