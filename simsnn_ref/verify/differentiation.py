"""Gradients without differences: complex steps, in float64, long double or as many digits as asked for.

    df/dx = Im f(x + ih) / h + O(h^2),     h = 2^-200     (Squire & Trapp, SIAM Rev. 40, 1998)

Nothing is subtracted, so that nothing cancels, and h^2 is below everything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simsnn_ref.errors import VerificationError
from simsnn_ref.verify.comparison import TOLERANCE, Comparison, Tensors, compare
from simsnn_ref.verify.numbers import Number, as_numbers, import_mpmath

__all__ = ["STEP", "check_gradient", "complex_step", "complex_step_in_digits", "complex_step_jacobian"]

STEP = 2.0**-200
"""A power of two, so that the division is exact."""


def complex_step(
    function: Callable[[dict[str, Any]], Any], params: Tensors, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Gradient of `function` by name, one number at a time, in the precision that it computes in.

    Parameters
    ----------
    function : callable
        A function of parameters by name that returns a number, written with analytic operations only.
    params : mapping of str to ndarray
        Where the gradient is taken; it is of long double if they are, else of float64, whose range holds the step.
    names : sequence of str, optional
        The parameters to differentiate for; all by default.

    Examples
    --------
    >>> complex_step(lambda p: np.sum(p["x"] ** 3), {"x": np.asarray([1.0, 2.0])})
    {'x': array([ 3., 12.])}
    """
    wide = _at_least_float64(params)
    gradient = {}
    for name in wide if names is None else names:
        slopes = [np.imag(function(stepped)) / STEP for stepped in _stepped(wide, name)]
        gradient[name] = np.asarray(slopes, dtype=wide[name].dtype).reshape(wide[name].shape)
    return gradient


def complex_step_jacobian(
    function: Callable[[dict[str, Any]], np.ndarray], params: Tensors, names: Sequence[str] | None = None
) -> np.ndarray:
    """Jacobian of a function that returns (n,), by complex steps, shape (n, P): a column for each number of `names`.

    The parameters are those of `complex_step`.
    """
    wide = _at_least_float64(params)
    columns = [
        np.imag(function(stepped)) / STEP
        for name in (wide if names is None else names)
        for stepped in _stepped(wide, name)
    ]
    return np.stack(columns, axis=1)


def _at_least_float64(params: Tensors) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(value) for name, value in params.items()}
    return {name: value.astype(np.result_type(value.dtype, np.float64)) for name, value in arrays.items()}


def _stepped(params: Tensors, name: str) -> Iterator[dict[str, Any]]:
    """The parameters with a complex step in one number of the tensor `name`, for each of its numbers in C order."""
    value = params[name]
    for index in np.ndindex(*value.shape):
        moved = value.astype(np.result_type(value.dtype, np.complex128))
        moved[index] += 1j * STEP
        yield {**params, name: moved}


def complex_step_in_digits(
    function: Callable[[dict[str, Any]], Any], params: Tensors, digits: int, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Gradient of `function` by complex steps of 10^-digits, with mpmath in so many digits; rounded to long double.

    The parameters are those of `complex_step`. `function` gets arrays of `Number`, which NumPy's elementary functions,
    sums and products take.

    Raises
    ------
    ConfigError
        If mpmath is not installed.
    """
    mpmath = import_mpmath()
    gradient = {}
    with mpmath.workdps(2 * digits):
        exact = {name: as_numbers(value) for name, value in params.items()}
        step = mpmath.mpf(10) ** -digits
        for name in exact if names is None else names:
            slopes = np.empty(exact[name].shape, dtype=np.longdouble)
            for index in np.ndindex(*slopes.shape):
                moved = exact[name].copy()
                moved[index] = moved[index] + Number(mpmath.mpc(0, step))
                value = np.asarray(function({**exact, name: moved}), dtype=object).item()
                slopes[index] = np.longdouble(mpmath.nstr(_imaginary(value) / step, 25))
            gradient[name] = slopes
    return gradient


def _imaginary(value: Any) -> Any:
    if not isinstance(value, Number):
        raise VerificationError(
            f"the function returned {type(value).__name__}, which does not depend on its parameters"
        )
    return value.imag


def check_gradient(
    function: Callable[[dict[str, Any]], Any],
    params: Mapping[str, Any],
    gradient: Mapping[str, Any],
    *,
    digits: int = 0,
    tolerance: float = TOLERANCE,
    what: str = "gradient",
) -> Comparison:
    """Compare a gradient with complex steps of its function, for a code of one's own.

    Parameters
    ----------
    function : callable
        The loss: a function of arrays by name that returns a number, written in NumPy with analytic operations only (no
        abs, real or conj; |x| is ``x * np.sign(np.real(x))``). It is evaluated once for each number in `gradient`.
    params : mapping of str to array
        The parameters at which the gradient was taken.
    gradient : mapping of str to array
        The gradient for all parameters or some of them, real, each of the shape of its parameter.
    digits : int
        0 for complex steps in long double, else so many digits of mpmath.
    tolerance : float
        Allowed error of a tensor, relative to its 2-norm.
    what : str
        Name of the quantity in messages.

    Returns
    -------
    Comparison
        That of the tensor that is furthest off; `require` makes an assertion of it.

    Raises
    ------
    VerificationError
        If a tensor is no parameter or has another shape, or `function` returns something else than a complex number
        for complex parameters.
    ConfigError
        If digits are asked for and mpmath is not installed.

    Examples
    --------
    >>> params = {"x": np.asarray([1.0, 2.0])}
    >>> check_gradient(lambda p: np.sum(p["x"] ** 2), params, {"x": 2.0 * params["x"]}).passed
    True
    """
    unknown = [name for name in gradient if name not in params]
    if unknown:
        raise VerificationError(f"{what}: {', '.join(unknown)} is none of the parameters {', '.join(params)}")
    host = {name: np.asarray(value) for name, value in params.items()}
    if digits:
        expected = complex_step_in_digits(function, host, digits, list(gradient))
    else:
        wide = {name: value.astype(np.longdouble) for name, value in host.items()}
        expected = complex_step(lambda values: _complex_number(function(values)), wide, list(gradient))
    return compare(what, getattr(function, "__name__", "function"), gradient, expected, tolerance)


def _complex_number(value: Any) -> Any:
    value = np.asarray(value)
    if value.size != 1 or value.dtype.kind != "c":
        raise VerificationError(
            f"the function returned {value.dtype} of shape {value.shape} for complex parameters; a complex number is"
            " needed: analytic operations only, no abs, real or conj"
        )
    return value.reshape(())
