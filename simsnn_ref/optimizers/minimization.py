"""What the methods share: the objective and its products with vectors, the loop over the steps, the stop rules.

A method is two functions of states, `Method.init` and `Method.step`; `minimize` is the loop. A state is remade from
its parameters and its memory, so that these and the journal are all that a checkpoint keeps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.errors import DivergenceError
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.journal import Journal, Limits, OnStep, Result, Snapshot, State
from simsnn_ref.optimizers.objective import Objective

__all__ = [
    "Method",
    "Watch",
    "minimize",
    "not_finite",
]


MOST_RESTARTS = 20
"""Halvings of the step after which a minimisation that still diverges is given up: to a millionth."""


class Method(Protocol):
    """A way to minimise.

    Attributes
    ----------
    name : str
    memory : type
        Of `State.memory`.
    """

    @property
    def name(self) -> str: ...

    @property
    def memory(self) -> type: ...

    def init(self, objective: Objective, params: Parameters, memory: Any = None, last: float = 1.0) -> State:
        """The state at `params`: the first one, or with its memory and the loss before it that which a run was in."""
        ...

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        """The state one step on; `losses` are all up to that of `state`, which is left as it is."""
        ...

    def restart(self, memory: Any) -> Any:
        """The memory to begin again with after a divergence: half the step, nothing else of what was learnt."""
        ...


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
    journal = Journal(objective, limits, on_step, snapshot)
    if snapshot is None:
        state = method.init(objective, params)
    else:
        last = snapshot.losses[-1] if snapshot.losses else 1.0
        state = method.init(objective, snapshot.params, snapshot.memory, last)
        state = replace(state, work=snapshot.work)
    gradient: Parameters = {}
    while True:
        trouble = state.nonfinite or _what_is_not_finite(objective, state, gradient)
        if trouble and not (restarts and journal.restarts < MOST_RESTARTS and journal.losses):
            journal.stop(f"diverged at step {len(journal.losses) + 1}: {trouble}")
            begun = f", after {journal.restarts} restarts with half the step," if journal.restarts else ""
            raise DivergenceError(
                f"step {len(journal.losses)}{begun} led to numbers that are not finite: {trouble}",
                journal.result(method.name),
            )
        if trouble:
            journal.restarts += 1
            state = method.init(objective, journal.best, method.restart(state.memory), journal.losses[-1])
        watch(partial(journal.snapshot, method.name, state))
        if not journal.goes_on(state):
            break
        gradient = state.cache if isinstance(state.cache, dict) else {}
        state = method.step(objective, state, journal.losses)
        if state.stop_reason:
            journal.stop(state.stop_reason)
            break
    return journal.result(method.name)


def _what_is_not_finite(objective: Objective, state: State, gradient: Parameters) -> str:
    """Name the first tensor with a number that is not finite; empty if there is none.

    `gradient` led to `state`: a number in it that is not finite has made a parameter so.
    """
    xp = objective.xp
    # One number to fetch from the device; it may overflow where all are finite.
    if math.isfinite(state.value) and math.isfinite(float(sum(xp.sum(value) for value in state.params.values()))):
        return ""
    named = {f"the gradient of {name}": value for name, value in gradient.items()}
    named |= {f"parameter {name}": value for name, value in state.params.items()}
    return not_finite(xp, named) or ("" if math.isfinite(state.value) else f"the loss, {state.value}")


def not_finite(xp: ModuleType | Any, named: Mapping[str, Array]) -> str:
    """The first of the arrays with a number that is not finite, and how many are not; empty if there is none."""
    for name, value in named.items():
        wrong = ~xp.isfinite(value)
        if bool(xp.any(wrong)):
            return f"{name}, {int(xp.sum(xp.astype(wrong, xp.int64)))} of {math.prod(value.shape)} numbers"
    return ""
