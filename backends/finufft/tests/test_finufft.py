"""The map ``nufft``: its agreement with the dense map to the tolerance, its transposes, and the use of its plans."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from simsnn_ref import fit
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import DenseMap, ExtendedBackend, Features, make_map
from simsnn_ref.spectrum import Grid

finufft = pytest.importorskip("finufft", reason="FINUFFT is not installed")
feature_map = pytest.importorskip("simsnn_ref_finufft.feature_map", reason="the FINUFFT plug-in is not installed")
NufftMap = feature_map.NufftMap

BACKEND = NumpyBackend()
EPS = float(np.finfo(np.float64).eps)
TOLERANCES = [1e-6, 1e-9, 1e-12, 1e-14]
FACTOR = 4.0
"""Multiple of the tolerance: its authors estimate FINUFFT's error to a factor of about 2, and x_d and r_j weigh it."""
ARITHMETIC = 16.0
"""Multiple of eps: the log2(N) stages of the FFT and the kernel's polynomial, of degree up to 19, round."""

GRIDS = [
    Grid(1),
    Grid(2),
    Grid(30),
    Grid(31),
    Grid(23, periodic=False),
    Grid(24, periodic=False),
    Grid((6, 8)),
    Grid((32, 33)),
    Grid((8, 9), periodic=(True, False)),
    Grid((5, 6), 0.0, 9.0, (False, False)),
    Grid((1, 6)),
    Grid((4, 5, 6)),
    Grid((4, 2, 4), periodic=(False, True, True)),
]


def name(where):
    if isinstance(where, Grid):
        return f"{'x'.join(map(str, where.shape))}-{''.join('pe'[not periodic] for periodic in where.periodic)}"
    return f"{len(where)}points-{where.shape[1]}d"


def scattered(n, d, seed=1):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (n, d))


class Case:
    """Features of any wavenumber up to the grid's Nyquist number (40 at scattered points), and random weights."""

    def __init__(self, where, n_features=37, h=3, seed=0):
        rng = np.random.default_rng(seed)
        d = where.ndim if isinstance(where, Grid) else where.shape[1]
        self.n_points = where.size if isinstance(where, Grid) else len(where)
        largest = np.pi * np.array(where.shape) / 2 if isinstance(where, Grid) else np.full(d, 40.0)
        self.K = rng.uniform(-1.0, 1.0, (n_features, d)) * largest
        self.A = np.exp(rng.uniform(-3.0, 0.0, n_features))
        self.b, self.b_dot = rng.uniform(-np.pi, np.pi, (2, n_features))
        self.W, self.W_dot = rng.standard_normal((2, h, n_features))
        self.K_dot = rng.standard_normal((n_features, d))
        self.dz = rng.standard_normal((h, self.n_points))

    @property
    def features(self):
        return Features(self.A, self.K, self.b)

    def products(self, fmap, trained=True):
        grad = fmap.vjp(self.W, self.features, self.dz, wavenumbers=trained)
        z_dot = fmap.jvp(self.W, self.features, self.W_dot, self.K_dot if trained else None, self.b_dot)
        results = {"z": fmap.forward(self.W, self.features), "dW": grad.weights, "db": grad.phases, "z_dot": z_dot}
        return results | ({"dK": grad.wavenumbers} if trained else {})

    def norms(self):
        """Norms of the results if their terms had random signs, for in short sums the terms may cancel."""
        turn = np.abs(self.b_dot) + np.sum(np.abs(self.K_dot), axis=1)
        db = np.linalg.norm(np.linalg.norm(self.dz, axis=1) @ np.abs(self.W * self.A))
        return {
            "z": np.sqrt(self.n_points) * np.linalg.norm(self.W * self.A),
            "dW": np.linalg.norm(self.dz) * np.linalg.norm(self.A),
            "db": db,
            "dK": np.sqrt(self.K.shape[1]) * db,
            "z_dot": np.sqrt(self.n_points) * np.linalg.norm((np.abs(self.W_dot) + np.abs(self.W) * turn) * self.A),
        }

    def rounding(self):
        """Rounding of the results: both maps round k.x, up to sum_d |k_d|."""
        return EPS * (ARITHMETIC + 2 * np.max(np.sum(np.abs(self.K), axis=1)))


