"""``simsnn reproduce``: the paper's experiments."""

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from simsnn_ref.commands.base import add_force, command
from simsnn_ref.errors import Interrupted, OutputError
from simsnn_ref.experiments import EXPERIMENTS, SIZES, Outcome, Settings, to_dict, to_markdown
from simsnn_ref.io import check_writable
from simsnn_ref.model import OPTIMIZERS
from simsnn_ref.report import require_matplotlib, save_figure

__all__ = ["add"]

SUFFIXES = (".md", ".json", ".png", ".pdf")
"""Endings of the files of an experiment."""


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "reproduce", _run_reproduce, "run the paper's experiments: figure, tables, every number")
    parser.add_argument(
        "experiment",
        choices=[*EXPERIMENTS, "all"],
        help="figure of the paper, or a study (ntk: section 2.3, lp: section 3.3, logcos: one dimension)",
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="quick",
        help="quick: about a minute; laptop: minutes each on two cores; hours: the paper's method and number of steps,"
        " on smaller grids; paper: its own sizes (default quick)",
    )
    parser.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="", help="training method, in place of the experiment's own"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="reproduction", help="folder for the results (default reproduction)"
    )
    add_force(parser)


def _run_reproduce(arguments: argparse.Namespace) -> None:
    require_matplotlib()
    folder = Path(arguments.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"-o {folder}: cannot be made: {error.strerror}") from error
    names = list(EXPERIMENTS) if arguments.experiment == "all" else [arguments.experiment]
    for name in names:
        for suffix in SUFFIXES:
            check_writable(folder / f"{name}{suffix}", "-o", arguments.force)
    # A run of more than a minute is worth resuming.
    checkpoints = None if arguments.size == "quick" else folder / "checkpoints"
    settings = Settings(
        arguments.size, arguments.optimizer, lambda line: print(line, file=sys.stderr, flush=True), checkpoints
    )
    results: dict[str, Any] = {}
    for name in names:
        # ntk is the one experiment that has no optimiser to choose.
        free = name == "ntk" and arguments.experiment == "all"
        try:
            outcome = EXPERIMENTS[name](replace(settings, optimizer="") if free else settings)
        except Interrupted as stop:
            text = f"stopped by {signal.Signals(stop.signal).name} after saving its state; go on with the same command"
            if results and not arguments.force:
                text += " and --force"
            raise Interrupted(text, stop.signal) from stop
        _write_outcome(outcome, folder)
        results[name] = to_dict(outcome)
        if not arguments.json:
            print(to_markdown(outcome), flush=True)
    if arguments.json:
        print(json.dumps(results, allow_nan=False))


def _write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write NAME.md, NAME.json, NAME.png and NAME.pdf."""
    try:
        (folder / f"{outcome.name}.md").write_text(to_markdown(outcome), encoding="utf-8")
        text = json.dumps(to_dict(outcome), allow_nan=False, indent=1)
        (folder / f"{outcome.name}.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"-o {folder}: cannot be written: {error.strerror}") from error
    figure = outcome.draw()
    for suffix in (".png", ".pdf"):
        save_figure(figure, folder / f"{outcome.name}{suffix}")
