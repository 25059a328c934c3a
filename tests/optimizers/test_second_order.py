"""The methods that use J: its dense forms against each other, convergence where it is known, and why they stop."""

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import EPS, StrictBackend, relative_error
from small_problems import CASES, GRID, field, problem

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError, DivergenceError
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage import train
from simsnn_ref.multistage.methods import choose_optimizer
from simsnn_ref.network import Network, make_map
from simsnn_ref.optimizers import (
    LBFGS,
    Adam,
    AdamState,
    Exponential,
    GaussNewton,
    Jacobian,
    LevenbergMarquardt,
    Limits,
    LpLoss,
    Objective,
    SpectralWeights,
    dense_jacobian,
    is_small,
    kernel,
    minimize,
    natural_scales,
)
from simsnn_ref.optimizers.second_order import jacobian as jacobian_module
from simsnn_ref.optimizers.second_order.descent import Effort
from simsnn_ref.optimizers.second_order.gauss_newton import _MatrixFree
from simsnn_ref.spectrum import Grid

METHODS = [GaussNewton(inner_iterations=100), LevenbergMarquardt(), LBFGS()]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)

each_case = pytest.mark.parametrize(("first_layer", "kind", "wavenumbers"), CASES)


def direction(objective, params, seed=0):
    """Random, as a vector on the host and as parameters."""
    v = np.random.default_rng(seed).standard_normal(objective.network.n_parameters(params))
    return v, objective.unflatten(objective.backend.asarray(v), params)


# Products


@each_case
def test_flatten_is_the_inverse_of_unflatten(backend, first_layer, kind, wavenumbers):
    objective, params = problem(backend, first_layer, kind, wavenumbers)
    v, values = direction(objective, params)
    assert list(values) == objective.network.trainable(params)
    assert all(values[name].shape == params[name].shape for name in values)
    assert np.array_equal(backend.to_numpy(objective.flatten(values, params)), v)


@each_case
def test_jacobian_is_what_the_products_multiply_by(backend, first_layer, kind, wavenumbers):
    objective, params = problem(backend, first_layer, kind, wavenumbers)
    jacobian = Jacobian(objective, params)
    J = backend.to_numpy(dense_jacobian(jacobian))
    v, values = direction(objective, params)
    w = np.random.default_rng(1).standard_normal(J.shape[0])
    network, w_device = objective.network, backend.asarray(w)
    # By the products of the columns, and by the backward pass.
    pulled = [jacobian.vjp(w_device), network.backward(params, objective.fmap, lambda u, block: w_device[block])]
    # Sums of at most 200 products, behind phases of up to 20 radians.
    assert relative_error(backend.to_numpy(jacobian.jvp(values)), J @ v) < 200 * EPS
    for grads in pulled:
        assert list(grads) == objective.network.trainable(params)
        assert relative_error(backend.to_numpy(objective.flatten(grads, params)), J.T @ w) < 200 * EPS


def test_jacobian_without_its_factors_kept(backend, monkeypatch):
    """Computed again block by block they are the same to the bit, and so are the products."""
    results = []
    for kept in (2**28, 0):
        monkeypatch.setattr(jacobian_module, "KEPT_ELEMENTS", kept)
        objective, params = problem(backend)
        jacobian = Jacobian(objective, params)
        assert bool(jacobian._kept) == (kept > 0)
        _, values = direction(objective, params)
        grads = objective.flatten(jacobian.vjp(objective.target), params)
        results.append([backend.to_numpy(x) for x in (jacobian.jvp(values), grads)])
    assert all(np.array_equal(one, two) for one, two in zip(*results, strict=True))


@each_case
def test_kernel_is_j_d_squared_j_transposed(backend, first_layer, kind, wavenumbers):
    objective, params = problem(backend, first_layer, kind, wavenumbers)
    scales = natural_scales(Jacobian(objective, params))
    JD = backend.to_numpy(dense_jacobian(Jacobian(objective, params)) * objective.flatten(scales.by_name(), params))
    K = backend.to_numpy(kernel(Jacobian(objective, params), scales))
    assert relative_error(K, JD @ JD.T) < 200 * EPS
    assert np.array_equal(K, K.T)


