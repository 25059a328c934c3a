"""The estimator by scikit-learn's own checks, and as its users use it."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from simsnn_ref import Box, ConfigError, DataError, FitConfig, Grid, NotFittedError, Scatter, SIMSNNRegressor, fit

FAST = {"stages": 1, "certify": False}

TOO_MANY = "its data have more than three features; run below with three of them taken"
SKIPPED = {
    "check_n_features_in_after_fitting": TOO_MANY,
    "check_positive_only_tag_during_fit": TOO_MANY,
    "check_dtype_object": TOO_MANY,
    "check_regressor_data_not_an_array": TOO_MANY,
    "check_regressors_no_decision_function": TOO_MANY,
    "check_regressors_int": TOO_MANY,
    "check_regressors_train": TOO_MANY,
    "check_estimators_dtypes": TOO_MANY,
}
"""What check_estimator asks of data that are no field, each with its reason."""


def field(points):
    return np.exp(points[:, 0]) * np.cos(2.0 * points[:, -1])


def points_and_values(n=200, d=2, seed=0):
    points = np.random.default_rng(seed).uniform(-1.0, 1.0, (n, d))
    return points, field(points)


def three_of(points):
    """Of ten features, those in the middle: the target of check_regressors_train depends on the fifth alone."""
    return points[:, -6:][:, :3]


class OfThree:
    def __init__(self, points, values, config, **domain):
        self.model = fit(three_of(points), values, config, **domain)

    def __call__(self, points, **options):
        return self.model(three_of(points), **options)


@pytest.fixture
def checks():
    return pytest.importorskip("sklearn.utils.estimator_checks")


@pytest.fixture
def any_number(monkeypatch):
    """An estimator that takes any number of features and looks at three, so that the checks reach all the rest."""
    monkeypatch.setattr("simsnn_ref.multistage.estimator.MOST_FEATURES", 100)
    monkeypatch.setattr("simsnn_ref.multistage.estimator.fit", OfThree)
    return SIMSNNRegressor(**FAST)


@pytest.mark.filterwarnings("ignore:Estimator SIMSNNRegressor does not inherit:UserWarning")
def test_check_estimator(checks):
    results = checks.check_estimator(
        SIMSNNRegressor(**FAST), expected_failed_checks=SKIPPED, on_fail=None, on_skip=None
    )
    status = {}
    for result in results:
        status.setdefault(result["status"], set()).add(result["check_name"])
    assert status["xfail"] == set(SKIPPED)
    assert status["skipped"] <= {"check_array_api_input"}  # SCIPY_ARRAY_API is not set
    assert set(status) <= {"passed", "xfail", "skipped"}
    assert len(status["passed"]) > 30


@pytest.mark.filterwarnings("ignore:Estimator SIMSNNRegressor does not inherit:UserWarning")
def test_check_estimator_on_three_of_the_features(checks, any_number):
    results = checks.check_estimator(any_number, on_fail=None, on_skip=None)
    assert not {result["check_name"] for result in results if result["status"] == "failed"}
    pytest.importorskip("pandas")
    checks.check_dataframe_column_names_consistency("SIMSNNRegressor", any_number)


def test_scikit_learn_is_not_imported():
    code = (
        "import sys, numpy as np; from simsnn_ref import SIMSNNRegressor;"
        "x = np.arange(9.0)[:, None]; y = x[:, 0];"
        "SIMSNNRegressor(stages=1, certify=False).fit(x, y).score(x, y);"
        "print(sorted(set(sys.modules) & {'sklearn', 'xarray', 'pandas', 'h5py', 'zarr'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_parameters_are_the_options():
    regressor = SIMSNNRegressor(seed=3, box=Box(0.0, 1.0))
    params = regressor.get_params()
    own = {"box", "periodic", "outside"}
    options = {name: value for name, value in params.items() if name not in own}
    assert set(params) == {*options, *own}
    assert set(options) == set(FitConfig().to_flat())
    assert FitConfig.of(**options) == FitConfig.of(seed=3)
    assert repr(regressor) == "SIMSNNRegressor(seed=3, box=Box(lower=(0.0,), upper=(1.0,)))"
    assert regressor.set_params(seed=4) is regressor
    assert regressor.seed == 4
    with pytest.raises(ConfigError, match="'sed' is no parameter"):
        regressor.set_params(sed=1)
    with pytest.raises(TypeError, match="sed"):
        SIMSNNRegressor(sed=1)
    with pytest.raises(ConfigError, match="seed = -1"):
        SIMSNNRegressor(seed=-1).fit(*points_and_values())


def test_it_is_fit():
    X, y = points_and_values()
    regressor = SIMSNNRegressor(seed=2, certify=False).fit(X, y)
    model = fit(y, Scatter(X), seed=2, certify=False)
    other, truth = points_and_values(50, seed=1)
    assert np.array_equal(regressor.predict(other), model(other))
    left = np.sum((truth - model(other)) ** 2) / np.sum((truth - truth.mean()) ** 2)
    assert regressor.score(other, truth) == 1.0 - left
    assert regressor.score(other, truth) > 1.0 - 1e-6
    copy = pickle.loads(pickle.dumps(regressor))
    assert np.array_equal(copy.predict(other), regressor.predict(other))


def test_score_with_weights_and_of_a_constant():
    X, y = points_and_values()
    regressor = SIMSNNRegressor(**FAST).fit(X, y)
    noisy = y + np.random.default_rng(5).normal(size=y.shape)
    weights = np.ones(len(y))
    weights[:150] = 0.0
    assert regressor.score(X, noisy, weights) == pytest.approx(regressor.score(X[150:], noisy[150:]), rel=1e-12)
    constant = SIMSNNRegressor(**FAST).fit(X, np.full(len(X), 2.0))
    assert constant.score(X, np.full(len(X), 2.0)) == 1.0
    assert constant.score(X, np.full(len(X), 3.0)) == 0.0


@pytest.mark.parametrize("periodic", [False, True])
def test_a_grid_in_any_order_is_fitted_as_one(periodic):
    grid = Grid((12, 10), (0.0, 1.0), (2.0, 4.0), periodic)
    X = grid.points()
    y = np.sin(np.pi * X[:, 0]) + np.cos(2.0 * np.pi * X[:, 1] / 3.0)
    box = {"box": grid.box, "periodic": True} if periodic else {}
    order = np.random.default_rng(0).permutation(len(X))
    regressor = SIMSNNRegressor(**FAST, **box).fit(X[order], y[order])
    assert regressor.model_.grid == grid
    assert np.array_equal(regressor.predict(X), fit(y.reshape(grid.shape), grid, **FAST)(X))


def test_a_grid_to_rounding_is_one():
    """Coordinates that are multiples of a step, as many files have them."""
    axis = 0.3 + 0.1 * np.arange(12)
    X = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    model = SIMSNNRegressor(**FAST).fit(X, field(X)).model_
    assert model.grid == Grid((12, 12), (axis[0],) * 2, (axis[-1],) * 2, periodic=False)


def test_a_grid_with_a_hole_or_a_shifted_line_is_scattered():
    X = Grid((12, 10), periodic=False).points()
    shifted = np.where(np.equal(X, X[50, 0]), X + 1e-9, X)
    for points in (X[1:], shifted):
        assert isinstance(SIMSNNRegressor(**FAST).fit(points, field(points)).model_.grid, Scatter)


# Of each fold some points are outside the bounding box of the others.
@pytest.mark.filterwarnings("ignore::simsnn_ref.OutsideBoxWarning")
def test_in_a_pipeline_and_a_search():
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_regressor
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = points_and_values()
    pipeline = make_pipeline(StandardScaler(), SIMSNNRegressor(**FAST))
    search = GridSearchCV(pipeline, {"simsnnregressor__n_features": [(2,), (None,)]}, cv=2).fit(X, y)
    assert search.best_params_ == {"simsnnregressor__n_features": (None,)}
    assert search.score(X, y) > 0.999
    assert cross_val_score(clone(search.best_estimator_), X, y, cv=2).min() > 0.999
    assert is_regressor(pipeline)


def test_not_fitted():
    with pytest.raises(NotFittedError, match=r"not fitted yet; call fit\(X, y\) first"):
        SIMSNNRegressor().predict([[0.0]])


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    X, y = points_and_values()
    table = pandas.DataFrame(X, columns=["x", "y"])
    regressor = SIMSNNRegressor(**FAST).fit(table, y)
    assert regressor.feature_names_in_.tolist() == ["x", "y"]
    with pytest.raises(DataError, match="same order"):
        regressor.predict(table[["y", "x"]])
    with pytest.raises(DataError, match=r"unseen at fit time:\n- z\n.*now missing:\n- y"):
        regressor.predict(table.rename(columns={"y": "z"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        regressor.predict(X)
    with pytest.raises(TypeError, match="text in part only"):
        regressor.fit(pandas.DataFrame(X, columns=["x", 1]), y)
    assert not hasattr(regressor.fit(X, y), "feature_names_in_")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((9, 4)), np.ones(9), "4 features, a field has 1 to 3"),
        (np.ones((3, 1)), np.ones(3), "n_samples = 3"),
        (np.ones(9), np.ones(9), "Reshape your data"),
        (np.full((9, 1), np.nan), np.ones(9), "X: contains NaN"),
        (np.arange(9.0)[:, None], np.full(9, np.inf), "y: contains NaN or infinity"),
        (np.arange(9.0)[:, None], np.ones(8), "inconsistent numbers of samples, 9 and 8"),
        (np.arange(9.0)[:, None], np.ones((9, 2)), r"y: shape \(9, 2\)"),
        (np.arange(9.0)[:, None], None, "y is None"),
    ],
)
def test_bad_data(X, y, message):
    with pytest.raises(DataError, match=message):
        SIMSNNRegressor(**FAST).fit(X, y)
