"""Points outside the box of an axis that does not repeat, and values in extended precision."""

import doctest
import warnings

import numpy as np
import pytest

from simsnn_ref import Box, ConfigError, DataError, Grid, OutsideBoxWarning, Scatter, SIMSNNRegressor, fit, load_model
from simsnn_ref.commands.main import main
from simsnn_ref.model import PRECISIONS
from simsnn_ref.model import model as model_module
from simsnn_ref.model.certificate import evaluate_by_definition
from simsnn_ref.network import extended_eps, is_extended

EPS = np.finfo(float).eps

FAST = {"stages": 1, "certify": False}


def field(points):
    return np.exp(points[:, 0]) * np.cos(points[:, -1])


def fitted(d=2, periodic=(False, True)):
    grid = Grid((9, 8)[:d], (0.0, 0.0)[:d], (1.0, 2 * np.pi)[:d], periodic[:d])
    return fit(field(grid.points()).reshape(grid.shape), grid, **FAST)


@pytest.fixture(scope="module")
def model():
    return fitted()


def everything(model):
    return model, model.gradient, model.hessian


OUT = np.array([[0.5, 1.0], [1.5, 1.0], [-0.25, 9.0], [1.0, -7.0]])
IS_OUT = np.array([False, True, True, False])


def test_the_examples_of_the_documentation():
    failed, attempted = doctest.testmod(model_module)
    assert failed == 0
    assert attempted > 0


def test_points_outside_are_extrapolated_with_a_warning(model):
    with pytest.warns(OutsideBoxWarning, match=r"2 of 4 points .* first at 1\.5 on axis 0, \[0, 1\].* extrapolated"):
        values = model(OUT)
    assert np.all(np.isfinite(values))
    for evaluate in everything(model):
        with pytest.warns(OutsideBoxWarning):
            evaluate(OUT)


def test_points_outside_are_nan(model):
    for evaluate in everything(model):
        with pytest.warns(OutsideBoxWarning):
            values = evaluate(OUT, outside="nan")
        assert np.all(np.isnan(values[IS_OUT]))
        # Sums over features depend on the number of points in their last bits.
        np.testing.assert_allclose(values[~IS_OUT], evaluate(OUT[~IS_OUT]), rtol=0.0, atol=1e-12)


def test_points_outside_are_an_error(model):
    for evaluate in everything(model):
        with pytest.raises(DataError, match=r"points: 2 of 4 points are outside the box of the fit"):
            evaluate(OUT, outside="error")
        assert np.all(np.isfinite(evaluate(OUT[~IS_OUT], outside="error")))


def test_tensor_grids_outside(model):
    x, y = np.array([0.5, 1.5, 0.75]), np.array([1.0, 20.0])
    grid = Grid((4, 3), (0.25, 0.0), (1.75, 5.0), False)
    for where, rows in (((x, y), [1]), (grid, [2, 3])):
        for evaluate in everything(model):
            with pytest.warns(OutsideBoxWarning, match="on axis 0"):
                values = evaluate(where, outside="nan")
            is_out = np.zeros(values.shape, dtype=bool)
            is_out[rows] = True
            assert np.array_equal(np.isnan(values), is_out)
            with pytest.raises(DataError, match="outside the box"):
                evaluate(where, outside="error")


def test_an_axis_that_repeats_has_no_outside(model):
    turns = np.array([[0.5, 1.0], [0.5, 1.0 + 2 * np.pi]])
    values = model(turns, outside="error")
    assert abs(values[1] - values[0]) < 1e-14
    model(Grid((5, 8), (0.0, -3.0), (1.0, 30.0), False), outside="error")


def test_points_outside_by_rounding_are_inside():
    """Ends that were computed: of a box far from 0 a rounding of the coordinates is much of the box."""
    for lower, length in ((0.0, 1.0), (0.1, 0.2), (1e6, 1.0), (-1e6, 1e-3)):
        box = Box(lower, lower + length)
        points = np.linspace(lower, lower + length, 9)
        one = fit(points, np.cos((points - lower) / length), box=box, **FAST, off_grid="none")
        beyond = lower + length + 4 * np.spacing(max(abs(lower), abs(lower + length)))
        one(np.array([beyond]), outside="error")
        # An eighth of a percent of the box is no rounding.
        with pytest.warns(OutsideBoxWarning):
            one(np.array([lower + 1.00125 * length]))
        if length == 1.0:
            one(np.array([beyond], dtype=np.float32), outside="error")


def test_a_choice_that_is_none(model):
    for evaluate in everything(model):
        with pytest.raises(ConfigError, match="outside = 'clip': choose one of extrapolate, nan, error"):
            evaluate(OUT, outside="clip")


def test_scattered_points_have_a_box_too():
    points = np.random.default_rng(0).uniform(0.0, 1.0, (40, 1))
    found = fit(np.exp(points[:, 0]), Scatter(points), **FAST)
    with pytest.warns(OutsideBoxWarning, match="1 of 2"):
        found(np.array([0.5, 2.0]))
    found(points)


