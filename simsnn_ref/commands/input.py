"""The input of several commands: samples in a file, points with values, or a built-in problem."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import ConfigError
from simsnn_ref.io import (
    GAPS,
    TABLE_SUFFIXES,
    SampledField,
    check_samples,
    check_scattered,
    load_samples,
    read_field,
    read_scattered,
)
from simsnn_ref.problems import PROBLEMS, SPECTRA, Problem, get_problem
from simsnn_ref.report import SimulationLines
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = ["add_input", "add_values", "read_input", "simulation_lines"]


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the options that name samples or a built-in problem."""
    data = parser.add_argument_group("input")
    data.add_argument(
        "input",
        nargs="?",
        metavar="INPUT.npy",
        help="samples on a uniform grid in 1, 2 or 3 dimensions; also .npz, and with the extra io .nc, .h5 and .zarr;"
        " or a table of points, .csv, with the values in the last column",
    )
    data.add_argument("--var", metavar="NAME", help="INPUT: the variable, where the file holds several")
    data.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="DIM=VALUE",
        help="INPUT: place along a dimension that is not part of the field, by its coordinate; may be repeated",
    )
    data.add_argument("--isel", action="append", default=[], metavar="DIM=INDEX", help="INPUT: the same by number")
    data.add_argument("--example", metavar="NAME", help=f"a built-in problem: {', '.join(PROBLEMS)}")
    data.add_argument("--size", type=int, metavar="N", help="samples per axis of the example")
    data.add_argument("--reynolds", type=float, metavar="RE", help="turbulence: Reynolds number (default 2000)")
    data.add_argument(
        "--time",
        type=float,
        metavar="T",
        help="turbulence: time of the snapshot (default 1.25); INPUT: short for --select time=T, in the file's units",
    )
    data.add_argument("--field-seed", type=int, metavar="SEED", help="turbulence: seed of the flow (default 0)")
    data.add_argument(
        "--initial-spectrum", choices=sorted(SPECTRA), help="turbulence: initial condition (default amplitude)"
    )
    data.add_argument(
        "--box",
        type=float,
        nargs="+",
        metavar="X",
        help="INPUT: lower and upper bound of each axis, e.g. 0 6.2832 0 6.2832 (default: from the file's coordinates,"
        " or -1 1 for each)",
    )
    data.add_argument(
        "--periodic",
        metavar="true|false|auto[,...]",
        default=None,
        help="INPUT: whether the samples are periodic with the end left out, for all axes or one by one (default auto:"
        " longitudes that go round are, other coordinates are not, and without coordinates the samples say it)",
    )
    data.add_argument(
        "--gaps",
        choices=GAPS,
        help="INPUT: what is done about values that are masked or NaN; fit (default): on a grid they are filled by the"
        " smoothest continuation of the others, points without a value are left out",
    )


_PROBLEM_OPTIONS = {
    "reynolds": "reynolds",
    "time": "time",
    "field_seed": "seed",
    "initial_spectrum": "spectrum",
}


def add_values(parser: argparse.ArgumentParser) -> None:
    """Add the options for values at scattered points."""
    parser.add_argument(
        "--coords",
        metavar="NAME[,...]",
        help="INPUT holds values (n,) at scattered points, and their coordinates in the variables of these names",
    )
    parser.add_argument(
        "--values",
        metavar="VALUES.npy",
        help="values (n,) at scattered points: INPUT.npy then holds the points (n, d), --box defaults to their bounding"
        " box and --periodic to false",
    )


def read_input(arguments: argparse.Namespace, quiet: bool = False) -> tuple[Any, Grid | Scatter, dict[str, Any]]:
    """Samples or function, grid or points, and a description of the problem for the report, with notes on the input."""
    if arguments.input is None and arguments.example is None:
        raise ConfigError("give INPUT.npy or --example NAME")
    if arguments.input is not None and arguments.example is not None:
        raise ConfigError(f"INPUT {arguments.input} and --example {arguments.example}: give one of them")
    given = {
        theirs: getattr(arguments, ours)
        for ours, theirs in _PROBLEM_OPTIONS.items()
        if getattr(arguments, ours) is not None
    }
    if arguments.example is not None:
        for name in ("box", "periodic", "values", "var", "select", "isel", "coords", "gaps"):
            if getattr(arguments, name, None) not in (None, []):
                raise ConfigError(f"--{name} describes INPUT.npy; example {arguments.example!r} has its own")
        return _read_example(arguments, given, quiet)
    for name in ("size", *_PROBLEM_OPTIONS):
        if getattr(arguments, name) is not None and name != "time":
            raise ConfigError(f"--{name.replace('_', '-')} belongs to --example, not to INPUT.npy")
    read = _read_input(arguments)
    if not quiet:
        for note in read.notes:
            print(f"note: {note}", file=sys.stderr)
    return read.values, read.where, {"name": arguments.input, "notes": read.notes, "field": read.info}


