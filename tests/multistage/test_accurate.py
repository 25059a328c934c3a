"""Mode accurate and what it stands on: long double residues, Fourier extension, the near-linear start, certificates."""

from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from simsnn_ref import ConfigError, DataError, FitConfig, Grid, NumpyBackend, fit
from simsnn_ref.model import ErrorSample, certify
from simsnn_ref.model.certificate import MARGIN, evaluate_by_definition, rounding_of_sum
from simsnn_ref.multistage import certify_model, training_set
from simsnn_ref.network import (
    DenseMap,
    ExtendedBackend,
    FFTMap,
    Network,
    SeparableMap,
    extend,
    extended_eps,
    initialize,
    is_extended,
    near_linear_network,
    network_map,
)
from simsnn_ref.problems import get_problem
from simsnn_ref.spectrum import count_extension_modes, count_modes, extension_modes, extension_period, fourier_modes
from simsnn_ref.spectrum.fourier_extension import FourierExtension, _axis

EPS = np.finfo(float).eps
needs_long_double = pytest.mark.skipif(not is_extended(), reason="long double is no wider than float64 here")


@needs_long_double
@pytest.mark.parametrize("shape", [(64,), (24, 20), (10, 8, 12)])
def test_modes_that_are_only_rounding_are_left_out(shape, monkeypatch):
    """A few modes and the rounding of float64, which is some of every mode there is; of large grids, here of any."""
    monkeypatch.setattr("simsnn_ref.multistage.setup.MANY_MODES", 0)
    grid = Grid(shape, 0.0, 2.0 * np.pi)
    u = np.sin(grid.points()).prod(axis=1).reshape(shape)
    model = fit(u, grid, hidden=(8, 8), certify=False)
    # The field has at most four modes, the nonlinearity's harmonics some more, the coordinates' rounding those beside.
    assert sum(stage.n_modes for stage in model.history.stages) < 64
    assert model.history.stages[-1].rms_on_grid <= EPS
    assert "no further stage" in model.history.notes[-1]
    # A smaller target follows the rounding to the end, and small grids always are.
    closer = [fit(u, grid, hidden=(8, 8), certify=False, target=1e-17)]
    monkeypatch.undo()
    closer.append(fit(u, grid, hidden=(8, 8), certify=False))
    for other in closer:
        assert other.history.stages[-1].rms_on_grid < 1e-17
        assert sum(stage.n_modes for stage in other.history.stages) > count_modes(grid) / 2


def si_network(grid, n_features=12, hidden=(5, 4)):
    t = np.random.default_rng(3).standard_normal(grid.shape)
    options = {"n_features": n_features, "hidden": hidden, "rng": np.random.default_rng(4), "backend": NumpyBackend()}
    return initialize("si", t, grid, **options)


@needs_long_double
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(31,), (9, 8), (5, 6, 7)])
def test_every_map_works_in_long_double(shape, periodic):
    grid = Grid(shape, periodic=periodic)
    network, params = extend(*si_network(grid), NumpyBackend())
    backend = ExtendedBackend()
    maps = [
        FFTMap(grid, network.indices, backend, network.period),
        SeparableMap.from_grid(grid, backend),
        DenseMap(grid.scaled_points(np.longdouble), backend),
    ]
    fft, separable, dense = (network.forward(params, fmap) for fmap in maps)
    # |k.x| is below 40 here and rounds each argument; far below an eps of float64, which any shortcut would leave.
    for other in (separable, dense):
        assert other.dtype == np.longdouble
        assert np.max(np.abs(fft - other)) < 200 * extended_eps() * np.max(np.abs(fft))
    rounded = network_map(si_network(grid)[0], grid, NumpyBackend())
    assert np.max(np.abs(si_network(grid)[0].forward(si_network(grid)[1], rounded) - fft)) < 100 * EPS


