"""Each layer's jvp against a complex step, its vjp as the transpose of the jvp, and tanh where it is flat."""

import mpmath
import numpy as np
import pytest
from conftest import EPS, relative_error

from simsnn_ref.network import tanh_jvp, tanh_vjp
from simsnn_ref.network.layers import affine_forward, affine_vjp, tanh_forward, tanh_second

STEP = 2.0**-200
M, N, P, TILES = 4, 5, 30, 3


def affine_jvp(W, h, W_dot, c_dot, h_dot):
    """The product rule."""
    return W_dot @ h + W @ h_dot + c_dot[:, None]


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def test_affine_forward(backend):
    W, c, h = draw((M, N), M, (N, P))
    z = backend.to_numpy(affine_forward(*map(backend.asarray, (W, c, h))))
    exact = np.einsum("mn,np->mp", W, h) + c[:, None]
    # Five products and a sum, each of its rounding.
    assert np.max(np.abs(z - exact) / (np.abs(W) @ np.abs(h) + np.abs(c)[:, None])) <= 4 * EPS


def test_affine_jvp_is_the_derivative(backend):
    values, dots = draw((M, N), M, (N, P)), draw((M, N), M, (N, P), seed=1)
    stepped = [backend.asarray(x + 1j * STEP * x_dot) for x, x_dot in zip(values, dots, strict=True)]
    exact = backend.to_numpy(affine_forward(*stepped)).imag / STEP
    W, _, h = map(backend.asarray, values)
    z_dot = backend.to_numpy(affine_jvp(W, h, *map(backend.asarray, dots)))
    assert relative_error(z_dot, exact) <= 4 * EPS


def test_affine_vjp_is_the_transpose(backend):
    W, c_dot, h, W_dot, h_dot, dz = draw((M, N), M, (TILES, N, P), (M, N), (TILES, N, P), (TILES, M, P))
    on = backend.asarray
    z_dot = backend.to_numpy(affine_jvp(on(W), on(h), on(W_dot), on(c_dot), on(h_dot)))
    grads = [backend.to_numpy(g) for g in affine_vjp(backend.xp, on(W), on(h), on(dz))]
    pulled = sum(np.sum(g * dot) for g, dot in zip(grads, (W_dot, c_dot, h_dot), strict=True))
    size = np.sum((np.abs(W_dot) @ np.abs(h) + np.abs(W) @ np.abs(h_dot) + np.abs(c_dot)[:, None]) * np.abs(dz))
    assert abs(np.sum(z_dot * dz) - pulled) <= 2 * EPS * size


def test_tiles_are_so_many_points(backend):
    """A stack of tiles gives what each of them does alone."""
    W, c, h = map(backend.asarray, draw((M, N), M, (TILES, N, P)))
    z = affine_forward(W, c, h)
    for i in range(TILES):
        alone = backend.to_numpy(affine_forward(W, c, h[i, :, :]))
        assert np.max(np.abs(backend.to_numpy(z[i, :, :]) - alone)) <= 8 * EPS * np.max(np.abs(alone))


def test_tanh_jvp_is_the_derivative(backend):
    z, z_dot = draw((M, P), (M, P))
    exact = backend.to_numpy(tanh_forward(backend.xp, backend.asarray(z + 1j * STEP * z_dot))).imag / STEP
    h = tanh_forward(backend.xp, backend.asarray(z))
    assert relative_error(backend.to_numpy(tanh_jvp(h, backend.asarray(z_dot))), exact) <= 8 * EPS


def test_tanh_vjp_is_its_own_transpose(backend):
    h, x = map(backend.asarray, draw((M, P), (M, P)))
    assert np.array_equal(backend.to_numpy(tanh_vjp(h, x)), backend.to_numpy(tanh_jvp(h, x)))


@pytest.mark.parametrize("z", [0.0, 1e-300, 1e-9, 0.3, 1.0, 3.0, 8.0, 15.0])
def test_slope_of_tanh_is_exact_for_the_h_it_is_given(backend, z):
    # 1 - h^2 would lose everything to cancellation as h nears 1; h itself is rounded to half an eps.
    h = backend.asarray(np.array([[np.tanh(z), -np.tanh(z)]]))
    slope = backend.to_numpy(tanh_jvp(h, backend.asarray(np.ones((1, 2)))))
    with mpmath.workdps(60):
        exact = float(1 - mpmath.mpf(float(np.tanh(z))) ** 2)
    assert np.max(np.abs(slope - exact)) <= 2 * EPS * exact


def test_tanh_saturates_without_warning(backend):
    z = backend.asarray(np.array([[-1e308, -800.0, 800.0, 1e308]]))
    h = tanh_forward(backend.xp, z)
    assert backend.to_numpy(h).tolist() == [[-1.0, -1.0, 1.0, 1.0]]
    assert backend.to_numpy(tanh_vjp(h, backend.asarray(np.full((1, 4), 1e300)))).tolist() == [[0.0] * 4]


def test_second_derivative_of_tanh(backend):
    # d/dt of h_i = (1 - h^2) z_i along z_j, with z_i moving by z_ij.
    z, z_i, z_j, z_ij = draw((M, P), (M, P), (M, P), (M, P))
    on = backend.asarray
    h = tanh_forward(backend.xp, on(z + 1j * STEP * z_j))
    exact = backend.to_numpy(tanh_jvp(h, on(z_i + 1j * STEP * z_ij))).imag / STEP
    second = tanh_second(tanh_forward(backend.xp, on(z)), on(z_i), on(z_j), on(z_ij))
    assert relative_error(backend.to_numpy(second), exact) <= 8 * EPS
