"""Interpolation of samples that do not repeat, whether they repeat, and the error to expect between them."""

import numpy as np
import pytest

from simsnn_ref import fit
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.spectrum import (
    Grid,
    GridInterpolant,
    count_mirrored_modes,
    expected_error,
    mirrored_modes,
    repetition_along,
    unit_of_rounding,
)

EPS = np.finfo(float).eps
RNG = np.random.default_rng(5)


def wave(x, y):
    return np.exp(x) * np.sin(np.pi * y + 1.0)


@pytest.mark.parametrize(("shape", "periodic"), [((9,), (False,)), ((8, 7), (False, True)), ((6, 5, 7), (False,) * 3)])
def test_mirrored_modes_go_through_every_sample(shape, periodic):
    grid, backend = Grid(shape, periodic=periodic), NumpyBackend()
    u = RNG.standard_normal(shape)
    modes = mirrored_modes(u, grid, backend)
    assert len(modes) == count_mirrored_modes(grid)
    # A sum of some hundred cosines of size 1.
    np.testing.assert_allclose(modes.sum_at(grid.scaled_points(), backend), u.ravel(), rtol=0.0, atol=64 * EPS)


@pytest.mark.parametrize("n", [7, 8, 33, 64])
def test_a_periodic_axis_is_interpolated_by_its_modes(n):
    """Band-limited: trigonometric interpolation is the function itself, to rounding of some n products."""
    grid = Grid((24, n), periodic=(False, True))
    field = GridInterpolant(wave(*grid.points().T).reshape(grid.shape), grid)
    points = RNG.uniform(-1.0, 1.0, (200, 2))
    assert field.choices[1] is None
    np.testing.assert_allclose(field(points), wave(*points.T), rtol=0.0, atol=1e-12)


def test_an_interpolant_is_the_same_on_a_grid_and_at_its_points():
    grid = Grid((17, 20), (0.0, -2.0), (3.0, 1.0), periodic=(False, False))
    x, y = grid.scaled_points().T
    u = (np.exp(x) * np.cos(3.0 * y)).reshape(grid.shape)
    field, fine = GridInterpolant(u, grid), grid.refined(3)
    on = field.on(fine)
    assert np.array_equal(on[::3, ::3], u)
    # Barycentric weights of degree 12 are some hundred times the field near the ends, along two axes.
    np.testing.assert_allclose(on.ravel(), field(fine.points()), rtol=0.0, atol=100.0**2 * EPS)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_interpolation_knows_no_units(scale):
    x = np.linspace(-1.0, 1.0, 33)
    u, grid = np.tanh(3.0 * x), Grid(33, periodic=False)
    points = RNG.uniform(-1.0, 1.0, (50, 1))
    plain, scaled = GridInterpolant(u, grid), GridInterpolant(scale * u, grid)
    assert plain.choices[0].name == scaled.choices[0].name
    np.testing.assert_allclose(scaled(points) / scale, plain(points), rtol=1e-9)


X = np.linspace(-1.0, 1.0, 65)
PHASE = 2.0 * np.pi * np.arange(65) / 65


@pytest.mark.parametrize(
    ("u", "repeats", "twice"),
    [
        (np.exp(X), False, False),
        (1.0 / (1.0 + 25.0 * X**2), False, False),
        (X**2, False, False),
        (np.tanh(20.0 * X), False, False),
        (np.sin(20.0 * X), False, False),
        (np.exp(np.sin(PHASE)), True, False),
        (np.cos(PHASE + np.pi / 65), True, False),
        (np.tanh(np.sin(PHASE) / 0.3), True, False),
        (RNG.standard_normal(65), True, False),
        (np.cos(np.pi * X), True, True),
        (np.exp(np.sin(np.pi * X)), True, True),
        (np.full(65, 3.0), True, False),
    ],
)
def test_samples_say_whether_they_repeat(u, repeats, twice):
    found = repetition_along(u, 0)
    assert (found.repeats, found.is_end_repeated) == (repeats, twice)
    other = repetition_along(1e300 * np.stack([u, -u]), 1)
    assert (other.repeats, other.is_end_repeated) == (repeats, twice)


def test_single_precision_is_recognised():
    u = RNG.standard_normal(50)
    assert unit_of_rounding(u) == 2.0**-53
    assert unit_of_rounding(u.astype(np.float32)) == 2.0**-24
    # Short numbers are exact in any type.
    assert unit_of_rounding(np.arange(50.0) / 8.0) == 2.0**-53


FIELDS = {
    "exp, 17": (np.exp, 17, False),
    "Runge, 65": (lambda x: 1.0 / (1.0 + 25.0 * x**2), 65, False),
    "tanh 20x, 129": (lambda x: np.tanh(20.0 * x), 129, False),
    "chirp, 65": (lambda x: np.sin(20.0 * (x + 1.2) ** 2), 65, False),
    "sqrt, 33": (lambda x: np.sqrt(x + 1.01), 33, False),
    "exp sin, 16": (lambda x: np.exp(np.sin(np.pi * x)), 16, True),
    "front, 64": (lambda x: np.tanh(np.sin(np.pi * x) / 0.2), 64, True),
    "poles, 33": (lambda x: 1.0 / (1.2 - np.cos(np.pi * x)), 33, True),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_the_error_to_expect_is_that_of_the_field(name, noise):
    """Within a factor of ten of the true one, which nobody told."""
    field, n, periodic = FIELDS[name]
    grid = Grid(n, periodic=periodic)
    u = field(grid.axes()[0])
    u = u + noise * np.sqrt(np.mean(u**2)) * np.random.default_rng(0).standard_normal(n)
    model = fit(u, grid, certify=False, fit_noise=True)
    points = RNG.uniform(-1.0, 1.0, (2000, 1))
    true = np.sqrt(np.mean((model(points) - field(points[:, 0])) ** 2) / np.mean(u**2))
    last = model.history.stages[-1]
    # Errors below are some roundings of the samples and of NumPy's evaluation of the field.
    assert 0.1 < model.history.error_between(last) / max(true, 16 * EPS) < 10.0
    # Extended precision resolves a few of its own eps of the sum of stages.
    assert last.rms_on_grid < 16 * np.finfo(np.longdouble).eps + 0.01 * EPS


def test_waves_at_the_limit_of_the_grid_are_no_noise():
    """A millionth of the field near its largest wavenumber, all of it resolved."""
    x, y = np.meshgrid(*Grid((128, 128)).axes(), indexing="ij")
    u = np.sin(12 * np.pi * x) * np.sin(7 * np.pi * y) + 1e-6 * np.sin(60 * np.pi * x) * np.cos(44 * np.pi * y)
    # Rounding of the samples.
    assert expected_error(u, Grid((128, 128))) < 16 * EPS