def test_extended_wavenumbers_are_exact():
    grid = Grid((9, 10), periodic=(True, False))
    network, params = extend(*si_network(grid), NumpyBackend())
    assert network.period == (Fraction(1), Fraction(10, 9))
    with mpmath.workdps(40):
        for k, m in zip(params["B"], network.indices, strict=True):
            for k_i, m_i, ratio in zip(k, m, (1, mpmath.mpf(9) / 10), strict=True):
                exact = mpmath.pi * int(m_i) * ratio
                high = float(np.asarray(k_i))
                found = mpmath.mpf(high) + mpmath.mpf(float(np.asarray(k_i - high)))
                assert abs(found - exact) <= 4 * extended_eps() * abs(exact)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_extension_finds_a_sum_of_its_own_modes(d):
    grid = Grid((20, 18, 16)[:d], periodic=(False, True, False)[:d])
    x = grid.scaled_points()
    t = np.cos(0.5 * np.pi * x[:, 0] + 0.3) + 0.2 * np.cos(np.pi * x.sum(axis=1) - 1.0)
    modes, fit_residual = extension_modes(t.reshape(grid.shape), grid, NumpyBackend())
    assert fit_residual < 1e-12
    total = np.cos(x @ modes.wavenumbers.T + modes.phases) @ modes.amplitudes
    # The truncation of the singular values, 1e-14, is the accuracy asked for.
    assert np.max(np.abs(total - t)) < 1e-12
    assert len(modes) <= count_extension_modes(grid)
    assert modes.period == tuple(Fraction(1) if p else Fraction(2) for p in grid.periodic)


def test_extension_resolves_what_is_not_periodic():
    grid = Grid(60, periodic=False)
    (x,) = grid.scaled_axes()
    t = np.exp(x) * np.cos(3.0 * x)
    modes, _ = extension_modes(t, grid, NumpyBackend())
    between = np.linspace(-1.0, 1.0, 501)
    total = np.cos(between[:, None] * modes.wavenumbers[:, 0] + modes.phases) @ modes.amplitudes
    # At the ends the samples bind the sum least; inside it is a thousand times as close.
    assert np.max(np.abs(total - np.exp(between) * np.cos(3.0 * between))) < 1e-9


def test_extension_values_are_the_sum():
    grid = Grid((7, 8), periodic=(False, True))
    fitted = FourierExtension(grid, (2, 3))
    t = np.random.default_rng(0).standard_normal(grid.shape)
    a = fitted.coefficients(t, 1e-14)
    modes = fitted.modes(a, NumpyBackend())
    total = np.cos(grid.scaled_points() @ modes.wavenumbers.T + modes.phases) @ modes.amplitudes
    assert np.max(np.abs(fitted.values(a).ravel() - total)) < 100 * EPS * np.sum(modes.amplitudes)


@pytest.mark.parametrize("size", [20, 21])
@pytest.mark.parametrize("is_periodic", [False, True])
def test_the_decomposition_of_an_axis_is_one(size, is_periodic):
    grid = Grid(size, periodic=is_periodic)
    axis = _axis(grid.scaled_axes(np.longdouble)[0], 5, extension_period(grid)[0])
    a = axis.wide.astype(np.float64)
    assert np.max(np.abs(axis.u.T @ axis.u - np.eye(11))) < 20 * EPS
    assert np.max(np.abs(axis.v.T @ axis.v - np.eye(11))) < 20 * EPS
    assert np.max(np.abs((axis.u * axis.s) @ axis.v.T - a)) < 20 * EPS * np.max(axis.s)


@pytest.mark.parametrize("delta", [1e-8, 1e-5, 1e-2, 0.1])
@pytest.mark.parametrize("hidden", [(5,), (30, 30, 30)])
def test_the_start_is_the_target_whatever_the_bend(backend, delta, hidden):
    grid = Grid((24, 20))
    x = grid.scaled_points()
    t = backend.asarray(np.sin(np.pi * x[:, 0]) + 0.7 * np.cos(np.pi * (x[:, 0] - 2.0 * x[:, 1]) + 0.4))
    network, params = near_linear_network(
        t,
        lambda s: fourier_modes(backend.xp.reshape(s, grid.shape), grid, backend),
        hidden=hidden,
        delta=delta,
        rng=np.random.default_rng(0),
        backend=backend,
    )
    fmap = network_map(network, grid, backend)
    error = backend.to_numpy(network.forward(params, fmap) - t)
    # The sum of all modes and a few layers behind it: a few roundings of numbers of order 1.
    assert np.max(np.abs(error)) < 40 * EPS
    nonlinear = backend.to_numpy(network.forward(params, fmap) - network.linear_part(params, fmap))
    # Rows of W_1 and the field exceed their RMS by a few, and the nonlinear is cubic in them.
    assert np.max(np.abs(nonlinear)) < 40 * delta**2 + 40 * EPS


def test_training_sets():
    problem = get_problem("abc3d")
    samples, grid = problem.samples(12), problem.grid(12)
    for target in (None, problem.target):
        training = training_set(samples, grid, target, FitConfig())
        truth = problem.target(training.grid.points())
        assert training.stride > 1
        # Band-limited samples: the interpolant is the function, to the rounding of the samples; of 2 pi in the box too.
        assert np.max(np.abs(np.asarray(training.values).ravel() - truth)) < 100 * EPS
        # Without long double the coordinates of the two grids, up to 2 pi, are rounded differently.
        assert np.max(np.abs(np.asarray(training.at_samples(training.values)) - samples)) < 20 * EPS
    paper = training_set(samples, grid, problem.target, FitConfig.of(mode="paper"))
    assert paper.grid == grid
    assert training_set(samples, grid, None, FitConfig.of(refine=3)).stride == 3


