"""The staged fit as a user meets it: errors fall, figures are true, odd fields are said to be odd."""

from itertools import pairwise

import numpy as np
import pytest

from simsnn_ref import Box, Callback, ConfigError, DataError, FitConfig, Grid, OutsideBoxWarning, fit
from simsnn_ref.problems import get_problem

EPS = np.finfo(float).eps
QUICK = FitConfig.of(mode="paper", optimizer="adam", steps=(40,), hidden=(10, 10), stages=2)


def smooth(points):
    """Band-limited on [0, 2 pi)^d."""
    x = points[:, 0]
    rest = points[:, 1:].sum(axis=1)
    return np.sin(x + 0.3) * np.cos(2 * rest) + 0.3 * np.cos(3 * x - rest) + 0.1


def periodic_grid(n, d):
    return Grid((n,) * d, 0.0, 2 * np.pi)


@pytest.mark.parametrize("shape", [(24,), (12, 15), (8, 9, 10)])
def test_stages_lower_the_error_and_the_figures_are_true(backend, shape):
    grid = Grid(shape, 0.0, 2 * np.pi)
    u = smooth(grid.points()).reshape(shape)
    model = fit(u, grid, QUICK, backend=backend)
    size = np.sqrt(np.mean(u**2))
    e = model(grid) - u
    records = model.history.stages
    assert [record.index for record in records] == [1, 2]
    assert 1.0 > records[0].rms_on_grid > records[1].rms_on_grid
    # The model is summed in another order than the residue was reduced: a few roundings of u.
    assert np.sqrt(np.mean(e**2)) / size == pytest.approx(records[1].rms_on_grid, abs=4 * EPS)
    assert np.max(np.abs(e)) / size == pytest.approx(records[1].max_on_grid, abs=8 * EPS)
    assert np.max(np.abs(e)) / np.max(np.abs(u)) == pytest.approx(records[1].max_on_grid_to_max, abs=8 * EPS)
    fine = grid.refined(2)
    between = np.ones(fine.shape, dtype=bool)
    between[(slice(None, None, 2),) * grid.ndim] = False
    off = (model(fine) - smooth(fine.points()).reshape(fine.shape))[between]
    # `smooth` is band-limited on these grids, so its trigonometric interpolant is the function itself.
    assert np.sqrt(np.mean(off**2)) / size == pytest.approx(records[1].rms_off_grid, rel=1e-9)
    assert np.max(np.abs(off)) / size == pytest.approx(records[1].max_off_grid, rel=1e-9)
    assert model.history.off_grid == "interpolation"


@pytest.mark.parametrize("first_layer", ["si", "msnn", "rff", "ffm", "cos", "none", "fourier"])
def test_every_first_layer_lowers_the_error(first_layer):
    model = fit(smooth, Box((0.0,), (2 * np.pi,)), QUICK, first_layer=first_layer, n_features=12, steps=150, p=2)
    records = model.history.stages
    assert records[0].first_layer == first_layer
    assert records[-1].rms_on_grid < 0.9
    assert all(after.rms_on_grid < before.rms_on_grid for before, after in pairwise(records))
    assert model.history.off_grid == "random"
    points = np.random.default_rng(5).uniform(0.0, 2 * np.pi, (2000, 1))
    off = np.sqrt(np.mean((model(points) - smooth(points)) ** 2)) / model.history.rms
    # Another random sample of the same error: a few parts in sqrt(2000).
    assert off == pytest.approx(records[-1].rms_off_grid, rel=0.15)


def test_fourier_series_alone_is_exact_with_all_modes(backend):
    grid = Grid((9, 8))
    u = np.random.default_rng(1).standard_normal(grid.shape)
    model = fit(u, grid, mode="paper", first_layer="fourier", n_features=37, stages=1, backend=backend)
    assert model.history.stages[0].n_parameters == 0
    assert model.history.stages[0].stopped_because == "nothing to train"
    # A sum of 37 cosines and the transform behind it: a few eps of the field.
    assert model.history.stages[0].rms_on_grid < 4 * EPS


