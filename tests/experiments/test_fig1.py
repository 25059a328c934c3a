"""Figure 1 on 12 x 12 samples: its numbers once more from their definitions, and the verdicts on its claims."""

from dataclasses import replace
from functools import cache
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import EPS
from scipy.interpolate import BarycentricInterpolator, make_interp_spline

from simsnn_ref import FitConfig, Grid, fit
from simsnn_ref.experiments import Settings, fig1
from simsnn_ref.problems import get_problem

SIZE, FEATURES, STEPS = 12, 10, 3

FIRST_LAYERS = {"si": "si", "msnn": ("none", "msnn", "msnn"), "fourier": "fourier"}
"""Some of the compared networks; the first stage of the scale factor is a plain network (section 3.2)."""


def u_g(x, y):
    """The target of section 4.1."""
    return (np.sin(2.0 * x + 1.0) - 0.5 * x) * (1.0 - y**2)


def rms(values):
    return np.sqrt(np.mean(values**2))


AXIS = np.linspace(-1.0, 1.0, SIZE)
SAMPLES = u_g(AXIS[:, None], AXIS)


@pytest.fixture(scope="module")
def outcome():
    sizes = {"size": SIZE, "n_features": FEATURES, "steps": STEPS, "seeds": 2, "others": (2,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fig1.SETUPS, "quick", fig1.Setup(**sizes, adam_steps=5, adam_seeds=1))
        return fig1.run(Settings("quick"))


@cache
def errors(first_layer, seed, optimizer, steps, trains):
    """Largest error at the samples after each stage of the fit that section 4.1 describes, none of which ends early."""
    grid = Grid((SIZE, SIZE), periodic=False)
    options = {"stages": 3, "steps": steps, "optimizer": optimizer, "stall_tolerance": 0.0, "target": 0.0}
    options["train_wavenumbers"] = trains
    # Training multiplies roundings of the target: it has to be the same to the bit.
    target = get_problem("ug").target
    model = fit(
        target, grid, mode="paper", first_layer=first_layer, n_features=FEATURES, seed=seed, certify=False, **options
    )
    so_far = [replace(model, stages=model.stages[:n])(grid) for n in range(1, len(model.stages) + 1)]
    return [np.max(np.abs(SAMPLES - values)) / rms(SAMPLES) for values in so_far]


def by_levenberg_marquardt(name, seed, steps):
    return errors(FIRST_LAYERS[name], seed, "levenberg_marquardt", steps, name == "msnn")


def by_adam(name, seed):
    first_layer, *frozen = name.split(" ")
    return errors(FIRST_LAYERS[first_layer], seed, "adam", 5, not frozen)


ADAM = ("si", "si (B frozen)", "msnn", "msnn (B frozen)")


@pytest.mark.parametrize("name", FIRST_LAYERS)
def test_errors_are_those_of_the_stages_so_far(outcome, name):
    found = outcome.numbers["levenberg_marquardt"][name]
    assert len(found) == 2
    for seed, records in enumerate(found, start=1):
        expected = by_levenberg_marquardt(name, seed, STEPS)
        # Sums in float64, here and there: 20 roundings of the field.
        assert [record["max_on_grid"] for record in records] == pytest.approx(expected, rel=1e-9, abs=20 * EPS)


def test_adam_trains_b_and_leaves_it(outcome):
    assert set(outcome.numbers["adam"]) == set(ADAM)
    for name, (records,) in outcome.numbers["adam"].items():
        expected = by_adam(name, 1)
        assert [record["max_on_grid"] for record in records] == pytest.approx(expected, rel=1e-9, abs=20 * EPS)
    assert by_adam("si", 1) != by_adam("si (B frozen)", 1)


def test_the_series_beside_the_networks(outcome):
    """Of all modes it is the samples, whatever the numbers of a network that has more."""
    table = next(table for table in outcome.tables if table.title == "What the network adds")
    assert len(table.rows) == 3 * 6
    for network, modes, numbers in zip(*(table.rows[i::3] for i in range(3)), strict=True):
        assert modes[0].startswith(network[0])
        assert modes[1] == min(max(network[1], 1), SIZE**2 // 2 + 2)
        assert numbers[1] == min(network[2] // 2, SIZE**2 // 2 + 2)
        assert numbers[2] == 2 * numbers[1]
        assert numbers[3] < 4 * EPS
        assert modes[3] >= numbers[3]


def test_the_error_by_steps_is_that_of_the_first_seed(outcome, monkeypatch):
    monkeypatch.setattr(fig1, "CURVE_STEPS", (3, 5, 7))
    grid, target = Grid((SIZE, SIZE), periodic=False), get_problem("ug").target
    model = fit(target, grid, mode="paper", steps=5, n_features=FEATURES, stages=2, seed=1, target=0.0)
    table = fig1._curve_table({"si": [model]})
    assert [row[0] for row in table.rows] == [3, 5]
    first, second = model.history.stages
    scale = second.eps / model.history.rms
    assert (
        table.rows[0][1]
        == f"{first.rms_history[3] * first.eps / model.history.rms:.1e}, {second.rms_history[3] * scale:.1e}"
    )
    assert table.rows[1][1] == f"{first.rms_on_grid:.1e}, {second.rms_on_grid:.1e}"


@pytest.mark.parametrize("steps", [2, STEPS])
def test_the_table_by_steps_has_the_medians_over_the_seeds(outcome, steps):
    table = next(table for table in outcome.tables if table.title.startswith("Third-stage residue"))
    row = next(row for row in table.rows if row[0] == steps)
    for name, cell in zip(("si", "msnn"), row[1:], strict=True):
        thirds = [by_levenberg_marquardt(name, seed, steps)[-1] for seed in (1, 2)]
        assert cell == f"{median(thirds):.1e} ({min(thirds):.0e} to {max(thirds):.0e})"


def test_chebyshev_interpolation_is_that_of_barycentric_formulas(outcome):
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, 2))
    nodes = np.cos(np.pi * (np.arange(SIZE) + 0.5) / SIZE)
    along_y = np.stack([BarycentricInterpolator(nodes, u_g(x, nodes))(points[:, 1]) for x in nodes])
    values = [BarycentricInterpolator(nodes, column)(x) for column, x in zip(along_y.T, points[:, 0], strict=True)]
    error = (values - u_g(*points.T)) / rms(SAMPLES)
    found = outcome.numbers["interpolation"]["Chebyshev interpolation (its own points)"]
    # Two interpolants in float64, each right to some roundings of the field.
    assert found["rms"] == pytest.approx(rms(error), rel=1e-9, abs=20 * EPS)
    assert found["max"] == pytest.approx(np.max(np.abs(error)), rel=1e-9, abs=100 * EPS)


@pytest.mark.parametrize(("name", "degree"), [("cubic spline", 3), ("quintic spline", 5)])
def test_splines_are_tensor_products_of_those_of_one_axis(outcome, name, degree):
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, 2))
    along_y = make_interp_spline(AXIS, SAMPLES, k=degree, axis=1)(points[:, 1])
    values = make_interp_spline(AXIS, along_y, k=degree)(points[:, 0]).diagonal()
    error = (values - u_g(*points.T)) / rms(SAMPLES)
    found = outcome.numbers["interpolation"][name]
    assert found["rms"] == pytest.approx(rms(error), rel=1e-9)
    assert found["max"] == pytest.approx(np.max(np.abs(error)), rel=1e-9)


