"""Figure 3 (section 4.2): one stage against four, in the energy spectrum and in the loss.

The paper trains one network with n_f = 10,000 and one of four stages with n_f = 1359, then 10,000. Both get the same
number of steps in all here.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.experiments.base import Claim, Outcome, Settings, Table
from simsnn_ref.experiments.fig2 import PROBLEM, STAGES, Setup, snapshot, staged_fit
from simsnn_ref.model import Model
from simsnn_ref.report import residues
from simsnn_ref.report.drawing import (
    TARGET_COLOUR,
    draw_legend,
    draw_line,
    draw_spectra,
    label,
    new_figure,
    stage_colour,
)
from simsnn_ref.spectrum import EnergySpectrum, energy_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run"]

BINS = 200

HELD_BY_FLOAT64 = 1e-30
"""Of the largest bin: squares of numbers that double precision still tells from the rounding of the field."""

PLATEAU = 1e-12
"""RMS below which a single stage has not come to a halt."""

SETUPS = {
    "quick": (
        Setup(32, 100.0, (20, 150), "gauss_newton", (10, 15), z1_rms=1.0),
        Setup(32, 100.0, (20, 150), "adam", (100, 100)),
    ),
    "laptop": (
        Setup(128, 300.0, (85, 625), "gauss_newton", (14, 40), z1_rms=1.0),
        Setup(128, 300.0, (85, 625), "adam", (6000, 6000)),
    ),
    "paper": (
        Setup(512, 2000.0, (1359, 10000), "gauss_newton", (14, 100), z1_rms=1.0, output_gain=(1.0, 40.0)),
        Setup(512, 2000.0, (1359, 10000), "adam", (150000, 150000)),
    ),
}
"""By optimiser: second order, and the paper's."""


@dataclass(frozen=True)
class _Run:
    """One of the networks compared: its history and E(k), relative to the field's, of what it fitted."""

    name: str
    model: Model
    spectrum: EnergySpectrum
    residue: EnergySpectrum


def run(settings: Settings) -> Outcome:
    """Train one stage and four with each optimiser, and compare spectra and convergence."""
    started = time.perf_counter()
    setups = [setup for setup in SETUPS[settings.size] if settings.optimizer in ("", setup.optimizer)]
    if not setups:
        setups = [replace(SETUPS[settings.size][0], optimizer=settings.optimizer, z1_rms=None, output_gain=(1.0, 1.0))]
    u = snapshot(setups[0].size, setups[0].reynolds, settings.say)
    target = _spectrum(u, u)
    runs = []
    for setup in setups:
        settings.say(f"fig3: one stage and {STAGES} stages with {setup.optimizer}")
        steps = setup.steps[0] + (STAGES - 1) * setup.steps[1]
        alone = replace(
            setup, n_features=(setup.n_features[1],) * 2, steps=(steps, steps), output_gain=(setup.output_gain[1],) * 2
        )
        runs.append(_measured(f"one stage, {setup.optimizer}", staged_fit(settings, alone, u, stages=1), u))
        runs.append(_measured(f"{STAGES} stages, {setup.optimizer}", staged_fit(settings, setup, u), u))
    return Outcome(
        name="fig3",
        title="Figure 3: energy spectrum and convergence of one stage and of four",
        settings=settings,
        tables=(_table(runs, target),),
        claims=_claims(runs, target),
        numbers={
            "samples": list(u.shape),
            "wavenumber": target.wavenumber.tolist(),
            "energy_of_target": target.energy.tolist(),
            "runs": {
                each.name: {
                    "stages": [record.summary() for record in each.model.history.stages],
                    "energy": each.spectrum.energy.tolist(),
                    "energy_of_residue": each.residue.energy.tolist(),
                }
                for each in runs
            },
        },
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(runs, target),
    )


def _spectrum(field: np.ndarray, u: np.ndarray) -> EnergySpectrum:
    """E(k) of `field` over the RMS of `u`, eq. 13."""
    relative = field / np.sqrt(np.mean(u**2))
    return energy_spectrum(relative, PROBLEM.grid(u.shape[0]), NumpyBackend(), BINS)


def _measured(name: str, model: Model, u: np.ndarray) -> _Run:
    *_, left = residues(model, u)
    fitted = (u - left).astype(np.float64)
    return _Run(name, model, _spectrum(fitted, u), _spectrum(left.astype(np.float64), u))


