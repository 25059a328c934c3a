"""Section 3.3: what the exponent p of the loss makes of a stage's residue, and what the next stage makes of that.

The paper trains on the L^p norm of eq. 7 with p = 10, "which prevents large spikes in the residue so the next stage of
the multistage neural network can learn the residue more readily", and shows neither. Here a first stage is trained with
several p, everything else being equal, and its residue e is described by

    RMS(e),   max|e|,   max|e| / RMS(e),   the excess kurtosis <(e - <e>)^4> / <(e - <e>)^2>^2 - 3,   n(|e| > 5 RMS(e)).

A second stage then learns e with an exponent q of its own. q = p is the paper's method. All four pairs of 2 and 10 tell
the two parts that p has in it apart: which residue is easier to learn (same q), and which loss learns better (same p).
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.experiments.base import Claim, Outcome, Settings, Table
from simsnn_ref.model import FitConfig, Model
from simsnn_ref.multistage import choose_off_grid, training_set
from simsnn_ref.network import extend
from simsnn_ref.optimizers import LpLoss
from simsnn_ref.problems import get_problem
from simsnn_ref.report.drawing import (
    LINE_HEIGHT,
    PANEL_WIDTH,
    QUIET_COLOUR,
    RESIDUE_MAP,
    SMALL,
    draw_image,
    draw_legend,
    draw_line,
    label,
    new_figure,
    stage_colour,
    tex_number,
)
from simsnn_ref.spectrum import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PLANS", "Errors", "Field", "Trial", "describe", "gaussian_maximum", "run"]

TITLE = "The exponent of the L^p loss (section 3.3)"
SOURCE = "section 3.3, eq. 7"

EXPONENTS = (2.0, 4.0, 10.0, 20.0)
LEAST_SQUARES, PAPER = 2.0, 10.0

SPIKE = 5.0
"""A point where |e| is above this many RMS is counted as a spike."""

CLEARLY = 1.1
"""Ratio of two medians from which they are told apart."""

FEWEST_SEEDS = 3
"""With fewer, the gains of two single runs would be compared, and they scatter."""


@dataclass(frozen=True)
class Field:
    """What is fitted, and how.

    Attributes
    ----------
    problem : str
        Of `simsnn_ref.problems`.
    size : int
        Points per axis.
    widths : tuple of two ints
        n_f of the first and of the second stage, the same for every p.
    steps : int
        Of Adam, in each stage; other methods take the default of `FitConfig`.
    seeds : int
        Number of starts.
    options : dict
        Of the problem's simulation.
    """

    problem: str
    size: int
    widths: tuple[int, int]
    steps: int
    seeds: int
    options: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The problem and its size."""
        return f"{self.problem} {self.size} x {self.size}"


PLANS = {
    "quick": (Field("turbulence", 64, (21, 156), 50, 1, {"reynolds": 300.0}),),
    "laptop": (
        Field("turbulence", 128, (85, 625), 350, 3, {"reynolds": 300.0}),
        Field("ug", 32, (8, 39), 700, 3),
        Field("turbulence", 64, (851, 2048), 500, 3, {"reynolds": 300.0}),
    ),
    "paper": (Field("turbulence", 512, (1359, 10000), 150_000, 1, {"reynolds": 2000.0}),),
}
"""By size. Smaller grids have the paper's 1359 and 10000 features in proportion to their points (ug starts with 8).

The last of the laptop's is far wider: first the modes above 2e-4 of the largest, as `FitConfig` counts them, then all
that there are. Its stages have 7 and 16 parameters for each point.
"""


@dataclass(frozen=True)
class Errors:
    """A residue in numbers, relative to the RMS of the field.

    Attributes
    ----------
    rms, max : float
        At the samples.
    spike_factor : float
        max / rms; about `gaussian_maximum` for noise.
    kurtosis : float
        Excess over that of a Gaussian.
    beyond : int
        Points above `SPIKE` times the RMS.
    norm : float
        Eq. 7 as it is printed, a sum and not a mean, with the p of the stage, over the RMS of the residue.
    rms_off_grid, max_off_grid : float
        Between the samples.
    """

    rms: float
    max: float
    spike_factor: float
    kurtosis: float
    beyond: int
    norm: float
    rms_off_grid: float
    max_off_grid: float