def dense_map(where):
    return DenseMap(where.scaled_points() if isinstance(where, Grid) else where, BACKEND)


def assert_agrees(case, fmap, where, tolerance, trained=True):
    results, reference = case.products(fmap, trained), case.products(dense_map(where), trained)
    for key, norm in case.norms().items():
        if key in reference:
            assert results[key].shape == reference[key].shape
            error = np.linalg.norm(results[key] - reference[key]) / norm
            assert error <= FACTOR * tolerance + case.rounding(), key


# Agreement with dense


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("where", [*GRIDS, *(scattered(200, d) for d in (1, 2, 3))], ids=name)
def test_agrees_with_dense(where, tolerance):
    fmap = make_map(where, BACKEND, kind="nufft", tolerance=tolerance)
    assert fmap.name == "nufft"
    assert fmap.grid_shape == (where.shape if isinstance(where, Grid) else None)
    assert fmap.n_points == (where.size if isinstance(where, Grid) else len(where))
    assert_agrees(Case(where), fmap, where, tolerance)
    assert_agrees(Case(where), fmap, where, tolerance, trained=False)


@pytest.mark.parametrize("h", [1, 2, 5])
@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize("where", [Grid(9), Grid((6, 7)), scattered(1, 1), scattered(1, 3), scattered(9, 2)], ids=name)
def test_few_features_points_and_units(where, n_features, h):
    assert_agrees(Case(where, n_features, h), NufftMap(where, BACKEND, 1e-13), where, 1e-13)


@pytest.mark.parametrize("where", [Grid((12, 10)), scattered(50, 2)], ids=name)
def test_wavenumbers_beyond_the_grids(where):
    # Modes that alias have such wavenumbers, many turns a spacing, and long training may reach them.
    case = Case(where)
    case.K *= 10.0
    assert_agrees(case, NufftMap(where, BACKEND, 1e-12), where, 1e-12)


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize(
    "where", [Grid(300), Grid((96, 7)), Grid((7, 96), periodic=False), Grid((50, 6, 48))], ids=name
)
def test_wavenumbers_far_below_the_grids(where, tolerance):
    # The lattice is then a part of the fine grid, whose transforms leave out the rest.
    case = Case(where)
    case.K *= 0.1
    fmap = NufftMap(where, BACKEND, tolerance)
    assert_agrees(case, fmap, where, tolerance)
    [lattice] = {workspace._lattice for workspace in fmap._workspaces}
    assert np.prod(lattice) < 0.7 * np.prod([axis.n_fine for axis in fmap._transform.axes])


def test_wavenumbers_that_grow_in_training():
    where = Grid((80, 90))
    case = Case(where)
    fmap, lattices = NufftMap(where, BACKEND, 1e-12), set()
    for factor in (0.01, 0.1, 0.3, 1.0, 0.1):
        case.K *= factor * 40.0 * np.pi / np.max(np.abs(case.K))
        assert_agrees(case, fmap, where, 1e-12)
        lattices.add(fmap._workspaces[0]._lattice)
    assert len(lattices) == 4


def test_points_in_a_corner_of_the_box():
    where = 0.9 + 1e-3 * scattered(40, 2)
    assert_agrees(Case(where), NufftMap(where, BACKEND, 1e-12), where, 1e-12)


def test_no_error_where_the_tolerance_is_the_least():
    for where in (Grid(64), Grid((16, 16)), Grid((8, 8, 8)), *(scattered(100, d) for d in (1, 2, 3))):
        assert_agrees(Case(where), NufftMap(where, BACKEND, 2e-15), where, 2e-15)


# Transposes


