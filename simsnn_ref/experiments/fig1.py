"""Figure 1 (section 4.1): the scale factor against Algorithm 1 on u_g = [sin(2x + 1) - 0.5 x] (1 - y^2).

Both fit the same samples in three stages with networks of the same widths, the same number of iterations and the same
seeds: by the paper's method, Adam, with B trained and with B frozen, and by a second-order method in few steps. The
paper names neither the grid nor the widths of this experiment; `SETUPS` does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import largest
from simsnn_ref.experiments.base import Cell, Claim, Outcome, Settings, Table, method_of, spread
from simsnn_ref.experiments.classical import chebyshev, relative_errors, spline, timed
from simsnn_ref.experiments.series import series_table
from simsnn_ref.model import Model
from simsnn_ref.multistage import fit
from simsnn_ref.problems import get_problem
from simsnn_ref.report import (
    FIELD_MAP,
    RESIDUE_MAP,
    TARGET_COLOUR,
    draw_field,
    draw_legend,
    draw_line,
    label,
    new_figure,
    residues,
    stage_colour,
    tex_number,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Setup", "run"]

FIRST_LAYERS = {
    "si": ("si",),
    "msnn": ("none", "msnn", "msnn"),
    "rff": ("rff",),
    "ffm": ("ffm",),
    "cos": ("cos",),
    "none": ("none",),
    "fourier": ("fourier",),
}
"""First layers of the stages, by name: the first stage of the scale factor is a plain network (section 3.2)."""

COMPARED = ("si", "msnn")
"""The two first layers of the paper's Figure 1."""

BY_ADAM = {f"{name}{' (B frozen)' * frozen}": (name, not frozen) for name in COMPARED for frozen in (False, True)}
"""First layer, and whether its B trains, by the name of the fits with Adam."""

STAGES = 3

SI_RESIDUE = 1e-13
"""Largest error after the third stage that the paper shows for Algorithm 1."""

APART = 100.0
"""Ratio of the largest errors from which the scale factor is behind by orders of magnitude; the paper shows 1e5, on a
grid and after a number of steps that it does not give."""

CHEBYSHEV = "Chebyshev interpolation (its own points)"

PROBLEM = get_problem("ug")


@dataclass(frozen=True)
class Setup:
    """Sizes of the experiment.

    Attributes
    ----------
    size : int
        Samples per axis, both ends included.
    n_features : int
        Width n_f of the first layer.
    steps : int
        Steps of each stage.
    seeds : int
        Number of starts.
    others : tuple of int
        Other numbers of steps, for the two first layers that the paper compares.
    adam_steps, adam_seeds : int
        Steps and starts of the same experiment with the paper's own optimiser.
    """

    size: int
    n_features: int
    steps: int
    seeds: int
    others: tuple[int, ...]
    adam_steps: int
    adam_seeds: int


SETUPS = {
    "quick": Setup(size=24, n_features=30, steps=14, seeds=2, others=(8,), adam_steps=100, adam_seeds=1),
    "laptop": Setup(size=32, n_features=50, steps=14, seeds=5, others=(8, 20, 30), adam_steps=15000, adam_seeds=1),
    "hours": Setup(size=32, n_features=50, steps=14, seeds=5, others=(8, 20, 30), adam_steps=150000, adam_seeds=3),
    "paper": Setup(size=64, n_features=100, steps=30, seeds=5, others=(15, 60), adam_steps=150000, adam_seeds=5),
}


def run(settings: Settings) -> Outcome:
    """Fit u_g with the two first layers of Figure 1, with every other of section 2.2, and by interpolation."""
    started = time.perf_counter()
    setup = SETUPS[settings.size]
    second = "levenberg_marquardt" if settings.optimizer in ("", "adam") else settings.optimizer
    adam = _by_adam(settings, setup)
    by_steps = {steps: _by_second_order(settings, setup, second, steps) for steps in (setup.steps, *setup.others)}
    fits = by_steps[setup.steps]
    settings.say("fig1: interpolation")
    others = _interpolations(setup.size)
    shown = {f"{name}, Adam": models[0] for name, models in adam.items()}
    shown |= {f"{name}, {second}": fits[name][0] for name in COMPARED}
    return Outcome(
        name="fig1",
        title="Figure 1: the scale factor and Algorithm 1 on u_g",
        settings=settings,
        tables=(
            _stage_table(f"Three stages, {setup.adam_steps} steps each, Adam", adam),
            _curve_table(adam),
            _stage_table(f"Three stages, {setup.steps} steps each, {second}", fits),
            _steps_table(by_steps, second),
            series_table(PROBLEM.target, PROBLEM.grid(setup.size), shown, "at 1000 random points"),
            _interpolation_table(others, fits),
        ),
        claims=(
            *_claims(adam["si"], adam["msnn"], "steps a stage with Adam"),
            *_claims(adam["si (B frozen)"], adam["msnn (B frozen)"], "steps a stage with Adam, B frozen"),
            *_claims(fits["si"], fits["msnn"], f"steps a stage with {second}"),
        ),
        numbers={
            "samples": [setup.size, setup.size],
            "n_features": setup.n_features,
            "adam": _numbers(adam),
            second: _numbers(fits),
            "by_steps": {str(steps): _numbers(compared) for steps, compared in by_steps.items()},
            "interpolation": others,
        },
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(adam, fits, second),
    )


