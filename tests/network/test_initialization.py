"""The first layers against their formulas, written out here, and the random numbers behind them."""

import math

import numpy as np
import pytest
from conftest import EPS, relative_error

from simsnn_ref.errors import ConfigError
from simsnn_ref.network import FIRST_LAYERS, DenseMap, LinearMap, constant_network, initialize
from simsnn_ref.network.initialization import scale_factor, xavier
from simsnn_ref.spectrum import Grid, fourier_modes

GRID = Grid((12, 10))
COSINE_LAYERS = [name for name in FIRST_LAYERS if name != "none"]


def target(grid=GRID, seed=0):
    return np.random.default_rng(seed).standard_normal(grid.shape)


def build(first_layer, backend, grid=GRID, n_features=8, hidden=(5, 4), seed=0, u=None, **options):
    u = target(grid) if u is None else u
    return initialize(
        first_layer,
        backend.asarray(u),
        grid,
        n_features=n_features,
        hidden=hidden,
        rng=np.random.default_rng(seed),
        backend=backend,
        **options,
    )


def on_host(params, backend):
    return {name: backend.to_numpy(value) for name, value in params.items()}


def values(network, params, backend, grid=GRID):
    """Gamma(x), shape (n_f, n_points): a network without tail whose output weights pick one feature after another."""
    n_f = network.n_features
    picked = backend.asarray(np.eye(n_f))
    fmap = DenseMap(backend.asarray(grid.scaled_points()), backend)
    return backend.to_numpy(fmap.forward(picked, network.features(params)))


# The features


def test_si_is_algorithm_1(backend):
    network, params = build("si", backend)
    modes = fourier_modes(backend.asarray(target()), GRID, backend, 8)
    for value, exact in [
        (params["B"], modes.wavenumbers),
        (params["b"], modes.phases),
        (network.amplitudes, modes.amplitudes),
    ]:
        assert np.array_equal(backend.to_numpy(value), backend.to_numpy(exact))
    assert np.array_equal(network.indices, modes.indices)
    assert isinstance(network.indices, np.ndarray)
    assert (network.scale, network.paired, network.frozen) == (1.0, False, {"B"})


def test_fourier_is_the_truncated_series(backend):
    n = 62
    network, params = build("fourier", backend, n_features=n)
    assert network.hidden == ()
    assert network.frozen == set(params) == {"B", "b", "W1", "c1"}
    u = network.forward(params, DenseMap(backend.asarray(GRID.scaled_points()), backend))
    # All modes there are: rounding of k.x, up to 35, is what is left.
    assert np.max(np.abs(backend.to_numpy(u) - target().ravel())) <= 32 * EPS * np.max(np.abs(target()))
    assert network.n_parameters(params) == 0


def test_msnn(backend):
    grid = Grid((40, 36))
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    network, params = build(
        "msnn", backend, grid, n_features=4000, u=3.0 * np.sin(5 * np.pi * x) + 0.1 * np.cos(np.pi * y)
    )
    # w ~ N(0, 2 / (d + n_f)) and kappa = pi f_d / sqrt(Var) with f_d = 5: wavenumbers of deviation 5 pi.
    variance = 2.0 / (2 + 4000)
    B = backend.to_numpy(params["B"])
    assert network.scale == pytest.approx(5 * np.pi / math.sqrt(variance), rel=8 * EPS)
    assert B.shape == (4000, 2)
    assert np.std(B) == pytest.approx(math.sqrt(variance), rel=4.0 / math.sqrt(2 * 8000))
    K = backend.to_numpy(network.features(params).wavenumbers)
    assert relative_error(K, network.scale * B) <= EPS
    assert not np.any(backend.to_numpy(params["b"]))
    assert np.all(backend.to_numpy(network.amplitudes) == 1.0)
    assert network.frozen == frozenset()
    assert network.indices is None


@pytest.mark.parametrize("sigma", [0.5, 3.0])
@pytest.mark.parametrize("first_layer", ["rff", "ffm", "cos"])
def test_random_features(backend, first_layer, sigma):
    n = 2000
    network, params = build(first_layer, backend, n_features=n, sigma=sigma)
    host = on_host(params, backend)
    B, b = host["B"], host["b"]
    rows = n // 2 if first_layer == "ffm" else n
    assert B.shape == (rows, 2)
    # Four standard deviations of the estimates.
    assert abs(np.mean(B)) <= 4.0 * sigma / math.sqrt(B.size)
    assert np.std(B) == pytest.approx(sigma, rel=4.0 / math.sqrt(2 * B.size))
    x = GRID.scaled_points()
    phase = 2.0 * np.pi * B @ x.T
    if first_layer == "ffm":
        exact = np.concatenate([np.cos(phase), np.sin(phase)])
    elif first_layer == "cos":
        exact = np.cos(phase)
        assert not np.any(b)
    else:
        exact = np.cos(phase + b[:, None])
        assert np.all((b >= 0.0) & (b < 2.0 * np.pi))
        assert np.mean(b) == pytest.approx(np.pi, abs=4.0 * 2.0 * np.pi / math.sqrt(12 * n))
        assert np.std(b) == pytest.approx(2.0 * np.pi / math.sqrt(12), rel=0.1)
    # Phases reach 2 pi sigma 4 sqrt(2) and carry an eps of that.
    assert np.max(np.abs(values(network, params, backend) - exact)) <= EPS * (8 + 2 * np.max(np.abs(phase)))
    assert network.frozen == (frozenset() if first_layer == "cos" else {"B", "b"})
    assert np.all(backend.to_numpy(network.amplitudes) == 1.0)