def test_the_kernel_of_many_blocks(backend, monkeypatch):
    objective, params = problem(backend)
    scales = natural_scales(Jacobian(objective, params))
    whole = backend.to_numpy(kernel(Jacobian(objective, params), scales))
    monkeypatch.setattr("simsnn_ref.optimizers.second_order.levenberg_marquardt.KERNEL_BLOCK", 7)
    assert relative_error(backend.to_numpy(kernel(Jacobian(objective, params), scales)), whole) < 8 * EPS


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_natural_scales_even_out_the_columns(backend, size):
    """However small the first weights: the amplitudes span decades, and so do the columns of J without the scales."""
    objective, params = problem(backend, hidden=(6, 5, 4), n_features=20, u=field(decay=1.5))
    params |= {"W1": size * params["W1"], "c1": size * params["c1"], "W4": params["W4"] / size}
    J = backend.to_numpy(dense_jacobian(Jacobian(objective, params)))
    named = natural_scales(Jacobian(objective, params)).by_name()
    scales = backend.to_numpy(objective.flatten(named, params))
    weights = np.arange(J.shape[1]) >= params["b"].size
    raw = np.sqrt(np.mean(J**2, axis=0))
    assert np.max(raw[weights]) / np.min(raw[weights]) > 1e3
    # Factors of order one remain where du/dz_h and h_j are correlated.
    assert np.max(np.abs(np.log10((raw * scales)[weights]))) < 1.0
    assert np.all((raw * scales)[~weights] <= 2.0)
    assert np.all(scales[~weights] <= 1.0)


# Linear problems: what the minimum is, is known


def linear_problem(backend, p=2.0, noise=0.5):
    """Depth 0: u is linear in W1 and c1, the only parameters that train; 80 points, 21 parameters, no exact fit."""
    rng = np.random.default_rng(2)
    indices = np.stack(np.meshgrid(np.arange(4), np.arange(1, 6), indexing="ij"), axis=-1).reshape(-1, 2)
    unit = np.array(GRID.wavenumber_units)
    amplitudes = 10.0 ** -rng.uniform(0.0, 6.0, len(indices))
    network = Network(backend, "si", (), backend.asarray(amplitudes), frozen=frozenset({"B", "b"}), indices=None)
    params = {
        "B": backend.asarray(indices * unit),
        "b": backend.asarray(rng.uniform(0.0, 1.0, len(indices))),
        "W1": backend.asarray(rng.standard_normal((1, len(indices)))),
        "c1": backend.asarray(np.ones(1)),
    }
    target = backend.asarray(field().ravel() + noise * rng.standard_normal(GRID.size))
    return Objective(network, make_map(GRID, backend), target, LpLoss(p), backend), params


@pytest.mark.parametrize("method", [GaussNewton(damping=0.0), LevenbergMarquardt(damping=0.0)], ids=["cg", "dense"])
def test_one_step_solves_linear_least_squares(backend, method):
    objective, params = linear_problem(backend)
    _, e = objective.evaluate(params)
    J, e = backend.to_numpy(dense_jacobian(Jacobian(objective, params))), backend.to_numpy(e)
    least = np.linalg.norm(e - J @ np.linalg.lstsq(J, e)[0]) / math.sqrt(e.size)
    result = minimize(method, objective, params, Limits(steps=1))
    value, e = objective.evaluate(result.params)
    assert value == pytest.approx(least, rel=32 * EPS)
    # At the minimum the residual is orthogonal to every column, whatever its size.
    cosine = backend.to_numpy(e) @ J / (np.linalg.norm(J, axis=0) * np.linalg.norm(backend.to_numpy(e)))
    assert np.max(np.abs(cosine)) < 1e4 * EPS


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0, 10.0])
def test_methods_agree_on_the_minimum_of_a_convex_problem(backend, p):
    objective, params = linear_problem(backend, p)
    slopes = []
    losses = []
    for method in METHODS:
        result = minimize(method, objective, params, Limits(steps=60))
        value, _, gradient = objective.value_and_gradient(result.params)
        gradient = backend.to_numpy(objective.flatten(gradient, params))
        scale = natural_scales(Jacobian(objective, result.params)).by_name()
        slopes.append(np.max(np.abs(gradient * backend.to_numpy(objective.flatten(scale, params)))) / value)
        losses.append(value)
    # The loss is flat at its minimum: an error in the parameters enters squared. 60 steps of L-BFGS are the limit.
    assert max(losses) / min(losses) - 1.0 < 1e-6
    assert max(slopes[:2]) < 1e-6


