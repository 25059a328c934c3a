"""FINUFFT's plans, the tolerances that it can reach, and its errors as errors of this package."""

import warnings
from typing import Any

import finufft
import numpy as np

from simsnn_ref.errors import ConfigError

__all__ = ["KERNEL_WIDTH", "call_finufft", "least_upsampling", "make_plan"]

UPSAMPLINGS = (1.25, 1.5, 1.6, 1.7, 1.8, 1.9, 1.95, 2.05)
"""Ratios of the fine grid to the grid. The first that reaches the tolerance (1e-9, 1e-12, 1e-13, 3e-14, 1e-14, 3e-15,
2e-15 in two dimensions) takes the least time. 2 is not among them: then grids of a power of two have fine grids of a
power of two, whose columns share the same few lines of the cache, and the transform takes more than twice the time.

FINUFFT is always given the ratio: where it chooses one itself, it clips the tolerance to what its choice allows and
warns of nothing.
"""

KERNEL_WIDTH = 16
"""Width of FINUFFT's widest kernel, in points of the fine grid."""


def make_plan(kind: int, modes: Any, tolerance: float, upsampling: float, n_transforms: int = 1, **options: Any) -> Any:
    """Return a plan that runs on one thread."""
    return call_finufft(
        finufft.Plan,
        kind,
        modes,
        n_trans=n_transforms,
        eps=tolerance,
        isign=1,
        nthreads=1,
        upsampfac=upsampling,
        showwarn=0,
        **options,
    )


def least_upsampling(kind: int, ndim: int, tolerance: float) -> float:
    """Return the first of `UPSAMPLINGS` with which FINUFFT accepts the tolerance, found by plans for a single point.

    FINUFFT is asked because its kernels change from version to version.

    Raises
    ------
    ConfigError
        If FINUFFT does not reach the tolerance.
    """
    zero = np.zeros(1)
    modes = (1,) * ndim if kind == 1 else ndim
    for upsampling in UPSAMPLINGS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                plan = make_plan(kind, modes, tolerance, upsampling)
                call_finufft(plan.setpts, *[zero] * ndim, **dict.fromkeys("stu"[:ndim] if kind == 3 else "", zero))
        except (Warning, ConfigError):
            continue
        return upsampling
    raise ConfigError(
        f"nufft_tolerance = {tolerance:g}: less than FINUFFT keeps to in double precision; use 2e-15 or more"
    )


def call_finufft(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function of FINUFFT; its error, mostly about a transform that is too large, becomes a ConfigError."""
    try:
        return function(*arguments, **options)
    except RuntimeError as error:
        raise ConfigError(f"feature_map = 'nufft': {error}; use 'separable' or 'dense'") from error
