"""Whether samples repeat along an axis: whether samples left out are predicted better if they do or if they do not.

If they do, the last sample is followed by the first, and a truncated Fourier series predicts them
(`periodic_prediction_error`). If they do not, both ends are ends, and the interpolation of `line_interpolation` does.
A field of one kind that is taken for the other is predicted worse by orders of magnitude, once it is resolved.
"""

from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import EPS, rms
from simsnn_ref.spectrum.line_interpolation import choose_line_method, lines_along, periodic_prediction_error

__all__ = ["Repetition", "repetition_along"]

BETTER = 2.0
"""Of the two predictions the periodic one is believed unless the other is better by this factor. Of noise, which
neither predicts, it is the better one, and none of a hundred random periodic fields reached it."""

EQUAL = 8.0 * EPS
"""Difference of the two ends, relative to the largest value, up to which they may be the same sample."""


ROUNDING = 64.0 * EPS
"""Errors below, relative to the largest value, are as good as each other."""


@dataclass(frozen=True)
class Repetition:
    """What samples say of an axis.

    Attributes
    ----------
    repeats : bool
    is_end_repeated : bool
        Whether they repeat without the last sample, which is the first one once more.
    as_periodic, as_bounded : float
        RMS error of the predictions of samples left out, relative to the RMS of the samples; the same where the first
        one is at rounding already.
    """

    repeats: bool
    is_end_repeated: bool
    as_periodic: float
    as_bounded: float


def repetition_along(u: np.ndarray, axis: int) -> Repetition:
    """Compare the two predictions of samples along an axis.

    Parameters
    ----------
    u : ndarray of float64
        Samples on a uniform grid.
    axis : int

    Examples
    --------
    >>> x = np.linspace(0.0, 2.0 * np.pi, 33)
    >>> repetition_along(np.cos(x[:-1]), 0).repeats, repetition_along(np.exp(x), 0).repeats
    (True, False)
    >>> repetition_along(np.cos(x), 0).is_end_repeated
    True
    """
    lines = lines_along(u, axis)
    lines = lines / (float(np.max(np.abs(lines))) or 1.0)
    scale = rms(np, lines) or 1.0
    n = len(lines)
    has_equal_ends = n > 4 and bool(np.all(np.abs(lines[-1] - lines[0]) <= EQUAL))
    periodic, twice = periodic_prediction_error(lines), False
    if has_equal_ends:
        without = periodic_prediction_error(lines[:-1])
        if max(without, ROUNDING) < max(periodic, ROUNDING):
            periodic, twice = without, True
    bounded = periodic
    if periodic > ROUNDING:
        # AAA predicts a periodic field too, on fewer samples; where the ends are equal, it tells an even field that
        # ends.
        bounded = choose_line_method(np.linspace(-1.0, 1.0, n), lines, linear=not has_equal_ends).error
    repeats = max(periodic, ROUNDING) <= BETTER * max(bounded, ROUNDING)
    return Repetition(repeats, repeats and twice, periodic / scale, bounded / scale)