@pytest.mark.parametrize("tolerance", [1e-3, 1e-14])
@pytest.mark.parametrize("where", [*GRIDS, *(scattered(50, d) for d in (1, 2, 3))], ids=name)
def test_vjp_is_the_transpose_of_jvp(where, tolerance):
    case = Case(where)
    results = case.products(NufftMap(where, BACKEND, tolerance))
    backward = sum(
        np.sum(results[key] * direction)
        for key, direction in (("dW", case.W_dot), ("db", case.b_dot), ("dK", case.K_dot))
    )
    # It is to rounding even where the tolerance is coarse: the same plan runs backwards.
    size = case.norms()["z_dot"] * np.linalg.norm(case.dz)
    assert abs(np.sum(results["z_dot"] * case.dz) - backward) <= case.rounding() * size


# Plans, threads


class Counting(finufft.Plan):
    made = 0
    sorted_points = 0

    def __init__(self, *arguments, **options):
        type(self).made += 1
        super().__init__(*arguments, **options)

    def setpts(self, *arguments, **options):
        type(self).sorted_points += 1
        super().setpts(*arguments, **options)


@pytest.mark.parametrize("where", [Grid((6, 8)), scattered(30, 2)], ids=name)
def test_plans_are_used_again(monkeypatch, where):
    case = Case(where, h=6)
    fmap = NufftMap(where, NumpyBackend(workers=1), 1e-12)
    monkeypatch.setattr(finufft, "Plan", Counting)
    monkeypatch.setattr(Counting, "made", 0)
    monkeypatch.setattr(Counting, "sorted_points", 0)
    case.products(fmap)
    case.products(fmap)
    assert (Counting.made, Counting.sorted_points) == (1, 1)
    case.K[0, 0] += 1.0
    assert_agrees(case, fmap, where, 1e-12)
    assert (Counting.made, Counting.sorted_points) == (1, 2)
    case = Case(where, n_features=5, h=1)
    assert_agrees(case, fmap, where, 1e-12)
    # One unit takes a plan of one field in place of three.
    assert (Counting.made, Counting.sorted_points) == (2, 3)


@pytest.mark.parametrize("where", [Grid((20, 21)), scattered(300, 2)], ids=name)
def test_threads_do_not_change_the_result(monkeypatch, where):
    case = Case(where, n_features=200, h=9)
    one = case.products(NufftMap(where, NumpyBackend(workers=1), 1e-14))
    fmap = NufftMap(where, NumpyBackend(workers=4), 1e-14)
    for results in (case.products(fmap), case.products(fmap)):
        assert all(np.array_equal(results[key], one[key]) for key in one)
    assert len(fmap._workspaces) == 4
    with monkeypatch.context() as patch:
        # Two units at a time, not all nine.
        patch.setattr(feature_map, "BLOCK_ELEMENTS", 1)
        fmap = NufftMap(where, NumpyBackend(workers=1), 1e-14)
        assert all(np.array_equal(value, one[key]) for key, value in case.products(fmap).items())
        assert fmap._n_fields == 1
    monkeypatch.setattr(feature_map, "NUFFT_ELEMENTS", 1)
    fmap = NufftMap(where, NumpyBackend(workers=4), 1e-14)
    assert all(np.array_equal(value, one[key]) for key, value in case.products(fmap).items())
    assert len(fmap._workspaces) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", [Grid((6, 8)), scattered(30, 2)], ids=name)
def test_wavenumbers_that_diverged_give_nan(where, bad):
    case = Case(where)
    case.K[3, 1] = bad
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(NufftMap(where, BACKEND, 1e-12).forward(case.W, case.features)))


# Tolerance, refusals


@pytest.mark.parametrize(
    "where", [Grid(8), Grid((8, 8)), Grid((8, 8, 8)), *(scattered(5, d) for d in (1, 2, 3))], ids=name
)
def test_a_tolerance_that_finufft_would_clip_is_refused(where, capfd):
    for tolerance in (3e-16, 1e-16, 1e-20):
        with pytest.raises(ConfigError, match=f"nufft_tolerance = {tolerance:g}: less than FINUFFT keeps to"):
            make_map(where, BACKEND, kind="nufft", tolerance=tolerance)
    assert capfd.readouterr().err == ""


