"""``simsnn watch``: the status of a run with checkpoints."""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from simsnn_ref.commands.base import add_force, command
from simsnn_ref.errors import ConfigError
from simsnn_ref.report import (
    RunStatus,
    check_figure_path,
    event_lines,
    figure_of_run,
    require_matplotlib,
    save_figure,
    status_lines,
)

__all__ = ["add"]

CLEAR = "\x1b[H\x1b[J"
"""Control sequence: to the upper left corner, and clear the screen from there."""


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "watch", _run_watch, "show the status of a run with checkpoints, without disturbing it")
    parser.add_argument("folder", metavar="DIR", help="folder that simsnn fit --checkpoint was given")
    parser.add_argument(
        "--follow", action="store_true", help="update until the run ends; Ctrl-C ends only this command"
    )
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="--follow: seconds between updates (default 2)"
    )
    parser.add_argument("--figure", metavar="PATH", help="draw RMS and loss over steps and time, .png, .pdf or .svg")
    add_force(parser)


def _run_watch(arguments: argparse.Namespace) -> None:
    if not 0.0 < arguments.interval < math.inf:
        raise ConfigError(f"--interval {arguments.interval:g}: needs seconds above 0")
    if arguments.figure is not None:
        require_matplotlib()
        check_figure_path(arguments.figure, arguments.force)
    run = RunStatus(Path(arguments.folder))
    show = _Lines() if arguments.follow and not sys.stdout.isatty() else _Screen(clear=arguments.follow)
    try:
        while True:
            if arguments.json:
                print(json.dumps(run.to_dict(), allow_nan=False), flush=True)
            else:
                show(run)
            if arguments.figure is not None:
                _write_figure(run, arguments.figure)
            if not arguments.follow or run.state != "running":
                return
            time.sleep(arguments.interval)
            run.read()
    except KeyboardInterrupt:
        return


def _write_figure(run: RunStatus, path: str) -> None:
    save_figure(figure_of_run(run), path)


class _Screen:
    """The whole status, each time in the place of the last one."""

    def __init__(self, *, clear: bool) -> None:
        self.clear = clear

    def __call__(self, run: RunStatus) -> None:
        print(CLEAR if self.clear else "", *(f"{line}\n" for line in status_lines(run)), sep="", end="", flush=True)


class _Lines:
    """Lines that have not been printed before."""

    def __init__(self) -> None:
        self.printed: set[str] = set()

    def __call__(self, run: RunStatus) -> None:
        for line in event_lines(run):
            if line not in self.printed:
                self.printed.add(line)
                print(line, flush=True)
