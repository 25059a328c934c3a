"""The outer iteration of Gauss-Newton, whatever solves the linear model.

One step, at residual e = u - t with J = du/dtheta (Nocedal & Wright, Numerical Optimization, 2nd ed., section 10.3):

    d = argmin |S (J d + e)|^2 + lambda |D^-1 d|^2,     theta <- theta + d,

D natural sizes of the parameters, S row weights (`scaling`), lambda = mu L(e)^2 sum_i S_i^2. Damping in proportion to
the squared loss keeps the fast convergence near a zero residual even where J is rank deficient, as it is with more
parameters than points (Yamashita & Fukushima 2001; Fan & Yuan 2005). mu follows the gain ratio

    rho = [L(e) - L(e_new)] / [L(e) - L(e + J d)]

by the rule of Nielsen (1999): mu <- mu max(1/10, 1 - (2 rho - 1)^3) for rho > 0; else mu <- nu mu and nu <- 2 nu,
nu = 2 to begin with.

A solver that iterates returns a path of directions, from the first, nearly steepest descent, to the last, the
solution. Far from the minimum the loss itself, unlike its model, is lowest somewhere on the way: the path is searched
backwards until the loss rises again (Martens 2010), at one evaluation each where a new solve would cost hundreds of
products. The next path ends a little beyond the length that was best, well beyond where that was the end. If the whole
path fails, its first direction is cut to a quarter until the loss falls: a step is taken only if it lowers the loss.

L^p with p > 2. The steps are those of p = 2 as long as they lower the RMS by `LITTLE`; then L^p takes over. Far from
the minimum all norms fall together, p = 2 fastest: a step in L^p moves the few largest residuals. As many parameters as
points can make every residual zero, the minimum of all norms at once; then L^p keeps the step of p = 2, S = 1 or
spectral, with its own direction of steepest descent to fall back on. With fewer, L is convex in e, so its generalised
Gauss-Newton step is the weighted least-squares step with S_i^2 = |e_i|^(p-2) and right-hand side -e / (p - 1):
iteratively reweighted least squares with the Newton step length alpha = 1 / (p - 1). That length takes
(p - 2) / (p - 1) of e away from a problem that could be solved to zero at once, and the vanishing weights leave most
points to themselves. So alpha in (0, 1] minimises L(e + alpha J d), one number, and S is kept above a floor. Where the
model of a step promises little, the floor is lowered, in the end to zero: then d is a descent direction of L whatever
the residual at the minimum. Where it promises much the floor is raised again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from simsnn_ref.backend import Array
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.loss import LpLoss
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.nonfinite import first_nonfinite
from simsnn_ref.optimizers.objective import Objective

__all__ = ["CandidateStep", "Control", "Effort", "LinearModel", "Linearize", "init", "restart", "step"]

WEIGHT_FLOOR = 0.3
SMALLEST_FLOOR = 1e-4
LITTLE = 1e-2
"""Of S at first; of S before zero; and the share of the loss that a model must promise for the floor to stay, or a step
bring for p = 2 to go on steering."""

FIRST_FORCING = 0.1
FORCING_SHARE = 0.5
FORCING_MEMORY = 1.618
"""eta at first; how much of the last model's error; and the safeguard's exponent, (1 + sqrt 5) / 2."""

FIRST_INNER_ITERATIONS = 20
INNER_GROWTH = 1.4
INNER_GROWTH_AT_END = 2.0
"""Inner iterations of the first step; and of the next one, as a multiple of those whose direction was taken, if that
came before the path's end and if it was the end."""

BACKTRACKS = 12
"""Trial lengths of the first direction, down to 4^-11 = 2e-7: what does not lower the loss by then is rounding."""


@dataclass(frozen=True)
class CandidateStep:
    """A direction d over the parameters that train, and J d, shape (n_points,).

    Attributes
    ----------
    iterations : int
        How many it took.
    """

    direction: Parameters
    du: Array
    iterations: int = 1

    def times(self, length: float) -> "CandidateStep":
        """A part of it."""
        direction = {name: length * d for name, d in self.direction.items()}
        return CandidateStep(direction, length * self.du, self.iterations)


