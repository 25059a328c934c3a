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

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import (
    Network,
    Parameters,
    evaluate_network,
    extend,
    extended_backend,
    extended_eps,
    is_extended,
    pre_activations,
)

__all__ = [
    "LONG_DOUBLE_DIGITS",
    "Certificate",
    "ErrorSample",
    "certify",
    "digits_of_independent_evaluation",
    "evaluate_by_definition",
    "rounding_of_sum",
]

LONG_DOUBLE_DIGITS = 18
"""Digits of extended precision; more are computed with mpmath."""

MPMATH_DIGITS = 34
"""Digits of mpmath where double-double arithmetic stands in for long double."""

AGREEMENT = 0.01
"""Largest relative difference between an error that the fit found and the same one by independent evaluation."""

MARGIN = 4.0
"""Between the RMS of a rounding error and how large it may be: two evaluations have it, and at points where cosines are
in phase so are their roundings (up to 1.6 times the RMS was seen)."""

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
        Whether every figure is within 1 % of the fit's at the same points, or differs from it by no more than the
        rounding of the sum of the stages in extended precision.
    resolution : float
        RMS of that rounding, with its margin, relative to the RMS of the field; it stays out of files.
    """

    rms_on_grid: float
    max_on_grid: float
    rms_off_grid: float | None
    max_off_grid: float | None
    digits: int
    points: int
    agrees: bool
    resolution: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, but for the resolution."""
        return {name: value for name, value in asdict(self).items() if name != "resolution"}


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
    agrees, resolution = True, 0.0
    for sample in (on_grid, off_grid):
        if sample is None:
            figures += [None, None]
            continue
        model = evaluate_by_definition(stages, sample.points, backend, digits)
        scale = field_rms or 1.0
        errors = (np.asarray(e) / scale for e in (sample.values - model, sample.residue))
        certified, fitted = ([_rms(e[sample.random]), float(np.max(np.abs(e)))] for e in errors)
        points = np.asarray(sample.points, dtype=np.float64)
        rounding = MARGIN * extended_eps() * rounding_of_sum(stages, points, backend, scale)
        resolved = [_rms(rounding[sample.random]), float(np.max(rounding))]
        agrees = agrees and all(
            abs(a - b) <= AGREEMENT * max(a, b) + r for a, b, r in zip(certified, fitted, resolved, strict=True)
        )
        figures += certified
        resolution = max(resolution, resolved[0])
    n_points = len(on_grid.points) + (0 if off_grid is None else len(off_grid.points))
    rms_on, max_on, rms_off, max_off = figures
    assert rms_on is not None
    assert max_on is not None
    return Certificate(rms_on, max_on, rms_off, max_off, digits, n_points, agrees, resolution)


def _rms(e: np.ndarray) -> float:
    return float(np.sqrt(np.mean(e**2)))


def rounding_of_sum(
    stages: Sequence[tuple[float, Network, Parameters]], points: np.ndarray, backend: Backend, field_rms: float = 1.0
) -> np.ndarray:
    """RMS rounding error of sum_s eps_s u_s, in units of the arithmetic's eps, at points (n, d) in [-1, 1]^d.

    Relative to `field_rms`.

    First order, with roundings independent of each other (Higham & Mary, SIAM J. Sci. Comput. 41, 2019): where a number
    v is rounded with an error of variance s^2, u gets (du/dv)^2 s^2, and the variances add. With g_l = du/dz_l, which
    is backpropagation, the roundings are

        cosine j      A_j (4 + |k_j|_1 + |b_j|): that of its argument, for |x_i| <= 1, and its own,
                      with du/dgamma = W_1^T g_1;
        h_l           h_l itself, with W_{l+1}^T g_{l+1};
        z_{l+1}       of n products and their sum, sqrt(n + 1) times the 2-norm of the products and c_{l+1}.

    What matters is that the derivatives are those at the point, signs included. A network whose terms cancel has large
    ones: to leave 0 of numbers of order 1 at 1023 points of 1024, and 1 at the other one, it adds what 500 cosines give
    with 16 times the norm of the result. A bound by the features alone, as of a sum of them, misses that.
    """
    total = np.zeros(len(points))
    # Squares of eps itself may leave the range of float64.
    largest = max((eps for eps, _, _ in stages), default=0.0) or 1.0
    for eps, network, params in stages:
        host = {name: backend.to_numpy(value) for name, value in params.items()}
        amplitudes = None if network.amplitudes is None else backend.to_numpy(network.amplitudes)
        network = replace(network, backend=NumpyBackend(), amplitudes=amplitudes)  # noqa: PLW2901 - the same on the host
        step = max(1, BLOCK_ELEMENTS // max(1, network.n_features))
        blocks = [points[i : i + step, :] for i in range(0, len(points), step)]
        total += (eps / largest) ** 2 * np.concatenate([_rounding_variance(network, host, block) for block in blocks])
    return (largest / field_rms) * np.sqrt(total)


def _rounding_variance(network: Network, params: Parameters, points: np.ndarray) -> np.ndarray:
    """The sum of the variances in `rounding_of_sum`, shape (n,)."""
    gamma, z = pre_activations(network, params, points)
    inputs = [gamma, *(np.tanh(z_l) for z_l in z[:-1])]
    g = np.ones((1, len(points)))
    variance = np.zeros(len(points))
    for layer in range(len(z), 0, -1):
        W, c, h = params[f"W{layer}"], params[f"c{layer}"], inputs[layer - 1]
        variance += np.sum(g**2 * ((len(h) + 1) * (W**2 @ h**2) + c[:, None] ** 2), axis=0)
        g = W.T @ g
        if layer > 1:
            variance += np.sum((g * h) ** 2, axis=0)
            g = g * (1.0 - h**2)
    features = network.features(params)
    if features is not None:
        size = 4.0 + np.sum(np.abs(features.wavenumbers), axis=1) + np.abs(features.phases)
        variance += np.sum((g * (features.amplitudes * size)[:, None]) ** 2, axis=0)
    return variance


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