def _by_adam(settings: Settings, setup: Setup) -> dict[str, list[Model]]:
    """All seeds of every fit of `BY_ADAM`, by name; seed by seed, so that what is stopped has something to compare."""
    fits: dict[str, list[Model]] = {name: [] for name in BY_ADAM}
    for seed in range(1, setup.adam_seeds + 1):
        for name, (first_layer, trains) in BY_ADAM.items():
            settings.say(f"fig1: {name}, seed {seed} of {setup.adam_seeds}, {setup.adam_steps} steps a stage, adam")
            options = {"steps": setup.adam_steps, "train_wavenumbers": trains}
            fits[name].append(_fit(settings, setup, first_layer, seed, **options))
    return fits


def _by_second_order(settings: Settings, setup: Setup, optimizer: str, steps: int) -> dict[str, list[Model]]:
    """All seeds with every first layer, or with other than the usual number of steps with those of Figure 1."""
    fits = {}
    for name in FIRST_LAYERS if steps == setup.steps else COMPARED:
        settings.say(f"fig1: first layer {name}, {setup.seeds} seeds, {steps} steps a stage, {optimizer}")
        # The same number of iterations for all: none ends early for lack of progress.
        options = {"steps": steps, "optimizer": optimizer, "stall_tolerance": 0.0}
        # The random B of msnn and cos trains, as that of section 4.1 does; the modes of the target stay.
        options["train_wavenumbers"] = name in ("msnn", "cos")
        fits[name] = [_fit(settings, setup, name, seed, **options) for seed in range(1, setup.seeds + 1)]
    return fits


def _fit(settings: Settings, setup: Setup, name: str, seed: int, **options: Any) -> Model:
    return settings.fit(
        PROBLEM.target,
        PROBLEM.grid(setup.size),
        mode="paper",
        first_layer=FIRST_LAYERS[name],
        n_features=setup.n_features,
        stages=STAGES,
        seed=seed,
        target=0.0,
        certify=False,
        **options,
    )


def _after(models: list[Model], stage: int, error: str) -> list[float]:
    """An error of every seed's model after `stage` (1-based), or after its last one if it has fewer."""
    records = [model.history.stages for model in models]
    return [float(getattr(stages[min(stage, len(stages)) - 1], error)) for stages in records if stages]


ERROR = "relative to the RMS of u_g; median over the seeds, in brackets the range"