# Nonlinear problems


@pytest.mark.parametrize("method", METHODS[:2], ids=["cg", "dense"])
@pytest.mark.parametrize(("n_features", "hidden"), [(40, (6, 6)), (6, (3,))], ids=["data space", "parameter space"])
def test_convergence_is_fast_near_a_solution(backend, method, n_features, hidden):
    objective, params = problem(backend, n_features=n_features, hidden=hidden)
    network = objective.network
    step = direction(objective, params, seed=4)[1]
    truth = params | {name: params[name] + 0.03 * step[name] for name in step}
    objective = replace(objective, target=network.forward(truth, objective.fmap))
    # How many steps lead near the solution is up to rounding: 24 to 53 from 24 starts like this one.
    result = minimize(method, objective, params, Limits(steps=200, target_rms=1e-14))
    assert result.stopped_because.startswith("target reached")
    # Three digits and more in the last two steps.
    final = objective.evaluate(result.params)[0]
    assert final < 1e-3 * result.loss_history[-2]


def test_small_dense_stage_reaches_rounding():
    """32^2 points, 100 modes, 3 x 30: random start, and data with energy in every mode, as a second stage has."""
    grid = Grid((32, 32))
    u = field(grid, decay=0.05)
    objective, params = problem(NumpyBackend(), grid=grid, n_features=100, hidden=(30, 30, 30), u=u)
    result = minimize(LevenbergMarquardt(), objective, params, Limits(steps=40, target_rms=1e-14))
    assert result.stopped_because.startswith("target reached")
    assert result.steps <= 30


@each_case
@pytest.mark.parametrize("method", METHODS[:2], ids=["cg", "dense"])
def test_every_map_and_first_layer_is_fitted(backend, method, first_layer, kind, wavenumbers):
    objective, params = problem(backend, first_layer, kind, wavenumbers, hidden=(8, 8))
    result = minimize(method, objective, params, Limits(steps=6))
    assert result.loss_history[-1] < 0.9 * result.loss_history[0]
    assert np.all(np.diff(result.loss_history) < 0.0)


@each_method
@pytest.mark.parametrize("p", [2.0, 2.5, 10.0])
def test_the_loss_never_rises(backend, method, p):
    objective, params = problem(backend, p=p)
    result = minimize(method, objective, params, Limits(steps=8))
    assert result.steps == 8
    falls = np.diff(result.loss_history) < 0.0
    if p > 2.0 and not isinstance(method, LBFGS):
        # The RMS falls at every step while p = 2 steers, L^p from then on.
        falls |= np.diff(result.rms_history) < 0.0
    assert np.all(falls)
    assert result.loss_history[-1] < 0.8 * result.loss_history[0]


@pytest.mark.parametrize("method", METHODS[:2], ids=["cg", "dense"])
def test_maximum_like_norm_reaches_zero_too(backend, method):
    """More parameters than points: the vanishing weights of p = 10 must not keep a zero residual out of reach."""
    objective, params = problem(backend, p=10.0, hidden=(12, 12), n_features=20)
    result = minimize(method, objective, params, Limits(steps=60, target_rms=1e-12))
    assert result.stopped_because.startswith("target reached")


@pytest.mark.parametrize("method", METHODS[:2], ids=["cg", "dense"])
def test_p_2_steers_first(backend, method):
    """A step that lowers the RMS is taken even where the largest residual rises, so L^10 sees the steps of L^2."""
    objective, params = problem(backend, p=10.0, hidden=(12, 12), n_features=20)
    ten, two = (
        minimize(method, replace(objective, loss=LpLoss(p)), params, Limits(steps=8)).rms_history for p in (10.0, 2.0)
    )
    assert np.array_equal(ten, two)


@pytest.mark.parametrize("method", METHODS[:2], ids=["cg", "dense"])
def test_nearly_linear_network(backend, method):
    """First weights of 1e-5 and output weights of 1e5: the network is linear to 1e-10, and so is the problem."""
    objective, params = problem(backend, n_features=42, hidden=(6, 6), u=field(decay=1.5))
    params |= {"W1": 1e-5 * params["W1"], "c1": 1e-5 * params["c1"], "c2": 0.0 * params["c2"], "W3": 1e5 * params["W3"]}
    result = minimize(method, objective, params, Limits(steps=12, target_rms=1e-9))
    assert result.stopped_because.startswith("target reached")


