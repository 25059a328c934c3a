"""``simsnn fit``: from samples, points or a built-in problem to a model file, a figure and a table."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simsnn_ref.backend import Backend, load_backend
from simsnn_ref.commands.base import add_force, command
from simsnn_ref.commands.finish import About, add_cadence, figure_path, finish, make_checkpoints, together
from simsnn_ref.commands.forecast import LongFitLines, print_forecast
from simsnn_ref.commands.input import add_input, add_values, read_input
from simsnn_ref.io import check_writable
from simsnn_ref.model import OPTIONS, Callback, FitConfig, Option, config_from_toml, shown, zero_to_none
from simsnn_ref.multistage import fit, forecast
from simsnn_ref.problems import get_problem
from simsnn_ref.report import make_progress
from simsnn_ref.spectrum import Grid, Scatter

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
    add_force(output)
    output.add_argument(
        "--dry-run",
        action="store_true",
        help="print the method, the memory and the time that the fit would take, and exit",
    )
    output.add_argument("--quiet", action="store_true", help="no progress on stderr")
    keep = parser.add_argument_group("checkpoints", "go on with an interrupted fit by: simsnn resume DIR")
    keep.add_argument(
        "--checkpoint", metavar="DIR", help="folder for checkpoints, written at the end of each stage and in between"
    )
    add_cadence(keep)
    options = parser.add_argument_group(
        "options of the fit",
        "in groups, as in the tables of --config, over which they take precedence; auto, and 0 for all but --steps,"
        " leaves an option to the fit where its default is auto",
    )
    options.add_argument("--config", metavar="FILE.toml", help="read options from a file")
    options.add_argument("--print-config", action="store_true", help="print the options as TOML and exit")
    groups = {"": options}
    for option in OPTIONS.values():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(f"options of the fit: [{option.group}]")
        _add_option(groups[option.group], option)


def _add_option(group: Any, option: Option) -> None:
    flag = f"--{option.name.replace('_', '-')}"
    help_text = option.help.replace("%", "%%")
    if option.kind is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_text)
        return
    parse = _or_auto(option.kind) if option.auto else option.kind
    auto = "|auto" if option.auto and not option.choices else ""
    metavar = "|".join(option.choices) or option.kind.__name__.upper()
    if not option.is_tuple:
        metavar += auto
    else:
        # Whether an entry, or only all of the tuple, may be left to the fit.
        metavar += f"{auto}[,...]" if option.entry_type is not option.kind else f"[,...]{auto}"
    group.add_argument(
        flag,
        type=_comma_separated(parse) if option.is_tuple else parse,
        default=argparse.SUPPRESS,
        metavar=metavar,
        help=f"{help_text} (default {shown(option.default)})",
    )


def _or_auto(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text == "auto" else kind(text)

    parse.__name__ = kind.__name__
    return parse


def _comma_separated(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        entries = tuple(kind(part.strip()) for part in text.split(","))
        return None if entries == (None,) else entries

    parse.__name__ = f"comma-separated {kind.__name__}"
    return parse


def _config(arguments: argparse.Namespace) -> FitConfig:
    given = zero_to_none({name: value for name, value in vars(arguments).items() if name in OPTIONS})
    return FitConfig.of(**given) if arguments.config is None else config_from_toml(arguments.config, **given)


def _run_fit(arguments: argparse.Namespace) -> None:
    started = time.perf_counter()
    config = _config(arguments)
    if arguments.print_config:
        print(config.to_toml(), end="")
        return
    if arguments.dry_run:
        grid, is_function = _size_of_input(arguments)
        print_forecast(grid, config, is_function=is_function, checkpoint=arguments.checkpoint, as_json=arguments.json)
        return
    backend = load_backend(config.run.backend)
    with together(backend.processes) as is_root:
        if is_root:
            _fit_and_finish(arguments, config, backend, started)
        else:
            u, grid, _ = read_input(arguments, quiet=True)
            fit(u, grid, config, backend=backend, checkpoint=arguments.checkpoint)


def _fit_and_finish(arguments: argparse.Namespace, config: FitConfig, backend: Backend, started: float) -> None:
    output = Path(arguments.output or _default_name(arguments))
    figure = None if arguments.no_figure else figure_path(arguments.figure, output, arguments.force)
    check_writable(output, "-o", arguments.force)
    u, grid, problem = read_input(arguments, arguments.quiet)
    field = problem.pop("field", None)
    problem["field"] = None if field is None else field.to_dict()
    about = About(problem, arguments.example, problem.pop("notes", []), output, figure, arguments.force)
    callbacks: list[Callback] = []
    if not arguments.quiet:
        expected = forecast(grid, config, is_function=callable(u))
        callbacks = [LongFitLines(expected, config, arguments.checkpoint), make_progress()]
    checkpoints = None
    if arguments.checkpoint is not None:
        checkpoints = make_checkpoints(arguments.checkpoint, arguments, about)
    finish(
        lambda: fit(u, grid, config, callbacks=callbacks, backend=backend, checkpoint=checkpoints, field=field),
        u,
        grid,
        about,
        started,
        as_json=arguments.json,
    )


def _size_of_input(arguments: argparse.Namespace) -> tuple[Grid | Scatter, bool]:
    """Where the samples are, and whether they are a function's: nothing is simulated or evaluated for it."""
    if arguments.example is None:
        _, grid, _ = read_input(arguments, quiet=True)
        return grid, False
    problem = get_problem(arguments.example)
    return problem.grid(arguments.size), problem.target is not None


def _default_name(arguments: argparse.Namespace) -> str:
    stem = arguments.example or (Path(arguments.input).stem if arguments.input else "model")
    return f"{stem}{MODEL_SUFFIX}"
