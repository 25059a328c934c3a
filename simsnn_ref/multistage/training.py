"""Train one stage's network on its normalised target, by the method that `config` names."""

from simsnn_ref.backend import Array, Backend, load_backend
from simsnn_ref.model import FitConfig, TrainingOptions
from simsnn_ref.network import FeatureMap, Network, Parameters
from simsnn_ref.optimizers import (
    LBFGS,
    Adam,
    Constant,
    Exponential,
    GaussNewton,
    LevenbergMarquardt,
    Limits,
    LpLoss,
    Method,
    Objective,
    OnStep,
    Plateau,
    Schedule,
    Snapshot,
    Watch,
    is_small,
    minimize,
)
from simsnn_ref.optimizers import Result as Trained

__all__ = ["Trained", "choose_optimizer", "make_method", "train"]


def choose_optimizer(config: FitConfig, objective: Objective, params: Parameters) -> str:
    """The method that `config` names; ``auto`` is Levenberg-Marquardt where that is small, else Gauss-Newton.

    Small means that a step takes seconds: up to about 64^2 points, or as many parameters on not many more points.
    """
    if config.training.optimizer != "auto":
        return config.training.optimizer
    return "levenberg_marquardt" if is_small(objective, params) else "gauss_newton"


def _make_schedule(options: TrainingOptions, steps: int) -> Schedule:
    """The step-size schedule that the options name."""
    if options.schedule == "constant":
        return Constant(options.learning_rate)
    if options.schedule == "plateau":
        return Plateau(options.learning_rate, options.plateau_window, options.plateau_threshold)
    return Exponential(options.learning_rate, options.final_learning_rate, steps)


def make_method(config: FitConfig, name: str, steps: int) -> Method:
    """The method called `name` with its options, for a stage of so many steps."""
    options = config.training
    methods: dict[str, Method] = {
        "adam": Adam(options.beta1, options.beta2, options.epsilon, _make_schedule(options, steps)),
        "lbfgs": LBFGS(options.memory),
        "levenberg_marquardt": LevenbergMarquardt(options.damping),
        "gauss_newton": GaussNewton(options.inner_iterations, options.damping),
    }
    return methods[name]


def train(
    network: Network,
    params: Parameters,
    fmap: FeatureMap,
    target: Array,
    config: FitConfig,
    steps: int,
    on_step: OnStep = lambda step, loss, rms: None,
    backend: Backend | None = None,
    *,
    watch: Watch = lambda snapshot: None,
    snapshot: Snapshot | None = None,
) -> Trained:
    """Minimise the L^p norm of u_s - t over the points of `fmap`, full batch.

    Parameters
    ----------
    target : Array of float64, shape (n_points,)
        t, of RMS 1.
    steps : int
        Number of steps; the loss is also evaluated after the last one.
    on_step : callable
        Called with (step, loss, rms) before each step, step counted from 1.
    backend : Backend, optional
        Whose arrays these are; the one that `config` names by default.
    watch, snapshot
        See `simsnn_ref.optimizers.minimize`.

    Raises
    ------
    DivergenceError
        If a number in training is not finite and ``config.training.on_divergence`` is not to begin again.
    """
    backend = load_backend(config.run.backend) if backend is None else backend
    objective = Objective(network, fmap, target, LpLoss(config.p), backend)
    name = choose_optimizer(config, objective, params)
    # Adam's loss goes up and down by nature; only the methods that descend can stall.
    stall_tolerance = 0.0 if name == "adam" else config.training.stall_tolerance
    return minimize(
        make_method(config, name, steps),
        objective,
        params,
        Limits(steps, config.training.target_rms, stall_tolerance, config.training.max_seconds or 0.0),
        on_step,
        watch=watch,
        snapshot=snapshot,
        restarts=config.training.on_divergence == "restart",
    )