def _read_example(
    arguments: argparse.Namespace, given: dict[str, Any], quiet: bool
) -> tuple[Any, Grid, dict[str, Any]]:
    problem: Problem = get_problem(arguments.example)
    for theirs in given:
        if theirs not in problem.options:
            ours = next(name for name, other in _PROBLEM_OPTIONS.items() if other == theirs)
            raise ConfigError(f"--{ours.replace('_', '-')}: example {problem.name!r} has no such option")
    grid = problem.grid(arguments.size)
    about = {"name": problem.name, "description": problem.description, **given}
    if problem.target is not None:
        check_samples(np.zeros(grid.shape), "--size")
        return problem.target, grid, about
    samples = problem.samples(arguments.size, callback=simulation_lines(arguments, grid.shape[0], quiet), **given)
    return samples, grid, about


def simulation_lines(arguments: argparse.Namespace, n: int, quiet: bool = False) -> SimulationLines | None:
    """The progress lines of a simulation; None where `quiet`."""
    end_time = 1.25 if arguments.time is None else arguments.time
    return None if quiet else SimulationLines(f"turbulence on {n} x {n} points", end_time)


def _read_input(arguments: argparse.Namespace) -> SampledField:
    """The field or the scattered values in INPUT."""
    values: str | None = getattr(arguments, "values", None)
    coords: str | None = getattr(arguments, "coords", None)
    select = {} if arguments.time is None else {"time": arguments.time}
    select |= _by_dimension(arguments.select, "--select", str)
    isel = _by_dimension(arguments.isel, "--isel", int)
    gaps = arguments.gaps or GAPS[0]
    is_table = Path(arguments.input).suffix.lower() in TABLE_SUFFIXES
    if values is None and coords is None and not is_table:
        periodic, box = _domain(arguments, None, "auto")
        return read_field(
            arguments.input, arguments.var, select=select, isel=isel, box=box, periodic=periodic, gaps=gaps
        )
    if select or isel or (values is not None and (coords or arguments.var)):
        raise ConfigError("--values: takes no --coords or --var, and scattered points no --select, --isel or --time")
    if values is None:
        names = None if coords is None else [name.strip() for name in coords.split(",")]
        periodic, box = _domain(arguments, None if names is None else len(names), "false")
        return read_scattered(arguments.input, arguments.var, names, box=box, periodic=periodic, gaps=gaps)
    points = load_samples(arguments.input)
    periodic, box = _domain(arguments, 1 if points.ndim < 2 else points.shape[1], "false")
    samples, scatter, notes = check_scattered(load_samples(values), Scatter(points, box, periodic), values, gaps=gaps)
    return SampledField(samples, scatter, None, notes)


def _by_dimension(words: list[str], flag: str, kind: type) -> dict[str, Any]:
    """Values by dimension from words DIM=VALUE."""
    chosen = {}
    for word in words:
        dim, equals, value = word.partition("=")
        if not (dim and equals and value):
            raise ConfigError(f"{flag} {word}: give DIM={'INDEX' if kind is int else 'VALUE'}")
        try:
            chosen[dim] = kind(value)
        except ValueError:
            raise ConfigError(f"{flag} {word}: {value!r} is not a whole number") from None
    return chosen


def _domain(arguments: argparse.Namespace, ndim: int | None, default: str) -> tuple[Any, Box | None]:
    """Periodicity and box from --periodic and --box; where `ndim` is None, the reader of INPUT checks their number."""
    meanings = {"true": True, "false": False} | ({"auto": None} if default == "auto" else {})
    words = (arguments.periodic or default).lower().split(",")
    if any(word not in meanings for word in words) or len(words) not in (1, ndim or len(words)):
        axes = f"of {ndim} axes" if ndim else "axis"
        *others, last = meanings
        raise ConfigError(
            f"--periodic {arguments.periodic}: give {', '.join(others)} or {last}, once or for each {axes}"
        )
    periodic = tuple(meanings[word] for word in words)
    if arguments.box is None:
        return periodic, None
    if len(arguments.box) != 2 * (ndim or max(len(arguments.box) // 2, 1)):
        text = f"{ndim} axes need {2 * ndim} numbers" if ndim else "every axis needs two numbers"
        raise ConfigError(f"--box: {text}, got {len(arguments.box)}")
    return periodic, Box(tuple(arguments.box[0::2]), tuple(arguments.box[1::2]))
