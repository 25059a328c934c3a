"""The staged algorithm of section 3.2: each stage fits what the ones before left over.

e_0 = u;   eps_s = RMS(e_s);   u_s ~ e_s / eps_s on the grid;   e_{s+1} = e_s - eps_s u_s.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, load_backend
from simsnn_ref.config import FitConfig
from simsnn_ref.data import check_grid, check_samples, sample_function
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.grid import Box, Grid
from simsnn_ref.history import Callback, History, StageRecord, Step
from simsnn_ref.initialization import constant_network, initialize
from simsnn_ref.losses import LpLoss, rms
from simsnn_ref.model import Model, Stage
from simsnn_ref.network import Network, Parameters
from simsnn_ref.off_grid import Judge, choose_off_grid, hold_out, network_map
from simsnn_ref.provenance import versions
from simsnn_ref.spectrum import EnergySpectrum, energy_spectrum, fourier_modes
from simsnn_ref.stage import Trained, train

__all__ = ["DEFAULT_SIZE", "fit"]

DEFAULT_SIZE = {1: 256, 2: 64, 3: 32}
"""Samples per axis, by dimension, of a function given with a box only."""

RANDOM_FEATURES = 256
"""n_f of a first layer that is not read off the spectrum, where n_features = 0."""

MACHINE_EPSILON = float(np.finfo(np.float64).eps)


def fit(
    u: Any,
    grid: Grid | Box | None = None,
    config: FitConfig | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    backend: Backend | str | None = None,
    **options: Any,
) -> Model:
    """Fit a sampled field, or a function, stage by stage.

    Parameters
    ----------
    u : array_like of shape grid.shape, or callable
        Samples (computed in float64), or a function of points (n, d) that returns (n,) values.
    grid : Grid or Box, optional
        Where the samples are. Without it samples are taken as periodic on [-1, 1)^d. A function needs one: a Grid is
        where it is sampled, a Box is sampled with both ends included and `DEFAULT_SIZE` points per axis.
    config : FitConfig, optional
    callbacks : sequence of Callback
        Told of every step, stage and note.
    backend : Backend or str, optional
        Takes precedence over ``config.backend``.
    **options
        Single options of `FitConfig` that replace those of `config`.

    Returns
    -------
    Model
        With the errors of every stage, on the grid and off it, in ``model.history``.

    Raises
    ------
    DataError
        If the samples cannot be fitted (NaN, wrong shape, ...).
    ConfigError
        If an option is unknown or does not fit the data.
    BackendError
        If the backend is not installed.
    """
    started = time.perf_counter()
    config = _merge(config, options)
    if backend is None or isinstance(backend, str):
        backend = load_backend(backend or config.backend)
    target = u if callable(u) else None
    samples, grid, notes = _take_samples(u, grid)
    held_out = None
    if config.off_grid == "holdout":
        samples, grid, held_out = hold_out(samples, grid)
    judge = choose_off_grid(config, samples, grid, target, held_out, backend)
    staged = _StagedFit(samples, grid, config, judge, callbacks, backend)
    for note in notes:
        staged.note(note)
    staged.run()
    history = History(
        stages=tuple(staged.records),
        off_grid=judge.method,
        notes=tuple(staged.notes),
        rms=staged.field_rms,
        max=staged.field_max,
        spectrum=staged.spectrum,
        seconds=time.perf_counter() - started,
    )
    return Model(tuple(staged.stages), grid, config, history, versions(), backend)


def _merge(config: FitConfig | None, options: dict[str, Any]) -> FitConfig:
    base = FitConfig() if config is None else config
    try:
        return replace(base, **options)
    except TypeError as error:
        raise ConfigError(f"fit: {str(error).split(') ')[-1]}") from error


def _take_samples(u: Any, grid: Grid | Box | None) -> tuple[np.ndarray, Grid, list[str]]:
    if callable(u):
        if isinstance(grid, Box):
            size = DEFAULT_SIZE.get(grid.ndim, 0)
            grid = Grid((size,) * grid.ndim, grid.lower, grid.upper, periodic=(False,))
        if grid is None:
            raise DataError("grid: a function needs a Grid or a Box to be sampled on")
        samples, notes = check_samples(sample_function(u, grid.points()).reshape(grid.shape))
        return samples, grid, notes
    if isinstance(grid, Box):
        raise DataError(
            "grid: samples need a Grid (which says whether they are periodic), a Box serves a function only"
        )
    samples, notes = check_samples(u)
    grid = Grid(samples.shape) if grid is None else grid
    check_grid(samples, grid)
    return samples, grid, notes


@dataclass
class _Errors:
    """Errors of the model so far, relative to the field."""

    rms_on_grid: float
    max_on_grid: float
    max_on_grid_to_max: float
    rms_off_grid: float | None
    max_off_grid: float | None


class _StagedFit:
    """The residue and what has been learnt of it; `run` adds one stage after another."""

    def __init__(
        self,
        samples: np.ndarray,
        grid: Grid,
        config: FitConfig,
        judge: Judge,
        callbacks: Sequence[Callback],
        backend: Backend,
    ) -> None:
        self.grid, self.config, self.judge = grid, config, judge
        self.callbacks, self.backend = callbacks, backend
        self.residue = backend.asarray(samples)
        self.is_constant = bool(np.all(samples == samples.flat[0]))
        self.field_rms = rms(backend.xp, self.residue)
        self.field_max = float(np.max(np.abs(samples)))
        self.spectrum = self._spectrum()
        self.stages: list[Stage] = []
        self.records: list[StageRecord] = []
        self.notes: list[str] = []

    def _spectrum(self) -> EnergySpectrum:
        """E(k) of the residue relative to the field, so that the squares stay in range whatever the units are."""
        return energy_spectrum(self.residue / (self.field_rms or 1.0), self.grid, self.backend)

    def note(self, text: str) -> None:
        self.notes.append(text)
        for callback in self.callbacks:
            callback.on_note(text)

    def run(self) -> None:
        """All stages, or fewer where there is nothing left to fit."""
        if self.is_constant:
            self._fit_constant()
            return
        self.check()
        for index in range(1, self.config.stages + 1):
            if not self._add_stage(index):
                return

    def _fit_constant(self) -> None:
        value = float(self.backend.to_numpy(self.residue).flat[0])
        if value == 0.0:
            self.note("the field is zero everywhere: fitted exactly by no stage at all")
            return
        self.note(f"the field is constant, {value!r}: fitted exactly by a single mode k = 0")
        started = time.perf_counter()
        network, params = constant_network(1.0 if value > 0.0 else -1.0, self.grid.ndim, self.backend)
        nothing = np.zeros(0)
        trained = Trained(params, 0, "the field is constant and is fitted exactly", nothing, nothing)
        self._describe(1, network, params, "fft", abs(value))
        self._keep(1, network, abs(value), trained, "fft", started)

    def check(self) -> None:
        """Build every stage's network for the field itself, so that an impossible option is found before training."""
        for index in range(1, self.config.stages + 1):
            network, _ = self._network(index, self.residue)
            network_map(network, self.grid, self.backend, self.config.feature_map)

    def _network(self, index: int, normalised: Array) -> tuple[Network, Parameters]:
        """Stage `index` (1-based) before training."""
        config, stage = self.config, index - 1
        first_layer = config.for_stage(config.first_layer, stage)
        return initialize(
            first_layer,
            normalised,
            self.grid,
            n_features=self._n_features(first_layer, stage, normalised),
            hidden=config.hidden,
            rng=np.random.default_rng([config.seed, index]),
            backend=self.backend,
            sigma=config.sigma,
            train_wavenumbers=config.train_wavenumbers,
        )

    def _add_stage(self, index: int) -> bool:
        """Fit one more stage to the residue; False when no further one makes sense."""
        started = time.perf_counter()
        config, backend = self.config, self.backend
        xp = backend.xp
        eps = rms(xp, self.residue)
        normalised = self.residue / eps
        network, params = self._network(index, normalised)
        fmap = network_map(network, self.grid, backend, config.feature_map)
        self._describe(index, network, params, fmap.name, eps)

        def on_step(step: int, loss: float, deviation: float) -> None:
            told = Step(index, config.stages, step, steps, loss, deviation * eps / self.field_rms)
            for callback in self.callbacks:
                callback.on_step(told)

        steps = config.for_stage(config.steps, index - 1)
        trained = train(network, params, fmap, xp.reshape(normalised, (-1,)), config, steps, on_step)
        u_s = xp.reshape(network.forward(trained.params, fmap)[0], self.grid.shape)
        if not rms(xp, normalised - u_s) < 1.0:
            self.note(
                f"stage {index} did not lower the RMS ({trained.stopped_because}) and was not kept; no further stage"
            )
            return False
        self._keep(index, network, eps, trained, fmap.name, started, u_s)
        if self.records[-1].rms_on_grid < MACHINE_EPSILON and index < config.stages:
            self.note(f"machine precision reached with stage {index}; no further stage")
            return False
        return True

    def _n_features(self, first_layer: str, stage: int, normalised: Array) -> int:
        asked = self.config.for_stage(self.config.n_features, stage)
        if asked or first_layer == "none":
            return asked
        if first_layer not in ("si", "fourier"):
            return RANDOM_FEATURES
        amplitudes = self.backend.to_numpy(fourier_modes(normalised, self.grid, self.backend).amplitudes)
        primary = int(np.count_nonzero(amplitudes >= self.config.mode_threshold * np.max(amplitudes)))
        return min(primary, self.config.max_features)

    def _describe(self, index: int, network: Network, params: Parameters, map_name: str, eps: float) -> None:
        layers = " x ".join(map(str, (network.n_features or self.grid.ndim, *network.hidden, 1)))
        text = (
            f"{network.first_layer}, {layers}, {network.n_parameters(params)} parameters,"
            f" {map_name} map, eps = {eps:.2e}"
        )
        for callback in self.callbacks:
            callback.on_stage_start(index, self.config.stages, text)

    def _keep(
        self,
        index: int,
        network: Network,
        eps: float,
        trained: Trained,
        map_name: str,
        started: float,
        u_s: Array | None = None,
    ) -> None:
        """Subtract the stage from the residue, on the grid and off it, and record what is left."""
        xp, config = self.backend.xp, self.config
        if u_s is None:
            fmap = network_map(network, self.grid, self.backend)
            u_s = xp.reshape(network.forward(trained.params, fmap)[0], self.grid.shape)
        self.residue = self.residue - eps * u_s
        self.judge.subtract(eps, network, trained.params)
        self.stages.append(Stage(eps, network, trained.params))
        errors = self._errors()
        record = StageRecord(
            index=index,
            first_layer=network.first_layer,
            feature_map=map_name,
            n_modes=network.n_features,
            n_parameters=network.n_parameters(trained.params),
            optimizer=config.optimizer,
            steps=trained.steps,
            eps=eps,
            loss=float(LpLoss(config.p).forward(xp, self.residue)) / eps,
            rms_on_grid=errors.rms_on_grid,
            max_on_grid=errors.max_on_grid,
            max_on_grid_to_max=errors.max_on_grid_to_max,
            rms_off_grid=errors.rms_off_grid,
            max_off_grid=errors.max_off_grid,
            seconds=time.perf_counter() - started,
            stopped_because=trained.stopped_because,
            loss_history=trained.loss_history,
            rms_history=trained.rms_history,
            energy=self._spectrum().energy,
        )
        self.records.append(record)
        for callback in self.callbacks:
            callback.on_stage_end(record)

    def _errors(self) -> _Errors:
        xp = self.backend.xp
        largest = float(xp.max(xp.abs(self.residue)))
        off_rms, off_max = self.judge.errors() or (None, None)
        return _Errors(
            rms_on_grid=rms(xp, self.residue) / self.field_rms,
            max_on_grid=largest / self.field_rms,
            max_on_grid_to_max=largest / self.field_max,
            rms_off_grid=None if off_rms is None else off_rms / self.field_rms,
            max_off_grid=None if off_max is None else off_max / self.field_rms,
        )
