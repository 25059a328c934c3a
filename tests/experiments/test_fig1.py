"""Figure 1 on 12 x 12 samples: its numbers once more from their definitions, and the verdicts on its claims."""

from dataclasses import replace
from functools import cache
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import EPS
from scipy.interpolate import BarycentricInterpolator, make_interp_spline

from simsnn_ref import Grid, fit
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
def errors(first_layer, seed, optimizer, steps):
    """Largest error at the samples after each stage of the fit that section 4.1 describes, none of which ends early."""
    grid = Grid((SIZE, SIZE), periodic=False)
    options = {"stages": 3, "steps": steps, "optimizer": optimizer, "stall_tolerance": 0.0, "target": 0.0}
    # Training multiplies roundings of the target: it has to be the same to the bit.
    target = get_problem("ug").target
    model = fit(
        target, grid, mode="paper", first_layer=first_layer, n_features=FEATURES, seed=seed, certify=False, **options
    )
    so_far = [replace(model, stages=model.stages[:n])(grid) for n in range(1, len(model.stages) + 1)]
    return [np.max(np.abs(SAMPLES - values)) / rms(SAMPLES) for values in so_far]


@pytest.mark.parametrize("name", FIRST_LAYERS)
def test_errors_are_those_of_the_stages_so_far(outcome, name):
    for optimizer, steps in (("levenberg_marquardt", STEPS), ("adam", 5)):
        for seed, records in enumerate(outcome.numbers[optimizer].get(name, []), start=1):
            expected = errors(FIRST_LAYERS[name], seed, optimizer, steps)
            # Sums in float64, here and there: 20 roundings of the field.
            assert [record["max_on_grid"] for record in records] == pytest.approx(expected, rel=1e-9, abs=20 * EPS)


@pytest.mark.parametrize("steps", [2, STEPS])
def test_the_table_by_steps_has_the_medians_over_the_seeds(outcome, steps):
    table = next(table for table in outcome.tables if table.title.startswith("Third-stage residue"))
    row = next(row for row in table.rows if row[0] == steps)
    for name, cell in zip(("si", "msnn"), row[1:], strict=True):
        thirds = [errors(FIRST_LAYERS[name], seed, "levenberg_marquardt", steps)[-1] for seed in (1, 2)]
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

    def model(error):
        return SimpleNamespace(history=SimpleNamespace(stages=[SimpleNamespace(max_on_grid=error)]))

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
    claims = fig1._claims(fits(si=si, msnn=msnn), 14, "adam")
    assert [claim.held for claim in claims] == held
    assert f"{median(si):.1e}" in claims[0].found
    assert f"{median(msnn):.1e}" in claims[1].found


@pytest.mark.parametrize(
    ("place", "optimizer", "steps", "seeds"),
    [(slice(0, 2), "levenberg_marquardt", STEPS, (1, 2)), (slice(2, 4), "adam", 5, (1,))],
)
def test_claims_of_the_run_are_those_of_its_errors(outcome, place, optimizer, steps, seeds):
    """Twelve points to a side and few steps: far from machine precision, whichever network."""
    si, msnn = (
        median(errors(FIRST_LAYERS[name], seed, optimizer, steps)[-1] for seed in seeds) for name in ("si", "msnn")
    )
    assert 1e-10 < si < msnn < 100.0 * si
    assert [claim.held for claim in outcome.claims[place]] == [False, False]