def test_machine_precision_ends_the_fit():
    grid = Grid(16)
    model = fit(
        np.cos(np.pi * grid.scaled_axes()[0]),
        grid,
        mode="paper",
        first_layer="fourier",
        n_features=1,
        stages=4,
        target=EPS,
    )
    assert len(model.stages) < 4
    assert model.history.stages[-1].rms_on_grid < EPS
    assert "no further stage" in model.history.notes[-1]


@pytest.mark.parametrize("value", [3.7, -1e-300, 1e300])
def test_constant_field_is_fitted_exactly(backend, value):
    grid = Grid((5, 4), 0.0, 3.0, periodic=False)
    model = fit(np.full(grid.shape, value), grid, backend=backend)
    assert np.all(model(grid) == value)
    assert np.all(model(np.array([[0.123, 2.9]])) == value)
    assert np.all(model.gradient(grid) == 0.0)
    assert model.history.stages[0].rms_on_grid == 0.0
    assert "constant" in model.history.notes[0]


def test_zero_field_is_fitted_exactly(backend):
    model = fit(np.zeros((6, 7)), backend=backend)
    assert np.all(model(np.array([[0.1, 0.2]])) == 0.0)
    assert model(model.grid).shape == (6, 7)
    assert model.hessian(model.grid).shape == (6, 7, 2, 2)
    assert any("zero everywhere" in note for note in model.history.notes)
    # One stage, as any field has: what looks at the last one finds it.
    assert len(model.stages) == 1
    last = model.history.stages[-1]
    assert (last.eps, last.rms_on_grid, last.max_on_grid, last.rms_off_grid, last.loss) == (0.0,) * 5
    assert model.history.certified["agrees"]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_huge_and_tiny_fields(scale):
    grid = periodic_grid(12, 2)
    u = smooth(grid.points()).reshape(grid.shape)
    plain = fit(u, grid, QUICK)
    scaled = fit(u * scale, grid, QUICK)
    # The stages see the normalised field; scaling by a number that is no power of two perturbs it by an eps, which
    # training amplifies.
    assert scaled.history.stages[-1].rms_on_grid == pytest.approx(plain.history.stages[-1].rms_on_grid, rel=1e-3)
    assert scaled.history.rms == pytest.approx(scale * plain.history.rms, rel=4 * EPS)


def test_float32_and_lists_are_taken():
    u = np.sin(np.linspace(0, 6, 20)).astype(np.float32)
    model = fit(u, config=QUICK)
    assert model.history.notes[0].startswith("u is float32: below about 6e-08 of its size nothing is signal")
    assert not any("float32" in note for note in fit(u.tolist(), config=QUICK).history.notes)


def test_same_seed_same_bits():
    problem = get_problem("ug")
    a, b, c = (fit(problem.target, problem.grid(16), QUICK, seed=seed) for seed in (3, 3, 4))
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert np.array_equal(a(points), b(points))
    assert not np.array_equal(a(points), c(points))


def test_hold_out():
    grid = Grid((17, 16), periodic=False)
    u = get_problem("ug").target(grid.points()).reshape(grid.shape)
    model = fit(u, grid, QUICK, off_grid="holdout")
    assert model.grid.shape == (9, 8)
    assert model.grid.upper == (1.0, grid.axes()[1][14])
    note = next(note for note in model.history.notes if "holdout" in note)
    assert "fitted to every second sample along each axis, 9 x 8 of 17 x 16" in note
    assert note.endswith(". Its box ends at 0.8666666667, not 1, on axis 1")
    with pytest.warns(OutsideBoxWarning, match="17 of 272 points"):
        e = model(grid)[:, :15] - u[:, :15]
    is_validation = np.ones(e.shape, dtype=bool)
    is_validation[::2, ::2] = False
    size = np.sqrt(np.mean(u[::2, ::2] ** 2))
    # Other points, another feature map: the argument k.x rounds differently.
    assert np.sqrt(np.mean(e[is_validation] ** 2)) / size == pytest.approx(
        model.history.stages[-1].rms_off_grid, rel=1e-10
    )
    with pytest.raises(DataError, match="odd number"):
        fit(u, Grid((17, 16)), off_grid="holdout")
    with pytest.raises(DataError, match="too few"):
        fit(u[:6, :], Grid((6, 16)), off_grid="holdout")


