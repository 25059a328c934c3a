"""Along which axes a field repeats: what the user says, what the coordinates say, and else what the samples say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.io.field_info import Attributes
from simsnn_ref.spectrum import Repetition, lines_along, repetition_along

__all__ = ["AxisPeriod", "Periodic", "find_period", "per_axis", "seam_notes"]

Periodic: TypeAlias = bool | Sequence[bool | None] | None
"""Whether a field repeats along all axes, or axis by axis; None is for the data to say."""

CIRCLES = {"degrees": 360.0, "radians": 2.0 * math.pi}

LONGITUDE_UNITS = ("degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese")
LONGITUDE_NAMES = ("lon", "longitude", "lons", "long", "nav_lon", "grid_longitude")
"""Units and names that the CF conventions and their users have for longitudes."""

CLEARLY = 10.0
"""Ratio of the two predictions of left-out samples from which they contradict what was taken."""

SMOOTH_SEAM, ROUGH_SEAM = 1.0, 4.0
"""Second differences across a seam over the largest ones inside, up to which the samples may go on there, and from
which they may not."""

FEWEST = 8
"""Samples along an axis that can speak against what a grid says."""

ROUNDING = 1e-13
"""Error of a prediction, relative to the field, below which it may be the rounding of the samples."""


@dataclass(frozen=True)
class AxisPeriod:
    """What is taken of an axis.

    Attributes
    ----------
    repeats : bool
    drops_end : bool
        Whether the last sample is the first once more, and has to go.
    circle : float or None
        Length of the period where the coordinate has it, in its units.
    note : str
        What was taken and why, and whether the samples say otherwise; the axis is its subject.
    """

    repeats: bool
    drops_end: bool
    circle: float | None
    note: str


def per_axis(periodic: Periodic, d: int, where: str = "the field") -> tuple[bool | None, ...]:
    """What was asked for each of `d` axes; None is for the data to decide.

    Raises
    ------
    DataError
        If there are entries for another number of axes.
    """
    asked = tuple(periodic) if isinstance(periodic, Sequence) else (periodic,)
    asked = asked * d if len(asked) == 1 else asked
    if len(asked) != d:
        raise DataError(f"periodic: {len(asked)} entries, but {where} has {d} axes")
    return tuple(None if entry is None else bool(entry) for entry in asked)


def find_period(
    lines: np.ndarray,
    asked: bool | None = None,
    coordinate: np.ndarray | None = None,
    attrs: Attributes | None = None,
    dim: str = "",
) -> AxisPeriod:
    """Decide whether a field repeats along lines of one axis, and whether its end was sampled twice.

    What was asked for is taken. A longitude that goes round repeats, within half a step, and so does a coordinate
    without units that goes round 360 or 2 pi if the samples do; along any other coordinate nothing repeats. Without a
    coordinate the samples decide (`repetition_along`).

    Parameters
    ----------
    lines : ndarray of float64, shape (n, ...)
    asked : bool, optional
    coordinate : ndarray of float64, optional
        Uniform and ascending.
    attrs : dict, optional
        Its attributes.
    dim : str, optional
        Its name.
    """
    seam = repetition_along(lines, 0)
    circle = None if coordinate is None else _circle(coordinate, attrs or {}, dim, seam)
    if asked is not None:
        drops = asked and seam.is_end_repeated
        note = f"is taken as {'periodic' if asked else 'not periodic'}, as asked{_contradiction(seam, asked)}"
        return AxisPeriod(asked, drops, circle if asked else None, f"{note}{_dropped(drops)}")
    if coordinate is not None:
        repeats = circle is not None
        why = f"it goes round {circle:.6g}" if repeats else "its coordinate does not go round"
        drops = repeats and seam.is_end_repeated
    else:
        repeats, drops = seam.repeats, seam.is_end_repeated
        better, worse = sorted((seam.as_periodic, seam.as_bounded))
        why = f"samples left out are predicted to {better:.1e} so, to {worse:.1e} otherwise"
        if repeats and seam.as_periodic >= seam.as_bounded:
            why = f"samples left out are predicted to {worse:.1e} so, and no better otherwise"
    words = "periodic with the end left out" if repeats else "not periodic, both ends included"
    contradiction = _contradiction(seam, repeats) if coordinate is not None else ""
    note = f"is taken as {words}: {why}{contradiction}{_dropped(drops)}; --periodic overrules"
    return AxisPeriod(repeats, drops, circle, note)


def seam_notes(samples: np.ndarray, periodic: Sequence[bool]) -> list[str]:
    """What the samples say against a grid that has its axes periodic or not.

    Samples that are smooth across the seam of a periodic axis, and those that are not across that of another one, bear
    the grid out; of others predictions of samples left out decide, as in `find_period`.

    Parameters
    ----------
    samples : ndarray of float64, shape (n_1, ...)
    periodic : sequence of bool

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 64)
    >>> seam_notes(np.cos(np.pi * x[:-1]), [True]), seam_notes(np.exp(x), [False])
    ([], [])
    >>> print(seam_notes(np.exp(x), [True])[0][:74])
    axis 0 of the grid is periodic; but the samples do not go on across its se
    """
    notes = []
    for axis, repeats in enumerate(periodic):
        lines = lines_along(samples, axis)
        roughness = _roughness_of_seam(lines)
        is_plausible = roughness <= ROUGH_SEAM if repeats else roughness > SMOOTH_SEAM
        if len(lines) < FEWEST or is_plausible:
            continue
        seam = repetition_along(samples, axis)
        against = _contradiction(seam, repeats)
        if repeats and seam.is_end_repeated:
            against = "; but its last sample is the first once more: leave it out of the samples and of the grid"
        if against:
            notes.append(f"axis {axis} of the grid is {'periodic' if repeats else 'not periodic'}{against}")
    return notes


def _roughness_of_seam(lines: np.ndarray) -> float:
    """Largest second difference across the seam over that elsewhere; infinite if the last sample is the first one."""
    if np.allclose(lines[-1], lines[0], rtol=0.0, atol=ROUNDING * float(np.max(np.abs(lines)))):
        return math.inf
    # The last two go across the seam.
    sizes = np.max(np.abs(np.diff(lines, 2, axis=0, append=lines[:2])), axis=1)
    return float(np.max(sizes[-2:])) / (float(np.max(sizes[:-2])) or math.inf)


def _dropped(drops: bool) -> str:
    return "; its last sample is the first once more and is left out" if drops else ""


def _contradiction(seam: Repetition, repeats: bool) -> str:
    """What the samples say against it; empty if nothing."""
    taken, other = (seam.as_periodic, seam.as_bounded) if repeats else (seam.as_bounded, seam.as_periodic)
    if max(taken, ROUNDING) <= CLEARLY * max(other, ROUNDING):
        return ""
    verdict = "do not go on across its seam" if repeats else "go on across its seam"
    return (
        f"; but the samples {verdict} (left-out ones are predicted to {other:.1e}, and to {taken:.1e} as it is taken)"
    )


def _circle(coordinate: np.ndarray, attrs: Attributes, dim: str, seam: Repetition) -> float | None:
    """The full circle that a coordinate goes round; None if it does not."""
    n = len(coordinate)
    step = (coordinate[-1] - coordinate[0]) / (n - 1)
    units = str(attrs.get("units", "")).strip().lower()
    named = str(attrs.get("standard_name", dim)).strip().lower()
    is_longitude = units in LONGITUDE_UNITS or (named in LONGITUDE_NAMES and not units.startswith("rad"))
    if is_longitude:
        circles: tuple[float, ...] = (CIRCLES["degrees"],)
    elif units.startswith("rad"):
        circles = (CIRCLES["radians"],)
    elif units.startswith("deg") and "north" not in units:
        circles = (CIRCLES["degrees"],)
    elif not units and named not in ("lat", "latitude", "time"):
        circles = tuple(CIRCLES.values())
    else:
        circles = ()
    for circle in circles:
        goes_round = abs(n * step - circle) < 0.5 * step
        ends_twice = abs((n - 1) * step - circle) < 0.5 * step and seam.is_end_repeated
        if (goes_round and (is_longitude or seam.repeats)) or ends_twice:
            return circle
    return None
