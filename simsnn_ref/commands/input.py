"""What several commands read: samples in a file, points with values, or a built-in problem."""

import argparse
import sys
from typing import Any

import numpy as np

from simsnn_ref.data import check_samples, load_samples
from simsnn_ref.errors import ConfigError
from simsnn_ref.grid import Box, Grid
from simsnn_ref.problems import PROBLEMS, Problem, get_problem
from simsnn_ref.problems.turbulence import SPECTRA
from simsnn_ref.progress import SimulationLines
from simsnn_ref.scatter import Scatter

__all__ = ["add_input", "add_values", "read_input", "simulation_lines"]


def add_input(parser: argparse.ArgumentParser) -> None:
    """Options that name samples or a built-in problem."""
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


def add_values(parser: argparse.ArgumentParser) -> None:
    """The option that makes INPUT.npy scattered points."""
    parser.add_argument(
        "--values",
        metavar="VALUES.npy",
        help="values (n,) at scattered points: INPUT.npy then holds the points (n, d), --box defaults to their bounding"
        " box and --periodic to false",
    )


def read_input(arguments: argparse.Namespace, quiet: bool = False) -> tuple[Any, Grid | Scatter, dict[str, Any]]:
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
    samples = problem.samples(arguments.size, callback=simulation_lines(arguments, grid.shape[0], quiet), **given)
    return samples, grid, told


def simulation_lines(arguments: argparse.Namespace, n: int, quiet: bool = False) -> SimulationLines | None:
    """The progress of a simulation; None for none."""
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
