"""Check the errors of a model by a second route, from its parameters alone.

The first route sums the features with fast transforms. Here each feature is evaluated by its definition at single
points and summed: in long double, or with mpmath to any number of digits. Wavenumbers frozen at Fourier modes are
exactly pi m / period.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simsnn_ref.backend import Backend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import Network, Parameters
from simsnn_ref.precision import extend, extended_eps

__all__ = ["Certificate", "Claim", "certify", "evaluate_by_definition"]

LONG_DOUBLE_DIGITS = 18
AGREEMENT = 0.01
"""Largest relative difference between a claimed and a certified figure."""

BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True)
class Claim:
    """Errors found by the first route at some points.

    Attributes
    ----------
    points : ndarray of long double, shape (n, d)
        In [-1, 1]^d.
    values : ndarray of long double, shape (n,)
        The field there.
    residue : ndarray of long double, shape (n,)
        Field minus model there, by the first route.
    random : ndarray of bool, shape (n,)
        False for points that were chosen for their large residue: they count for the largest error, not for the RMS.
    """

    points: np.ndarray
    values: np.ndarray
    residue: np.ndarray
    random: np.ndarray


@dataclass(frozen=True)
class Certificate:
    """Certified errors at a random sample of points and at the worst points of the first route.

    Relative to the RMS of the field; None where the error between the samples is not measured.

    Attributes
    ----------
    digits : int
        Of the arithmetic.
    points : int
        How many points were evaluated.
    agrees : bool
        Whether every figure is within 1 % of what the first route says at the same points, or both are below what the
        arithmetic resolves.
    """

    rms_on_grid: float
    max_on_grid: float
    rms_off_grid: float | None
    max_off_grid: float | None
    digits: int
    points: int
    agrees: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def certify(
    stages: Sequence[tuple[float, Network, Parameters]],
    on_grid: Claim,
    off_grid: Claim | None,
    field_rms: float,
    backend: Backend,
    digits: int = LONG_DOUBLE_DIGITS,
) -> Certificate:
    """Evaluate the stages (eps, network, parameters) by their definition and compare.

    Parameters
    ----------
    digits : int
        18 is long double; more is mpmath.
    """
    figures: list[float | None] = []
    agrees = True
    for claim in (on_grid, off_grid):
        if claim is None:
            figures += [None, None]
            continue
        model = evaluate_by_definition(stages, claim.points, backend, digits)
        scale = field_rms or 1.0
        found, said = (claim.values - model) / scale, claim.residue / scale
        certified, claimed = ([_rms(e[claim.random]), float(np.max(np.abs(e)))] for e in (found, said))
        resolution = _resolution(stages, field_rms, backend)
        agrees = agrees and all(
            abs(a - b) <= AGREEMENT * max(a, b) + resolution for a, b in zip(certified, claimed, strict=True)
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
    """What long double leaves unsure of the sum: each cosine's argument is rounded, by |k.x| eps at most."""
    unsure = 0.0
    for eps, network, params in stages:
        features = network.features(params)
        size = 1.0
        if features is not None:
            k = np.sum(np.abs(backend.to_numpy(features.wavenumbers)), axis=1)
            size = float(np.sqrt(np.sum((backend.to_numpy(features.amplitudes) * (4.0 + k)) ** 2)))
        unsure += eps * size
    return 4.0 * extended_eps() * unsure / (field_rms or 1.0)


def evaluate_by_definition(
    stages: Sequence[tuple[float, Network, Parameters]],
    points: np.ndarray,
    backend: Backend,
    digits: int = LONG_DOUBLE_DIGITS,
) -> np.ndarray:
    """sum_s eps_s u_s at `points` (n, d) in [-1, 1]^d, long double of shape (n,), without the package's feature maps.

    Raises
    ------
    ConfigError
        If more digits than long double has are asked for and mpmath is not installed.
    """
    total = np.zeros(len(points), dtype=np.longdouble)
    for eps, network, params in stages:
        wide, wide_params = extend(network, params, backend)
        if digits > LONG_DOUBLE_DIGITS:
            total += _with_mpmath(eps, wide, wide_params, points, digits)
        else:
            step = max(1, BLOCK_ELEMENTS // max(1, network.n_features))
            blocks = [points[i : i + step] for i in range(0, len(points), step)]
            total += eps * np.concatenate([_in_long_double(wide, wide_params, block) for block in blocks])
    return total


def _in_long_double(network: Network, params: Parameters, points: np.ndarray) -> np.ndarray:
    if network.amplitudes is None:
        gamma = points.T
    else:
        K = network.scale * params["B"]
        K = np.concatenate([K, K]) if network.paired else K
        gamma = network.amplitudes[:, None] * np.cos(K @ points.T + params["b"][:, None])
    z = params["W1"] @ gamma + params["c1"][:, None]
    for layer in range(2, network.depth + 2):
        z = params[f"W{layer}"] @ np.tanh(z) + params[f"c{layer}"][:, None]
    u: np.ndarray = z[0]
    return u


def _with_mpmath(eps: float, network: Network, params: Parameters, points: np.ndarray, digits: int) -> np.ndarray:
    try:
        import mpmath  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("digits above 18 need mpmath: pip install mpmath") from error

    def exact(value: Any) -> Any:
        high = float(value)
        return mpmath.mpf(high) + mpmath.mpf(float(value - high))

    with mpmath.workdps(digits):
        number = np.vectorize(exact, otypes=[object])
        p = {name: number(value) for name, value in params.items()}
        if network.indices is not None and network.period is not None:
            units = [mpmath.pi * period.denominator / period.numerator for period in network.period]
            p["B"] = network.indices.astype(object) * np.asarray(units, dtype=object)
        tanh = np.vectorize(mpmath.tanh, otypes=[object])
        cos = np.vectorize(mpmath.cos, otypes=[object])
        values = []
        for x in number(points):
            if network.amplitudes is None:
                gamma = x
            else:
                K = mpmath.mpf(network.scale) * p["B"]
                K = np.concatenate([K, K]) if network.paired else K
                gamma = number(network.amplitudes) * cos(K @ x + p["b"])
            z = p["W1"] @ gamma + p["c1"]
            for layer in range(2, network.depth + 2):
                z = p[f"W{layer}"] @ tanh(z) + p[f"c{layer}"]
            u = mpmath.mpf(eps) * z[0]
            high = float(u)
            values.append(np.longdouble(high) + np.longdouble(float(u - high)))
    return np.asarray(values, dtype=np.longdouble)
