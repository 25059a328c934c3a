"""Figure 2 (section 4.2): the stream function of two-dimensional turbulence, fitted in four stages."""

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import NumpyBackend, rms
from simsnn_ref.experiments.base import HIGH_ACCURACY, PAPERS, Cell, Claim, Outcome, Settings, Table, method_of
from simsnn_ref.experiments.classical import fourier_interpolation, relative_errors, spline, timed
from simsnn_ref.experiments.series import series_table
from simsnn_ref.experiments.turbulence_fit import PROBLEM, STAGES, Setup, snapshot, staged_fit
from simsnn_ref.model import Model
from simsnn_ref.multistage import fit
from simsnn_ref.report import (
    FIELD_MAP,
    RESIDUE_MAP,
    SPECTRUM_MAP,
    draw_field,
    draw_image,
    label,
    new_figure,
    residues,
    tex_number,
)
from simsnn_ref.spectrum import Grid, fourier_modes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run"]

REACHED = ("section 4.2, Figure 2", "machine precision, O(1e-16), after four stages")
"""Where the paper claims what."""

SETUPS = {
    "quick": (Setup(32, 100.0, (20, 150), "gauss_newton", (10, 15), z1_rms=1.0),),
    "laptop": (Setup(512, 2000.0, (1359, 10000), "gauss_newton", (14, 100), z1_rms=1.0, output_gain=(1.0, 40.0)),),
    "hours": (
        Setup(128, 300.0, (85, 625), "adam", (150000, 150000)),
        Setup(128, 300.0, (None, None), "adam", (150000, 150000)),
    ),
    "paper": (Setup(512, 2000.0, (1359, 10000), "adam", (150000, 150000)),),
}
"""By size: fits of one snapshot; the first is drawn. On 128^2 samples n_f is in proportion to the paper's, then
the number of primary modes."""


def run(settings: Settings) -> Outcome:
    """Fit the snapshot; compare each stage with as many modes, and the field between the samples with interpolation."""
    started = time.perf_counter()
    setups = [setup.by(settings.optimizer) for setup in SETUPS[settings.size]]
    u = snapshot(setups[0].size, setups[0].reynolds, settings.say)
    fits: dict[str, Model] = {}
    for setup in setups:
        words = _name(setup)
        settings.say(f"fig2: {STAGES} stages, {words}, up to {max(setup.steps)} steps each")
        fits[words] = staged_fit(settings, setup, u)
    settings.say("fig2: the modes alone, and interpolation of every second sample")
    series = {name: _series(u, [r.n_modes for r in model.history.stages]) for name, model in fits.items()}
    others = _interpolations(u)
    first, *_ = fits.values()
    return Outcome(
        name="fig2",
        title="Figure 2: a snapshot of turbulence in four stages",
        settings=settings,
        tables=(
            *(_stage_table(name, model, series[name]) for name, model in fits.items()),
            series_table(u, PROBLEM.grid(u.shape[0]), fits, HALF_WAY),
            _numbers_table(u, fits),
            _interpolation_table(others),
        ),
        claims=(*(claim for model in fits.values() for claim in _claims(model)), *_not_run(fits)),
        numbers={
            "samples": list(u.shape),
            "reynolds": setups[0].reynolds,
            "fits": {name: [record.summary() for record in model.history.stages] for name, model in fits.items()},
            "series_of_the_modes": series,
            "interpolation": others,
        },
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(first, u),
    )


def _name(setup: Setup) -> str:
    """The fit in words."""
    widths = " then ".join(map(str, setup.n_features)) if all(setup.n_features) else "the primary modes"
    return f"{setup.optimizer}, n_f = {widths}"


def _claims(model: Model) -> tuple[Claim, Claim]:
    last = model.history.stages[-1]
    by = method_of(model.config)
    return (
        Claim(
            *REACHED,
            f"RMS error {last.rms_on_grid:.1e} at the samples after {last.index} stages, {model.config.optimizer}",
            last.rms_on_grid <= HIGH_ACCURACY,
            by,
        ),
        Claim(
            "section 5",
            "a target function fitted with arbitrarily high accuracy (the paper measures at the samples)",
            f"RMS error {last.rms_off_grid:.1e} between the samples",
            last.rms_off_grid is not None and last.rms_off_grid <= HIGH_ACCURACY,
            by,
        ),
    )


