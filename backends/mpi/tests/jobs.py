"""The jobs of the tests: ``mpiexec -n P python -m mpi4py jobs.py NAME [ARGUMENT ...]``; rank 0 prints a JSON object."""

import contextlib
import itertools
import json
import os
import signal
import sys
import time

import numpy as np
from simsnn_ref_mpi import Communicator, MpiBackend
from simsnn_ref_mpi.communicator import shares

from simsnn_ref import Callback, Grid, Interrupted, fit, resume
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.main import main
from simsnn_ref.errors import BackendError, SimsnnError
from simsnn_ref.model import Checkpoints
from simsnn_ref.network import Features, LinearMap, initialize, make_map
from simsnn_ref.optimizers import Adam, Limits, LpLoss, Objective, minimize
from simsnn_ref.testing import check_backend

EPS = float(np.finfo(np.float64).eps)

backend = MpiBackend()
processes = backend.processes
communicator = processes.communicator


class Recorder(Callback):
    def __init__(self):
        self.losses, self.rms = [], []

    def on_step(self, step):
        self.losses.append(step.loss)
        self.rms.append(step.rms)


# Agreement with one process


def short_fits(on, nudge=0.0):
    """Losses and RMS of the first steps, for every method, first layer and dimension."""
    found = {}
    for shape in ((41,), (12, 13), (6, 5, 7)):
        rng = np.random.default_rng(0)
        u = rng.standard_normal(shape) * (1.0 + nudge * rng.choice([-1.0, 1.0], shape))
        for optimizer in ("adam", "gauss_newton", "lbfgs"):
            for first_layer in ("si", "cos", "none") if len(shape) == 2 else ("si",):
                options = {"mode": "paper", "steps": 5, "stages": 1, "hidden": (5, 4), "p": 4.0, "inner_iterations": 5}
                options |= {"optimizer": optimizer, "first_layer": first_layer, "seed": 3}
                options |= {"n_features": None if first_layer == "none" else 15}
                recorder = Recorder()
                model = fit(u, Grid(shape), backend=on, callbacks=[recorder], **options)
                for stage in model.stages:
                    processes.require_same("a stage", stage.params)
                found[f"{len(shape)}d {optimizer} {first_layer}"] = [recorder.losses, recorder.rms]
    return found


def accurate_fits(on):
    """Errors and optimisers of the stages of fits in mode accurate, and whether they are certified."""
    points = np.random.default_rng(1).uniform(-1.0, 1.0, (150, 2))

    def field(grid):
        return np.exp(np.sin(np.pi * grid.scaled_points() @ np.ones(grid.ndim) + 0.3)).reshape(grid.shape)

    cases = {f"{len(shape)}d": (field(Grid(shape)), Grid(shape)) for shape in ((33,), (12, 14), (4, 5, 6))}
    cases["points"] = points, np.sin(points @ [2.0, 1.0])
    cases["function"] = lambda p: np.log(p[:, 0] + 2.0), Grid((40,), periodic=(False,))
    found = {}
    for name, (u, where) in cases.items():
        history = fit(u, where, backend=on, stages=2, optimizer="adam" if name == "2d" else "auto", steps=2).history
        found[name] = {
            "errors": [[stage.rms_on_grid, stage.rms_off_grid] for stage in history.stages],
            "agrees": history.certified["agrees"],
            "optimizers": [stage.optimizer for stage in history.stages],
        }
    return found


# The parts


def maps():
    """Errors of the shared maps' products, in eps of the 2-norm of those of the whole maps, for 1, 2 and 5 units."""
    rng, numpy, found = np.random.default_rng(2), NumpyBackend(), {}
    grid, n_f = Grid((6, 7)), 4
    indices = np.asarray([[1, 2], [0, 1], [-2, 3], [2, 0]])
    features = Features(rng.uniform(1.0, 2.0, n_f), np.pi * indices, rng.uniform(0.0, 6.0, n_f))
    x = rng.uniform(-1.0, 1.0, (11, 2))
    several = {kind: make_map(grid, numpy, kind=kind, indices=indices) for kind in ("fft", "separable", "dense")}
    several |= {"points": make_map(x, numpy, kind="dense"), "linear": LinearMap(x, numpy)}
    for kind, whole in several.items():
        shared, trains = processes.shard(whole), kind in ("separable", "points")
        given = None if kind == "linear" else features
        assert processes.size == 1 or shared.n_points < whole.n_points
        for h in (1, 2, 5):
            W, W_dot = rng.standard_normal((2, h, 2 if kind == "linear" else n_f))
            K_dot, b_dot = (rng.standard_normal((n_f, 2)) if trains else None), rng.standard_normal(n_f)
            dz = rng.standard_normal((h, whole.n_points))
            here = slice(None) if processes.size == 1 else shared.shard.here
            z, z_dot = shared.forward(W, given), shared.jvp(W, given, W_dot, K_dot, b_dot)
            gradient = shared.vjp(W, given, dz[:, here], wavenumbers=trains)
            exact = whole.vjp(W, given, dz, wavenumbers=trains)
            pairs = [(z, whole.forward(W, given)[:, here])]
            pairs += [(z_dot, whole.jvp(W, given, W_dot, K_dot, b_dot)[:, here])]
            for name in ("weights", "phases", "wavenumbers"):
                if getattr(exact, name) is not None:
                    pairs.append((communicator.sum(getattr(gradient, name)), getattr(exact, name)))
            worst = max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
            found[f"{kind} {h}"] = communicator.max(worst) / EPS
    return found