def test_none_is_a_plain_network(backend):
    network, params = build("none", backend, hidden=(5, 4))
    assert network.amplitudes is None
    assert list(params) == ["W1", "c1", "W2", "c2", "W3", "c3"]
    assert params["W1"].shape == (5, 2)
    x = GRID.scaled_points()
    u = network.forward(params, LinearMap(backend.asarray(x), backend))
    W = on_host(params, backend)
    exact = W["W3"] @ np.tanh(W["W2"] @ np.tanh(W["W1"] @ x.T))
    assert relative_error(backend.to_numpy(u), exact[0]) <= 8 * EPS


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_constant_network(backend, d, sign):
    network, params = constant_network(sign, d, backend)
    points = backend.asarray(np.random.default_rng(0).uniform(-1.0, 1.0, (20, d)))
    u = network.forward(params, DenseMap(points, backend))
    assert np.all(backend.to_numpy(u) == sign)
    assert network.trainable(params) == []
    assert network.indices.tolist() == [[0] * d]


# kappa


@pytest.mark.parametrize("f", [1, 4, 9])
@pytest.mark.parametrize("variance", [1.0, 0.01])
def test_scale_factor_gives_wavenumbers_of_the_size_of_the_target(f, variance):
    w = np.random.default_rng(0).normal(0.0, math.sqrt(variance), 100_000)
    # sin(pi f x) has wavenumber pi f.
    assert np.std(scale_factor(f, variance) * w) == pytest.approx(np.pi * f, rel=4.0 / math.sqrt(2e5))


@pytest.mark.parametrize("f", [1, 4, 9])
@pytest.mark.parametrize("grid", [Grid(24), Grid((20, 22)), Grid((20, 3, 4))], ids=lambda grid: f"{grid.ndim}d")
def test_kappa_on_a_pure_sine(backend, grid, f):
    x = np.meshgrid(*grid.scaled_axes(), indexing="ij")[0]
    network, _ = build("msnn", backend, grid, u=np.sin(np.pi * f * x))
    assert network.scale == pytest.approx(np.pi * f / math.sqrt(2.0 / (grid.ndim + 8)), rel=8 * EPS)


# The tail


@pytest.mark.parametrize(("n_out", "n_in"), [(200, 300), (1, 40_000)])
def test_xavier(n_out, n_in):
    W = xavier(np.random.default_rng(0), n_out, n_in)
    assert W.shape == (n_out, n_in)
    deviation = math.sqrt(2.0 / (n_in + n_out))
    assert abs(np.mean(W)) <= 4.0 * deviation / math.sqrt(W.size)
    assert np.std(W) == pytest.approx(deviation, rel=4.0 / math.sqrt(2 * W.size))
    # Normal, not uniform of the same variance: 4.6 % are beyond two deviations.
    assert np.mean(np.abs(W) > 2.0 * deviation) == pytest.approx(0.0455, abs=0.01)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4), (3, 6, 2)])
@pytest.mark.parametrize("first_layer", COSINE_LAYERS)
def test_shapes_and_order_of_parameters(backend, first_layer, hidden):
    network, params = build(first_layer, backend, hidden=hidden)
    hidden = () if first_layer == "fourier" else hidden
    assert network.depth == len(hidden)
    tail = [f"{letter}{layer}" for layer in range(1, len(hidden) + 2) for letter in "Wc"]
    assert list(params) == ["B", "b", *tail]
    widths = [8, *hidden, 1]
    for layer in range(1, len(widths)):
        assert params[f"W{layer}"].shape == (widths[layer], widths[layer - 1])
        assert params[f"c{layer}"].shape == (widths[layer],)
        assert not np.any(backend.to_numpy(params[f"c{layer}"]))
    assert params["B"].shape == (4 if first_layer == "ffm" else 8, 2)
    assert params["b"].shape == (8,)
    assert all(value.dtype == backend.xp.float64 and value.device == backend.device for value in params.values())


