"""Seconds of a training step with each feature map, beside those that the cost model of `auto` expects.

For N points per axis, n_f features and d dimensions, with frozen Fourier modes or trained wavenumbers, the table has
the time of forward and vjp of every admissible map, the fastest, the map that `auto` takes, and how much longer that
takes. Trained wavenumbers are the modes moved a little, as training moves them. Maps that the model expects to take
more than --longest seconds are left out. A last line sums up. Threads are set outside:

    SIMSNN_NUM_THREADS=1 OMP_NUM_THREADS=1 python asv_bench/maps.py [--sizes 64,128] [--features 100,1000] [--json FILE]
"""

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import Features, FFTMap, MapSizes, has_nufft, make_map, step_seconds
from simsnn_ref.spectrum import Grid, count_modes

UNITS = 30
MOVED = 0.5
"""Largest distance of a trained wavenumber from its mode, along each axis and in units of the lattice."""

LEAST_SECONDS = 0.2
TURNS = 4
"""Time for which a map's step is repeated, in so many turns with one step at least; the fastest counts."""

TOLERATED = 0.2
"""How much longer than the fastest the choice may take without being counted."""


def frozen_modes(grid: Grid, n: int) -> np.ndarray:
    """Return the n modes of smallest |k|, one of each pair."""
    axes = [np.arange(-(size // 2) + 1, size // 2) for size in grid.shape[:-1]] + [np.arange(grid.shape[-1] // 2)]
    m = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, grid.ndim)
    # On m_d = 0 the pairs {m, -m} are both listed: keep the one whose first entry that is not 0 is positive.
    first = m[np.arange(len(m)), np.argmax(m != 0, axis=1)]
    m = m[(m[:, -1] > 0) | (first >= 0)]
    return m[np.argsort(np.sum(m**2, axis=1), kind="stable")[:n]]


def moved_modes(grid: Grid, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n wavenumbers near modes, in units of the lattice; several at a mode where there are not enough."""
    modes = frozen_modes(grid, n)
    return modes[np.arange(n) % len(modes)] + rng.uniform(-MOVED, MOVED, (n, grid.ndim))


def measure(maps: dict, W, features, dz, wavenumbers: bool) -> dict[str, float]:
    """Return each map's fastest step; the maps take turns, so that other work of the machine slows all of them.

    Wavenumbers that train differ from one step to the next, and a map may not keep what belongs to the last ones.
    """
    best = dict.fromkeys(maps, math.inf)
    others = replace(features, wavenumbers=features.wavenumbers * (1.0 + 1e-9)) if wavenumbers else features
    for _ in range(TURNS):
        for kind, fmap in maps.items():
            started = time.perf_counter()
            begun = started
            while begun - started < LEAST_SECONDS / TURNS:
                features, others = others, features
                fmap.forward(W, features)
                fmap.vjp(W, features, dz, wavenumbers=wavenumbers)
                ended = time.perf_counter()
                best[kind], begun = min(best[kind], ended - begun), ended
    return best


def compare(grid: Grid, n_f: int, trains: bool, longest: float) -> dict | None:
    backend, rng = NumpyBackend(), np.random.default_rng(0)
    sizes = MapSizes(n_f, UNITS, trains)
    if not trains and n_f > 0.4 * count_modes(grid):
        return None
    modes = None if trains else frozen_modes(grid, n_f)
    K = np.pi * (moved_modes(grid, n_f, rng) if trains else modes)
    features = Features(rng.uniform(0.1, 1.0, n_f), K, rng.uniform(0.0, 6.0, n_f))
    W = rng.standard_normal((UNITS, n_f))
    dz = rng.standard_normal((UNITS, grid.size))
    kinds = ["dense", "separable"] + ([] if trains else ["fft"])
    if has_nufft():
        kinds.append("nufft")
    maps, expected = {}, {}
    for kind in kinds:
        fmap = None
        bandwidth = None
        if kind == "fft":
            fmap = FFTMap(grid, modes, backend)
            bandwidth = fmap.half_shape[-1]
        expected[kind] = step_seconds(kind, grid.shape, grid.ndim, sizes, bandwidth=bandwidth)
        if expected[kind] > longest:
            continue
        maps[kind] = fmap or make_map(grid, backend, kind=kind, tolerance=1e-13)
    if not maps:
        return None
    measured = measure(maps, W, features, dz, trains)
    chosen = make_map(grid, backend, indices=modes, tolerance=1e-13, sizes=sizes).name
    fastest = min(measured, key=measured.get)
    return {
        "shape": grid.shape,
        "n_features": n_f,
        "trains": trains,
        "measured": measured,
        "expected": expected,
        "fastest": fastest,
        "auto": chosen,
        "excess": measured.get(chosen, math.nan) / measured[fastest] - 1.0,
    }


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=[16, 32, 64, 128, 256, 512], metavar="N[,...]")
    parser.add_argument("--features", type=numbers, default=[30, 100, 300, 851, 1000, 3000, 10000], metavar="NF[,...]")
    parser.add_argument("--dimensions", type=numbers, default=[1, 2, 3], metavar="D[,...]")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds a step, more is left out (default 2)")
    parser.add_argument("--points", type=int, default=2**22, help="grids of more points are left out (default 2^22)")
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    arguments = parser.parse_args()
    results = []
    print("| points | n_f | K | dense | separable | fft | nufft | fastest | auto | longer by |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for d in arguments.dimensions:
        for n in arguments.sizes:
            grid = Grid((n,) * d)
            if grid.size > arguments.points:
                continue
            for n_f in arguments.features:
                for trains in (False, True):
                    found = compare(grid, n_f, trains, arguments.longest)
                    if found is None:
                        continue
                    results.append(found)
                    cells = [
                        f"{found['measured'][kind]:.2g}" if kind in found["measured"] else "-"
                        for kind in ("dense", "separable", "fft", "nufft")
                    ]
                    kind = "trains" if trains else "frozen"
                    print(
                        f"| {n}^{d} | {n_f} | {kind} | {' | '.join(cells)} | {found['fastest']} | {found['auto']}"
                        f" | {100 * found['excess']:.0f} % |",
                        flush=True,
                    )
    excess = sorted(found["excess"] for found in results if not math.isnan(found["excess"]))
    if excess:
        over = sum(value > TOLERATED for value in excess)
        print(f"\n{over} of {len(excess)} choices take more than {TOLERATED:.0%} longer, the worst {excess[-1]:.0%}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
