"""One stage's network: the hand-written gradient of every parameter against a complex step, and its other products.

The complex step differentiates the loss through `Network.forward` with the dense map and complex parameters. Both
routes round each cosine by eps |k.x|, here at most 10 eps or so, and each activation by eps. The residue has one sign,
so that the sums over points for c do not cancel, and three decades, so that a few points dominate and the sums against
cosines (orthogonal to constants where k is a grid mode) do not either; it is larger than u, whose rounding the ninth
power in the gradient of L^10 would magnify. So the gradients agree to some tens of eps in the 2-norm of each tensor,
and 1e-14 (45 eps) is asked.
"""

from collections import Counter
from dataclasses import replace
from functools import cache, singledispatch

import mpmath
import numpy as np
import pytest
from conftest import EPS, complex_step_gradient, relative_error

import simsnn_ref.network.features.dense as dense_module
import simsnn_ref.network.features.separable as separable_module
import simsnn_ref.network.network as network_module
import simsnn_ref.optimizers.adam as adam_module
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import (
    DenseMap,
    FFTMap,
    LinearMap,
    SeparableMap,
    cos_and_sin,
    initialize,
    layers,
    point_blocks,
    tile,
    untile,
)
from simsnn_ref.optimizers import Adam, AdamState, Jacobian, LpLoss, Objective, adam_step
from simsnn_ref.spectrum import Grid
from simsnn_ref.testing import make_objective

HOST = NumpyBackend()
STEP = 2.0**-200
TOLERANCE = 1e-14
GRIDS = {1: Grid(36), 2: Grid((6, 7)), 3: Grid((3, 4, 5))}
HIDDEN = (5, 4, 6)
N_FEATURES = 8
MAPS = {
    "si": ("dense", "separable", "fft"),
    "msnn": ("dense", "separable"),
    "rff": ("dense", "separable"),
    "ffm": ("dense", "separable"),
    "cos": ("dense", "separable"),
    "none": ("linear",),
    "fourier": ("dense", "separable", "fft"),
}
DEPTHS = {"none": (1, 2, 3), "fourier": (0,)}
CASES = [
    (first_layer, kind, depth, d)
    for first_layer, kinds in MAPS.items()
    for kind in kinds
    for depth in DEPTHS.get(first_layer, (0, 1, 2, 3))
    for d in (1, 2, 3)
]
every_case = pytest.mark.parametrize(("first_layer", "kind", "depth", "d"), CASES)


@cache
def host_case(first_layer, depth, d):
    """Network and parameters on the host, nothing frozen, nothing zero."""
    grid = GRIDS[d]
    rng = np.random.default_rng([depth, d])
    x = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    target = sum(np.sin(np.pi * x_i + i) for i, x_i in enumerate(x)) + 0.3 * rng.standard_normal(grid.shape)
    network, params = initialize(
        first_layer, target, grid, n_features=N_FEATURES, hidden=HIDDEN[:depth], rng=rng, backend=HOST, sigma=0.4
    )
    keep = {"B"} if first_layer in ("si", "fourier") else set()
    params = {
        name: value if name in keep else value + 0.3 * rng.standard_normal(value.shape)
        for name, value in params.items()
    }
    return replace(network, frozen=frozenset()), params


def target_of(network, params, d):
    """A target that leaves a residue of one sign, spread evenly over three decades, up to 10 times as large as u."""
    u = network.forward(params, host_map(network, d))
    return u + 10.0 * np.max(np.abs(u)) * three_decades(u.size)


def three_decades(n):
    return 10.0 ** np.random.default_rng(9).uniform(-3.0, 0.0, n)


def host_map(network, d):
    points = GRIDS[d].scaled_points()
    return LinearMap(points, HOST) if network.amplitudes is None else DenseMap(points, HOST)


@cache
def exact_gradient(first_layer, depth, d, p):
    """The complex step, number by number."""
    network, params = host_case(first_layer, depth, d)
    fmap, target, loss = host_map(network, d), target_of(network, params, d), LpLoss(p)
    return complex_step_gradient(lambda values: loss.forward(np, network.forward(values, fmap) - target), params, HOST)


