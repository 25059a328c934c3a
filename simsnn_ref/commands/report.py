"""``simsnn report``: a finished fit as one HTML file."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.commands.base import add_force, command
from simsnn_ref.commands.finish import training_samples
from simsnn_ref.commands.input import add_input, add_values
from simsnn_ref.commands.model_input import read_samples_of
from simsnn_ref.errors import DataError, OutputError
from simsnn_ref.io import check_writable
from simsnn_ref.model import Model, has_rms, is_samples_grid, load_model
from simsnn_ref.report import TrainingData, box_words, html_report
from simsnn_ref.spectrum import Scatter

__all__ = ["add"]

_INPUT_OPTIONS = (
    *("var", "select", "isel", "example", "size", "reynolds", "time", "field_seed", "initial_spectrum"),
    *("box", "periodic", "gaps", "coords", "values"),
)


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "report", _run_report, "write a finished fit as one HTML file")
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("-o", "--output", metavar="REPORT.html", help="file (default: beside the model, .html)")
    add_force(parser)
    add_input(parser)
    add_values(parser)


def _run_report(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output or Path(arguments.model).with_suffix(".html"))
    if output.resolve() == Path(arguments.model).resolve():
        raise OutputError(f"-o {output}: the model is in this file; name another one")
    check_writable(output, "-o", arguments.force)
    model = load_model(arguments.model)
    data = None
    if arguments.input is not None or arguments.example is not None:
        data = TrainingData(_samples(model, arguments), _words(arguments))
    has_figures = importlib.util.find_spec("matplotlib") is not None
    if not has_figures:
        print("note: no figures; they need matplotlib: pip install 'simsnn-ref[plot]'", file=sys.stderr)
    page = html_report(model, arguments.model, data, figures=has_figures).encode()
    try:
        output.write_bytes(page)
    except OSError as error:
        raise OutputError(f"-o {output}: cannot be written: {error.strerror}") from error
    if arguments.json:
        print(json.dumps({"report": str(output), "bytes": len(page), "figures": has_figures}))
    else:
        print(f"report: {output} ({len(page) / 1024:.0f} KiB)")


def _samples(model: Model, arguments: argparse.Namespace) -> np.ndarray:
    """The samples that the model was fitted to."""
    u, where = read_samples_of(model, arguments)
    # Which points are the model's is left to `training_samples`.
    is_scattered = isinstance(where, Scatter) and isinstance(model.grid, Scatter)
    if not is_scattered and not is_samples_grid(model, where):
        raise DataError(f"data: on {where}, but the model was fitted on {model.grid}")
    samples = training_samples(model, u, where)
    size = rms(np, samples)
    if not has_rms(model, size):
        raise DataError(
            f"data: their RMS is {size:.10g}, that of the samples that were fitted {model.history.rms:.10g};"
            " give the samples that were fitted"
        )
    return samples


def _words(arguments: argparse.Namespace) -> list[str]:
    """The input as it was given, as words of a command."""
    words = [] if arguments.input is None else [arguments.input]
    for name in _INPUT_OPTIONS:
        given, flag = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if name in ("select", "isel"):
            words += [word for one in given for word in (flag, one)]
        elif name == "box" and given is not None:
            words += box_words(given)
        elif given is not None:
            words += [flag, str(given)]
    return words
