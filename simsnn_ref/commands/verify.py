"""``simsnn verify``: values, gradients and products of this installation against exact routes."""

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
from simsnn_ref.report import text_table
from simsnn_ref.verify import Comparison, verify

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "verify", _run_verify, "check values, gradients and products of this installation")
    parser.add_argument("--backend", default="numpy", metavar="NAME[:DEVICE]", help="of the arrays (default numpy)")


def _run_verify(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a check fails."""
    started = time.perf_counter()
    backend = load_backend(arguments.backend)
    checks = verify(backend)
    failed = [check for check in checks if not check.passed]
    if arguments.json:
        told = {
            "backend": backend.name,
            "device": str(backend.device),
            "passed": not failed,
            "checks": [check.to_dict() for check in checks],
            "versions": versions(),
        }
        print(json.dumps(told))
        return 1 if failed else 0
    print(text_table(["check", "of", "failed", "worst case", "tensor", "off by", "allowed"], _rows_of_checks(checks)))
    for check in failed:
        print(
            f"FAILED {check.what} of {check.case}: {check.tensor}{list(check.index)} is {check.got:.17g}, expected"
            f" {check.expected:.17g} ({check.ulp:.3g} ulp); the tensor is off by {check.relative:.2e}"
        )
    without = (
        "" if importlib.util.find_spec("mpmath") else " Without mpmath, which is not installed (pip install mpmath)."
    )
    print(
        f"\n{len(checks) - len(failed)} of {len(checks)} checks passed on backend {backend.name} ({backend.device}),"
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
