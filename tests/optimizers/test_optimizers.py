"""Adam against its recurrence number by number, and the schedules against their rules."""

import math

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref.optimizers import Adam, AdamState, Constant, Exponential, Plateau


def adam_by_scalars(theta, gradients, learning_rates, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Algorithm 1 of Kingma & Ba for one number, with bias-corrected means as they are printed."""
    m = v = 0.0
    for t, (g, lr) in enumerate(zip(gradients, learning_rates, strict=True), start=1):
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        theta = theta - lr * m_hat / (math.sqrt(v_hat) + epsilon)
    return theta


@pytest.mark.parametrize("betas", [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3)])
def test_adam_is_its_recurrence(backend, betas):
    rng = np.random.default_rng(0)
    host = {"a": rng.standard_normal((3, 2)), "b": rng.standard_normal(4)}
    steps = 50
    grads = {name: rng.standard_normal((steps, *value.shape)) for name, value in host.items()}
    rates = rng.uniform(1e-4, 1e-1, steps)
    adam = Adam(*betas)
    params = {name: backend.asarray(value) for name, value in host.items()}
    state = AdamState.zero(backend.xp, params)
    for t in range(steps):
        now = {name: backend.asarray(grads[name][t]) for name in host}
        params, state = adam.update(backend.xp, params, now, state, float(rates[t]))
    assert state.step == steps
    for name, value in host.items():
        exact = np.empty(value.shape)
        for i in np.ndindex(*value.shape):
            exact[i] = adam_by_scalars(value[i], grads[name][(slice(None), *i)], rates, *betas)
        # A step is at most 0.1 here, and 1 - beta2^t amplifies nothing: 50 steps add half an eps of theta each.
        assert np.max(np.abs(backend.to_numpy(params[name]) - exact)) <= 25 * EPS * np.max(np.abs(exact))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e100])
def test_first_step_is_the_learning_rate_against_the_sign(backend, size):
    g = size * np.array([1.0, -2.0, 1e-3, -7.0, 0.0])
    adam, theta = Adam(), {"a": backend.asarray(np.zeros(5))}
    new, _ = adam.update(backend.xp, theta, {"a": backend.asarray(g)}, AdamState.zero(backend.xp, theta), 0.01)
    exact = -0.01 * g / (np.abs(g) + 1e-8)
    assert np.max(np.abs(backend.to_numpy(new["a"]) - exact)) <= 0.01 * 8 * EPS
    far = np.abs(g) >= 1.0
    assert np.max(np.abs(backend.to_numpy(new["a"]) + 0.01 * np.sign(g))[far], initial=0.0) <= 0.01 * 2e-8


def test_adam_changes_nothing_in_place_and_leaves_frozen_parameters(backend):
    host = {"B": np.ones((2, 2)), "W": np.arange(3.0)}
    params = {name: backend.asarray(value.copy()) for name, value in host.items()}
    adam = Adam()
    start = AdamState.zero(backend.xp, {"W": params["W"]})
    grads = {"W": backend.asarray(np.ones(3))}
    new, state = adam.update(backend.xp, params, grads, start, 0.1)
    assert new["B"] is params["B"]
    assert list(new) == ["B", "W"]
    assert np.array_equal(backend.to_numpy(params["W"]), host["W"])
    assert np.array_equal(backend.to_numpy(grads["W"]), np.ones(3))
    assert start.step == 0
    assert not np.any(backend.to_numpy(start.mean["W"]))
    assert set(state.mean) == set(state.square) == {"W"}


def test_adam_converges_on_a_quadratic(backend):
    scales, optimum = np.array([1.0, 10.0, 0.1]), np.array([0.3, -2.0, 1.0])
    adam, steps = Adam(beta2=0.99), 1500
    schedule = Exponential(0.1, 1e-9, steps)
    params = {"a": backend.asarray(np.zeros(3))}
    state = AdamState.zero(backend.xp, params)
    for t in range(1, steps + 1):
        slope = {"a": backend.asarray(scales) * (params["a"] - backend.asarray(optimum))}
        params, state = adam.update(backend.xp, params, slope, state, schedule.learning_rate([1.0] * t))
    assert np.max(np.abs(backend.to_numpy(params["a"]) - optimum)) <= 1e-7


# Schedules


def test_constant():
    assert [Constant(0.02).learning_rate([1.0] * t) for t in (1, 7)] == [0.02, 0.02]


def test_exponential():
    schedule = Exponential(1e-2, 1e-4, 101)
    rates = np.array([schedule.learning_rate([1.0] * t) for t in range(1, 102)])
    assert rates[0] == 1e-2
    assert rates[-1] == pytest.approx(1e-4, rel=4 * EPS)
    assert rates[50] == pytest.approx(1e-3, rel=4 * EPS)
    ratios = rates[1:] / rates[:-1]
    assert np.max(np.abs(ratios / 10**-0.02 - 1.0)) <= 16 * EPS
    # Past the end it stays.
    assert schedule.learning_rate([1.0] * 500) == rates[-1]
    assert Exponential(1e-2, 1e-4, 1).learning_rate([1.0]) == 1e-2


def stands_still(n, level=1.0, seed=0):
    """Noise about a level: the means of two windows differ by much less than their spread."""
    return (level + 0.01 * np.random.default_rng(seed).standard_normal(n)).tolist()


def falls(n, start=1.0):
    return np.linspace(start, 0.5 * start, n).tolist()


def rates(losses, window, threshold=0.4):
    schedule = Plateau(1.0, window, threshold)
    return [schedule.learning_rate(losses[:t]) for t in range(1, len(losses) + 1)]


def test_plateau_halves_at_the_end_of_a_window():
    # Nothing to compare with before 200 losses; then once a window, at its end.
    seen = rates(stands_still(450), 100)
    expected = [1.0] * 199 + [0.5] * 100 + [0.25] * 100 + [0.125] * 51
    assert seen == expected


def test_plateau_waits_while_the_loss_falls():
    assert set(rates(falls(1000), 100)) == {1.0}
    # It falls, stands still over the third and fourth window, and falls again; the second comparison spans the bend.
    losses = falls(200) + stands_still(200, 0.3) + falls(200, 0.1)
    seen = rates(losses, 100)
    assert [seen[t - 1] for t in (200, 300, 399, 400, 500, 600)] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("change", "halves"), [(0.39, True), (0.41, False), (-0.39, True), (-0.41, False)])
def test_plateau_threshold_is_in_deviations_of_the_last_window(change, halves):
    # Two levels +-1: deviation 1 about the mean. The window before has another spread, which does not count.
    last = [1.0, -1.0] * 5
    before = [5.0 + change, -5.0 + change] * 5
    assert rates(before + last, 10)[-1] == (0.5 if halves else 1.0)


def test_plateau_halves_on_a_constant_loss():
    assert rates([0.0] * 30, 10)[-1] == 0.25


def test_plateau_is_a_function_of_the_history():
    losses = stands_still(300) + falls(250) + stands_still(350, 0.5, seed=1)
    stepwise = rates(losses, 50)
    assert len(set(stepwise)) > 3
    for t in (1, 99, 100, 333, 600, 900):
        # Resumed: a fresh schedule that sees the history at once.
        assert Plateau(1.0, 50).learning_rate(losses[:t]) == stepwise[t - 1]


def test_plateau_goes_on_from_the_step_size_before():
    """The same sizes, to the bit, from the last two windows alone."""
    losses = stands_still(300) + falls(250) + stands_still(350, 0.5, seed=1)
    schedule, size = Plateau(1e-3, 50), None
    for t in range(1, len(losses) + 1):
        size = schedule.learning_rate(losses[:t], size)
        assert size == schedule.learning_rate(losses[:t])


def test_plateau_defaults_are_those_of_the_earlier_code():
    schedule = Plateau(1e-3)
    assert (schedule.window, schedule.threshold) == (2500, 0.4)
