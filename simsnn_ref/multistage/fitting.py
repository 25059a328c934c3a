"""The staged algorithm of section 3.2: each stage fits what the ones before left over.

e_0 = u;   eps_s = RMS(e_s);   u_s ~ e_s / eps_s on the grid;   e_{s+1} = e_s - eps_s u_s.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import Backend, Processes, load_backend
from simsnn_ref.errors import CheckpointError, ConfigError, DataError
from simsnn_ref.io import (
    FieldInfo,
    blas_threads,
    check_grid,
    check_range,
    check_samples,
    is_dataarray,
    read_dataarray,
    sample_function,
)
from simsnn_ref.model import (
    Arrays,
    Callback,
    Certificate,
    Checkpoints,
    FitConfig,
    LogFile,
    Model,
    config_from_dict,
    digest,
    pack_field,
    pack_grid,
    reading_states,
    unpack_field,
    unpack_grid,
)
from simsnn_ref.multistage.algorithm import StagedFit
from simsnn_ref.multistage.off_grid_error import choose_off_grid, hold_out, hold_out_points
from simsnn_ref.multistage.resources import forecast, require_memory
from simsnn_ref.multistage.sampling import training_set
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = ["DEFAULT_SIZE", "certify_model", "fit", "resume"]

DEFAULT_SIZE = {1: 256, 2: 64, 3: 32}
"""Samples per axis, by dimension, of a function given with a box only."""


def fit(
    u: Any,
    grid: Any = None,
    config: FitConfig | None = None,
    *,
    box: Box | None = None,
    periodic: bool | Sequence[bool] | None = None,
    callbacks: Sequence[Callback] = (),
    backend: Backend | str | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    field: FieldInfo | None = None,
    **options: Any,
) -> Model:
    """Fit a sampled field, values at scattered points, or a function, stage by stage.

    ``fit(points, values)`` is ``fit(values, Scatter(points, box, periodic))``. ``fit(u)`` of an xarray.DataArray takes
    the grid from its coordinates and keeps names, units and attributes, see `simsnn_ref.io.read_field`.

    Parameters
    ----------
    u : array_like of shape grid.shape, xarray.DataArray, or callable
        Samples (computed in float64), or a function of points (n, d) that returns (n,) values; or points, of shape
        (n, d), or (n,) in one dimension.
    grid : Grid, Box or Scatter, or array_like of shape (n,), optional
        Where the samples are. Without it samples are taken as periodic on [-1, 1)^d. A function needs one: a Grid is
        where it is sampled, a Box is sampled with both ends included and `DEFAULT_SIZE` points per axis. After points,
        their values.
    config : FitConfig, optional
    box, periodic
        Of the points, see `simsnn_ref.spectrum.Scatter`, or of a DataArray, which is taken as periodic unless told
        otherwise; a grid has its own.
    callbacks : sequence of Callback
        Told of every step, stage and note.
    backend : Backend or str, optional
        Takes precedence over ``config.run.backend``.
    checkpoint : str, Path or Checkpoints, optional
        A folder for states that `resume` takes the fit up from. SIGINT, SIGTERM and SIGUSR1 then end it after saving.
    field : FieldInfo, optional
        What the field is called and measured in, for the model to keep; a DataArray has its own.
    **options
        Options of `FitConfig` by their flat names; they replace those of `config`.

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
    if backend is None or isinstance(backend, str):
        backend = load_backend(backend or config.run.backend)
    u, grid, described, notes = _where_and_what(u, grid, box, periodic)
    field = field or described
    if checkpoint is None:
        return _staged_fit(_take_samples(u, grid, field, notes), config, callbacks, backend).model()
    processes = backend.processes
    checkpoints = _checkpoints(checkpoint)
    with _open(checkpoints, processes):
        checkpoints.require_new()
        with _logged(checkpoints, processes, resumed=False) as logs:
            given = _take_samples(u, grid, field, notes)
            staged = _staged_fit(given, config, [*callbacks, *logs], backend, checkpoints)
            checkpoints.begin(*_pack_data(given, config))
            return staged.model()


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
    data, arrays = checkpoints.data
    with reading_states(checkpoints.folder):
        config, grid = config_from_dict(data["config"]), unpack_grid(data["grid"], arrays)
        field = unpack_field(data["field"], arrays, grid.ndim)
        values, stated = arrays.get("values"), str(data["digest"])
    if (values is None) != (function is not None):
        raise CheckpointError(
            f"{checkpoints.folder}: a function was fitted; give it to resume"
            if values is None
            else f"{checkpoints.folder}: samples were fitted, which are in the folder; give no function"
        )
    if backend is None or isinstance(backend, str):
        backend = load_backend(backend or config.run.backend)
    processes = backend.processes
    with _open(checkpoints, processes), _logged(checkpoints, processes, resumed=True) as logs:
        given = _take_samples(function if values is None else values, grid, field)
        if digest(given.samples) != stated:
            raise CheckpointError("function: its values are not those that were fitted; resume with the same function")
        staged = _staged_fit(given, config, [*callbacks, *logs], backend, checkpoints)
        state, arrays, notes = checkpoints.load()
        with reading_states(checkpoints.folder):
            if state is not None:
                staged.restore(state, arrays)
        for note in notes:
            staged.note(note)
        return staged.model()


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