def test_backends_take_the_same_steps():
    histories = []
    for backend in (NumpyBackend(), StrictBackend()):
        objective, params = problem(backend)
        histories.append([minimize(method, objective, params, Limits(steps=4)).loss_history for method in METHODS])
    # Sums run in another order; four steps amplify that little.
    assert np.max(np.abs(np.array(histories[1]) / np.array(histories[0]) - 1.0)) < 1e-9


# Results and stop rules


@each_method
def test_result_is_what_the_history_says(method):
    objective, params = problem(NumpyBackend(), p=4.0)
    seen = []
    result = minimize(method, objective, params, Limits(steps=5), lambda *step: seen.append(step))
    assert result.optimizer == {"GaussNewton": "gauss_newton", "LBFGS": "lbfgs"}.get(
        type(method).__name__, "levenberg_marquardt"
    )
    assert result.stopped_because == "all steps taken"
    assert result.steps == len(result.loss_history) == len(result.rms_history) == 5
    assert seen == list(zip(range(1, 6), result.loss_history, result.rms_history, strict=True))
    # L-BFGS sums the loss in another order.
    assert result.loss_history[0] == pytest.approx(objective.evaluate(params)[0], rel=4 * EPS)
    assert objective.evaluate(result.params)[0] < result.loss_history[-1]
    assert result.params["B"] is params["B"]


@each_method
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(steps=0), "all steps taken"),
        (Limits(steps=50, target_rms=0.9), "target reached: RMS"),
        (Limits(steps=50, stall_tolerance=1.0), "stalled: the second half of its work"),
        (Limits(steps=50, max_seconds=1e-9), "out of time"),
    ],
)
def test_stop_reasons(method, limits, reason):
    objective, params = problem(NumpyBackend())
    result = minimize(method, objective, params, limits)
    assert result.stopped_because.startswith(reason)
    assert result.steps < 50
    if "stalled" in reason:
        assert result.steps == 8


@each_method
def test_loss_that_is_not_finite(method):
    objective, params = problem(NumpyBackend())
    with pytest.raises(DivergenceError, match=r"not finite: parameter c3, 1 of 1 numbers") as caught:
        minimize(method, objective, params | {"c3": np.array([np.nan])}, Limits(steps=3))
    assert caught.value.result.steps == 0


@each_method
def test_zero_residual_and_nothing_to_train(method):
    objective, params = problem(NumpyBackend())
    exact = replace(objective, target=objective.network.forward(params, objective.fmap))
    assert minimize(method, exact, params, Limits(steps=3)).stopped_because == "the residual is zero"
    objective, params = problem(NumpyBackend(), "fourier")
    result = minimize(method, objective, params, Limits(steps=3))
    assert (result.stopped_because, result.steps) == ("nothing to train", 0)


def test_no_step_lowers_the_loss_at_a_minimum():
    objective, params = linear_problem(NumpyBackend())
    result = minimize(LevenbergMarquardt(), objective, params, Limits(steps=200))
    assert result.stopped_because == "converged: no step lowers the loss"


def test_dense_matrices_that_do_not_fit():
    grid = Grid((256, 256))
    objective, params = problem(NumpyBackend(), grid=grid, n_features=3000, hidden=(30,))
    assert not is_small(objective, params)
    with pytest.raises(
        ConfigError, match=r"'levenberg_marquardt': 65536 points and 93061 parameters need 16\d\.\d GiB"
    ):
        minimize(LevenbergMarquardt(), objective, params, Limits(steps=1))


def test_lbfgs_wants_the_backend_of_its_arrays():
    objective, params = problem(StrictBackend())
    with pytest.raises(ConfigError, match="backend 'numpy' is not that of the parameters"):
        minimize(LBFGS(), replace(objective, backend=NumpyBackend()), params, Limits(steps=1))


# The stage