def _stage_table(title: str, fits: dict[str, list[Model]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, models in fits.items():
        cells = [_spread(_after(models, stage, "max_on_grid")) for stage in range(1, STAGES + 1)]
        last = [_spread(_after(models, STAGES, error)) for error in ("rms_on_grid", "rms_off_grid", "max_off_grid")]
        rows.append((name, _parameters(models[0]), *cells, *last))
    after_each = f"largest error at the samples after each stage, {ERROR}"
    between = f"error at 1000 random points after the last stage, {ERROR}"
    columns = {
        "first layer": "its kind in all stages; with msnn the first stage has none (section 3.2). fourier is the"
        " truncated series (eq. 10) of as many modes a stage, in which nothing trains",
        "parameters": "numbers that train, in all stages together",
        **{f"max on grid (stage {stage})": after_each for stage in range(1, STAGES + 1)},
        "RMS on grid": f"error at the samples after the last stage, {ERROR}",
        "RMS off grid": between,
        "max off grid": between,
    }
    note = "A stage that did not lower the residue is not kept and ends the fit; a residue at rounding stays there."
    return Table(title, columns, tuple(rows), note)


def _steps_table(by_steps: dict[int, dict[str, list[Model]]], optimizer: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for steps, fits in sorted(by_steps.items()):
        rows.append((steps, *(_spread(_after(fits[name], STAGES, "max_on_grid")) for name in COMPARED)))
    largest = f"largest error at the samples after the third stage with this first layer, {ERROR}"
    return Table(
        f"Third-stage residue by the number of steps, {optimizer}",
        {"steps": "steps of each stage", **{f"max on grid ({name})": largest for name in COMPARED}},
        tuple(rows),
    )


def _parameters(model: Model) -> int:
    return sum(record.n_parameters for record in model.history.stages)


def _spread(values: list[float]) -> str:
    return spread(values, ".1e", ".0e") if values else "no stage kept"


def _claims(si_fits: list[Model], msnn_fits: list[Model], how: str) -> list[Claim]:
    si, msnn = (median(_after(models, STAGES, "max_on_grid") or [1.0]) for models in (si_fits, msnn_fits))
    config = si_fits[0].config
    by = method_of(config)
    return [
        Claim(
            "section 4.1, Figure 1c",
            "third-stage residue of O(1e-13) with Algorithm 1",
            f"largest error {si:.1e} at the samples, {min(config.steps)} {how}",
            si <= SI_RESIDUE,
            by,
        ),
        Claim(
            "section 4.1, Figure 1b",
            "third-stage residue of O(1e-8) with the scale factor, five orders of magnitude more",
            f"largest error {msnn:.1e} at the samples, {msnn / si:.0e} times that of Algorithm 1 (held:"
            f" {APART:g} times or more)",
            msnn >= APART * si,
            by,
        ),
    ]


CURVE_STEPS = (100, 1000, 3000, 10000, 30000, 100000, 150000)


def _curve_table(adam: dict[str, list[Model]]) -> Table:
    """RMS within a stage by the number of its steps, of the first seed."""
    rows: list[tuple[Cell, ...]] = []
    longest = max(record.steps for models in adam.values() for record in models[0].history.stages)
    for steps in [n for n in CURVE_STEPS if n <= longest]:
        cells: list[Cell] = [steps]
        for models in adam.values():
            history = models[0].history
            # After so many steps, as before the next one; after the last one as the stage was kept.
            after = [[*(r.rms_history * r.eps / history.rms), r.rms_on_grid] for r in history.stages]
            cells.append(", ".join(f"{rms[min(steps, len(rms) - 1)]:.1e}" for rms in after))
        rows.append(tuple(cells))
    meaning = "RMS at the samples after so many steps of the first, second and third stage, relative to the RMS of u_g"
    return Table(
        "Error against steps, Adam, first seed",
        {"steps": "steps of a stage", **dict.fromkeys(adam, meaning)},
        tuple(rows),
        "A stage keeps the best parameters that it met, so that its end may lie below the last value of its curve.",
    )


def _interpolations(size: int) -> dict[str, dict[str, float]]:
    """RMS and max at random points, relative to the field, of methods that need no training in steps."""
    grid, target = PROBLEM.grid(size), PROBLEM.target
    assert target is not None
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, 2))
    exact, u = target(points), PROBLEM.samples(size)
    unit = float(np.sqrt(np.mean(u**2)))
    methods: dict[str, Callable[[], np.ndarray]] = {
        "cubic spline": lambda: spline(u, grid, points, 3),
        "quintic spline": lambda: spline(u, grid, points, 5),
        CHEBYSHEV: lambda: chebyshev(target, size, points),
    }
    results = {}
    for name, method in methods.items():
        values, seconds = timed(method)
        results[name] = relative_errors(values, exact, unit) | {"numbers": size**2, "seconds": seconds}
    model, fitting = timed(lambda: fit(u, grid, certify=False))
    values, evaluating = timed(lambda: model(points))
    results["network, mode accurate, the samples"] = relative_errors(values, exact, unit) | {
        "numbers": _parameters(model),
        "seconds": fitting + evaluating,
    }
    return results


def _interpolation_table(others: dict[str, dict[str, float]], fits: dict[str, list[Model]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, int(found["numbers"]), found["rms"], found["max"], found["seconds"]) for name, found in others.items()
    ]
    for name in COMPARED:
        models = fits[name]
        errors = [median(_after(models, STAGES, error)) for error in ("rms_off_grid", "max_off_grid")]
        rows.append((f"network, mode paper, {name}", _parameters(models[0]), *errors, models[0].history.seconds))
    best = min((name for name in others if name != CHEBYSHEV), key=lambda name: others[name]["rms"])
    error = "error at 1000 random points, evaluated in float64, relative to the RMS of u_g"
    return Table(
        "Between the samples, beside interpolation",
        {
            "method": "splines and networks are given the same samples, Chebyshev interpolation as many of its own",
            "numbers kept": "samples, or parameters of all stages of a network",
            "RMS": error,
            "max": error,
            "seconds": "wall-clock time of fit and evaluation; of networks in mode paper, of the fit of one seed",
        },
        tuple(rows),
        f"With the samples alone the most accurate method is the {best}. Where a function may be sampled at will,"
        " interpolation at Chebyshev points is as accurate as float64 allows, takes milliseconds and is the method to"
        " use; a network is wanted where derivatives, unknown coefficients or further terms of a loss are to be trained"
        " together with the field, or where a compact differentiable surrogate on scattered data is needed.",
    )


def _numbers(fits: dict[str, list[Model]]) -> dict[str, Any]:
    return {
        name: [[record.summary() for record in model.history.stages] for model in models]
        for name, models in fits.items()
    }


def _draw(adam: dict[str, list[Model]], fits: dict[str, list[Model]], second: str) -> "Figure":
    """The target, and what each stage leaves, as in the paper's Figure 1; below them errors by stage and by step."""
    figure = new_figure(15.6, 11.4, "")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.0, 1.0))
    upper, lower = parts
    sides: Any = upper.subfigures(1, 2, width_ratios=(1.0, 3.0))
    left, right = sides
    blocks: Any = right.subfigures(2, 1)
    _draw_target(left.subplots(), adam["si"][0])
    for part, name, letter in zip(blocks, ("msnn", "si"), "bc", strict=True):
        part.suptitle(f"({letter}) {name}, Adam: errors after each stage", fontsize=11)
        _draw_residues(part.subplots(1, STAGES), adam[name][0])
    axes = lower.subplots(1, 3)
    _draw_curves(axes[0], adam)
    _draw_errors(axes[1], adam, "Adam")
    _draw_errors(axes[2], fits, second)
    return figure


