"""A parser with one-line errors, and the options that all commands have."""

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NoReturn

from simsnn_ref.backend import THREADS_VARIABLE

__all__ = ["Parser", "add_force", "command"]

_TRUTH = ("true", "false", "yes", "no", "on", "off", "0", "1")
"""Words that are no input, where a flag is on or off by itself."""


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and name a flag that was given a value: argparse would take it for the input."""
        words = list(sys.argv[1:] if args is None else args)
        flags = {flag for action in self._actions if action.nargs == 0 for flag in action.option_strings}
        for flag, value in pairwise([*words, ""]):
            name, equals, given = flag.partition("=")
            given = given if equals else value
            if name in flags and (equals or given.lower() in _TRUTH):
                off = f"--no-{name.removeprefix('--')}"
                either = f"{name} or {off}" if off in flags else f"{name}, or leave it out"
                self.error(f"{name} {given}: {name} takes no value; give {either}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        self.exit(2, f"simsnn: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    """A subcommand with ``--json`` and ``--threads``; `run` returns its exit status, None for 0."""
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


def add_force(parser: Any) -> None:
    """Add the option without which no file is replaced."""
    parser.add_argument("--force", action="store_true", help="replace files that exist; without it they are an error")
