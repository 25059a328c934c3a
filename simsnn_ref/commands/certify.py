"""``simsnn certify``: a model's errors against its data, by an independent evaluation."""

import argparse
import json
from typing import Any

from simsnn_ref.commands.base import command
from simsnn_ref.commands.input import add_input, add_values
from simsnn_ref.commands.model_input import read_samples_of
from simsnn_ref.errors import CertificationError
from simsnn_ref.model import History, load_model
from simsnn_ref.multistage import certify_model
from simsnn_ref.report import table_with_legend

__all__ = ["add", "certified_line", "require_agreement"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    text = "check a model's errors against its data by an independent evaluation"
    parser = command(commands, "certify", _run_certify, text)
    parser.add_argument("model", metavar="MODEL", help="model file")
    add_input(parser)
    add_values(parser)
    parser.add_argument(
        "--digits",
        type=int,
        default=18,
        metavar="N",
        help="digits of the arithmetic: 18 (default) is long double where that is wider than float64; with more it is"
        " mpmath, at a tenth of the points",
    )


def _run_certify(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.model)
    u, grid = read_samples_of(model, arguments)
    found = certify_model(model, u, grid, arguments.digits)
    certificate = found.to_dict()
    claimed = model.history.last_errors()
    consistent = all(
        _consistent(claimed[name], certificate[name], found.resolution) for name in ("rms_on_grid", "rms_off_grid")
    )
    if arguments.json:
        print(json.dumps({"claimed": claimed, "certified": certificate}, allow_nan=False))
    else:
        rows = [
            [text, *("-" if value is None else f"{value:.3e}" for value in (claimed[name], certificate[name]))]
            for name, text in _ERRORS.items()
        ]
        columns = {
            "error": "at the samples (on grid) and between them (off grid), relative to the RMS of the field",
            "claimed": "by the model file, which has the errors that the fit measured at all points",
            "certified": f"by evaluating each feature by its definition in {certificate['digits']}-digit arithmetic, at"
            f" {certificate['points']} points",
        }
        print(table_with_legend(columns, rows))
    require_agreement(certificate | {"agrees": certificate["agrees"] and consistent})


_ERRORS = {
    "rms_on_grid": "RMS on grid",
    "max_on_grid": "max on grid",
    "rms_off_grid": "RMS off grid",
    "max_off_grid": "max off grid",
}


def _consistent(claimed: float | None, certified: float | None, resolution: float) -> bool:
    """Whether an RMS over a hundred points can come from a field whose RMS is `claimed`: within a factor of ten, or of
    what is resolved.
    """
    if claimed is None or certified is None:
        return claimed is certified
    return certified <= 10.0 * claimed + resolution


def require_agreement(certificate: dict[str, Any] | None) -> None:
    """Raise CertificationError unless the independent evaluation agrees."""
    if certificate is not None and not certificate["agrees"]:
        raise CertificationError("certification failed: an independent evaluation does not find the errors claimed")


_BETWEEN = {
    "interpolation": "{} to their interpolant between them",
    "random": "{} to the function at other points",
    "holdout": "{} at samples held out",
}


def certified_line(certificate: dict[str, Any], history: History) -> str:
    """The certificate of a fit in a sentence."""
    off = certificate["rms_off_grid"]
    off_text = "not measured between them" if off is None else _BETWEEN[history.off_grid].format(f"{off:.2e}")
    if history.noise and history.off_grid == "interpolation":
        off_text = f"{off:.2e} between them to their interpolant without their noise"
    return (
        f"Certified by an independent evaluation in {certificate['digits']}-digit arithmetic at {certificate['points']}"
        f" points: RMS error {certificate['rms_on_grid']:.2e} at the samples, {off_text}."
    )
