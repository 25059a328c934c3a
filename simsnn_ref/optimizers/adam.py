"""Adam (Kingma & Ba, 2015), Algorithm 1 of that paper."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch
from types import ModuleType
from typing import Any, ClassVar

from simsnn_ref.backend import Array
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.schedules import Constant, Schedule

__all__ = ["Adam", "AdamState", "adam_step"]


@singledispatch
def adam_step(
    theta: Array,
    g: Array,
    m: Array,
    v: Array,
    xp: ModuleType | Any,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """The recurrence of `Adam` at step t = `step`, counted from 1: theta_t, m_t and v_t, of the shape of theta.

    A plug-in may register one kernel for its own type of array.
    """
    m = beta1 * m + (1.0 - beta1) * g
    v = beta2 * v + (1.0 - beta2) * (g * g)
    m_hat = m / (1.0 - beta1**step)
    v_hat = v / (1.0 - beta2**step)
    return theta - learning_rate * m_hat / (xp.sqrt(v_hat) + epsilon), m, v


@dataclass(frozen=True)
class AdamState:
    """The memory of `Adam`.

    Attributes
    ----------
    step : int
        Number of steps taken.
    mean, square : dict of Array
        m and v by name of the parameter; empty before the first step.
    step_scale : float
        Factor on the schedule's step size: 1, halved at each restart.
    """

    step: int
    mean: dict[str, Array]
    square: dict[str, Array]
    step_scale: float = 1.0

    @classmethod
    def zero(cls, xp: ModuleType | Any, params: dict[str, Array], step_scale: float = 1.0) -> "AdamState":
        """The memory before the first step: zero means for `params`, the parameters that train."""
        zeros = {name: xp.zeros_like(value) for name, value in params.items()}
        return cls(step=0, mean=zeros, square=dict(zeros), step_scale=step_scale)


@dataclass(frozen=True)
class _Cache:
    """The gradient at a state; the schedule's last step size, where a step was taken to get there."""

    gradient: Parameters
    learning_rate: float | None = None


@dataclass(frozen=True)
class Adam:
    """With gradient g_t and step size lr (`learning_rate`):

        m_t = beta1 m_{t-1} + (1 - beta1) g_t,          m_hat = m_t / (1 - beta1^t)
        v_t = beta2 v_{t-1} + (1 - beta2) g_t^2,        v_hat = v_t / (1 - beta2^t)
        theta_t = theta_{t-1} - lr m_hat / (sqrt(v_hat) + epsilon)

    The form with epsilon outside the root and after the bias correction, as in the paper, PyTorch and Optax. Training
    is full batch, with the step sizes of `schedule`.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    schedule: Schedule = field(default=Constant(1e-3))

    name: ClassVar[str] = "adam"
    memory: ClassVar[type] = AdamState

    def update(
        self,
        xp: ModuleType | Any,
        params: dict[str, Array],
        grads: dict[str, Array],
        state: AdamState,
        learning_rate: float,
    ) -> tuple[dict[str, Array], AdamState]:
        """One step for the parameters in `grads`; the others are returned as they are. Nothing is changed in place."""
        step = state.step + 1
        options = (step, learning_rate, self.beta1, self.beta2, self.epsilon)
        new, mean, square = dict(params), {}, {}
        for name, g in grads.items():
            new[name], mean[name], square[name] = adam_step(
                params[name], g, state.mean[name], state.square[name], xp, *options
            )
        return new, replace(state, step=step, mean=mean, square=square)

    def init(
        self, objective: Objective, params: Parameters, memory: AdamState | None = None, last: float = 1.0
    ) -> State:
        value, rms, gradient = objective.value_and_gradient(params, last)
        memory = memory or AdamState(step=0, mean={}, square={})
        if not memory.mean:
            trained = {name: params[name] for name in objective.network.trainable(params)}
            memory = AdamState.zero(objective.xp, trained, memory.step_scale)
        return State(params, value, rms, memory, _Cache(gradient))

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        rate = self.schedule.learning_rate(losses, state.cache.learning_rate)
        params, memory = self.update(
            objective.xp, state.params, state.cache.gradient, state.memory, state.memory.step_scale * rate
        )
        value, rms, gradient = objective.value_and_gradient(params, state.value)
        return State(params, value, rms, memory, _Cache(gradient, rate), gradient=state.cache.gradient)

    def restart(self, memory: AdamState) -> AdamState:
        return AdamState(step=0, mean={}, square={}, step_scale=0.5 * memory.step_scale)
