"""A residue in numbers: its size, and how far its extremes stand out."""

import math
from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.optimizers import LpLoss

__all__ = ["SPIKE", "ResidueStatistics", "describe", "gaussian_maximum"]

SPIKE = 5.0
"""A point where |e| is above this many RMS is counted as a spike."""


@dataclass(frozen=True)
class ResidueStatistics:
    """A residue in numbers, relative to the RMS of the field.

    Attributes
    ----------
    rms, max : float
        RMS and largest absolute value at the samples.
    spike_factor : float
        max / rms; about `gaussian_maximum` for noise.
    kurtosis : float
        Excess over that of a Gaussian.
    beyond : int
        Number of points above `SPIKE` times the RMS.
    norm : float
        Eq. 7 as it is printed, a sum and not a mean, with the p of the stage, over the RMS of the residue.
    rms_off_grid, max_off_grid : float
        RMS and largest absolute value between the samples.
    """

    rms: float
    max: float
    spike_factor: float
    kurtosis: float
    beyond: int
    norm: float
    rms_off_grid: float
    max_off_grid: float


def describe(residue: np.ndarray, off_grid: tuple[float, float], unit: float, p: float) -> ResidueStatistics:
    """The statistics of a residue that is not constant.

    Parameters
    ----------
    residue : ndarray of float64
    off_grid : tuple of two floats
        RMS and largest error between the samples, in the units of the residue.
    unit : float
        RMS of the field.
    p : float
        Exponent of `ResidueStatistics.norm`.
    """
    size = rms(np, residue)
    # Of r, of RMS 1, the fourth powers are in range whatever the residue's units.
    r = residue / size
    centred = r - np.mean(r)
    largest = float(np.max(np.abs(r)))
    return ResidueStatistics(
        rms=size / unit,
        max=largest * size / unit,
        spike_factor=largest,
        kurtosis=float(np.mean(centred**4) / np.mean(centred**2) ** 2 - 3.0),
        beyond=int(np.count_nonzero(np.abs(r) > SPIKE)),
        norm=float(LpLoss(p).forward(np, r)) * r.size ** (1.0 / p),
        rms_off_grid=off_grid[0] / unit,
        max_off_grid=off_grid[1] / unit,
    )


def gaussian_maximum(n: int) -> float:
    """sqrt(2 ln n): about the largest of n Gaussian numbers of RMS 1, by which a spike stands out or does not.

    Examples
    --------
    >>> round(gaussian_maximum(128**2), 2)
    4.41
    """
    return math.sqrt(2.0 * math.log(n))
