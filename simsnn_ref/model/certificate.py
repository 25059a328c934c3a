"""Check the errors of a model by an independent evaluation, from its parameters alone.

A fit sums the features of its networks with fast transforms. Here the formula of the network is evaluated at single
points: in extended precision, or with mpmath in any number of digits. Wavenumbers that are frozen at Fourier modes are
exactly pi m / period.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import (
    Network,
    Parameters,
    evaluate_network,
    extend,
    extended_backend,
    extended_eps,
    is_extended,
)

__all__ = [
    "LONG_DOUBLE_DIGITS",
    "Certificate",
    "ErrorSample",
    "certify",
    "digits_of_independent_evaluation",
    "evaluate_by_definition",
]

LONG_DOUBLE_DIGITS = 18
"""Digits of extended precision; more are computed with mpmath."""

MPMATH_DIGITS = 34
"""Digits of mpmath where double-double arithmetic stands in for long double."""

AGREEMENT = 0.01
"""Largest relative difference between an error that the fit found and the same one by independent evaluation."""

BLOCK_ELEMENTS = 2**20
"""Values of features at a time."""


@dataclass(frozen=True)
class ErrorSample:
    """Errors that a fit found at some points.

    Attributes
    ----------
    points : array in extended precision, shape (n, d)
        Points in [-1, 1]^d.
    values : array in extended precision, shape (n,)
        The field at the points.
    residue : array in extended precision, shape (n,)
        Field minus model at the points, as the fit evaluated it.
    random : ndarray of bool, shape (n,)
        False for points that were chosen for their large residue: they count for the largest error, not for the RMS.
    """

    points: Array
    values: Array
    residue: Array
    random: np.ndarray


@dataclass(frozen=True)
class Certificate:
    """Errors of a model by independent evaluation, at random points and at the worst ones that the fit found.

    Attributes
    ----------
    rms_on_grid, max_on_grid : float
        RMS and largest absolute value of the error at the samples, relative to the RMS of the field.
    rms_off_grid, max_off_grid : float or None
        The same between the samples; None where that error is not measured.
    digits : int
        Digits of the arithmetic.
    points : int
        Number of points that were evaluated.
    agrees : bool
        Whether every figure is within 1 % of the fit's at the same points, or both are below what the arithmetic
        resolves.
    """

    rms_on_grid: float
    max_on_grid: float
    rms_off_grid: float | None
    max_off_grid: float | None
    digits: int
    points: int
    agrees: bool

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def digits_of_independent_evaluation(digits: int) -> int:
    """`digits`, or more where those of long double are asked for and double-double arithmetic stands in for it.

    The fit then has the same elementary functions as `evaluate_by_definition`, which would not be independent; mpmath,
    if it is installed, has its own.
    """
    stands_in = digits <= LONG_DOUBLE_DIGITS and not is_extended()
    return MPMATH_DIGITS if stands_in and find_spec("mpmath") is not None else digits


def certify(
    stages: Sequence[tuple[float, Network, Parameters]],
    on_grid: ErrorSample,
    off_grid: ErrorSample | None,
    field_rms: float,
    backend: Backend,
    digits: int = LONG_DOUBLE_DIGITS,
) -> Certificate:
    """Evaluate the stages at the points of the samples, and compare the errors.

    Parameters
    ----------
    stages : sequence of (eps, network, parameters)
    on_grid, off_grid : ErrorSample
        Errors at the samples and between them; None where the latter are not measured.
    field_rms : float
        RMS of the field, to which errors are relative.
    backend : Backend
        Library of the parameters.
    digits : int
        18 is long double, or double-double where that is no wider than float64; more is mpmath.

    Raises
    ------
    ConfigError
        If more than 18 digits are asked for and mpmath is not installed.
    """
    figures: list[float | None] = []
    agrees = True
    for sample in (on_grid, off_grid):
        if sample is None:
            figures += [None, None]
            continue
        model = evaluate_by_definition(stages, sample.points, backend, digits)
        scale = field_rms or 1.0
        errors = (np.asarray(e) / scale for e in (sample.values - model, sample.residue))
        certified, fitted = ([_rms(e[sample.random]), float(np.max(np.abs(e)))] for e in errors)
        resolution = _resolution(stages, field_rms, backend)
        agrees = agrees and all(
            abs(a - b) <= AGREEMENT * max(a, b) + resolution for a, b in zip(certified, fitted, strict=True)
        )
        figures += certified
    n_points = len(on_grid.points) + (0 if off_grid is None else len(off_grid.points))
    rms_on, max_on, rms_off, max_off = figures
    assert rms_on is not None
    assert max_on is not None
    return Certificate(rms_on, max_on, rms_off, max_off, digits, n_points, agrees)


def _rms(e: np.ndarray) -> float:
    return float(np.sqrt(np.mean(e**2)))


def _resolution(stages: Sequence[tuple[float, Network, Parameters]], field_rms: float, backend: Backend) -> float:
    """Rounding error of the sum in extended precision: that of each cosine's argument is up to |k.x| eps."""
    error = 0.0
    for eps, network, params in stages:
        features = network.features(params)
        size = 1.0
        if features is not None:
            k = np.sum(np.abs(backend.to_numpy(features.wavenumbers)), axis=1)
            size = float(np.sqrt(np.sum((backend.to_numpy(features.amplitudes) * (4.0 + k)) ** 2)))
        error += eps * size
    return 4.0 * extended_eps() * error / (field_rms or 1.0)