@pytest.mark.parametrize("off_grid", ["auto", "holdout"])
def test_points_that_are_held_out_are_said(off_grid):
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 1))
    model = fit(points, np.exp(points[:, 0]), stages=1, certify=False, off_grid=off_grid)
    held = "4 of the points, drawn at random, are held out to check the fit; the model is fitted to the other 36"
    assert held in model.history.notes


def test_off_grid_is_measured_only_where_it_is_asked_for():
    u = get_problem("logcos").samples(20)
    model = fit(u, Grid(20, periodic=False), QUICK, off_grid="none")
    assert model.history.off_grid == "none"
    assert model.history.stages[0].rms_off_grid is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stagess": 2}, r"^unknown option 'stagess' \(did you mean 'stages', which is stages\.count\?\)$"),
        ({"n_features": (3, 35)}, "n_features = 35: a grid of 8 x 8 points has 34 Fourier modes; choose 1 to 34"),
        ({"first_layer": "cos", "n_features": 5, "feature_map": "fft"}, "needs wavenumbers B frozen"),
        ({"first_layer": ("si", "cos"), "n_features": 5, "feature_map": "fft"}, "needs wavenumbers B frozen"),
        ({"train_wavenumbers": True, "feature_map": "fft"}, "needs wavenumbers B frozen"),
        ({"first_layer": "rff", "train_wavenumbers": True}, "first_layer rff has none that could train"),
        ({"first_layer": "ffm", "n_features": 5}, "even number"),
        ({"off_grid": "random"}, "needs a function"),
        ({"backend": "cuppy"}, "not known"),
    ],
)
def test_impossible_options_are_found_before_training(options, message):
    grid = Grid((8, 8))
    u = smooth(grid.points()).reshape(grid.shape)

    class Never(Callback):
        def on_step(self, step):
            raise AssertionError("training began")

    error = ImportError if "backend" in options else ConfigError
    with pytest.raises(error, match=message):
        fit(u, grid, QUICK, callbacks=[Never()], **options)


def test_samples_need_a_grid_and_functions_a_domain():
    with pytest.raises(DataError, match="needs a Grid or a Box"):
        fit(smooth)
    with pytest.raises(DataError, match="samples need a Grid"):
        fit(np.arange(8.0), Box(0.0, 1.0))


def test_callbacks_hear_everything():
    heard = []

    class Listener(Callback):
        def on_stage_start(self, stage, n_stages, description):
            heard.append(("start", stage, n_stages))

        def on_step(self, step):
            heard.append(("step", step.stage, step.step))
            assert step.loss > 0.0
            assert step.rms > 0.0

        def on_stage_end(self, record):
            heard.append(("end", record.index, record.steps))

    model = fit(smooth, Grid(10, 0, 6), QUICK.with_options(steps=(30, 40)), callbacks=[Listener()])
    assert heard == [
        ("start", 1, 2),
        *[("step", 1, i) for i in range(1, 31)],
        ("end", 1, 30),
        ("start", 2, 2),
        *[("step", 2, i) for i in range(1, 41)],
        ("end", 2, 40),
    ]
    assert model.history.stages[1].loss_history.shape == (40,)
    assert model.history.stages[1].energy.shape == (200,)


def test_a_diverging_stage_is_not_kept():
    grid = periodic_grid(16, 1)
    model = fit(
        smooth, grid, QUICK, steps=(40, 400), learning_rate=1e200, final_learning_rate=1e200, schedule="constant"
    )
    assert len(model.stages) == len(model.history.stages)
    assert all(np.isfinite(record.rms_on_grid) for record in model.history.stages)
    assert np.all(np.isfinite(model(grid)))