def transforms():
    """Whether a transform that is divided among the ranks has SciPy's bits."""
    rng, numpy = np.random.default_rng(3), NumpyBackend()
    found = {}
    for shape in ((30,), (31,), (12, 13), (13, 12), (1, 8), (6, 5, 7), (5, 6, 8), (2, 3, 4)):
        u, axes = rng.standard_normal(shape), tuple(range(len(shape)))
        for kept in (None, 2):
            same = np.array_equal(processes.distributed(backend).rfftn(u, axes, kept), numpy.rfftn(u, axes, kept))
            found[f"{shape} {kept}"] = communicator.max(float(not same)) == 0.0
    return found


def traffic():
    """Bytes sent for a gradient on the fft map and for a transform, and those of the formulas in docs/scaling.md."""
    grid, h, n_f, grid_half = Grid((12, 20)), 6, 10, (12, 11)
    u = np.random.default_rng(4).standard_normal(grid.shape)
    objective, params = _objective(u, grid, h, n_f)
    before = vars(communicator.traffic).copy()
    objective.value_and_gradient(params)
    after_step = vars(communicator.traffic).copy()
    processes.distributed(backend).rfftn(u, (0, 1))
    after = vars(communicator.traffic).copy()
    minimize(Adam(), objective, params, Limits(steps=3))
    after_steps = vars(communicator.traffic)["messages"]
    n, P, trained = grid.size, processes.size, objective.network.n_parameters(params)
    # A rank sends parts of its rows of the half spectrum, 12 x 11 complex numbers, and its columns to all others.
    rows, columns = (shares(m, P)[communicator.rank] for m in grid_half)
    rows, columns = rows.stop - rows.start, columns.stop - columns.start
    return {
        "exchanged": after_step["exchanged"] - before["exchanged"],
        "exchanged, formula": 2 * 8 * h * n / P * (1 - 1 / P),
        "reduced": after_step["reduced"] - before["reduced"],
        "reduced, formula": 8 * (trained + 2),
        "messages": after_step["messages"] - before["messages"],
        "messages, three steps": after_steps - after["messages"],
        "transform": after["exchanged"] - after_step["exchanged"],
        "transform, formula": 16 * (rows * (11 - columns) + 12 * columns * (P - 1)),
    }


def _objective(u, grid, h, n_f):
    rng = np.random.default_rng(5)
    network, params = initialize("si", u, grid, n_features=n_f, hidden=(h, 4), rng=rng, backend=backend)
    whole = make_map(grid, backend, kind="fft", indices=network.indices, period=network.period)
    fmap = processes.shard(whole)
    target = u.reshape(-1) if processes.size == 1 else fmap.shard.part(u.reshape(-1))
    return Objective(network, fmap, target, LpLoss(4.0), backend), params


def time_limit():
    """Numbers of steps within max_seconds, where the clocks of the ranks run apart."""
    clock, late = time.perf_counter, 1e6 * (communicator.rank == 1)
    started = clock()
    time.perf_counter = lambda: clock() + late * (clock() - started)
    try:
        u = np.random.default_rng(6).standard_normal((16, 16))
        options = {"mode": "paper", "optimizer": "adam", "n_features": 9, "stages": 1, "steps": 10**6}
        recorder = Recorder()
        fit(u, backend=backend, max_seconds=0.2, callbacks=[recorder], **options)
    finally:
        time.perf_counter = clock
    steps = [int(communicator.max(sign * len(recorder.losses))) for sign in (1, -1)]
    return {"most": steps[0], "least": -steps[1]}


def refusals():
    """Messages about what cannot be done."""
    u = np.random.default_rng(7).standard_normal((8, 8))
    rank = np.full(2, communicator.rank)
    return {
        "levenberg_marquardt": _message(lambda: fit(u, backend=backend, optimizer="levenberg_marquardt")),
        "few points": _message(lambda: processes.shard(LinearMap(np.zeros((1, 1)), backend))),
        "other data": _message(lambda: fit(u + communicator.rank, backend=backend, mode="paper", n_features=5)),
        "other parameters": _message(lambda: communicator.require_same("a stage", {"b": rank})),
    }


