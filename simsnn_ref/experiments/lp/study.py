"""First stages trained with several p, and second stages that learn what they leave."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.experiments.base import Settings
from simsnn_ref.experiments.lp.residues import ResidueStatistics, describe
from simsnn_ref.model import FitConfig, Model
from simsnn_ref.multistage import choose_off_grid, training_set
from simsnn_ref.problems import get_problem
from simsnn_ref.spectrum import Grid

__all__ = ["EXPONENTS", "LEAST_SQUARES", "PAIRS", "PAPER", "PLANS", "SHORT", "Plan", "Study", "Trial", "train_all"]

EXPONENTS = (2.0, 4.0, 10.0, 20.0)
LEAST_SQUARES, PAPER = 2.0, 10.0

PAIRS = tuple((p, q) for q in (LEAST_SQUARES, PAPER) for p in (LEAST_SQUARES, PAPER))
"""Exponents of the first and of the second stage; those of the same q are neighbours."""


@dataclass(frozen=True)
class Plan:
    """What is fitted, and how.

    Attributes
    ----------
    problem : str
        Name in `simsnn_ref.problems`.
    size : int
        Points per axis.
    widths : tuple of two ints
        n_f of the first and of the second stage, the same for every p.
    steps : int
        Steps of Adam in each stage; other methods take the default of `FitConfig`.
    seeds : int
        Number of starts.
    options : dict
        Options of the problem's simulation.
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
    "quick": (Plan("turbulence", 64, (21, 156), 50, 1, {"reynolds": 300.0}),),
    "laptop": (
        Plan("turbulence", 128, (85, 625), 350, 3, {"reynolds": 300.0}),
        Plan("ug", 32, (8, 39), 700, 3),
        Plan("turbulence", 64, (851, 2048), 500, 3, {"reynolds": 300.0}),
    ),
    "paper": (Plan("turbulence", 512, (1359, 10000), 150_000, 1, {"reynolds": 2000.0}),),
}
"""By size. Smaller grids have the paper's 1359 and 10000 features in proportion to their points (ug starts with 8).

The last of the laptop's is far wider: first the modes above 2e-4 of the largest, as `FitConfig` counts them, then all
that there are. Its stages have 7 and 16 parameters for each point.
"""


@dataclass(frozen=True)
class Trial:
    """A first stage trained with p, and a second one with q on what it left."""

    field: str
    seed: int
    p: float
    q: float
    first: ResidueStatistics
    second: ResidueStatistics

    @property
    def gain(self) -> float:
        """Factor by which the second stage lowered the RMS."""
        return self.first.rms / self.second.rms

    @property
    def gain_of_max(self) -> float:
        """Factor by which the second stage lowered the largest error."""
        return self.first.max / self.second.max


SHORT = {"train_wavenumbers": False, "learning_rate": 1e-2, "schedule": "exponential"}
"""For some hundred steps of Adam: the step size falls within them, and with B frozen the map fft makes them quick."""


class _Field:
    """One field, on which stages are trained one at a time and their residues measured."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        problem = get_problem(plan.problem)
        self.settings, self.plan = settings, plan
        self.optimizer = settings.optimizer or "adam"
        self.grid: Grid = problem.grid(plan.size)
        self.samples = problem.samples(plan.size, **plan.options)
        self.target = problem.target
        self.unit = rms(np, self.samples)

    def train(self, values: np.ndarray, stage: int, p: float, seed: int) -> Model:
        """Stage 0 or 1 of the staged algorithm; the two start from random numbers of their own, whatever p is."""
        steps = (self.plan.steps,) if self.optimizer == "adam" else None
        return self.settings.fit(
            values, self.grid, mode="paper", stages=1, n_features=self.plan.widths[stage], p=p, steps=steps,
            optimizer=self.optimizer, target=0.0, off_grid="none", certify=False, seed=2 * seed + stage,
            **SHORT,
        )  # fmt: skip

    def errors_off_grid(self, models: list[Model]) -> tuple[float, float]:
        """RMS and largest error of the sum of `models` between the samples, in the field's units."""
        config = FitConfig.of(mode="paper").resolved()
        samples = training_set(self.samples, self.grid, self.target, config)
        residue = choose_off_grid(config, samples, self.target, None)
        for model in models:
            for stage in model.stages:
                residue = residue.minus(stage)
        errors = residue.errors()
        assert errors is not None
        return errors

    def trials(self, p: float, seed: int) -> tuple[np.ndarray, list[Trial]]:
        """The residue of a first stage, and a trial for each exponent of the second one."""
        first = self.train(self.samples, 0, p, seed)
        residue = self.samples - first(self.grid)
        before = describe(residue, self.errors_off_grid([first]), self.unit, p)
        trials = []
        for q in _second_exponents(p):
            second = self.train(residue, 1, q, seed)
            after = describe(residue - second(self.grid), self.errors_off_grid([first, second]), self.unit, q)
            trials.append(Trial(self.plan.name, seed, p, q, before, after))
        return residue, trials


def _second_exponents(p: float) -> tuple[float, ...]:
    return (LEAST_SQUARES, PAPER) if p in (LEAST_SQUARES, PAPER) else (p,)


@dataclass(frozen=True)
class Study:
    """Every trial, and for the figure the residues of the first start on the first field, over its RMS."""

    plans: tuple[Plan, ...]
    trials: tuple[Trial, ...]
    grid: Grid
    residues: dict[float, np.ndarray]

    def of(self, plan: Plan, p: float, q: float) -> list[Trial]:
        """One trial for each seed."""
        return [t for t in self.trials if (t.field, t.p, t.q) == (plan.name, p, q)]

    def median(self, plan: Plan, p: float, q: float, merit: Callable[[Trial], float]) -> float:
        """Median of `merit` over the seeds."""
        return float(median(map(merit, self.of(plan, p, q))))


def train_all(plans: tuple[Plan, ...], settings: Settings) -> Study:
    """Every start of every plan with every exponent."""
    trials: list[Trial] = []
    grids: list[Grid] = []
    residues: dict[float, np.ndarray] = {}
    for plan in plans:
        fitted = _Field(settings, plan)
        grids.append(fitted.grid)
        for seed in range(plan.seeds):
            for p in EXPONENTS:
                settings.say(f"lp: {plan.name}, start {seed + 1} of {plan.seeds}, p = {p:g}")
                residue, found = fitted.trials(p, seed)
                trials += found
                if len(grids) == 1 and seed == 0:
                    residues[p] = residue / fitted.unit
    return Study(plans, tuple(trials), grids[0], residues)
