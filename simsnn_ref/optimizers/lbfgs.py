"""L-BFGS (Nocedal & Wright, algorithm 7.5), SciPy's, on the host."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from simsnn_ref.errors import ConfigError
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.base import Journal, Limits, Objective, OnStep, Result
from simsnn_ref.optimizers.jacobian import Jacobian
from simsnn_ref.optimizers.scaling import natural_scales

__all__ = ["LBFGS"]


@dataclass(frozen=True)
class LBFGS:
    """Minimises L^2 / 2 over x = theta / D, D natural sizes at the start.

    The square is smooth where L itself has a kink, at a zero residual, and for p = 2 it is the quadratic that L-BFGS
    expects. Its gradient is L D dL/dtheta.

    Parameters
    ----------
    memory : int
        Pairs of steps and gradient changes kept.
    """

    memory: int = 20

    def minimize(
        self,
        objective: Objective,
        params: Parameters,
        limits: Limits,
        on_step: OnStep = lambda step, loss, rms: None,
    ) -> Result:
        """Minimise from `params`.

        Raises
        ------
        ConfigError
            If `objective.backend` is not the one its arrays belong to.
        """
        if objective.backend.xp is not objective.network.xp:
            raise ConfigError(f"optimizer = 'lbfgs': backend {objective.backend.name!r} is not that of the parameters")
        search = _Search(objective, params, Journal(objective, limits, on_step))
        if search.goes_on():
            found = minimize(
                search.evaluate,
                search.start,
                jac=True,
                method="L-BFGS-B",
                callback=search.after_iteration,
                # Only the limits stop it: its own tolerances are absolute, and the loss may fall by 26 decades.
                options={
                    "maxcor": self.memory,
                    "maxiter": limits.steps,
                    "maxfun": 20 * limits.steps,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
            if not search.ended:
                search.journal.stop(f"L-BFGS-B: {found.message}")
        return search.journal.result("lbfgs")


@dataclass
class _Search:
    """Between SciPy's vectors on the host and the parameters on the backend."""

    objective: Objective
    params: Parameters
    journal: Journal
    ended: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        objective = self.objective
        self.value, self.e, activations = objective.evaluate(self.params)
        if not objective.network.trainable(self.params):
            return
        scales = objective.flatten(natural_scales(Jacobian(objective, self.params, activations)).by_name(), self.params)
        # A parameter without effect has the scale 0 and stays.
        self.scales = objective.backend.to_numpy(scales)
        self.origin = objective.backend.to_numpy(objective.flatten(self.params, self.params))
        self.start = np.zeros_like(self.origin)

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """L^2 / 2 and its gradient in x = (theta - theta_0) / D."""
        objective = self.objective
        vector = objective.backend.asarray(self.origin + self.scales * x)
        self.x, self.params = x.copy(), self.params | objective.unflatten(vector, self.params)
        self.value, self.e, gradient = objective.value_and_gradient(self.params, self.value)
        slope = objective.flatten(gradient, self.params)
        return 0.5 * self.value**2, self.value * self.scales * objective.backend.to_numpy(slope)

    def goes_on(self) -> bool:
        self.ended = not self.journal.goes_on(self.params, self.value, self.e)
        return not self.ended

    def after_iteration(self, intermediate_result: OptimizeResult) -> None:
        """Called by SciPy with the point of each iteration, which need not be the one evaluated last."""
        if not np.array_equal(intermediate_result.x, self.x):
            self.evaluate(intermediate_result.x)
        if not self.goes_on():
            raise StopIteration