@needs_long_double
@pytest.mark.parametrize(
    ("name", "size", "on_grid", "off_grid"),
    [
        pytest.param("ug", 64, 2.2e-16, 1e-13, marks=pytest.mark.slow),
        ("logcos", 64, 2.2e-16, 1e-14),
        pytest.param("abc3d", 16, 1e-15, 1e-14, marks=pytest.mark.slow),
    ],
)
def test_functions_are_fitted_beyond_double_precision(name, size, on_grid, off_grid):
    problem = get_problem(name)
    model = fit(problem.target, problem.grid(size), refine=2)
    last = model.history.stages[-1]
    assert last.rms_on_grid < on_grid
    assert last.max_off_grid < off_grid
    assert model.history.certified["agrees"]
    # The model is what the record says, by float64 evaluation as far as that goes: |k.x| eps in each cosine.
    assert np.max(np.abs(model(problem.grid(size)) - problem.samples(size))) < 1e-13


@needs_long_double
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "grid", "tolerance"),
    [
        (lambda p: 1.0 / (1.0 + 100.0 * p[:, 0] ** 2), Grid(33, periodic=False), 1e-16),
        # Its wavenumber is beyond what four points per sample resolve, and with one the samples look smooth.
        (lambda p: np.sin(100.0 * p[:, 0]), Grid(17, periodic=False), 1e-8),
        (lambda p: np.exp(60.0 * np.cos(np.longdouble("3.141592653589793238") * p[:, 0]) - 60.0), Grid(8), 1e-16),
    ],
    ids=["peak", "wave", "periodic"],
)
def test_functions_are_sampled_as_finely_as_a_stage_needs(target, grid, tolerance):
    # A stage that gains nothing is not kept.
    coarse = [stage.rms_off_grid for stage in fit(target, grid, refine=4).history.stages]
    assert min(coarse, default=1.0) > 100 * tolerance
    model = fit(target, grid)
    assert any("the function is sampled at" in note for note in model.history.notes)
    last = model.history.stages[-1]
    assert max(last.rms_on_grid, last.rms_off_grid) < tolerance
    assert model.history.certified["agrees"]
    assert model.grid == grid


def test_rounding_is_no_reason_to_sample_more_finely():
    model = fit(lambda p: np.exp(p[:, 0].astype(np.float64)), Grid(33, periodic=False), stages=2)
    assert not any("sampled" in note for note in model.history.notes)


@needs_long_double
def test_samples_of_turbulence_are_fitted_beyond_double_precision():
    problem = get_problem("turbulence")
    u = problem.samples(32, reynolds=100.0)
    model = fit(u, problem.grid(32))
    last = model.history.stages[-1]
    assert model.history.off_grid == "interpolation"
    assert last.rms_on_grid < 2.2e-16
    assert last.rms_off_grid < 2.2e-16
    deeper = fit(u, problem.grid(32), target=0.0, stages=3)
    assert deeper.history.stages[-1].rms_on_grid < 1e-18
    assert 0.0 < deeper.history.stages[0].nonlinear_share < 1e-7


@pytest.mark.slow
def test_samples_that_are_not_periodic():
    problem = get_problem("ug")
    model = fit(problem.samples(128), problem.grid(128), off_grid="holdout")
    assert model.history.stages[-1].rms_on_grid < 1e-13
    assert model.history.stages[-1].rms_off_grid < 1e-11


@pytest.mark.parametrize("first_layer", ["si", "ffm", "none"])
def test_definition_in_long_double_and_with_mpmath(first_layer):
    problem = get_problem("ug")
    config = FitConfig.of(mode="paper", optimizer="adam", steps=(10,), stages=2, hidden=(4, 3), n_features=(8,))
    model = fit(problem.target, problem.grid(9), config, first_layer=first_layer)
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (4, 2)).astype(np.longdouble)
    stages = [(stage.eps, stage.network, stage.params) for stage in model.stages]
    wide = evaluate_by_definition(stages, points, model.backend)
    exact = evaluate_by_definition(stages, points, model.backend, digits=40)
    assert np.max(np.abs(np.asarray(wide - exact))) < 500 * extended_eps()
    assert np.max(np.abs(np.asarray(wide) - model(points.astype(float)))) < 500 * EPS


