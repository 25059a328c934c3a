"""Double-double arithmetic against mpmath, and the fit that rests on it where long double is no wider than float64."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from simsnn_ref import Grid, NumpyBackend, fit, load_model
from simsnn_ref.backend import double_double
from simsnn_ref.backend.double_double import (
    EPS,
    PI,
    DoubleDouble,
    concat,
    cos,
    quotient,
    sin,
    stack,
    tanh,
    two_prod,
    two_sum,
)
from simsnn_ref.errors import ConfigError
from simsnn_ref.model import certificate as certify_module
from simsnn_ref.model import evaluation_points
from simsnn_ref.model.certificate import evaluate_by_definition
from simsnn_ref.network import (
    DenseMap,
    ExtendedBackend,
    extend,
    extended_backend,
    extended_eps,
    initialize,
    interpolated,
    is_extended,
    network_map,
)
from simsnn_ref.network.double_double_maps import DoubleDoubleBackend, double_double_map, interpolate
from simsnn_ref.network.extended_precision import scaled_axes
from simsnn_ref.network.features.modes import ModesMap
from simsnn_ref.spectrum import shift_samples

N = 400
HAS_LONG_DOUBLE = is_extended()


@pytest.fixture(autouse=True)
def _many_digits():
    # For sin and cos near multiples of pi / 2 at 1e14, 60 digits leave more than double-double has.
    with mpmath.workdps(60):
        yield


@pytest.fixture
def narrow(monkeypatch):
    """A machine whose long double is float64, and whose long double route fails if it is taken."""

    def refuse(*arguments):
        raise AssertionError("the long double route was taken")

    monkeypatch.setattr(np, "longdouble", np.float64)
    monkeypatch.setattr(np, "clongdouble", np.complex128)
    monkeypatch.setattr(ExtendedBackend, "asarray", refuse)
    monkeypatch.setattr(ExtendedBackend, "rfftn", refuse)


def numbers(seed, low, high, n=N):
    """Numbers of both signs with 106 bits, of magnitudes 10^low to 10^high."""
    rng = np.random.default_rng(seed)
    hi = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(low, high, n)
    return DoubleDouble(*two_sum(hi, hi * 2.0**-54 * rng.uniform(-1.0, 1.0, n)))


def exact(x):
    """The entries as mpmath numbers, an object array."""
    number = np.vectorize(mpmath.mpf, otypes=[object])
    return number(x.hi) + number(x.lo)


def largest(errors):
    return float(np.max(np.abs(errors))) / EPS


def test_transformations_are_exact():
    a, b = numbers(0, -30, 30).hi, numbers(1, -30, 30).hi
    for found, operation in ((two_sum(a, b), Fraction.__add__), (two_prod(a, b), Fraction.__mul__)):
        for x, y, high, low in zip(a, b, *found, strict=True):
            assert Fraction(high) + Fraction(low) == operation(Fraction(x), Fraction(y))


# The bounds of Joldes, Muller and Popescu: 3, 5 and 9.8 times 2^-106, and for one float64 operand 2 times 2^-106.
@pytest.mark.parametrize("high", [0.5, 30.0, 140.0])
def test_operations(high):
    a, b = numbers(2, -high, high), numbers(3, -high, high)
    A, B = exact(a), exact(b)
    assert largest((exact(a + b) - (A + B)) / (A + B)) < 0.76
    assert largest((exact(a - b) - (A - B)) / (A - B)) < 0.76
    assert largest((exact(a * b) - A * B) / (A * B)) < 1.26
    assert largest((exact(a / b) - A / B) / (A / B)) < 2.5
    plain = np.vectorize(mpmath.mpf, otypes=[object])(b.hi)
    for found, truth in (
        (a + b.hi, A + plain),
        (b.hi + a, A + plain),
        (a - b.hi, A - plain),
        (b.hi - a, plain - A),
        (a * b.hi, A * plain),
        (b.hi * a, A * plain),
        (-2.5 * a, -mpmath.mpf(2.5) * A),
    ):
        assert largest((exact(found) - truth) / truth) < 0.6
    assert largest((exact(a / b.hi) - A / plain) / (A / plain)) < 2.5
    assert largest((exact(quotient(a.hi, b.hi)) * plain - (A - exact(DoubleDouble(a.lo)))) / A) < 2.5


def test_sums_that_cancel_stay_relatively_exact():
    a = numbers(4, -3, 3)
    b = DoubleDouble(*two_sum(-a.hi * (1.0 + 2.0**-40), numbers(5, -40, -20).hi))
    truth = exact(a) + exact(b)
    assert largest((exact(a + b) - truth) / truth) < 0.76


def test_constants():
    assert largest((exact(PI) - mpmath.pi) / mpmath.pi) < 0.25
    assert abs(Fraction(1, 3) - sum(map(Fraction, (float(x) for x in _pair(Fraction(1, 3)))))) < Fraction(EPS) / 4


def _pair(value):
    x = DoubleDouble.from_fraction(value)
    return x.hi, x.lo


def test_tanh_is_relatively_exact():
    # Five doublings and a quotient, each of about one EPS, partly undone by the slope of tanh.
    for low, high in ((-200, -20), (-20, -2), (-2, 0), (0, 1), (1, 1.57), (2, 12)):
        x = numbers(6, low, high)
        truth = np.vectorize(mpmath.tanh, otypes=[object])(exact(x))
        assert largest((exact(tanh(x)) - truth) / truth) < 4.0
    assert tanh(double_double.zeros((2,))).hi.tolist() == [0.0, 0.0]


def test_sine_and_cosine():
    # A rounding each of the argument, the square, the sum and the product; |x| up to 1e14 costs nothing more.
    for low, high in ((-200, -20), (-2, 0), (0, 1), (1, 4), (4, 14)):
        x = numbers(7, low, high)
        sines, cosines = (np.vectorize(f, otypes=[object])(exact(x)) for f in (mpmath.sin, mpmath.cos))
        assert largest(exact(sin(x)) - sines) < 1.0
        assert largest(exact(cos(x)) - cosines) < 1.0
        if high <= 0:
            assert largest((exact(sin(x)) - sines) / sines) < 2.0
    multiples = np.arange(-40.0, 41.0) * (0.5 * PI)
    truth = np.vectorize(mpmath.sin, otypes=[object])(exact(multiples))
    assert largest(exact(sin(multiples)) - truth) < 1.0


@pytest.mark.parametrize("spread", [0, 3, 12])
@pytest.mark.parametrize("n", [1, 2, 31, 900])
def test_matrix_products(n, spread):
    a, b = numbers(8, -spread, spread, 4 * n).reshape(4, n), numbers(9, -spread, spread, 3 * n).reshape(n, 3)
    # The slices leave out 2^-108 of the largest entries, n times; the sum of a few dozen slices rounds the rest.
    size = n * np.max(np.abs(a.hi), axis=1)[:, None] * np.max(np.abs(b.hi), axis=0)
    for found, truth in (
        (a @ b, exact(a) @ exact(b)),
        (a.hi @ b, exact(DoubleDouble(a.hi)) @ exact(b)),
        (a @ b.hi, exact(a) @ exact(DoubleDouble(b.hi))),
    ):
        assert largest((exact(found) - truth) / size) < 1.0
    assert largest((exact(a @ b[:, 0]) - exact(a) @ exact(b[:, 0])) / size[:, 0]) < 1.0


def test_products_of_integers_are_exact():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-(2**50), 2**50, shape) for shape in ((3, 40), (40, 2)))
    found = DoubleDouble(a) @ DoubleDouble(b)
    truth = a.astype(object) @ b.astype(object)
    total = [[int(h) + int(low) for h, low in zip(*rows, strict=True)] for rows in zip(found.hi, found.lo, strict=True)]
    assert total == truth.tolist()


def test_arrays():
    x = numbers(10, -1, 1, 6).reshape(2, 3)
    assert len(x) == 2
    assert concat([x, x], axis=1).shape == (2, 6)
    assert stack([x, x]).shape == (2, 2, 3)
    assert np.array_equal(np.asarray(x.T), x.hi.T)
    with pytest.raises(TypeError, match="ufunc"):
        np.sin(x)


def si_network(grid, n_features=12, hidden=(5, 4), first_layer="si", **options):
    t = np.random.default_rng(3).standard_normal(grid.shape)
    rng = np.random.default_rng(4)
    return initialize(
        first_layer, t, grid, n_features=n_features, hidden=hidden, rng=rng, backend=NumpyBackend(), **options
    )


def evaluate(network, params, where):
    wide, wide_params = extend(network, params, NumpyBackend())
    return wide.forward(wide_params, network_map(wide, where, extended_backend()))


def points_of(grid):
    axes = scaled_axes(grid)
    indices = np.indices(grid.shape).reshape(grid.ndim, -1)
    return extended_backend().xp.stack([x[i] for x, i in zip(axes, indices, strict=True)], axis=-1)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(31,), (9, 8), (5, 6, 7)])
@pytest.mark.parametrize(
    ("first_layer", "options"),
    [("si", {}), ("si", {"train_wavenumbers": True}), ("ffm", {}), ("none", {})],
)
@pytest.mark.usefixtures("narrow")
def test_every_map_evaluates_the_definition(shape, periodic, first_layer, options):
    grid = Grid(shape, periodic=periodic)
    network, params = si_network(grid, first_layer=first_layer, **options)
    u, points = evaluate(network, params, grid), points_of(grid)
    chosen = np.random.default_rng(0).integers(0, grid.size, 3)
    truth = evaluate_by_definition([(1.0, network, params)], points[chosen], NumpyBackend(), digits=40)
    # |k.x + b| is below 40 here and rounds each cosine's argument.
    for other in (u[chosen], evaluate(network, params, points[chosen])):
        assert np.max(np.abs(np.asarray(other - truth))) < 100 * EPS
    # The independent evaluation, in double-double.
    other = evaluate_by_definition([(1.0, network, params)], points[chosen], NumpyBackend())
    assert np.max(np.abs(np.asarray(other - truth))) < 100 * EPS


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason="long double is no wider than float64 here")
@pytest.mark.parametrize("periodic", [True, False])
def test_double_double_agrees_with_long_double(periodic, request):
    grid = Grid((16, 18), periodic=periodic)
    network, params = si_network(grid, n_features=60)
    wide = evaluate(network, params, grid)
    eps = extended_eps()
    request.getfixturevalue("narrow")
    found = evaluate(network, params, grid)
    difference = (wide - found.hi) - found.lo
    # Long double's own rounding: of arguments up to 80 and sums of 60.
    assert np.max(np.abs(difference)) < 200 * eps


@pytest.mark.usefixtures("narrow")
def test_shifted_networks():
    grid = Grid((6, 7))
    network, params = extend(*si_network(grid), NumpyBackend())
    delta = quotient(np.ones(2), grid.shape)
    fmap = double_double_map(network, grid, extended_backend())
    moved = network.forward(network.shifted(params, delta), fmap)
    there = network.forward(params, DenseMap(points_of(grid) + delta, extended_backend()))
    assert np.max(np.abs(np.asarray(moved - there))) < 100 * EPS


def test_equal_modes_are_refused():
    with pytest.raises(ConfigError, match="same Fourier mode"):
        ModesMap(Grid((8,)), np.array([[1], [2], [1]]), DoubleDoubleBackend())


@pytest.mark.parametrize("n", [1, 2, 7, 24])
def test_interpolation(n):
    grid = Grid((n, 5))
    u = DoubleDouble(np.random.default_rng(0).standard_normal(grid.shape))
    for cells in ((Fraction(1, 2), Fraction(1, 3)), (Fraction(0), Fraction(2, 3)), (Fraction(1, 2), Fraction(0))):
        rounded = shift_samples(u.hi, grid, [float(c) for c in cells], NumpyBackend())
        assert np.max(np.abs(interpolate(u, grid, cells).hi - rounded)) < 100 * np.finfo(float).eps
    # Three thirds of a spacing are one, on an axis without a Nyquist mode: sums of 5 numbers of order 1, three times.
    moved = u
    for _ in range(3):
        moved = interpolate(moved, grid, (Fraction(0), Fraction(1, 3)))
    assert np.max(np.abs(np.asarray(moved - DoubleDouble(np.roll(u.hi, -1, axis=1))))) < 50 * EPS


def test_interpolation_needs_periodic_samples():
    with pytest.raises(ConfigError, match="periodic along every axis"):
        interpolate(DoubleDouble(np.ones(4)), Grid((4,), periodic=False), (Fraction(1, 2),))


@pytest.mark.usefixtures("narrow")
def test_interpolation_is_the_one_of_extended_precision():
    u, cells = DoubleDouble(np.arange(6.0)), (Fraction(1, 2),)
    assert np.array_equal(np.asarray(interpolated(u, Grid((6,)), cells)), interpolate(u, Grid((6,)), cells).hi)


@pytest.mark.usefixtures("narrow")
def test_a_fit_goes_on_below_float64(tmp_path):
    x, y = Grid((24, 24)).scaled_points().T.reshape(2, 24, 24)
    u = np.exp(np.sin(np.pi * x)) * np.cos(np.pi * y + 0.3) + 0.1 * np.cos(np.pi * (3.0 * x - 2.0 * y))
    model = fit(u, target=0.0, stages=3, hidden=(8, 8), certify=False)
    assert any("double-double" in note for note in model.history.notes)
    # With float64 between the stages this ends at 1e-16; the third stage takes what the second one left.
    assert model.history.stages[-1].rms_on_grid < 1e-24
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    chosen = np.random.default_rng(0).integers(0, u.size, 6)
    stages = [(stage.eps, stage.network, stage.params) for stage in loaded.stages]
    exact_model = evaluate_by_definition(stages, points_of(model.grid)[chosen], loaded.backend, digits=40)
    residue = np.asarray(DoubleDouble(u.ravel()[chosen]) - exact_model)
    assert np.sqrt(np.mean(residue**2)) < 1e-24 * np.sqrt(np.mean(u**2))


@pytest.mark.parametrize("first_layer", ["si", "msnn", "none"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_model_in_extended_precision(d, first_layer, request, monkeypatch):
    """In double-double, rounded to float64 at the end, by every route: the same as mpmath."""
    grid = Grid((6, 5, 4)[:d], periodic=False)
    options = {"mode": "paper", "optimizer": "adam", "steps": 5, "hidden": (4, 3), "stages": 2, "n_features": 4}
    model = fit(lambda x: np.exp(x).prod(axis=1), grid, first_layer=first_layer, certify=False, **options)
    request.getfixturevalue("narrow")
    stages = [(stage.eps, stage.network, stage.params) for stage in model.stages]
    exact = np.asarray(evaluate_by_definition(stages, points_of(grid), model.backend, digits=40))
    monkeypatch.setattr(evaluation_points, "BLOCK_BYTES", 500)
    for where in (grid, grid.axes(), grid.points()):
        values = model(where, precision="extended")
        # Coordinates in float64 are not those of the grid: a rounding of theirs, times a slope of a few units.
        bound = 1 if where is grid else 50
        assert np.max(np.abs(values.ravel() - exact)) <= bound * np.spacing(np.max(np.abs(exact)))


@pytest.mark.parametrize("has_mpmath", [True, False])
@pytest.mark.parametrize("kind", ["samples", "function"])
@pytest.mark.usefixtures("narrow")
def test_fits_are_certified_off_the_grid_too(kind, has_mpmath, monkeypatch):
    if not has_mpmath:
        monkeypatch.setattr(certify_module, "find_spec", lambda name: None)

    def target(points):
        return np.exp(np.sin(np.pi * points[:, 0]))

    grid = Grid((32,))
    options = {"target": 0.0, "stages": 3, "hidden": (6, 6)}
    if kind == "samples":
        model = fit(target(grid.points()), grid, **options)
    else:
        model = fit(target, Grid((33,), periodic=False), **options)
    last = model.history.stages[-1]
    assert model.history.certified["agrees"]
    assert model.history.certified["digits"] == (34 if has_mpmath else 18)
    # The function returns float64, whose rounding an extension of few modes leaves.
    assert last.rms_on_grid < (1e-17 if kind == "samples" else 2.2e-16)
    assert last.rms_off_grid < (1e-17 if kind == "samples" else 1e-13)
