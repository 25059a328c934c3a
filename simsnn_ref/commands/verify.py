"""``simsnn verify``: values, gradients and products of this installation against accurate independent evaluations."""

import argparse
import importlib.util
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from simsnn_ref.backend import load_backend
from simsnn_ref.commands.base import command
from simsnn_ref.io import versions
from simsnn_ref.report import table_with_legend
from simsnn_ref.verify import Comparison, verify

__all__ = ["add"]

COLUMNS = {
    "check": "quantity that is compared with an accurate independent evaluation of it",
    "cases": "number of networks, grids or methods for which it was compared",
    "failed": "number of cases in which the error was larger than allowed",
    "worst case": "case with the largest error for what is allowed: first layer, map of the features, grid, depth, p",
    "tensor": "array of the worst case in which the error is largest",
    "error": "2-norm of the difference over the 2-norm of the array",
    "allowed": "largest error that passes",
}


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "verify", _run_verify, "check values, gradients and products of this installation")
    parser.add_argument("--backend", default="numpy", metavar="NAME[:DEVICE]", help="array library (default numpy)")


def _run_verify(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a check fails."""
    started = time.perf_counter()
    backend = load_backend(arguments.backend)
    checks = verify(backend)
    failed = [check for check in checks if not check.passed]
    if arguments.json:
        result = {
            "backend": backend.name,
            "device": str(backend.device),
            "passed": not failed,
            "checks": [check.to_dict() for check in checks],
            "versions": versions(),
        }
        print(json.dumps(result))
        return 1 if failed else 0
    print(table_with_legend(COLUMNS, _rows_of_checks(checks)))
    print()
    for check in failed:
        print(
            f"FAILED {check.what} of {check.case}: {check.tensor}{list(check.index)} is {check.got:.17g}, expected"
            f" {check.expected:.17g} ({check.ulp:.3g} ulp); error of the tensor {check.relative:.2e}"
        )
    without = "" if importlib.util.find_spec("mpmath") else " Checks with mpmath were left out: pip install mpmath."
    print(
        f"{len(checks) - len(failed)} of {len(checks)} checks passed on backend {backend.name} ({backend.device}),"
        f" {time.perf_counter() - started:.1f} s.{without}"
    )
    return 1 if failed else 0


def _rows_of_checks(checks: Sequence[Comparison]) -> list[list[str]]:
    """A row for each quantity: its worst case."""
    rows = []
    for what in dict.fromkeys(check.what for check in checks):
        same = [check for check in checks if check.what == what]
        # NaN is the worst of all.
        shares = [math.inf if math.isnan(check.relative) else check.relative / check.tolerance for check in same]
        worst = same[shares.index(max(shares))]
        failed = sum(not check.passed for check in same)
        rows.append(
            [
                what,
                str(len(same)),
                str(failed),
                worst.case,
                worst.tensor,
                f"{worst.relative:.1e}",
                f"{worst.tolerance:.0e}",
            ]
        )
    return rows
