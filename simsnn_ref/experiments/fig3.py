"""Figure 3 (section 4.2): one stage against four, in the energy spectrum and in the loss.

The paper trains one network with n_f = 10,000 and one of four stages with n_f = 1359, then 10,000. Both get the same
number of steps in all here.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.experiments.base import Cell, Claim, Outcome, Settings, Table, method_of
from simsnn_ref.experiments.series import series_table
from simsnn_ref.experiments.turbulence_fit import PROBLEM, STAGES, Setup, snapshot, staged_fit
from simsnn_ref.model import Model
from simsnn_ref.report import (
    TARGET_COLOUR,
    draw_legend,
    draw_line,
    draw_spectra,
    label,
    new_figure,
    residues,
    stage_colour,
)
from simsnn_ref.spectrum import EnergySpectrum, energy_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TrainedNetwork", "agreement", "run"]

BINS = 200

ROUNDING = 1e-30
"""Share of the largest bin below which E(k), a sum of squares, may be the field's own rounding to float64."""

AGREEMENT = 0.01
"""Relative difference up to which E(k) of a network is that of the target."""

PLATEAU = 1e-12
"""RMS relative to the field; a single stage that ends below it has not come to a plateau."""

SETUPS = {
    "quick": (
        Setup(32, 100.0, (20, 150), "gauss_newton", (10, 15), z1_rms=1.0),
        Setup(32, 100.0, (20, 150), "adam", (100, 100)),
    ),
    "laptop": (
        Setup(512, 2000.0, (1359, 10000), "gauss_newton", (14, 100), z1_rms=1.0, output_gain=(1.0, 40.0)),
        Setup(512, 2000.0, (1359, 10000), "adam", (500, 500)),
    ),
    "hours": (
        Setup(128, 300.0, (85, 625), "gauss_newton", (14, 40), z1_rms=1.0),
        Setup(128, 300.0, (85, 625), "adam", (150000, 150000)),
    ),
    "paper": (
        Setup(512, 2000.0, (1359, 10000), "gauss_newton", (14, 100), z1_rms=1.0, output_gain=(1.0, 40.0)),
        Setup(512, 2000.0, (1359, 10000), "adam", (150000, 150000)),
    ),
}
"""By size; each with a second-order method and with the paper's."""


@dataclass(frozen=True)
class TrainedNetwork:
    """One of the networks that are compared.

    Attributes
    ----------
    name : str
        Its number of stages and its optimiser.
    model : Model
    spectrum, residue : EnergySpectrum
        E(k) of what it fitted and of what it left, relative to the square of the field's RMS.
    """

    name: str
    model: Model
    spectrum: EnergySpectrum
    residue: EnergySpectrum


def run(settings: Settings) -> Outcome:
    """Train one stage and four with each optimiser, and compare spectra and convergence."""
    started = time.perf_counter()
    setups = [setup for setup in SETUPS[settings.size] if settings.optimizer in ("", setup.optimizer)]
    if not setups:
        setups = [SETUPS[settings.size][0].by(settings.optimizer)]
    u = snapshot(setups[0].size, setups[0].reynolds, settings.say)
    target = _spectrum(u, u)
    networks = []
    for setup in setups:
        settings.say(f"fig3: one stage and {STAGES} stages with {setup.optimizer}")
        steps = setup.steps[0] + (STAGES - 1) * setup.steps[1]
        alone = replace(
            setup, n_features=(setup.n_features[1],) * 2, steps=(steps, steps), output_gain=(setup.output_gain[1],) * 2
        )
        networks.append(_measured(f"one stage, {setup.optimizer}", staged_fit(settings, alone, u, stages=1), u))
        networks.append(_measured(f"{STAGES} stages, {setup.optimizer}", staged_fit(settings, setup, u), u))
    return Outcome(
        name="fig3",
        title="Figure 3: energy spectrum and convergence of one stage and of four",
        settings=settings,
        tables=(
            _table(networks, target),
            series_table(
                u,
                PROBLEM.grid(u.shape[0]),
                {network.name: network.model for network in networks},
                "between the samples, against trigonometric interpolation",
            ),
        ),
        claims=_claims(networks, target),
        numbers={
            "samples": list(u.shape),
            "wavenumber": target.wavenumber.tolist(),
            "energy_of_target": target.energy.tolist(),
            "runs": {
                network.name: {
                    "stages": [record.summary() for record in network.model.history.stages],
                    "energy": network.spectrum.energy.tolist(),
                    "energy_of_residue": network.residue.energy.tolist(),
                }
                for network in networks
            },
        },
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(networks, target),
    )


def _spectrum(field: np.ndarray, u: np.ndarray) -> EnergySpectrum:
    """E(k) of `field` over the RMS of `u`, eq. 13."""
    relative = field / np.sqrt(np.mean(u**2))
    return energy_spectrum(relative, PROBLEM.grid(u.shape[0]), NumpyBackend(), BINS)


def _measured(name: str, model: Model, u: np.ndarray) -> TrainedNetwork:
    *_, left = residues(model, u)
    fitted = (u - left).astype(np.float64)
    return TrainedNetwork(name, model, _spectrum(fitted, u), _spectrum(left.astype(np.float64), u))


