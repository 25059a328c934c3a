"""What is measured of a stage once it is trained, and the certificate of the whole fit. Errors are relative."""

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.model import LONG_DOUBLE_DIGITS, Certificate, StageRecord, certify, digits_of_independent_evaluation
from simsnn_ref.multistage.off_grid_error import sample_errors
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.state import FitState
from simsnn_ref.multistage.training import TrainedStage
from simsnn_ref.network import Network, Parameters, extended_eps, network_map, scaled_points
from simsnn_ref.optimizers import LpLoss

__all__ = ["certificate", "measure"]

CERTIFIED_POINTS = 100
"""Random samples, and random points between them, that are certified."""

MPMATH_SHARE = 10
"""Of them every tenth where more digits than those of long double are asked for: mpmath is that much slower."""

RESOLUTION = 4.0
"""Relative errors below so many eps of extended precision are rounding of the sum of the stages."""


def measure(number: int, trained: TrainedStage, state: FitState, setup: Setup) -> StageRecord:
    """The record of stage `number`, which is the last one of `state`."""
    stage, result, residue = state.stages[-1], trained.result, state.residue
    # Of a field that is 0 all errors are 0.
    field_rms, field_max = setup.rms or 1.0, setup.max or 1.0
    at_samples = setup.with_noise(residue.at_samples)
    largest = float(np.max(np.abs(at_samples)))
    off_rms, off_max = state.off_grid.errors() or (None, None)
    return StageRecord(
        index=number,
        first_layer=stage.network.first_layer,
        feature_map=trained.feature_map,
        n_modes=stage.network.n_features,
        n_parameters=stage.network.n_parameters(stage.params),
        optimizer=result.optimizer,
        steps=result.steps,
        eps=stage.eps,
        loss=float(LpLoss(setup.config.p).forward(np, residue.rounded)) / (stage.eps or 1.0),
        rms_on_grid=_resolved(rms(np, at_samples) / field_rms),
        max_on_grid=_resolved(largest / field_rms),
        max_on_grid_to_max=_resolved(largest / field_max),
        rms_off_grid=None if off_rms is None else _resolved(off_rms / field_rms),
        max_off_grid=None if off_max is None else _resolved(off_max / field_rms),
        nonlinear_share=_nonlinear_fraction(stage.network, stage.params, state, setup),
        seconds=state.clock.stage_seconds,
        stopped_because=result.stopped_because,
        loss_history=result.loss_history,
        rms_history=result.rms_history,
        energy=setup.spectrum(residue).energy,
    )


def _resolved(error: float) -> float:
    """A relative error, or what extended precision resolves of the sum of the stages if that is more; an exact 0 stays.

    The field's values are exact by definition, whatever their type: samples as they are, interpolated in extended
    precision, and a function as what it returned.
    """
    return max(error, RESOLUTION * extended_eps()) if error > 0.0 else 0.0


def _nonlinear_fraction(network: Network, params: Parameters, state: FitState, setup: Setup) -> float:
    """RMS of u_s minus its linearisation in the features, over the RMS of u_s."""
    grid = state.residue.training.grid
    fmap = setup.backend.processes.shard(network_map(network, grid, setup.backend))
    u_s, linear = network.forward(params, fmap), network.linear_part(params, fmap)
    return rms(network.xp, u_s - linear, fmap.shard) / (rms(network.xp, u_s, fmap.shard) or 1.0)


def certificate(state: FitState, setup: Setup, digits: int = LONG_DOUBLE_DIGITS) -> Certificate:
    """The errors at random points and at the worst ones, by an independent evaluation of the stages."""
    digits = digits_of_independent_evaluation(digits)
    rng = np.random.default_rng([setup.config.run.seed, 1])
    n = CERTIFIED_POINTS if digits <= LONG_DOUBLE_DIGITS else CERTIFIED_POINTS // MPMATH_SHARE
    at_samples = setup.training.at_samples
    on_grid = sample_errors(
        lambda chosen: scaled_points(setup.grid, chosen),
        setup.with_noise(at_samples(setup.training.values)).ravel(),
        setup.with_noise(state.residue.training.at_samples(state.residue.values)).ravel(),
        n,
        rng,
    )
    stages = [(stage.eps, stage.network, stage.params) for stage in state.stages]
    return certify(stages, on_grid, state.off_grid.sample(n, rng), setup.rms, setup.backend, digits)
