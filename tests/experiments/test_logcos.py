"""One dimension on 61 samples: its numbers once more by another route, and the verdicts on its claims."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from conftest import EPS
from scipy.interpolate import BarycentricInterpolator, CubicSpline

from simsnn_ref import FitConfig, Grid, fit
from simsnn_ref.experiments import Settings, one_dimension
from simsnn_ref.experiments.one_dimension import Errors, Way

SIZE = 61

X = np.linspace(-1.02, 1.02, SIZE)
JUDGED = np.linspace(-1.0, 1.0, 8000)


def field(x):
    return np.log(x + 2.0) * np.cos(2.0 * x + x**3)


SAMPLES = field(X)
RMS = np.sqrt(np.mean(SAMPLES**2))

TINY = one_dimension.Setup(SIZE, 4, (6, 5), 4, (6,), (5, 7))

MSNN = {"first_layer": ("none", "msnn", "msnn", "msnn"), "n_features": 4, "p": 2.0}
FITS = {
    "msnn, adam": MSNN | {"optimizer": "adam", "steps": (5, 7)},
    "msnn, lbfgs": MSNN | {"optimizer": "lbfgs", "steps": 6, "stall_tolerance": 0.0},
    "msnn, levenberg_marquardt": MSNN | {"optimizer": "levenberg_marquardt", "steps": 4, "stall_tolerance": 0.0},
    "si, 31 modes, levenberg_marquardt": {
        "first_layer": "si",
        "n_features": 31,
        "optimizer": "levenberg_marquardt",
        "steps": 4,
        "train_wavenumbers": False,
    },
}
"""What each network in mode paper is, by its name in the tables."""


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(one_dimension.SETUPS, "quick", TINY)
        return one_dimension.run(Settings("quick"))


def errors(at_samples, at_judged):
    """The four errors of the tables, of values in float64."""
    on, off = (at_samples - SAMPLES) / RMS, (at_judged - field(JUDGED)) / RMS
    return [np.max(np.abs(on)), np.sqrt(np.mean(on**2)), np.max(np.abs(off)), np.sqrt(np.mean(off**2))]


def found(outcome, name):
    return [list(after.values()) for after in outcome.numbers["ways"][name]["after"]]


@pytest.mark.parametrize("name", FITS)
def test_errors_are_those_of_the_stages_so_far(outcome, name):
    # Training multiplies roundings of the samples: they have to be the same to the bit.
    grid = Grid((SIZE,), (-1.02,), (1.02,), periodic=(False,))
    samples = one_dimension.TARGET(grid.points())
    common = {"mode": "paper", "stages": 4, "hidden": (6, 5), "target": 0.0, "certify": False}
    model = fit(samples, grid, **common, **FITS[name])
    so_far = [replace(model, stages=model.stages[:n]) for n in range(1, len(model.stages) + 1)]
    expected = [errors(part(grid), part(JUDGED)) for part in so_far]
    # Values in float64 here and in extended precision there: some roundings of the field.
    assert found(outcome, name) == [pytest.approx(values, rel=1e-9, abs=100 * EPS) for values in expected]


def test_mode_accurate_is_given_the_samples_alone(outcome):
    grid = Grid((SIZE,), (-1.02,), (1.02,), periodic=(False,))
    model = fit(one_dimension.TARGET(grid.points()), grid, certify=False)
    last = found(outcome, "mode accurate")[-1]
    assert last == pytest.approx(errors(model(grid), model(JUDGED)), rel=1e-9, abs=100 * EPS)


def test_the_series_of_all_modes_is_the_trigonometric_interpolant(outcome):
    """With as many points as samples a period is one spacing longer than the box: the field jumps at its end."""
    spectrum = np.fft.rfft(SAMPLES) / SIZE
    spectrum[1:] *= 2.0

    def series(x):
        turns = np.outer(x - X[0], np.arange(spectrum.size)) / (SIZE * (X[1] - X[0]))
        return np.real(np.exp(2j * np.pi * turns) @ spectrum)

    (values,) = found(outcome, "Fourier series, 31 modes")
    # Angles of up to 30 turns in float64 are rounded to 200 EPS each.
    assert values == pytest.approx(errors(series(X), series(JUDGED)), rel=1e-9, abs=1000 * EPS)
    assert values[0] < 100 * EPS < 1e-3 < values[2]
    assert outcome.numbers["ways"]["Fourier series, 31 modes"]["numbers_kept"] == 62


def test_the_cubic_spline_is_that_without_knots_next_to_the_ends(outcome):
    spline = CubicSpline(X, SAMPLES, bc_type="not-a-knot")
    (values,) = found(outcome, "spline of degree 3")
    assert values == pytest.approx(errors(spline(X), spline(JUDGED)), rel=1e-9, abs=100 * EPS)


def test_a_spline_of_higher_degree_is_more_accurate_between_the_samples(outcome):
    cubic, quintic, seventh = (found(outcome, f"spline of degree {degree}")[0][3] for degree in (3, 5, 7))
    assert seventh < 0.1 * quintic < 0.01 * cubic


@pytest.mark.parametrize("points", [12, 40])
def test_chebyshev_interpolants_are_those_of_barycentric_formulas(points):
    nodes = 1.02 * np.cos(np.pi * (np.arange(points) + 0.5) / points)
    expected = BarycentricInterpolator(nodes, field(nodes))(JUDGED)
    # Two interpolants in float64, each right to some roundings of the field.
    assert np.max(np.abs(one_dimension._chebyshev(points)(JUDGED) - expected)) < 100 * EPS


def test_chebyshev_interpolants_of_many_points_keep_all_digits():
    exact = [float(mpmath.log(x + 2) * mpmath.cos(2 * x + mpmath.mpf(x) ** 3)) for x in JUDGED[::400]]
    assert np.max(np.abs(one_dimension._chebyshev(1501)(JUDGED[::400]) - exact)) < 20 * EPS


def test_rms_of_the_samples_and_of_the_8000_points(outcome):
    assert outcome.numbers["rms_at_samples"] == pytest.approx(RMS, rel=1e-12)
    assert outcome.numbers["rms_at_judged"] == pytest.approx(np.sqrt(np.mean(field(JUDGED) ** 2)), rel=1e-12)


def test_tables_have_the_numbers_of_every_way(outcome):
    stages, ways = outcome.tables
    for name, way in outcome.numbers["ways"].items():
        (row,) = [row for row in ways.rows if row[0] == name]
        assert row[1:6] == (way["numbers_kept"], *way["after"][-1].values())
        rows = [row for row in stages.rows if row[0] == name]
        assert len(rows) == len(way["stages"])
        for row, stage, after in zip(rows, way["stages"], way["after"], strict=False):
            assert row[1:6] == tuple(stage[key] for key in ("index", "first_layer", "n_modes", "n_parameters", "steps"))
            assert row[6:10] == tuple(after.values())
        if stages_kept := way["stages"]:
            assert way["numbers_kept"] == sum(stage["n_parameters"] for stage in stages_kept)


class FakeModel:
    """No more of a model than the claims look at."""

    def __init__(self, **options):
        self.config = FitConfig.of(mode="paper", **options)


@pytest.mark.parametrize(
    ("at_samples", "at_judged", "held"),
    [
        (1e-15, 1e-15, [True, True]),
        (1.1e-15, 9e-16, [False, True]),
        (1e-17, 1e-3, [True, False]),
        (2e-9, 2e-9, [False, False]),
    ],
)
def test_claims_are_decided_by_the_largest_errors_after_the_last_stage(at_samples, at_judged, held):
    after = (Errors(1e-4, 1e-4, 1e-4, 1e-4), Errors(at_samples, 0.0, at_judged, 0.0))
    way = Way("a network", after, 1, 1.0, np.zeros(3), FakeModel(optimizer="lbfgs"))
    claims = list(one_dimension._claims(way))
    assert [claim.held for claim in claims] == held
    assert f"{at_samples:.1e} at the samples after 2 stages" in claims[0].found
    assert f"{at_judged:.1e} at 8000 points" in claims[1].found


@pytest.mark.parametrize(
    ("options", "by"),
    [
        ({"optimizer": "lbfgs"}, "another optimizer"),
        ({"optimizer": "adam", "steps": (3000, 5000)}, "Adam in 3000 steps a stage"),
        ({"optimizer": "adam"}, "the paper's method"),
    ],
)
def test_verdicts_say_by_which_method(options, by):
    way = Way("a network", (Errors(0.0, 0.0, 0.0, 0.0),), 1, 1.0, np.zeros(3), FakeModel(**options))
    assert {claim.verdict for claim in one_dimension._claims(way)} == {f"held by {by}"}


def test_every_network_in_mode_paper_has_both_claims(outcome):
    assert len(outcome.claims) == 2 * len(FITS)
    for name, pair in zip(FITS, (outcome.claims[i : i + 2] for i in range(0, 8, 2)), strict=True):
        last = found(outcome, name)[-1]
        assert [claim.held for claim in pair] == [last[0] <= 1e-15, last[2] <= 1e-15]
        assert all(name in claim.found for claim in pair)


def test_the_figure_has_the_errors_and_what_two_networks_leave(outcome):
    axes = outcome.draw().axes
    assert len(axes) == 3
    drawn = [line.get_ydata() for line in axes[0].get_lines()]
    networks = [*FITS, "mode accurate"]
    for number, name in enumerate(networks):
        after = found(outcome, name)
        assert list(drawn[2 * number]) == [errors[0] for errors in after]
        assert list(drawn[2 * number + 1]) == [errors[2] for errors in after]
    best = min(networks, key=lambda name: found(outcome, name)[-1][2])
    assert best in axes[1].get_title()
    assert "si, 31 modes" in axes[2].get_title()
