"""One stage after another, from the residue as it is to the model with its history."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend, rms
from simsnn_ref.errors import ConfigError, DivergenceError, ModelFileError
from simsnn_ref.io import FieldInfo, provenance
from simsnn_ref.model import (
    OPTIMIZERS,
    Arrays,
    Callback,
    Certificate,
    Checkpoints,
    FitConfig,
    History,
    Model,
    Stage,
    StageRecord,
    Step,
    certify,
    check_snapshot,
    check_state,
    digits_of_independent_evaluation,
    pack_records,
    pack_snapshot,
    pack_stages,
    reading_states,
    unpack_records,
    unpack_snapshot,
    unpack_stages,
)
from simsnn_ref.multistage.off_grid_error import Judge, sampled_claim
from simsnn_ref.multistage.sampling import TrainingSet, finer, rounding_of
from simsnn_ref.multistage.training import Trained, make_method, train
from simsnn_ref.network import (
    Network,
    Parameters,
    constant_network,
    evaluate_extended,
    extend,
    extended_eps,
    initialize,
    is_extended,
    make_map,
    near_linear_network,
    network_map,
    scaled_points,
)
from simsnn_ref.optimizers import LpLoss, Snapshot
from simsnn_ref.spectrum import (
    EnergySpectrum,
    Grid,
    Modes,
    Scatter,
    ScatteredModes,
    count_extension_modes,
    count_modes,
    energy_spectrum,
    extension_modes,
    fourier_modes,
    resolved_level,
)

__all__ = ["StagedFit"]

PREDICTABLE = 0.5
"""RMS of the predictions of what is left at scattered points, relative to it, up to which another stage makes sense."""

FAR_APART = 10.0
"""Error at held-out points over that at the others, from which a note says so."""

CERTIFIED_POINTS = 100
"""Random samples, and random points between them, that are certified."""

RANDOM_FEATURES = 256
"""n_f of a first layer that is not read off the spectrum, where n_features = 0."""

NOTEWORTHY_LEVEL = 1e-12
"""Of `resolved_level`, and of what a stage's start leaves between the training points; rounding and the extension of
smooth functions stay below."""

WORTH_A_STAGE = 0.99
"""Share of the residue that a stage may leave and be kept; so small a gain is rounding's."""

WORTH_IT = 0.5
"""A function is sampled more finely where that lowers a stage's error between the points to this share."""


@dataclass
class _Errors:
    """Errors of the model so far, relative to the field."""

    rms_on_grid: float
    max_on_grid: float
    max_on_grid_to_max: float
    rms_off_grid: float | None
    max_off_grid: float | None


@dataclass(frozen=True)
class _Found:
    """Modes of a residue, the RMS of what no mode describes, and of the modes that were left aside."""

    modes: Modes
    beyond: float
    aside: float


@dataclass(frozen=True)
class _Start:
    """A stage before training, and the grid and the residue that it starts from.

    Attributes
    ----------
    eps : float
        RMS of the residue.
    normalised : Array of float64
        The residue over eps.
    left_out : float
        RMS, relative to eps, of what the modes leave out; 0 where that is not known.
    is_fine : bool
        Whether the grid is fine enough for the residue.
    between : float
        RMS that the start leaves at the judge's points, relative to the field.
    """

    training: TrainingSet
    residue: Array
    eps: float
    normalised: Array
    network: Network
    params: Parameters
    left_out: float
    is_fine: bool = True
    between: float = 0.0


