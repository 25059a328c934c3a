"""The study of the loss's exponent: residues in numbers, exactly, and a run from end to end."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from simsnn_ref import Grid, fit
from simsnn_ref.experiments import Settings, to_dict, to_markdown
from simsnn_ref.experiments.lp import run
from simsnn_ref.experiments.lp.claims import method_claim, residue_claim
from simsnn_ref.experiments.lp.residues import SPIKE, describe, gaussian_maximum
from simsnn_ref.experiments.lp.study import EXPONENTS, PAIRS, PLANS, SHORT, Plan, Study, Trial
from simsnn_ref.problems import get_problem

EPS = float(np.finfo(np.float64).eps)

TINY = (
    Plan("turbulence", 16, (8, 16), 6, 2, {"reynolds": 50.0}),
    Plan("ug", 12, (4, 8), 6, 1),
)


def errors(residue, unit=1.0, p=2.0, off_grid=(0.0, 0.0)):
    return describe(residue, off_grid, unit, p)


def test_a_sine():
    found = errors(3.0 * np.sin(2.0 * np.pi * np.arange(64) / 64), unit=1.5)
    assert found.rms == pytest.approx(2.0 * math.sqrt(0.5), rel=4 * EPS)
    assert found.max == pytest.approx(2.0, rel=4 * EPS)
    assert found.spike_factor == pytest.approx(math.sqrt(2.0), rel=4 * EPS)
    assert found.kurtosis == pytest.approx(-1.5, rel=16 * EPS)
    assert found.beyond == 0


@pytest.mark.parametrize("n", [16, 400])
def test_a_single_spike_is_a_bernoulli_variable(n):
    residue = np.zeros(n)
    residue[3] = -0.25
    share = (1.0 / n) * (1.0 - 1.0 / n)
    found = errors(residue)
    assert found.rms == pytest.approx(0.25 / math.sqrt(n), rel=4 * EPS)
    assert found.spike_factor == pytest.approx(math.sqrt(n), rel=4 * EPS)
    assert found.kurtosis == pytest.approx((1.0 - 6.0 * share) / share, rel=64 * EPS)
    assert found.beyond == (math.sqrt(n) > SPIKE)


def test_gaussian_noise():
    n = 10**6
    found = errors(np.random.default_rng(0).normal(size=n))
    # The excess kurtosis of n numbers has a standard deviation of sqrt(24 / n).
    assert abs(found.kurtosis) < 4.0 * math.sqrt(24.0 / n)
    assert found.spike_factor == pytest.approx(gaussian_maximum(n), rel=0.15)
    # The share beyond 5 standard deviations is 5.7e-7.
    assert found.beyond <= 5


@pytest.mark.parametrize("p", [2.0, 10.0])
def test_the_norm_is_the_sum_of_eq_7(p):
    residue = np.array([1.0, -2.0, 0.5, 0.0])
    norm = np.sum(np.abs(residue) ** p) ** (1.0 / p)
    assert errors(residue, p=p).norm == pytest.approx(norm / np.sqrt(np.mean(residue**2)), rel=16 * EPS)


def test_units_do_not_matter():
    residue = np.random.default_rng(1).normal(size=100)
    small = errors(residue * 2.0**-600, 2.0**-600, off_grid=(2.0**-600, 2.0**-599))
    assert small == errors(residue, off_grid=(1.0, 2.0))
    assert (small.rms_off_grid, small.max_off_grid) == (1.0, 2.0)


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLANS, "quick", TINY)
        messages = []
        return run(Settings(say=messages.append)), messages


def by_hand(trial, field, target=None):
    """The two stages of a trial as `fit` records them; a function has an off-grid error after the first one too."""
    problem = get_problem(field.problem)
    samples, grid = problem.samples(field.size, **field.options), problem.grid(field.size)
    options = {
        "mode": "paper",
        "stages": 1,
        "steps": field.steps,
        "optimizer": "adam",
        "target": 0.0,
        "certify": False,
        **SHORT,
    }
    seed = 2 * trial["seed"]
    first = fit(target or samples, grid, n_features=field.widths[0], p=trial["p"], seed=seed, **options)
    residue = samples - first(grid)
    second = fit(residue, grid, n_features=field.widths[1], p=trial["q"], seed=seed + 1, **options)
    return first.history, second.history


@pytest.mark.parametrize("field", TINY, ids=lambda field: field.problem)
def test_errors_are_those_that_fit_records(tiny, field):
    trials = [trial for trial in tiny[0].numbers["trials"] if trial["field"] == field.name]
    trial = next(t for t in reversed(trials) if (t["p"], t["q"]) == (10.0, 2.0))
    first, second = by_hand(trial, field, get_problem(field.problem).target)
    scale = second.rms / first.rms
    for found, record, unit in (
        (trial["first"], first.stages[0], 1.0),
        (trial["second"], second.stages[0], scale),
    ):
        assert found["rms"] == pytest.approx(unit * record.rms_on_grid, rel=100 * EPS)
        assert found["max"] == pytest.approx(unit * record.max_on_grid, rel=100 * EPS)
    assert trial["gain_rms"] == pytest.approx(1.0 / second.stages[0].rms_on_grid, rel=100 * EPS)
    norm = first.stages[0].loss / first.stages[0].rms_on_grid * field.size**0.2
    assert trial["first"]["norm"] == pytest.approx(norm, rel=100 * EPS)
    record = first.stages[0]
    if field.problem == "turbulence":
        assert trial["first"]["rms_off_grid"] == pytest.approx(record.rms_off_grid, rel=100 * EPS)
        assert trial["first"]["max_off_grid"] == pytest.approx(record.max_off_grid, rel=100 * EPS)


def test_every_start_every_exponent_and_all_pairs(tiny):
    outcome, messages = tiny
    keys = {(t["field"], t["seed"], t["p"], t["q"]) for t in outcome.numbers["trials"]}
    starts = [(field.name, seed) for field in TINY for seed in range(field.seeds)]
    pairs = {(p, p) for p in EXPONENTS} | {(2.0, 10.0), (10.0, 2.0)}
    assert keys == {(*start, *pair) for start in starts for pair in pairs}
    assert len(outcome.numbers["trials"]) == len(keys)
    assert len(messages) == len(starts) * len(EXPONENTS)


def test_pairs_of_one_p_share_the_first_stage(tiny):
    trials = [t for t in tiny[0].numbers["trials"] if t["p"] == 2.0 and t["field"] == TINY[1].name]
    assert len(trials) == 2
    assert trials[0]["first"] == trials[1]["first"]
    assert trials[0]["second"] != trials[1]["second"]


def test_the_outcome_is_told(tiny):
    outcome, _ = tiny
    assert json.loads(json.dumps(to_dict(outcome)))["numbers"] == outcome.numbers
    text = to_markdown(outcome)
    assert text.count("section 3.3, eq. 7") == len(outcome.claims) == 7
    assert "nan" not in text
    # Two starts are too few for a verdict on the gains.
    assert [claim.held for claim in outcome.claims[3:]] == [None] * 4
    assert all(claim.held is not None for claim in outcome.claims[:3])


def test_the_figure_draws(tiny):
    figure = tiny[0].draw()
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert len(panels) == 6
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in panels)


def test_another_optimizer_finds_other_residues(tiny, monkeypatch):
    monkeypatch.setitem(PLANS, "quick", TINY[1:])
    trials = run(Settings(optimizer="lbfgs")).numbers["trials"]
    adam = [trial for trial in tiny[0].numbers["trials"] if trial["field"] == TINY[1].name]
    assert len(trials) == len(adam)
    assert all(mine["first"]["rms"] < 0.9 * other["first"]["rms"] for mine, other in zip(trials, adam, strict=True))


def made_up(gains, seeds=3):
    """A study in which stage 2 lowers the RMS by ``gains[p, q]``, from 1."""
    plan = Plan("turbulence", 16, (1, 1), 1, seeds)
    one = errors(np.array([1.0, -1.0]), off_grid=(1.0, 1.0))
    trials = tuple(
        Trial(plan.name, seed, p, q, one, replace(one, rms=1.0 / gain, max=1.0 / gain))
        for (p, q), gain in gains.items()
        for seed in range(seeds)
    )
    return Study((plan,), trials, Grid((16, 16)), {})


@pytest.mark.parametrize(
    ("gains", "held"),
    [((1.0, 2.0, 1.0, 2.0), True), ((2.0, 1.0, 2.0, 1.0), False), ((1.0, 2.0, 2.0, 1.0), False), ((1.0,) * 4, None)],
)
def test_residues_are_told_apart_by_both_learners(gains, held):
    by_pair = dict(zip(PAIRS, gains, strict=True))
    for seeds, expected in ((3, held), (2, None)):
        study = made_up(by_pair, seeds)
        assert residue_claim(study, "RMS", lambda t: t.gain, lambda t: t.second.rms).held is expected


def test_the_claim_on_the_method_is_decided_by_what_is_left():
    gains = dict(zip(PAIRS, (8.0, 1.0, 1.0, 4.0), strict=True))
    assert method_claim(made_up(gains), "RMS", lambda t: t.second.rms).held is False
    gains[10.0, 10.0] = 80.0
    assert method_claim(made_up(gains), "RMS", lambda t: t.second.rms).held is True


def test_the_quick_plan_is_the_smallest():
    work = {size: sum(f.seeds * f.steps * f.size**2 for f in plans) for size, plans in PLANS.items()}
    assert work["quick"] < work["laptop"] < work["paper"]