@dataclass(frozen=True)
class Effort:
    """How exactly an iteration is to solve: until |S (J d + e)| = forcing |S e|, or for so many iterations."""

    forcing: float
    iterations: int


class LinearModel(Protocol):
    """u(theta + d) ~ u + J d about some theta."""

    def solve(self, e: Array, weights: Array, damping: float, effort: Effort) -> list[CandidateStep]:
        """Minimise |S (J d + e)|^2 + damping |D^-1 d|^2: the way there, shortest first, at least the solution.

        S is diag(weights), those of L^p; with as many parameters as points it is the model's to choose.
        """
        ...


class Linearize(Protocol):
    """Builds the linear model about `params`."""

    def __call__(self, objective: Objective, params: Parameters) -> LinearModel: ...


def init(objective: Objective, params: Parameters, memory: Any, damping: float) -> State:
    """The state at `params`; `memory` is None for the first, `damping` is then its mu."""
    if memory is None:
        memory = Control(damping, is_overparameterized=objective.is_overparameterized(params))
    value, e = objective.evaluate(params)
    return State(params, value, objective.rms(e), memory, e)


def step(objective: Objective, state: State, linearize: Linearize) -> State:
    """One step, if there is one that lowers the loss."""
    control = replace(state.memory)
    merit = replace(objective, loss=LpLoss(2.0)) if control.in_rms else objective
    params, e = state.params, state.cache
    value = _value(merit, e)
    path = _solve(merit, linearize(merit, params), value, e, control)
    nonfinite = first_nonfinite(objective.xp, {"the product J d of the linear model": path[-1].du})
    if nonfinite:
        return replace(state, memory=control, work=path[-1].iterations, nonfinite=nonfinite)
    best, at_end = _search(merit, params, value, path)
    gained = 1.0 - best.value / value
    stop_reason = ""
    if gained > 0.0:
        control.learn(value, promised=_promised(merit, e, path[-1]), at_end=at_end)
        control.aim(value, best, promised=_promised(merit, e, best.step), at_end=best.step is path[-1])
    elif merit.loss == objective.loss:
        stop_reason = "converged: no step lowers the loss"
    control.in_rms = control.in_rms and gained >= LITTLE
    work = path[-1].iterations
    # What is not a number the loop over the steps is to see and name.
    if gained > 0.0 or not math.isfinite(best.value):
        return State(best.params, _value(objective, best.e), objective.rms(best.e), control, best.e, work=work)
    return replace(state, memory=control, work=work, stop_reason=stop_reason)


def restart(control: "Control") -> "Control":
    """What is kept after a divergence: the damping, fourfold, which halves a step that it governs."""
    return Control(4.0 * control.damping, control.is_overparameterized)


@dataclass(frozen=True)
class _Trial:
    """What a step leads to."""

    step: CandidateStep
    params: Parameters
    value: float
    e: Array


def _search(objective: Objective, params: Parameters, value: float, path: list[CandidateStep]) -> tuple[_Trial, float]:
    """The best point from the path's end backwards, until a loss below `value` rises again; and the loss at the end."""
    trials = (_try(objective, params, step) for step in _trials(path))
    best = trial = next(trials)
    at_end = best.value
    for trial in trials:
        if trial.value < best.value:
            best = trial
        elif best.value < value:
            return best, at_end
    # Not convergence, but a loss that is not a number however short the step is.
    return best if math.isfinite(trial.value) or best.value < value else trial, at_end


def _try(objective: Objective, params: Parameters, step: CandidateStep) -> _Trial:
    moved = params | {name: params[name] + d for name, d in step.direction.items()}
    return _Trial(step, moved, *objective.evaluate(moved))


def _trials(path: list[CandidateStep]) -> Iterator[CandidateStep]:
    yield from reversed(path)
    for cuts in range(1, BACKTRACKS):
        yield path[0].times(0.25**cuts)


