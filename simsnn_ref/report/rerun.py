"""The commands and the program that load a model and make it again."""

import shlex
from collections.abc import Sequence

import numpy as np

from simsnn_ref.model import FitConfig, Model, shown
from simsnn_ref.spectrum import Grid

__all__ = ["box_words", "changed_options", "command_line", "python_lines"]


def changed_options(config: FitConfig) -> tuple[str, ...]:
    """Flat names of the options that have to be given for this config."""
    base = FitConfig()
    # Some defaults depend on these two.
    defaults = FitConfig.of(mode=config.mode, optimizer=config.optimizer).resolved().to_flat()
    defaults |= {"mode": base.mode, "optimizer": FitConfig.of(mode=config.mode).optimizer}
    return tuple(name for name, value in config.resolved().to_flat().items() if value != defaults[name])


def command_line(model: Model, path: str, input_words: Sequence[str] | None = None) -> str:
    """The commands that fit the model and evaluate it.

    Parameters
    ----------
    model : Model
    path : str
        Path of the model file.
    input_words : sequence of str, optional
        Words that name the input; without them INPUT.npy stands for it.
    """
    words = ["simsnn", "fit", *(input_words or _input_words(model)), *_option_words(model.config)]
    words += ["-o", path]
    return f"{shlex.join(words)}\n{shlex.join(['simsnn', 'predict', path])} POINTS.npy -o VALUES.npy\n"


def _input_words(model: Model) -> list[str]:
    grid = model.grid
    words = ["INPUT.npy"] if isinstance(grid, Grid) else ["POINTS.npy", "--values", "VALUES.npy"]
    bounds = [bound for pair in zip(grid.lower, grid.upper, strict=True) for bound in pair]
    words += box_words(bounds)
    return [*words, "--periodic", ",".join(str(periodic).lower() for periodic in grid.periodic)]


def box_words(bounds: Sequence[float]) -> list[str]:
    """Words of the option ``--box``, without exponents: argparse takes a negative number that has one for an option."""
    return ["--box", *(np.format_float_positional(bound, trim="-") for bound in bounds)]


def _option_words(config: FitConfig) -> list[str]:
    words, values = [], config.to_flat()
    for name in changed_options(config):
        value, flag = values[name], name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", shown(value)]
    return words


def python_lines(model: Model, path: str) -> str:
    """A program that loads the model and fits it again."""
    grid, values = model.grid, model.config.to_flat()
    options = "".join(f", {name}={values[name]!r}" for name in changed_options(model.config))
    is_grid, holds_out = isinstance(grid, Grid), model.history.off_grid == "holdout"
    places = [] if is_grid and holds_out else ["Grid"] if is_grid else ["Box", "Scatter"]
    lines = [
        f"from simsnn_ref import {', '.join([*places, 'fit', 'load_model'])}",
        "",
        f"model = load_model({path!r})",
        f"values = model(points)  # anywhere: points of shape (n, {grid.ndim})",
        f"slopes = model.gradient(points)  # (n, {grid.ndim})",
        "",
    ]
    if is_grid and holds_out:
        lines += [
            "# grid: that of all samples u, of which every second one along each axis was trained on",
            f"again = fit(u, grid{options})",
        ]
    elif is_grid:
        place = f"Grid({grid.shape}, {grid.lower}, {grid.upper}, periodic={grid.periodic})"
        what = "the function" if model.history.off_grid == "random" else f"the samples, of shape {grid.shape}"
        lines += [f"grid = {place}", f"again = fit(u, grid{options})  # u: {what}"]
    else:
        box = f"Box({grid.lower}, {grid.upper})"
        lines += [
            "# u: the values at the places (n, d), all of them, those that were held out too",
            f"again = fit(u, Scatter(places, {box}, {grid.periodic}){options})",
        ]
    return "\n".join(lines) + "\n"
