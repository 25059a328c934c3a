"""The command ``simsnn``: fit, predict, certify, info, examples, spectrum, dns, reproduce, verify, reference.

Results go to stdout, progress and notes to stderr. Bad input is one line on stderr and exit status 2.
"""

import argparse
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np

from simsnn_ref import reference
from simsnn_ref.backend import THREADS_VARIABLE, NumpyBackend, available_backends, default_threads, load_backend
from simsnn_ref.config import OPTIMIZERS, FitConfig, config_from_dict, config_from_toml
from simsnn_ref.data import check_grid, check_samples, load_samples, sample_function
from simsnn_ref.errors import CertificationError, ConfigError, ModelFileError, OutputError, SimsnnError
from simsnn_ref.experiments import EXPERIMENTS, SIZES, Outcome, Settings, to_dict, to_markdown
from simsnn_ref.forecast import Forecast, forecast, require_memory
from simsnn_ref.grid import Box, Grid
from simsnn_ref.history import Callback
from simsnn_ref.model import Model, load_model
from simsnn_ref.multistage import certify_model, fit
from simsnn_ref.problems import PROBLEMS, Problem, get_problem
from simsnn_ref.problems.turbulence import SPECTRA, energy, enstrophy, vorticity
from simsnn_ref.progress import SimulationLines, make_progress
from simsnn_ref.provenance import versions
from simsnn_ref.report import blas_threads, describe_grid, fit_report, stage_table, text_table, threads_line
from simsnn_ref.scatter import Scatter
from simsnn_ref.spectrum import count_modes, dominant_frequency, energy_spectrum, fourier_modes
from simsnn_ref.storage import check_writable
from simsnn_ref.verify import Check, verify

__all__ = ["main"]

MODEL_SUFFIX = ".safetensors"


class _Parser(argparse.ArgumentParser):
    """argparse with one-line errors."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"simsnn: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's own by default) and return its exit status."""
    arguments = _build_parser().parse_args(argv)
    try:
        _set_threads(arguments.threads)
        status: int | None = arguments.run(arguments)
    except CertificationError as error:
        print(f"simsnn: error: {error}", file=sys.stderr)
        return 1
    except SimsnnError as error:
        print(f"simsnn: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("simsnn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone; what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status or 0


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise ConfigError(f"--threads {threads}: needs a whole number above 0")
    os.environ[THREADS_VARIABLE] = str(threads)


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="simsnn", description="Fit sampled fields to machine precision, stage by stage (SI-MSNN).")
    version = versions()
    parser.add_argument("--version", action="version", version=f"simsnn {version['simsnn_ref']}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_fit(commands)
    _add_predict(commands)
    _add_certify(commands)
    _add_info(commands)
    _add_examples(commands)
    _add_spectrum(commands)
    _add_dns(commands)
    _add_reproduce(commands)
    _add_verify(commands)
    _add_reference(commands)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help=f"threads on the host (default: {THREADS_VARIABLE}, or all cores; those of BLAS follow OMP_NUM_THREADS)",
    )
    return parser


# Input: a .npy file or a built-in problem.


