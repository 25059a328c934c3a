"""The samples of a model that is already there: what the options do not say of their place, the model file knows."""

import argparse
from pathlib import Path
from typing import Any

from simsnn_ref.commands.input import read_input
from simsnn_ref.io import TABLE_SUFFIXES
from simsnn_ref.model import Model, with_bounds_of
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["read_samples_of"]


def read_samples_of(model: Model, arguments: argparse.Namespace) -> tuple[Any, Grid | Scatter]:
    """Samples or function, and where they are; `arguments` is completed by the box and the periodicity of the model.

    Coordinates in the input go before the model's, so that samples from elsewhere do not pass for those that were
    fitted.
    """
    grid, is_box_given = model.grid, arguments.box is not None
    is_table = arguments.input is not None and Path(arguments.input).suffix.lower() in TABLE_SUFFIXES
    is_scattered = is_table or arguments.values is not None or arguments.coords is not None
    if arguments.input is None or is_scattered != isinstance(grid, Scatter):
        u, where, _ = read_input(arguments, quiet=True)
        return u, where
    if arguments.periodic is None:
        words = [str(periodic).lower() for periodic in grid.periodic]
        arguments.periodic = words[0] if len(set(words)) == 1 else ",".join(words)
    if not is_box_given and isinstance(grid, Scatter):
        arguments.box, is_box_given = _bounds(grid), True
    u, where, about = read_input(arguments, quiet=True)
    if is_box_given or isinstance(where, Scatter):
        return u, where
    placed = with_bounds_of(model, where, about["field"])
    if placed != where:
        arguments.box = _bounds(placed)
    return u, placed


def _bounds(grid: Grid | Scatter) -> list[float]:
    """The bounds as words of ``--box``."""
    return [bound for pair in zip(grid.lower, grid.upper, strict=True) for bound in pair]
