"""``simsnn dns``: two-dimensional decaying turbulence."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from simsnn_ref.commands.base import add_force, command
from simsnn_ref.commands.input import simulation_lines
from simsnn_ref.io import check_writable, save_array
from simsnn_ref.problems import SPECTRA, energy, enstrophy, get_problem, vorticity

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "dns", _run_dns, "simulate 2-D decaying turbulence and save the stream function")
    parser.add_argument("--size", type=int, default=512, metavar="N", help="points per axis (default 512)")
    parser.add_argument("--reynolds", type=float, default=2000.0, metavar="RE", help="Reynolds number (default 2000)")
    parser.add_argument("--time", type=float, default=1.25, metavar="T", help="time of the snapshot (default 1.25)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial condition (default 0)")
    parser.add_argument(
        "--initial-spectrum", choices=sorted(SPECTRA), default="amplitude", help="initial condition (default amplitude)"
    )
    parser.add_argument("--cfl", type=float, default=0.5, help="CFL number of the time step (default 0.5)")
    parser.add_argument(
        "-o", "--output", metavar="PSI.npy", default="turbulence.npy", help="file (default turbulence.npy)"
    )
    add_force(parser)


def _run_dns(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    check_writable(output, "-o", arguments.force)
    started = time.perf_counter()
    psi = get_problem("turbulence").samples(
        arguments.size,
        reynolds=arguments.reynolds,
        time=arguments.time,
        seed=arguments.seed,
        spectrum=arguments.initial_spectrum,
        cfl=arguments.cfl,
        callback=simulation_lines(arguments, arguments.size),
    )
    save_array(output, psi)
    omega = vorticity(psi)
    result = {
        "stream_function": str(output),
        "shape": list(psi.shape),
        "energy": energy(omega),
        "enstrophy": enstrophy(omega),
        "seconds": time.perf_counter() - started,
    }
    if arguments.json:
        print(json.dumps(result, allow_nan=False))
    else:
        points = " x ".join(map(str, psi.shape))
        print(f"{output}: stream function on {points} points of [0, 2 pi)^2 at t = {arguments.time:g}")
        print(f"energy {result['energy']:.6g}, enstrophy {result['enstrophy']:.6g}; {result['seconds']:.1f} s")
