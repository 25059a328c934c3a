"""The history of a fit: a record of each stage, and the callbacks that are called as it happens."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from simsnn_ref.spectrum import EnergySpectrum

__all__ = ["Callback", "History", "StageRecord", "Step"]

ERRORS = ("rms_on_grid", "max_on_grid", "rms_off_grid", "max_off_grid")
"""The errors of a model, relative to the RMS of its field."""


@dataclass(frozen=True)
class StageRecord:
    """A stage, with the errors of the model that ends with it. Arrays are on the host.

    Attributes
    ----------
    index : int
        Number of the stage, from 1.
    first_layer, feature_map, optimizer : str
        Names of the first layer, of the feature map and of the method.
    n_modes : int
        Width n_f of the first layer (0 for ``none``).
    n_parameters : int
        Number of parameters that train.
    steps : int
        Number of steps that were taken.
    eps : float
        RMS of the residue that the stage fitted, in the units of the field.
    loss : float
        L^p norm of the normalised residue that the stage left.
    rms_on_grid, max_on_grid : float
        Error at the samples, relative to the RMS of the field.
    max_on_grid_to_max : float
        Largest error at the samples, relative to the largest |u|.
    rms_off_grid, max_off_grid : float or None
        Error between the samples, relative to the RMS of the field; None where it was not measured.
    nonlinear_share : float
        RMS of u_s minus its linearisation in the features, over the RMS of u_s: what the network adds to a sum of them.
    seconds : float
        Duration of the stage.
    stopped_because : str
        Why training ended.
    loss_history, rms_history : ndarray of float64, shape (steps,)
        Loss and RMS of the normalised residue before each step.
    energy : ndarray of float64, shape (bins,)
        E(k), eq. 13, of the residue that the stage left over the RMS of the field, in the bins of `History.spectrum`.
    """

    index: int
    first_layer: str
    feature_map: str
    n_modes: int
    n_parameters: int
    optimizer: str
    steps: int
    eps: float
    loss: float
    rms_on_grid: float
    max_on_grid: float
    max_on_grid_to_max: float
    rms_off_grid: float | None
    max_off_grid: float | None
    nonlinear_share: float
    seconds: float
    stopped_because: str
    loss_history: np.ndarray = field(repr=False)
    rms_history: np.ndarray = field(repr=False)
    energy: np.ndarray = field(repr=False)

    ARRAYS = ("loss_history", "rms_history", "energy")

    def summary(self) -> dict[str, Any]:
        """The attributes that are no arrays, by name."""
        return {name: value for name, value in asdict(self).items() if name not in self.ARRAYS}


@dataclass(frozen=True)
class History:
    """The history of a fit.

    Attributes
    ----------
    stages : tuple of StageRecord
        Records of the stages that were kept.
    off_grid : str
        How the error between the samples was measured: ``interpolation``, ``random``, ``holdout`` or ``none``.
    notes : tuple of str
        What the user should know: conversions, exact fits, stages that were not kept.
    rms, max : float
        RMS and largest |u| of the samples.
    spectrum : EnergySpectrum
        E(k) of the samples over their RMS: it sums to 1.
    seconds : float
        Duration of the fit.
    noise_floor : float
        RMS, relative to the field's, below which the samples say nothing of the field between them; see
        `simsnn_ref.spectrum.expected_error`. Files and reports call it ``resolved_level``.
    noise : float
        Standard deviation, relative to the field's RMS, of the white noise in the samples that the fit does not follow;
        0 where there is none.
    certified : dict or None
        The last errors by independent evaluation, see `simsnn_ref.model.Certificate`; None if that was not asked for.
    """

    stages: tuple[StageRecord, ...]
    off_grid: str
    notes: tuple[str, ...]
    rms: float
    max: float
    spectrum: EnergySpectrum
    seconds: float
    noise_floor: float
    noise: float = 0.0
    certified: dict[str, Any] | None = None

    def __repr__(self) -> str:
        certified = "" if self.certified is None else ", certified"
        notes = f"{len(self.notes)} note{'s' * (len(self.notes) != 1)}"
        return f"History({self.errors()}, {notes}, {self.seconds:.1f} s{certified})"

    def last_errors(self) -> dict[str, float | None]:
        """The errors after the last stage by their names in `StageRecord`; without a stage the error is the field."""
        if self.stages:
            return {name: getattr(self.stages[-1], name) for name in ERRORS}
        rms, largest = (1.0, self.max / self.rms) if self.rms else (0.0, 0.0)
        is_measured = self.off_grid != "none"
        values = (rms, largest, rms if is_measured else None, largest if is_measured else None)
        return dict(zip(ERRORS, values, strict=True))

    def errors(self) -> str:
        """The number of stages and the RMS errors after the last one, in words."""
        if not self.stages:
            return "no stages"
        last, n = self.stages[-1], len(self.stages)
        between = self.error_between(last)
        off = "not known" if between is None else f"{between:.1e}"
        return f"{n} stage{'s' * (n > 1)}, relative RMS error {last.rms_on_grid:.1e} at the samples, {off} between them"

    def error_between(self, record: StageRecord) -> float | None:
        """RMS error to expect of a stage at other points of the field, relative to it; None where nothing is known.

        Where the field is known between the samples, as a function or at points held out, that is the error there.
        Elsewhere it is the distance to the interpolant of the samples, and what is to be expected of that.
        """
        if record.rms_off_grid is None or self.off_grid != "interpolation":
            return record.rms_off_grid
        return math.hypot(record.rms_off_grid, self.noise_floor)


@dataclass(frozen=True)
class Step:
    """The state before a step of training.

    Attributes
    ----------
    stage, n_stages : int
        Number of the stage, from 1, and how many there are at most.
    step, n_steps : int
        Number of the step in its stage, from 1, and how many there are at most.
    loss, rms : float
        Loss and RMS of the normalised residue.
    """

    stage: int
    n_stages: int
    step: int
    n_steps: int
    loss: float
    rms: float


class Callback:
    """Base class of observers of a fit; each method does nothing unless it is overridden."""

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        """A stage begins; `description` names its first layer, sizes, feature map and eps."""

    def on_step(self, step: Step) -> None:
        """A step is about to be taken."""

    def on_activity(self, activity: str) -> None:
        """Something else than steps of training begins that may take a while."""

    def on_stage_end(self, record: StageRecord) -> None:
        """A stage has ended."""

    def on_note(self, note: str) -> None:
        """Something is found out that the user should know."""
