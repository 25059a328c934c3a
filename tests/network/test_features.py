"""The feature maps: dense against 40 digits, separable and fft against dense, each vjp the transpose of its jvp."""

from dataclasses import astuple

import mpmath
import numpy as np
import pytest
from conftest import EPS

import simsnn_ref.network.features.dense as dense_module
import simsnn_ref.network.features.fft as fft_module
import simsnn_ref.network.features.separable as separable_module
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import DenseMap, Features, FFTMap, LinearMap, MapSizes, SeparableMap, make_map
from simsnn_ref.network.features.modes import ModesMap
from simsnn_ref.spectrum import Grid, count_modes, fourier_modes

GRIDS = [
    Grid(1),
    Grid(2),
    Grid(9),
    Grid(30),
    Grid(23, periodic=False),
    Grid((6, 8)),
    Grid((7, 5)),
    Grid((8, 9), periodic=(True, False)),
    Grid((5, 6), 0.0, 9.0, (False, False)),
    Grid((1, 6)),
    Grid((4, 5, 6)),
    Grid((3, 5, 7)),
    Grid((4, 2, 4), periodic=(False, True, True)),
]
HIDDEN = 3
ARGUMENT = 1.0
"""Times eps (|k|.|x| + |b|): half an eps each for the product, the sum and, in the reference, the same again."""
ARITHMETIC = 4.0
"""Times eps: cosines, products and the sums over points, features and hidden units, or the FFT's log2(N) stages."""


def name(grid):
    return f"{'x'.join(map(str, grid.shape))}-{''.join('pe'[not periodic] for periodic in grid.periodic)}"


class Case:
    """Features at modes of `grid` and random weights, directions and cotangents, as NumPy arrays."""

    def __init__(self, grid, seed=0, n_features=None, points=None):
        rng = np.random.default_rng(seed)
        modes = grid_modes(grid)
        picked = rng.permutation(len(modes))[: n_features or len(modes)]
        # Either member of a pair {m, -m} may stand for it.
        self.indices = modes[picked] * rng.choice([-1, 1], (len(picked), 1))
        n_f, n_points = len(picked), grid.size if points is None else points
        self.K = self.indices * np.array(grid.wavenumber_units)
        self.A = np.exp(rng.uniform(-3.0, 0.0, n_f))
        self.b = rng.uniform(-np.pi, np.pi, n_f)
        self.W, self.W_dot = rng.standard_normal((2, HIDDEN, n_f))
        self.K_dot = rng.standard_normal(self.K.shape)
        self.b_dot = rng.standard_normal(n_f)
        self.dz = rng.standard_normal((HIDDEN, n_points))

    def scattered(self, seed=1):
        """The same features off the modes."""
        self.K = self.K + np.random.default_rng(seed).uniform(-1.0, 1.0, self.K.shape)
        return self

    def products(self, fmap, backend, trained=True):
        """z, dW, db, dK, z_dot of `fmap` on the host; `trained` is False where K is frozen."""
        on = backend.asarray
        W, features = on(self.W), Features(on(self.A), on(self.K), on(self.b))
        grad = fmap.vjp(W, features, on(self.dz))
        z_dot = fmap.jvp(W, features, on(self.W_dot), on(self.K_dot) if trained else None, on(self.b_dot))
        results = {"z": fmap.forward(W, features), "dW": grad.weights, "db": grad.phases, "dK": grad.wavenumbers}
        results["z_dot"] = z_dot
        return {key: backend.to_numpy(value) for key, value in results.items() if value is not None}

    def bounds(self, trained=True, argument=ARGUMENT, arithmetic=ARITHMETIC):
        """How far two evaluations may lie apart: each cosine is off by eps (C + |k|.|x| + |b|), |x| <= 1."""
        cosine = EPS * (arithmetic + argument * (np.sum(np.abs(self.K), axis=1) + np.abs(self.b)))
        W, dz, share = np.abs(self.W), np.sum(np.abs(self.dz), axis=1), self.A * cosine
        turn = np.abs(self.b_dot) + (np.sum(np.abs(self.K_dot), axis=1) if trained else 0.0)
        db = share * (dz @ W)
        return {
            "z": (W @ share)[:, None],
            "dW": np.outer(dz, share),
            "db": db,
            "dK": db[:, None],
            "z_dot": (np.abs(self.W_dot) @ share + W @ (share * turn))[:, None],
        }


