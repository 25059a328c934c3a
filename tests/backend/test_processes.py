"""A fit whose points two processes share, against that of one; two threads stand for the processes here."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from simsnn_ref import Grid
from simsnn_ref.backend import SERIAL, NumpyBackend, SerialProcess, WholeShard, rms
from simsnn_ref.errors import ConfigError
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage import forecast
from simsnn_ref.network import initialize, make_map
from simsnn_ref.optimizers import (
    LBFGS,
    Adam,
    GaussNewton,
    LevenbergMarquardt,
    Limits,
    LpLoss,
    Objective,
    is_small,
    minimize,
)

EPS = np.finfo(np.float64).eps


class Half:
    """One of two shards; the threads see each other's numbers in a list that they share."""

    is_whole = False

    def __init__(self, n_total, here, seen, barrier, index):
        self.n_total, self.here = n_total, here
        self._seen, self._barrier, self._index = seen, barrier, index

    def _both(self, mine):
        self._seen[self._index] = mine
        self._barrier.wait(timeout=60)
        both = list(self._seen)
        self._barrier.wait(timeout=60)
        return both

    def sum(self, *sums):
        return [a + b for a, b in zip(*self._both(sums), strict=True)]

    def max(self, value):
        return max(self._both(value))

    def broadcast(self, value):
        return self._both(value)[0]

    def part(self, x):
        return x[self.here]

    def gather(self, x):
        return np.concatenate(self._both(x))


def whole_and_halves(p, n_features):
    rng, backend, grid = np.random.default_rng(0), NumpyBackend(workers=1), Grid((9, 8))
    u = rng.standard_normal(grid.shape)
    network, params = initialize("si", u, grid, n_features=n_features, hidden=(4, 3), rng=rng, backend=backend)
    whole = Objective(network, make_map(grid, backend, kind="dense"), u.reshape(-1), LpLoss(p), backend)
    points, seen, barrier, halves = grid.scaled_points(), [None, None], threading.Barrier(2), []
    for index, here in enumerate((slice(0, 31), slice(31, 72))):
        fmap = make_map(points[here], backend, kind="dense")
        fmap.shard, fmap.grid_shape = Half(72, here, seen, barrier, index), grid.shape
        halves.append(replace(whole, fmap=fmap, target=whole.target[here]))
    return whole, halves, params


def on_both(function, halves):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, halves))


@pytest.mark.parametrize("p", [2.0, 4.0, 5.0])
def test_loss_gradient_and_products(p):
    # Two sums in place of one: some eps of what is summed.
    whole, halves, params = whole_and_halves(p, 10)

    def compute(objective):
        value, e = objective.evaluate(params)
        shard = objective.shard
        again, _, gradient = objective.value_and_gradient(params)
        return {
            "loss": value,
            "loss in one pass": again,
            "rms": rms(np, e, shard),
            "dL/de": shard.gather(objective.loss.vjp(np, e, shard)),
            "jvp": objective.loss.jvp(np, e, e, shard),
            **gradient,
        }

    exact = compute(whole)
    first, second = on_both(compute, halves)
    for name, expected in exact.items():
        assert np.array_equal(first[name], second[name]), name
        assert np.linalg.norm(first[name] - expected) <= 32 * EPS * np.linalg.norm(expected), name


@pytest.mark.parametrize("n_features", [4, 30])
@pytest.mark.parametrize("method", [Adam(), LBFGS(), GaussNewton(inner_iterations=4)])
def test_minimisation(method, n_features):
    # 30 features are more parameters than points, where Gauss-Newton weighs wavenumbers. Few inner iterations: they
    # amplify rounding.
    whole, halves, params = whole_and_halves(4.0, n_features)
    assert all(each.is_overparameterized(params) == (n_features == 30) for each in (whole, *halves))
    exact = minimize(method, whole, params, Limits(steps=3))
    found = on_both(lambda half: minimize(method, half, params, Limits(steps=3, max_seconds=1e3)), halves)
    for result in found:
        start = exact.loss_history[0]
        assert np.max(np.abs(result.loss_history - exact.loss_history)) <= 1e4 * EPS * start
        assert all(np.array_equal(result.params[name], found[0].params[name]) for name in params)


def test_dense_matrices_need_all_points():
    whole, halves, params = whole_and_halves(4.0, 4)
    assert is_small(whole, params)
    assert not is_small(halves[0], params)
    with pytest.raises(ConfigError, match="'levenberg_marquardt': its matrices are not divided among processes"):
        LevenbergMarquardt().init(halves[0], params)


def test_numpy_has_one_process_with_all_points():
    assert NumpyBackend().processes is SERIAL
    fmap = make_map(Grid((4,)), NumpyBackend(), kind="dense")
    assert SERIAL.shard(fmap).shard == WholeShard(4)


def test_a_process_of_many_needs_less_memory():
    grid, config = Grid((256, 256)), FitConfig.of(optimizer="adam", n_features=(1000,))
    one, of_eight = forecast(grid, config), forecast(grid, config, processes=SerialProcess(size=8, size_here=4))
    # z_1 of 30 units in extended precision, on the twice finer grid.
    assert one.least_bytes - of_eight.least_bytes >= 16 * 30 * 512**2 * 7 // 8
    assert of_eight.stages[0].bytes < 0.5 * one.stages[0].bytes
    assert of_eight.available_bytes <= one.available_bytes / 2
