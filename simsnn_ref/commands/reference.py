"""``simsnn reference``: cases for implementations in other languages, and the comparison with theirs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from simsnn_ref.commands.base import Parser, add_force, command
from simsnn_ref.errors import ConfigError, ModelFileError
from simsnn_ref.io import check_absent
from simsnn_ref.report import table_with_legend
from simsnn_ref.verify import reference

__all__ = ["add"]

COLUMNS = {
    "case": "name of the reference case",
    "tensor": "what is compared, from the forward pass down",
    "ulp": "largest error of a number, in units of its last place",
    "error": "2-norm of the difference over the 2-norm of the tensor",
    "result": "ok, or WRONG where the error is above the tolerance",
}


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    text = "write reference cases for other implementations, or compare with them"
    parser: argparse.ArgumentParser = commands.add_parser("reference", help=text, description=text, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    write = command(actions, "export", _run_export, "write the cases to a folder")
    write.add_argument("folder", metavar="DIR", help="folder for the cases")
    write.add_argument("--set", choices=list(reference.SETS), default="small", help="set of cases (default small)")
    add_force(write)
    check = command(actions, "check", _run_check, "compare the tensors of another implementation with the cases")
    check.add_argument("folder", metavar="DIR", help="folder of the cases")
    check.add_argument("candidate", metavar="CANDIDATE", help="folder with CASE.safetensors or CASE.npz")
    check.add_argument(
        "--tolerance",
        type=float,
        default=1e-13,
        metavar="X",
        help="largest error of a tensor, relative to its 2-norm (default 1e-13)",
    )


def _run_export(arguments: argparse.Namespace) -> None:
    names = [f"{case.name}.safetensors" for case in reference.SETS[arguments.set]]
    for name in ("manifest.json", *names):
        check_absent(Path(arguments.folder) / name, "file", arguments.force)
    names = reference.export(arguments.folder, arguments.set, lambda name: print(name, file=sys.stderr, flush=True))
    if arguments.json:
        print(json.dumps({"folder": arguments.folder, "cases": names}))
    else:
        print(f"{arguments.folder}: {len(names)} cases and manifest.json")


def _run_check(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a tensor is wrong."""
    if not 0.0 < arguments.tolerance < 1.0:
        raise ConfigError(f"--tolerance {arguments.tolerance:g}: needs a number between 0 and 1")
    try:
        checks = reference.check(arguments.folder, arguments.candidate, arguments.tolerance)
    except ModelFileError as error:
        for line in str(error).splitlines():
            print(f"simsnn: error: {line}", file=sys.stderr)
        return 2
    failed = [entry for entry in checks if not entry.passed]
    if arguments.json:
        print(json.dumps({"passed": not failed, "checks": [entry.to_dict() for entry in checks]}))
        return 1 if failed else 0
    rows = [
        [entry.case, entry.tensor, f"{entry.ulp:.3g}", f"{entry.relative:.1e}", "ok" if entry.passed else "WRONG"]
        for entry in checks
    ]
    print(table_with_legend(COLUMNS, rows))
    if failed:
        first = failed[0]
        print(
            f"\n{len(failed)} of {len(checks)} tensors are wrong. The first, from the forward pass down: {first.tensor}"
            f" of {first.case}, at {list(first.index)}: {first.got:.17g}, expected {first.expected:.17g}"
        )
    else:
        close = sum(entry.relative <= arguments.tolerance for entry in checks)
        cancel = len(checks) - close
        rest = f", {cancel}, whose terms cancel, within 30 times their sensitivity" if cancel else ""
        print(f"\nAll {len(checks)} tensors are right: {close} within {arguments.tolerance:g} of their 2-norms{rest}.")
    return 1 if failed else 0
