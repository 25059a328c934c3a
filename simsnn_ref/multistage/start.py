"""A stage before training, section 3.4: its network and parameters, made from the residue that it is to fit."""

from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.model import FitConfig, Stage
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.network import Network, Parameters

__all__ = ["Start", "generator"]


@dataclass(frozen=True)
class Start:
    """A stage before training.

    Attributes
    ----------
    residue : Residue
        e_s, on the grid that the stage is trained on.
    target : Array of float64
        e_s / eps_s on the device, of the grid's shape.
    network : Network
    params : dict of Array
    truncation_error : float
        RMS, relative to eps_s, of what the modes of the first layer leave out of the residue; 0 where it is not known.
    discarded_tail : float
        Of that the modes that were discarded on purpose.
    may_refine : bool
        Whether later stages may sample a function more finely.
    """

    residue: Residue
    target: Array
    network: Network
    params: Parameters
    truncation_error: float = 0.0
    discarded_tail: float = 0.0
    may_refine: bool = False

    @property
    def eps(self) -> float:
        """eps_s, the RMS of the residue."""
        return self.residue.rms

    @property
    def stage(self) -> Stage:
        """The stage as it is before training."""
        return Stage(self.eps, self.network, self.params)


def generator(config: FitConfig, number: int) -> np.random.Generator:
    """The random numbers of stage `number`, which do not depend on those of other stages."""
    return np.random.default_rng([config.run.seed, number])
