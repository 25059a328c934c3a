"""``simsnn info``: what a model file holds, or what this installation is."""

import argparse
import json
from typing import Any

from simsnn_ref.backend import available_backends, default_threads
from simsnn_ref.commands.base import command
from simsnn_ref.io import blas_threads, versions
from simsnn_ref.model import load_model
from simsnn_ref.report import (
    closing_line,
    describe_grid,
    off_grid_meaning,
    stage_columns,
    stage_rows,
    table_with_legend,
    threads_words,
)
from simsnn_ref.spectrum import Grid

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "info", _run_info, "describe a model file, or this installation")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="model file; without it, describe this installation")


def _run_info(arguments: argparse.Namespace) -> None:
    if arguments.model is None:
        threads = {"host": default_threads(), "blas": blas_threads()}
        installed: dict[str, Any] = {"versions": versions(), "backends": available_backends(), "threads": threads}
        if arguments.json:
            print(json.dumps(installed))
            return
        rows = _rows(installed["versions"])
        rows += [["backends", ", ".join(installed["backends"])], ["threads", threads_words(threads)]]
        print(table_with_legend({"what": "part of this installation", "value": "its version, names or number"}, rows))
        return
    model = load_model(arguments.model)
    history = model.history
    if arguments.json:
        description = {
            "grid": describe_grid(model.grid),
            "field": None if model.field is None else model.field.to_dict(),
            "config": model.config.to_dict(),
            "versions": model.provenance,
            "off_grid": history.off_grid,
            "notes": list(history.notes),
            "rms": history.rms,
            "max": history.max,
            "seconds": history.seconds,
            "stages": [record.summary() for record in history.stages],
        }
        print(json.dumps(description, allow_nan=False))
        return
    grid = model.grid
    counts = [f"{n} points on " for n in grid.shape] if isinstance(grid, Grid) else [""] * grid.ndim
    axes = [
        f"{count}[{lo:.6g}, {hi:.6g}{')' if periodic else ']'}"
        for count, lo, hi, periodic in zip(counts, grid.lower, grid.upper, grid.periodic, strict=True)
    ]
    scattered = "" if isinstance(grid, Grid) else f"{grid.size} scattered points of "
    stages = f"{len(model.stages)} stage{'' if len(model.stages) == 1 else 's'}"
    print(f"{arguments.model}: {stages}, fitted to {scattered}{' x '.join(axes)}")
    if model.field is not None:
        print(f"field: {model.field}")
        for name, value in (model.field.attrs | model.field.dataset_attrs).items():
            print(f"  {name}: {' '.join(str(value).split())}")
    print(f"RMS of the field {history.rms:.6g}, largest value {history.max:.6g}")
    for note in history.notes:
        print(f"note: {note}")
    print()
    print(table_with_legend(stage_columns(off_grid_meaning(model)), stage_rows(history.stages, history)))
    print(f"\n{closing_line(model)}\n")
    made_with = {"made with": "software and machine of the fit", "value": "its version, name or number at that time"}
    print(table_with_legend(made_with, _rows(model.provenance)))
    print(f"\n{model.config.to_toml()}", end="")


def _rows(values: dict[str, Any]) -> list[list[str]]:
    return [[name, "unknown" if value is None else str(value)] for name, value in values.items()]
