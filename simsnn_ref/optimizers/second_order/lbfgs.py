"""L-BFGS (Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 7.5) from SciPy's parts, on the host.

With x = theta / D, f = L^2 / 2 and the last m pairs s_i = x_{i+1} - x_i, y_i = grad f_{i+1} - grad f_i,

    x_{k+1} = x_k - alpha_k H_k grad f_k,    H_k = H(s_i, y_i; gamma_k I),    gamma_k = s'y / y'y of the last pair,

alpha_k by a line search for the strong Wolfe conditions. SciPy's H starts from the identity instead of gamma I: in
sqrt(gamma) x the pairs are s / sqrt(gamma) and y sqrt(gamma), so that H(s, y; gamma I) = gamma H(s / sqrt(gamma),
y sqrt(gamma); I). Unlike SciPy's own L-BFGS-B, whose memory cannot be read, this can be stopped and go on.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from scipy.optimize import LbfgsInvHessProduct, line_search

from simsnn_ref.errors import ConfigError
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.nonfinite import first_nonfinite
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.second_order.jacobian import Jacobian
from simsnn_ref.optimizers.second_order.scaling import natural_scales

__all__ = ["LBFGS", "Pairs"]

TRIALS = 20
"""Of one line search."""


@dataclass(frozen=True)
class Pairs:
    """The memory: D, and s_i and y_i, oldest first.

    Attributes
    ----------
    scales : ndarray of float64, shape (n_parameters,)
    steps, changes : ndarray of float64, shape (pairs, n_parameters)
    step_scale : float
        Factor on the first step: 1, halved at each restart.
    """

    scales: np.ndarray
    steps: np.ndarray
    changes: np.ndarray
    step_scale: float = 1.0

    def direction(self, gradient: np.ndarray, value: float) -> np.ndarray:
        """-H grad f; without pairs a multiple of -grad f, no longer than 1 and no further than where f would be 0."""
        if not len(self.steps):
            square = float(gradient @ gradient)
            return -self.step_scale * min(1.0 / math.sqrt(square), 2.0 * value / square) * gradient
        s, y = self.steps[-1], self.changes[-1]
        gamma = float(s @ y) / float(y @ y)
        H = LbfgsInvHessProduct(self.steps / math.sqrt(gamma), self.changes * math.sqrt(gamma))
        direction: np.ndarray = -gamma * H.matvec(gradient)
        return direction

    def forgotten(self, step_scale: float) -> "Pairs":
        """Without pairs."""
        return Pairs(self.scales, self.steps[:0], self.changes[:0], step_scale)

    def learnt(self, step: np.ndarray, change: np.ndarray, most: int) -> "Pairs":
        """With one more pair, if its curvature is positive, of at most `most`."""
        if not float(step @ change) > 0.0:
            return self
        steps, changes = np.vstack([self.steps, step])[-most:], np.vstack([self.changes, change])[-most:]
        return Pairs(self.scales, steps, changes, self.step_scale)


@dataclass(frozen=True)
class LBFGS:
    """Minimises L^2 / 2 over x = theta / D, D natural sizes at the start.

    The square is smooth where L itself has a kink, at a zero residual, and for p = 2 it is the quadratic that L-BFGS
    expects. Its gradient is L D dL/dtheta.

    Parameters
    ----------
    most : int
        Pairs of steps and gradient changes kept.
    """

    most: int = 20

    name: ClassVar[str] = "lbfgs"
    memory: ClassVar[type] = Pairs

    def init(self, objective: Objective, params: Parameters, memory: Pairs | None = None, last: float = 1.0) -> State:
        """See `simsnn_ref.optimizers.Method`.

        Raises
        ------
        ConfigError
            If `objective.backend` is not the one its arrays belong to.
        """
        if objective.backend.xp is not objective.network.xp:
            raise ConfigError(f"optimizer = 'lbfgs': backend {objective.backend.name!r} is not that of the parameters")
        if memory is None:
            memory = self._empty(objective, params)
        value, rms, gradient = objective.value_and_gradient(params, last)
        return State(params, value, rms, memory, gradient)

    def _empty(self, objective: Objective, params: Parameters) -> Pairs:
        """No pairs yet; a parameter without effect has the scale 0 and stays."""
        if not objective.network.trainable(params):
            return Pairs(np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)))
        scales = objective.flatten(natural_scales(Jacobian(objective, params)).by_name(), params)
        host = objective.backend.to_numpy(scales)
        return Pairs(host, np.zeros((0, host.size)), np.zeros((0, host.size)))

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        pairs: Pairs = state.memory
        nonfinite = _nonfinite(objective, state)
        if nonfinite:
            return replace(state, nonfinite=nonfinite)
        search = _Search(objective, state)
        if not search.slope.any():
            return replace(state, stop_reason="converged: the gradient is 0")
        step = search.along(pairs.direction(search.slope, search.height))
        if step is None and len(pairs.steps):
            pairs = pairs.forgotten(pairs.step_scale)
            step = search.along(pairs.direction(search.slope, search.height))
        if step is None:
            nonfinite = _nonfinite(objective, search.last)
            stop_reason = "" if nonfinite else "converged: no step lowers the loss"
            return replace(state, memory=pairs, work=search.evaluations, stop_reason=stop_reason, nonfinite=nonfinite)
        reached = search.at(step)
        pairs = pairs.learnt(step, search.slope_of(reached) - search.slope, self.most)
        return replace(reached, memory=pairs, work=search.evaluations)

    def restart(self, memory: Pairs) -> Pairs:
        return memory.forgotten(0.5 * memory.step_scale)


def _nonfinite(objective: Objective, state: State) -> str:
    """What is not finite of gradient and loss."""
    gradient = {f"the gradient of {name}": value for name, value in state.cache.items()}
    loss = "" if math.isfinite(state.value) else f"the loss, {state.value}"
    return loss or first_nonfinite(objective.xp, gradient)


@dataclass
class _Search:
    """f about a state, as SciPy's line search sees it: a function of x - x_k."""

    objective: Objective
    start: State
    evaluations: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.slope, self.height = self.slope_of(self.start), 0.5 * self.start.value * self.start.value
        self._step, self.last = np.zeros_like(self.slope), self.start

    def slope_of(self, state: State) -> np.ndarray:
        """The gradient of f in x."""
        flat = self.objective.backend.to_numpy(self.objective.flatten(state.cache, state.params))
        slope: np.ndarray = state.value * self.start.memory.scales * flat
        return slope

    def at(self, step: np.ndarray) -> State:
        """The state where a step leads, evaluated once."""
        if not np.array_equal(step, self._step):
            objective, start = self.objective, self.start
            moved = objective.unflatten(objective.backend.asarray(start.memory.scales * step), start.params)
            params = start.params | {name: start.params[name] + d for name, d in moved.items()}
            value, rms, gradient = objective.value_and_gradient(params, start.value)
            self._step, self.last = step.copy(), State(params, value, rms, start.memory, gradient)
            self.evaluations += 1
        return self.last

    def height_at(self, step: np.ndarray) -> float:
        """f; infinite where it is not a number, which the line search backs away from."""
        value = self.at(step).value
        return 0.5 * value * value if math.isfinite(value) else math.inf

    def slope_at(self, step: np.ndarray) -> np.ndarray:
        return self.slope_of(self.at(step))

    def along(self, direction: np.ndarray) -> np.ndarray | None:
        """The step that the line search takes; None if it finds none."""
        with warnings.catch_warnings():
            # It says so in its answer too.
            warnings.filterwarnings("ignore", message="The line search algorithm")
            length = line_search(
                self.height_at,
                self.slope_at,
                np.zeros_like(direction),
                direction,
                self.slope,
                self.height,
                maxiter=TRIALS,
            )[0]
        if length is None:
            return None
        step: np.ndarray = length * direction
        return step if self.at(step).value < self.start.value else None