def _resolved_to(each: _Run, target: EnergySpectrum) -> tuple[float, float]:
    """Largest wavenumber up to which every bin agrees within 1 %, and E there relative to the largest."""
    held = target.energy > HELD_BY_FLOAT64 * np.max(target.energy)
    wrong = held & (np.abs(each.spectrum.energy - target.energy) > 0.01 * target.energy)
    stop = int(np.argmax(wrong)) if np.any(wrong) else len(wrong)
    agreeing = np.flatnonzero(held[:stop])
    if agreeing.size == 0:
        return 0.0, 1.0
    k = agreeing[-1]
    return float(target.wavenumber[k]), float(np.min(target.energy[agreeing]) / np.max(target.energy))


def _table(runs: list[_Run], target: EnergySpectrum) -> Table:
    rows: list[tuple[Any, ...]] = []
    for each in runs:
        last = each.model.history.stages[-1]
        k, level = _resolved_to(each, target)
        rows.append(
            (
                each.name,
                last.index,
                sum(record.n_parameters for record in each.model.history.stages),
                sum(record.steps for record in each.model.history.stages),
                last.rms_on_grid,
                last.rms_off_grid,
                k,
                level,
                each.model.history.seconds,
                last.stopped_because,
            )
        )
    columns = ("network", "stages kept", "parameters", "steps", "RMS on", "RMS off")
    highest = float(np.max(target.wavenumber[target.energy > HELD_BY_FLOAT64 * np.max(target.energy)]))
    return Table(
        "One stage and four",
        (*columns, "E(k) right up to k", "E there / largest", "seconds", "ended because"),
        tuple(rows),
        f"E(k) in {BINS} bins; right: within 1 % of the target's in every bin up to k. The target's own E(k) is above"
        f" {HELD_BY_FLOAT64:.0e} of its largest value up to k = {highest:.0f}.",
    )


def _claims(runs: list[_Run], target: EnergySpectrum) -> tuple[Claim, ...]:
    claims = []
    for alone, staged in zip(runs[::2], runs[1::2], strict=True):
        levels = [_resolved_to(each, target)[1] for each in (alone, staged)]
        ends = [each.model.history.stages[-1].rms_on_grid for each in (alone, staged)]
        steps = sum(record.steps for record in alone.model.history.stages)
        claims.append(
            Claim(
                "section 4.2, Figure 3 left",
                "with more stages E(k) is matched up to increasing wavenumbers",
                f"{staged.name}: right down to {levels[1]:.0e} of the largest E; {alone.name}: {levels[0]:.0e}",
                levels[1] < levels[0],
            )
        )
        claims.append(
            Claim(
                "section 4.2, Figure 3 right",
                "a single stage plateaus, four stages converge exponentially",
                f"RMS {ends[0]:.1e} after {steps} steps of one stage, {ends[1]:.1e} after as many or fewer of four",
                ends[1] < 0.1 * ends[0] and ends[0] > PLATEAU,
            )
        )
    return tuple(claims)


def _draw(runs: list[_Run], target: EnergySpectrum) -> "Figure":
    figure = new_figure(15.0, 4.6, "")
    spectra, steps, seconds = figure.subplots(1, 3)
    drawn = [(target, TARGET_COLOUR, "target")]
    for number, each in enumerate(runs):
        drawn.append((each.spectrum, stage_colour(number), each.name))
    draw_spectra(spectra, drawn, floor=1e-36)
    label(spectra, title="energy spectrum", x="wavenumber $k$", y="$E(k)$")
    for number, each in enumerate(runs):
        _draw_convergence(steps, seconds, each, stage_colour(number))
    label(steps, title="loss of all stages so far", x="step", y="$L^p$ / RMS$(\\psi)$")
    label(seconds, title="error against time", x="seconds", y="RMS / RMS$(\\psi)$")
    for axes in (steps, seconds):
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_yscale("log")
        draw_legend(axes)
    return figure


def _draw_convergence(steps: Any, seconds: Any, each: _Run, colour: str) -> None:
    """Loss and RMS of the whole field's error before every step; a stage's seconds are spread evenly over its steps."""
    records, scale = each.model.history.stages, each.model.history.rms
    losses = np.concatenate([record.loss_history * record.eps for record in records]) / scale
    errors = np.concatenate([record.rms_history * record.eps for record in records]) / scale
    ends = np.cumsum([record.seconds for record in records])
    clock = np.concatenate(
        [
            end - record.seconds * np.linspace(1.0, 0.0, record.steps, endpoint=False)
            for end, record in zip(ends, records, strict=True)
        ]
    )
    draw_line(steps, np.arange(losses.size), losses, color=colour, label=each.name)
    draw_line(
        seconds,
        np.append(clock, ends[-1]),
        np.append(errors, records[-1].rms_on_grid),
        color=colour,
        label=each.name,
    )
