"""Time of a training step on several backends, which take turns in one process.

The step is that of `floor.py` with B frozen: the L^10 loss of a 3 x 30 tanh network and its gradient. NAME@N is a
backend whose `map` has N threads.

    python asv_bench/backends.py [--backends numpy,torch,torch@1] [--size 512] [--features 10000] [--json FILE]

On a machine with a GPU ``--backends cupy,torch:cuda`` compares the two backends on it, and ``peers/compare.py --gpu``
compares with PyTorch's and JAX's own derivatives. A backend that does not load is named and left out.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from floor import HIDDEN, smooth_field

from simsnn_ref.backend import Backend, load_backend
from simsnn_ref.errors import BackendError
from simsnn_ref.network import initialize, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid


def make_backend(name: str) -> Backend:
    name, _, workers = name.partition("@")
    backend = load_backend(name)
    if workers:
        backend.workers = int(workers)
    return backend


def training_step(grid: Grid, n_features: int, backend: Backend):
    target = backend.asarray(smooth_field(grid))
    rng = np.random.default_rng(1)
    network, params = initialize(
        "si", target, grid, n_features=n_features, hidden=HIDDEN, rng=rng, backend=backend, z1_rms=1.0
    )
    fmap = make_map(grid, backend, kind="fft", indices=network.indices)
    objective = Objective(network, fmap, backend.xp.reshape(target, (-1,)), LpLoss(10.0), backend)

    def step() -> tuple[float, float]:
        begun = time.perf_counter()
        value, _, _ = objective.value_and_gradient(params)
        backend.synchronize()
        return time.perf_counter() - begun, value

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="numpy,torch,torch@1")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--features", type=int, default=10000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    grid, names = Grid((arguments.size, arguments.size)), arguments.backends.split(",")
    steps, missing = {}, {}
    for name in names:
        try:
            steps[name] = training_step(grid, arguments.features, make_backend(name))
        except BackendError as error:
            missing[name] = str(error)
            print(error, file=sys.stderr)
    if not steps:
        raise SystemExit(f"--backends {arguments.backends}: none of them loads")
    losses = {name: step()[1] for name, step in steps.items()}
    seconds = {name: [] for name in steps}
    for _ in range(arguments.turns):
        for name, step in steps.items():
            seconds[name].append(step()[0])
    first = losses[next(iter(steps))]
    print("| backend | seconds a step | fastest - slowest | loss differs by |\n| --- | --- | --- | --- |")
    for name, taken in seconds.items():
        spread = f"{min(taken):.3g} - {max(taken):.3g}"
        print(f"| {name} | {statistics.median(taken):.3g} | {spread} | {abs(losses[name] / first - 1.0):.1e} |")
    if arguments.json:
        sizes = {"size": arguments.size, "features": arguments.features}
        figures = {name: {"loss": losses[name], "seconds": taken} for name, taken in seconds.items()}
        text = json.dumps({"arguments": sizes, "missing": missing, "backends": figures}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
