"""The problems by name, and the analytic targets against independent evaluations."""

import doctest
import math

import mpmath
import numpy as np
import pytest

from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.problems import PROBLEMS, Problem, analytic, get_problem, registry, turbulence
from simsnn_ref.spectrum import Box

EPS = np.finfo(np.float64).eps

FORMULAS = {
    "ug": lambda x, y: (mpmath.sin(2 * x + 1) - x / 2) * (1 - y**2),
    "logcos": lambda x: mpmath.log(x + 2) * mpmath.cos(2 * x + x**3),
    "abc3d": lambda x, y, z: (
        mpmath.sqrt(3) * mpmath.sin(z)
        + mpmath.cos(y)
        + mpmath.exp(-1) * mpmath.sin(2 * x - y + z)
        + mpmath.cos(3 * x + 2 * y) / (10 * mpmath.pi)
        + mpmath.sqrt(2) / 100 * mpmath.sin(5 * x - 4 * y + 3 * z)
    ),
}
ANALYTIC = sorted(FORMULAS)


@pytest.mark.parametrize("name", ANALYTIC)
def test_target_agrees_with_its_formula_in_30_digits(name):
    problem = PROBLEMS[name]
    rng = np.random.default_rng(1)
    unit = np.concatenate([rng.random((50, problem.box.ndim)), np.zeros((1, problem.box.ndim))])
    points = problem.box.to_physical(2.0 * unit - 1.0)
    values = problem.target(points)
    with mpmath.workdps(30):
        exact = [float(FORMULAS[name](*map(mpmath.mpf, map(float, point)))) for point in points]
    # The arguments of sine reach 40 in abc3d and are rounded, half an eps of each, before its slope of at most 2 acts.
    assert np.max(np.abs(values - exact)) <= 16 * EPS


def test_targets_at_points_known_by_hand():
    assert analytic.logcos(np.asarray([[-1.0]]))[0] == 0.0
    assert analytic.ug(np.asarray([[0.3, 1.0], [0.3, -1.0]])).tolist() == [0.0, 0.0]
    assert analytic.ug(np.asarray([[-0.5, 0.0]]))[0] == 0.25
    assert analytic.abc3d(np.zeros((1, 3)))[0] == pytest.approx(1.0 + 0.1 / math.pi, rel=2 * EPS)


@pytest.mark.parametrize(("target", "ndim"), [(analytic.ug, 2), (analytic.logcos, 1), (analytic.abc3d, 3)])
def test_targets_refuse_points_of_another_shape(target, ndim):
    for shape in [(5,), (5, ndim + 1), (5, ndim, 1)]:
        with pytest.raises(DataError, match=rf"expected shape \(n, {ndim}\)"):
            target(np.zeros(shape))
    assert target(np.zeros((0, ndim))).shape == (0,)


def test_abc3d_is_band_limited():
    modes = np.fft.rfftn(PROBLEMS["abc3d"].samples(16)) / 16**3
    side = np.abs(np.fft.fftfreq(16, 1 / 16))
    largest = np.maximum(np.maximum(side[:, None, None], side[None, :, None]), np.arange(9))
    assert np.max(np.abs(modes[largest > 5])) <= 16 * EPS
    # Five cosines: one of each conjugate pair, both where kz = 0, that is for cos y and cos(3x + 2y).
    assert np.sum(np.abs(modes) > 1e-6) == 7


@pytest.mark.parametrize("name", ANALYTIC)
def test_samples_are_the_target_on_the_grid(name):
    problem = PROBLEMS[name]
    grid = problem.grid(9)
    samples = problem.samples(9)
    assert samples.shape == grid.shape == (9,) * problem.box.ndim
    assert samples.dtype == np.float64
    assert np.array_equal(samples.ravel(), problem.target(grid.points()))


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_problem_is_consistent(name):
    problem = get_problem(name)
    assert problem.name == name
    assert "\n" not in problem.description
    grid = problem.grid()
    assert grid.shape == (problem.default_size,) * problem.box.ndim
    assert grid.box == problem.box
    assert grid.periodic == problem.periodic
    assert (problem.target is None) == (name == "turbulence")


def test_periodic_targets_repeat_and_the_others_reach_both_ends():
    assert PROBLEMS["turbulence"].box == PROBLEMS["turbulence"].grid(8).box
    points = np.random.default_rng(0).random((20, 3))
    abc3d = PROBLEMS["abc3d"]
    shifted = points + np.asarray(abc3d.box.lengths)
    assert np.max(np.abs(abc3d.target(points) - abc3d.target(shifted))) <= 64 * EPS
    (axis,) = PROBLEMS["logcos"].grid(5).axes()
    assert axis.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_turbulence_samples_are_the_snapshot(backend):
    options = {"reynolds": 100.0, "time": 0.05, "seed": 3, "spectrum": "power", "cfl": 0.4}
    samples = get_problem("turbulence").samples(16, backend=backend, **options)
    assert type(samples) is np.ndarray
    snapshot = backend.to_numpy(turbulence.snapshot(16, backend=backend, **options))
    assert np.array_equal(samples, snapshot)
    assert not np.array_equal(samples, get_problem("turbulence").samples(16, **{**options, "seed": 4}))


def test_options_that_a_problem_does_not_take_are_named():
    with pytest.raises(ConfigError, match="problem 'ug' has no option 'seed'; it takes no options"):
        get_problem("ug").samples(8, seed=1)
    with pytest.raises(ConfigError, match="problem 'turbulence' has no option 'sede'; it takes: reynolds, time, seed"):
        get_problem("turbulence").samples(8, sede=1)


def test_unknown_problem_suggests_the_nearest():
    with pytest.raises(ConfigError, match="unknown problem 'turbulance', did you mean 'turbulence'"):
        get_problem("turbulance")
    with pytest.raises(ConfigError, match="did you mean"):
        get_problem("")


@pytest.mark.parametrize("size", [1, 0, -3, 8.0, "8"])
def test_sizes_that_make_no_grid_are_refused(size):
    with pytest.raises(ConfigError, match="size: expected"):
        get_problem("ug").samples(size)


def test_turbulence_needs_four_points():
    with pytest.raises(ConfigError, match="n: expected an integer >= 4, got 2"):
        get_problem("turbulence").samples(2)


def test_a_problem_has_one_source():
    for sources in [{}, {"target": analytic.logcos, "simulation": turbulence.snapshot}]:
        with pytest.raises(ConfigError, match="expected either a target or a simulation"):
            Problem("p", "nothing", 8, Box((0.0,), (1.0,)), (True,), **sources)


def test_example_of_the_docstring():
    failed, attempted = doctest.testmod(registry)
    assert (failed, attempted > 0) == (0, True)