def test_the_least_upsampling_that_keeps_the_tolerance():
    chosen = [NufftMap(Grid((8, 8)), BACKEND, tolerance)._transform.upsampling for tolerance in TOLERANCES]
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[-1]
    assert 2.0 not in chosen


def test_finufft_reports_a_tolerance_out_of_reach_where_upsampling_is_given():
    # The refusal rests on this; where FINUFFT chooses by itself it is silent.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((Warning, RuntimeError)):
            finufft.Plan(1, (8, 8), eps=1e-14, upsampfac=1.25, showwarn=0).setpts(np.zeros(1), np.zeros(1))


def test_other_backends_are_refused():
    with pytest.raises(ConfigError, match="on the host in float64, not on backend 'numpy-extended'"):
        make_map(Grid(8), ExtendedBackend(), kind="nufft")


def test_a_transform_that_is_too_large_is_one_clear_error():
    case = Case(scattered(5, 3))
    case.K *= 1e9
    with pytest.raises(ConfigError, match=r"feature_map = 'nufft': .*; use 'separable' or 'dense'"):
        NufftMap(scattered(5, 3), BACKEND, 1e-9).forward(case.W, case.features)


# Training


def losses(feature_map, **options):
    grid = Grid((12, 14))
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    model = fit(
        np.exp(np.sin(np.pi * x + 1.0) * np.cos(np.pi * y)),
        grid,
        mode="paper",
        hidden=(5, 4),
        stages=1,
        steps=6,
        learning_rate=1e-2,
        p=2.0,
        feature_map=feature_map,
        **options,
    )
    assert model.history.stages[0].feature_map == feature_map
    return model.history.stages[0].loss_history


@pytest.mark.parametrize(
    "options",
    [
        {"first_layer": "msnn", "n_features": 20, "optimizer": "adam"},
        {"first_layer": "si", "n_features": 20, "optimizer": "adam", "train_wavenumbers": True},
        {"first_layer": "si", "n_features": 20, "optimizer": "gauss_newton", "train_wavenumbers": True},
    ],
    ids=["msnn", "si", "gauss-newton"],
)
def test_training_follows_the_separable_map(options):
    reference, trained = losses("separable", **options), losses("nufft", nufft_tolerance=1e-14, **options)
    assert reference.shape == trained.shape
    # Adam divides by the size of the gradient and conjugate gradients by small residues; both amplify what maps differ.
    assert np.max(np.abs(trained / reference - 1.0)) <= 1e5 * 1e-14


def test_the_whole_fit_in_mode_accurate():
    grid = Grid((16, 16))
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    u = np.exp(np.sin(np.pi * x + 1.0) * np.cos(np.pi * y))
    fft, nufft = (fit(u, grid, stages=2, feature_map=kind) for kind in ("fft", "nufft"))
    assert nufft.history.stages[0].feature_map == "nufft"
    assert nufft.history.stages[-1].rms_on_grid <= 10.0 * max(fft.history.stages[-1].rms_on_grid, 5e-17)
    assert nufft.history.certified["agrees"]


def test_memory_stays_below_the_forecast(tmp_path):
    problem = ["--example", "turbulence", "--size", "256", "--time", "0.02", "--stages", "1", "--mode", "paper"]
    options = ["--optimizer", "adam", "--steps", "3", "--n-features", "400", "--train-wavenumbers"]
    command = [sys.executable, "-m", "simsnn_ref", "fit", *problem, *options, "--feature-map", "nufft", "--json"]
    output = ["--no-figure", "--quiet", "-o", str(tmp_path / "m.safetensors")]
    forecast, done = (
        json.loads(subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout)
        for more in (["--dry-run"], output)
    )
    assert forecast["stages"][0]["feature_map"] == "nufft"
    # An upper bound, and not one that says nothing.
    assert 0.3 * forecast["peak_bytes"] < done["peak_memory_bytes"] < 1.1 * forecast["peak_bytes"]
