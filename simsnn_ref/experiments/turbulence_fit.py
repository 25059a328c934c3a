"""What Figures 2 and 3 have in common: the snapshot of turbulence, and the paper's fit of it in stages."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    n_features : tuple
        n_f of the first stage and of those that follow; of None the primary modes are counted.
    optimizer : str
    steps : tuple of two ints
        Largest number of steps of the first stage and of those that follow.
    z1_rms : float or None
    output_gain : tuple of two floats
        See `simsnn_ref.FitConfig`; None and 1 are Xavier's rule, the paper's start.
    """

    size: int
    reynolds: float
    n_features: tuple[int | None, int | None]
    optimizer: str
    steps: tuple[int, int]
    z1_rms: float | None = None
    output_gain: tuple[float, float] = (1.0, 1.0)

    def by(self, optimizer: str) -> "Setup":
        """The same sizes with another optimizer, from Xavier's weights."""
        if optimizer in ("", self.optimizer):
            return self
        return replace(self, optimizer=optimizer, z1_rms=None, output_gain=(1.0, 1.0))


def snapshot(size: int, reynolds: float, say: Callable[[str], None]) -> np.ndarray:
    """Psi at t = 1.25 from the built-in simulation."""
    say(f"simulating turbulence, {size} x {size} points, Re = {reynolds:g}")
    return PROBLEM.samples(size, reynolds=reynolds)


def staged_fit(settings: Settings, setup: Setup, u: np.ndarray, stages: int = STAGES) -> Model:
    """The fit of `u` at the sizes of `setup`. B is frozen, since the map fft then serves."""
    return settings.fit(
        u,
        PROBLEM.grid(u.shape[0]),
        mode="paper",
        n_features=setup.n_features,
        stages=stages,
        steps=setup.steps,
        optimizer=setup.optimizer,
        train_wavenumbers=False,
        z1_rms=setup.z1_rms,
        output_gain=setup.output_gain,
        certify=False,
    )
