"""The end of ``simsnn fit`` and ``simsnn resume``: model file, figure, report; and what is saved where a fit fails."""

import argparse
import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import Processes
from simsnn_ref.commands.certify import certified_line, require_agreement
from simsnn_ref.errors import DataError, DivergenceError, Interrupted, OutputError
from simsnn_ref.io import check_samples, sample_function
from simsnn_ref.model import Checkpoints, Model
from simsnn_ref.report import (
    check_figure_path,
    closing_line,
    figure_of_fit,
    fit_report,
    off_grid_meaning,
    save_figure,
    stage_columns,
    stage_rows,
    table_with_legend,
    threads_words,
)
from simsnn_ref.spectrum import Scatter

__all__ = ["About", "add_cadence", "figure_path", "finish", "make_checkpoints", "together", "training_samples"]


@dataclass(frozen=True)
class About:
    """The input of a fit and the files for its results; kept with its checkpoints.

    Attributes
    ----------
    problem : dict
        Description of the input for the report.
    example : str or None
        Name of the built-in problem.
    notes : list of str
        Notes on the input.
    output : Path
        Model file.
    figure : Path or None
        File of the figure; None for no figure.
    force : bool
        Whether files that exist are replaced.
    """

    problem: dict[str, Any]
    example: str | None
    notes: list[str]
    output: Path
    figure: Path | None
    force: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the paths are absolute, for the fit may be resumed from another folder."""
        return {
            "problem": self.problem,
            "example": self.example,
            "notes": self.notes,
            "output": str(self.output.absolute()),
            "figure": None if self.figure is None else str(self.figure.absolute()),
            "force": self.force,
        }


@contextlib.contextmanager
def together(processes: Processes) -> Iterator[bool]:
    """Around a fit that several processes share: yields whether this process prints and writes.

    It alone raises what ends the fit in all of them.
    """
    stopped: Interrupted | None = None
    with processes.guard(typed=True):
        try:
            yield processes.is_root
        except Interrupted as error:
            stopped = error
        except DivergenceError:
            if processes.is_root:
                raise
    # Not an error that ends the others: a signal to one of them has ended all.
    if stopped is not None and processes.is_root:
        raise stopped


def add_cadence(parser: Any) -> None:
    """Add the options that say how often a checkpoint is written."""
    parser.add_argument(
        "--checkpoint-steps", type=int, default=0, metavar="N", help="write one every N steps (default 0: not by steps)"
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=2.0,
        metavar="T",
        help="write one every T minutes (default 2; 0: not by time)",
    )


def make_checkpoints(folder: str, arguments: argparse.Namespace, about: About | None = None) -> Checkpoints:
    """The checkpoints in a folder, as often as the options of `add_cadence` say."""
    kept = None if about is None else about.to_dict()
    return Checkpoints(folder, arguments.checkpoint_steps, arguments.checkpoint_minutes, kept)


def finish(make: Callable[[], Model], u: Any, grid: Any, about: About, started: float, *, as_json: bool) -> None:
    """Fit, and write the model, the figure and the report.

    Parameters
    ----------
    make : callable
        Does the fit.
    u, grid
        What is fitted.
    about : About
    started : float
        Time at which the command started, by `time.perf_counter`.
    as_json : bool
        Whether the report is printed as JSON.

    Raises
    ------
    DivergenceError
        If the fit diverged; what was reached before is saved.
    OutputError
        If the model cannot be written where it was to go; it is then saved elsewhere.
    CertificationError
        If the errors are not confirmed.
    """
    try:
        model = make()
    except DivergenceError as error:
        raise DivergenceError(f"{error}; what was reached before is in {_save(error.result, about.output)}") from error
    _save(model, about.output)
    if about.figure is not None:
        _write_figure(model, u, grid, about.figure, about.problem["name"])
    report = fit_report(model, about.problem, time.perf_counter() - started)
    report["notes"] = [*about.notes, *report["notes"]]
    report["model"] = str(about.output)
    report["figure"] = None if about.figure is None else str(about.figure)
    if as_json:
        print(json.dumps(report, allow_nan=False))
    else:
        _print_fit(model, report)
    require_agreement(model.history.certified)


def _save(model: Model, output: Path) -> Path:
    """Write the model; where that fails, to the folder for temporary files, so that no fit is lost."""
    try:
        model.save(output)
    except OutputError as error:
        handle, name = tempfile.mkstemp(prefix=f"{output.stem}-", suffix=output.suffix)
        os.close(handle)
        try:
            model.save(name)
        except OutputError:
            raise error from None
        raise OutputError(f"{error}; the model was saved as {name} instead") from error
    return output


def figure_path(asked: str | None, output: Path, force: bool) -> Path | None:
    """File of the figure; None, with a note, if matplotlib is missing and no figure was asked for.

    Raises
    ------
    OutputError
        If it cannot be written there, or without `force` there is such a file.
    """
    if asked is None and importlib.util.find_spec("matplotlib") is None:
        print("note: no figure; it needs matplotlib: pip install 'simsnn-ref[plot]'", file=sys.stderr)
        return None
    path = Path(asked) if asked else output.with_suffix(".png")
    if path == output:
        raise OutputError(f"--figure {path}: the model goes to the same file; name another one")
    check_figure_path(path, force)
    return path


def training_samples(model: Model, u: Any, where: Any) -> np.ndarray:
    """Samples that the model was fitted to, without those held out; those of a function are in extended precision.

    Raises
    ------
    DataError
        If points of the model are not among those of `where`.
    """
    grid: Any = model.grid
    if isinstance(where, Scatter):
        rows = {tuple(point): row for row, point in enumerate(where.points.tolist())}
        try:
            kept: np.ndarray = check_samples(u)[0][[rows[tuple(point)] for point in grid.points.tolist()]]
        except KeyError as error:
            raise DataError(f"points: the model was fitted to others, {list(error.args[0])} is not there") from None
        return kept
    if callable(u):
        points = grid.box.to_physical(grid.scaled_points(np.longdouble))
        samples = sample_function(u, points, extended=True).reshape(grid.shape)
    else:
        samples = check_samples(u)[0]
    # Where the shape is another one, every second sample along each axis was held out.
    return samples if samples.shape == grid.shape else samples[(slice(None, None, 2),) * grid.ndim]


def _write_figure(model: Model, u: Any, where: Any, path: Path, title: str) -> None:
    save_figure(figure_of_fit(model, training_samples(model, u, where), title=title), path)


def _print_fit(model: Model, report: dict[str, Any]) -> None:
    print()
    print(table_with_legend(stage_columns(off_grid_meaning(model)), stage_rows(model.history.stages, model.history)))
    print()
    print(f"RMS of the field: {model.history.rms:.6g}.")
    if model.history.certified is not None:
        print(certified_line(model.history.certified, model.history))
    print(closing_line(model))
    memory = report["peak_memory_bytes"]
    used = "" if memory is None else f", peak memory {memory / 2**20:.0f} MiB"
    print(f"Total time {report['seconds']:.1f} s{used}; threads {threads_words(report['threads'])}.")
    print(f"model:  {report['model']}")
    if report["figure"] is not None:
        print(f"figure: {report['figure']}")
