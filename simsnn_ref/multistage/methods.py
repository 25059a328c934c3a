"""The training method that the options name, with its options."""

from simsnn_ref.model import FitConfig
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers import (
    LBFGS,
    Adam,
    Constant,
    Exponential,
    GaussNewton,
    LevenbergMarquardt,
    Method,
    Objective,
    Plateau,
    Schedule,
    is_small,
)

__all__ = ["choose_optimizer", "make_method"]


def choose_optimizer(config: FitConfig, objective: Objective, params: Parameters) -> str:
    """The method that `config` names; ``second_order`` is Levenberg-Marquardt where that is small, else Gauss-Newton.

    Small means that a step takes seconds: up to about 64^2 points, or as many parameters on not many more points.
    """
    if config.optimizer != "second_order":
        return config.optimizer
    return "levenberg_marquardt" if is_small(objective, params) else "gauss_newton"


def _make_schedule(config: FitConfig, steps: int) -> Schedule:
    """The step-size schedule that the options name."""
    options, rate = config.training, config.learning_rate
    if config.schedule == "constant":
        return Constant(rate)
    if config.schedule == "plateau":
        return Plateau(rate, options.plateau_window, options.plateau_threshold)
    return Exponential(rate, options.final_learning_rate, steps)


def make_method(config: FitConfig, name: str, steps: int) -> Method:
    """The method called `name` with its options, for a stage of so many steps."""
    options = config.training
    methods: dict[str, Method] = {
        "adam": Adam(options.beta1, options.beta2, options.epsilon, _make_schedule(config, steps)),
        "lbfgs": LBFGS(options.memory),
        "levenberg_marquardt": LevenbergMarquardt(options.damping),
        "gauss_newton": GaussNewton(options.inner_iterations, options.damping),
    }
    return methods[name]
