"""`SIMSNNRegressor`: a fit at scattered points behind the protocol of scikit-learn, which is not needed for it."""

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields, make_dataclass
from typing import Any, Self

import numpy as np

from simsnn_ref.errors import ConfigError, DataError, NotFittedError
from simsnn_ref.io import LEAST_SAMPLES, follows
from simsnn_ref.model import OPTIONS, FitConfig, Model, check_outside
from simsnn_ref.multistage.fitting import fit
from simsnn_ref.spectrum import Box, Grid

__all__ = ["SIMSNNRegressor"]

MOST_FEATURES = 3

# A dataclass for its signature: the options and their defaults stand in `FitConfig` alone.
_Parameters: Any = make_dataclass(
    "_Parameters",
    [(name, option.type, option.default) for name, option in OPTIONS.items()]
    + [("box", Box | None, None), ("periodic", bool | Sequence[bool], False), ("outside", str, "extrapolate")],
    kw_only=True,
    eq=False,
    repr=False,
)


class SIMSNNRegressor(_Parameters):  # type: ignore[misc] # the options are not repeated here
    """Regression of values at points of one to three dimensions, as scikit-learn's estimators do it.

    Points that make up a uniform tensor grid, in any order, are fitted as a grid, which is faster; all others as
    scattered points, of which a tenth is held out to check the fit.

    Parameters
    ----------
    **options
        Every option of `simsnn_ref.FitConfig` by its flat name, with its default; they are checked by `fit`.
    box : Box, optional
        The domain, in the units of X; the bounding box of the points by default.
    periodic : bool or sequence of d bools, default False
        Per feature; needs `box`, whose length is the period.
    outside : {'extrapolate', 'nan', 'error'}
        What `predict` does with points outside the box along a feature that is not periodic, beside warning of them:
        see `simsnn_ref.Model.__call__`. Each fold of a cross-validation has some unless `box` is given.

    Attributes
    ----------
    model_ : Model
        With the errors of every stage in ``model_.history``; it has derivatives too.
    n_features_in_ : int
        d.
    feature_names_in_ : ndarray of str, shape (d,)
        Of an X that has column names, all of them text.

    Examples
    --------
    >>> import numpy as np
    >>> from simsnn_ref import SIMSNNRegressor
    >>> X = np.linspace(0.0, 1.0, 200)[:, None]
    >>> regressor = SIMSNNRegressor(seed=1).fit(X, np.exp(X[:, 0]))
    >>> bool(abs(regressor.predict([[0.123]])[0] - np.exp(0.123)) < 1e-12)
    True
    """

    _estimator_type = "regressor"

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to values at points.

        Parameters
        ----------
        X : array_like of shape (n, d), d = 1, 2 or 3
        y : array_like of shape (n,)

        Raises
        ------
        DataError
            A ValueError: for anything but n points with a finite number each, n at least 4.
        ConfigError
            For a bad option.
        """
        points = _matrix(X)
        n, d = points.shape
        if n < LEAST_SAMPLES:
            raise DataError(f"X: n_samples = {n}, a fit needs at least {LEAST_SAMPLES}")
        if d > MOST_FEATURES:
            raise DataError(f"X: {d} features, a field has 1 to {MOST_FEATURES} coordinates")
        values = _target(y, n)
        check_outside(self.outside)
        config = FitConfig.of(**{name: getattr(self, name) for name in OPTIONS})
        self._remember(X, d)
        found = _grid_of(points, self.box, self.periodic)
        if found is None:
            self.model_: Model = fit(points, values, config, box=self.box, periodic=self.periodic)
        else:
            grid, order = found
            self.model_ = fit(values[order].reshape(grid.shape), grid, config)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values at points (n, d), shape (n,).

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            A ValueError: if the points have another number of features, or are not finite, or are outside the box
            where that is an error.

        Warns
        -----
        OutsideBoxWarning
            If there are points outside the box.
        """
        if not self.__sklearn_is_fitted__():
            raise _not_fitted()(f"this {type(self).__name__} is not fitted yet; call fit(X, y) first")
        self._compare_names(X)
        points = _matrix(X)
        if points.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {points.shape[1]} features, but {type(self).__name__} is expecting"
                f" {self.n_features_in_} features as input"
            )
        return self.model_(points, outside=self.outside)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2 = 1 - sum w (y - predict(X))^2 / sum w (y - mean of y)^2, at most 1.

        Where y is constant it is 1 for an exact prediction, else 0.
        """
        error = self.predict(X)
        y = _target(y, len(error))
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        left = float(np.sum(weights * (y - error) ** 2))
        total = float(np.sum(weights * (y - np.average(y, weights=weights)) ** 2))
        if total == 0.0:
            return 1.0 if left == 0.0 else 0.0
        return 1.0 - left / total

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name; `deep` makes no difference."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Replace some parameters.

        Raises
        ------
        ConfigError
            A ValueError: for one that does not exist.
        """
        names = [item.name for item in fields(self)]
        for name in params:
            if name not in names:
                raise ConfigError(f"{name!r} is no parameter of {type(self).__name__}; get_params() lists them")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{item.name}={value!r}"
            for item in fields(self)
            if (value := getattr(self, item.name)) is not item.default and value != item.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags, Tags, TargetTags  # noqa: PLC0415 - only scikit-learn asks

        return Tags(estimator_type="regressor", target_tags=TargetTags(required=True), regressor_tags=RegressorTags())

    def _remember(self, X: Any, d: int) -> None:
        self.n_features_in_ = d
        names = _names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _compare_names(self, X: Any) -> None:
        given, known = _names(X), getattr(self, "feature_names_in_", None)
        if given is None and known is None:
            return
        if known is None:
            warnings.warn(
                f"X has feature names, but {type(self).__name__} was fitted without feature names", stacklevel=3
            )
        elif given is None:
            warnings.warn(
                f"X does not have valid feature names, but {type(self).__name__} was fitted with feature names",
                stacklevel=3,
            )
        elif list(given) != list(known):
            unseen = [f"- {name}" for name in given if name not in known]
            missing = [f"- {name}" for name in known if name not in given]
            lines = ["The feature names should match those that were passed during fit."]
            lines += ["Feature names unseen at fit time:", *unseen] if unseen else []
            lines += ["Feature names seen at fit time, yet now missing:", *missing] if missing else []
            lines += [] if unseen or missing else ["Feature names must be in the same order as they were in fit."]
            raise DataError("\n".join(lines) + "\n")


