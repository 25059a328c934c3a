"""Figure 2 on 16 x 16 samples: its numbers once more from their definitions, and the verdicts on its claims."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref import Grid, fit
from simsnn_ref.experiments import Settings, fig2
from simsnn_ref.experiments.turbulence_fit import Setup
from simsnn_ref.problems import get_problem

SIZE, REYNOLDS, FEATURES, STEPS = 16, 50.0, (6, 40), (4, 12)

NAME = "gauss_newton, n_f = 6 then 40"


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fig2.SETUPS, "quick", (Setup(SIZE, REYNOLDS, FEATURES, "gauss_newton", STEPS, z1_rms=1.0),))
        return fig2.run(Settings("quick"))


@pytest.fixture(scope="module")
def field():
    return get_problem("turbulence").samples(SIZE, reynolds=REYNOLDS)


@pytest.fixture(scope="module")
def model(field):
    """The fit as section 4.2 has it: four stages, n_f by stage, from the samples alone."""
    options = {"optimizer": "gauss_newton", "steps": STEPS, "n_features": FEATURES, "z1_rms": 1.0, "stages": 4}
    options["train_wavenumbers"] = False
    grid = Grid(field.shape, 0.0, 2.0 * np.pi)
    return fit(field, grid, mode="paper", certify=False, **options)


def rms(values):
    return np.sqrt(np.mean(values**2))


def moved(u, cells):
    """The trigonometric interpolant of periodic samples, moved by shares of their spacing."""
    spectrum = np.fft.fft2(u)
    for axis, share in enumerate(cells):
        m = np.fft.fftfreq(u.shape[axis], 1.0 / u.shape[axis])
        turn = np.exp(2j * np.pi * m * share / u.shape[axis])
        # The mode N/2 is a cosine, of which the shifted samples see the real part.
        turn[u.shape[axis] // 2] = turn[u.shape[axis] // 2].real
        spectrum = spectrum * (turn[:, None] if axis == 0 else turn)
    return np.fft.ifft2(spectrum).real


def test_errors_after_each_stage_are_those_of_the_sum_so_far(outcome, field, model):
    records = outcome.numbers["fits"][NAME]
    assert len(records) == len(model.stages)
    spacing = 2.0 * np.pi / SIZE
    for number, record in enumerate(records, start=1):
        so_far = replace(model, stages=model.stages[:number])
        on_grid = (field - so_far(model.grid)) / rms(field)
        off_grid = [
            (moved(field, cells).ravel() - so_far(model.grid.points() + spacing * np.asarray(cells))) / rms(field)
            for cells in product((0.0, 0.5), repeat=2)
            if any(cells)
        ]
        # Sums in float64, here and there: 20 roundings of the field.
        for found, expected in (
            (record["rms_on_grid"], rms(on_grid)),
            (record["max_on_grid"], np.max(np.abs(on_grid))),
            (record["rms_off_grid"], rms(np.concatenate(off_grid))),
            (record["max_off_grid"], np.max(np.abs(off_grid))),
        ):
            assert found == pytest.approx(expected, rel=1e-9, abs=20 * EPS)


def test_the_series_has_the_largest_modes_and_no_others(outcome, field):
    """Modes are taken out of the field one real mode at a time: a pair of conjugates, or one that is its own."""
    spectrum = np.fft.fft2(field)
    pairs = {frozenset(((i, j), (-i % SIZE, -j % SIZE))) for i, j in np.ndindex(SIZE, SIZE)}
    amplitude = {pair: len(pair) * abs(spectrum[next(iter(pair))]) for pair in pairs}
    ordered = sorted(pairs, key=lambda pair: -amplitude[pair])
    left, errors = spectrum.copy(), []
    for pair in ordered:
        for index in pair:
            left[index] = 0.0
        errors.append(rms(np.fft.ifft2(left).real) / rms(field))
    counts = np.cumsum([record["n_modes"] for record in outcome.numbers["fits"][NAME]])
    expected = [errors[min(count, len(errors)) - 1] for count in counts]
    assert outcome.numbers["series_of_the_modes"][NAME] == pytest.approx(expected, rel=1e-9, abs=20 * EPS)


def test_interpolation_sees_every_second_sample_and_is_measured_at_the_others(outcome, field):
    coarse = field[::2, ::2]
    corners = [(0, 1), (1, 0), (1, 1)]
    errors = [moved(coarse, (0.5 * i, 0.5 * j)) - field[i::2, j::2] for i, j in corners]
    found = outcome.numbers["interpolation"]["FFT interpolation"]
    assert found["rms"] == pytest.approx(rms(np.stack(errors)) / rms(field), rel=1e-12)
    assert found["max"] == pytest.approx(np.max(np.abs(errors)) / rms(field), rel=1e-12)
    # Mode accurate is the same interpolant as a network.
    assert outcome.numbers["interpolation"]["network, mode accurate"]["rms"] == pytest.approx(found["rms"], rel=1e-6)


def test_the_claims_follow_from_these_errors(outcome, field, model):
    """O(1e-16) is within a factor of ten: reached at the samples, and missed between them by orders of magnitude."""
    on_grid = rms(field - model(model.grid)) / rms(field)
    off_grid = rms(moved(field, (0.5, 0.5)).ravel() - model(model.grid.points() + np.pi / SIZE)) / rms(field)
    assert on_grid < 1e-15
    assert off_grid > 1e-6
    assert [(claim.source, claim.held) for claim in outcome.claims] == [
        ("section 4.2, Figure 2", True),
        ("section 5", False),
        ("section 4.2, Figure 2", None),
    ]
    assert [claim.verdict for claim in outcome.claims] == [
        "held by another optimizer and another start",
        "did not hold by another optimizer and another start",
        "not decided: the paper's method was not run",
    ]
    assert f"{outcome.numbers['fits'][NAME][-1]['rms_on_grid']:.1e} at the samples" in outcome.claims[0].found


def test_fewer_steps_do_not_reach_machine_precision(monkeypatch):
    monkeypatch.setitem(fig2.SETUPS, "quick", (Setup(SIZE, REYNOLDS, FEATURES, "gauss_newton", (1, 1), z1_rms=1.0),))
    outcome = fig2.run(Settings("quick"))
    assert outcome.numbers["fits"][NAME][-1]["rms_on_grid"] > 1e-10
    assert [claim.held for claim in outcome.claims] == [False, False, None]
