"""Time of a training step beside that of the transforms and tangents it cannot avoid, for several sizes.

One step is the L^10 loss of a 3 x 30 tanh network on N^d points and its gradient for every parameter, B frozen (fft
map) or trained (nufft, if the plug-in is installed). It cannot avoid one inverse and one forward real transform per
hidden unit of the first layer, and one tanh per hidden unit and point.

    python asv_bench/floor.py [--sizes 128,256,512] [--features 1000,10000] [--dimensions 2]
"""

import argparse
import math
import resource
import time

import numpy as np
import scipy.fft

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import has_nufft, initialize, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid, count_modes

HIDDEN = (30, 30, 30)
LEAST_SECONDS = 3.0
BACKEND = NumpyBackend()


def best(run) -> float:
    """Return the time of the fastest of at least three runs: other work on the machine only makes runs longer."""
    fastest, started, runs = math.inf, time.perf_counter(), 0
    while runs < 3 or time.perf_counter() - started < LEAST_SECONDS:
        begun = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - begun)
        runs += 1
    return fastest


def smooth_field(grid: Grid) -> np.ndarray:
    """A random field of RMS 1 whose modes fall off like |k|^-4."""
    spectrum = scipy.fft.rfftn(np.random.default_rng(0).standard_normal(grid.shape))
    axes = [n * np.fft.fftfreq(n) for n in grid.shape[:-1]] + [np.arange(grid.shape[-1] // 2 + 1)]
    squared = sum(np.square(k) for k in np.meshgrid(*axes, indexing="ij", sparse=True))
    u = scipy.fft.irfftn(spectrum / (1.0 + squared) ** 2, grid.shape)
    return u / np.sqrt(np.mean(u**2))


def training_step(grid: Grid, n_features: int, kind: str):
    target = smooth_field(grid)
    network, params = initialize(
        "si",
        target,
        grid,
        n_features=n_features,
        hidden=HIDDEN,
        rng=np.random.default_rng(1),
        backend=BACKEND,
        train_wavenumbers=kind != "fft",
        z1_rms=1.0,
    )
    fmap = make_map(grid, BACKEND, kind=kind, indices=network.indices)
    objective = Objective(network, fmap, target.ravel(), LpLoss(10.0), BACKEND)
    return lambda: objective.value_and_gradient(params)


def unavoidable(grid: Grid) -> tuple[float, float]:
    """Return the seconds of the bare transforms, and of the bare hyperbolic tangents, on the same threads."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((HIDDEN[0], *grid.shape))
    axes = tuple(range(1, grid.ndim + 1))
    spectrum = scipy.fft.rfftn(z, axes=axes, workers=BACKEND.workers)

    def transforms():
        scipy.fft.rfftn(z, axes=axes, workers=BACKEND.workers)
        scipy.fft.irfftn(spectrum, grid.shape, axes, workers=BACKEND.workers)

    flat = z.reshape(-1)
    blocks = [slice(start, start + 2**16) for start in range(0, flat.size, 2**16)]
    return best(transforms), len(HIDDEN) * best(lambda: BACKEND.map(lambda block: np.tanh(flat[block]).size, blocks))


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=[128, 256, 512], metavar="N[,...]")
    parser.add_argument("--features", type=numbers, default=[1000, 10000], metavar="NF[,...]")
    parser.add_argument("--dimensions", type=int, default=2)
    parser.add_argument("--maps", default="fft,nufft")
    arguments = parser.parse_args()
    kinds = [kind for kind in arguments.maps.split(",") if kind != "nufft" or has_nufft()]
    print("| points | n_f | map | step | transforms | tanh | step over both |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n in arguments.sizes:
        grid = Grid((n,) * arguments.dimensions)
        transforms, tanh = unavoidable(grid)
        for n_features in (n_f for n_f in arguments.features if n_f <= count_modes(grid)):
            for kind in kinds:
                seconds = best(training_step(grid, n_features, kind))
                print(
                    f"| {n}^{grid.ndim} | {n_features} | {kind} | {seconds:.3g} s | {transforms:.3g} s | {tanh:.3g} s"
                    f" | {seconds / (transforms + tanh):.2f} |",
                    flush=True,
                )
    print(
        f"\n{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at the peak, {BACKEND.workers} threads"
    )


if __name__ == "__main__":
    main()