def test_the_estimator():
    X = np.linspace(0.0, 1.0, 20)[:, None]
    y = np.exp(X[:, 0])
    regressor = SIMSNNRegressor(**FAST).fit(X, y)
    with pytest.warns(OutsideBoxWarning):
        assert np.isfinite(regressor.predict([[1.1]])[0])
    regressor.set_params(outside="nan")
    with pytest.warns(OutsideBoxWarning):
        assert np.array_equal(np.isnan(regressor.predict([[0.5], [1.1]])), [False, True])
    with pytest.raises(DataError, match="1 of 1 points are outside"):
        regressor.set_params(outside="error").predict([[1.1]])
    with pytest.raises(ConfigError, match="outside = 'clip'"):
        regressor.set_params(outside="clip").fit(X, y)


def test_the_command(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model.save("m.safetensors")
    np.save("points.npy", OUT)
    np.save("inside.npy", OUT[~IS_OUT])
    predict = ["predict", "m.safetensors", "points.npy", "-o"]
    assert main([*predict, "values.npy"]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 1
    assert notes[0].startswith("note: 2 of 4 points are outside the box of the fit")
    assert np.all(np.isfinite(np.load("values.npy")))
    for order in ([], ["--gradient"], ["--hessian"]):
        name = f"nan{''.join(order)}.npy"
        assert main([*predict, name, *order, "--outside", "nan"]) == 0
        assert np.all(np.isnan(np.load(name)[IS_OUT]))
    capsys.readouterr()
    assert main([*predict, "refused.npy", "--outside", "error"]) == 2
    assert capsys.readouterr().err.startswith("simsnn: error: points: 2 of 4 points are outside")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["predict", "m.safetensors", "inside.npy", "--outside", "error"]) == 0
    assert capsys.readouterr().err == ""
    assert np.array_equal(np.load("m.prediction.npy"), load_model("m.safetensors")(OUT[~IS_OUT]))


@pytest.fixture(scope="module")
def precise():
    """A fit in one dimension whose own error is far below the rounding of float64."""
    grid = Grid(48, 0.0, 2.0, periodic=False)
    return fit(lambda x: np.exp(np.sin(3.0 * x[:, 0])), grid, hidden=(6, 6), seed=2)


def test_extended_precision_gives_what_the_certificate_speaks_of(precise):
    model, x = precise, np.random.default_rng(0).uniform(0.0, 2.0, 300)
    truth = np.exp(np.sin(3 * x.astype(np.longdouble)))
    error = {
        precision: float(np.sqrt(np.mean((model(x, precision=precision) - truth) ** 2))) / model.history.rms
        for precision in PRECISIONS
    }
    assert model(x, precision="extended").dtype == np.longdouble
    assert model(x).dtype == np.float64
    # Half an eps of the sum and of each cosine's argument, at least, and a few of them.
    assert 1e-17 < error["double"] < 10 * EPS
    # Where long double is float64, the sum is rounded to it.
    assert error["extended"] < (3 * model.history.certified["rms_off_grid"] if is_extended() else EPS)


def test_extended_precision_is_the_formula(precise):
    """By every route: points, a grid, axes, blocks; against the definition of the network at single points."""
    model = precise
    grid = Grid(31, 0.0, 2.0, periodic=False)
    stages = [(stage.eps, stage.network, stage.params) for stage in model.stages]
    points = grid.scaled_points(np.longdouble)
    by_definition = np.asarray(evaluate_by_definition(stages, points, model.backend))
    # The arguments of the cosines, up to 70, are rounded once or twice.
    bound = 200 * max(extended_eps(), float(np.finfo(np.longdouble).eps)) * np.max(np.abs(by_definition))
    exact = grid.box.to_physical(points)
    for where in (grid, exact):
        values = model(where, precision="extended")
        assert np.max(np.abs(values.ravel() - by_definition)) < bound
    axes = model(tuple(axis + 0.0 for axis in grid.axes()), precision="extended")
    there = model(grid.points(), precision="extended")
    assert np.max(np.abs(axes - there)) < bound


def test_a_precision_that_is_none(precise):
    with pytest.raises(ConfigError, match="precision = 'quad': choose one of double, extended"):
        precise(np.zeros(1), precision="quad")


def test_extended_precision_at_the_command_line(precise, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    precise.save("m.safetensors")
    x = np.linspace(0.1, 1.9, 7)
    np.save("x.npy", x)
    predict = ["predict", "m.safetensors", "x.npy", "--precision", "extended"]
    assert main([*predict, "-o", "v.npy"]) == 0
    values = precise(x, precision="extended")
    assert np.array_equal(np.load("v.npy"), values)
    assert np.load("v.npy").dtype == np.longdouble
    assert main([*predict, "-o", "v.npz"]) == 0
    with np.load("v.npz") as archive:
        assert np.array_equal(archive["u"], values.astype(np.float64))
    capsys.readouterr()
    assert main([*predict, "--gradient"]) == 2
    assert "--precision extended: derivatives are evaluated in float64 only" in capsys.readouterr().err
