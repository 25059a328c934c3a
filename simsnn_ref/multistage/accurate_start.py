"""The start of a stage in mode accurate: the sum of the residue's own modes, up to a nonlinear part of size delta^2.

A function is sampled more finely where that brings the error between the points down to that at the points.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.multistage.events import Events
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.sampling import at_samples_only, finer, rounding_of
from simsnn_ref.multistage.setup import UNRESOLVED, WITHIN_TARGET, Setup
from simsnn_ref.multistage.start import Start, generator
from simsnn_ref.multistage.state import FitState
from simsnn_ref.network import near_linear_network
from simsnn_ref.spectrum import Grid, Modes, extension_modes, fourier_modes, mirrored_modes

__all__ = ["accurate_start", "sample_and_start"]

WORTH_FINER = 0.5
"""A function is sampled more finely where that lowers the error of a start between the points to this share: of twice
as many points along each axis, a start that gains less has met noise or a jump, where none will do."""

OWN_TAIL = 2.0
"""What a start leaves between the points may be so many times the modes that were discarded on purpose."""

TAIL_OF_GOAL = 0.1
"""Modes are discarded while their sum is below this share of the goal of the stage."""

MOSTLY_ROUNDING = 4
"""Where the modes that carry all but the rounding of the samples are so many times fewer, the others are discarded."""


WORTH_OF_FLOOR = 0.01
"""Share of the error to be expected of an interpolant to which a start has to follow it."""

LARGEST_SUM = 1e3
"""Sum of the sizes of the coefficients, relative to the field, up to which the modes of the extended box follow an
interpolant, which may be rough: eps times as much is what float64 loses of the sum."""

LEFT = 0.1
"""Share of a residue that the modes of the extended box leave, from which mirrored modes serve: what is not smooth."""


@dataclass(frozen=True)
class _Found:
    """Modes of a residue; the RMS of what no mode describes, and of the modes that were discarded."""

    modes: Modes
    fit_residual: float
    discarded_tail: float


def accurate_start(number: int, residue: Residue, setup: Setup, *, mirrored: bool = False) -> Start:
    """Stage `number` (1-based) before training, on the grid of `residue`; with `mirrored` through every point of it."""
    config, backend = setup.config, setup.backend
    target = residue.normalised()
    found: list[_Found] = []

    def modes_of(field: Array) -> Modes:
        field = backend.xp.reshape(field, residue.training.grid.shape)
        asked = config.for_stage(config.first_layer.n_features, number - 1)
        found.append(_find_modes(field, asked, residue, setup, mirrored))
        return found[-1].modes

    network, params = near_linear_network(
        backend.xp.reshape(target, (-1,)),
        modes_of,
        hidden=config.network.hidden,
        delta=config.network.delta,
        rng=generator(config, number),
        backend=backend,
    )
    tail = found[-1].discarded_tail
    return Start(residue, target, network, params, math.hypot(found[-1].fit_residual, tail), tail)


def _find_modes(field: Array, asked: int | None, residue: Residue, setup: Setup, mirrored: bool) -> _Found:
    """`asked` modes, or those that carry all but `tail_tolerance` or a tenth of the goal, whichever is more.

    The rounding of samples is white noise, of all modes there are: they would make the network many times as large, to
    follow what says nothing of the field.

    They belong to the extended box if not all axes are periodic. Where they are found by least squares all are taken:
    small ones, too, are part of what keeps the sum small between the points.
    """
    config, backend, grid = setup.config, setup.backend, residue.training.grid
    if setup.least_squares is not None:
        fit = setup.least_squares.fit(backend.to_numpy(field), backend, asked or 1)
        modes, fit_residual = fit.modes, fit.fit_residual
        asked = asked or len(modes)
    elif all(grid.periodic):
        assert isinstance(grid, Grid)
        modes, fit_residual = fourier_modes(field, grid, backend.processes.distributed(backend)), 0.0
    elif mirrored:
        assert isinstance(grid, Grid)
        modes, fit_residual = mirrored_modes(field, grid, backend), 0.0
    else:
        assert isinstance(grid, Grid)
        largest = math.inf if setup.interpolant is None else LARGEST_SUM * setup.rms / residue.rms
        goal = setup.goal(residue.rms)
        modes, fit_residual = extension_modes(backend.to_numpy(field), grid, backend, largest, goal)
        asked = asked or len(modes)
    energy = backend.to_numpy(modes.amplitudes) ** 2 / 2.0
    tail = np.append(np.sqrt(np.cumsum(energy[::-1])[::-1]), 0.0)
    goal = max(config.first_layer.tail_tolerance, TAIL_OF_GOAL * setup.goal(residue.rms))
    rounding = WITHIN_TARGET * setup.rounding * setup.rms / residue.rms
    needed, above_rounding = (int(np.sum(tail > level)) for level in (goal, rounding))
    if MOSTLY_ROUNDING * above_rounding < needed:
        needed = above_rounding
    n = min(asked or max(1, needed), config.max_features, len(modes))
    return _Found(modes.largest(n), fit_residual, float(tail[n]))


@dataclass(frozen=True)
class _Trial:
    """A start on one sampling of a function, and the RMS that it leaves between the points, relative to the field."""

    start: Start
    off_grid_rms: float
    is_fine: bool


def _try(number: int, residue: Residue, state: FitState, setup: Setup) -> _Trial:
    start = accurate_start(number, residue, setup)
    left = state.off_grid.minus(start.stage).errors()
    assert left is not None
    between = left[0] / residue.rms
    # An interpolant is not worth more than the error that is to be expected of it.
    floor = WORTH_OF_FLOOR * setup.noise_floor * setup.rms / residue.rms if setup.interpolant is not None else 0.0
    # What is discarded on purpose, or below what the values or the goal resolve, no finer sampling brings back.
    rounding = rounding_of(residue.training.values) * setup.rms / residue.rms
    enough = max(UNRESOLVED, setup.goal(residue.rms), rounding, floor, OWN_TAIL * start.discarded_tail)
    return _Trial(start, left[0] / setup.rms, between <= enough)


def sample_and_start(number: int, state: FitState, setup: Setup, events: Events) -> Start:
    """`accurate_start`; a function is sampled twice as finely until it is as good between the points as at them.

    Where no sampling does that, the coarsest is taken that is within `WORTH_FINER` of the best, for good. Samples that
    the modes of the extended box do not follow, or not by the last stage, are met by mirrored ones, without the points
    between them.
    """
    is_last = 1 < number == setup.config.n_stages
    if setup.interpolant is None or not is_last:
        start = _finest_start(number, state, setup, events)
        if setup.interpolant is None or start.truncation_error < LEFT:
            return start
    at_samples = Residue.of(at_samples_only(setup.followed, setup.interpolant.grid), setup.backend, state.stages)
    return accurate_start(number, at_samples, setup, mirrored=True)


def _finest_start(number: int, state: FitState, setup: Setup, events: Events) -> Start:
    if not state.may_refine or state.snapshot is not None:
        return replace(accurate_start(number, state.residue, setup), may_refine=state.may_refine)
    assert setup.function is not None
    assert isinstance(setup.grid, Grid)
    tried = [_try(number, state.residue, state, setup)]
    while not tried[-1].is_fine:
        training = finer(tried[-1].start.residue.training, setup.grid, setup.function)
        if training is None:
            break
        events.activity(f"stage {number}: sampling the function at {training.grid.size} points")
        tried.append(_try(number, Residue.of(training, setup.backend, state.stages), state, setup))
    least = min(trial.off_grid_rms for trial in tried)
    chosen = next(trial for trial in tried if WORTH_FINER * trial.off_grid_rms <= least)
    if len(tried) > 1:
        events.note(
            f"stage {number}: the function is sampled at {_points(chosen)} points, where the start leaves"
            f" {chosen.off_grid_rms:.1e} between them; {tried[0].off_grid_rms:.1e} at {_points(tried[0])}"
        )
    return replace(chosen.start, may_refine=chosen.is_fine or len(tried) == 1)


def _points(trial: _Trial) -> str:
    return " x ".join(map(str, trial.start.residue.training.grid.shape))