def test_a_wrong_error_is_found():
    problem = get_problem("logcos")
    model = fit(problem.target, problem.grid(24), FitConfig.of(mode="paper", optimizer="adam", steps=(10,)))
    certified = model.history.certified
    assert certified["agrees"]
    assert certify_model(model, problem.target, problem.grid(24)).to_dict() == certified
    stages = [(stage.eps, stage.network, stage.params) for stage in model.stages]
    points = np.linspace(-1, 1, 5, dtype=np.longdouble)[:, None]
    values = problem.target(points)
    residue = values - evaluate_by_definition(stages, points, model.backend)
    for factor, agrees in ((1.0, True), (1.005, True), (1.02, False)):
        sample = ErrorSample(points, values, factor * residue, np.ones(5, dtype=bool))
        assert certify(stages, sample, None, 1.0, model.backend).agrees is agrees
    changed = replace(model, stages=model.stages[:-1])
    assert certify_model(changed, problem.target, problem.grid(24)).rms_on_grid > certified["rms_on_grid"]
    with pytest.raises(DataError, match="the model was fitted on"):
        certify_model(model, problem.target, problem.grid(25))


def cancelling(scale, seed=0):
    """A stage whose output is `scale` times the difference of two networks that differ by 1 / `scale`."""
    rng = np.random.default_rng(seed)
    grid, h, n_f = Grid((16, 16)), 6, 40
    modes = fourier_modes(rng.standard_normal(grid.shape), grid, NumpyBackend(), n_f)
    hidden = (2 * h, 2 * h)
    network = Network(NumpyBackend(), "si", hidden, modes.amplitudes, frozen=frozenset("B"))
    network = replace(network, indices=modes.indices, period=modes.period)
    W1 = rng.standard_normal((h, n_f))
    W2, w = rng.standard_normal((h, h)) / 2.0, rng.standard_normal((1, h))
    params = {
        "B": modes.wavenumbers,
        "b": modes.phases,
        "W1": np.concatenate([W1, W1 + rng.standard_normal(W1.shape) / scale]),
        "c1": np.zeros(2 * h),
        "W2": np.kron(np.eye(2), W2),
        "c2": np.zeros(2 * h),
        "W3": scale * np.concatenate([w, -w], axis=1),
        "c3": np.zeros(1),
    }
    return 1.0, network, params


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_rounding_of_networks_whose_terms_cancel(scale):
    """The estimate is that of the errors found with 40 digits, however much cancels."""
    stages = [cancelling(scale)]
    points = np.random.default_rng(1).uniform(-1.0, 1.0, (60, 2))
    wide = evaluate_by_definition(stages, points, NumpyBackend())
    exact = evaluate_by_definition(stages, points, NumpyBackend(), digits=40)
    errors = np.abs(np.asarray(wide - exact)) / extended_eps()
    estimates = rounding_of_sum(stages, points, NumpyBackend())
    assert np.all(errors <= MARGIN * estimates)
    # It is an RMS and no bound for the worst case: the errors are not far below.
    assert 0.05 < np.sqrt(np.mean(errors**2)) / np.sqrt(np.mean(estimates**2)) < 1.0
    # What cancels is in it: numbers of order `scale` are rounded.
    assert np.sqrt(np.mean(estimates**2)) > 10.0 * scale


@pytest.mark.slow
def test_a_spike_is_certified():
    """One sample of 1 among zeros: what the stages leave is the rounding of numbers that cancel."""
    u = np.zeros((24, 24))
    u[0, 0] = 1.0
    options = {"mode": "paper", "optimizer": "second_order", "train_wavenumbers": False, "stages": 2}
    model = fit(u, **options)
    assert model.history.certified["agrees"]
    assert not any("CERTIFICATION FAILED" in note for note in model.history.notes)


def test_zero_and_constant_fields_are_certified():
    for value in (0.0, 3.5):
        certified = fit(np.full((8, 8), value)).history.certified
        assert certified["rms_on_grid"] == 0.0
        assert certified["agrees"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_layer": "rff"}, "use mode 'paper'"),
        ({"train_wavenumbers": True}, "use mode 'paper'"),
        ({"n_features": (5, 200)}, "n_features = 200: a grid of 16 x 16 points has 130 Fourier modes"),
    ],
)
def test_options_that_mode_accurate_does_not_have(options, message):
    with pytest.raises(ConfigError, match=message):
        fit(np.random.default_rng(0).standard_normal((8, 8)), **options)
