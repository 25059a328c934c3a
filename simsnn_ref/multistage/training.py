"""Train one stage's network on its normalised target, by the method that the options name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simsnn_ref.backend import Array, Backend, load_backend
from simsnn_ref.errors import DivergenceError
from simsnn_ref.model import FitConfig, Stage, Step, check_snapshot, reading_states
from simsnn_ref.multistage.events import Events
from simsnn_ref.multistage.methods import choose_optimizer, make_method
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.start import Start
from simsnn_ref.multistage.state import FitState
from simsnn_ref.network import FeatureMap, Network, Parameters, network_map
from simsnn_ref.optimizers import Limits, LpLoss, Objective, OnStep, Result, Snapshot, Watch, minimize

__all__ = ["TrainedStage", "describe", "train", "train_stage", "training_map"]

TRUNCATION_MARGIN = 1.5
"""A stage ends at so many times the truncation error of its modes: the features cannot go far below it, and what they
leave is the next stage's, whose modes are read off it."""


@dataclass(frozen=True)
class TrainedStage:
    """A stage after training.

    Attributes
    ----------
    stage : Stage or None
        None where not even the start was finite.
    feature_map : str
        Name of the map that it was trained with.
    result : Result
        What `minimize` returned.
    divergence : DivergenceError or None
        What ended the training, if numbers were not finite.
    """

    stage: Stage | None
    feature_map: str
    result: Result
    divergence: DivergenceError | None = None


def training_map(network: Network, setup: Setup, grid: Any) -> Any:
    """The feature map that the options name, for training at all points of a grid."""
    config = setup.config
    return network_map(network, grid, setup.backend, config.network.feature_map, config.network.nufft_tolerance)


def describe(network: Network, params: Parameters, ndim: int, feature_map: str, eps: float) -> str:
    """First layer, widths, number of parameters, feature map and eps of a stage, in a line."""
    widths = " x ".join(map(str, (network.n_features or ndim, *network.hidden, 1)))
    return (
        f"{network.first_layer}, {widths}, {network.n_parameters(params)} parameters, {feature_map} map,"
        f" eps = {eps:.2e}"
    )


def train_stage(number: int, start: Start, state: FitState, setup: Setup, events: Events) -> TrainedStage:
    """Train stage `number` (1-based) from its start, or from the snapshot of the state where there is one."""
    config, network, processes = setup.config, start.network, setup.backend.processes
    fmap = processes.shard(training_map(network, setup, start.residue.training.grid))
    # Several processes train one network: they must have found the same, to the bit.
    processes.require_same("the start of a stage", start.params | {"target": start.target})
    chosen = f"{fmap.name}{' (auto)' if config.network.feature_map == 'auto' else ''}"
    text = describe(network, start.params, setup.grid.ndim, chosen, start.eps)
    events.stage_start(number, config.n_stages, text)
    steps = config.for_stage(config.steps, number - 1)
    margin = TRUNCATION_MARGIN * start.truncation_error if config.optimizer == "second_order" else 0.0
    goal = config.with_options(target_rms=max(config.training.target_rms, setup.goal(start.eps), margin))

    def on_step(step: int, loss: float, rms: float) -> None:
        events.step(Step(number, config.n_stages, step, steps, loss, rms * start.eps / setup.rms))

    def watch(take: Callable[[], Snapshot]) -> None:
        events.in_training(state, take)

    snapshot, state.snapshot = state.snapshot, None
    if snapshot is not None and events.checkpoints is not None:
        with reading_states(events.checkpoints.folder):
            check_snapshot(snapshot, start.params, network.trainable(start.params))
    target = fmap.shard.part(setup.backend.xp.reshape(start.target, (-1,)))
    divergence = None
    try:
        result = train(
            network, start.params, fmap, target, goal, steps, on_step, setup.backend, watch=watch, snapshot=snapshot
        )
    except DivergenceError as error:
        result = error.result
        can_restart = result.steps and config.training.on_divergence == "stop"
        advice = "; restart with half the step: on_divergence = 'restart'" if can_restart else ""
        divergence = DivergenceError(f"stage {number}: {error}{advice}")
    if result.restarts:
        events.note(
            f"stage {number}: numbers were not finite, and training began again from the best parameters with half the"
            f" step; restarts: {result.restarts}"
        )
    stage = Stage(start.eps, network, result.params) if result.params else None
    return TrainedStage(stage, fmap.name, result, divergence)


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
) -> Result:
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