def hooks():
    """Whether the interpreter's hook for uncaught errors is its own, after a backend is made."""
    MpiBackend()
    return {"own": sys.excepthook is sys.__excepthook__}


def numerics():
    """Results of all the functions above."""
    found = {"short_fits": short_fits(backend), "accurate_fits": accurate_fits(backend)}
    return found | {part.__name__: part() for part in (maps, transforms, traffic, time_limit, refusals, hooks)}


CHECKPOINTED = {
    "adam": {"mode": "paper", "optimizer": "adam", "n_features": 9, "stages": 2, "steps": 12},
    "lbfgs": {"mode": "paper", "optimizer": "lbfgs", "n_features": 9, "stages": 2, "steps": 12},
    "gauss_newton": {"mode": "paper", "optimizer": "gauss_newton", "n_features": 9, "stages": 2, "steps": 4},
}


def checkpoints(folder):
    """Whether fits that a signal to the last rank stops end, when they are resumed, with the bits of a whole fit."""

    class Signalled(Callback):
        def on_step(self, step):
            if (step.stage, step.step) == (2, 2) and communicator.rank == processes.size - 1:
                os.kill(os.getpid(), signal.SIGTERM)

    u, found = np.random.default_rng(9).standard_normal((12, 14)), {}
    for name, options in CHECKPOINTED.items():
        whole, run = fit(u, backend=backend, **options), f"{folder}/{name}"
        try:
            fit(u, backend=backend, checkpoint=run, callbacks=[Signalled()], **options)
            stopped = ""
        except Interrupted as error:
            stopped = str(error).replace(str(folder), "DIR")
        resumed = resume(run, backend=backend)
        same = [
            np.array_equal(value, other.params[key])
            for stage, other in zip(whole.stages, resumed.stages, strict=True)
            for key, value in stage.params.items()
        ]
        found[name] = {"same": communicator.max(float(not all(same))) == 0.0, "stopped": _of_all(stopped)}
    # The folder is held by another process, is held by each rank for itself, or has another run: all ranks say so.
    with Checkpoints(f"{folder}/held") if processes.is_root else contextlib.nullcontext():
        held = _message(lambda: fit(u, backend=backend, checkpoint=f"{folder}/held"))
    with Checkpoints(f"{folder}/own{communicator.rank}") as own:
        each = _message(lambda: fit(u, backend=backend, checkpoint=own))
    again = _message(lambda: fit(u, backend=backend, checkpoint=f"{folder}/adam"))
    return found | {key: _of_all(value) for key, value in (("held", held), ("each", each), ("again", again))}


def _of_all(text):
    """The texts of all ranks, each once."""
    return sorted(set(communicator.comm.allgather(text)))


def conformance():
    """Problems that the conformance suite finds on any rank."""
    problems = [str(result) for result in check_backend(backend) if not result.passed]
    return {"problems": [problem for rank in communicator.comm.allgather(problems) for problem in rank]}


# A rank that dies


def _die(how):
    """End the last rank, by a signal or an error."""
    if communicator.rank == processes.size - 1:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {"exit": SystemExit(3), "error": ValueError("a disk is full"), "typed": BackendError("no device")}[how]


def death_in_a_fit(how):
    """A script of its own: the last rank dies in the third step."""

    class Die(Callback):
        def on_step(self, step):
            if step.step == 3:
                _die(how)

    u = np.random.default_rng(8).standard_normal((16, 16))
    options = {"mode": "paper", "optimizer": "adam", "n_features": 20, "steps": 10, "stages": 1}
    fit(u, backend=backend, callbacks=[Die()], **options)


def death_beside_a_fit(how):
    """A script of its own: the last rank dies where the others fit."""
    _die(how)
    fit(np.random.default_rng(8).standard_normal((16, 16)), backend=backend, mode="paper", stages=1)


def death_in_the_command(how, *arguments):
    """The command with these arguments: the last rank dies in its third sum over the points."""
    calls, own_sum = itertools.count(1), Communicator.sum

    def sum_or_die(self, values):
        if next(calls) == 3:
            _die(how)
        return own_sum(self, values)

    Communicator.sum = sum_or_die
    sys.exit(main(arguments))


def _message(action):
    """The error in which an action ends, or nothing."""
    try:
        action()
    except SimsnnError as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    result = globals()[sys.argv[1]](*sys.argv[2:])
    if processes.is_root:
        print(json.dumps(result))