class Case:
    """The same network on a backend, with the feature map `kind`."""

    def __init__(self, first_layer, kind, depth, d, backend):
        self.backend, self.xp, self.grid = backend, backend.xp, GRIDS[d]
        host, self.host_params = host_case(first_layer, depth, d)
        amplitudes = None if host.amplitudes is None else backend.asarray(host.amplitudes)
        frozen = frozenset({"B"}) if kind == "fft" else frozenset()
        self.network = replace(host, backend=backend, amplitudes=amplitudes, frozen=frozen)
        self.params = self.to_device(self.host_params)
        self.target = backend.asarray(target_of(host, self.host_params, d))
        if kind == "fft":
            self.fmap = FFTMap(self.grid, host.indices, backend)
        elif kind == "separable":
            self.fmap = SeparableMap.from_grid(self.grid, backend)
        else:
            self.fmap = self.at(self.grid.scaled_points())

    def at(self, points):
        points = self.backend.asarray(points)
        return LinearMap(points, self.backend) if self.network.amplitudes is None else DenseMap(points, self.backend)

    def to_device(self, host):
        return {name: self.backend.asarray(value) for name, value in host.items()}

    def gradient(self, p):
        """Of the loss, by hand, on the host."""
        loss = LpLoss(p)
        grads = self.pulled_back(loss.vjp(self.xp, self.network.forward(self.params, self.fmap) - self.target))
        return {name: self.backend.to_numpy(grad) for name, grad in grads.items()}

    def pulled_back(self, du):
        """J^T du by the backward pass."""
        return self.network.backward(self.params, self.fmap, lambda u, block: du[block])

    @property
    def jacobian(self):
        return Jacobian(Objective(self.network, self.fmap, self.target, LpLoss(10), self.backend), self.params)

    def direction(self, seed=0):
        rng = np.random.default_rng(seed)
        return {name: rng.standard_normal(self.host_params[name].shape) for name in self.network.trainable(self.params)}

    def forward(self, params=None, fmap=None):
        return self.backend.to_numpy(self.network.forward(params or self.params, fmap or self.fmap))


def gradient_errors(gradient, exact):
    return {name: relative_error(gradient[name], exact[name]) for name in gradient}


# Gradient


@pytest.mark.parametrize("p", [2, 10])
@every_case
def test_gradient_of_every_parameter(backend, first_layer, kind, depth, d, p):
    case = Case(first_layer, kind, depth, d, backend)
    gradient = case.gradient(p)
    assert set(gradient) == set(case.params) - case.network.frozen
    assert all(gradient[name].shape == case.host_params[name].shape for name in gradient)
    errors = gradient_errors(gradient, exact_gradient(first_layer, depth, d, p))
    assert max(errors.values()) <= TOLERANCE, errors


def test_complex_step_through_every_backend(backend):
    case = Case("cos", "dense", 1, 2, backend)
    loss = LpLoss(10)
    exact = complex_step_gradient(
        lambda values: loss.forward(case.xp, case.network.forward(values, case.fmap) - case.target),
        case.params,
        backend,
    )
    errors = gradient_errors(case.gradient(10), exact)
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("name", ["B", "b", "W1", "c1", "W2", "c2", "W3", "c3"])
def test_the_check_fails_on_a_tensor_wrong_by_5e_4(name):
    gradient = Case("ffm", "separable", 2, 2, HOST).gradient(10)
    exact = exact_gradient("ffm", 2, 2, 10)
    assert max(gradient_errors(gradient, exact).values()) <= TOLERANCE
    wrong = gradient | {name: gradient[name] * 1.0005}
    assert gradient_errors(wrong, exact)[name] == pytest.approx(5e-4, rel=1e-3)
    # Nor does a single wrong number hide in its tensor, unless it is nothing beside the others.
    largest = np.unravel_index(np.argmax(np.abs(gradient[name])), gradient[name].shape)
    wrong[name] = gradient[name].copy()
    wrong[name][largest] *= 1.0005
    assert gradient_errors(wrong, exact)[name] > 1e6 * TOLERANCE


@pytest.mark.parametrize("part", ["affine_vjp", "tanh_vjp"])
def test_the_check_fails_on_a_layer_wrong_by_5e_4(monkeypatch, part):
    case = Case("cos", "dense", 2, 2, HOST)
    right = getattr(network_module, part)

    def wrong(*arguments):
        result = right(*arguments)
        return (*result[:2], result[2] * 1.0005) if part == "affine_vjp" else result * 1.0005

    monkeypatch.setattr(network_module, part, wrong)
    errors = gradient_errors(case.gradient(10), exact_gradient("cos", 2, 2, 10))
    # Twice on the way to the first layer, not at all in the output layer.
    assert errors["B"] == pytest.approx(1e-3, rel=1e-2)
    assert errors["W3"] <= TOLERANCE


# Directional derivative and transpose


