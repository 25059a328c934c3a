"""What is written down about a minimisation, and when it ends."""

import bisect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.objective import Objective

__all__ = ["STALL_STEPS", "Journal", "Limits", "OnStep", "Result", "Snapshot", "State"]

OnStep: TypeAlias = Callable[[int, float, float], None]
"""Called with (step, loss, rms) before each step, step counted from 1."""


STALL_STEPS = 8
"""Steps before a stall is looked for: the damping and the length of the inner iteration find their levels first."""


@dataclass(frozen=True)
class Limits:
    """When to stop, whatever the method.

    Parameters
    ----------
    steps : int
    target_rms : float
        Stop as soon as the RMS of the residual is not above; 0 for never.
    stall_tolerance : float
        Stop when the second half of the work has brought less than this share of log(first loss / last loss); 0 for
        never. Work is counted in evaluations and products, not seconds, so that a run can be repeated.
    max_seconds : float
        0 for no limit. A step that has begun is finished.
    """

    steps: int
    target_rms: float = 0.0
    stall_tolerance: float = 0.0
    max_seconds: float = 0.0


@dataclass(frozen=True)
class Result:
    """The parameters with the lowest loss met, and how they were come by.

    Attributes
    ----------
    params : dict of Array
    steps : int
    stopped_because : str
    loss_history, rms_history : ndarray of float64, shape (steps,)
        Loss and RMS of the residual before each step.
    optimizer : str
        The method's name.
    restarts : int
        Divergences that were got over.
    """

    params: Parameters
    steps: int
    stopped_because: str
    loss_history: np.ndarray
    rms_history: np.ndarray
    optimizer: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class State:
    """Where a minimisation stands before a step.

    Attributes
    ----------
    params : dict of Array
    value, rms : float
        The loss; the RMS of the residual.
    memory : dataclass
        What the method has learnt on the way: numbers, arrays and dicts of arrays.
    cache : object
        What follows from the parameters and the next step takes: a gradient, or a residual.
    work : float
        What the step that led here cost, in evaluations and products.
    stop_reason : str
        Why the method goes no further; empty if it does.
    nonfinite : str
        What is not finite, beside parameters and loss, that the method met on the way here; see `not_finite`.
    """

    params: Parameters
    value: float
    rms: float
    memory: Any
    cache: Any = field(default=None, repr=False)
    work: float = 1.0
    stop_reason: str = ""
    nonfinite: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All that a minimisation needs to go on as if it had not been stopped.

    Attributes
    ----------
    method : str
        Its name.
    params, memory, work
        Those of the `State`.
    best : dict of Array
        The parameters with the lowest loss so far.
    lowest : float
        That loss.
    losses, rms, works : list of float
        Of the journal.
    restarts : int
        Divergences that were got over.
    seconds : float
    """

    method: str
    params: Parameters
    memory: Any
    work: float
    best: Parameters
    lowest: float
    losses: list[float]
    rms: list[float]
    works: list[float]
    restarts: int
    seconds: float


class Journal:
    """Keeps the history of one minimisation and the best parameters met, and decides when it ends.

    Parameters
    ----------
    objective : Objective
    limits : Limits
    on_step : callable
        Called with (step, loss, rms) before each step, step counted from 1.
    snapshot : Snapshot, optional
        What it goes on from.
    """

    def __init__(self, objective: Objective, limits: Limits, on_step: OnStep, snapshot: Snapshot | None = None) -> None:
        self.objective, self.limits, self.on_step = objective, limits, on_step
        self.losses: list[float] = []
        self.best: Parameters = {}
        self.restarts = 0
        self._rms: list[float] = []
        self._lowest = math.inf
        self._work: list[float] = []
        self._stopped_because = ""
        self._started = time.perf_counter()
        if snapshot is not None:
            self.losses, self._rms, self._work = (
                list(values) for values in (snapshot.losses, snapshot.rms, snapshot.works)
            )
            self.best, self._lowest, self.restarts = snapshot.best, snapshot.lowest, snapshot.restarts
            self._started -= snapshot.seconds

    def snapshot(self, method: str, state: State) -> Snapshot:
        """What remakes `state`, which has not been recorded yet, and this journal."""
        return Snapshot(
            method=method,
            params=state.params,
            memory=state.memory,
            work=state.work,
            best=self.best,
            lowest=self._lowest,
            losses=list(self.losses),
            rms=list(self._rms),
            works=list(self._work),
            restarts=self.restarts,
            seconds=time.perf_counter() - self._started,
        )

    def goes_on(self, state: State) -> bool:
        """Whether another step is to be taken from `state`; if so it is recorded."""
        params, value, rms = state.params, state.value, state.rms
        self._work.append((self._work[-1] if self._work else 0.0) + state.work)
        if not self.best or value < self._lowest:
            self.best, self._lowest = params, value
        reason = self._reason(params, value, rms)
        if reason:
            return self.stop(reason)
        self.losses.append(value)
        self._rms.append(rms)
        self.on_step(len(self.losses), value, rms)
        return True

    def stop(self, reason: str) -> bool:
        """Note why the minimisation ends; False, for `goes_on` to return."""
        self._stopped_because = reason
        return False

    def _reason(self, params: Parameters, value: float, rms: float) -> str:
        """Why no further step is to be taken; empty if one is."""
        limits = self.limits
        seconds = time.perf_counter() - self._started
        if limits.max_seconds > 0.0:
            seconds = self.objective.shard.broadcast(seconds)
        rules = (
            (not self.objective.network.trainable(params), "nothing to train"),
            (value == 0.0, "the residual is zero"),
            (
                rms <= limits.target_rms,
                f"target reached: RMS {rms:.2e} <= {limits.target_rms:.2g}",
            ),
            (len(self.losses) >= limits.steps, "all steps taken"),
            (
                self._stalled(value),
                f"stalled: the second half of its work brought less than {limits.stall_tolerance:g} of the progress",
            ),
            (
                0.0 < limits.max_seconds <= seconds,
                f"out of time: {seconds:.1f} s of max_seconds = {limits.max_seconds:g} used",
            ),
        )
        return next((reason for applies, reason in rules if applies), "")

    def _stalled(self, value: float) -> bool:
        if self.limits.stall_tolerance == 0.0 or len(self.losses) < STALL_STEPS:
            return False
        half = bisect.bisect_right(self._work, 0.5 * self._work[-1]) - 1
        progress, recent = (math.log(before / value) for before in (self.losses[0], self.losses[half]))
        return recent < self.limits.stall_tolerance * progress

    def result(self, optimizer: str) -> Result:
        """What has been reached, by the method of this name."""
        return Result(
            params=self.best,
            steps=len(self.losses),
            stopped_because=self._stopped_because,
            loss_history=_host(self.losses),
            rms_history=_host(self._rms),
            optimizer=optimizer,
            restarts=self.restarts,
        )


def _host(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
