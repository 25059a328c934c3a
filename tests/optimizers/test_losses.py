"""The L^p loss against 50 digits, at scales where its powers leave the range of doubles, and its derivatives."""

import mpmath
import numpy as np
import pytest
from conftest import EPS, complex_step_gradient, relative_error

from simsnn_ref.backend import rms
from simsnn_ref.errors import ConfigError
from simsnn_ref.optimizers import LpLoss

POWERS = [2, 3, 4, 10, 2.5, 7.0, 64]
EVEN = [2, 4, 10, 64]
SCALES = [1e-300, 1e-160, 1e-16, 1.0, 1e16, 1e160, 1e300]


def residue(n=40, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def tolerance(p):
    """In the gradient the (p-1)-th power magnifies the rounding of e / max|e|, half an eps, as often."""
    return (4 + p / 2) * EPS


def exact_loss(e, p):
    with mpmath.workdps(50):
        return (mpmath.fsum(abs(mpmath.mpf(x)) ** p for x in e.ravel().tolist()) / e.size) ** (1 / mpmath.mpf(p))


def exact_gradient(e, p):
    loss = exact_loss(e, p)
    with mpmath.workdps(50):
        slopes = [mpmath.sign(x) * (abs(mpmath.mpf(x)) / loss) ** (p - 1) / e.size for x in e.ravel().tolist()]
    return np.array([float(slope) for slope in slopes]).reshape(e.shape)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("p", POWERS)
def test_value_and_gradient_at_any_scale(backend, p, scale):
    e = scale * residue()
    loss, array = LpLoss(p), backend.asarray(e)
    value = float(loss.forward(backend.xp, array))
    # The p-th root takes back what the p-th power magnifies.
    assert abs(value / float(exact_loss(e, p)) - 1.0) <= 4 * EPS
    assert relative_error(backend.to_numpy(loss.vjp(backend.xp, array)), exact_gradient(e, p)) <= tolerance(p)


@pytest.mark.parametrize("p", POWERS)
def test_the_smallest_and_largest_doubles(backend, p):
    for size in (5e-324, 1.7e308):
        e = np.array([size, 0.0, -size, size])
        value = float(LpLoss(p).forward(backend.xp, backend.asarray(e)))
        # Among subnormals only the nearest multiple of 5e-324 can be had.
        assert value == pytest.approx(size * 0.75 ** (1.0 / p), rel=8 * EPS, abs=5e-324)
        assert np.all(np.isfinite(backend.to_numpy(LpLoss(p).vjp(backend.xp, backend.asarray(e)))))


@pytest.mark.parametrize("p", POWERS)
def test_homogeneous(backend, p):
    e, loss = residue(), LpLoss(p)
    value, slope = loss.forward(backend.xp, backend.asarray(e)), loss.vjp(backend.xp, backend.asarray(e))
    # A power of two changes no digit, nor does the sign of the residue.
    assert float(loss.forward(backend.xp, backend.asarray(-(2.0**500) * e))) == 2.0**500 * float(value)
    scaled = backend.to_numpy(loss.vjp(backend.xp, backend.asarray(-(2.0**-500) * e)))
    assert np.array_equal(scaled, -backend.to_numpy(slope))
    # Euler: <dL/de, e> = L.
    assert float(loss.jvp(backend.xp, backend.asarray(e), backend.asarray(e))) == pytest.approx(
        float(value), rel=tolerance(p)
    )


def test_p_2_is_the_rms(backend):
    e = residue()
    exact = np.sqrt(np.mean(e**2))
    assert float(LpLoss(2).forward(backend.xp, backend.asarray(e))) == pytest.approx(exact, rel=4 * EPS)
    assert rms(backend.xp, backend.asarray(e)) == pytest.approx(exact, rel=4 * EPS)
    assert isinstance(rms(backend.xp, backend.asarray(e)), float)
    assert (
        relative_error(backend.to_numpy(LpLoss(2).vjp(backend.xp, backend.asarray(e))), e / e.size / exact) <= 8 * EPS
    )


def test_default_is_the_papers(backend):
    assert LpLoss().p == 10
    e = residue()
    assert float(LpLoss().forward(backend.xp, backend.asarray(e))) == pytest.approx(np.mean(e**10) ** 0.1, rel=8 * EPS)


@pytest.mark.parametrize("p", POWERS)
def test_number_of_points_does_not_count(backend, p):
    once, twice = residue(), np.concatenate([residue(), -residue()]).reshape(2, -1)
    a, b = (float(LpLoss(p).forward(backend.xp, backend.asarray(e))) for e in (once, twice))
    assert a == pytest.approx(b, rel=8 * EPS)
    assert np.sqrt(np.mean(once**2)) * (1 - 8 * EPS) <= a <= np.max(np.abs(once))


@pytest.mark.parametrize("p", POWERS)
def test_zero_residue(backend, p):
    zero = backend.asarray(np.zeros((2, 3)))
    assert float(LpLoss(p).forward(backend.xp, zero)) == 0.0
    assert np.array_equal(backend.to_numpy(LpLoss(p).vjp(backend.xp, zero)), np.zeros((2, 3)))
    assert float(LpLoss(p).jvp(backend.xp, zero, backend.asarray(np.ones((2, 3))))) == 0.0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("p", EVEN)
def test_gradient_against_a_complex_step(backend, p, scale):
    e, loss = residue(), LpLoss(p)
    exact = complex_step_gradient(
        lambda params: loss.forward(backend.xp, params["e"] * scale) / scale, {"e": backend.asarray(e)}, backend
    )["e"]
    slope = backend.to_numpy(loss.vjp(backend.xp, backend.asarray(scale * e)))
    assert relative_error(slope, exact) <= tolerance(p)


@pytest.mark.parametrize("p", [3, 2.5, 7.0])
def test_gradient_for_other_p_has_the_sign_of_the_residue(backend, p):
    e = np.array([-2.0, -1e-5, 0.0, 1e-5, 2.0])
    slope = backend.to_numpy(LpLoss(p).vjp(backend.xp, backend.asarray(e)))
    assert np.array_equal(np.sign(slope), np.sign(e))


@pytest.mark.parametrize("p", POWERS)
def test_jvp_is_the_directional_derivative(backend, p):
    e, e_dot = residue(), residue(seed=1)
    loss = LpLoss(p)
    slope = float(loss.jvp(backend.xp, backend.asarray(e), backend.asarray(e_dot)))
    pulled = np.sum(backend.to_numpy(loss.vjp(backend.xp, backend.asarray(e))) * e_dot)
    assert slope == pytest.approx(pulled, rel=8 * EPS)
    with mpmath.workdps(50):
        step = mpmath.mpf(10) ** -15
        terms = [
            mpmath.fsum(
                abs(mpmath.mpf(x) + sign * step * x_dot) ** p
                for x, x_dot in zip(e.tolist(), e_dot.tolist(), strict=True)
            )
            for sign in (1, -1)
        ]
        ends = [(term / e.size) ** (1 / mpmath.mpf(p)) for term in terms]
        exact = float((ends[0] - ends[1]) / (2 * step))
    gradient = exact_gradient(e, p)
    assert abs(slope - exact) <= tolerance(p) * np.linalg.norm(gradient) * np.linalg.norm(e_dot)


@pytest.mark.parametrize("p", [1.99, 1, 0, -2, float("inf"), float("nan")])
def test_p_must_be_finite_and_at_least_2(p):
    with pytest.raises(ConfigError, match="the L\\^p loss needs a finite p >= 2"):
        LpLoss(p)
