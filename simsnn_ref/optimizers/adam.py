"""Adam (Kingma & Ba, 2015), Algorithm 1 of that paper."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.base import Journal, Limits, Objective, OnStep, Result
from simsnn_ref.optimizers.schedules import Schedule

__all__ = ["Adam", "AdamState"]


@dataclass(frozen=True)
class AdamState:
    """Number of steps taken and the two running means, by parameter name."""

    step: int
    mean: dict[str, Array]
    square: dict[str, Array]


@dataclass(frozen=True)
class Adam:
    """With gradient g_t and step size lr (`learning_rate`):

        m_t = beta1 m_{t-1} + (1 - beta1) g_t
        v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
        theta_t = theta_{t-1} - lr [m_t / (1 - beta1^t)] / (sqrt(v_t / (1 - beta2^t)) + epsilon)

    The form with epsilon outside the root and after the bias correction, as in the paper, PyTorch and Optax.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def init(self, xp: ModuleType | Any, params: dict[str, Array]) -> AdamState:
        """Zero means for `params`, the parameters that train."""
        zeros = {name: xp.zeros_like(value) for name, value in params.items()}
        return AdamState(step=0, mean=zeros, square=dict(zeros))

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
        mean_scale = learning_rate / (1.0 - self.beta1**step)
        root_scale = (1.0 - self.beta2**step) ** -0.5
        new, mean, square = dict(params), {}, {}
        for name, g in grads.items():
            m = self.beta1 * state.mean[name] + (1.0 - self.beta1) * g
            v = self.beta2 * state.square[name] + (1.0 - self.beta2) * (g * g)
            new[name] = params[name] - mean_scale * m / (root_scale * xp.sqrt(v) + self.epsilon)
            mean[name], square[name] = m, v
        return new, AdamState(step, mean, square)

    def minimize(
        self,
        objective: Objective,
        params: Parameters,
        limits: Limits,
        on_step: OnStep,
        schedule: Schedule,
    ) -> Result:
        """Minimise from `params`, full batch, with the step sizes of `schedule`."""
        journal = Journal(objective, limits, on_step)
        state = self.init(objective.xp, {name: params[name] for name in objective.network.trainable(params)})
        value, e, grads = objective.value_and_gradient(params)
        while journal.goes_on(params, value, e):
            params, state = self.update(objective.xp, params, grads, state, schedule.learning_rate(journal.losses))
            value, e, grads = objective.value_and_gradient(params, value)
        return journal.result("adam")