def certify_model(model: Model, u: Any, grid: Grid | Box | Scatter | None = None, digits: int = 18) -> Certificate:
    """Certify a model, as loaded from its file, against the data it was fitted to.

    Parameters
    ----------
    u, grid
        As for `fit`; values and a `Scatter` of scattered points.
    digits : int
        18 is long double; more is mpmath, which takes a tenth of the points. Where long double is no wider than
        float64, 18 is mpmath too, or if that is not installed double-double.

    Raises
    ------
    DataError
        If the data are not on the grid the model was fitted on.
    """
    if grid is None and is_dataarray(u):
        u, grid, _, _ = read_dataarray(u, periodic=model.grid.periodic)
    staged = _staged_fit(_take_samples(u, grid), model.config, (), model.backend)
    if staged.grid != model.grid:
        raise DataError(f"data: on {staged.grid}, but the model was fitted on {model.grid}")
    for stage in model.stages:
        staged.subtract(stage)
    return staged.certificate(digits)


def _where_and_what(
    u: Any, grid: Any, box: Box | None, periodic: bool | Sequence[bool] | None
) -> tuple[Any, Grid | Box | Scatter | None, FieldInfo | None, list[str]]:
    """Samples or function, their domain, what they are called, and notes, of what `fit` was given."""
    if grid is None and is_dataarray(u):
        return read_dataarray(u, box=box, periodic=True if periodic is None else periodic)
    if grid is None or isinstance(grid, Grid | Box | Scatter):
        if box is not None or periodic is not None:
            raise DataError("box, periodic: these describe scattered points, fit(points, values); a grid has its own")
        return u, grid, None, []
    return grid, Scatter(u, box, False if periodic is None else periodic), None, []


@dataclass(frozen=True)
class _Given:
    """What is fitted.

    Attributes
    ----------
    samples : ndarray of float64
    grid : Grid or Scatter
        Where they are.
    target : callable or None
        The function they were taken from.
    field : FieldInfo or None
    notes : list of str
        On the way they came.
    """

    samples: np.ndarray
    grid: Grid | Scatter
    target: Callable[[np.ndarray], Any] | None
    field: FieldInfo | None
    notes: list[str]


def _pack_data(given: _Given, config: FitConfig) -> tuple[dict[str, Any], Arrays]:
    """What `resume` begins with: samples (of a function their digest), where they are, and the options."""
    grid, places = pack_grid(given.grid)
    field, coordinates = pack_field(given.field)
    values = {} if given.target is not None else {"values": given.samples}
    content = {"config": config.to_dict(), "grid": grid, "field": field, "digest": digest(given.samples)}
    return content, {**places, **values, **coordinates}


def _staged_fit(
    given: _Given,
    config: FitConfig,
    callbacks: Sequence[Callback],
    backend: Backend,
    checkpoints: Checkpoints | None = None,
) -> StagedFit:
    """Everything before the first stage."""
    samples, grid, target, notes = given.samples, given.grid, given.target, list(given.notes)
    check_range(samples)
    held_out = None
    if isinstance(grid, Scatter):
        samples, grid, held_out = hold_out_points(samples, grid, config)
        if held_out is not None:
            notes.append(f"{len(held_out[1])} of the points, drawn at random, are held out to judge the fit")
    elif config.sampling.off_grid == "holdout":
        samples, grid, held_out = hold_out(samples, grid)
        target = None
    if config.run.deterministic:
        _require_deterministic(config, backend)
    processes = backend.processes
    require_memory(forecast(grid, config, is_function=target is not None, processes=processes))
    training = training_set(samples, grid, target, config)
    judge = choose_off_grid(config, training, target, held_out, processes)
    staged = StagedFit(grid, training, config, judge, callbacks, backend, target, checkpoints, given.field)
    for note in notes:
        staged.note(note)
    return staged


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


def _take_samples(
    u: Any, grid: Grid | Box | Scatter | None, field: FieldInfo | None = None, notes: Sequence[str] = ()
) -> _Given:
    """Samples in float64, a function's at the points of its grid."""
    if isinstance(grid, Scatter):
        if callable(u):
            raise DataError("values: a function is fitted on a Grid or a Box, points need an array of values")
        samples, more = check_samples(u, "values")
        grid.check_values(samples)
        return _Given(samples, grid, None, field, [*notes, *more])
    if callable(u):
        if isinstance(grid, Box):
            size = DEFAULT_SIZE.get(grid.ndim, 0)
            grid = Grid((size,) * grid.ndim, grid.lower, grid.upper, periodic=(False,))
        if grid is None:
            raise DataError("grid: a function needs a Grid or a Box to be sampled on")
        samples, more = check_samples(sample_function(u, grid.points()).reshape(grid.shape))
        return _Given(samples, grid, u, field, [*notes, *more])
    if isinstance(grid, Box):
        raise DataError(
            "grid: samples need a Grid (which says whether they are periodic), a Box serves a function only"
        )
    samples, more = check_samples(u)
    grid = Grid(samples.shape) if grid is None else grid
    check_grid(samples, grid)
    return _Given(samples, grid, None, field, [*notes, *more])
