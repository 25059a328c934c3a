"""``simsnn fit``: samples, points or a built-in problem to a model file, a figure and a table."""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from simsnn_ref.backend import load_backend
from simsnn_ref.commands.base import command
from simsnn_ref.commands.certify import certified_line, require_agreement
from simsnn_ref.commands.input import add_input, add_values, read_input
from simsnn_ref.config import FitConfig, config_from_dict, config_from_toml
from simsnn_ref.data import check_samples, sample_function
from simsnn_ref.errors import OutputError
from simsnn_ref.forecast import Forecast, forecast, require_memory
from simsnn_ref.grid import Grid
from simsnn_ref.history import Callback
from simsnn_ref.model import Model
from simsnn_ref.multistage import fit
from simsnn_ref.problems import get_problem
from simsnn_ref.progress import make_progress
from simsnn_ref.report import (
    BEND,
    fit_report,
    off_grid_line,
    stage_table,
    text_table,
    threads_line,
)
from simsnn_ref.scatter import Scatter
from simsnn_ref.storage import check_writable

__all__ = ["add"]

MODEL_SUFFIX = ".safetensors"


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "fit", _run_fit, "fit samples or a built-in problem, stage by stage")
    add_input(parser)
    add_values(parser)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="MODEL", help=f"model file (default: NAME{MODEL_SUFFIX})")
    output.add_argument("--figure", metavar="PATH", help="figure, .png, .pdf or .svg (default: beside the model, .png)")
    output.add_argument("--no-figure", action="store_true", help="write no figure")
    output.add_argument(
        "--dry-run",
        action="store_true",
        help="print what memory and time per step the fit would take, and exit",
    )
    output.add_argument("--quiet", action="store_true", help="no progress on stderr")
    options = parser.add_argument_group("options of the fit", "they take precedence over those of --config")
    options.add_argument("--config", metavar="FILE.toml", help="read options from a file")
    options.add_argument("--print-config", action="store_true", help="print the options as TOML and exit")
    for item in fields(FitConfig):
        _add_option(options, item)


def _add_option(options: Any, item: Any) -> None:
    flag = f"--{item.name.replace('_', '-')}"
    default = item.default
    if item.type in (bool, bool | None):
        options.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=item.metadata["help"])
        return
    several = isinstance(default, tuple)
    kind = get_args(item.type)[0] if several else item.type
    metavar = "|".join(item.metadata["choices"]) if item.metadata["choices"] else kind.__name__.upper()
    shown = ",".join(map(str, default)) if several else str(default)
    text = f"{item.metadata['help']} (default {shown})" if shown else item.metadata["help"]
    options.add_argument(
        flag,
        type=_comma_separated(kind) if several else kind,
        default=None,
        metavar=f"{metavar}[,...]" if several else metavar,
        help=text.replace("%", "%%"),
    )


def _comma_separated(kind: type) -> Callable[[str], tuple[Any, ...]]:
    def parse(text: str) -> tuple[Any, ...]:
        return tuple(kind(part.strip()) for part in text.split(","))

    parse.__name__ = f"comma-separated {kind.__name__}"
    return parse


def _config(arguments: argparse.Namespace) -> FitConfig:
    base = FitConfig() if arguments.config is None else config_from_toml(arguments.config)
    given = {
        item.name: getattr(arguments, item.name)
        for item in fields(FitConfig)
        if getattr(arguments, item.name) is not None
    }
    return config_from_dict({**base.to_dict(), **given})


def _run_fit(arguments: argparse.Namespace) -> None:
    started = time.perf_counter()
    config = _config(arguments)
    if arguments.print_config:
        print(config.to_toml(), end="")
        return
    if arguments.dry_run:
        grid, is_function = _size_of_input(arguments)
        _print_forecast(forecast(grid, config, is_function=is_function), arguments.json)
        return
    backend = load_backend(config.backend)
    output = Path(arguments.output or _default_name(arguments))
    figure = _figure_path(arguments, output)
    check_writable(output, "-o")
    progress = Callback() if arguments.quiet else make_progress()

    u, grid, problem = read_input(arguments, arguments.quiet)
    notes, field = problem.pop("notes", []), problem.pop("field", None)
    problem["field"] = None if field is None else field.to_dict()
    model = replace(fit(u, grid, config, callbacks=[progress], backend=backend), field=field)
    model.save(output)
    if figure is not None:
        _write_figure(model, u, grid, figure, problem["name"])
    report = fit_report(model, problem, time.perf_counter() - started)
    report["notes"] = [*notes, *report["notes"]]
    report["model"] = str(output)
    report["figure"] = None if figure is None else str(figure)
    if arguments.json:
        print(json.dumps(report, allow_nan=False))
    else:
        _print_fit(model, report)
    require_agreement(model.history.certified)


