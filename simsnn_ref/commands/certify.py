"""``simsnn certify``: a model's errors against its data, by a second route."""

import argparse
import json
from typing import Any

from simsnn_ref.commands.base import command
from simsnn_ref.commands.input import add_input, add_values, read_input
from simsnn_ref.errors import CertificationError
from simsnn_ref.model import load_model
from simsnn_ref.multistage import certify_model
from simsnn_ref.report import text_table

__all__ = ["add", "certified_line", "require_agreement"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "certify", _run_certify, "check a model's errors against its data by a second route")
    parser.add_argument("model", metavar="MODEL")
    add_input(parser)
    add_values(parser)
    parser.add_argument(
        "--digits",
        type=int,
        default=18,
        help="18 (default) is long double, where it is wider than float64; more is mpmath, at a tenth of the points",
    )


def _run_certify(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.model)
    u, grid, _ = read_input(arguments)
    certificate = certify_model(model, u, grid, arguments.digits).to_dict()
    last = model.history.stages[-1].summary() if model.history.stages else dict.fromkeys(_ERRORS, 0.0)
    claimed = {name: last[name] for name in _ERRORS}
    consistent = all(_consistent(claimed[name], certificate[name]) for name in ("rms_on_grid", "rms_off_grid"))
    if arguments.json:
        print(json.dumps({"claimed": claimed, "certified": certificate}, allow_nan=False))
    else:
        rows = [
            [
                name.replace("_", " "),
                *("-" if value is None else f"{value:.3e}" for value in (claimed[name], certificate[name])),
            ]
            for name in _ERRORS
        ]
        print(text_table(["relative to the field's RMS", "claimed, all points", "certified, sample"], rows))
        print(f"{certificate['points']} points in arithmetic of {certificate['digits']} digits")
    require_agreement(certificate | {"agrees": certificate["agrees"] and consistent})


_ERRORS = ("rms_on_grid", "max_on_grid", "rms_off_grid", "max_off_grid")


def _consistent(claimed: float | None, certified: float | None) -> bool:
    """Whether an RMS over a hundred points can come from a field whose RMS is `claimed`: within a factor of ten."""
    if claimed is None or certified is None:
        return claimed is certified
    return certified <= 10.0 * claimed


def require_agreement(certificate: dict[str, Any] | None) -> None:
    """Raise CertificationError unless both routes agree."""
    if certificate is not None and not certificate["agrees"]:
        raise CertificationError("certification failed: the second route does not find the errors that are claimed")


def certified_line(certificate: dict[str, Any]) -> str:
    """The certificate of a fit in a sentence."""
    off = certificate["rms_off_grid"]
    off_text = "not measured" if off is None else f"{off:.2e}"
    return (
        f"Certified at {certificate['points']} points with {certificate['digits']} digits: RMS"
        f" {certificate['rms_on_grid']:.2e} on the grid, {off_text} off it."
    )