@every_case
def test_jvp_is_the_directional_derivative(backend, first_layer, kind, depth, d):
    case = Case(first_layer, kind, depth, d, backend)
    dot = case.direction()
    host, params = host_case(first_layer, depth, d)
    stepped = {name: value + 1j * STEP * dot[name] if name in dot else value for name, value in params.items()}
    exact = host.forward(stepped, host_map(host, d)).imag / STEP
    u_dot = case.backend.to_numpy(case.jacobian.jvp(case.to_device(dot)))
    assert relative_error(u_dot, exact) <= TOLERANCE


@every_case
def test_the_backward_pass_is_the_transpose_of_the_jacobian(backend, first_layer, kind, depth, d):
    case = Case(first_layer, kind, depth, d, backend)
    dot, du = case.direction(), np.random.default_rng(5).standard_normal(case.grid.size)
    grads = case.pulled_back(backend.asarray(du))
    u_dot = backend.to_numpy(case.jacobian.jvp(case.to_device(dot)))
    terms = [np.sum(backend.to_numpy(grads[name]) * dot[name]) for name in dot]
    # Both sides use the same cosines and hidden layers; what is left is the rounding of their sums and products.
    size = np.sum(np.abs(u_dot * du)) + np.sum(np.abs(terms))
    assert abs(np.sum(u_dot * du) - sum(terms)) <= 4 * EPS * size


@pytest.mark.parametrize("frozen", [{"B"}, {"B", "b"}, set()])
@pytest.mark.parametrize("first_layer", ["cos", "ffm"])
def test_frozen_parameters_have_no_gradient_and_no_direction(backend, first_layer, frozen):
    case = Case(first_layer, "separable", 2, 2, backend)
    full_gradient = case.gradient(10)
    direction = case.direction()
    case.network = replace(case.network, frozen=frozenset(frozen))
    gradient = case.gradient(10)
    assert list(gradient) == [name for name in case.params if name not in frozen] == case.network.trainable(case.params)
    # With B frozen the map separable adds in another order.
    assert all(relative_error(gradient[name], full_gradient[name]) <= 8 * EPS for name in gradient)
    assert case.network.n_parameters(case.params) == sum(value.size for value in gradient.values())

    still = {name: np.zeros_like(dot) if name in frozen else dot for name, dot in direction.items()}
    moving = {name: dot for name, dot in direction.items() if name not in frozen}
    a, b = (backend.to_numpy(case.jacobian.jvp(case.to_device(dots))) for dots in (still, moving))
    assert relative_error(a, b) <= 8 * EPS


# Values


@every_case
def test_maps_agree_on_the_values(backend, first_layer, kind, depth, d):
    case = Case(first_layer, kind, depth, d, backend)
    host, params = host_case(first_layer, depth, d)
    assert relative_error(case.forward(), host.forward(params, host_map(host, d))) <= TOLERANCE


@pytest.mark.parametrize("first_layer", MAPS)
def test_values_are_the_formula(backend, first_layer):
    depth = DEPTHS.get(first_layer, (2,))[-1]
    case = Case(first_layer, MAPS[first_layer][0], depth, 2, backend)
    network, params, x = case.network, case.host_params, case.grid.scaled_points()
    gamma = x.T
    if first_layer != "none":
        K = network.scale * params["B"]
        K = np.concatenate([K, K]) if network.paired else K
        gamma = backend.to_numpy(network.amplitudes)[:, None] * np.cos(K @ x.T + params["b"][:, None])
    z = params["W1"] @ gamma + params["c1"][:, None]
    for layer in range(2, depth + 2):
        z = params[f"W{layer}"] @ np.tanh(z) + params[f"c{layer}"][:, None]
    assert z.shape == (1, case.grid.size)
    assert relative_error(case.forward(), z[0]) <= TOLERANCE


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("first_layer", MAPS)
def test_blocks_of_points_do_not_change_the_result(backend, monkeypatch, first_layer, block):
    case = Case(first_layer, MAPS[first_layer][-1], DEPTHS.get(first_layer, (2,))[-1], 2, backend)
    dot, du = case.to_device(case.direction()), backend.asarray(three_decades(case.grid.size))

    def products():
        u, jacobian = case.network.forward(case.params, case.fmap), case.jacobian
        results = {"u": u, "u_dot": jacobian.jvp(dot), **case.pulled_back(du)}
        results |= {f"{name} by J": value for name, value in jacobian.vjp(du).items()}
        return {name: backend.to_numpy(value) for name, value in results.items()}

    whole = products()
    monkeypatch.setattr(network_module, "POINT_BLOCK", 2 * block)
    monkeypatch.setattr(network_module, "POINT_TILE", block)
    blocked = products()
    # Sums over points, and matrix products of another shape, add in another order.
    for name, value in blocked.items():
        assert value.shape == whole[name].shape
        assert relative_error(value, whole[name]) <= 16 * EPS, name


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("n", [1, 255, 256, 257, 2048, 2049, 5000, 6144, 30000])
def test_blocks_are_every_point_once_in_order(backend, n, scale):
    object.__setattr__(backend, "block_scale", scale)
    blocks = point_blocks(backend, n)
    # A rest below a tile is a block of its own.
    assert len(blocks) <= n // (scale * network_module.POINT_BLOCK) + 2
    assert np.array_equal(np.concatenate([np.arange(n)[block] for block in blocks]), np.arange(n))
    z = backend.asarray(np.arange(3.0 * n).reshape(3, n))
    joined = backend.xp.concat([untile(backend.xp, tile(backend.xp, z[:, block])) for block in blocks], axis=1)
    assert np.array_equal(backend.to_numpy(joined), backend.to_numpy(z))


