"""``simsnn predict``: a model's values or derivatives at points or on a grid."""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import load_backend
from simsnn_ref.commands.base import add_force, command
from simsnn_ref.errors import ConfigError, OutsideBoxWarning
from simsnn_ref.io import check_output, load_samples, package_version, write_field
from simsnn_ref.model import OUTSIDE, PRECISIONS, Model, load_model
from simsnn_ref.spectrum import Grid

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "predict", _run_predict, "evaluate a model at points or on a grid")
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("points", nargs="?", metavar="POINTS.npy", help="points, shape (n, d), in the data's own units")
    parser.add_argument(
        "--grid", type=int, nargs="+", metavar="N", help="samples per axis of a grid on the model's box"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="VALUES.npy",
        help="file (default: MODEL's name with .prediction.npy); also .npz, and with the extra io .nc, .h5 and .zarr,"
        " which hold the field's name, coordinates and attributes too",
    )
    add_force(parser)
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--gradient", action="store_true", help="write first derivatives, shape (..., d)")
    order.add_argument("--hessian", action="store_true", help="write second derivatives, shape (..., d, d)")
    parser.add_argument(
        "--outside",
        choices=OUTSIDE,
        default="extrapolate",
        help="points outside the box of an axis that does not repeat: their values are extrapolated, with a note"
        " (default), or NaN, or an error",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="double",
        help="extended sums the stages in extended precision, to the errors that the fit reports; .npy then holds long"
        " double, the others the sum rounded to float64 (default double: off by a few 1e-16 of the field)",
    )
    parser.add_argument("--backend", default="numpy", metavar="NAME[:DEVICE]", help="array library (default numpy)")


def _run_predict(arguments: argparse.Namespace) -> None:
    if (arguments.points is None) == (arguments.grid is None):
        raise ConfigError("give either POINTS.npy or --grid N")
    if arguments.precision != "double" and (arguments.gradient or arguments.hessian):
        raise ConfigError(f"--precision {arguments.precision}: derivatives are evaluated in float64 only; leave it out")
    output = Path(arguments.output or Path(arguments.model).with_suffix(".prediction.npy"))
    check_output(output, "-o", arguments.force)
    model = load_model(arguments.model, load_backend(arguments.backend))
    where: Any
    if arguments.grid is None:
        where = load_samples(arguments.points)
    else:
        if len(arguments.grid) not in (1, model.grid.ndim):
            raise ConfigError(f"--grid: give 1 or {model.grid.ndim} numbers, got {len(arguments.grid)}")
        shape = arguments.grid * model.grid.ndim if len(arguments.grid) == 1 else arguments.grid
        where = Grid(tuple(shape), model.grid.lower, model.grid.upper, model.grid.periodic)
    started = time.perf_counter()
    values = _evaluate(model, where, arguments)
    if output.suffix.lower() != ".npy":
        # The other formats have no long double.
        values = values.astype(np.float64)
    made_with = ", ".join(f"{name} {value}" for name, value in model.provenance.items() if value is not None)
    provenance = {
        "simsnn_model": Path(arguments.model).name,
        "simsnn_model_made_with": made_with,
        "simsnn_predicted_with": f"simsnn_ref {package_version()}",
    }
    write_field(output, values, where, model.field, provenance)
    seconds = time.perf_counter() - started
    if arguments.json:
        print(json.dumps({"values": str(output), "shape": list(values.shape), "seconds": seconds}))
    else:
        print(f"{output}: {values.dtype} of shape {values.shape}, evaluated in {seconds:.2f} s")


def _evaluate(model: Model, where: Any, arguments: argparse.Namespace) -> np.ndarray:
    """Values or derivatives; what is outside the box becomes a note."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutsideBoxWarning)
        if arguments.hessian:
            values = model.hessian(where, outside=arguments.outside)
        elif arguments.gradient:
            values = model.gradient(where, outside=arguments.outside)
        else:
            values = model(where, precision=arguments.precision, outside=arguments.outside)
    for warning in caught:
        print(f"note: {warning.message}", file=sys.stderr)
    return values