def _size_of_input(arguments: argparse.Namespace) -> tuple[Grid | Scatter, bool]:
    """Where the samples are, and whether they are a function's: nothing is simulated or evaluated for it."""
    if arguments.example is None:
        _, grid, _ = read_input(arguments, quiet=True)
        return grid, False
    problem = get_problem(arguments.example)
    return problem.grid(arguments.size), problem.target is not None


def _print_forecast(told: Forecast, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told.to_dict()))
    else:
        rows = [
            [
                str(stage.index),
                str(stage.n_features),
                str(stage.n_parameters),
                stage.feature_map,
                f"{stage.seconds_per_step:.2g}",
                f"{stage.bytes / 2**20:.0f} MiB",
            ]
            for stage in told.stages
        ]
        print(text_table(["stage", "n_f at most", "parameters", "map", "seconds a gradient", "memory to train"], rows))
        available = "unknown" if told.available_bytes is None else f"{told.available_bytes / 2**20:.0f} MiB"
        print(f"\n{told.points} training points; {told.peak_bytes / 2**20:.0f} MiB at most, {available} available.")
    require_memory(told)


def _default_name(arguments: argparse.Namespace) -> str:
    stem = arguments.example or (Path(arguments.input).stem if arguments.input else "model")
    return f"{stem}{MODEL_SUFFIX}"


def _figure_path(arguments: argparse.Namespace, output: Path) -> Path | None:
    """Where the figure goes; None if there is to be none, which is said if only matplotlib is missing."""
    if arguments.no_figure:
        return None
    if arguments.figure is None and importlib.util.find_spec("matplotlib") is None:
        print("note: no figure; it needs matplotlib: pip install 'simsnn-ref[plot]'", file=sys.stderr)
        return None
    from simsnn_ref.drawing import check_figure_path  # noqa: PLC0415 - an extra

    path = Path(arguments.figure) if arguments.figure else output.with_suffix(".png")
    if path == output:
        raise OutputError(f"--figure {path}: the model goes to the same file; name another one")
    check_figure_path(path)
    return path


def _write_figure(model: Model, u: Any, where: Any, path: Path, title: str) -> None:
    from simsnn_ref.plotting import figure_of_fit, save_figure  # noqa: PLC0415 - an extra

    grid: Any = model.grid
    if isinstance(where, Scatter):
        # The points that were not held out.
        rows = {tuple(point): row for row, point in enumerate(where.points.tolist())}
        samples = check_samples(u)[0][[rows[tuple(point)] for point in grid.points.tolist()]]
    elif callable(u):
        points = grid.box.to_physical(grid.scaled_points(np.longdouble))
        samples = sample_function(u, points, extended=True).reshape(grid.shape)
    else:
        samples = check_samples(u)[0]
    if samples.shape != grid.shape:
        samples = samples[(slice(None, None, 2),) * grid.ndim]  # every second one was held out
    save_figure(figure_of_fit(model, samples, title=title), path)


def _print_fit(model: Model, report: dict[str, Any]) -> None:
    print()
    print(stage_table(model.history))
    print()
    print(f"Errors are relative to the RMS of the field, {model.history.rms:.6g}. {off_grid_line(model)}")
    print(BEND)
    if model.history.certified is not None:
        print(certified_line(model.history.certified))
    memory = report["peak_memory_bytes"]
    used = "" if memory is None else f", {memory / 2**20:.0f} MiB at most"
    print(f"{report['seconds']:.1f} s in all{used}; {threads_line()}.")
    print(f"model:  {report['model']}")
    if report["figure"] is not None:
        print(f"figure: {report['figure']}")