def _solve(objective: Objective, model: LinearModel, value: float, e: Array, control: "Control") -> list[CandidateStep]:
    """The path of the linear model at a point where the loss is `value`, each step of the best length for L^p."""
    xp = objective.xp
    while True:
        weights = _weights(objective, e, 0.0 if control.is_overparameterized else control.floor)
        shard = objective.shard
        square = shard.n_total if control.is_overparameterized else float(shard.sum(xp.sum(weights * weights))[0])
        damping = control.damping * (value * value) * square
        path = model.solve(e, weights, damping, Effort(control.forcing, control.max_inner_iterations))
        if objective.loss.p != 2.0:
            path = [step.times(_step_length(objective, e, step.du)) for step in path]
        promised = _promised(objective, e, path[-1])
        if promised <= (1.0 - LITTLE) * value or not control.lower_floor(objective.loss.p):
            return path


def _value(objective: Objective, e: Array) -> float:
    return float(objective.loss.forward(objective.xp, e, objective.shard))


def _promised(objective: Objective, e: Array, step: CandidateStep) -> float:
    """The loss that the linear model says."""
    return _value(objective, e + step.du)


@dataclass
class Control:
    """What one step teaches the next: mu and nu, the forcing term, the number of iterations, the floor of the weights.

    Attributes
    ----------
    is_overparameterized : bool
        `Objective.is_overparameterized`.
    in_rms : bool
        Whether p = 2 still steers.
    """

    damping: float
    is_overparameterized: bool
    in_rms: bool = True
    growth: float = 2.0
    forcing: float = FIRST_FORCING
    max_inner_iterations: int = FIRST_INNER_ITERATIONS
    floor: float = WEIGHT_FLOOR

    def lower_floor(self, p: float) -> bool:
        """Whether there was anything to lower."""
        if p == 2.0 or self.is_overparameterized or self.floor == 0.0:
            return False
        self.floor = 0.1 * self.floor if self.floor > SMALLEST_FLOOR else 0.0
        return True

    def learn(self, value: float, promised: float, at_end: float) -> None:
        """From the end of a path: damping and floor."""
        gain = (value - at_end) / (value - promised) if promised < value else 0.0
        if gain > 0.0:
            self.damping *= max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3)
            self.growth = 2.0
        else:
            self.damping *= self.growth
            self.growth *= 2.0
        if self.floor < WEIGHT_FLOOR and promised < 0.5 * value:
            self.floor = min(WEIGHT_FLOOR, max(10.0 * self.floor, SMALLEST_FLOOR))

    def aim(self, value: float, best: _Trial, promised: float, *, at_end: bool) -> None:
        """From the step that was taken: how far and how exactly to go next time."""
        factor = INNER_GROWTH_AT_END if at_end else INNER_GROWTH
        self.max_inner_iterations = max(FIRST_INNER_ITERATIONS // 2, int(factor * best.step.iterations))
        least = self.forcing**FORCING_MEMORY
        forcing = FORCING_SHARE * abs(best.value - promised) / value
        self.forcing = min(FORCING_SHARE, max(forcing, least) if least > 0.1 else forcing)


def _weights(objective: Objective, e: Array, floor: float) -> Array:
    """S = max((|e| / max|e|)^(p/2 - 1), floor)."""
    xp, p = objective.xp, objective.loss.p
    if p == 2.0:
        return xp.ones_like(e)
    magnitude = xp.abs(e)
    largest = objective.shard.max(float(xp.max(magnitude)))
    return xp.clip((magnitude / largest) ** (0.5 * p - 1.0), min=floor)


def _step_length(objective: Objective, e: Array, du: Array) -> float:
    """The alpha in (0, 1] that minimises the convex L(e + alpha du): bisection on its slope."""
    xp, loss, shard = objective.xp, objective.loss, objective.shard
    low, high = 0.0, 1.0
    if loss.p == 2.0 or float(loss.jvp(xp, e + du, du, shard)) <= 0.0:
        return high
    while high - low > 1e-3 * high and high > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(loss.jvp(xp, e + middle * du, du, shard)) < 0.0 else (low, middle)
    return high