def _draw_target(axes: Any, model: Model) -> None:
    u = PROBLEM.samples(model.grid.shape[0])
    draw_field(axes, u, PROBLEM.grid(u.shape[0]), FIELD_MAP, "(a) target $u_g$")


def _draw_residues(axes: Any, model: Model) -> None:
    """What each stage of one model leaves."""
    u = PROBLEM.samples(model.grid.shape[0])
    scale = float(np.sqrt(np.mean(u**2)))
    left = [np.asarray(residue, dtype=np.float64) / scale for residue in residues(model, u)]
    for index, axis in enumerate(axes):
        if index >= len(left):
            axis.set_axis_off()
            continue
        title = f"stage {index + 1}: max {tex_number(largest(np, left[index]))}"
        draw_field(axis, left[index], PROBLEM.grid(u.shape[0]), RESIDUE_MAP, title)


def _draw_curves(axes: Any, adam: dict[str, list[Model]]) -> None:
    """RMS before each step, over all stages, of the first seed."""
    for number, (name, models) in enumerate(adam.items()):
        history = models[0].history
        rms = np.concatenate([r.rms_history * r.eps / history.rms for r in history.stages])
        draw_line(axes, np.arange(rms.size), rms, color=stage_colour(number), label=name)
    axes.set_yscale("log")
    label(axes, title="Adam: error at the samples in training", x="step", y="RMS error / RMS$(u)$")
    draw_legend(axes)


def _draw_errors(axes: Any, fits: dict[str, list[Model]], method: str) -> None:
    """Median error after each stage; at the samples full lines, between them dashed ones."""
    stages = range(1, STAGES + 1)
    for number, (name, models) in enumerate(fits.items()):
        colour = TARGET_COLOUR if name == "fourier" else stage_colour(number)
        for error, style in (("max_on_grid", "-"), ("max_off_grid", "--")):
            medians = [median(_after(models, stage, error) or [np.nan]) for stage in stages]
            shown = name if style == "-" else None
            axes.semilogy(stages, medians, style, marker="o", markersize=3, color=colour, label=shown)
    axes.set_xticks(list(stages))
    title = f"{method}: max error, samples (full) and between (dashed)"
    label(axes, title=title, x="stage", y="max error / RMS$(u)$")
    draw_legend(axes, ncols=2, loc="best")