def test_a_backend_has_blocks_of_its_own_size(backend):
    """All maps and the layers; sums over points add in another order."""
    results = []
    for scale in (1, 64):
        object.__setattr__(backend, "block_scale", scale)
        objective, params = make_objective(backend, "cos", "dense", Grid((80, 65)))
        value, _, gradient = objective.value_and_gradient(params)
        maps = [objective.fmap, SeparableMap.from_grid(Grid((80, 65)), backend)]
        pieces = [len(list(maps[0]._blocks(2**13))), len(maps[1]._row_blocks(slice(0, 80), slice(0, 128)))]
        results.append((value, {name: backend.to_numpy(g) for name, g in gradient.items()}, pieces))
    (one, few, small), (other, many, large) = results
    # A tenth power and its root: ten roundings, and those of the residues.
    assert other == pytest.approx(one, rel=32 * EPS)
    for name, value in few.items():
        assert relative_error(many[name], value) <= 256 * EPS, name
    assert large == [1, 1]
    assert min(small) > 1


class Counted(np.ndarray):
    """A type of array for which kernels are registered."""


def test_kernels_of_a_type_of_array_are_used(monkeypatch):
    calls = Counter()
    for formula in (layers.tanh_vjp, layers.tanh_jvp, adam_step, cos_and_sin):
        # A registry for each test: what is registered stays.
        fresh = singledispatch(formula.dispatch(object))

        def kernel(*arrays, formula=formula):
            calls[formula.__name__] += 1
            return formula(*arrays)

        fresh.register(Counted, kernel)
        for module in (network_module, adam_module, dense_module, separable_module):
            if getattr(module, formula.__name__, None) is formula:
                monkeypatch.setattr(module, formula.__name__, fresh)
    backend = NumpyBackend(workers=1)
    objective, params = make_objective(backend, "cos", "dense", Grid((8, 6)))
    plain = objective.value_and_gradient(params)
    assert calls == {}
    params = {name: value.view(Counted) for name, value in params.items()}
    _, _, gradient = counted = objective.value_and_gradient(params)
    assert counted[0] == plain[0]
    # Two tanh layers, one block.
    assert calls == {"tanh_vjp": 2, "cos_and_sin": 1}
    adam = Adam()
    adam.update(np, params, gradient, AdamState.zero(np, params), 1e-3)
    assert calls["adam_step"] == len(params)


def test_threads_do_not_change_a_bit():
    """On the fft map: 5 blocks and a rest, by one thread and by three."""
    results = []
    for workers in (1, 3):
        backend = NumpyBackend(workers=workers)
        grid = Grid((96, 110))
        target = np.random.default_rng(0).standard_normal(grid.shape)
        rng = np.random.default_rng(1)
        network, params = initialize("si", target, grid, n_features=300, hidden=(9, 7), rng=rng, backend=backend)
        fmap = FFTMap(grid, network.indices, backend)
        objective = Objective(network, fmap, target.ravel(), LpLoss(10), backend)
        u, jacobian = network.forward(params, fmap), Jacobian(objective, params)
        grads = network.backward(params, fmap, lambda u, block, target=target: target.ravel()[block] - u)
        results.append([u, jacobian.jvp(grads), *grads.values(), *jacobian.vjp(u).values()])
    assert all(np.array_equal(one, three) for one, three in zip(*results, strict=True))


