"""A parser with one-line errors, and the options that all commands have."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from simsnn_ref.backend import THREADS_VARIABLE

__all__ = ["Parser", "command"]


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors."""

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
