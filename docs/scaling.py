"""A row of the table in docs/scaling.md: ``mpiexec -n P python -m mpi4py docs/scaling.py 512x512 10000`` prints it."""

import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from simsnn_ref_mpi import MpiBackend

from simsnn_ref.network import initialize, make_map
from simsnn_ref.optimizers import Jacobian, LpLoss, Objective
from simsnn_ref.spectrum import Grid

REPEATS = 7


def main(shape: tuple[int, ...], n_features: int) -> None:
    """Measure a gradient of three layers of 30 units: its time and that of J v with J^T v, its bytes and its memory."""
    backend, grid = MpiBackend(), Grid(shape)
    communicator = backend.processes.communicator
    rng = np.random.default_rng(0)
    u = rng.standard_normal(shape)
    network, params = initialize("si", u, grid, n_features=n_features, hidden=(30, 30, 30), rng=rng, backend=backend)
    fmap = backend.processes.shard(make_map(grid, backend, kind="fft", indices=network.indices, period=network.period))
    objective = Objective(network, fmap, fmap.shard.part(u.reshape(-1)), LpLoss(10.0), backend)
    value, _, _ = objective.value_and_gradient(params)
    before = dict(vars(communicator.traffic))
    tracemalloc.start()
    objective.value_and_gradient(params, value)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sent, reduced = (vars(communicator.traffic)[kind] - before[kind] for kind in ("exchanged", "reduced"))
    gradient = _seconds(lambda: objective.value_and_gradient(params, value), communicator.comm.Barrier)
    _, e = objective.evaluate(params)
    jacobian = Jacobian(objective, params)
    direction = {name: rng.standard_normal(params[name].shape) for name in network.trainable(params)}
    pair = _seconds(lambda: (jacobian.jvp(direction), jacobian.vjp(e)), communicator.comm.Barrier)
    if backend.processes.is_root:
        cells = (backend.processes.size, f"{gradient:.3f}", f"{pair:.3f}", sent, reduced, f"{memory / 2**20:.0f} MiB")
        print(f"| {' x '.join(map(str, shape))} | {' | '.join(map(str, cells))} |")


def _seconds(action: Callable[[], object], wait: Callable[[], None]) -> float:
    """Return the least of several times until the last rank is done: other work of the machine only adds to them."""
    times = []
    for _ in range(REPEATS):
        wait()
        started = time.perf_counter()
        action()
        wait()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1].split("x"))), int(sys.argv[2]))
