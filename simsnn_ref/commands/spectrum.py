"""``simsnn spectrum``: the largest Fourier modes of samples and their energy spectrum E(k)."""

import argparse
import json
import math
from typing import Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.base import add_force, command
from simsnn_ref.commands.input import add_input, read_input
from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.io import check_grid, check_samples
from simsnn_ref.report import check_figure_path, describe_grid, figure_of_spectrum, save_figure, table_with_legend
from simsnn_ref.spectrum import Grid, count_modes, dominant_frequency, energy_spectrum, fourier_modes

__all__ = ["add"]

MODE_COLUMNS = {
    "mode": "number of waves m along each axis; on a periodic grid k = pi m, with x rescaled to [-1, 1)",
    "amplitude": "alpha of alpha cos(k.x + theta), eq. 10, in the units of the input; the largest first",
    "phase": "theta in radians",
}

ENERGY_COLUMNS = {
    "k": "centre of the bin, angular wavenumber in the units of the input",
    "E(k)": "energy of the modes in the bin, eq. 13; all bins sum to the mean of u^2",
}


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "spectrum", _run_spectrum, "list the largest Fourier modes of samples and their E(k)")
    add_input(parser)
    parser.add_argument("--modes", type=int, default=10, metavar="N", help="number of modes to list (default 10)")
    parser.add_argument("--bins", type=int, default=200, metavar="N", help="number of bins of E(k) (default 200)")
    parser.add_argument("--figure", metavar="PATH", help="draw E(k), .png, .pdf or .svg")
    add_force(parser)


def _run_spectrum(arguments: argparse.Namespace) -> None:
    if arguments.modes < 1 or arguments.bins < 1:
        raise ConfigError("--modes and --bins need to be at least 1")
    if arguments.figure is not None:
        check_figure_path(arguments.figure, arguments.force)
    u, grid, problem = read_input(arguments)
    problem.pop("field", None)
    if not isinstance(grid, Grid):
        raise DataError(
            f"{problem['name']}: scattered points have no Fourier modes of their own; simsnn fit finds some"
        )
    samples, _ = check_samples(u(grid.points()).reshape(grid.shape) if callable(u) else u)
    check_grid(samples, grid)
    backend = NumpyBackend()
    spectrum = energy_spectrum(samples, grid, backend, arguments.bins)
    modes = fourier_modes(samples, grid, backend, min(arguments.modes, count_modes(grid)))
    if arguments.figure is not None:
        save_figure(figure_of_spectrum(spectrum, title=problem["name"]), arguments.figure)
    found = {
        "problem": {**problem, **describe_grid(grid)},
        "n_modes": count_modes(grid),
        "dominant_frequency": dominant_frequency(samples, grid, backend),
        "modes": [
            {"index": m.tolist(), "wavenumber": k.tolist(), "amplitude": float(a), "phase": float(phase)}
            for m, k, a, phase in zip(modes.indices, modes.wavenumbers, modes.amplitudes, modes.phases, strict=True)
        ],
        "energy_spectrum": {"wavenumber": spectrum.wavenumber.tolist(), "energy": spectrum.energy.tolist()},
    }
    if arguments.json:
        print(json.dumps(found, allow_nan=False))
        return
    print(f"{found['n_modes']} real modes; dominant frequency {found['dominant_frequency']:.6g} cycles over the box\n")
    rows = [
        [", ".join(map(str, m.tolist())), f"{a:.6e}", f"{math.remainder(phase, 2.0 * math.pi):+.6f}"]
        for m, a, phase in zip(modes.indices, modes.amplitudes, modes.phases, strict=True)
    ]
    print(table_with_legend(MODE_COLUMNS, rows))
    filled = np.flatnonzero(spectrum.energy)
    if not filled.size:
        print("\nE(k) is 0: so is the field.")
        return
    shown = filled[np.unique(np.geomspace(1, filled.size, min(20, filled.size)).astype(int) - 1)]
    rows = [[f"{spectrum.wavenumber[i]:.4g}", f"{spectrum.energy[i]:.6e}"] for i in shown]
    print()
    print(table_with_legend(ENERGY_COLUMNS, rows))
    if len(shown) < filled.size:
        print(f"\n{len(shown)} of the {filled.size} bins that are not empty are shown; --json prints all.")
