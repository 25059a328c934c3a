"""What Figures 2 and 3 have in common: the snapshot of turbulence, and the paper's fit of it in stages."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsnn_ref.experiments.base import Settings
from simsnn_ref.model import Model
from simsnn_ref.problems import get_problem

__all__ = ["PROBLEM", "STAGES", "Setup", "snapshot", "staged_fit"]

STAGES = 4

PROBLEM = get_problem("turbulence")


@dataclass(frozen=True)
class Setup:
    """Sizes of a fit.

    Attributes
    ----------
    size : int
        Samples per axis.
    reynolds : float
        Reynolds number of the simulation.
    n_features : tuple of two ints
        n_f of the first stage and of those that follow.
    optimizer : str
    steps : tuple of two ints
        Largest number of steps of the first stage and of those that follow.
    z1_rms : float or None
    output_gain : tuple of two floats
        See `simsnn_ref.FitConfig`; 0 and 1 are Xavier's rule, the paper's start.
    """

    size: int
    reynolds: float
    n_features: tuple[int, int]
    optimizer: str
    steps: tuple[int, int]
    z1_rms: float | None = None
    output_gain: tuple[float, float] = (1.0, 1.0)


def snapshot(size: int, reynolds: float, say: Callable[[str], None]) -> np.ndarray:
    """Psi at t = 1.25 from the built-in simulation."""
    say(f"simulating turbulence, {size} x {size} points, Re = {reynolds:g}")
    return PROBLEM.samples(size, reynolds=reynolds)


def staged_fit(settings: Settings, setup: Setup, u: np.ndarray, optimizer: str = "", stages: int = STAGES) -> Model:
    """The paper's fit of `u` at the sizes of `setup`; with another optimizer from Xavier's weights."""
    own = optimizer in ("", setup.optimizer)
    return settings.fit(
        u,
        PROBLEM.grid(u.shape[0]),
        mode="paper",
        n_features=setup.n_features,
        stages=stages,
        steps=setup.steps,
        optimizer=optimizer or setup.optimizer,
        z1_rms=setup.z1_rms if own else None,
        output_gain=setup.output_gain if own else (1.0,),
        certify=False,
    )
