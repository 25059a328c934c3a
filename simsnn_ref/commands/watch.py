"""``simsnn watch``: what a run with checkpoints does, or did."""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from simsnn_ref.commands.base import command
from simsnn_ref.errors import ConfigError
from simsnn_ref.report import Run

__all__ = ["add"]

CLEAR = "\x1b[H\x1b[J"
"""To the upper left corner, and clear from there."""


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "watch", _run_watch, "show what a run with checkpoints does, without disturbing it")
    parser.add_argument("folder", metavar="DIR", help="given to simsnn fit --checkpoint")
    parser.add_argument("--follow", action="store_true", help="go on until the run ends; Ctrl-C ends only this command")
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="--follow: seconds between (default 2)"
    )
    parser.add_argument("--figure", metavar="PATH", help="RMS and loss over steps and time, .png, .pdf or .svg")


def _run_watch(arguments: argparse.Namespace) -> None:
    if not 0.0 < arguments.interval < math.inf:
        raise ConfigError(f"--interval {arguments.interval:g}: needs seconds above 0")
    if arguments.figure is not None:
        from simsnn_ref.report.drawing import check_figure_path, require_matplotlib  # noqa: PLC0415 - an extra

        require_matplotlib()
        check_figure_path(arguments.figure)
    run = Run(Path(arguments.folder))
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


def _write_figure(run: Run, path: str) -> None:
    from simsnn_ref.report import figure_of_run  # noqa: PLC0415 - an extra
    from simsnn_ref.report.drawing import save_figure  # noqa: PLC0415 - an extra

    save_figure(figure_of_run(run), path)


class _Screen:
    """All of it, each time in the place of the last."""

    def __init__(self, *, clear: bool) -> None:
        self.clear = clear

    def __call__(self, run: Run) -> None:
        print(CLEAR if self.clear else "", *(f"{line}\n" for line in run.lines()), sep="", end="", flush=True)


class _Lines:
    """What is new, a line each."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def __call__(self, run: Run) -> None:
        ended = [
            f"stage {record.index} done in {record.seconds:.1f} s: RMS {record.rms_on_grid:.2e} on the grid;"
            f" {record.stopped_because}"
            for record in run.records
        ]
        now = []
        if run.stage is not None:
            index, n_stages, description = run.stage
            now = [f"stage {index} of {n_stages}: {description}"]
            now += [f"  stage {index} step {line}" for line in [run.step_line()] if line]
        now += [] if run.activity is None else [f"  {run.activity} ..."]
        state = f"run {run.state}{': ' if run.reason else ''}{run.reason}"
        for line in [*(f"note: {note}" for note in run.notes), *ended, *now, state]:
            if line not in self.told:
                self.told.add(line)
                print(line, flush=True)