class StagedFit:
    """The residue and what has been learnt of it; `model` adds one stage after another.

    The residue is in extended precision on the host whatever the backend; training sees it normalised, in float64.
    """

    def __init__(
        self,
        grid: Grid | Scatter,
        training: TrainingSet,
        config: FitConfig,
        judge: Judge,
        callbacks: Sequence[Callback],
        backend: Backend,
        target: Callable[[np.ndarray], Any] | None = None,
        checkpoints: Checkpoints | None = None,
        field: FieldInfo | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.checkpoints, self.field = checkpoints, field
        self.grid, self.training, self.config, self.judge = grid, training, config, judge
        self.callbacks, self.backend, self.processes = callbacks, backend, backend.processes
        self.residue = training.values
        values = np.asarray(training.values)
        samples = training.at_samples(values)
        self.is_constant = bool(np.all(values == values.flat[0]))
        self.field_rms = rms(np, samples)
        self.field_max = float(np.max(np.abs(samples)))
        self.is_function = target is not None
        # Sampling stays as it is where it was asked for, where nothing judges it, and in mode paper.
        is_free = config.mode == "accurate" and not config.refine and judge.method == "random"
        self.finer_target = target if is_free else None
        self.least_squares = ScatteredModes(training.grid) if isinstance(training.grid, Scatter) else None
        self.spectrum = self._spectrum()
        self.stages: list[Stage] = []
        self.records: list[StageRecord] = []
        self.notes: list[str] = []
        self.snapshot: Snapshot | None = None
        self.stage_seconds = 0.0

    def _spectrum(self) -> EnergySpectrum:
        """E(k) of the residue relative to the field, so that the squares stay in range whatever the units are."""
        relative = np.asarray(self.training.at_samples(self.residue)) / (self.field_rms or 1.0)
        relative = relative.astype(np.float64)
        if isinstance(self.grid, Grid):
            return energy_spectrum(relative, self.grid, NumpyBackend())
        assert self.least_squares is not None
        return self.least_squares.energy_spectrum(relative)

    @property
    def source(self) -> Grid | ScatteredModes:
        """Where the modes of a residue come from."""
        if self.least_squares is not None:
            return self.least_squares
        assert isinstance(self.training.grid, Grid)
        return self.training.grid

    @cached_property
    def resolved_level(self) -> float:
        """That of the finest values there are. Samples are refined by interpolation, which adds nothing."""
        if self.least_squares is not None:
            values = np.asarray(self.training.values, dtype=np.float64)
            return self.least_squares.fit(values, NumpyBackend()).predicted / (self.field_rms or 1.0)
        values, grid = self.training.values, self.training.grid
        if not self.is_function:
            values, grid = self.training.at_samples(values), self.grid
        assert isinstance(grid, Grid)
        return resolved_level(np.asarray(values).astype(np.float64), grid)

    def note(self, text: str) -> None:
        self.notes.append(text)
        for callback in self.callbacks:
            callback.on_note(text)

    def _begin(self, activity: str) -> None:
        for callback in self.callbacks:
            callback.on_activity(activity)

    def model(self) -> Model:
        """The model, after all stages that are still to be fitted."""
        try:
            with self.processes.guard():
                self._run()
        except DivergenceError as error:
            raise DivergenceError(str(error), self._model(None)) from error
        certificate = self.certificate() if self.config.certify else None
        return self._model(certificate)

    def _model(self, certificate: Certificate | None) -> Model:
        history = History(
            stages=tuple(self.records),
            off_grid=self.judge.method,
            notes=tuple(self.notes),
            rms=self.field_rms,
            max=self.field_max,
            spectrum=self.spectrum,
            seconds=time.perf_counter() - self.started,
            noise_floor=self.resolved_level,
            certified=None if certificate is None else certificate.to_dict(),
        )
        return Model(tuple(self.stages), self.grid, self.config, history, provenance(), self.backend, self.field)

    def _run(self) -> None:
        """All stages, or fewer where there is nothing left to fit."""
        if self.is_constant:
            self._fit_constant()
            return
        if not self.stages and self.snapshot is None:
            self._prepare()
        while len(self.stages) < self.config.stages and self._add_stage(len(self.stages) + 1):
            self._save()
        if self.is_function:
            self._note_resolution()
        last = self.records[-1] if self.records and isinstance(self.grid, Scatter) else None
        if last is not None and (last.rms_off_grid or 0.0) > FAR_APART * last.rms_on_grid:
            self.note(
                f"the error at the held-out points is {last.rms_off_grid:.1e}, at the others {last.rms_on_grid:.1e}:"
                " the points do not determine the field between them any better"
            )

    def _prepare(self) -> None:
        """What is to be found out and said before the first stage."""
        if not is_extended():
            self.note("long double is no wider than float64 here: residues are evaluated in double-double")
        self._check()
        if self.least_squares is not None:
            self.note(
                f"modes by least squares at the points, up to {self.least_squares.count()}: as many as predict the"
                f" value at each point best from the others, to an RMS of {self.resolved_level:.1e} of the field's"
            )
        if not self.is_function:
            self._note_resolution()

    def _is_wanted(self, index: int) -> bool:
        """Whether stage `index` makes sense after the one before."""
        if index == 1:
            return True
        record = self.records[-1]
        # Mode paper looks at the samples only, as the paper does.
        off_grid = record.rms_off_grid if self.config.mode == "accurate" else None
        if max(record.rms_on_grid, off_grid or 0.0) < self.config.target:
            self.note(f"RMS below the target {self.config.target:g} with stage {index - 1}; no further stage")
            return False
        if not self._is_predictable():
            self.note(
                f"no stage {index}: what is left at a point does not follow from what is left at the others; it is"
                " noise, or finer than the points determine"
            )
            return False
        return True

    def _save(self, snapshot: Snapshot | None = None) -> None:
        """Write a checkpoint, of a stage in training with its `snapshot`; end if a signal asked for it."""
        if self.checkpoints is None:
            return
        trouble = self.checkpoints.save(*self._pack(snapshot))
        if trouble is not None:
            self.note(f"checkpoint not saved, the one before is kept: {trouble}")
        self.checkpoints.interrupt(trouble)

    def _pack(self, snapshot: Snapshot | None) -> tuple[dict[str, Any], Arrays]:
        stages, arrays = pack_stages(self.stages, self.backend)
        records, curves = pack_records(self.records)
        content = {
            "stages": stages,
            "records": records,
            "notes": self.notes,
            "stride": self.training.stride,
            "samples_more_finely": self.finer_target is not None,
            "seconds": time.perf_counter() - self.started,
            "stage_seconds": self.stage_seconds,
            "method": None if snapshot is None else snapshot.method,
            "provenance": provenance(),
        }
        current = {} if snapshot is None else pack_snapshot(snapshot, self.backend)
        return content, {**arrays, **curves, **current}

    def restore(self, content: dict[str, Any], arrays: Arrays) -> None:
        """Take up a state of `_pack`: the residues are made again from the stages."""
        check_state(content, arrays, self.grid.ndim)
        self.notes = list(content["notes"])
        self.started -= content["seconds"]
        self.stage_seconds = content["stage_seconds"]
        for stage in unpack_stages(content["stages"], arrays, self.backend):
            self.subtract(stage)
        self.records = list(unpack_records(content["records"], arrays))
        while self.training.stride != content["stride"]:
            target, grid = self.finer_target, self.grid
            training = finer(self.training, grid, target) if target and isinstance(grid, Grid) else None
            if training is None:
                raise ModelFileError(f"content.stride is {content['stride']}, which no training grid has")
            self._sample(training)
        if not content["samples_more_finely"]:
            self.finer_target = None
        if content["method"] is not None:
            if content["method"] not in OPTIMIZERS[1:]:
                raise ModelFileError(f"content.method is {content['method']!r}, which is no method")
            method = make_method(self.config, content["method"], 0)
            self.snapshot = unpack_snapshot(arrays, method.name, method.memory, self.backend)
        told = {name: value for name, value in content["provenance"].items() if name != "git"}
        here = provenance()
        other = [f"{name} {value}, now {here.get(name)}" for name, value in told.items() if here.get(name) != value]
        if other:
            self.note(f"resumed elsewhere, the last bits may differ: {'; '.join(other)}")

    def _note_resolution(self) -> None:
        if self.resolved_level > NOTEWORTHY_LEVEL:
            limit = "the grid" if isinstance(self.grid, Grid) else "the points determine"
            self.note(
                f"the samples stop being resolved at an RMS of {self.resolved_level:.1e} of the field's: noise, or"
                f" structure finer than {limit}; below, a fit follows the samples and not the field between them"
            )

    def _fit_constant(self) -> None:
        value = float(np.asarray(self.residue).flat[0])
        if value == 0.0:
            self.note("the field is zero everywhere: fitted exactly by no stage at all")
            return
        self.note(f"the field is constant, {value!r}: fitted exactly by a single mode k = 0")
        started = time.perf_counter()
        network, params = constant_network(1.0 if value > 0.0 else -1.0, self.grid.ndim, self.backend)
        nothing = np.zeros(0)
        trained = Trained(params, 0, "the field is constant and is fitted exactly", nothing, nothing, "none")
        kind = "fft" if isinstance(self.grid, Grid) else "dense"
        self._describe(1, network, params, kind, abs(value))
        self._keep(1, network, abs(value), trained, kind, started)

    def _check(self) -> None:
        """Find an impossible option before training: in mode paper by building every stage's network for the field."""
        if self.config.mode == "accurate":
            grid, asked = self.training.grid, max(self.config.n_features)
            if self.least_squares is not None:
                self.least_squares.require(asked or 1)
                make_map(np.zeros((1, grid.ndim)), self.backend, kind=self.config.feature_map)
                return
            assert isinstance(grid, Grid)
            total = count_modes(grid) if all(grid.periodic) else count_extension_modes(grid)
            if asked > total:
                raise ConfigError(
                    f"n_features = {asked}: the training grid of"
                    f" {' x '.join(map(str, grid.shape))} points has {total} Fourier modes; choose 1 to {total}"
                )
            if self.config.feature_map == "nufft":
                make_map(grid, self.backend, kind="nufft", tolerance=self.config.nufft_tolerance)
            return
        values = self.backend.asarray(np.asarray(self.training.values, dtype=np.float64))
        for index in range(1, self.config.stages + 1):
            network, _ = self._paper_network(index, values)
            self._training_map(network)

    def _training_map(self, network: Network) -> Any:
        config = self.config
        return network_map(network, self.training.grid, self.backend, config.feature_map, config.nufft_tolerance)

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, index])

    def _paper_network(self, index: int, normalised: Array) -> tuple[Network, Parameters]:
        """Stage `index` (1-based) before training: the named first layer, Xavier's weights behind it."""
        config, stage = self.config, index - 1
        first_layer = config.for_stage(config.first_layer, stage)
        return initialize(
            first_layer,
            normalised,
            self.source,
            n_features=self._n_features(first_layer, stage, normalised),
            hidden=config.hidden,
            rng=self._rng(index),
            backend=self.backend,
            sigma=config.sigma,
            train_wavenumbers=config.train_wavenumbers,
            z1_rms=config.for_stage(config.z1_rms, stage),
            output_gain=config.for_stage(config.output_gain, stage),
        )

    def _n_features(self, first_layer: str, stage: int, normalised: Array) -> int:
        asked = self.config.for_stage(self.config.n_features, stage)
        if asked or first_layer == "none":
            return asked
        if first_layer not in ("si", "fourier"):
            return RANDOM_FEATURES
        source = self.source
        if isinstance(source, ScatteredModes):
            modes = source.fit(self.backend.to_numpy(normalised), self.backend).modes
        else:
            modes = fourier_modes(normalised, source, self.processes.distributed(self.backend))
        amplitudes = self.backend.to_numpy(modes.amplitudes)
        primary = int(np.count_nonzero(amplitudes >= self.config.mode_threshold * np.max(amplitudes)))
        return min(primary, self.config.max_features)

    def _accurate_network(self, index: int, normalised: Array, eps: float) -> tuple[Network, Parameters, _Found]:
        """Stage `index` before training: the sum of the residue's own modes, bent by delta^2."""
        found = None

        def modes_of(field: Array) -> Modes:
            nonlocal found
            field = self.backend.xp.reshape(field, self.training.grid.shape)
            asked = self.config.for_stage(self.config.n_features, index - 1)
            found = self._modes(field, asked, self._enough(eps))
            return found.modes

        network, params = near_linear_network(
            self.backend.xp.reshape(normalised, (-1,)),
            modes_of,
            hidden=self.config.hidden,
            delta=self.config.delta,
            rng=self._rng(index),
            backend=self.backend,
        )
        assert found is not None
        return network, params, found

    def _start(self, index: int) -> _Start:
        """Stage `index` before training, from the residue as it is."""
        rounded = np.asarray(self.residue)
        eps = rms(np, rounded)
        normalised = self.backend.asarray((rounded / eps).astype(np.float64))
        if self.config.mode == "paper":
            network, params = self._paper_network(index, normalised)
            return _Start(self.training, self.residue, eps, normalised, network, params, 0.0)
        network, params, found = self._accurate_network(index, normalised, eps)
        left_out = math.hypot(found.beyond, found.aside)
        start = _Start(self.training, self.residue, eps, normalised, network, params, left_out)
        if self.finer_target is None:
            return start
        between = self.judge.left(eps, *extend(network, params, self.backend)) / eps
        # What is left aside on purpose, or below what the values or the target resolve, no finer sampling brings back.
        rounding = rounding_of(self.training.values) * self.field_rms / eps
        is_fine = between <= max(NOTEWORTHY_LEVEL, self._enough(eps), rounding, 2.0 * found.aside)
        return replace(start, is_fine=is_fine, between=between * eps / self.field_rms)

    def _start_on_fine_grid(self, index: int) -> _Start:
        """`_start`, and a function sampled twice as finely until the start is as good between the points as at them.

        Where no sampling does that, the coarsest is taken that is within `WORTH_IT` of the best, for good.
        """
        tried = [self._start(index)]
        while self.finer_target is not None and isinstance(self.grid, Grid) and not tried[-1].is_fine:
            training = finer(self.training, self.grid, self.finer_target)
            if training is None:
                break
            self._begin(f"stage {index}: sampling the function at {training.grid.size} points")
            self._sample(training)
            tried.append(self._start(index))
        least = min(start.between for start in tried)
        chosen = next(start for start in tried if WORTH_IT * start.between <= least)
        self.training, self.residue = chosen.training, chosen.residue
        if len(tried) > 1:
            if not chosen.is_fine:
                self.finer_target = None
            self.note(
                f"stage {index}: the function is sampled at {' x '.join(map(str, chosen.training.grid.shape))} points,"
                f" where the start leaves {chosen.between:.1e} between them; {tried[0].between:.1e} at"
                f" {' x '.join(map(str, tried[0].training.grid.shape))}"
            )
        return chosen

    def _sample(self, training: TrainingSet) -> None:
        """Go on with another training set of the same field."""
        self.training, self.residue = training, training.values
        for stage in self.stages:
            self.residue = self.residue - stage.eps * self._evaluate(stage.network, stage.params)

    def _enough(self, eps: float) -> float:
        """RMS of a stage's normalised residue below which the whole fit is well within its target."""
        return 0.5 * self.config.target * self.field_rms / eps

    def _modes(self, field: Array, asked: int, enough: float) -> _Found:
        """`asked` modes, or those that carry all but `tail_tolerance` or a tenth of `enough`, whichever is more.

        They belong to the extended box if not all axes are periodic. Where they are found by least squares all are
        taken: small ones, too, are part of what keeps the sum small between.
        """
        source, backend, limit = self.source, self.backend, self.config.max_features
        if isinstance(source, ScatteredModes):
            found = source.fit(backend.to_numpy(field), backend, asked or 1)
            modes, beyond = found.modes, found.left_out
            asked = asked or len(modes)
        elif all(source.periodic):
            modes, beyond = fourier_modes(field, source, self.processes.distributed(backend)), 0.0
        else:
            modes, beyond = extension_modes(backend.to_numpy(field), source, backend)
            asked = asked or len(modes)
        energy = backend.to_numpy(modes.amplitudes) ** 2 / 2.0
        tail = np.append(np.sqrt(np.cumsum(energy[::-1])[::-1]), 0.0)
        needed = int(np.sum(tail > max(self.config.tail_tolerance, 0.1 * enough)))
        n = min(asked or max(1, needed), limit, len(modes))
        return _Found(modes.largest(n), beyond, float(tail[n]))

    def _add_stage(self, index: int) -> bool:
        """Fit one more stage to the residue, or the rest of one; False when no further one makes sense."""
        config, backend, snapshot = self.config, self.backend, self.snapshot
        started = time.perf_counter() - self.stage_seconds
        if snapshot is None and not self._is_wanted(index):
            return False
        self._begin(f"stage {index}: modes of the residue")
        start = self._start_on_fine_grid(index) if snapshot is None else self._start(index)
        network, eps, grid = start.network, start.eps, self.training.grid
        if snapshot is not None:
            assert self.checkpoints is not None
            with reading_states(self.checkpoints.folder):
                check_snapshot(snapshot, start.params, network.trainable(start.params))
        fmap = self.processes.shard(self._training_map(network))
        # Several processes train one network: they must have found the same, to the bit.
        self.processes.require_same("the start of a stage", start.params | {"target": start.normalised})
        self._describe(index, network, start.params, fmap.name, eps)

        def on_step(step: int, loss: float, deviation: float) -> None:
            told = Step(index, config.stages, step, steps, loss, deviation * eps / self.field_rms)
            for callback in self.callbacks:
                callback.on_step(told)

        def watch(take: Callable[[], Snapshot]) -> None:
            if self.checkpoints is not None and self.checkpoints.is_due():
                self.stage_seconds = time.perf_counter() - started
                self._save(take())

        steps = config.for_stage(config.steps, index - 1)
        # A stage need not go further than the whole fit, and its modes hardly can further than what they leave out.
        floor = 1.5 * start.left_out if config.optimizer == "auto" else 0.0
        goal = replace(config, target_rms=max(config.target_rms, self._enough(eps), floor))
        target = fmap.shard.part(backend.xp.reshape(start.normalised, (-1,)))
        diverged: DivergenceError | None = None
        self.snapshot, self.stage_seconds = None, 0.0
        try:
            trained = train(
                network, start.params, fmap, target, goal, steps, on_step, backend, watch=watch, snapshot=snapshot
            )
        except DivergenceError as error:
            trained = error.result
            can_restart = trained.steps and config.on_divergence == "stop"
            advice = "; restart with half the step: on_divergence = 'restart'" if can_restart else ""
            diverged = DivergenceError(f"stage {index}: {error}{advice}")
        if trained.restarts:
            self.note(
                f"stage {index}: numbers were not finite, and training began again from the best parameters with half"
                f" the step; restarts: {trained.restarts}"
            )
        self._begin(f"stage {index}: residue in extended precision at {grid.size} points, and between them")
        residue = self.residue - eps * self._evaluate(network, trained.params) if trained.params else self.residue
        if not rms(np, np.asarray(residue)) < WORTH_A_STAGE * eps:
            self.note(
                f"stage {index} did not lower the RMS ({trained.stopped_because}) and was not kept; no further stage"
            )
        else:
            self._keep(index, network, eps, trained, fmap.name, started, residue)
        if diverged is not None:
            raise diverged
        return len(self.stages) == index

    def _is_predictable(self) -> bool:
        """Whether the modes of a stage can halve the error between the points too. Grids are judged by their judge."""
        if self.config.mode == "paper" or self.least_squares is None:
            return True
        residue = np.asarray(self.residue).astype(np.float64)
        return self.least_squares.fit(residue / rms(np, residue), NumpyBackend()).predicted < PREDICTABLE

    def _evaluate(self, network: Network, params: Parameters) -> Array:
        """u_s on the training grid in extended precision."""
        wide, wide_params = extend(network, params, self.backend)
        return evaluate_extended(wide, wide_params, self.training.grid, self.processes).reshape(
            self.training.grid.shape
        )

    def _nonlinear_share(self, network: Network, params: Parameters) -> float:
        fmap = self.processes.shard(network_map(network, self.training.grid, self.backend))
        u_s, shard = network.evaluate(params, fmap), fmap.shard
        return rms(network.xp, u_s - network.linear_part(params, fmap), shard) / (rms(network.xp, u_s, shard) or 1.0)

    def _describe(self, index: int, network: Network, params: Parameters, map_name: str, eps: float) -> None:
        layers = " x ".join(map(str, (network.n_features or self.grid.ndim, *network.hidden, 1)))
        text = (
            f"{network.first_layer}, {layers}, {network.n_parameters(params)} parameters,"
            f" {map_name} map{' (auto)' if self.config.feature_map == 'auto' else ''}, eps = {eps:.2e}"
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
        residue: Array | None = None,
    ) -> None:
        """Take the stage off the residues and record what is left."""
        config, params = self.config, trained.params
        self.subtract(Stage(eps, network, params), residue)
        errors = self._errors()
        record = StageRecord(
            index=index,
            first_layer=network.first_layer,
            feature_map=map_name,
            n_modes=network.n_features,
            n_parameters=network.n_parameters(params),
            optimizer=trained.optimizer,
            steps=trained.steps,
            eps=eps,
            loss=float(LpLoss(config.p).forward(np, np.asarray(self.residue))) / eps,
            rms_on_grid=errors.rms_on_grid,
            max_on_grid=errors.max_on_grid,
            max_on_grid_to_max=errors.max_on_grid_to_max,
            rms_off_grid=errors.rms_off_grid,
            max_off_grid=errors.max_off_grid,
            nonlinear_share=self._nonlinear_share(network, params),
            seconds=time.perf_counter() - started,
            stopped_because=trained.stopped_because,
            loss_history=trained.loss_history,
            rms_history=trained.rms_history,
            energy=self._spectrum().energy,
        )
        self.records.append(record)
        for callback in self.callbacks:
            callback.on_stage_end(record)

    def subtract(self, stage: Stage, residue: Array | None = None) -> None:
        """Add a stage to the model and take it off the residues; `residue` is that on the grid if it is known."""
        if residue is None:
            residue = self.residue - stage.eps * self._evaluate(stage.network, stage.params)
        self.residue = residue
        self.judge.subtract(stage.eps, *extend(stage.network, stage.params, self.backend))
        self.stages.append(stage)

    def certificate(self, digits: int = 18) -> Certificate:
        """The errors at random points and at the worst ones by a second route."""
        digits = digits_of_independent_evaluation(digits)
        self._begin("certifying the errors at single points")
        rng = np.random.default_rng([self.config.seed, 1])
        n = CERTIFIED_POINTS if digits <= 18 else CERTIFIED_POINTS // 10
        at_samples = self.training.at_samples
        on_grid = sampled_claim(
            lambda chosen: scaled_points(self.grid, chosen),
            at_samples(self.training.values).ravel(),
            at_samples(self.residue).ravel(),
            n,
            rng,
        )
        stages = [(stage.eps, stage.network, stage.params) for stage in self.stages]
        certificate = certify(stages, on_grid, self.judge.sample(n, rng), self.field_rms, self.backend, digits)
        if not certificate.agrees:
            self.note("CERTIFICATION FAILED: the errors found by the second route differ by more than 1 %")
        return certificate

    def _errors(self) -> _Errors:
        residue = self.training.at_samples(np.asarray(self.residue))
        largest = float(np.max(np.abs(residue)))
        off_rms, off_max = self.judge.errors() or (None, None)
        return _Errors(
            rms_on_grid=_resolved(rms(np, residue) / self.field_rms),
            max_on_grid=_resolved(largest / self.field_rms),
            max_on_grid_to_max=_resolved(largest / self.field_max),
            rms_off_grid=None if off_rms is None else _resolved(off_rms / self.field_rms),
            max_off_grid=None if off_max is None else _resolved(off_max / self.field_rms),
        )


def _resolved(error: float) -> float:
    """A relative error, or what extended precision resolves of the sum of the stages if that is more; an exact 0 stays.

    The field's values are exact by definition, whatever their type: samples as they are, interpolated in extended
    precision, and a function as what it returned.
    """
    return max(error, 4.0 * extended_eps()) if error > 0.0 else 0.0
