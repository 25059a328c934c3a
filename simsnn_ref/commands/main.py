"""The command ``simsnn``.

Results go to stdout, progress and notes to stderr. Bad input is one line on stderr and exit status 2.
"""

import os
import sys
from collections.abc import Sequence

from simsnn_ref.backend import THREADS_VARIABLE
from simsnn_ref.commands import (
    certify,
    dns,
    doctor,
    examples,
    fit,
    info,
    predict,
    reference,
    report,
    reproduce,
    resume,
    spectrum,
    verify,
    watch,
)
from simsnn_ref.commands.base import Parser
from simsnn_ref.errors import CertificationError, ConfigError, DivergenceError, Interrupted, SimsnnError
from simsnn_ref.io import package_version

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    *(fit, resume, watch, report, predict, certify, info, examples),
    *(spectrum, dns, reproduce, verify, reference, doctor),
)
"""In the order that ``simsnn --help`` lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's own by default) and return its exit status."""
    arguments = _build_parser().parse_args(argv)
    try:
        _set_threads(arguments.threads)
        status: int | None = arguments.run(arguments)
    except Interrupted as interruption:
        print(f"simsnn: {interruption}", file=sys.stderr)
        return 128 + interruption.signal
    except (CertificationError, DivergenceError, MemoryError) as error:
        # Libraries say how much they could not have, Python itself says nothing.
        print(f"simsnn: error: {str(error) or 'out of memory'}", file=sys.stderr)
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


def _build_parser() -> Parser:
    parser = Parser(prog="simsnn", description="Fit sampled fields to machine precision, stage by stage (SI-MSNN).")
    parser.add_argument("--version", action="version", version=f"simsnn {package_version()}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(subparsers)
    return parser
