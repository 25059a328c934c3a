"""What the stages so far leave of the field, in extended precision, on the grid that the next one is trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simsnn_ref.backend import Array, Backend, rms
from simsnn_ref.model import Stage
from simsnn_ref.multistage.sampling import TrainingSet
from simsnn_ref.network import evaluate_extended, extend

__all__ = ["Residue"]


@dataclass(frozen=True)
class Residue:
    """e_s = u - eps_1 u_1 - ... - eps_{s-1} u_{s-1}, what stage s is to fit; e_1 = u.

    Attributes
    ----------
    training : TrainingSet
        The field u on its training grid.
    values : Array in extended precision, shape training.grid.shape
        On the host, whatever the backend is.
    backend : Backend
        Whose arrays the parameters of the stages are.
    """

    training: TrainingSet
    values: Array
    backend: Backend

    @classmethod
    def of(cls, training: TrainingSet, backend: Backend, stages: Iterable[Stage] = ()) -> "Residue":
        """The residue that some stages leave of a field."""
        residue = cls(training, training.values, backend)
        for stage in stages:
            residue = residue.minus(stage)
        return residue

    @cached_property
    def rms(self) -> float:
        """eps_s, the RMS over the training grid."""
        return rms(np, np.asarray(self.values))

    @property
    def rounded(self) -> np.ndarray:
        """The values in long double, or in float64 where double-double numbers stand in for it."""
        return np.asarray(self.values)

    @property
    def at_samples(self) -> np.ndarray:
        """`rounded` at the samples alone."""
        samples: np.ndarray = self.training.at_samples(self.rounded)
        return samples

    def normalised(self) -> Array:
        """The target e_s / eps_s of the next stage: float64 on the device, of RMS 1."""
        return self.backend.asarray((self.rounded / self.rms).astype(np.float64))

    def minus(self, stage: Stage) -> "Residue":
        """e_{s+1} = e_s - eps_s u_s, with u_s in extended precision."""
        grid = self.training.grid
        network, params = extend(stage.network, stage.params, self.backend)
        u_s = evaluate_extended(network, params, grid, self.backend.processes).reshape(grid.shape)
        return Residue(self.training, self.values - stage.eps * u_s, self.backend)
