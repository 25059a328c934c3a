"""What is settled before the first stage: where the field is trained on, where it is checked, and what it resolves."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Array, Backend, NumpyBackend, rms
from simsnn_ref.errors import ConfigError
from simsnn_ref.io import FieldInfo, blas_threads, check_range, is_constant
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage.intake import FieldData
from simsnn_ref.multistage.off_grid_error import OffGridError, choose_off_grid, hold_out, hold_out_points
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.resources import forecast, require_memory
from simsnn_ref.multistage.sampling import TrainingSet, training_set
from simsnn_ref.network import extended_backend
from simsnn_ref.spectrum import (
    EnergySpectrum,
    Grid,
    GridInterpolant,
    Scatter,
    ScatteredModes,
    Signal,
    count_modes,
    energy_spectrum,
    expected_error,
    signal_in_noise,
    unit_of_rounding,
)

__all__ = ["UNRESOLVED", "WITHIN_TARGET", "Setup", "prepare"]

UNRESOLVED = 1e-12
"""RMS, relative to the field, above which the noise floor of the samples, or what a start leaves between the training
points, is more than rounding: of smooth functions the modes of the extended box leave up to some 1e-13."""

MANY_MODES = 2**13
"""From so many modes of a grid on those that are only rounding of the samples are not worth it: with 30 units a network
of all of them has a quarter of a million parameters."""

WITHIN_TARGET = 0.5
"""Share of the target of the whole fit, or of the rounding of the samples, at which a stage may end: the errors of the
stages add up."""


WORTH_OF_NOISE = 0.05
"""Share of the error that noise leaves to which a fit follows what is left of the samples without it."""


@dataclass(frozen=True)
class Setup:
    """A fit before its first stage.

    Attributes
    ----------
    grid : Grid or Scatter
        Of the samples that are trained on.
    training : TrainingSet
        The field where the first stage is trained, of which the samples are a part, or these without their noise.
    off_grid : OffGridError
        The field where the fit is checked.
    function : callable or None
        The function that the samples were taken from, or the interpolant of samples some axes of which do not repeat.
    config : FitConfig
        With all options resolved.
    backend : Backend
    info : FieldInfo or None
    notes : tuple of str
    signal : Signal or None
        The field without the noise of its samples; None where they have none.
    noise : Array in extended precision, or None
        What the fit does not follow of the samples, shape grid.shape; None if it follows them as they are.
    """

    grid: Grid | Scatter
    training: TrainingSet
    off_grid: OffGridError
    function: Callable[[np.ndarray], Any] | None
    config: FitConfig
    backend: Backend
    info: FieldInfo | None = None
    notes: tuple[str, ...] = ()
    signal: Signal | None = None
    noise: Array | None = None

    @property
    def followed(self) -> np.ndarray:
        """What the fit follows, at the samples."""
        values: np.ndarray = self.training.at_samples(np.asarray(self.training.values))
        return values

    @cached_property
    def samples(self) -> np.ndarray:
        """The field at the samples."""
        return np.asarray(self.with_noise(self.followed))

    def with_noise(self, at_samples: Array) -> Array:
        """What is followed, or left of it, at the samples, with the part of the samples that is not followed."""
        if self.noise is None:
            return at_samples
        return at_samples + (np.asarray(self.noise) if isinstance(at_samples, np.ndarray) else self.noise)

    @cached_property
    def rms(self) -> float:
        """RMS of the field at the samples, to which all errors are relative."""
        return rms(np, self.samples)

    @cached_property
    def max(self) -> float:
        """Largest |u| at the samples."""
        return float(np.max(np.abs(self.samples)))

    @property
    def rounding(self) -> float:
        """RMS, relative to the field's, at which what is left of many periodic samples in float64 is their rounding.

        It is 0, so that the target alone counts, where the grid has fewer modes than `MANY_MODES`, where a target below
        the default asks for more, and for functions, which are asked in extended precision.
        """
        asks_for_more = self.config.stages.target < FitConfig().stages.target
        is_periodic = isinstance(self.grid, Grid) and all(self.grid.periodic)
        is_large = isinstance(self.grid, Grid) and count_modes(self.grid) > MANY_MODES
        return EPS if is_periodic and is_large and self.function is None and not asks_for_more else 0.0

    @cached_property
    def is_constant(self) -> bool:
        return is_constant(np.asarray(self.training.values))

    @property
    def may_refine(self) -> bool:
        """Whether a function may be sampled more finely: not where the sampling was asked for, where the error between
        the points is not measured at random ones, and in mode paper.
        """
        config = self.config
        is_known = self.function is not None and self.off_grid.method in ("random", "interpolation")
        return is_known and config.mode == "accurate" and not config.sampling.refine

    @property
    def interpolant(self) -> GridInterpolant | None:
        """What stands for the field between samples some axes of which do not repeat."""
        return self.function if isinstance(self.function, GridInterpolant) else None

    @cached_property
    def least_squares(self) -> ScatteredModes | None:
        """What finds the modes of values at scattered points; None on a grid."""
        return ScatteredModes(self.training.grid) if isinstance(self.training.grid, Scatter) else None

    @cached_property
    def noise_floor(self) -> float:
        """RMS, relative to the field's, below which the values there are say nothing of the field between them.

        Of samples on a grid it is the error to expect between them of what goes through them, or of what is followed of
        them, of those at scattered points that of the prediction of each from the others, and of a function, which is
        known everywhere, rounding.
        """
        if self.least_squares is not None:
            values = np.asarray(self.training.values, dtype=np.float64)
            return self.least_squares.fit(values, NumpyBackend()).predicted / (self.rms or 1.0)
        if self.function is not None and self.interpolant is None:
            return unit_of_rounding(self.samples)
        assert isinstance(self.grid, Grid)
        if self.signal is None:
            return expected_error(self.samples.astype(np.float64), self.grid, self.interpolant)
        without = expected_error(self.signal.values, self.grid, self.interpolant) * rms(np, self.signal.values)
        return math.hypot(without, self.signal.noise if self.noise is None else self.signal.error) / self.rms

    @property
    def noise_level(self) -> float:
        """Standard deviation, relative to the field's RMS, of the noise that is not followed; 0 if there is none."""
        return 0.0 if self.signal is None or self.noise is None else self.signal.noise / self.rms

    @property
    def target(self) -> float:
        """RMS, relative to the field's, of what is left of all that is followed, at which the fit ends."""
        target = self.config.stages.target
        return target if self.noise is None else max(target, WORTH_OF_NOISE * self.noise_floor)

    def spectrum(self, residue: Residue) -> EnergySpectrum:
        """E(k) of a residue at the samples, relative to the field, so that the squares stay in range in any units."""
        relative = (self.with_noise(residue.at_samples) / (self.rms or 1.0)).astype(np.float64)
        if self.least_squares is not None:
            return self.least_squares.energy_spectrum(relative)
        assert isinstance(self.grid, Grid)
        return energy_spectrum(relative, self.grid, NumpyBackend())

    def goal(self, eps: float) -> float:
        """RMS of the normalised residue of a stage below which the whole fit is well within its target."""
        return WITHIN_TARGET * self.target * self.rms / eps