def agreement(network: TrainedNetwork, target: EnergySpectrum) -> tuple[float, float]:
    """Largest wavenumber up to which every bin agrees within `AGREEMENT`, and E there relative to the largest."""
    known = target.energy > ROUNDING * np.max(target.energy)
    wrong = known & (np.abs(network.spectrum.energy - target.energy) > AGREEMENT * target.energy)
    stop = int(np.argmax(wrong)) if np.any(wrong) else len(wrong)
    agreeing = np.flatnonzero(known[:stop])
    if agreeing.size == 0:
        return 0.0, 1.0
    k = agreeing[-1]
    return float(target.wavenumber[k]), float(np.min(target.energy[agreeing]) / np.max(target.energy))


def _table(networks: list[TrainedNetwork], target: EnergySpectrum) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for network in networks:
        last = network.model.history.stages[-1]
        k, level = agreement(network, target)
        rows.append(
            (
                network.name,
                last.index,
                sum(record.n_parameters for record in network.model.history.stages),
                sum(record.steps for record in network.model.history.stages),
                last.rms_on_grid,
                last.rms_off_grid,
                k,
                level,
                network.model.history.seconds,
                last.stopped_because,
            )
        )
    known = target.wavenumber[target.energy > ROUNDING * np.max(target.energy)]
    relative = "relative to the RMS of the field"
    return Table(
        "One stage and four",
        {
            "network": "number of stages allowed, and the optimiser",
            "stages kept": "stages that lowered the residue",
            "parameters": "numbers that train, in all stages together",
            "steps": "steps of training of all stages together",
            "RMS on grid": f"error at the samples, {relative}",
            "RMS off grid": f"error between the samples, against trigonometric interpolation, {relative}",
            "right up to k": f"E(k) is within {AGREEMENT:.0%} of the target's in every bin up to this wavenumber; the"
            f" target's own is above {ROUNDING:.0e} of its largest value up to k = {np.max(known):.0f}",
            "E there / largest": "smallest E(k) of the target up to that wavenumber, relative to its largest",
            "seconds": "wall-clock time of the fit",
            "stopped because": "why the training of the last stage ended",
        },
        tuple(rows),
        f"E(k), eq. 13, in {BINS} bins.",
    )


def _claims(networks: list[TrainedNetwork], target: EnergySpectrum) -> tuple[Claim, ...]:
    claims = []
    for alone, staged in zip(networks[::2], networks[1::2], strict=True):
        levels = [agreement(network, target)[1] for network in (alone, staged)]
        ends = [network.model.history.stages[-1].rms_on_grid for network in (alone, staged)]
        steps = sum(record.steps for record in alone.model.history.stages)
        by = method_of(staged.model.config)
        claims.append(
            Claim(
                "section 4.2, Figure 3 left",
                "with more stages E(k) is matched up to increasing wavenumbers",
                f"E(k) right to {levels[1]:.0e} of its maximum ({staged.name}), to {levels[0]:.0e} ({alone.name})",
                levels[1] < levels[0],
                by,
            )
        )
        claims.append(
            Claim(
                "section 4.2, Figure 3 right",
                "a single stage plateaus, four stages converge exponentially",
                f"RMS error {ends[0]:.1e} after {steps} steps of one stage, {ends[1]:.1e} after up to as many of four",
                ends[1] < 0.1 * ends[0] and ends[0] > PLATEAU,
                by,
            )
        )
    return tuple(claims)


def _draw(networks: list[TrainedNetwork], target: EnergySpectrum) -> "Figure":
    figure = new_figure(15.0, 4.6, "")
    spectra, steps, seconds = figure.subplots(1, 3)
    drawn = [(target, TARGET_COLOUR, "target")]
    for number, network in enumerate(networks):
        drawn.append((network.spectrum, stage_colour(number), network.name))
    draw_spectra(spectra, drawn, floor=1e-36)
    label(spectra, title="energy spectrum", x="wavenumber $k$", y="$E(k)$")
    for number, network in enumerate(networks):
        _draw_convergence(steps, seconds, network, stage_colour(number))
    label(steps, title="loss of all stages so far", x="step", y="$L^p$ / RMS$(\\psi)$")
    label(seconds, title="error against time", x="seconds", y="RMS / RMS$(\\psi)$")
    for axes in (steps, seconds):
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_yscale("log")
        draw_legend(axes)
    return figure


def _draw_convergence(steps: Any, seconds: Any, network: TrainedNetwork, colour: str) -> None:
    """Loss and RMS of the whole field's error before every step; a stage's seconds are spread evenly over its steps."""
    records, scale = network.model.history.stages, network.model.history.rms
    losses = np.concatenate([record.loss_history * record.eps for record in records]) / scale
    errors = np.concatenate([record.rms_history * record.eps for record in records]) / scale
    ends = np.cumsum([record.seconds for record in records])
    clock = np.concatenate(
        [
            end - record.seconds * np.linspace(1.0, 0.0, record.steps, endpoint=False)
            for end, record in zip(ends, records, strict=True)
        ]
    )
    draw_line(steps, np.arange(losses.size), losses, color=colour, label=network.name)
    draw_line(
        seconds,
        np.append(clock, ends[-1]),
        np.append(errors, records[-1].rms_on_grid),
        color=colour,
        label=network.name,
    )