def _not_fitted() -> type[NotFittedError]:
    """Our error, and scikit-learn's too where that is loaded: nobody else waits for its own."""
    theirs = sys.modules.get("sklearn.exceptions")
    return NotFittedError if theirs is None else type("NotFittedError", (NotFittedError, theirs.NotFittedError), {})


def _names(X: Any) -> np.ndarray | None:
    """The column names of a table, if all of them are text."""
    names = list(getattr(X, "columns", ()))
    if not names or not any(isinstance(name, str) for name in names):
        return None
    if not all(isinstance(name, str) for name in names):
        raise TypeError("X: the column names are text in part only; feature names need to be text, all of them")
    return np.asarray(names, dtype=object)


def _array(values: Any, name: str) -> np.ndarray:
    """Finite float64 of any shape."""
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name}: a sparse array; a field is dense, pass {name}.toarray()")
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise DataError(f"{name}: Complex data not supported; fit the real and the imaginary part separately")
    converted: np.ndarray = array.astype(np.float64)
    if not np.all(np.isfinite(converted)):
        raise DataError(f"{name}: contains NaN or infinity; remove these points")
    return converted


def _matrix(X: Any) -> np.ndarray:
    points = _array(X, "X")
    if points.ndim != 2:
        raise DataError(f"Expected 2D array, got {points.ndim}D array instead. Reshape your data to (n, d).")
    for axis, what in enumerate(("sample", "feature")):
        if points.shape[axis] == 0:
            raise DataError(f"0 {what}(s) (shape={points.shape}) while a minimum of 1 is required.")
    return points


def _target(y: Any, n: int) -> np.ndarray:
    if y is None:
        raise DataError("requires y to be passed, but the target y is None")
    values = _array(y, "y")
    if values.ndim == 2 and values.shape[1] == 1:
        theirs = sys.modules.get("sklearn.exceptions")
        category = UserWarning if theirs is None else theirs.DataConversionWarning
        text = "A column-vector y was passed when a 1d array was expected; pass y.ravel()"
        warnings.warn(text, category, stacklevel=3)
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"y: shape {values.shape}; expected one value for each of {n} points, shape ({n},)")
    if len(values) != n:
        raise DataError(f"X, y: inconsistent numbers of samples, {n} and {len(values)}")
    return values


def _grid_of(points: np.ndarray, box: Box | None, periodic: bool | Sequence[bool]) -> tuple[Grid, np.ndarray] | None:
    """The uniform grid that the points make up, and their numbers in its order; None if they are scattered."""
    n, d = points.shape
    axes = [np.unique(column) for column in points.T]
    shape = tuple(len(axis) for axis in axes)
    if math.prod(shape) != n or min(shape) < LEAST_SAMPLES:
        return None
    lower = [float(axis[0]) for axis in axes] if box is None else box.lower
    upper = [float(axis[-1]) for axis in axes] if box is None else box.upper
    if (box is None and periodic is not False) or len(lower) != d:
        return None
    grid = Grid(shape, tuple(lower), tuple(upper), periodic)  # type: ignore[arg-type] # one entry for all axes too
    if not all(follows(axis, line) for axis, line in zip(axes, grid.axes(), strict=True)):
        return None
    order = np.lexsort(points.T[::-1])
    tensor = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(n, d)
    return (grid, order) if np.array_equal(points[order], tensor) else None