def grid_modes(grid):
    """Every distinct real mode of `grid`."""
    seen, kept = set(), []
    for index in np.ndindex(*grid.shape):
        opposite = tuple(-i % n for i, n in zip(index, grid.shape, strict=True))
        if opposite not in seen:
            seen.add(index)
            kept.append([i - n if 2 * i > n else i for i, n in zip(index, grid.shape, strict=True)])
    return np.array(kept)


def assert_close(results, reference, bounds):
    for key, value in results.items():
        assert value.shape == reference[key].shape
        error = np.max(np.abs(value - reference[key]) / bounds[key])
        assert error <= 1.0, f"{key}: {error:.3g} times the bound"


def dense_map(grid, backend):
    return DenseMap(backend.asarray(grid.scaled_points()), backend)


def build(kind, grid, indices, backend):
    if kind == "dense":
        return dense_map(grid, backend)
    return SeparableMap.from_grid(grid, backend) if kind == "separable" else FFTMap(grid, indices, backend)


@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_modes_on_a_block_of_a_grid(backend, grid):
    case = Case(grid)
    block = tuple(slice(n // 3, n // 3 + max(1, n // 2)) for n in grid.shape)
    W, features = (backend.asarray(case.W), Features(*map(backend.asarray, (case.A, case.K, case.b))))
    fmap = ModesMap(grid, case.indices, backend, block=block)
    there = np.arange(grid.size).reshape(grid.shape)[block]
    reference = dense_map(grid, backend).forward(W, features)
    reference = backend.to_numpy(reference)[:, there.ravel()]
    assert fmap.grid_shape == there.shape
    assert_close({"z": backend.to_numpy(fmap.forward(W, features))}, {"z": reference}, case.bounds())


# Dense: the definition


@pytest.mark.parametrize("d", [1, 2, 3])
def test_dense_agrees_with_its_definition_in_40_digits(backend, d):
    case = Case(Grid((5, 4, 3)[:d]), n_features=5, points=4).scattered()
    points = np.random.default_rng(2).uniform(-1.0, 1.0, (4, d))
    results = case.products(DenseMap(backend.asarray(points), backend), backend)
    with mpmath.workdps(40):
        exact = {key: np.vectorize(mpmath.mpf)(np.zeros(value.shape)) for key, value in results.items()}
        for n, x in enumerate(points.tolist()):
            for j, (k, b, A) in enumerate(zip(case.K.tolist(), case.b.tolist(), case.A.tolist(), strict=True)):
                phase = mpmath.fdot(k, x) + b
                cos, sin = A * mpmath.cos(phase), A * mpmath.sin(phase)
                turn = case.b_dot[j].item() + mpmath.fdot(case.K_dot[j].tolist(), x)
                for h in range(HIDDEN):
                    W, W_dot, dz = case.W[h, j].item(), case.W_dot[h, j].item(), case.dz[h, n].item()
                    exact["z"][h, n] += W * cos
                    exact["z_dot"][h, n] += W_dot * cos - W * sin * turn
                    exact["dW"][h, j] += dz * cos
                    exact["db"][j] -= W * dz * sin
                    for axis in range(d):
                        exact["dK"][j, axis] -= W * dz * sin * x[axis]
        exact = {key: value.astype(np.float64) for key, value in exact.items()}
    assert_close(results, exact, case.bounds())


# The others against dense


@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_separable_agrees_with_dense(backend, grid):
    case = Case(grid).scattered()
    reference = case.products(dense_map(grid, backend), backend)
    assert_close(case.products(SeparableMap.from_grid(grid, backend), backend), reference, case.bounds())


@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_fft_agrees_with_dense(backend, grid):
    case = Case(grid)
    assert len(case.indices) == count_modes(grid)
    reference = case.products(dense_map(grid, backend), backend, trained=False)
    results = case.products(FFTMap(grid, case.indices, backend), backend, trained=False)
    assert set(results) == {"z", "dW", "db", "z_dot"}
    assert_close(results, reference, case.bounds(trained=False))


@pytest.mark.parametrize("n_features", [1, 4])
@pytest.mark.parametrize("kind", ["separable", "fft"])
def test_few_features(backend, kind, n_features):
    grid = Grid((6, 8))
    case = Case(grid, n_features=n_features)
    trained = kind == "separable"
    reference = case.products(dense_map(grid, backend), backend, trained)
    assert_close(case.products(build(kind, grid, case.indices, backend), backend, trained), reference, case.bounds())


def test_frozen_wavenumbers_are_a_direction_of_zero(backend):
    grid = Grid((5, 6))
    case = Case(grid)
    still = Case(grid)
    still.K_dot = np.zeros_like(case.K_dot)
    for fmap in (dense_map(grid, backend), SeparableMap.from_grid(grid, backend)):
        frozen = case.products(fmap, backend, trained=False)["z_dot"]
        assert_close({"z_dot": still.products(fmap, backend)["z_dot"]}, {"z_dot": frozen}, case.bounds(argument=0.0))


@pytest.mark.parametrize("kind", ["dense", "separable", "fft"])
def test_gradient_of_wavenumbers_is_left_out_where_not_asked_for(backend, kind):
    grid = Grid((5, 6))
    case = Case(grid)
    W, A, K, b, dz = map(backend.asarray, (case.W, case.A, case.K, case.b, case.dz))
    fmap = build(kind, grid, case.indices, backend)
    grad = fmap.vjp(W, Features(A, K, b), dz, wavenumbers=False)
    assert grad.wavenumbers is None
    every = fmap.vjp(W, Features(A, K, b), dz)
    # Without them separable may add in another order.
    pairs = [(grad.weights, every.weights, "dW"), (grad.phases, every.phases, "db")]
    for value, reference, key in pairs:
        error = np.abs(backend.to_numpy(value) - backend.to_numpy(reference))
        assert np.all(error <= case.bounds(argument=0.0)[key])


@pytest.mark.parametrize("fine", [(12, 16), (9, 14), (7, 9), (6, 9), (24, 8)], ids=str)
def test_fft_on_a_finer_grid_of_the_same_period(backend, fine):
    # 6 x 8 has Nyquist modes in both directions, which are no longer alone on a finer grid.
    coarse = Grid((6, 8))
    case = Case(coarse, points=fine[0] * fine[1])
    grid = Grid(fine)
    reference = case.products(dense_map(grid, backend), backend, trained=False)
    results = case.products(make_map(grid, backend, kind="fft", indices=case.indices), backend, trained=False)
    assert_close(results, reference, case.bounds(trained=False))


def test_fft_on_a_coarser_grid_where_modes_alias_apart(backend):
    grid = Grid((5, 6))
    indices = np.array([[0, 0], [7, -8], [-11, 9], [5, 7], [3, 16]])
    case = Case(grid, n_features=5)
    case.indices, case.K = indices, np.pi * indices
    reference = case.products(dense_map(grid, backend), backend, trained=False)
    assert_close(case.products(FFTMap(grid, indices, backend), backend, trained=False), reference, case.bounds(False))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_separable_on_axes_of_any_spacing(backend, d):
    rng = np.random.default_rng(4)
    axes = [rng.uniform(-1.0, 1.0, n) for n in (6, 5, 7)[:d]]
    points = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=-1)
    case = Case(Grid((6, 5, 7)[:d])).scattered()
    reference = case.products(DenseMap(backend.asarray(points), backend), backend)
    fmap = SeparableMap.from_axes(axes, backend)
    assert fmap.n_points == len(points)
    assert_close(case.products(fmap, backend), reference, case.bounds())


# Blocks


@pytest.mark.parametrize("elements", [1, 40, 150])
@pytest.mark.parametrize("grid", [Grid(23), Grid((5, 6)), Grid((3, 4, 5))], ids=name)
def test_blocks_do_not_change_the_result(backend, monkeypatch, grid, elements):
    case = Case(grid).scattered()
    monkeypatch.setattr(separable_module, "MOST_STEPS", 2)
    maps = dense_map(grid, backend), SeparableMap.from_grid(grid, backend)
    whole = [case.products(fmap, backend) for fmap in maps]
    monkeypatch.setattr(dense_module, "BLOCK_ELEMENTS", elements)
    sizes = {"PRODUCT": elements, "GROUP_ELEMENTS": 5 * elements, "TASK": elements}
    for constant, value in (sizes | {"FEATURE_BLOCK": 5, "LEAST_FEATURES": 2, "LEAST_UNITS": 1}).items():
        monkeypatch.setattr(separable_module, constant, value)
    features, rows = maps[1]._feature_blocks(len(case.A)), slice(0, maps[1].shape[0])
    assert len(list(maps[0]._blocks(len(case.A)))) > 1
    assert len(features) > 1
    assert len(maps[1]._row_groups(HIDDEN, len(case.A))) > 1 or elements > 1
    assert len(maps[1]._row_blocks(rows, features[0])) > 1 or elements > 1
    assert len(maps[1]._unit_blocks(HIDDEN, len(case.A), rows)) > 1
    for fmap, reference in zip(maps, whole, strict=True):
        # The same cosines, added in another order.
        assert_close(case.products(fmap, backend), reference, case.bounds(argument=0.0))


@pytest.mark.parametrize("grid", [Grid(23), Grid((5, 6)), Grid((3, 4, 5))], ids=name)
def test_blocks_of_units_do_not_change_the_fft_map(backend, monkeypatch, grid):
    case = Case(grid)
    fmap = FFTMap(grid, case.indices, backend)
    whole = case.products(fmap, backend, False)
    monkeypatch.setattr(fft_module, "BLOCK_ELEMENTS", 2 * grid.size)
    assert len(fmap._blocks(HIDDEN)) > 1
    blocked = case.products(fmap, backend, False)
    assert all(np.array_equal(whole[key], blocked[key]) for key in whole)


def test_transforms_run_over_the_modes_there_are():
    grid = Grid((16, 24))
    indices = np.array([[0, 1], [-3, 2], [5, 4]])
    assert FFTMap(grid, indices, NumpyBackend()).half_shape == (16, 5)


# Transposes


@pytest.mark.parametrize("kind", ["dense", "separable", "fft"])
@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_vjp_is_the_transpose_of_jvp(backend, grid, kind):
    trained = kind != "fft"
    case = Case(grid)
    case = case.scattered() if trained else case
    results = case.products(build(kind, grid, case.indices, backend), backend, trained)
    forward = np.sum(results["z_dot"] * case.dz)
    terms = [results["dW"] * case.W_dot, results["db"] * case.b_dot]
    terms += [results["dK"] * case.K_dot] if trained else []
    # One map evaluates its cosines alike in both products, so the rounding of arguments drops out.
    size = np.sum(case.bounds(trained, argument=0.0)["z_dot"] * np.abs(case.dz))
    assert abs(forward - sum(map(np.sum, terms))) <= size


@pytest.mark.parametrize("d", [1, 2, 3])
def test_linear_map(backend, d):
    rng = np.random.default_rng(6)
    points, W, W_dot, dz = (rng.standard_normal(shape) for shape in [(7, d), (HIDDEN, d), (HIDDEN, d), (HIDDEN, 7)])
    fmap = LinearMap(backend.asarray(points), backend)
    z = backend.to_numpy(fmap.forward(backend.asarray(W), None))
    grad = fmap.vjp(backend.asarray(W), None, backend.asarray(dz))
    z_dot = backend.to_numpy(fmap.jvp(backend.asarray(W), None, backend.asarray(W_dot), None, None))
    assert fmap.n_points == 7
    assert np.max(np.abs(z - np.einsum("hd,nd->hn", W, points))) <= 8 * EPS
    assert np.max(np.abs(z_dot - np.einsum("hd,nd->hn", W_dot, points))) <= 8 * EPS
    assert grad.wavenumbers is None
    assert grad.phases is None
    transposed = np.sum(backend.to_numpy(grad.weights) * W_dot)
    assert abs(np.sum(z_dot * dz) - transposed) <= 8 * EPS * np.sum(np.abs(W_dot) @ np.abs(points.T) * np.abs(dz))


# Every mode of Algorithm 1, back to samples


@pytest.mark.parametrize("kind", ["dense", "separable", "fft"])
@pytest.mark.parametrize("grid", [Grid(16), Grid((8, 9)), Grid((6, 8), periodic=False), Grid((4, 5, 6))], ids=name)
def test_all_modes_reproduce_the_samples(backend, grid, kind):
    u = np.random.default_rng(7).standard_normal(grid.shape)
    modes = fourier_modes(backend.asarray(u), grid, backend)
    fmap = build(kind, grid, modes.indices, backend)
    ones = backend.asarray(np.ones((1, len(modes))))
    z = backend.to_numpy(fmap.forward(ones, Features(modes.amplitudes, modes.wavenumbers, modes.phases)))
    # fft turns exact angles; the others round k.x, up to pi N d / 2.
    argument = 0.0 if kind == "fft" else np.pi * sum(grid.shape) / 2
    assert np.max(np.abs(z.reshape(grid.shape) - u)) <= (8 + argument) * EPS * np.max(np.abs(u))


# Choice and refusals


def test_choice_of_a_map(backend):
    grid, indices = Grid((6, 8)), grid_modes(Grid((6, 8)))
    points = backend.asarray(grid.scaled_points())

    def chosen(*where, **options):
        return make_map(*where, backend, sizes=MapSizes(n_features=1000), **options).name

    large = Grid((96, 80))
    assert chosen(large, indices=indices) == "fft"
    assert chosen(large.refined(), indices=indices) == "fft"
    assert chosen(large) == "separable"
    assert chosen(points) == "dense"
    assert chosen(points, indices=indices) == "dense"
    # (3, 4) and (0, 0) are one mode of a 3 x 4 grid.
    assert chosen(Grid((3, 4)), indices=indices) != "fft"
    for kind in ("dense", "separable", "fft"):
        fmap = make_map(grid, backend, kind=kind, indices=indices)
        assert fmap.name == kind
        assert fmap.n_points == grid.size
    assert make_map(points, backend, kind="dense").n_points == grid.size


def test_aliased_modes_on_a_coarser_grid_are_still_right(backend):
    grid = Grid((3, 4))
    case = Case(Grid((6, 8)), points=grid.size)
    reference = case.products(dense_map(grid, backend), backend)
    assert_close(case.products(make_map(grid, backend, indices=case.indices), backend), reference, case.bounds())


@pytest.mark.parametrize(
    "indices",
    [[[1, 2], [1, 2]], [[1, 2], [-1, -2]], [[3, 1], [-3, 1]], [[1, 4], [-1, 4]], [[2, 0], [-2, 0]], [[0, 1], [6, 1]]],
)
def test_fft_refuses_two_features_on_one_mode(backend, indices):
    with pytest.raises(ConfigError, match="two features are the same mode of this grid; use 'separable'"):
        FFTMap(Grid((6, 8)), np.array([[0, 0], *indices]), backend)


def test_fft_refuses_to_train_wavenumbers(backend):
    grid = Grid((6, 8))
    with pytest.raises(ConfigError, match="'fft' needs wavenumbers B frozen"):
        make_map(grid, backend, kind="fft")
    case = Case(grid)
    with pytest.raises(ConfigError, match="keeps the wavenumbers B frozen"):
        case.products(FFTMap(grid, case.indices, backend), backend)


@pytest.mark.parametrize("kind", ["separable", "fft"])
def test_scattered_points_need_dense(backend, kind):
    with pytest.raises(
        ConfigError, match=f"feature_map = '{kind}' needs a tensor grid; scattered points take 'dense' or"
    ):
        make_map(backend.asarray(np.zeros((3, 2))), backend, kind=kind, indices=np.zeros((1, 2), dtype=np.int64))


def test_unknown_map(backend):
    with pytest.raises(ConfigError, match="feature_map = 'ffft': choose one of auto, dense, separable, fft, nufft"):
        make_map(Grid(4), backend, kind="ffft")


def test_features_are_frozen(backend):
    features = Features(*map(backend.asarray, (np.ones(1), np.ones((1, 2)), np.ones(1))))
    assert len(astuple(features)) == 3
    with pytest.raises(AttributeError):
        features.phases = None
