"""Numbers of mpmath in arrays of NumPy, whose functions call a method of their own name for arrays of objects."""

from collections.abc import Callable
from typing import Any

import numpy as np

from simsnn_ref.errors import ConfigError

__all__ = ["Number", "as_numbers", "import_mpmath"]


def import_mpmath() -> Any:
    """The module mpmath.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import mpmath  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("this needs mpmath: pip install mpmath") from error
    return mpmath


class Number:
    """A complex number of mpmath, computed with in the precision that is set at the time.

    Numbers are ordered by their real parts, so that what is piecewise analytic (a sign, a largest value) stays on its
    piece in a complex step.

    Parameters
    ----------
    value : mpmath.mpc
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def real(self) -> Any:
        return self.value.real

    @property
    def imag(self) -> Any:
        return self.value.imag

    def __abs__(self) -> "Number":
        raise TypeError("abs is not analytic; use x * numpy.sign(numpy.real(x))")

    def __neg__(self) -> "Number":
        return Number(-self.value)

    def __add__(self, other: Any) -> "Number":
        return Number(self.value + _value(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Number":
        return Number(self.value - _value(other))

    def __rsub__(self, other: Any) -> "Number":
        return Number(_value(other) - self.value)

    def __mul__(self, other: Any) -> "Number":
        return Number(self.value * _value(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Number":
        return Number(self.value / _value(other))

    def __rtruediv__(self, other: Any) -> "Number":
        return Number(_value(other) / self.value)

    def __pow__(self, other: Any) -> "Number":
        return Number(self.value ** _value(other))

    def __rpow__(self, other: Any) -> "Number":
        return Number(_value(other) ** self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value.real == _value(other).real)

    def __lt__(self, other: Any) -> bool:
        return bool(self.value.real < _value(other).real)

    def __le__(self, other: Any) -> bool:
        return bool(self.value.real <= _value(other).real)

    def __gt__(self, other: Any) -> bool:
        return bool(self.value.real > _value(other).real)

    def __ge__(self, other: Any) -> bool:
        return bool(self.value.real >= _value(other).real)

    __hash__ = None  # type: ignore[assignment]


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Number) else import_mpmath().mpmathify(x)


def _method(name: str) -> Callable[[Number], Number]:
    def method(self: Number) -> Number:
        return Number(getattr(import_mpmath(), name)(self.value))

    return method


for _numpy, _mpmath in {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log1p", "sqrt")},
}.items():
    setattr(Number, _numpy, _method(_mpmath))


def as_numbers(x: Any) -> np.ndarray:
    """The array of `Number` with the very values of an array; those of long double are sums of two of float64."""
    x = np.asarray(x)
    high = x.astype(np.float64)
    low = (x - high).astype(np.float64)
    mpc = import_mpmath().mpc
    numbers = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        numbers[index] = Number(mpc(float(high[index])) + mpc(float(low[index])))
    return numbers