def fits(**largest):
    """Models that leave these errors after the third stage, one for each seed."""

    config = FitConfig.of(mode="paper", steps=14, train_wavenumbers=False)

    def model(error):
        return SimpleNamespace(history=SimpleNamespace(stages=[SimpleNamespace(max_on_grid=error)]), config=config)

    return {name: list(map(model, values)) for name, values in largest.items()}


@pytest.mark.parametrize(
    ("si", "msnn", "held"),
    [
        ([5e-14], [1e-8], [True, True]),
        # The median counts, not the worst seed and not the best.
        ([1e-19, 5e-14, 1e-7], [1e-8], [True, True]),
        ([1e-19, 2e-13, 3e-13], [1e-8], [False, True]),
        ([1e-10], [1e-8], [False, True]),
        ([1e-10], [9e-9], [False, False]),
        ([1e-14], [1e-14], [True, False]),
    ],
)
def test_claims_are_decided_by_the_medians(si, msnn, held):
    claims = fig1._claims(**fits(si_fits=si, msnn_fits=msnn), how="steps a stage with Adam")
    assert [claim.held for claim in claims] == held
    assert [claim.verdict for claim in claims] == [
        f"{'held' if h else 'did not hold'} by Adam in 14 steps a stage" for h in held
    ]
    assert f"{median(si):.1e}" in claims[0].found
    assert f"{median(msnn):.1e}" in claims[1].found


@pytest.mark.parametrize(
    ("place", "final"),
    [
        (slice(0, 2), lambda name: [by_adam(name, 1)[-1]]),
        (slice(2, 4), lambda name: [by_adam(f"{name} (B frozen)", 1)[-1]]),
        (slice(4, 6), lambda name: [by_levenberg_marquardt(name, seed, STEPS)[-1] for seed in (1, 2)]),
    ],
    ids=["adam", "adam, B frozen", "levenberg_marquardt"],
)
def test_claims_of_the_run_are_those_of_its_errors(outcome, place, final):
    """Twelve points to a side and few steps: far from machine precision, whichever network."""
    si, msnn = (median(final(name)) for name in ("si", "msnn"))
    assert 1e-10 < si < msnn < 100.0 * si
    assert [claim.held for claim in outcome.claims[place]] == [False, False]
    assert f"{si:.1e}" in outcome.claims[place][0].found
