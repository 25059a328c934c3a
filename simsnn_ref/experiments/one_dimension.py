"""One dimension (sections 1.2 and 3.2), on the example of the authors' earlier code (Wang & Lai 2024).

The field is u(x) = log(x + 2) cos(2x + x^3). Every way is given the same samples of [-1.02, 1.02], both ends included,
and is judged at these samples and, as that code judges itself, at 8000 points of [-1, 1].
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebpts1

from simsnn_ref.backend import largest, rms
from simsnn_ref.experiments.base import HIGH_ACCURACY, Cell, Claim, Outcome, Settings, Table, method_of
from simsnn_ref.experiments.classical import relative_errors, timed
from simsnn_ref.experiments.series import fit_series
from simsnn_ref.io import sample_function
from simsnn_ref.model import Model
from simsnn_ref.network import evaluate_extended, extend, extended_backend
from simsnn_ref.problems import get_problem
from simsnn_ref.report import (
    PANEL_WIDTH,
    QUIET_COLOUR,
    draw_legend,
    draw_line,
    label,
    new_figure,
    stage_colour,
    tex_number,
)
from simsnn_ref.spectrum import Grid, count_modes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Errors", "Field", "Setup", "Way", "run"]

TARGET = get_problem("logcos").target
LOWER, UPPER = -1.02, 1.02
"""Box of the samples."""

JUDGED = np.linspace(-1.0, 1.0, 8000)[:, np.newaxis]
"""Points at which the earlier code prints its errors."""

STAGES = 4

MSNN = ("none", "msnn", "msnn", "msnn")
"""First layers of the stages with the scale factor: the first stage is a plain network (section 3.2)."""

LEAST_SQUARES = 2.0
"""Exponent of the loss of the earlier code, the mean square."""

DEGREES = (3, 5, 7)
FEW_CHEBYSHEV_POINTS = 40


@dataclass(frozen=True)
class Setup:
    """Sizes of the experiment.

    Attributes
    ----------
    size : int
        Samples, both ends included.
    n_features : int
        Width of the first layer of the stages with the scale factor.
    hidden : tuple of int
        Widths of the tanh layers of all networks in mode paper.
    second_order_steps : int
        Steps of each stage by Levenberg-Marquardt.
    lbfgs_steps, adam_steps : tuple of int
        Steps of each stage by L-BFGS and by Adam.
    """

    size: int
    n_features: int
    hidden: tuple[int, ...]
    second_order_steps: int
    lbfgs_steps: tuple[int, ...]
    adam_steps: tuple[int, ...]


SETUPS = {
    "quick": Setup(201, 10, (20, 20), 30, (100,), (100,)),
    "laptop": Setup(1501, 30, (30, 30, 30), 150, (3000,), (3000, 5000, 5000, 5000)),
    "hours": Setup(1501, 30, (30, 30, 30), 150, (10000, 20000, 30000, 40000), (150000,)),
}
SETUPS["paper"] = SETUPS["hours"]
"""The earlier code takes 3000 steps of Adam in its first stage, 5000 in the others, and after them 10,000 to 40,000 of
L-BFGS; the paper takes 150,000 of Adam in every stage."""


@dataclass(frozen=True)
class Errors:
    """Errors of one way, relative to the RMS of the samples.

    Attributes
    ----------
    max_at_samples, rms_at_samples : float
    max_at_judged, rms_at_judged : float
        At the 8000 points of [-1, 1].
    """

    max_at_samples: float
    rms_at_samples: float
    max_at_judged: float
    rms_at_judged: float


@dataclass(frozen=True)
class Way:
    """One way to the field.

    Attributes
    ----------
    name : str
    after : tuple of Errors
        After each stage; one entry where there are no stages.
    numbers : int
        Numbers that are kept.
    seconds : float
        Wall-clock time.
    left : ndarray
        What is left of the field at the 8000 points, relative to the RMS of the samples.
    model : Model or None
        None for interpolants.
    """

    name: str
    after: tuple[Errors, ...]
    numbers: int
    seconds: float
    left: np.ndarray
    model: Model | None = None

    @property
    def last(self) -> Errors:
        """Errors after the last stage."""
        return self.after[-1]


class Field:
    """The samples, the field at the 8000 points in extended precision, and the RMS that all errors refer to.

    Parameters
    ----------
    size : int
        Samples, both ends included.
    """

    def __init__(self, size: int) -> None:
        assert TARGET is not None
        self.grid = Grid((size,), (LOWER,), (UPPER,), periodic=(False,))
        self.samples = np.asarray(TARGET(self.grid.points()))
        self.judged = sample_function(TARGET, JUDGED, extended=True)
        self.rms = rms(np, self.samples)

    def network(self, name: str, model: Model) -> Way:
        """A network with its errors after each stage, in extended precision."""
        records = model.history.stages
        left = [residue / self.rms for residue in self._left(model)]
        after = [
            Errors(record.max_on_grid, record.rms_on_grid, largest(np, residue), rms(np, residue))
            for record, residue in zip(records, left, strict=True)
        ]
        numbers = sum(record.n_parameters for record in records)
        return Way(name, tuple(after), numbers, model.history.seconds, left[-1], model)

    def _left(self, model: Model) -> Iterator[np.ndarray]:
        """What each stage leaves at the 8000 points."""
        where = model.grid.box.to_scaled(extended_backend().asarray(JUDGED))
        residue = extended_backend().asarray(self.judged)
        for stage in model.stages:
            network, params = extend(stage.network, stage.params, model.backend)
            residue = residue - stage.eps * evaluate_extended(network, params, where, model.backend.processes)
            yield np.asarray(residue).astype(np.float64)

    def interpolant(self, name: str, numbers: int, make: Callable[[], Callable[[np.ndarray], np.ndarray]]) -> Way:
        """A function of x that `make` returns, evaluated in float64."""

        def evaluate() -> tuple[np.ndarray, np.ndarray]:
            function = make()
            return function(self.grid.points()[:, 0]), function(JUDGED[:, 0])

        (at_samples, at_judged), seconds = timed(evaluate)
        on, off = (
            relative_errors(values, np.asarray(exact), self.rms)
            for values, exact in ((at_samples, self.samples), (at_judged, self.judged))
        )
        left = (np.asarray(self.judged) - at_judged).astype(np.float64) / self.rms
        return Way(name, (Errors(on["max"], on["rms"], off["max"], off["rms"]),), numbers, seconds, left)


def run(settings: Settings) -> Outcome:
    """Fit the samples by networks, by the Fourier series of as many modes, and by interpolation."""
    started = time.perf_counter()
    setup = SETUPS[settings.size]
    field = Field(setup.size)
    papers = _papers_networks(settings, setup, field)
    settings.say("logcos: mode accurate")
    accurate = field.network("mode accurate", settings.fit(field.samples, field.grid, certify=False))
    networks = (*papers, accurate)
    settings.say("logcos: series and interpolation")
    series = _series(field, networks)
    ways = (*networks, *series, *_interpolants(field))
    return Outcome(
        name="logcos",
        title="One dimension: log(x + 2) cos(2x + x^3)",
        settings=settings,
        tables=(_stage_table(networks), _way_table(ways)),
        claims=tuple(claim for way in papers for claim in _claims(way)),
        numbers={
            "samples": setup.size,
            "rms_at_samples": field.rms,
            "rms_at_judged": rms(np, np.asarray(field.judged, dtype=np.float64)),
            "ways": {way.name: _numbers(way) for way in ways},
        },
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(networks, papers[-1]),
    )


def _papers_networks(settings: Settings, setup: Setup, field: Field) -> tuple[Way, ...]:
    """Mode paper: the scale factor by each method, then Algorithm 1 with all modes."""
    second = "levenberg_marquardt" if settings.optimizer in ("", "adam", "lbfgs") else settings.optimizer
    # Ended by the number of steps alone, so that a stage's end does not depend on how it got there.
    scaled = {"first_layer": MSNN, "n_features": setup.n_features, "p": LEAST_SQUARES, "stall_tolerance": 0.0}
    n_modes = count_modes(field.grid)
    plans: dict[str, dict[str, Any]] = {
        "msnn, adam": scaled | {"optimizer": "adam", "steps": setup.adam_steps},
        "msnn, lbfgs": scaled | {"optimizer": "lbfgs", "steps": setup.lbfgs_steps},
        f"msnn, {second}": scaled | {"optimizer": second, "steps": setup.second_order_steps},
        # The modes are those of the target: they stay.
        f"si, {n_modes} modes, {second}": {
            "first_layer": "si",
            "n_features": n_modes,
            "train_wavenumbers": False,
            "optimizer": second,
            "steps": setup.second_order_steps,
        },
    }
    ways = []
    for name, options in plans.items():
        settings.say(f"logcos: {name}, up to {np.max(options['steps'])} steps a stage")
        common = {"mode": "paper", "stages": STAGES, "hidden": setup.hidden, "target": 0.0, "certify": False}
        ways.append(field.network(name, settings.fit(field.samples, field.grid, **common, **options)))
    return tuple(ways)


def _series(field: Field, networks: tuple[Way, ...]) -> tuple[Way, ...]:
    """The truncated Fourier series (eq. 10) of as many modes as each network has features."""
    all_modes = count_modes(field.grid)
    features = [sum(record.n_modes for record in way.model.history.stages) for way in networks if way.model]
    ways = []
    for n in sorted({min(count, all_modes) for count in features if count}):
        way = field.network(f"Fourier series, {n} modes", fit_series(field.samples, field.grid, n))
        # An amplitude and a phase for each mode, none of which trains.
        ways.append(replace(way, numbers=2 * n, model=None))
    return tuple(ways)


def _interpolants(field: Field) -> tuple[Way, ...]:
    n = field.samples.size
    splines = [
        field.interpolant(f"spline of degree {degree}", n, partial(_spline, field, degree)) for degree in DEGREES
    ]
    others = [
        field.interpolant(f"Chebyshev interpolant of {points} points of its own", points, partial(_chebyshev, points))
        for points in (n, FEW_CHEBYSHEV_POINTS)
    ]
    return (*splines, *others)


def _spline(field: Field, degree: int) -> Callable[[np.ndarray], np.ndarray]:
    from scipy.interpolate import make_interp_spline  # noqa: PLC0415 - no other command has a use for it

    (x,) = field.grid.axes()
    fitted: Callable[[np.ndarray], np.ndarray] = make_interp_spline(x, field.samples, k=degree)
    return fitted


def _chebyshev(points: int) -> Chebyshev:
    """By the cosine transform: `Chebyshev.interpolate`, by recurrence, loses three digits at 1501 points."""
    from scipy.fft import dct  # noqa: PLC0415 - as above

    assert TARGET is not None
    x = chebpts1(points)[::-1]
    values = TARGET(LOWER + 0.5 * (UPPER - LOWER) * (x[:, np.newaxis] + 1.0))
    coefficients = dct(values) / points
    coefficients[0] *= 0.5
    return Chebyshev(coefficients, domain=[LOWER, UPPER])


SAYS = (
    "the multistage neural network approach is able to reach machine precision O(1e-16) for the regression problem in"
)
SAYS += " one dimension"


def _claims(way: Way) -> Iterator[Claim]:
    """At the samples, and at the points at which the earlier code judges itself."""
    assert way.model is not None
    by = method_of(way.model.config)
    stages = f"{len(way.after)} stage{'s' if len(way.after) > 1 else ''}"
    for where, error in (("the samples", way.last.max_at_samples), ("8000 points of [-1, 1]", way.last.max_at_judged)):
        yield Claim(
            "sections 1.2 and 3.2",
            f"{SAYS} (at {where})",
            f"largest error {error:.1e} at {where} after {stages}, {way.name} (held: {HIGH_ACCURACY:g} or less)",
            error <= HIGH_ACCURACY,
            by,
        )


AT_SAMPLES = "error at the samples, against the float64 values that were given, relative to the RMS of the samples"
AT_JUDGED = "error at 8000 points of [-1, 1], both ends included, relative to the RMS of the samples"


def _cells(errors: Errors) -> tuple[float, float, float, float]:
    return errors.max_at_samples, errors.rms_at_samples, errors.max_at_judged, errors.rms_at_judged


def _seconds(seconds: float) -> Cell:
    """Two digits would print hundreds with a power of ten."""
    return round(seconds) if seconds >= 10.0 else seconds


ERROR_COLUMNS = {
    "max at samples": AT_SAMPLES,
    "RMS at samples": AT_SAMPLES,
    "max at 8000 points": AT_JUDGED,
    "RMS at 8000 points": AT_JUDGED,
}


def _stage_table(networks: tuple[Way, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for way in networks:
        assert way.model is not None
        for record, errors in zip(way.model.history.stages, way.after, strict=True):
            rows.append(
                (
                    way.name,
                    record.index,
                    record.first_layer,
                    record.n_modes,
                    record.n_parameters,
                    record.steps,
                    *_cells(errors),
                    _seconds(record.seconds),
                )
            )
    return Table(
        "After each stage",
        {
            "network": "first layer and method; msnn has a plain tanh network in its first stage (section 3.2)",
            "stage": "number of the stage",
            "first layer": "its kind",
            "n_f": "number of its features",
            "parameters": "numbers that the stage trains",
            "steps": "steps of training that it took",
            **ERROR_COLUMNS,
            "seconds": "wall-clock time of the stage",
        },
        tuple(rows),
        "msnn trains its wavenumbers and the mean square, as the earlier code does; si keeps its modes and trains L^10."
        " A stage that did not lower the residue is not kept and ends the fit.",
    )


def _way_table(ways: tuple[Way, ...]) -> Table:
    return Table(
        "All ways",
        {
            "way": "a network after its last stage, the truncated Fourier series of the samples (eq. 10), or an"
            " interpolant; all but the Chebyshev interpolants are given the samples alone",
            "numbers kept": "parameters of all stages; an amplitude and a phase for each mode; or samples",
            **ERROR_COLUMNS,
            "seconds": "wall-clock time; of interpolants, of the evaluation too",
        },
        tuple((way.name, way.numbers, *_cells(way.last), _seconds(way.seconds)) for way in ways),
        "Networks and series are evaluated in extended precision, interpolants in float64. There is a series of as many"
        " modes as each network has features.",
    )


def _numbers(way: Way) -> dict[str, Any]:
    stages = [] if way.model is None else [record.summary() for record in way.model.history.stages]
    after = [asdict(errors) for errors in way.after]
    return {"numbers_kept": way.numbers, "seconds": way.seconds, "after": after, "stages": stages}


def _draw(networks: tuple[Way, ...], algorithm_1: Way) -> "Figure":
    """Errors by stage, and what is left over x of the network that is best there and of Algorithm 1."""
    figure = new_figure(4.0 * PANEL_WIDTH, 4.4, "")
    errors, best, dense = figure.subplots(1, 3)
    for number, way in enumerate(networks):
        _draw_errors(errors, way, stage_colour(number))
    errors.set_yscale("log")
    errors.set_xticks(range(1, STAGES + 1))
    title = "largest error at the samples (full), at 8000 points (dashed)"
    label(errors, title=title, x="stage", y="max error / RMS$(u)$")
    # Lines cross all of the panel.
    draw_legend(errors, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    _draw_left(best, min(networks, key=lambda way: way.last.max_at_judged))
    _draw_left(dense, algorithm_1)
    return figure


def _draw_errors(axes: Any, way: Way, colour: str) -> None:
    stages = np.arange(1, len(way.after) + 1)
    at_samples, _, at_judged, _ = zip(*map(_cells, way.after), strict=True)
    draw_line(axes, stages, np.array(at_samples), color=colour, label=way.name)
    draw_line(axes, stages, np.array(at_judged), color=colour, linestyle="--")


def _draw_left(axes: Any, way: Way) -> None:
    axes.axhline(0.0, color=QUIET_COLOUR, linewidth=0.6)
    draw_line(axes, JUDGED[:, 0], way.left, color=stage_colour(0), linewidth=0.7)
    label(axes, title=f"left by {way.name}: max {tex_number(way.last.max_at_judged)}", x="$x$", y="error / RMS$(u)$")
