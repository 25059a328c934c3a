"""``simsnn resume``: an interrupted fit, from its last checkpoint on."""

import argparse
import time
from pathlib import Path
from typing import Any

from simsnn_ref.backend import load_backend
from simsnn_ref.commands.base import add_force, command
from simsnn_ref.commands.finish import About, add_cadence, figure_path, finish, make_checkpoints, together
from simsnn_ref.errors import CheckpointError
from simsnn_ref.io import check_writable
from simsnn_ref.model import Callback, Checkpoints, reading_states, unpack_grid
from simsnn_ref.multistage import resume
from simsnn_ref.problems import get_problem
from simsnn_ref.report import make_progress

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "resume", _run_resume, "go on with an interrupted fit; the model is the same to the bit")
    parser.add_argument("folder", metavar="DIR", help="folder that simsnn fit --checkpoint was given")
    parser.add_argument("-o", "--output", metavar="MODEL", help="model file (default: that of simsnn fit)")
    parser.add_argument("--figure", metavar="PATH", help="figure, .png, .pdf or .svg (default: that of simsnn fit)")
    parser.add_argument("--no-figure", action="store_true", help="write no figure")
    add_force(parser)
    parser.add_argument("--backend", metavar="NAME", help="array library (default: that of simsnn fit)")
    add_cadence(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _run_resume(arguments: argparse.Namespace) -> None:
    if not Path(arguments.folder).is_dir():
        raise CheckpointError(f"{arguments.folder}: no such folder; simsnn fit --checkpoint DIR makes one")
    started = time.perf_counter()
    checkpoints = make_checkpoints(arguments.folder, arguments)
    data, arrays = checkpoints.data
    with reading_states(checkpoints.folder):
        backend = load_backend(arguments.backend or data["config"]["backend"])
    function = None if "values" in arrays else get_problem(checkpoints.about.get("example") or "").target
    with together(backend.processes) as is_root:
        if not is_root:
            resume(checkpoints, function, backend=backend)
            return
        about = _about(checkpoints, arguments)
        check_writable(about.output, "-o", about.force)
        callbacks = [Callback() if arguments.quiet else make_progress()]
        finish(
            lambda: resume(checkpoints, function, callbacks=callbacks, backend=backend),
            arrays.get("values", function),
            unpack_grid(data["grid"], arrays),
            about,
            started,
            as_json=arguments.json,
        )


def _about(checkpoints: Checkpoints, arguments: argparse.Namespace) -> About:
    kept = checkpoints.about
    if not kept:
        raise CheckpointError(
            f"{checkpoints.folder}: was written by a Python program; go on in Python, by simsnn_ref.resume"
        )
    output = Path(arguments.output or kept["output"])
    # Checkpoints from before there was the option say nothing of it.
    force = arguments.force or (bool(kept.get("force")) and not (arguments.output or arguments.figure))
    figure = None
    if not arguments.no_figure and (arguments.figure or kept["figure"]):
        figure = figure_path(arguments.figure or kept["figure"], output, force)
    return About(kept["problem"], kept["example"], kept["notes"], output, figure, force)
