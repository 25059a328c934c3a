"""`fit`, `resume` and `certify_model`: from what the user gives to a model, each in a few lines."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import Backend, Processes, load_backend
from simsnn_ref.errors import DataError, DivergenceError
from simsnn_ref.io import FieldInfo, Periodic, provenance
from simsnn_ref.model import (
    Callback,
    Certificate,
    Checkpoints,
    FitConfig,
    History,
    LogFile,
    Model,
    has_rms,
    is_samples_grid,
    reading_states,
    with_bounds_of,
)
from simsnn_ref.multistage.algorithm import fit_stages
from simsnn_ref.multistage.checkpointing import elsewhere, pack_data, unpack_data, unpack_state
from simsnn_ref.multistage.constant_field import fit_constant
from simsnn_ref.multistage.events import Events
from simsnn_ref.multistage.intake import take_in
from simsnn_ref.multistage.measurements import certificate
from simsnn_ref.multistage.notes import after_the_last_stage, before_the_first_stage
from simsnn_ref.multistage.requirements import require_possible
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.setup import Setup, prepare
from simsnn_ref.multistage.state import FitState
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = ["certify_model", "fit", "resume"]


def fit(
    u: Any,
    grid: Any = None,
    config: FitConfig | None = None,
    *,
    box: Box | None = None,
    periodic: Periodic = None,
    callbacks: Sequence[Callback] = (),
    backend: Backend | str | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    field: FieldInfo | None = None,
    gaps: str = "fit",
    **options: Any,
) -> Model:
    """Fit a sampled field, values at scattered points, or a function, stage by stage.

    ``fit(points, values)`` is ``fit(values, Scatter(points, box, periodic))``. ``fit(u)`` of an xarray.DataArray takes
    the grid from its coordinates and keeps names, units and attributes, see `simsnn_ref.io.read_field`.

    Parameters
    ----------
    u : array_like of shape grid.shape, xarray.DataArray, or callable
        Samples (computed in float64), or a function of points (n, d) that returns (n,) values; or points, of shape
        (n, d), or (n,) in one dimension, or a tuple of the d axes of a grid. Of points that are one but for rounding
        the mean value is fitted.
    grid : Grid, Box or Scatter, or array_like of shape (n,), optional
        Where the samples are. Without it they are on [-1, 1]^d, and `periodic` says, or they themselves, along which
        axes they repeat. A function needs one: a Grid is where it is sampled, a Box is sampled with both ends included
        and `DEFAULT_SIZE` points per axis. After points, their values, and after axes those on their grid.
    config : FitConfig, optional
    box, periodic
        Of samples, a DataArray, a tuple of axes or points, see `simsnn_ref.spectrum.Scatter`; a Grid has its own.
        Where `periodic` is None, also for single axes, longitudes that go round are periodic, other coordinates are
        not, and without coordinates the samples say it: whichever predicts samples left out better. A note says what
        was taken and why.
    callbacks : sequence of Callback
        Notified of every step, stage and note.
    backend : Backend or str, optional
        Takes precedence over ``config.run.backend``.
    checkpoint : str, Path or Checkpoints, optional
        A folder for states that `resume` takes the fit up from. SIGINT, SIGTERM and SIGUSR1 then end it after saving.
    field : FieldInfo, optional
        What the field is called and measured in, for the model to keep; a DataArray has its own.
    gaps : {"fit", "error"}, optional
        What is done about values that are masked or NaN. On a grid ``"fit"`` fills the gaps by the smoothest
        continuation of the other samples, at scattered points it leaves their points out; a note says how many.
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
    DivergenceError
        If a number in training is not finite; its ``result`` is the model with the last good parameters.
    CheckpointError
        If the folder cannot be used, or holds another run.
    Interrupted
        If a signal ended the fit; its state is in the folder.
    """
    config = (config or FitConfig()).with_options(**options).resolved()
    backend = _loaded(backend, config)
    data = take_in(u, grid, box=box, periodic=periodic, info=field, gaps=gaps)
    if checkpoint is None:
        return _run(prepare(data, config, backend), Events(callbacks))
    checkpoints = _checkpoints(checkpoint)
    with _open(checkpoints, backend.processes):
        checkpoints.require_new()
        with _logged(checkpoints, backend.processes, resumed=False) as logs:
            setup = prepare(data, config, backend)
            checkpoints.begin(*pack_data(data, config))
            return _run(setup, Events([*callbacks, *logs], checkpoints))


def resume(
    checkpoint: str | Path | Checkpoints,
    function: Callable[[np.ndarray], Any] | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    backend: Backend | str | None = None,
) -> Model:
    """Take up a fit where its last state is: on the same machine, with as many threads, the same model to the bit.

    Parameters
    ----------
    checkpoint : str, Path or Checkpoints
        The folder given to `fit`.
    function : callable, optional
        What was fitted, if that was a function.
    callbacks, backend
        As for `fit`.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        If the folder holds no run or no state can be read, or `function` is missing or another one.
    DivergenceError, Interrupted
        As `fit` does.
    """
    checkpoints = _checkpoints(checkpoint)
    data, config = unpack_data(checkpoints, function)
    backend = _loaded(backend, config)
    with _open(checkpoints, backend.processes), _logged(checkpoints, backend.processes, resumed=True) as logs:
        setup = prepare(data(), config, backend)
        events = Events([*callbacks, *logs], checkpoints)
        content, arrays, notes = checkpoints.load()
        if content is None:
            return _run(setup, events, notes)
        with reading_states(checkpoints.folder):
            state = unpack_state(content, arrays, setup)
            events.notes = list(content["notes"])
        events.note(*elsewhere(content), *notes)
        return _continue(setup, state, events)


def certify_model(model: Model, u: Any, grid: Grid | Box | Scatter | None = None, digits: int = 18) -> Certificate:
    """Certify a model, as loaded from its file, against the data it was fitted to.

    Parameters
    ----------
    u, grid
        As for `fit`; values and a `Scatter` of scattered points. Without a grid samples are on the model's.
    digits : int
        18 is long double; more is mpmath, which takes a tenth of the points. Where long double is no wider than
        float64, 18 is mpmath too, or if that is not installed double-double.

    Raises
    ------
    DataError
        If the data are not on the grid the model was fitted on.
    """
    if grid is None and (callable(u) or isinstance(model.grid, Scatter)):
        grid = model.grid
    periodic = model.grid.periodic if grid is None else None
    data = take_in(u, grid, periodic=periodic)
    if grid is None and isinstance(data.grid, Grid):
        data = replace(data, grid=with_bounds_of(model, data.grid, data.info))
    setup = prepare(data, model.config, model.backend)
    # Without those held out points can be compared; of grids only what the intake gave tells.
    where = setup.grid if isinstance(setup.grid, Scatter) else data.grid
    if not is_samples_grid(model, where):
        raise DataError(f"data: on {where}, but the model was fitted on {model.grid}")
    state = FitState.of(setup)
    for stage in model.stages:
        state.add(stage, state.residue.minus(stage))
    found = certificate(state, setup, digits)
    # Where the errors are large, those of other samples may be no larger.
    return found if has_rms(model, setup.rms) else replace(found, agrees=False)


def _run(setup: Setup, events: Events, notes: Sequence[str] = ()) -> Model:
    """The fit from its beginning."""
    events.note(*setup.notes, *notes)
    state = FitState.of(setup)
    with setup.backend.processes.guard():
        if setup.is_constant:
            fit_constant(setup, state, events)
        else:
            require_possible(setup.config, setup.training.grid, setup.backend, setup.least_squares)
            events.note(*before_the_first_stage(setup))
    return _continue(setup, state, events)


def _continue(setup: Setup, state: FitState, events: Events) -> Model:
    """All stages that are still to be fitted, and the model of all."""
    try:
        with setup.backend.processes.guard():
            if not setup.is_constant:
                fit_stages(setup, state, events)
                events.note(*after_the_last_stage(state, setup))
    except DivergenceError as error:
        raise DivergenceError(str(error), _model(setup, state, events, None)) from error
    certified = None
    if setup.config.run.certify:
        events.activity("certifying the errors at single points")
        certified = certificate(state, setup)
        if not certified.agrees:
            events.note("CERTIFICATION FAILED: an independent evaluation finds errors that differ by more than 1 %")
    return _model(setup, state, events, certified)


def _model(setup: Setup, state: FitState, events: Events, certified: Certificate | None) -> Model:
    history = History(
        stages=tuple(state.records),
        off_grid=setup.off_grid.method,
        notes=tuple(events.notes),
        rms=setup.rms,
        max=setup.max,
        spectrum=setup.spectrum(Residue.of(setup.training, setup.backend)),
        seconds=state.clock.seconds,
        noise_floor=setup.noise_floor,
        noise=setup.noise_level,
        certified=None if certified is None else certified.to_dict(),
    )
    return Model(tuple(state.stages), setup.grid, setup.config, history, provenance(), setup.backend, setup.info)


def _loaded(backend: Backend | str | None, config: FitConfig) -> Backend:
    return load_backend(backend or config.run.backend) if backend is None or isinstance(backend, str) else backend


def _checkpoints(checkpoint: str | Path | Checkpoints) -> Checkpoints:
    return checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)


@contextlib.contextmanager
def _open(checkpoints: Checkpoints, processes: Processes) -> Iterator[None]:
    """The folder with its signals; closed again if it was opened here."""
    was_open = checkpoints.is_open
    checkpoints.open(processes)
    try:
        with checkpoints.listening():
            yield
    finally:
        if not was_open:
            checkpoints.close()


@contextlib.contextmanager
def _logged(checkpoints: Checkpoints, processes: Processes, *, resumed: bool) -> Iterator[list[Callback]]:
    """What writes the log of a run, in the one process that does."""
    if not processes.is_root:
        yield []
        return
    log = LogFile(checkpoints.log_file)
    with log.run(resumed=resumed):
        yield [log]