def test_adam_is_its_loop_to_the_bit():
    objective, params = problem(NumpyBackend(), p=10.0)
    network, fmap = objective.network, objective.fmap
    config = FitConfig.of(optimizer="adam", p=10.0)
    result = train(network, params, fmap, objective.target, config, 30)
    adam, schedule = Adam(), Exponential(config.learning_rate, config.training.final_learning_rate, 30)
    state = AdamState.zero(np, {name: params[name] for name in network.trainable(params)})
    losses, met = [1.0], []
    for _ in range(31):
        value, _, grads = objective.value_and_gradient(params, losses[-1])
        losses.append(value)
        met.append(params)
        params, state = adam.update(np, params, grads, state, schedule.learning_rate(losses[1:]))
    losses = losses[1:]
    assert np.array_equal(result.loss_history, losses[:30])
    best = met[int(np.argmin(losses))]
    assert all(np.array_equal(result.params[name], best[name]) for name in best)
    assert (result.steps, result.stopped_because, result.optimizer) == (30, "all steps taken", "adam")


@pytest.mark.parametrize("optimizer", ["adam", "gauss_newton", "levenberg_marquardt", "lbfgs"])
def test_train_uses_the_method_it_is_told(backend, optimizer):
    objective, params = problem(backend)
    config = FitConfig.of(optimizer=optimizer, p=2.0)
    result = train(objective.network, params, objective.fmap, objective.target, config, 3, backend=backend)
    assert result.optimizer == optimizer
    assert result.steps == 3


def test_auto_goes_by_size():
    small, params = problem(NumpyBackend())
    assert choose_optimizer(FitConfig.of(optimizer="auto"), small, params) == "levenberg_marquardt"
    large, params = problem(NumpyBackend(), grid=Grid((128, 128)), n_features=200)
    assert choose_optimizer(FitConfig.of(optimizer="auto"), large, params) == "levenberg_marquardt"
    large, params = problem(NumpyBackend(), grid=Grid((128, 128)), n_features=200, hidden=(30,))
    assert choose_optimizer(FitConfig.of(optimizer="auto"), large, params) == "gauss_newton"
    assert choose_optimizer(FitConfig.of(optimizer="lbfgs"), large, params) == "lbfgs"


# Rows by wavenumber, steps along a path


def test_spectral_weights_are_symmetric_and_positive(backend):
    """<S u, v> = <u, S v>, <u, S u> > 0, and mean s^2 = 1 whatever the units of the response are."""
    rng = np.random.default_rng(1)
    grid = Grid((12, 9))
    mixing = rng.standard_normal((grid.size, 40)) * 1e-30
    S = SpectralWeights.measure(lambda v: backend.asarray(mixing) @ v, 40, grid.shape, backend)
    u, v = rng.standard_normal((2, grid.size))
    Su, Sv = (backend.to_numpy(S(backend.asarray(w))) for w in (u, v))
    # Two transforms of 108 points: a few eps of the norms.
    assert abs(Su @ v - u @ Sv) < 16 * EPS * np.linalg.norm(u) * np.linalg.norm(v) * np.max(backend.to_numpy(S.factors))
    assert Su @ u > 0.0
    assert np.mean(backend.to_numpy(S.factors) ** 2) == pytest.approx(1.0, rel=8 * EPS)