def _not_run(fits: dict[str, Model]) -> list[Claim]:
    """The paper's claim by its own method, where no fit here is by that."""
    if any(method_of(model.config).startswith(PAPERS) for model in fits.values()):
        return []
    return [Claim(*REACHED, "another number of steps, or another optimizer", None, PAPERS)]


def _tail(u: np.ndarray) -> np.ndarray:
    """RMS, relative to the field's, that the n largest modes leave out; entry n."""
    modes = fourier_modes(u, PROBLEM.grid(u.shape[0]), NumpyBackend())
    energy = modes.amplitudes**2 * np.where(np.any(modes.indices != 0, axis=1), 0.5, 1.0)
    rest = np.append(np.cumsum(energy[::-1])[::-1], 0.0)
    return np.asarray(np.sqrt(rest / rest[0]))


def _series(u: np.ndarray, n_modes: list[int]) -> list[float]:
    """RMS error of the Fourier series (eq. 10) of as many modes as all stages so far have features."""
    tail = _tail(u)
    return [float(tail[min(sum(n_modes[: s + 1]), len(tail) - 1)]) for s in range(len(n_modes))]


RELATIVE = "relative to the RMS of the field"
HALF_WAY = "between the samples, against trigonometric interpolation half way between them"
BETWEEN = f"error {HALF_WAY}, {RELATIVE}"


def _stage_table(name: str, model: Model, series: list[float]) -> Table:
    rows = [
        (
            record.index,
            record.n_modes,
            record.n_parameters,
            record.steps,
            record.rms_on_grid,
            record.max_on_grid,
            record.rms_off_grid,
            record.max_off_grid,
            modes_alone,
            record.nonlinear_share,
            record.seconds,
        )
        for record, modes_alone in zip(model.history.stages, series, strict=True)
    ]
    columns = {
        "stage": "number of the stage",
        "n_f": "number of its features",
        "parameters": "numbers that it trains",
        "steps": "steps of training that it took",
        "RMS on grid": f"error at the samples after the stage, {RELATIVE}",
        "max on grid": f"error at the samples after the stage, {RELATIVE}",
        "RMS off grid": BETWEEN,
        "max off grid": BETWEEN,
        "RMS of the series": "error of the field's truncated Fourier series with as many modes as all stages so far"
        f" have features, {RELATIVE}",
        "nonlinear": "nonlinear fraction of the stage: RMS of the part that is not linear in its features over the RMS"
        " of all of it; 0 for a sum of cosines",
        "seconds": "wall-clock time of the stage",
    }
    return Table(f"After each stage: {name}", columns, tuple(rows))


def _numbers_table(u: np.ndarray, fits: dict[str, Model]) -> Table:
    """Error against how many numbers are kept."""
    tail = _tail(u)
    rows: list[tuple[Cell, ...]] = []
    counts = np.unique(np.geomspace(10, len(tail) - 1, 8).astype(int))
    rows += [("Fourier series", 2 * int(n), float(tail[n]), float(tail[n])) for n in counts]
    for name, model in fits.items():
        total = 0
        for record in model.history.stages:
            total += record.n_parameters
            words = f"{name}, {record.index} stage{'' if record.index == 1 else 's'}"
            rows.append((words, total, record.rms_on_grid, record.rms_off_grid))
    return Table(
        "Error against numbers kept",
        {
            "method": "the truncated Fourier series of the field, or the network",
            "numbers kept": "amplitudes and phases, or parameters of all stages so far",
            "RMS on grid": f"error at the samples, {RELATIVE}",
            "RMS off grid": BETWEEN,
        },
        tuple(rows),
        "For a field that is periodic and resolved, the series wins at every size: amplitude and phase of a mode are"
        " two numbers, and the error is the same everywhere.",
    )


