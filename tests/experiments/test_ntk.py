"""The kernel against a dense Jacobian, its prediction where it is exact, and the study in its smallest size."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import EPS, relative_error
from small_problems import CASES, field, problem

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.experiments import Settings, to_dict, to_markdown
from simsnn_ref.experiments.ntk import run
from simsnn_ref.experiments.ntk.descent import gradient_descent, predicted_components
from simsnn_ref.experiments.ntk.kernel import (
    effective_rank,
    eigensystem,
    mean_wavenumbers,
    neural_tangent_kernel,
    power_at,
)
from simsnn_ref.experiments.ntk.problem import CYCLES, FIRST_LAYERS, WAVES, amplitudes, starting_point
from simsnn_ref.network import initialize, make_map
from simsnn_ref.optimizers import Jacobian, LpLoss, Objective, dense_jacobian
from simsnn_ref.spectrum import Grid

X = Grid((64,)).scaled_axes()[0]


@pytest.fixture(scope="module")
def outcome():
    return run(Settings("quick"))


# The kernel


@pytest.mark.parametrize(("first_layer", "kind", "wavenumbers"), CASES)
def test_kernel_is_that_of_the_dense_jacobian(backend, first_layer, kind, wavenumbers):
    objective, params = problem(backend, first_layer, kind, wavenumbers)
    J = backend.to_numpy(dense_jacobian(Jacobian(objective, params)))
    # Sums of at most 200 products, behind phases of up to 20 radians.
    assert relative_error(neural_tangent_kernel(objective, params), J @ J.T / J.shape[0]) < 200 * EPS


def test_kernel_is_that_of_the_chain_rule(backend):
    """Without the factors that `kernel` and `dense_jacobian` share: a column J^T e_i at a time."""
    objective, params = problem(backend, "msnn", "dense", True)
    n, one = objective.fmap.n_points, backend.asarray(np.eye(objective.fmap.n_points))
    rows = [
        objective.network.backward(params, objective.fmap, lambda u, block, i=i: one[i, :][block]) for i in range(n)
    ]
    J = np.stack([backend.to_numpy(objective.flatten(row, params)) for row in rows])
    assert relative_error(neural_tangent_kernel(objective, params), J @ J.T / n) < 200 * EPS


def test_eigensystem_is_sorted_and_rebuilds_the_kernel():
    objective, params = starting_point("si", 10, seed=0, points=64)
    K = neural_tangent_kernel(objective, params)
    system = eigensystem(K)
    assert np.all(np.diff(system.values) <= 0.0)
    assert relative_error(system.vectors * system.values @ system.vectors.T, K) < 64 * EPS


def test_eigenvalues_do_not_depend_on_the_number_of_points():
    """Twice the points of a band-limited kernel: the same integral, by a rule that is exact for both."""
    objectives = [starting_point("si", 10, seed=0, points=points) for points in (256, 512)]
    few, many = (eigensystem(neural_tangent_kernel(*objective)).values[:10] for objective in objectives)
    # Harmonics beyond 256 points' 128 cycles are what the rules differ by: the 9th of wave 16, and small.
    assert np.max(np.abs(many - few)) < 1e-9 * few[0]


def test_wavenumbers_and_power_of_an_eigenvector():
    wave = np.cos(np.pi * 4 * X + 0.7)
    both = wave + np.sin(np.pi * 10 * X)
    vectors = np.stack([np.ones_like(X), wave, both], axis=1)
    assert np.allclose(mean_wavenumbers(vectors), [0.0, 4.0, 7.0], rtol=64 * EPS, atol=64 * EPS)
    assert np.allclose(power_at(vectors, (0, *CYCLES)), [1.0, 1.0, 0.5], rtol=64 * EPS, atol=0.0)
    assert effective_rank(np.asarray([2.0, 2.0, 2.0, 0.0])) == 3.0


def test_amplitudes_of_the_target_are_its_own():
    objective, _ = starting_point("none", 10, seed=0, points=64)
    found = amplitudes(objective.target[None, :])[0, :]
    expected = np.asarray([amplitude for _, amplitude, _ in WAVES])
    assert relative_error(found, expected / np.sqrt(np.sum(expected**2) / 2.0)) < 64 * EPS


# Training


def linear_problem(n_modes=8):
    """Eq. 10 with weights that train: J is the features and does not move."""
    grid = Grid((8, 10))
    target = field(grid)
    backend = NumpyBackend()
    rng = np.random.default_rng(0)
    network, params = initialize("fourier", target, grid, n_features=n_modes, hidden=(), rng=rng, backend=backend)
    network = replace(network, frozen=frozenset({"B", "b"}))
    params["W1"] = params["W1"] - 0.5
    fmap = make_map(grid, backend, indices=network.indices)
    return Objective(network, fmap, target.ravel(), LpLoss(2.0), backend), params


def test_prediction_is_exact_for_a_linear_model():
    objective, params = linear_problem()
    system = eigensystem(neural_tangent_kernel(objective, params))
    eta, steps = 1.5 / system.values[0], 50
    residues, trained = gradient_descent(objective, params, eta, steps)
    measured = residues @ system.vectors
    predicted = predicted_components(system, measured[0, :], eta, steps)
    # A rounding of eps each step, of quantities that do not grow.
    assert np.max(np.abs(measured - predicted)) < 10 * steps * EPS * np.linalg.norm(measured[0, :])
    assert np.linalg.norm(measured[-1, :]) < 0.9 * np.linalg.norm(measured[0, :])
    moved = neural_tangent_kernel(objective, trained) - neural_tangent_kernel(objective, params)
    assert not np.any(moved)


def test_a_small_step_of_a_network_is_the_kernels():
    """To first order in eta: half the step, a quarter of what the prediction is off by."""
    objective, params = starting_point("rff", 10, seed=0, points=64)
    system = eigensystem(neural_tangent_kernel(objective, params))
    off = []
    for eta in (1e-3 / system.values[0], 5e-4 / system.values[0]):
        measured = gradient_descent(objective, params, eta, 1)[0] @ system.vectors
        off.append(np.linalg.norm(measured - predicted_components(system, measured[0, :], eta, 1)))
    assert off[0] / off[1] == pytest.approx(4.0, rel=0.01)


# The study


@pytest.mark.slow
def test_numbers_are_ready_for_json(outcome):
    data = json.loads(json.dumps(to_dict(outcome), allow_nan=False))
    assert data["experiment"] == "ntk"
    numbers = data["numbers"]
    assert len(numbers["runs"]) == len(FIRST_LAYERS) * len(numbers["widths"]) * numbers["seeds"]
    assert all(len(run["eigenvalues"]) == numbers["points"] for run in numbers["runs"])


@pytest.mark.slow
def test_every_first_layer_has_its_rows(outcome):
    kernel_table, wave_table, decay_table = outcome.tables
    assert [row[0] for row in kernel_table.rows] == list(FIRST_LAYERS)
    assert [row[0] for row in wave_table.rows] == list(FIRST_LAYERS)
    assert len(decay_table.rows) == len(FIRST_LAYERS) * len(outcome.numbers["widths"])
    for table in outcome.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert "section 2.3" in to_markdown(outcome)


@pytest.mark.slow
def test_spectral_bias_and_what_si_does_about_it(outcome):
    """The claims that do not hang on a threshold: they hold by orders of magnitude."""
    assert [claim.held for claim in outcome.claims[:4]] == [True] * 4


@pytest.mark.slow
def test_the_same_seeds_give_the_same_numbers(outcome):
    again = starting_point("si", 30, seed=0, points=outcome.numbers["points"])
    first = next(each for each in outcome.numbers["runs"] if each["first_layer"] == "si")
    assert eigensystem(neural_tangent_kernel(*again)).values.tolist() == first["eigenvalues"]


@pytest.mark.slow
def test_figure_has_all_panels_labelled(outcome):
    figure = outcome.draw()
    figure.draw_without_rendering()
    assert len(figure.axes) == 6
    assert all(panel.get_title() and panel.get_xlabel() and panel.get_ylabel() for panel in figure.axes)


def test_other_optimizers_are_refused():
    with pytest.raises(ConfigError, match=r"^ntk: the kernel describes gradient descent"):
        run(Settings("quick", optimizer="adam"))
