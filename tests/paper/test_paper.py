"""The paper in one file: its equations as printed, its gradients by complex steps, and the engine held against it."""

import ast
import cmath
import doctest
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import EPS, complex_step_gradient
from paper.engine_comparison import (
    SHAPES,
    EngineAgainstPaper,
    each_dimension,
    each_exponent,
    noise,
    off_by,
    sizes_of_gradient,
)

from simsnn_ref import ConfigError, Grid, paper
from simsnn_ref.network import initialize, make_map
from simsnn_ref.network.initialization import scale_factor
from simsnn_ref.optimizers import LpLoss, Plateau


class TestEngine(EngineAgainstPaper):
    """On NumPy and array-api-strict."""


# Section 2.1


@each_dimension
def test_dft_is_the_sum_of_eqs_1_and_3(backend, d):
    u = noise(SHAPES[d])
    half = (*u.shape[:-1], u.shape[-1] // 2 + 1)
    spectrum = backend.to_numpy(paper.dft(backend.asarray(u)))
    assert spectrum.shape == half
    for m in itertools.product(*map(range, half)):
        waves = (
            value * cmath.exp(-2j * math.pi * sum(a * b / n for a, b, n in zip(m, j, u.shape, strict=True)))
            for j, value in np.ndenumerate(u)
        )
        # The sum's own rounding, of u.size terms of size 1 and phases of up to 2 pi N.
        assert abs(spectrum[m] - sum(waves) / u.size) <= 64 * EPS


@each_dimension
def test_each_mode_counts_once(backend, d):
    """What Algorithm 1 has wrong: the weights add up to the number of samples, as many as there are numbers in u."""
    u = noise(SHAPES[d])
    _, m, count = map(backend.to_numpy, paper.modes(backend.asarray(u)))
    assert np.sum(count) == u.size
    met = {tuple(row % u.shape) for row in m[count > 0.0]}
    conjugate = {tuple(-row % u.shape) for row in m[count == 2.0]}
    assert len(met) == np.count_nonzero(count)
    assert not met & conjugate
    assert len(met | conjugate) == u.size


# Section 2.2


@pytest.mark.parametrize("name", ["rff", "ffm", "cos"])
def test_first_layers_of_eqs_4_to_6(backend, name):
    u = backend.asarray(noise((6, 7)))
    network, params = initialize(
        name, u, Grid((6, 7)), n_features=4, hidden=(3,), rng=np.random.default_rng(0), backend=backend
    )
    x, B, b = paper.grid(u), params["B"], params["b"]
    ones = backend.asarray(np.ones(B.shape[0]))
    gamma = {
        "rff": lambda: paper.random_fourier_features(x, B, b),
        "ffm": lambda: paper.fourier_feature_mapping(x, ones, B),
        "cos": lambda: paper.cosinusoidal_mapping(x, ones, B, b),
    }[name]()
    identity = backend.asarray(np.eye(4))
    engine = make_map(Grid((6, 7)), backend, kind="dense").forward(identity, network.features(params))
    # Phases of up to 2 pi |B| |x|, here 30, are rounded, and for a sine a quarter turn is added.
    assert off_by(backend.to_numpy(engine), backend.to_numpy(gamma), 1.0) <= 32


@pytest.mark.parametrize("n_f", [0, 11])
def test_more_modes_than_there_are(backend, n_f):
    u = backend.asarray(noise((4, 4)))
    with pytest.raises(ConfigError, match=f"n_f = {n_f}: these samples have 10 Fourier modes; choose 1 to 10"):
        paper.algorithm_1(u, n_f)


def test_samples_that_cannot_be_fitted(backend):
    assert paper.fit(backend.asarray(np.zeros((4, 4))), [3], [2], steps=1) == []
    with pytest.raises(ConfigError, match="the residue of stage 1 is not finite"):
        paper.fit(backend.asarray(np.full((4, 4), np.nan)), [3], [2], steps=1)


def test_scale_factor():
    assert paper.scale_factor(3.0, 0.02) == scale_factor(3.0, 0.02)


# Sections 3.1 and 3.3: gradients


@each_exponent
@each_dimension
def test_gradients_by_complex_steps(backend, d, p):
    u = backend.asarray(noise(SHAPES[d]))
    x, t = paper.grid(u), backend.xp.reshape(u, (-1,))
    A, params = paper.initialize(u, 6, (4, 3), np.random.default_rng(0))
    exact = complex_step_gradient(
        lambda stepped: paper.lp_loss(paper.network_forward(x, A, stepped)[0] - t, p), params, backend
    )
    v, h = paper.network_forward(x, A, params)
    du = paper.lp_loss_backward(v - t, p)
    grads = paper.network_backward(x, A, params, h, du)
    assert list(grads) == list(params)
    sizes = sizes_of_gradient(x, A, params, h, du, backend)
    for name, gradient in grads.items():
        # As for the engine. Measured: 10.
        assert off_by(backend.to_numpy(gradient), exact[name], sizes[name]) <= 32 + 2 * p


def test_frozen_parameters_have_no_gradient(backend):
    u = backend.asarray(noise((5, 6)))
    A, params = paper.initialize(u, 4, (3,), np.random.default_rng(0))
    v, h = paper.network_forward(paper.grid(u), A, params)
    grads = paper.network_backward(paper.grid(u), A, params, h, v, frozen=("B", "b"))
    assert list(grads) == ["W1", "c1", "W2", "c2"]
    trained = paper.train(paper.grid(u), v + 1.0, A, params, steps=3, frozen=("B", "b"))
    assert {name for name in params if trained[name] is not params[name]} == set(grads)


def test_the_phase_of_the_mean_has_no_gradient(backend):
    """A mode that is its own conjugate starts where the loss is even in its phase; see ODD_SHAPES."""
    u = backend.asarray(1.0 + 0.1 * noise((5, 6)))
    x, t = paper.grid(u), backend.xp.reshape(u, (-1,))
    A, params = paper.initialize(u, 4, (3,), np.random.default_rng(0))
    v, h = paper.network_forward(x, A, params)
    grads = paper.network_backward(x, A, params, h, paper.lp_loss_backward(v - t))
    assert np.all(backend.to_numpy(params["B"])[0] == 0.0)
    assert abs(backend.to_numpy(grads["b"])[0]) <= EPS


@pytest.mark.parametrize("p", [2, 3, 10])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_loss_and_its_gradient_whatever_the_size(backend, p, scale):
    e = scale * noise((40,))
    on = backend.asarray(e)
    loss, engine = float(paper.lp_loss(on, p)), LpLoss(float(p))
    # p multiplications and a root.
    assert abs(loss - float(engine.forward(backend.xp, on))) <= 2 * p * EPS * loss
    exact = scale * math.fsum(abs(float(r)) ** p / 40 for r in e / scale) ** (1.0 / p)
    assert abs(loss - exact) <= 2 * p * EPS * loss
    slope, of_engine = (
        backend.to_numpy(of(on)) for of in (lambda e: paper.lp_loss_backward(e, p), lambda e: engine.vjp(backend.xp, e))
    )
    assert np.all(np.abs(slope - of_engine) <= 4 * p * EPS * np.abs(slope))
    # L is homogeneous of degree 1: <dL/de, e> = L.
    assert abs(np.sum(slope * (e / loss)) - 1.0) <= 4 * p * EPS


def test_loss_of_nothing():
    assert float(paper.lp_loss(np.zeros(3))) == 0.0


# Section 4.2


def test_learning_rate_is_halved_where_the_engine_halves_it():
    rng = np.random.default_rng(0)
    losses = list(np.exp(-np.arange(300) / 40.0) + 0.05 + 0.02 * rng.standard_normal(300))
    schedule, rate, rates = Plateau(1.0, window=20), 1.0, set()
    for seen in range(1, 301):
        rate = paper.anneal(rate, losses[:seen], window=20)
        assert rate == schedule.learning_rate(losses[:seen])
        rates.add(rate)
    assert len(rates) > 3


def test_the_best_parameters_are_kept(backend):
    u = backend.asarray(noise((5, 6)))
    x, t = paper.grid(u), backend.xp.reshape(u, (-1,))
    A, params = paper.initialize(u, 8, (6,), np.random.default_rng(0))

    def loss(params):
        return float(paper.lp_loss(paper.network_forward(x, A, params)[0] - t))

    # Steps this long overshoot.
    reached = [loss(paper.train(x, t, A, params, steps, learning_rate=0.2)) for steps in range(20)]
    assert reached == sorted(reached, reverse=True)
    assert len(set(reached)) < len(reached)
    assert reached[-1] < 0.9 * reached[0]


# The file


def test_it_stands_on_its_own():
    tree = ast.parse(Path(paper.__file__).read_text("utf-8"))
    taken = [node.names[0].name for node in ast.walk(tree) if isinstance(node, ast.Import)]
    taken += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name for name in taken if name.startswith("simsnn_ref")} == {"simsnn_ref.errors"}
    assert {name.partition(".")[0] for name in taken} <= {*sys.stdlib_module_names, "numpy", "simsnn_ref"}


def test_its_examples():
    outcome = doctest.testmod(paper)
    assert outcome.failed == 0
    assert outcome.attempted >= 20


def test_it_runs_and_prints_its_table():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "simsnn_ref.paper"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    stage, n_f, eps, rms, largest, rms_between, largest_between = np.array(rows, dtype=float).T
    assert stage.tolist() == [1.0, 2.0, 3.0]
    assert n_f.tolist() == [20.0, 40.0, 80.0]
    # A stage starts from what the one before left, and leaves a tenth of it.
    assert np.array_equal(eps[1:], rms[:-1])
    assert np.all(rms < 0.1 * eps)
    assert np.all((rms < largest) & (rms_between < largest_between))
    # Between the samples later stages gain next to nothing, as the text says.
    assert rms_between[2] > 0.5 * rms_between[1] > 5.0 * rms[1]
    assert "the later stages bring nothing" in " ".join(done.stdout.split())