@dataclass(frozen=True)
class Trial:
    """A first stage trained with p, and a second one with q on what it left."""

    field: str
    seed: int
    p: float
    q: float
    first: Errors
    second: Errors

    @property
    def gain(self) -> float:
        """Factor by which the second stage lowered the RMS."""
        return self.first.rms / self.second.rms

    @property
    def gain_of_max(self) -> float:
        """Factor by which the second stage lowered the largest error."""
        return self.first.max / self.second.max


def describe(residue: np.ndarray, off_grid: tuple[float, float], unit: float, p: float) -> Errors:
    """The numbers of a residue that is not constant.

    Parameters
    ----------
    residue : ndarray
    off_grid : tuple of two floats
        RMS and largest error between the samples, in the units of the residue.
    unit : float
        RMS of the field.
    p : float
        Exponent of `Errors.norm`.
    """
    size = rms(np, residue)
    # Of r, of RMS 1, the fourth powers are in range whatever the residue's units.
    r = residue / size
    centred = r - np.mean(r)
    largest = float(np.max(np.abs(r)))
    return Errors(
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
    """sqrt(2 ln n): about the largest of n Gaussian numbers of RMS 1, by which a spike stands out or does not."""
    return math.sqrt(2.0 * math.log(n))


class _Bench:
    """One field, on which stages are trained one at a time and what they leave is measured."""

    def __init__(self, settings: Settings, plan: Field, optimizer: str) -> None:
        problem = get_problem(plan.problem)
        self.settings, self.plan, self.optimizer = settings, plan, optimizer
        self.grid: Grid = problem.grid(plan.size)
        self.samples = problem.samples(plan.size, **plan.options)
        self.target = problem.target
        self.unit = rms(np, self.samples)

    def train(self, values: np.ndarray, stage: int, p: float, seed: int) -> Model:
        """Stage 0 or 1 of the staged algorithm; the two start from random numbers of their own, whatever p is."""
        steps = (self.plan.steps,) if self.optimizer == "adam" else ()
        return self.settings.fit(
            values, self.grid, mode="paper", stages=1, n_features=self.plan.widths[stage], p=p, steps=steps,
            optimizer=self.optimizer, target=0.0, off_grid="none", certify=False, seed=2 * seed + stage,
        )  # fmt: skip

    def between(self, models: list[Model]) -> tuple[float, float]:
        """RMS and largest error of the sum of `models` between the samples, in the field's units."""
        config = FitConfig(mode="paper").resolved()
        judge = choose_off_grid(config, training_set(self.samples, self.grid, self.target, config), self.target, None)
        for model in models:
            for stage in model.stages:
                judge.subtract(stage.eps, *extend(stage.network, stage.params, model.backend))
        errors = judge.errors()
        assert errors is not None
        return errors

    def trials(self, p: float, seed: int) -> tuple[np.ndarray, list[Trial]]:
        """The residue of a first stage, and a trial for each exponent of the second one."""
        first = self.train(self.samples, 0, p, seed)
        residue = self.samples - first(self.grid)
        before = describe(residue, self.between([first]), self.unit, p)
        trials = []
        for q in _second_exponents(p):
            second = self.train(residue, 1, q, seed)
            after = describe(residue - second(self.grid), self.between([first, second]), self.unit, q)
            trials.append(Trial(self.plan.name, seed, p, q, before, after))
        return residue, trials


def _second_exponents(p: float) -> tuple[float, ...]:
    return (LEAST_SQUARES, PAPER) if p in (LEAST_SQUARES, PAPER) else (p,)


@dataclass(frozen=True)
class _Study:
    """Every trial, and for the figure the residues of the first start on the first field, over its RMS."""

    plans: tuple[Field, ...]
    trials: tuple[Trial, ...]
    grid: Grid
    residues: dict[float, np.ndarray]

    def of(self, plan: Field, p: float, q: float) -> list[Trial]:
        """One trial for each seed."""
        return [t for t in self.trials if (t.field, t.p, t.q) == (plan.name, p, q)]

    def middle(self, plan: Field, p: float, q: float, value: Callable[[Trial], float]) -> float:
        """Median over the seeds."""
        return float(median(map(value, self.of(plan, p, q))))


def run(settings: Settings) -> Outcome:
    """Train with each p, describe the residues, and let a second stage learn them.

    Parameters
    ----------
    settings : Settings
        Adam is the default: with it, the loss is L^p and nothing else at every step.
    """
    started = time.perf_counter()
    study = _study(PLANS[settings.size], settings)
    return Outcome(
        name="lp",
        title=TITLE,
        settings=settings,
        tables=(_table_of_residues(study), _table_of_pairs(study)),
        claims=(
            _claim_spikes(study),
            _claim_penalty(study),
            _claim_magnitude(study),
            _claim_residue(study, "RMS", lambda t: t.gain, lambda t: t.second.rms),
            _claim_residue(study, "largest error", lambda t: t.gain_of_max, lambda t: t.second.max),
            _claim_method(study, "RMS", lambda t: t.second.rms),
            _claim_method(study, "largest error", lambda t: t.second.max),
        ),
        numbers=_numbers(study),
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(study),
    )


def _study(plans: tuple[Field, ...], settings: Settings) -> _Study:
    trials: list[Trial] = []
    grids: list[Grid] = []
    residues: dict[float, np.ndarray] = {}
    for plan in plans:
        bench = _Bench(settings, plan, settings.optimizer or "adam")
        grids.append(bench.grid)
        for seed in range(plan.seeds):
            for p in EXPONENTS:
                settings.say(f"{plan.name}, start {seed + 1} of {plan.seeds}: p = {p:g}")
                residue, found = bench.trials(p, seed)
                trials += found
                if len(grids) == 1 and seed == 0:
                    residues[p] = residue / bench.unit
    return _Study(plans, tuple(trials), grids[0], residues)


def _numbers(study: _Study) -> dict[str, Any]:
    return {
        "fields": [{"name": plan.name, **asdict(plan), "widths": list(plan.widths)} for plan in study.plans],
        "trials": [{**asdict(trial), "gain_rms": trial.gain, "gain_max": trial.gain_of_max} for trial in study.trials],
    }


COLUMNS: tuple[tuple[str, Callable[[Trial], float]], ...] = (
    ("RMS", lambda t: t.first.rms),
    ("max", lambda t: t.first.max),
    ("max/RMS", lambda t: t.first.spike_factor),
    ("kurtosis", lambda t: t.first.kurtosis),
    (f"points > {SPIKE:g} RMS", lambda t: t.first.beyond),
    ("RMS off grid", lambda t: t.first.rms_off_grid),
    ("RMS, stage 2", lambda t: t.second.rms),
    ("max, stage 2", lambda t: t.second.max),
    ("max/RMS, stage 2", lambda t: t.second.spike_factor),
    ("RMS off grid, stage 2", lambda t: t.second.rms_off_grid),
)


def _table_of_residues(study: _Study) -> Table:
    """The paper's method, q = p."""
    rows: list[tuple[str | float, ...]] = [
        (plan.name, f"{p:g}", *(study.middle(plan, p, p, value) for _, value in COLUMNS))
        for plan in study.plans
        for p in EXPONENTS
    ]
    note = (
        "Errors relative to the RMS of the field, medians over the starts; both stages with the same p."
        f" Gaussian noise has a max/RMS of about {_of_noise(study)} and an excess kurtosis of 0."
        f" Features of the two stages, and steps of each with Adam: {_sizes(study)}."
    )
    names = tuple(name for name, _ in COLUMNS)
    return Table(
        "Residues of a first stage and of a second one, by exponent", ("field", "p", *names), tuple(rows), note
    )


def _of_noise(study: _Study) -> str:
    return ", ".join(f"{gaussian_maximum(plan.size**2):.1f} ({plan.name})" for plan in study.plans)


def _sizes(study: _Study) -> str:
    return "; ".join(f"{plan.widths[0]} and {plan.widths[1]}, {plan.steps} steps ({plan.name})" for plan in study.plans)


PAIRS = tuple((p, q) for q in (LEAST_SQUARES, PAPER) for p in (LEAST_SQUARES, PAPER))


def _table_of_pairs(study: _Study) -> Table:
    rows = []
    for plan in study.plans:
        for p, q in PAIRS:
            trials = study.of(plan, p, q)
            gains = _spread([t.gain for t in trials]), _spread([t.gain_of_max for t in trials])
            after = study.middle(plan, p, q, lambda t: t.second.rms), study.middle(plan, p, q, lambda t: t.second.max)
            rows.append((plan.name, f"{p:g}", f"{q:g}", *gains, *after))
    return Table(
        "What a second stage makes of the residue",
        ("field", "p of stage 1", "q of stage 2", "RMS lowered by", "max lowered by", "RMS left", "max left"),
        tuple(rows),
        "Factors: median and range over the starts. The rows of the same q compare the residues, those of the same p"
        " the losses of the second stage.",
    )


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _claim_spikes(study: _Study) -> Claim:
    """Held where every residue of p = 10 has fewer extremes than p = 2 leaves, and than noise has."""
    held, found = True, []
    for plan in study.plans:
        low = [t.first.spike_factor for t in study.of(plan, LEAST_SQUARES, LEAST_SQUARES)]
        high = [t.first.spike_factor for t in study.of(plan, PAPER, PAPER)]
        held = held and max(high) < min(*low, gaussian_maximum(plan.size**2))
        beyond = [study.middle(plan, p, p, lambda t: t.first.beyond) for p in (LEAST_SQUARES, PAPER)]
        found.append(
            f"{_spread(low)} and {_spread(high)}, with {beyond[0]:g} and {beyond[1]:g} points above {SPIKE:g} RMS"
            f" ({plan.name})"
        )
    says = "p = 10 prevents large spikes in the residue"
    need = "needed: below that of p = 2 and of Gaussian noise at every start"
    return Claim(SOURCE, says, f"max/RMS with p = 2 and p = 10: {'; '.join(found)}; {need}", held)


def _claim_penalty(study: _Study) -> Claim:
    """Held where the medians of max/RMS fall with every p."""
    held, found = True, []
    for plan in study.plans:
        factors = [study.middle(plan, p, p, lambda t: t.first.spike_factor) for p in EXPONENTS]
        held = held and factors == sorted(factors, reverse=True)
        found.append(f"{', '.join(f'{factor:.3g}' for factor in factors)} ({plan.name})")
    ps = ", ".join(f"{p:g}" for p in EXPONENTS)
    says = "as p increases, larger deviations are more heavily penalized"
    return Claim(SOURCE, says, f"max/RMS for p = {ps}: {'; '.join(found)}; needed: falling with every p", held)


def _claim_magnitude(study: _Study) -> Claim:
    """Held where the norm of eq. 7 is within a factor of 10 of the RMSE at p = 10."""
    ratios = [t.first.norm for t in study.trials if t.p == t.q == PAPER]
    return Claim(
        SOURCE,
        "the L^p norm has a comparable order of magnitude to the RMSE",
        f"norm / RMSE {_spread(ratios)} with p = 10; needed: between 0.1 and 10",
        min(ratios) > 0.1 and max(ratios) < 10.0,
    )


READILY = "the next stage can learn the residue more readily"


def _claim_residue(study: _Study, what: str, gain: Callable[[Trial], float], value: Callable[[Trial], float]) -> Claim:
    """The residues of p = 2 and p = 10, told apart by what the same second stage makes of them."""
    ratios, found = [], []
    for plan in study.plans:
        for q in (LEAST_SQUARES, PAPER):
            low, high = (study.middle(plan, p, q, gain) for p in (LEAST_SQUARES, PAPER))
            left = [study.middle(plan, p, q, value) for p in (LEAST_SQUARES, PAPER)]
            ratios.append(high / low)
            found.append(f"{low:.3g} and {high:.3g}, to {left[0]:.1e} and {left[1]:.1e}, with q = {q:g} ({plan.name})")
    text = f"stage 2 lowers the {what} of the residues of p = 2 and p = 10 by {'; '.join(found)}"
    need = f"needed: {CLEARLY:g} times more for p = 10 in every pair, over at least {FEWEST_SEEDS} starts"
    return Claim(SOURCE, READILY, f"{text}; {need}", _verdict(study, ratios))


def _claim_method(study: _Study, what: str, value: Callable[[Trial], float]) -> Claim:
    """Two stages of p = 10 beside two of p = 2: what is left in the end."""
    ratios, found = [], []
    for plan in study.plans:
        low, high = (study.middle(plan, p, p, value) for p in (LEAST_SQUARES, PAPER))
        ratios.append(low / high)
        found.append(f"{low:.1e} and {high:.1e} ({plan.name})")
    text = f"{what} after two stages, with p = 2 and p = 10 in both: {'; '.join(found)}"
    need = f"needed: {CLEARLY:g} times smaller with p = 10 on every field, over at least {FEWEST_SEEDS} starts"
    return Claim(SOURCE, READILY, f"{text}; {need}", _verdict(study, ratios))


def _verdict(study: _Study, ratios: list[float]) -> bool | None:
    """Of ratios above 1 where p = 10 did better: all clearly so, one clearly not so, or else undecided."""
    if min(plan.seeds for plan in study.plans) < FEWEST_SEEDS:
        return None
    if min(ratios) >= CLEARLY:
        return True
    return False if min(ratios) <= 1.0 / CLEARLY else None


LEVELS = 200
"""Points of the curves of shares."""


def _draw(study: _Study) -> "Figure":
    """Residues of the first field above; below, what changes with p, and what the second stage makes of it."""
    figure = new_figure(3.0 * PANEL_WIDTH, 2.2 * LINE_HEIGHT, "The exponent of the $L^p$ loss")
    axes = figure.subplots(2, 3)
    plan = study.plans[0]
    _draw_residue(axes[0, 0], study, LEAST_SQUARES)
    _draw_residue(axes[0, 1], study, PAPER)
    _draw_exceedance(axes[0, 2], study)
    _draw_spike_factors(axes[1, 0], study)
    _draw_errors(axes[1, 1], study, plan)
    _draw_gains(axes[1, 2], study)
    return figure


def _draw_residue(axes: Any, study: _Study, p: float) -> None:
    """Both residues on the scale of p = 2, whose spikes set it."""
    limit = max(float(np.max(np.abs(study.residues[q]))) for q in (LEAST_SQUARES, PAPER))
    (x0, y0), (x1, y1) = study.grid.lower, study.grid.upper
    draw_image(axes, study.residues[p], (x0, x1, y0, y1), (-limit, limit), RESIDUE_MAP)
    size = rms(np, study.residues[p])
    label(axes, title=f"residue of stage 1, $p$ = {p:g}: RMS {tex_number(size)}", x="$x$", y="$y$")


def _draw_exceedance(axes: Any, study: _Study) -> None:
    """The share of points where |e| / RMS is above a level."""
    for index, (p, residue) in enumerate(study.residues.items()):
        ordered = np.sort(np.abs(residue), axis=None) / rms(np, residue)
        level = np.linspace(0.0, ordered[-1], LEVELS, endpoint=False)
        share = 1.0 - np.searchsorted(ordered, level) / ordered.size
        draw_line(axes, level, share, color=stage_colour(index), label=f"$p$ = {p:g}")
    level = np.linspace(0.0, gaussian_maximum(study.grid.size), LEVELS)
    gaussian = np.array([math.erfc(x / math.sqrt(2.0)) for x in level])
    draw_line(axes, level, gaussian, color=QUIET_COLOUR, linestyle="--", label="Gaussian")
    axes.set_yscale("log")
    draw_legend(axes)
    label(
        axes, title="residues of stage 1: points above a level", x=r"level of $|e|\,/\,$RMS$(e)$", y="share of points"
    )


def _along_p(axes: Any) -> None:
    axes.set_xscale("log")
    axes.set_xticks(EXPONENTS, [f"{p:g}" for p in EXPONENTS])
    axes.minorticks_off()


def _leave_room(axes: Any, lines: float) -> None:
    """Above the data of a logarithmic axis, for a legend of so many lines."""
    bottom, top = np.log10(axes.get_ylim())
    share = 0.08 * lines
    axes.set_ylim(10.0**bottom, 10.0 ** (top + share / (1.0 - share) * (top - bottom)))


def _draw_spike_factors(axes: Any, study: _Study) -> None:
    for index, plan in enumerate(study.plans):
        _draw_median(axes, study, plan, lambda t: t.first.spike_factor, color=stage_colour(index), label=plan.name)
    _along_p(axes)
    axes.set_ylim(bottom=1.0)
    draw_legend(axes)
    label(axes, title="spike factor of the residue of stage 1", x="$p$", y="max $/$ RMS")


def _draw_errors(axes: Any, study: _Study, plan: Field) -> None:
    lines: tuple[tuple[str, Callable[[Trial], float], int, str], ...] = (
        ("stage 1, RMS", lambda t: t.first.rms, 0, "-"),
        ("stage 1, max", lambda t: t.first.max, 0, ":"),
        ("stage 2, RMS", lambda t: t.second.rms, 1, "-"),
        ("stage 2, max", lambda t: t.second.max, 1, ":"),
    )
    for name, value, stage, style in lines:
        _draw_median(axes, study, plan, value, color=stage_colour(stage), linestyle=style, label=name)
    _along_p(axes)
    axes.set_yscale("log")
    _leave_room(axes, 3.0)
    draw_legend(axes, loc="upper center", ncols=2)
    label(axes, title=f"errors after the stages, {plan.name}", x="$p$ of both stages", y=r"error $/$ RMS$(u)$")


def _draw_median(axes: Any, study: _Study, plan: Field, value: Callable[[Trial], float], **style: Any) -> None:
    """The median over the seeds as a line and their range as a band."""
    ranges = [[value(t) for t in study.of(plan, p, p)] for p in EXPONENTS]
    draw_line(axes, np.array(EXPONENTS), np.array([median(found) for found in ranges]), **style)
    lowest, highest = [min(found) for found in ranges], [max(found) for found in ranges]
    axes.fill_between(EXPONENTS, lowest, highest, color=style["color"], alpha=0.15, linewidth=0)


def _draw_gains(axes: Any, study: _Study) -> None:
    """One mark for each seed; the columns of the same q are side by side."""
    for index, plan in enumerate(study.plans):
        for place, (p, q) in enumerate(PAIRS):
            gains = [t.gain for t in study.of(plan, p, q)]
            name = plan.name if place == 0 else None
            across = np.full(len(gains), place + 0.15 * (index - 0.5 * (len(study.plans) - 1)))
            axes.plot(across, gains, "o", color=stage_colour(index), markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(PAIRS) - 0.5)
    axes.set_xticks(range(len(PAIRS)), [f"$p$ = {p:g}\n$q$ = {q:g}" for p, q in PAIRS])
    axes.axvline(0.5 * len(PAIRS) - 0.5, color=QUIET_COLOUR, linewidth=0.6)
    axes.tick_params(which="minor", labelsize=SMALL)
    _leave_room(axes, 1.0 + len(study.plans))
    draw_legend(axes, loc="upper center")
    label(axes, title="factor by which stage 2 lowers the RMS", x="$p$ of stage 1, $q$ of stage 2", y="factor")
