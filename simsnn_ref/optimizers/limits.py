"""When a minimisation ends, whatever the method."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from simsnn_ref.optimizers.journal import Journal
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.objective import Objective

__all__ = ["Limits", "reason_to_stop"]

STALL_STEPS = 8
"""Steps before a stall is looked for: the damping and the length of the inner iteration find their levels first."""


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Parameters
    ----------
    steps : int
    target_rms : float
        Stop as soon as the RMS of the residual is not above; 0 for never.
    stall_tolerance : float
        Stop when the second half of the work has brought less than this share of log(first loss / last loss); 0 for
        never. Work is counted in evaluations and products, not seconds, so that a run can be repeated.
    max_seconds : float
        Time after which no step begins; 0 for no limit.
    """

    steps: int
    target_rms: float = 0.0
    stall_tolerance: float = 0.0
    max_seconds: float = 0.0


def reason_to_stop(limits: Limits, objective: Objective, state: State, journal: Journal) -> str:
    """Why no step is to be taken from `state`, the last one that the journal has met; empty if one is."""
    seconds = journal.seconds
    if limits.max_seconds > 0.0:
        seconds = objective.shard.broadcast(seconds)
    rules = (
        (not objective.network.trainable(state.params), "nothing to train"),
        (state.value == 0.0, "the residual is zero"),
        (
            state.rms <= limits.target_rms,
            f"target reached: RMS {state.rms:.2e} <= {limits.target_rms:.2g}",
        ),
        (len(journal.losses) >= limits.steps, "all steps taken"),
        (
            _has_stalled(limits.stall_tolerance, journal.losses, journal.work, state.value),
            f"stalled: the second half of its work brought less than {limits.stall_tolerance:g} of the progress",
        ),
        (
            0.0 < limits.max_seconds <= seconds,
            f"out of time: {seconds:.1f} s of max_seconds = {limits.max_seconds:g} used",
        ),
    )
    return next((reason for applies, reason in rules if applies), "")


def _has_stalled(tolerance: float, losses: Sequence[float], work: Sequence[float], value: float) -> bool:
    """Whether the loss has stopped falling: `value` is the last one, `work` the sum up to each loss and to it."""
    if tolerance == 0.0 or len(losses) < STALL_STEPS:
        return False
    half = bisect.bisect_right(work, 0.5 * work[-1]) - 1
    progress, recent = (math.log(before / value) for before in (losses[0], losses[half]))
    return recent < tolerance * progress
