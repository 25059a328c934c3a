"""What the methods share: the objective and its products with vectors, the loop over the steps, the stop rules.

A method is two functions of states, `Method.begin` and `Method.advance`; `minimize` is the loop. A state is remade from
its parameters and its memory, so that these and the journal are all that a checkpoint keeps.
"""

import bisect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.errors import DivergenceError
from simsnn_ref.features import FeatureMap
from simsnn_ref.losses import LpLoss, rms
from simsnn_ref.network import Activations, Network, Parameters
from simsnn_ref.ranks import Slab, slab_of

__all__ = [
    "Journal",
    "Limits",
    "Method",
    "Objective",
    "OnStep",
    "Result",
    "Snapshot",
    "State",
    "Watch",
    "minimize",
    "not_finite",
]

OnStep: TypeAlias = Callable[[int, float, float], None]
"""Called with (step, loss, rms) before each step, step counted from 1."""

MOST_RESTARTS = 20
"""Halvings of the step after which a minimisation that still diverges is given up: to a millionth."""

STALL_STEPS = 8
"""Steps before a stall is looked for: the damping and the length of the inner iteration find their levels first."""


@dataclass(frozen=True)
class Objective:
    """theta -> L(u(theta) - t), with J = du/dtheta over the parameters that train.

    Parameters
    ----------
    network : Network
    fmap : FeatureMap
        The training points, all or those of this process.
    target : Array of float64, shape (n_points,)
        t, of RMS 1 over all points.
    loss : LpLoss
    backend : Backend
        Whose arrays all of these are.
    """

    network: Network
    fmap: FeatureMap
    target: Array
    loss: LpLoss
    backend: Backend

    @property
    def xp(self) -> ModuleType | Any:
        return self.network.xp

    def is_consistent(self, params: Parameters) -> bool:
        """Whether there are as many parameters as points, so that J d = -e can be solved whatever the row weights."""
        return self.network.n_parameters(params) >= self.slab.n_total

    @property
    def slab(self) -> Slab:
        """Which points these are."""
        return slab_of(self.fmap)

    def evaluate(self, params: Parameters) -> tuple[float, Array, Activations]:
        """L(e), the residual e = u - t, and the activations that the products with J take."""
        u, activations = self.network.forward(params, self.fmap)
        e = u - self.target
        return float(self.loss.forward(self.xp, e, self.slab)), e, activations

    def gradient(self, params: Parameters, e: Array, activations: Activations) -> Parameters:
        """dL/dtheta = J^T dL/de."""
        return self.total(self.network.vjp(params, self.fmap, activations, self.loss.vjp(self.xp, e, self.slab)))

    def total(self, values: Parameters) -> Parameters:
        """Sums over the points here to sums over all of them."""
        return dict(zip(values, self.slab.total(*values.values()), strict=True))

    def value_and_gradient(self, params: Parameters, last: float = 1.0) -> tuple[float, float, Parameters]:
        """L(e), the RMS of e and dL/dtheta, in one pass over the points and one sum over the processes.

        They are what `evaluate`, `rms` and `gradient` give, to rounding.

        Parameters
        ----------
        last : float
            About what L is. The powers are scaled by it; where it is far off they are computed again.
        """
        xp, network = self.xp, self.network
        # A power of two, so that scaling rounds nothing.
        scale = 2.0 ** min(math.frexp(last)[1], 1023) if 0.0 < last < math.inf else 1.0
        powers: dict[int, Array] = {}
        squares: dict[int, Array] = {}

        def cotangent(u: Array, block: slice) -> Array:
            powers[block.start], squares[block.start], du = self.loss.scaled(xp, u - self.target[block], scale)
            return du

        grads = network.forward_and_vjp(params, self.fmap, cotangent)
        # In the order of the points, whatever order the blocks were done in.
        here = (sum(sums[start] for start in sorted(sums)) for sums in (powers, squares))
        power, square, *gradients = self.slab.total(*here, *grads.values())
        finished = self.loss.finish(float(power), self.slab.n_total, scale)
        if finished is None:
            value, e, activations = self.evaluate(params)
            return value, self.rms(e), self.gradient(params, e, activations)
        value, factor = finished
        deviation = scale * math.sqrt(float(square) / self.slab.n_total)
        return value, deviation, {name: factor * gradient for name, gradient in zip(grads, gradients, strict=True)}

    def rms(self, e: Array) -> float:
        """The RMS over all points of what `e` is here."""
        return rms(self.xp, e, self.slab)

    def flatten(self, values: Parameters, params: Parameters) -> Array:
        """`values` (parameters, a direction or scales) as one vector, in the order of ``network.trainable(params)``."""
        return self.xp.concat([self.xp.reshape(values[name], (-1,)) for name in self.network.trainable(params)])

    def unflatten(self, vector: Array, params: Parameters) -> Parameters:
        """Inverse of `flatten`: the parameters that train, with the shapes they have in `params`."""
        values, start = {}, 0
        for name in self.network.trainable(params):
            shape = params[name].shape
            stop = start + math.prod(shape)
            values[name] = self.xp.reshape(vector[start:stop], shape)
            start = stop
        return values


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
    value, deviation : float
        The loss; the RMS of the residual.
    memory : dataclass
        What the method has learnt on the way: numbers, arrays and dicts of arrays.
    derived : object
        What follows from the parameters and the next step takes: a gradient; residual and activations.
    work : float
        What the step that led here cost, in evaluations and products.
    ended : str
        Why the method goes no further; empty if it does.
    wrong : str
        What is not finite, beside parameters and loss, that the method met on the way here; see `not_finite`.
    """

    params: Parameters
    value: float
    deviation: float
    memory: Any
    derived: Any = field(default=None, repr=False)
    work: float = 1.0
    ended: str = ""
    wrong: str = ""


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

    def begin(self, objective: Objective, params: Parameters, memory: Any = None, last: float = 1.0) -> State:
        """The state at `params`: the first one, or with its memory and the loss before it that which a run was in."""
        ...

    def advance(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        """The state one step on; `losses` are all up to that of `state`, which is left as it is."""
        ...

    def shorten(self, memory: Any) -> Any:
        """The memory to begin again with after a divergence: half the step, nothing else of what was learnt."""
        ...


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
    losses, deviations, works : list of float
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
    deviations: list[float]
    works: list[float]
    restarts: int
    seconds: float


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
        state = method.begin(objective, params)
    else:
        last = snapshot.losses[-1] if snapshot.losses else 1.0
        state = method.begin(objective, snapshot.params, snapshot.memory, last)
        state = replace(state, work=snapshot.work)
    gradient: Parameters = {}
    while True:
        trouble = state.wrong or _what_is_not_finite(objective, state, gradient)
        if trouble and not (restarts and journal.restarts < MOST_RESTARTS and journal.losses):
            journal.stop(f"diverged at step {len(journal.losses) + 1}: {trouble}")
            begun = f", after {journal.restarts} restarts with half the step," if journal.restarts else ""
            raise DivergenceError(
                f"step {len(journal.losses)}{begun} led to numbers that are not finite: {trouble}",
                journal.result(method.name),
            )
        if trouble:
            journal.restarts += 1
            state = method.begin(objective, journal.best, method.shorten(state.memory), journal.losses[-1])
        watch(partial(journal.snapshot, method.name, state))
        if not journal.goes_on(state):
            break
        gradient = state.derived if isinstance(state.derived, dict) else {}
        state = method.advance(objective, state, journal.losses)
        if state.ended:
            journal.stop(state.ended)
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
        self._deviations: list[float] = []
        self._lowest = math.inf
        self._work: list[float] = []
        self._stopped_because = ""
        self._started = time.perf_counter()
        if snapshot is not None:
            self.losses, self._deviations, self._work = (
                list(values) for values in (snapshot.losses, snapshot.deviations, snapshot.works)
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
            deviations=list(self._deviations),
            works=list(self._work),
            restarts=self.restarts,
            seconds=time.perf_counter() - self._started,
        )

    def goes_on(self, state: State) -> bool:
        """Whether another step is to be taken from `state`; if so it is recorded."""
        params, value, deviation = state.params, state.value, state.deviation
        self._work.append((self._work[-1] if self._work else 0.0) + state.work)
        if not self.best or value < self._lowest:
            self.best, self._lowest = params, value
        reason = self._reason(params, value, deviation)
        if reason:
            return self.stop(reason)
        self.losses.append(value)
        self._deviations.append(deviation)
        self.on_step(len(self.losses), value, deviation)
        return True

    def stop(self, reason: str) -> bool:
        """Note why the minimisation ends; False, for `goes_on` to return."""
        self._stopped_because = reason
        return False

    def _reason(self, params: Parameters, value: float, deviation: float) -> str:
        """Why no further step is to be taken; empty if one is."""
        limits = self.limits
        seconds = time.perf_counter() - self._started
        if limits.max_seconds > 0.0:
            seconds = self.objective.slab.told(seconds)
        rules = (
            (not self.objective.network.trainable(params), "nothing to train"),
            (value == 0.0, "the residual is zero"),
            (
                deviation <= limits.target_rms,
                f"target reached: RMS {deviation:.2e} <= {limits.target_rms:.2g}",
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
            rms_history=_host(self._deviations),
            optimizer=optimizer,
            restarts=self.restarts,
        )


def _host(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
