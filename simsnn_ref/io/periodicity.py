"""Along which axes a field repeats: what the user says, what the coordinates say, and else what the samples say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.io.field_info import Attributes
from simsnn_ref.spectrum import Repetition, repetition_along

__all__ = ["AxisPeriod", "Periodic", "find_period", "per_axis"]

Periodic: TypeAlias = bool | Sequence[bool | None] | None
"""Whether a field repeats along all axes, or axis by axis; None is for the data to say."""

CIRCLES = {"degrees": 360.0, "radians": 2.0 * math.pi}

LONGITUDE_UNITS = ("degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese")
LONGITUDE_NAMES = ("lon", "longitude", "lons", "long", "nav_lon", "grid_longitude")
"""Units and names that the CF conventions and their users have for longitudes."""

CLEARLY = 10.0
"""Ratio of the two predictions of left-out samples from which they contradict what was taken."""

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
