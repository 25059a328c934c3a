"""Expectations of a check. Each failure is an AssertionError of one line that names what is wrong."""

import math
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Array, Backend

__all__ = ["expect", "expect_close", "expect_equal", "expect_on_device", "expect_ulp", "host"]


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError(message) unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def expect_on_device(backend: Backend, what: str, array: Array, dtype: str) -> None:
    """Expect an array of the backend's own type, on its device and of the namespace's `dtype`."""
    own = type(backend.asarray(np.zeros(1)))
    # NumPy's 0-d results are its scalars, which have all that an array has.
    kinds = (own, np.generic) if issubclass(own, np.ndarray) else own
    expect(isinstance(array, kinds), f"{what}: a {type(array).__name__}, expected a {own.__name__}")
    expect(array.device == backend.device, f"{what}: on device {array.device}, expected {backend.device}")
    expected = getattr(backend.xp, dtype)
    expect(array.dtype == expected, f"{what}: of dtype {array.dtype}, expected {expected}")


def host(backend: Backend, what: str, array: Array, dtype: str = "float64") -> np.ndarray:
    """Return the array on the host, after `expect_on_device`."""
    expect_on_device(backend, what, array, dtype)
    value = backend.to_numpy(array)
    expect(isinstance(value, np.ndarray), f"{what}: to_numpy returns a {type(value).__name__}, expected an ndarray")
    expect(value.dtype == np.dtype(dtype), f"{what}: to_numpy makes it {value.dtype}, expected {dtype}")
    return value


def _expect_shape(what: str, got: np.ndarray, expected: Any) -> None:
    expect(got.shape == np.shape(expected), f"{what}: of shape {got.shape}, expected {np.shape(expected)}")


def expect_equal(what: str, got: np.ndarray, expected: Any) -> None:
    """Expect the same shape and values, NaN equal to NaN."""
    _expect_shape(what, got, expected)
    expect(np.array_equal(got, expected, equal_nan=np.asarray(expected).dtype.kind in "fc"), f"{what}: other values")


def expect_ulp(what: str, got: np.ndarray, exact: np.ndarray, allowed: float) -> None:
    """Expect every number within `allowed` units in the last place of the exact one."""
    _expect_shape(what, got, exact)
    ulp = np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float64))
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(ulp), np.inf, ulp))), ulp.shape)
    expect(
        bool(ulp[worst] <= allowed),
        f"{what}: {got[worst]:.17g} at {[int(i) for i in worst]}, expected {float(exact[worst]):.17g}:"
        f" {float(ulp[worst]):.3g} ulp, allowed {allowed:g}",
    )


def expect_close(what: str, got: Any, expected: Any, allowed: float) -> None:
    """Expect an error of at most `allowed` times eps in the 2-norm, relative to the expected value's."""
    got, expected = np.asarray(got), np.asarray(expected)
    _expect_shape(what, got, expected)
    size = float(np.linalg.norm(np.ravel(expected.astype(np.clongdouble)))) or 1.0
    off = float(np.linalg.norm(np.ravel(got.astype(np.clongdouble) - expected))) / size
    expect(
        not math.isnan(off) and off <= allowed * EPS,
        f"{what}: off by {off:.2e} of its 2-norm, {off / EPS:.3g} eps, allowed {allowed:.3g}",
    )
