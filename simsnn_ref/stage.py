"""Train one stage's network on its normalised target."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.config import FitConfig
from simsnn_ref.features import FeatureMap
from simsnn_ref.losses import LpLoss, rms
from simsnn_ref.network import Network, Parameters
from simsnn_ref.optimizers import Adam, Constant, Exponential, Plateau, Schedule

__all__ = ["Trained", "train"]


@dataclass(frozen=True)
class Trained:
    """The parameters with the lowest loss met, and how they were come by."""

    params: Parameters
    steps: int
    stopped_because: str
    loss_history: np.ndarray
    rms_history: np.ndarray


def _make_schedule(config: FitConfig, steps: int) -> Schedule:
    """The step-size schedule that `config` names."""
    if config.schedule == "constant":
        return Constant(config.learning_rate)
    if config.schedule == "plateau":
        return Plateau(config.learning_rate, config.plateau_window, config.plateau_threshold)
    return Exponential(config.learning_rate, config.final_learning_rate, steps)


def train(
    network: Network,
    params: Parameters,
    fmap: FeatureMap,
    target: Array,
    config: FitConfig,
    steps: int,
    on_step: Callable[[int, float, float], None] = lambda step, loss, rms: None,
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
    """
    xp, loss = network.xp, LpLoss(config.p)
    names = network.trainable(params)
    adam = Adam(config.beta1, config.beta2, config.epsilon)
    state = adam.init(xp, {name: params[name] for name in names})
    schedule = _make_schedule(config, steps)
    best, lowest = params, math.inf
    losses: list[float] = []
    deviations: list[float] = []
    stopped_because = "all steps taken" if names else "nothing to train"
    for step in range(1, (steps if names else 0) + 2):
        u, activations = network.forward(params, fmap)
        e = u - target
        value = float(loss.forward(xp, e))
        if not math.isfinite(value):
            stopped_because = f"diverged at step {step}: the loss is {value}"
            break
        if value < lowest:
            best, lowest = params, value
        if step > steps or not names:
            break
        losses.append(value)
        deviations.append(rms(xp, e))
        on_step(step, value, deviations[-1])
        grads = network.vjp(params, fmap, activations, loss.vjp(xp, e))
        params, state = adam.update(xp, params, grads, state, schedule.learning_rate(losses))
    return Trained(best, len(losses), stopped_because, _host(losses), _host(deviations))


def _host(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