def _add_input(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("input")
    data.add_argument("input", nargs="?", metavar="INPUT.npy", help="samples on a uniform grid in 1, 2 or 3 dimensions")
    data.add_argument("--example", metavar="NAME", help=f"a built-in problem: {', '.join(PROBLEMS)}")
    data.add_argument("--size", type=int, metavar="N", help="samples per axis of the example")
    data.add_argument("--reynolds", type=float, metavar="RE", help="turbulence: Reynolds number (default 2000)")
    data.add_argument("--time", type=float, metavar="T", help="turbulence: time of the snapshot (default 1.25)")
    data.add_argument("--field-seed", type=int, metavar="SEED", help="turbulence: seed of the flow (default 0)")
    data.add_argument(
        "--initial-spectrum", choices=sorted(SPECTRA), help="turbulence: initial condition (default amplitude)"
    )
    data.add_argument(
        "--box",
        type=float,
        nargs="+",
        metavar="X",
        help="INPUT: lower and upper bound of each axis, e.g. 0 6.2832 0 6.2832 (default -1 1 for each)",
    )
    data.add_argument(
        "--periodic",
        metavar="true|false[,...]",
        default=None,
        help="INPUT: whether the samples are periodic with the end left out, for all axes or one by one (default true)",
    )


_PROBLEM_OPTIONS = {
    "reynolds": "reynolds",
    "time": "time",
    "field_seed": "seed",
    "initial_spectrum": "spectrum",
}


def _add_values(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--values",
        metavar="VALUES.npy",
        help="values (n,) at scattered points: INPUT.npy then holds the points (n, d), --box defaults to their bounding"
        " box and --periodic to false",
    )


def _read_input(arguments: argparse.Namespace, quiet: bool = False) -> tuple[Any, Grid | Scatter, dict[str, Any]]:
    """Samples or function, grid or points, and a description of the problem for the report, with notes on the input."""
    if (arguments.input is None) == (arguments.example is None):
        raise ConfigError("give either INPUT.npy or --example NAME")
    given = {
        theirs: getattr(arguments, ours)
        for ours, theirs in _PROBLEM_OPTIONS.items()
        if getattr(arguments, ours) is not None
    }
    if arguments.example is not None:
        for name in ("box", "periodic", "values"):
            if getattr(arguments, name, None) is not None:
                raise ConfigError(f"--{name} describes INPUT.npy; example {arguments.example!r} has its own")
        return _read_example(arguments, given, quiet)
    for name in ("size", *_PROBLEM_OPTIONS):
        if getattr(arguments, name) is not None:
            raise ConfigError(f"--{name.replace('_', '-')} belongs to --example, not to INPUT.npy")
    values = getattr(arguments, "values", None)
    samples, notes = check_samples(load_samples(values or arguments.input), values or arguments.input)
    if not quiet:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    grid = _grid_of_input(arguments, samples) if values is None else _points_of_input(arguments, samples)
    return samples, grid, {"name": arguments.input, "notes": notes}


def _read_example(
    arguments: argparse.Namespace, given: dict[str, Any], quiet: bool
) -> tuple[Any, Grid, dict[str, Any]]:
    problem: Problem = get_problem(arguments.example)
    for theirs in given:
        if theirs not in problem.options:
            ours = next(name for name, other in _PROBLEM_OPTIONS.items() if other == theirs)
            raise ConfigError(f"--{ours.replace('_', '-')}: example {problem.name!r} has no such option")
    grid = problem.grid(arguments.size)
    told = {"name": problem.name, "description": problem.description, **given}
    if problem.target is not None:
        check_samples(np.zeros(grid.shape), "--size")
        return problem.target, grid, told
    samples = problem.samples(arguments.size, callback=_simulation_lines(arguments, grid.shape[0], quiet), **given)
    return samples, grid, told


def _simulation_lines(arguments: argparse.Namespace, n: int, quiet: bool = False) -> SimulationLines | None:
    end_time = 1.25 if arguments.time is None else arguments.time
    return None if quiet else SimulationLines(f"turbulence on {n} x {n} points", end_time)


def _grid_of_input(arguments: argparse.Namespace, samples: np.ndarray) -> Grid:
    periodic, box = _domain(arguments, samples.ndim, "true")
    if box is None:
        return Grid(samples.shape, periodic=periodic)
    return Grid(samples.shape, box.lower, box.upper, periodic)


def _points_of_input(arguments: argparse.Namespace, values: np.ndarray) -> Scatter:
    points = load_samples(arguments.input)
    periodic, box = _domain(arguments, 1 if points.ndim < 2 else points.shape[1], "false")
    scatter = Scatter(points, box, periodic)
    scatter.check_values(values)
    return scatter


def _domain(arguments: argparse.Namespace, ndim: int, default: str) -> tuple[tuple[bool, ...], Box | None]:
    """What --periodic and --box say."""
    words = (arguments.periodic or default).lower().split(",")
    if any(word not in ("true", "false") for word in words) or len(words) not in (1, ndim):
        raise ConfigError(f"--periodic {arguments.periodic}: give true or false, once or for each of {ndim} axes")
    periodic = tuple(word == "true" for word in words)
    if arguments.box is None:
        return periodic, None
    if len(arguments.box) != 2 * ndim:
        raise ConfigError(f"--box: {ndim} axes need {2 * ndim} numbers, got {len(arguments.box)}")
    return periodic, Box(tuple(arguments.box[0::2]), tuple(arguments.box[1::2]))


# fit


def _add_fit(commands: Any) -> None:
    parser = _command(commands, "fit", _run_fit, "fit samples or a built-in problem, stage by stage")
    _add_input(parser)
    _add_values(parser)
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

    u, grid, problem = _read_input(arguments, arguments.quiet)
    notes = problem.pop("notes", [])
    model = fit(u, grid, config, callbacks=[progress], backend=backend)
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
    _require_agreement(model.history.certified)


def _size_of_input(arguments: argparse.Namespace) -> tuple[Grid | Scatter, bool]:
    """Where the samples are, and whether they are a function's: nothing is simulated or evaluated for it."""
    if arguments.example is None:
        _, grid, _ = _read_input(arguments, quiet=True)
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
    print(f"Errors are relative to the RMS of the field, {model.history.rms:.6g}. {_off_grid_line(model)}")
    print(_BEND)
    if model.history.certified is not None:
        print(_certified_line(model.history.certified))
    memory = report["peak_memory_bytes"]
    used = "" if memory is None else f", {memory / 2**20:.0f} MiB at most"
    print(f"{report['seconds']:.1f} s in all{used}; {threads_line()}.")
    print(f"model:  {report['model']}")
    if report["figure"] is not None:
        print(f"figure: {report['figure']}")


_BEND = "Bend: the share of a stage that is not linear in its features, what the network adds to a sum of cosines."

_OFF_GRID = {
    "interpolation": "Off the grid: against trigonometric interpolation, at the points between the samples.",
    "random": "Off the grid: against the function itself at random points.",
    "holdout": "Off the grid: at held-out samples; training saw every second one along each axis.",
    "none": "Off the grid: not measured (samples that are not periodic; --off-grid holdout keeps some of them back).",
}


def _off_grid_line(model: Model) -> str:
    if isinstance(model.grid, Grid):
        return _OFF_GRID[model.history.off_grid]
    if model.history.off_grid == "none":
        return "Off the points: not measured (--off-grid holdout keeps a tenth of them back)."
    return "On the grid: at the points that training saw. Off it: at the tenth of the points that was held out."


# predict


def _add_predict(commands: Any) -> None:
    parser = _command(commands, "predict", _run_predict, "evaluate a model at points or on a grid")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("points", nargs="?", metavar="POINTS.npy", help="points, shape (n, d), in the data's own units")
    parser.add_argument(
        "--grid", type=int, nargs="+", metavar="N", help="samples per axis of a grid on the model's box"
    )
    parser.add_argument("-o", "--output", metavar="VALUES.npy", help="default: MODEL's name with .prediction.npy")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--gradient", action="store_true", help="first derivatives, shape (..., d)")
    order.add_argument("--hessian", action="store_true", help="second derivatives, shape (..., d, d)")
    parser.add_argument("--backend", default="numpy", help="array library (default numpy)")


def _run_predict(arguments: argparse.Namespace) -> None:
    if (arguments.points is None) == (arguments.grid is None):
        raise ConfigError("give either POINTS.npy or --grid N")
    output = Path(arguments.output or Path(arguments.model).with_suffix(".prediction.npy"))
    check_writable(output, "-o")
    model = load_model(arguments.model, load_backend(arguments.backend))
    where: Any
    if arguments.grid is None:
        where = load_samples(arguments.points)
    else:
        if len(arguments.grid) not in (1, model.grid.ndim):
            raise ConfigError(f"--grid: give 1 or {model.grid.ndim} numbers, got {len(arguments.grid)}")
        shape = arguments.grid * model.grid.ndim if len(arguments.grid) == 1 else arguments.grid
        where = Grid(tuple(shape), model.grid.lower, model.grid.upper, model.grid.periodic)
    started = time.perf_counter()
    values = (
        model.hessian(where) if arguments.hessian else model.gradient(where) if arguments.gradient else model(where)
    )
    _save_array(output, values)
    seconds = time.perf_counter() - started
    if arguments.json:
        print(json.dumps({"values": str(output), "shape": list(values.shape), "seconds": seconds}))
    else:
        print(f"{output}: {values.dtype} of shape {values.shape}, {seconds:.2f} s")


def _save_array(path: Path, values: np.ndarray) -> None:
    try:
        with path.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


# certify


def _add_certify(commands: Any) -> None:
    parser = _command(commands, "certify", _run_certify, "check a model's errors against its data by a second route")
    parser.add_argument("model", metavar="MODEL")
    _add_input(parser)
    _add_values(parser)
    parser.add_argument(
        "--digits",
        type=int,
        default=18,
        help="18 (default) is long double, where it is wider than float64; more is mpmath, at a tenth of the points",
    )


def _run_certify(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.model)
    u, grid, _ = _read_input(arguments)
    certificate = certify_model(model, u, grid, arguments.digits).to_dict()
    last = model.history.stages[-1].summary() if model.history.stages else dict.fromkeys(_ERRORS, 0.0)
    claimed = {name: last[name] for name in _ERRORS}
    consistent = all(_consistent(claimed[name], certificate[name]) for name in ("rms_on_grid", "rms_off_grid"))
    if arguments.json:
        print(json.dumps({"claimed": claimed, "certified": certificate}, allow_nan=False))
    else:
        rows = [
            [
                name.replace("_", " "),
                *("-" if value is None else f"{value:.3e}" for value in (claimed[name], certificate[name])),
            ]
            for name in _ERRORS
        ]
        print(text_table(["relative to the field's RMS", "claimed, all points", "certified, sample"], rows))
        print(f"{certificate['points']} points in arithmetic of {certificate['digits']} digits")
    _require_agreement(certificate | {"agrees": certificate["agrees"] and consistent})


_ERRORS = ("rms_on_grid", "max_on_grid", "rms_off_grid", "max_off_grid")


def _consistent(claimed: float | None, certified: float | None) -> bool:
    """Whether an RMS over a hundred points can come from a field whose RMS is `claimed`: within a factor of ten."""
    if claimed is None or certified is None:
        return claimed is certified
    return certified <= 10.0 * claimed


def _require_agreement(certificate: dict[str, Any] | None) -> None:
    if certificate is not None and not certificate["agrees"]:
        raise CertificationError("certification failed: the second route does not find the errors that are claimed")


def _certified_line(certificate: dict[str, Any]) -> str:
    off = certificate["rms_off_grid"]
    off_text = "not measured" if off is None else f"{off:.2e}"
    return (
        f"Certified at {certificate['points']} points with {certificate['digits']} digits: RMS"
        f" {certificate['rms_on_grid']:.2e} on the grid, {off_text} off it."
    )


# info


def _add_info(commands: Any) -> None:
    parser = _command(commands, "info", _run_info, "describe a model file, or this installation")
    parser.add_argument("model", nargs="?", metavar="MODEL")


def _run_info(arguments: argparse.Namespace) -> None:
    if arguments.model is None:
        threads = {"host": default_threads(), "blas": blas_threads()}
        told: dict[str, Any] = {"versions": versions(), "backends": available_backends(), "threads": threads}
        if arguments.json:
            print(json.dumps(told))
            return
        rows = [[name, str(value)] for name, value in told["versions"].items()]
        print(
            text_table(
                ["what", "version"], [*rows, ["backends", ", ".join(told["backends"])], ["threads", threads_line()]]
            )
        )
        return
    model = load_model(arguments.model)
    history = model.history
    if arguments.json:
        told = {
            "grid": describe_grid(model.grid),
            "config": model.config.to_dict(),
            "versions": model.provenance,
            "off_grid": history.off_grid,
            "notes": list(history.notes),
            "rms": history.rms,
            "max": history.max,
            "seconds": history.seconds,
            "stages": [record.summary() for record in history.stages],
        }
        print(json.dumps(told, allow_nan=False))
        return
    grid = model.grid
    counts = [f"{n} points on " for n in grid.shape] if isinstance(grid, Grid) else [""] * grid.ndim
    axes = [
        f"{count}[{lo:.6g}, {hi:.6g}{')' if periodic else ']'}"
        for count, lo, hi, periodic in zip(counts, grid.lower, grid.upper, grid.periodic, strict=True)
    ]
    scattered = "" if isinstance(grid, Grid) else f"{grid.size} scattered points of "
    print(f"{arguments.model}: {len(model.stages)} stages, fitted to {scattered}{' x '.join(axes)}")
    print(f"RMS of the field {history.rms:.6g}, largest value {history.max:.6g}")
    for note in history.notes:
        print(f"note: {note}")
    print()
    print(stage_table(history))
    print(f"\nErrors are relative to the RMS of the field. {_off_grid_line(model)}\n{_BEND}\n")
    print(text_table(["made with", "version"], [[name, str(value)] for name, value in model.provenance.items()]))
    print(f"\n{model.config.to_toml()}", end="")


# examples


def _add_examples(commands: Any) -> None:
    _command(commands, "examples", _run_examples, "list the built-in problems")


def _run_examples(arguments: argparse.Namespace) -> None:
    if arguments.json:
        told = [
            {
                "name": problem.name,
                "description": problem.description,
                "default_size": problem.default_size,
                **describe_grid(problem.grid()),
            }
            for problem in PROBLEMS.values()
        ]
        print(json.dumps({"examples": told}))
        return
    rows = [
        [problem.name, " x ".join([str(problem.default_size)] * problem.box.ndim), problem.description]
        for problem in PROBLEMS.values()
    ]
    print(text_table(["name", "default size", "what it is"], rows))


# spectrum


def _add_spectrum(commands: Any) -> None:
    parser = _command(commands, "spectrum", _run_spectrum, "largest Fourier modes and E(k) of samples")
    _add_input(parser)
    parser.add_argument("--modes", type=int, default=10, metavar="N", help="how many modes to list (default 10)")
    parser.add_argument("--bins", type=int, default=200, metavar="N", help="bins of E(k) (default 200)")
    parser.add_argument("--figure", metavar="PATH", help="draw E(k), .png, .pdf or .svg")


def _run_spectrum(arguments: argparse.Namespace) -> None:
    if arguments.modes < 1 or arguments.bins < 1:
        raise ConfigError("--modes and --bins need to be at least 1")
    if arguments.figure is not None:
        from simsnn_ref.drawing import check_figure_path  # noqa: PLC0415 - an extra

        check_figure_path(arguments.figure)
    u, grid, problem = _read_input(arguments)
    assert isinstance(grid, Grid)
    samples, _ = check_samples(u(grid.points()).reshape(grid.shape) if callable(u) else u)
    check_grid(samples, grid)
    backend = NumpyBackend()
    spectrum = energy_spectrum(samples, grid, backend, arguments.bins)
    modes = fourier_modes(samples, grid, backend, min(arguments.modes, count_modes(grid)))
    if arguments.figure is not None:
        from simsnn_ref.plotting import figure_of_spectrum, save_figure  # noqa: PLC0415 - an extra

        save_figure(figure_of_spectrum(spectrum, title=problem["name"]), arguments.figure)
    told = {
        "problem": {**problem, **describe_grid(grid)},
        "n_modes": count_modes(grid),
        "dominant_frequency": dominant_frequency(samples, grid, backend),
        "modes": [
            {"index": m.tolist(), "wavenumber": k.tolist(), "amplitude": float(a), "phase": float(phase)}
            for m, k, a, phase in zip(modes.indices, modes.wavenumbers, modes.amplitudes, modes.phases, strict=True)
        ],
        "energy_spectrum": {"wavenumber": spectrum.wavenumber.tolist(), "energy": spectrum.energy.tolist()},
    }
    if arguments.json:
        print(json.dumps(told, allow_nan=False))
        return
    print(f"{told['n_modes']} real modes; dominant frequency {told['dominant_frequency']:.6g} cycles over the box\n")
    rows = [
        [", ".join(map(str, m.tolist())), f"{a:.6e}", f"{math.remainder(phase, 2.0 * math.pi):+.6f}"]
        for m, a, phase in zip(modes.indices, modes.amplitudes, modes.phases, strict=True)
    ]
    print(text_table(["mode", "amplitude", "phase"], rows))
    filled = np.flatnonzero(spectrum.energy)
    shown = filled[np.unique(np.geomspace(1, max(1, filled.size), min(20, max(1, filled.size))).astype(int) - 1)]
    rows = [[f"{spectrum.wavenumber[i]:.4g}", f"{spectrum.energy[i]:.6e}"] for i in shown] if filled.size else []
    print()
    print(text_table(["k", "E(k)"], rows))
    if len(shown) < filled.size:
        print(f"{len(shown)} of {filled.size} bins that are not empty; --json prints all")


# dns


def _add_dns(commands: Any) -> None:
    parser = _command(commands, "dns", _run_dns, "simulate 2-D decaying turbulence and save the stream function")
    parser.add_argument("--size", type=int, default=512, metavar="N", help="points per axis (default 512)")
    parser.add_argument("--reynolds", type=float, default=2000.0, metavar="RE", help="Reynolds number (default 2000)")
    parser.add_argument("--time", type=float, default=1.25, metavar="T", help="time of the snapshot (default 1.25)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial condition (default 0)")
    parser.add_argument(
        "--initial-spectrum", choices=sorted(SPECTRA), default="amplitude", help="initial condition (default amplitude)"
    )
    parser.add_argument("--cfl", type=float, default=0.5, help="CFL number of the step (default 0.5)")
    parser.add_argument("-o", "--output", metavar="PSI.npy", default="turbulence.npy", help="default turbulence.npy")


def _run_dns(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    check_writable(output, "-o")
    started = time.perf_counter()
    psi = get_problem("turbulence").samples(
        arguments.size,
        reynolds=arguments.reynolds,
        time=arguments.time,
        seed=arguments.seed,
        spectrum=arguments.initial_spectrum,
        cfl=arguments.cfl,
        callback=_simulation_lines(arguments, arguments.size),
    )
    _save_array(output, psi)
    omega = vorticity(psi)
    told = {
        "stream_function": str(output),
        "shape": list(psi.shape),
        "energy": energy(omega),
        "enstrophy": enstrophy(omega),
        "seconds": time.perf_counter() - started,
    }
    if arguments.json:
        print(json.dumps(told, allow_nan=False))
    else:
        print(
            f"{output}: psi on {psi.shape[0]} x {psi.shape[1]} points of [0, 2 pi)^2 at t = {arguments.time:g};"
            f" energy {told['energy']:.6g}, enstrophy {told['enstrophy']:.6g}; {told['seconds']:.1f} s"
        )


# reproduce


def _add_reproduce(commands: Any) -> None:
    parser = _command(commands, "reproduce", _run_reproduce, "the paper's experiments: figure, tables, every number")
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"], help="which (ntk: section 2.3, lp: section 3.3)")
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="quick",
        help="quick: a minute; laptop: minutes each on two cores; paper: its own sizes and steps (default quick)",
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="", help="instead of the experiment's own choice")
    parser.add_argument("-o", "--output", metavar="DIR", default="reproduction", help="folder (default reproduction)")


def _run_reproduce(arguments: argparse.Namespace) -> None:
    from simsnn_ref.drawing import require_matplotlib  # noqa: PLC0415 - an extra

    require_matplotlib()
    folder = Path(arguments.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"-o {folder}: cannot be made: {error.strerror}") from error
    check_writable(folder / "fig1.json", "-o")
    names = list(EXPERIMENTS) if arguments.experiment == "all" else [arguments.experiment]
    settings = Settings(arguments.size, arguments.optimizer, lambda line: print(line, file=sys.stderr, flush=True))
    told = {}
    for name in names:
        # Of all experiments, ntk alone has no optimiser to choose.
        free = name == "ntk" and arguments.experiment == "all"
        outcome = EXPERIMENTS[name](replace(settings, optimizer="") if free else settings)
        _write_outcome(outcome, folder)
        told[name] = to_dict(outcome)
        if not arguments.json:
            print(to_markdown(outcome), flush=True)
    if arguments.json:
        print(json.dumps(told, allow_nan=False))


def _write_outcome(outcome: Outcome, folder: Path) -> None:
    """NAME.md, NAME.json, NAME.png and NAME.pdf."""
    from simsnn_ref.drawing import save_figure  # noqa: PLC0415 - an extra

    try:
        (folder / f"{outcome.name}.md").write_text(to_markdown(outcome), encoding="utf-8")
        text = json.dumps(to_dict(outcome), allow_nan=False, indent=1)
        (folder / f"{outcome.name}.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"-o {folder}: cannot be written: {error.strerror}") from error
    figure = outcome.draw()
    for suffix in (".png", ".pdf"):
        save_figure(figure, folder / f"{outcome.name}{suffix}")


# verify


def _add_verify(commands: Any) -> None:
    parser = _command(commands, "verify", _run_verify, "check values, gradients and products of this installation")
    parser.add_argument("--backend", default="numpy", metavar="NAME", help="of the arrays (default numpy)")


def _run_verify(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a check fails."""
    started = time.perf_counter()
    backend = load_backend(arguments.backend)
    checks = verify(backend)
    failed = [check for check in checks if not check.passed]
    if arguments.json:
        told = {
            "backend": backend.name,
            "passed": not failed,
            "checks": [check.to_dict() for check in checks],
            "versions": versions(),
        }
        print(json.dumps(told))
        return 1 if failed else 0
    print(text_table(["check", "of", "failed", "worst case", "tensor", "off by", "allowed"], _rows_of_checks(checks)))
    for check in failed:
        print(
            f"FAILED {check.what} of {check.case}: {check.tensor}{list(check.index)} is {check.got:.17g}, expected"
            f" {check.expected:.17g} ({check.ulp:.3g} ulp); the tensor is off by {check.relative:.2e}"
        )
    without = (
        "" if importlib.util.find_spec("mpmath") else " Without mpmath, which is not installed (pip install mpmath)."
    )
    print(
        f"\n{len(checks) - len(failed)} of {len(checks)} checks passed on backend {backend.name},"
        f" {time.perf_counter() - started:.1f} s.{without}"
    )
    return 1 if failed else 0


def _rows_of_checks(checks: Sequence[Check]) -> list[list[str]]:
    """A row for each quantity: its worst case."""
    rows = []
    for what in dict.fromkeys(check.what for check in checks):
        same = [check for check in checks if check.what == what]
        # NaN is the worst of all.
        shares = [math.inf if math.isnan(check.relative) else check.relative / check.tolerance for check in same]
        worst = same[shares.index(max(shares))]
        failed = sum(not check.passed for check in same)
        rows.append(
            [
                what,
                str(len(same)),
                str(failed),
                worst.case,
                worst.tensor,
                f"{worst.relative:.1e}",
                f"{worst.tolerance:.0e}",
            ]
        )
    return rows


# reference


def _add_reference(commands: Any) -> None:
    text = "reference cases for implementations in other languages"
    parser: argparse.ArgumentParser = commands.add_parser("reference", help=text, description=text, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    write = _command(actions, "export", _run_export, "write the cases to a folder")
    write.add_argument("folder", metavar="DIR")
    write.add_argument("--set", choices=list(reference.SETS), default="small", help="how many (default small)")
    judge = _command(actions, "check", _run_check, "compare a candidate's tensors with them")
    judge.add_argument("folder", metavar="DIR", help="of the reference")
    judge.add_argument("candidate", metavar="CANDIDATE", help="folder with CASE.safetensors or CASE.npz")
    judge.add_argument(
        "--tolerance",
        type=float,
        default=1e-13,
        metavar="X",
        help="of a tensor, relative to its 2-norm (default 1e-13)",
    )


def _run_export(arguments: argparse.Namespace) -> None:
    names = reference.export(arguments.folder, arguments.set, lambda name: print(name, file=sys.stderr, flush=True))
    if arguments.json:
        print(json.dumps({"folder": arguments.folder, "cases": names}))
    else:
        print(f"{arguments.folder}: {len(names)} cases and manifest.json")


def _run_check(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a tensor is off."""
    if not 0.0 < arguments.tolerance < 1.0:
        raise ConfigError(f"--tolerance {arguments.tolerance:g}: needs a number between 0 and 1")
    try:
        checks = reference.check(arguments.folder, arguments.candidate, arguments.tolerance)
    except ModelFileError as error:
        for line in str(error).splitlines():
            print(f"simsnn: error: {line}", file=sys.stderr)
        return 2
    failed = [entry for entry in checks if not entry.passed]
    if arguments.json:
        print(json.dumps({"passed": not failed, "checks": [entry.to_dict() for entry in checks]}))
        return 1 if failed else 0
    rows = [
        [entry.case, entry.tensor, f"{entry.ulp:.3g}", f"{entry.relative:.1e}", "ok" if entry.passed else "WRONG"]
        for entry in checks
    ]
    print(text_table(["case", "tensor", "ulp", "off by", ""], rows))
    if failed:
        first = failed[0]
        print(
            f"\n{len(failed)} of {len(checks)} tensors are wrong. The first, from the forward pass down: {first.tensor}"
            f" of {first.case}, at {list(first.index)}: {first.got:.17g}, expected {first.expected:.17g}"
        )
    else:
        close = sum(entry.relative <= arguments.tolerance for entry in checks)
        cancel = len(checks) - close
        rest = f", {cancel} whose terms cancel to 30 times their sensitivity" if cancel else ""
        print(f"\nAll {len(checks)} tensors are right: {close} to {arguments.tolerance:g} of their 2-norms{rest}.")
    return 1 if failed else 0
