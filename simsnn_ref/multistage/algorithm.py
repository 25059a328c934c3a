"""The staged algorithm of section 3.2: each stage fits what the ones before left over.

e_1 = u;    eps_s = RMS(e_s);    u_s ~ e_s / eps_s;    e_{s+1} = e_s - eps_s u_s;    u ~ sum_s eps_s u_s,

with the stages s = 1, 2, ...
"""

import numpy as np

from simsnn_ref.backend import NumpyBackend, rms
from simsnn_ref.multistage.accurate_start import sample_and_start
from simsnn_ref.multistage.events import Events
from simsnn_ref.multistage.measurements import measure
from simsnn_ref.multistage.notes import not_kept
from simsnn_ref.multistage.paper_start import paper_start
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.state import FitState
from simsnn_ref.multistage.training import train_stage

__all__ = ["fit_stages"]

WORTH_A_STAGE = 0.99
"""Largest share of its residue that a stage may leave and be kept. A gain of less than 1 % may be rounding."""

PREDICTABLE = 0.5
"""Largest RMS error, relative to the residue, with which the residue at each scattered point may be predicted from the
others for another stage to make sense. Noise cannot be predicted: its error is 1."""


def fit_stages(setup: Setup, state: FitState, events: Events) -> None:
    """Add one stage after another to `state`, as many as the options allow and make sense.

    Raises
    ------
    DivergenceError
        If a number in training is not finite; the stages up to there are kept.
    Interrupted
        If a signal ended the fit.
    """
    config = setup.config
    for number in range(len(state.stages) + 1, config.n_stages + 1):
        reason = _reason_to_stop(number, state, setup)
        if reason:
            events.note(reason)
            return
        state.clock.start_stage()
        # eps_s = RMS(e_s), and a network made from the spectrum of e_s / eps_s
        events.activity(f"stage {number}: modes of the residue")
        if config.mode == "paper":
            start = paper_start(number, state.residue, setup)
        else:
            start = sample_and_start(number, state, setup, events)
        # The start may have sampled a function more finely.
        state.residue, state.may_refine = start.residue, start.may_refine
        # u_s ~ e_s / eps_s
        trained = train_stage(number, start, state, setup, events)
        # e_{s+1} = e_s - eps_s u_s
        n = start.residue.training.grid.size
        events.activity(f"stage {number}: residue in extended precision at {n} points, and between them")
        # Without a stage, not even the start was finite.
        left: Residue = start.residue if trained.stage is None else start.residue.minus(trained.stage)
        is_kept = left.rms < WORTH_A_STAGE * start.eps
        if trained.stage is not None and is_kept:
            state.add(trained.stage, left)
            state.records.append(measure(number, trained, state, setup))
            events.stage_end(state.records[-1])
        else:
            events.note(not_kept(number, left.rms / start.eps, start.truncation_error, trained))
        if trained.divergence is not None:
            raise trained.divergence
        if not is_kept:
            return
        events.save(state)


def _reason_to_stop(number: int, state: FitState, setup: Setup) -> str:
    """Why stage `number` makes no sense after those before it; empty if it does."""
    if number == 1 or state.snapshot is not None:
        return ""
    config, last = setup.config, state.records[-1]
    # Mode paper looks at the samples only, as the paper does; an interpolant is followed as far as it is worth it.
    off_grid = last.rms_off_grid if config.mode == "accurate" else None
    if setup.interpolant is not None and (state.residue.training.stride == 1 or (off_grid or 0.0) < setup.noise_floor):
        off_grid = None
    at_samples = last.rms_on_grid if setup.noise is None else rms(np, state.residue.at_samples) / setup.rms
    error = max(at_samples, off_grid or 0.0)
    if error < setup.target and setup.noise is not None:
        return (
            f"stage {number - 1} leaves an RMS of {error:.1e} of the samples without their noise, which is little of"
            f" the {setup.noise_floor:.1e} to be expected of these; no further stage"
        )
    if error < setup.target:
        return f"RMS below the target {setup.target:g} with stage {number - 1}; no further stage"
    if config.mode == "accurate" and error <= setup.rounding:
        return (
            f"RMS {error:.1e} with stage {number - 1}, which is the rounding of samples in float64; no further stage"
            " (a smaller target follows it)"
        )
    if config.mode == "accurate" and setup.least_squares is not None:
        residue = state.residue.rounded.astype(np.float64) / state.residue.rms
        if setup.least_squares.fit(residue, NumpyBackend()).predicted >= PREDICTABLE:
            return (
                f"no stage {number}: what is left at a point does not follow from what is left at the others; it is"
                " noise, or finer than the points determine"
            )
    return ""