def test_spectral_weights_even_out_a_convolution(backend):
    """For K = F^-1 diag(m) F with m a function of |k|, S K S is c times the identity, but for the noise of probing."""
    n = 256
    m = np.exp(-0.1 * np.abs(np.fft.fftfreq(n, 1 / n)))
    root = np.fft.ifft(np.sqrt(m)[:, None] * np.fft.fft(np.eye(n), axis=0), axis=0).real
    S = SpectralWeights.measure(lambda v: backend.asarray(root) @ v, n, (n,), backend)
    even = (backend.to_numpy(S.factors) ** 2 * m[: n // 2 + 1])[1:-1]
    # Two modes a shell and 3 probes: chi squared of 12 degrees of freedom, its decades apart from the 5.5 of m.
    assert np.log10(np.max(m) / np.min(m)) > 5.0
    assert np.log10(np.max(even) / np.min(even)) < 1.5


def test_spectral_weights_are_what_lets_a_wide_stage_converge():
    """More parameters than points, and data with energy in every mode, of which the network's 40 hold only some."""
    grid = Grid((32, 32))
    objective, params = problem(NumpyBackend(), grid=grid, n_features=40, hidden=(20, 20, 20), u=field(grid, decay=0.3))
    z = objective.fmap.forward(params["W1"], objective.network.features(params))
    params |= {"W1": params["W1"] / np.sqrt(np.mean(z**2))}
    scattered = replace(objective, fmap=make_map(objective.backend.asarray(grid.scaled_points()), objective.backend))
    assert objective.network.n_parameters(params) > grid.size
    final = []
    for each in (objective, scattered):
        result = minimize(GaussNewton(), each, params, Limits(steps=26, target_rms=1e-12))
        final.append(objective.evaluate(result.params)[0])
    assert final[0] <= 1e-12
    assert final[1] > 1e3 * final[0]


def test_a_path_leads_from_descent_to_the_solution(backend):
    """Iterates of CGLS: |S (J d + e)| falls and |D^-1 d| grows along it, and J d is J times d."""
    objective, params = problem(backend, hidden=(12, 12), n_features=20)
    _, e = objective.evaluate(params)
    model = _MatrixFree(objective, params, 100)
    path = model.solve(e, objective.xp.ones_like(e), 1e-6, Effort(0.0, 60))[1:]
    assert [step.iterations for step in path[:6]] == [1, 2, 3, 5, 7, 10]
    left = [float(np.linalg.norm(backend.to_numpy(model.spectral(e + step.du)))) for step in path]
    scales = backend.to_numpy(model.scales)
    size = [np.linalg.norm(backend.to_numpy(objective.flatten(step.direction, params)) / scales) for step in path]
    assert np.all(np.diff(left) < 0.0)
    assert np.all(np.diff(size) > 0.0)
    for step in path:
        du = backend.to_numpy(model.jacobian.jvp(step.direction))
        # 60 updates of J d, each to a few eps.
        assert relative_error(backend.to_numpy(step.du), du) < 1e3 * EPS


def test_a_stage_that_slows_down_ends():
    """Half the work for less than a tenth of the progress; counted in products, so that it repeats."""
    objective, params = problem(NumpyBackend(), n_features=4, hidden=(3,))
    first = minimize(GaussNewton(), objective, params, Limits(steps=500, stall_tolerance=0.1))
    again = minimize(GaussNewton(), objective, params, Limits(steps=500, stall_tolerance=0.1))
    assert first.stopped_because == "stalled: the second half of its work brought less than 0.1 of the progress"
    assert np.array_equal(first.loss_history, again.loss_history)
    assert 8 <= first.steps < 200


# Value and gradient in one pass


@pytest.mark.parametrize("p", [2.0, 3.5, 10.0, 20.0])
@pytest.mark.parametrize("last", [1.0, 1e-3, 1e6, 1e-300, 0.0, math.inf])
def test_value_and_gradient_in_one_pass(backend, p, last):
    objective, params = problem(backend, p=p)
    value, e = objective.evaluate(params)
    slope = objective.loss.vjp(objective.xp, e)
    reference = objective.network.backward(params, objective.fmap, lambda u, block: slope[block])
    found, found_rms, gradient = objective.value_and_gradient(params, last)
    # Sums of p-th powers in another order, p rounded products each.
    assert abs(found - value) <= 8 * p * EPS * value
    assert abs(found_rms - objective.rms(e)) <= 8 * 2 * EPS * found_rms
    assert gradient.keys() == reference.keys()
    for name, expected in reference.items():
        assert relative_error(backend.to_numpy(gradient[name]), backend.to_numpy(expected)) <= 50 * p * EPS


def test_the_last_value_is_a_matter_of_scale_alone(backend):
    # A power of two scales every power exactly, and only the root at the end is rounded differently.
    objective, params = problem(backend, p=10.0)
    ones = [objective.value_and_gradient(params, last) for last in (0.4, 0.5, 3.0)]
    for value, _, gradient in ones[1:]:
        assert abs(value / ones[0][0] - 1.0) <= 2 * EPS
        for name, expected in ones[0][2].items():
            assert relative_error(backend.to_numpy(gradient[name]), backend.to_numpy(expected)) <= 4 * EPS


def test_one_pass_does_not_depend_on_the_threads():
    grid = Grid((96, 96))
    found = []
    for workers in (1, 2, 3):
        objective, params = problem(NumpyBackend(workers=workers), kind="fft", grid=grid, p=10.0)
        found.append(objective.value_and_gradient(params))
    for value, found_rms, gradient in found[1:]:
        assert (value, found_rms) == found[0][:2]
        assert all(np.array_equal(gradient[name], found[0][2][name]) for name in gradient)
