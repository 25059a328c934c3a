"""The loop over the steps of a method: from one state to the next, until a limit applies or the method ends."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from simsnn_ref.errors import DivergenceError
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.journal import Journal, Result, Snapshot
from simsnn_ref.optimizers.limits import Limits, reason_to_stop
from simsnn_ref.optimizers.method import Method
from simsnn_ref.optimizers.nonfinite import nonfinite_in
from simsnn_ref.optimizers.objective import Objective

__all__ = ["OnStep", "Watch", "minimize"]

MOST_RESTARTS = 20
"""Halvings of the step after which a minimisation that still diverges is given up: to a millionth."""

OnStep: TypeAlias = Callable[[int, float, float], None]
"""Called with (step, loss, rms) before each step, step counted from 1."""

Watch: TypeAlias = Callable[[Callable[[], Snapshot]], None]
"""Called before each step with a function that takes a snapshot; it may raise to end the minimisation."""


# What overflows is found and named after the step, once.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def minimize(
    method: Method,
    objective: Objective,
    params: Parameters,
    limits: Limits,
    on_step: OnStep = lambda step, loss, rms: None,
    *,
    watch: Watch = lambda snapshot: None,
    snapshot: Snapshot | None = None,
    restarts: bool = False,
) -> Result:
    """Take steps from `params` until a limit applies or the method ends.

    Parameters
    ----------
    on_step : callable
        Called with (step, loss, rms) before each step, step counted from 1.
    snapshot : Snapshot, optional
        Of the same minimisation: it goes on from there, `params` is not looked at.
    restarts : bool
        Begin again from the best parameters, with half the step, where a number is not finite.

    Raises
    ------
    DivergenceError
        If a parameter, a gradient, the loss or a linear model is not finite; the message names it, ``result`` is what
        was reached.
    """
    journal = Journal(snapshot)
    if snapshot is None:
        state = method.init(objective, params)
    else:
        last = snapshot.losses[-1] if snapshot.losses else 1.0
        state = method.init(objective, snapshot.params, snapshot.memory, last)
        state = replace(state, work=snapshot.work)
    while True:
        nonfinite = state.nonfinite or nonfinite_in(objective, state)
        if nonfinite:
            if not (restarts and journal.restarts < MOST_RESTARTS and journal.losses):
                raise _divergence(nonfinite, journal, method.name)
            journal.restarts += 1
            state = method.init(objective, journal.best, method.restart(state.memory), journal.losses[-1])
        watch(partial(journal.snapshot, method.name, state))
        journal.meet(state)
        reason = reason_to_stop(limits, objective, state, journal)
        if reason:
            return journal.result(method.name, reason)
        journal.record(state)
        on_step(len(journal.losses), state.value, state.rms)
        state = method.step(objective, state, journal.losses)
        if state.stop_reason:
            return journal.result(method.name, state.stop_reason)


def _divergence(nonfinite: str, journal: Journal, method: str) -> DivergenceError:
    steps = len(journal.losses)
    begun = f", after {journal.restarts} restarts with half the step," if journal.restarts else ""
    return DivergenceError(
        f"step {steps}{begun} led to numbers that are not finite: {nonfinite}",
        journal.result(method, f"diverged at step {steps + 1}: {nonfinite}"),
    )