def prepare(data: FieldData, config: FitConfig, backend: Backend) -> Setup:
    """Hold out validation points, see that there is memory, and fill the training grid.

    Raises
    ------
    DataError
        If the values are out of range, or too few are left to train on.
    ConfigError
        If an option does not go with the data, or the fit does not fit into memory.
    """
    samples, grid, function, notes = data.samples, data.grid, data.function, data.notes
    check_range(samples)
    held_out = None
    if isinstance(grid, Scatter):
        samples, grid, held_out = hold_out_points(samples, grid, config)
        if held_out is not None:
            text = f"{len(held_out[1])} of the points, drawn at random, are held out to check the fit"
            notes = (*notes, f"{text}; the model is fitted to the other {grid.size}")
    elif config.sampling.off_grid == "holdout":
        whole = grid
        samples, grid, held_out = hold_out(samples, whole)
        function = None
        notes = (*notes, _held_out_words(whole, grid))
    if config.run.deterministic:
        _require_deterministic(config, backend)
    require_memory(forecast(grid, config, is_function=function is not None, processes=backend.processes))
    signal, noise = None, None
    if function is None and isinstance(grid, Grid) and not is_constant(samples):
        signal = signal_in_noise(samples, grid)
        if signal is not None and config.mode == "accurate" and not config.sampling.fit_noise:
            asarray = extended_backend().asarray
            noise = asarray(samples) - asarray(signal.values)
            samples = signal.values
        if not all(grid.periodic):
            function = GridInterpolant(samples, grid)
    training = training_set(samples, grid, function, config)
    off_grid = choose_off_grid(config, training, function, held_out, backend)
    return Setup(grid, training, off_grid, function, config, backend, data.info, notes, signal, noise)


def _held_out_words(whole: Grid, grid: Grid) -> str:
    """That, and where, the model is one of some of the samples only."""
    sizes = [" x ".join(map(str, one.shape)) for one in (grid, whole)]
    text = (
        f"off_grid = 'holdout': the model is fitted to every second sample along each axis, {sizes[0]} of {sizes[1]},"
        " and the others check it; fit again without it for a model of all"
    )
    shorter = [axis for axis in range(grid.ndim) if grid.upper[axis] != whole.upper[axis]]
    ends = [f"at {grid.upper[axis]:.10g}, not {whole.upper[axis]:.10g}, on axis {axis}" for axis in shorter]
    return f"{text}. Its box ends {' and '.join(ends)}" if ends else text


def _require_deterministic(config: FitConfig, backend: Backend) -> None:
    """Raise ConfigError where the bits of the result would depend on anything but data, options and machine."""
    if config.training.max_seconds:
        raise ConfigError("deterministic = true: max_seconds ends a stage by the clock; leave it out and set steps")
    if backend.name != "numpy":
        raise ConfigError(f"deterministic = true: backend {backend.name!r} does not promise it; use numpy")
    if blas_threads() != 1:
        raise ConfigError(
            "deterministic = true: sums in BLAS depend on its number of threads; set OMP_NUM_THREADS=1 before Python"
            " starts"
        )