@pytest.mark.parametrize("first_layer", FIRST_LAYERS)
def test_numbers_depend_on_the_seed_alone(backend, first_layer):
    first, again, other = (on_host(build(first_layer, backend, seed=seed)[1], backend) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    random = {"W1", "W2", "W3"} if first_layer != "fourier" else set()
    random |= {"B"} if first_layer in ("msnn", "rff", "ffm", "cos") else set()
    random |= {"b"} if first_layer == "rff" else set()
    assert {name for name in first if not np.array_equal(first[name], other[name])} == random


def test_first_layer_is_drawn_first(backend):
    _, params = build("cos", backend, seed=11, sigma=2.0)
    rng = np.random.default_rng(11)
    expected = {"B": rng.normal(0.0, 2.0, (8, 2)), "W1": xavier(rng, 5, 8), "W2": xavier(rng, 4, 5)}
    for name, value in expected.items():
        assert np.array_equal(backend.to_numpy(params[name]), value)


# What trains


@pytest.mark.parametrize("train", [True, False, None])
@pytest.mark.parametrize("first_layer", ["si", "msnn", "ffm", "cos"])
def test_train_wavenumbers(backend, first_layer, train):
    network, params = build(first_layer, backend, train_wavenumbers=train)
    default = first_layer in ("msnn", "cos")
    trains = default if train is None else train
    assert ("B" in network.trainable(params)) is trains
    assert ("b" in network.trainable(params)) is (first_layer != "ffm")
    # Only frozen modes have integer wavenumbers to speak of.
    assert (network.indices is not None) is (first_layer == "si" and not trains)


@pytest.mark.parametrize("first_layer", ["rff", "fourier"])
def test_wavenumbers_fixed_by_definition(backend, first_layer):
    with pytest.raises(ConfigError, match=f"first_layer '{first_layer}' has fixed wavenumbers by definition"):
        build(first_layer, backend, train_wavenumbers=True)
    network, _ = build(first_layer, backend, train_wavenumbers=False)
    assert "B" in network.frozen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_layer": "siren"}, "first_layer = 'siren': choose one of si, msnn, rff, ffm, cos, fourier, none"),
        ({"first_layer": "ffm", "n_features": 7}, "n_features = 7: first_layer 'ffm' .* needs an even number"),
        ({"first_layer": "si", "n_features": 63}, "n_features = 63: a grid of 12 x 10 points has 62 Fourier modes"),
        ({"first_layer": "fourier", "n_features": 0}, "choose 1 to 62"),
        ({"first_layer": "none", "hidden": ()}, "first_layer 'none' needs at least one tanh layer"),
        ({"first_layer": "none", "train_wavenumbers": True}, "first_layer 'none' has no wavenumbers"),
    ],
)
def test_refusals(backend, options, message):
    with pytest.raises(ConfigError, match=message):
        build(backend=backend, **options)


@pytest.mark.parametrize("first_layer", ["si", "msnn", "ffm"])
def test_z1_rms_scales_the_first_weights_and_nothing_else(backend, first_layer):
    rng = np.random.default_rng(8)
    grid = Grid((40, 36))
    u = backend.asarray(np.exp(np.sin(np.pi * grid.scaled_points() @ [1.0, 2.0])).reshape(grid.shape) - 1.0)
    build = lambda z1_rms: initialize(  # noqa: E731
        first_layer,
        u,
        grid,
        n_features=30,
        hidden=(8, 8),
        rng=np.random.default_rng(3),
        backend=backend,
        z1_rms=z1_rms,
        sigma=4.0,
    )
    _, xavier = build(0.0)
    network, scaled = build(0.7)
    assert all(np.array_equal(*map(backend.to_numpy, (xavier[name], scaled[name]))) for name in xavier if name != "W1")
    ratio = backend.to_numpy(scaled["W1"] / xavier["W1"])
    assert np.allclose(ratio, ratio[0, 0], rtol=4 * EPS, atol=0.0)
    points = backend.asarray(rng.uniform(-1.0, 1.0, (4000, 2)))
    z = backend.to_numpy(DenseMap(points, backend).forward(scaled["W1"], network.features(scaled)))
    # 30 features at random points, of which the mean k = 0 may be one and counts twice.
    assert 0.5 < np.sqrt(np.mean(z**2)) / 0.7 < 1.5


@pytest.mark.parametrize("first_layer", ["si", "msnn", "none"])
def test_output_gain_scales_the_output_weights_and_nothing_else(backend, first_layer):
    xavier, scaled = (build(first_layer, backend=backend, output_gain=gain)[1] for gain in (1.0, 40.0))
    last = list(xavier)[-2]
    assert last == f"W{len([name for name in xavier if name[0] == 'W'])}"
    for name in xavier:
        factor = 40.0 if name == last else 1.0
        assert np.array_equal(backend.to_numpy(factor * xavier[name]), backend.to_numpy(scaled[name])), name
