"""FINUFFT's plans, its judgement of a tolerance, and its refusals in the package's words."""

import warnings
from typing import Any

import finufft
import numpy as np

from simsnn_ref.errors import ConfigError

__all__ = ["KERNEL_WIDTH", "least_upsampling", "make_plan", "tell"]

UPSAMPLINGS = (1.25, 1.5, 1.6, 1.7, 1.8, 1.9, 1.95, 2.05)
"""Of the fine grid; the first that allows the tolerance (1e-9, 1e-12, 1e-13, 3e-14, 1e-14, 3e-15, 2e-15 in two
dimensions) takes the least time. Not 2: grids of a power of two make fine grids of one, whose columns meet in the same
few lines of the cache, and the transform takes more than twice the time.

Always given to FINUFFT: where it chooses by itself it clips the tolerance to what its choice allows, and says nothing.
"""

KERNEL_WIDTH = 16
"""Largest in FINUFFT, in points of the fine grid."""


def make_plan(kind: int, modes: Any, tolerance: float, upsampling: float, n_transforms: int = 1, **options: Any) -> Any:
    """A plan on one thread."""
    return tell(
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
    """Let the library judge the tolerance, on a single point: it knows its kernels, and they change.

    Raises
    ------
    ConfigError
        If FINUFFT would not honour the tolerance.
    """
    zero = np.zeros(1)
    modes = (1,) * ndim if kind == 1 else ndim
    for upsampling in UPSAMPLINGS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                plan = make_plan(kind, modes, tolerance, upsampling)
                tell(plan.setpts, *[zero] * ndim, **dict.fromkeys("stu"[:ndim] if kind == 3 else "", zero))
        except (Warning, ConfigError):
            continue
        return upsampling
    raise ConfigError(
        f"nufft_tolerance = {tolerance:g}: less than FINUFFT keeps to in double precision; use 2e-15 or more"
    )


def tell(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call FINUFFT and put its refusals (a transform too large, most often) in the package's words."""
    try:
        return function(*arguments, **options)
    except RuntimeError as error:
        raise ConfigError(f"feature_map = 'nufft': {error}; use 'separable' or 'dense'") from error