def test_hidden_layers_of_blocks(backend, monkeypatch):
    monkeypatch.setattr(network_module, "POINT_BLOCK", 20)
    monkeypatch.setattr(network_module, "POINT_TILE", 10)
    case = Case("cos", "dense", 3, 2, backend)
    z = case.fmap.forward(case.params["W1"], case.network.features(case.params))
    blocks = [case.network.hidden_forward(case.params, z[:, block]) for block in point_blocks(backend, 42)]
    tiled = [(2, 10), (2, 10), (1, 2)]
    assert [u.shape for u, _ in blocks] == [(20,), (20,), (2,)]
    assert [[h.shape for h in hs] for _, hs in blocks] == [[(t, m, n) for m in HIDDEN] for t, n in tiled]
    assert [untile(backend.xp, hs[0]).shape for _, hs in blocks] == [(HIDDEN[0], n) for n in (20, 20, 2)]
    assert case.network.depth == 3
    assert case.network.n_features == N_FEATURES


@pytest.mark.parametrize("first_layer", MAPS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_shifted(backend, first_layer, d):
    case = Case(first_layer, MAPS[first_layer][-1], DEPTHS.get(first_layer, (2,))[-1], d, backend)
    delta = np.array([0.013, -0.4, 1.7])[:d]
    params = case.network.shifted(case.params, backend.asarray(delta))
    moved = case.forward(fmap=case.at(case.grid.scaled_points() + delta))
    # The points moved are rounded themselves, up to 2.7, and so are the phases, up to |k| 1.7.
    assert relative_error(case.forward(params), moved) <= 2 * TOLERANCE
    assert set(params) == set(case.params)


# Derivatives with respect to x


@every_case
def test_first_and_second_derivatives(backend, first_layer, kind, depth, d):
    case = Case(first_layer, kind, depth, d, backend)
    u, gradient, hessian = map(backend.to_numpy, case.network.derivatives(case.params, case.fmap, d))
    assert gradient.shape == (d, case.grid.size)
    assert hessian.shape == (d, d, case.grid.size)
    assert np.array_equal(hessian, np.swapaxes(hessian, 0, 1))
    assert relative_error(u, case.forward()) <= 4 * EPS
    host, params = host_case(first_layer, depth, d)
    exact_gradient, exact_hessian = np.empty(gradient.shape), np.empty(hessian.shape)
    for axis in range(d):
        points = GRIDS[d].scaled_points().astype(np.complex128)
        points[:, axis] += 1j * STEP
        stepped = LinearMap(points, HOST) if first_layer == "none" else DenseMap(points, HOST)
        # The gradient from the values, and the Hessian from the gradient.
        exact_gradient[axis] = host.forward(params, stepped).imag / STEP
        exact_hessian[axis] = host.derivatives(params, stepped, d)[1].imag / STEP
    assert relative_error(gradient, exact_gradient) <= TOLERANCE
    # k_i k_j instead of k_i: the largest wavenumbers, with the largest errors, weigh more.
    if np.any(exact_hessian):
        assert relative_error(hessian, exact_hessian) <= 2 * TOLERANCE
    else:
        assert not np.any(hessian)


@pytest.mark.parametrize(("first_layer", "depth"), [("ffm", 2), ("cos", 1), ("none", 3), ("fourier", 0)])
def test_derivatives_in_30_digits(backend, first_layer, depth):
    case = Case(first_layer, MAPS[first_layer][0], depth, 2, backend)
    network, x = case.network, (0.3, -0.7)
    u, gradient, hessian = map(backend.to_numpy, network.derivatives(case.params, case.at(np.array([x])), 2))
    host = {name: value.tolist() for name, value in case.host_params.items()}
    A = None if first_layer == "none" else backend.to_numpy(network.amplitudes).tolist()

    def affine(layer, h):
        return [mpmath.fdot(row, h) + c for row, c in zip(host[f"W{layer}"], host[f"c{layer}"], strict=True)]

    def exact(*point):
        h = point
        if A is not None:
            rows = host["B"] * 2 if network.paired else host["B"]
            h = [
                a * mpmath.cos(network.scale * mpmath.fdot(k, point) + b)
                for a, k, b in zip(A, rows, host["b"], strict=True)
            ]
        z = affine(1, h)
        for layer in range(2, depth + 2):
            z = affine(layer, list(map(mpmath.tanh, z)))
        return z[0]

    with mpmath.workdps(30):
        x = tuple(map(mpmath.mpf, x))
        slopes = [mpmath.diff(exact, x, order) for order in [(1, 0), (0, 1)]]
        seconds = [[mpmath.diff(exact, x, order) for order in row] for row in [[(2, 0), (1, 1)], [(1, 1), (0, 2)]]]
        value = exact(*x)
    assert relative_error(u[0], float(value)) <= TOLERANCE
    assert relative_error(gradient[:, 0], np.array(slopes, dtype=float)) <= TOLERANCE
    if depth or first_layer != "none":
        assert relative_error(hessian[:, :, 0], np.array(seconds, dtype=float)) <= 2 * TOLERANCE