def evaluate_by_definition(
    stages: Sequence[tuple[float, Network, Parameters]],
    points: Array,
    backend: Backend,
    digits: int = LONG_DOUBLE_DIGITS,
) -> Array:
    """sum_s eps_s u_s at points, by `evaluate_network`, without feature maps.

    Parameters
    ----------
    stages : sequence of (eps, network, parameters)
    points : array in extended precision, shape (n, d)
        Points in [-1, 1]^d.
    backend : Backend
        Library of the parameters.
    digits : int
        As for `certify`.

    Returns
    -------
    array in extended precision, shape (n,)

    Raises
    ------
    ConfigError
        If more than 18 digits are asked for and mpmath is not installed.
    """
    extended = extended_backend()
    points, total = extended.asarray(points), extended.asarray(np.zeros(len(points)))
    for eps, network, params in stages:
        wide, wide_params = extend(network, params, backend)
        if digits > LONG_DOUBLE_DIGITS:
            total = total + _with_mpmath(eps, wide, wide_params, points, digits)
        else:
            step = max(1, BLOCK_ELEMENTS // max(1, network.n_features))
            blocks = [points[i : i + step] for i in range(0, len(points), step)]
            total = total + eps * extended.xp.concat([evaluate_network(wide, wide_params, block) for block in blocks])
    return total


def _with_mpmath(eps: float, network: Network, params: Parameters, points: Array, digits: int) -> Array:
    try:
        import mpmath  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("digits above 18 need mpmath: pip install mpmath") from error

    as_mpf = np.vectorize(mpmath.mpf, otypes=[object])

    def number(value: Array) -> Any:
        high = np.asarray(value, dtype=np.float64)
        return as_mpf(high) + as_mpf(np.asarray(value - high, dtype=np.float64))

    with mpmath.workdps(digits):
        p = {name: number(value) for name, value in params.items()}
        if network.indices is not None and network.period is not None:
            units = [mpmath.pi * period.denominator / period.numerator for period in network.period]
            p["B"] = network.indices.astype(object) * np.asarray(units, dtype=object)
        xp = SimpleNamespace(
            cos=np.vectorize(mpmath.cos, otypes=[object]),
            tanh=np.vectorize(mpmath.tanh, otypes=[object]),
            concat=np.concatenate,
        )
        amplitudes = None if network.amplitudes is None else number(network.amplitudes)
        exact = replace(network, amplitudes=amplitudes)
        high, low = [], []
        # One by one: features of many points would be gigabytes of objects.
        for x in number(points):
            u = mpmath.mpf(eps) * evaluate_network(exact, p, x[None, :], xp)[0]
            high.append(float(u))
            low.append(float(u - high[-1]))
    asarray = extended_backend().asarray
    return asarray(np.asarray(high)) + asarray(np.asarray(low))