def _interpolations(u: np.ndarray) -> dict[str, dict[str, float]]:
    """Errors at the samples between every second one, relative to the field, of methods that are given those alone."""
    coarse, grid = u[::2, ::2], PROBLEM.grid(u.shape[0] // 2)
    corners = [(0, 1), (1, 0), (1, 1)]
    exact = np.stack([u[i::2, j::2] for i, j in corners])
    spacing = np.asarray(grid.box.lengths) / np.asarray(grid.intervals)
    moved = [grid.points() + np.asarray(corner) / 2 * spacing for corner in corners]

    def by_spline(degree: int) -> np.ndarray:
        return np.stack([spline(coarse, grid, points, degree).reshape(grid.shape) for points in moved])

    def by_modes() -> np.ndarray:
        return np.stack([fourier_interpolation(coarse, grid, (Fraction(i, 2), Fraction(j, 2))) for i, j in corners])

    def by_network() -> np.ndarray:
        values = np.asarray(fit(coarse, grid, certify=False)(Grid(u.shape, grid.lower, grid.upper)))
        return np.stack([values[i::2, j::2] for i, j in corners])

    methods = {
        "FFT interpolation": by_modes,
        "cubic spline": lambda: by_spline(3),
        "quintic spline": lambda: by_spline(5),
        "network, mode accurate": by_network,
    }
    unit, results = float(np.sqrt(np.mean(u**2))), {}
    for name, method in methods.items():
        values, seconds = timed(method)
        results[name] = relative_errors(values, exact, unit) | {"seconds": seconds}
    return results


def _interpolation_table(others: dict[str, dict[str, float]]) -> Table:
    error = f"error at the samples that the method was not given, {RELATIVE}"
    return Table(
        "Between the samples, beside interpolation",
        {
            "method": "is given every second sample along each axis; all evaluate in float64",
            "RMS": error,
            "max": error,
            "seconds": "wall-clock time of fit and evaluation",
        },
        tuple((name, found["rms"], found["max"], found["seconds"]) for name, found in others.items()),
        "The error of FFT interpolation is the field's content beyond the coarse grid. It is the method to use for"
        " periodic samples; mode accurate gives the same field as a network, with derivatives at any point.",
    )


def _draw(model: Model, u: np.ndarray) -> "Figure":
    """As the paper's Figure 2: target and residues, below them the fit and the residues' modes."""
    grid, scale = PROBLEM.grid(u.shape[0]), float(np.sqrt(np.mean(u**2)))
    left = [np.asarray(residue, dtype=np.float64) / scale for residue in residues(model, u)]
    figure = new_figure(3.3 * (1 + len(left)), 6.4, "")
    axes = figure.subplots(2, 1 + len(left), squeeze=False)
    draw_field(axes[0, 0], u / scale, grid, FIELD_MAP, r"(a) target $\psi$")
    draw_field(axes[1, 0], u / scale - left[-1], grid, FIELD_MAP, "(g) fit, all stages")
    for number, residue in enumerate(left, start=1):
        title = f"({'bcde'[number - 1]}) residue {number}: RMS {tex_number(rms(np, residue))}"
        draw_field(axes[0, number], residue, grid, RESIDUE_MAP, title)
        _draw_modes(axes[1, number], residue, f"({'hijk'[number - 1]}) " + r"$\log_{10}|\tilde e|$")
    return figure


def _draw_modes(axes: Any, field: np.ndarray, title: str) -> None:
    """log10 of the modes' magnitude, zero in the middle."""
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2(field))) / field.size
    shown = np.log10(np.maximum(magnitude, 1e-20 * np.max(magnitude) + np.finfo(float).tiny))
    n = field.shape[0] / 2
    top = float(np.max(shown))
    draw_image(axes, shown, (-n, n, -n, n), (max(top - 18.0, float(np.min(shown))), top), SPECTRUM_MAP)
    label(axes, title=title, x="$k_x$", y="$k_y$")
