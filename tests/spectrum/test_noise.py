"""White noise in samples on a grid: found where it is, and nowhere else; what is left is nearer to the field."""

import numpy as np
import pytest

from simsnn_ref import Grid, fit, load_model
from simsnn_ref.report.stages import closing_line
from simsnn_ref.spectrum import signal_in_noise
from simsnn_ref.spectrum.noise import _Transform

EPS = np.finfo(float).eps


def axes(shape, periodic):
    return Grid(shape, periodic=periodic).axes()


def franke(x, y):
    x, y = 4.5 * (x + 1.0), 4.5 * (y + 1.0)
    return (
        0.75 * np.exp(-((x - 2.0) ** 2 + (y - 2.0) ** 2) / 4.0)
        + 0.75 * np.exp(-((x + 1.0) ** 2) / 49.0 - (y + 1.0) / 10.0)
        + 0.5 * np.exp(-((x - 7.0) ** 2 + (y - 3.0) ** 2) / 4.0)
        - 0.2 * np.exp(-((x - 4.0) ** 2) - (y - 7.0) ** 2)
    )


RESOLVED = {
    "1d": ((257,), (False,), lambda x: np.log(x + 2.0) * np.cos(2.0 * x + x**3)),
    "1d, repeats": ((256,), (True,), lambda x: np.exp(3.0 * np.sin(np.pi * x))),
    "2d": ((64, 48), (False, False), franke),
    "2d, repeats": ((48, 64), (True, True), lambda x, y: np.exp(np.sin(np.pi * x) + np.cos(np.pi * y))),
    "2d, one axis repeats": ((64, 48), (True, False), lambda x, y: np.exp(y) * np.sin(np.pi * x + y)),
    "3d": ((24, 20, 16), (False, True, False), lambda x, y, z: np.exp(x) * np.sin(np.pi * y) * np.cos(z)),
    "long": ((2500,), (False,), lambda x: np.tanh(5.0 * x) + x),
}
"""Fields that their grid resolves to noise of 1e-4."""

NOISE_FREE = {
    "step": ((129,), (False,), lambda x: np.sign(x - 0.1)),
    "step, repeats": ((128,), (True,), lambda x: np.sign(x - 0.1)),
    "kink": ((257,), (False,), lambda x: np.abs(x - 0.2)),
    "kink, repeats": ((256,), (True,), lambda x: np.abs(x - 0.2)),
    "cube": ((129,), (False,), lambda x: np.abs(x) ** 3),
    "chirp": ((129,), (False,), lambda x: np.sin(20.0 * (x + 1.2) ** 2)),
    "root": ((257,), (False,), lambda x: np.sqrt(x + 1.01)),
    "front": ((64, 64), (False, False), lambda x, y: np.tanh(60.0 * (x + 0.3 * y - 0.1))),
    "front, repeats": ((64, 64), (True, True), lambda x, y: np.tanh(20.0 * np.sin(np.pi * (x - 0.3 * np.sin(y))))),
    "disc": ((65, 65), (False, False), lambda x, y: 1.0 * (x**2 + y**2 < 0.4)),
    "cone": ((65, 65), (False, False), lambda x, y: np.sqrt(x**2 + y**2)),
    "coarse": ((17, 17), (True, True), lambda x, y: np.exp(np.sin(np.pi * x) + np.cos(np.pi * y))),
    "coarse, tanh": ((17, 17), (False, False), lambda x, y: np.tanh(5.0 * (x + 0.5 * y))),
    "coarse, franke": ((33, 33), (False, False), franke),
}


def sampled(shape, periodic, field):
    u = field(*np.meshgrid(*axes(shape, periodic), indexing="ij"))
    return u / np.sqrt(np.mean(u**2))


@pytest.mark.parametrize("level", [1e-2, 1e-4])
@pytest.mark.parametrize("name", RESOLVED)
def test_noise_is_found_and_taken_off(name, level):
    """The field is approached to half the noise or better, and the error is known within a factor of 2 and a half."""
    shape, periodic, _ = RESOLVED[name]
    u, grid = sampled(*RESOLVED[name]), Grid(shape, periodic=periodic)
    for seed in range(3):
        found = signal_in_noise(u + level * np.random.default_rng(seed).standard_normal(shape), grid)
        assert found is not None
        # By the median of 64 coefficients or more, the relative standard deviation of which is 0.15.
        assert abs(found.noise / level - 1.0) < 0.5
        error = np.sqrt(np.mean((found.values - u) ** 2))
        assert error < 0.5 * level
        assert 0.4 < found.error / error < 2.5


@pytest.mark.parametrize("name", [*RESOLVED, *NOISE_FREE])
def test_fields_without_noise_have_none(name):
    """Whether they are resolved or not, in float64 and rounded to float32."""
    shape, periodic, _ = case = (RESOLVED | NOISE_FREE)[name]
    u, grid = sampled(*case), Grid(shape, periodic=periodic)
    assert signal_in_noise(u, grid) is None
    assert signal_in_noise(u.astype(np.float32).astype(np.float64), grid) is None


def test_what_is_little_else_than_noise_is_left_alone():
    rng = np.random.default_rng(2)
    assert signal_in_noise(rng.standard_normal((32, 32)), Grid((32, 32))) is None
    assert signal_in_noise(np.zeros((32, 32)), Grid((32, 32))) is None
    # Too few to tell.
    assert signal_in_noise(rng.standard_normal((9, 9)), Grid((9, 9), periodic=False)) is None


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_noise_knows_no_units(scale):
    """But for the rounding of the scaled samples."""
    shape, periodic, _ = case = RESOLVED["2d"]
    grid = Grid(shape, periodic=periodic)
    u = sampled(*case) + 1e-3 * np.random.default_rng(0).standard_normal(shape)
    found, scaled = signal_in_noise(u, grid), signal_in_noise(scale * u, grid)
    assert scaled.noise == pytest.approx(scale * found.noise, rel=1e-9)
    np.testing.assert_allclose(scaled.values / scale, found.values, rtol=0.0, atol=1e-9)


def test_the_basis_is_orthonormal():
    """Values that are noise in part come back as they are where every mode sticks out."""
    for shape, periodic in [((20, 12), (False, True)), ((2100,), (False,)), ((7, 9, 8), (True, False, False))]:
        transform = _Transform(Grid(shape, periodic=periodic), 4)
        u = np.random.default_rng(1).standard_normal(shape)
        c = transform.forward(u)
        # Products of orthonormal matrices of up to 20 rows, and transforms of 2100 points.
        np.testing.assert_allclose(np.sum(np.abs(c) ** 2), np.sum(u**2), rtol=64 * EPS)
        np.testing.assert_allclose(transform.backward(c), u, rtol=0.0, atol=64 * EPS)


def test_a_small_wave_near_the_limit_of_the_grid_is_signal():
    """sin(12 pi x) sin(7 pi y) + 1e-6 sin(60 pi x) cos(44 pi y) has no noise, and is fitted to the end."""
    grid = Grid((128, 128))
    x, y = np.meshgrid(*grid.axes(), indexing="ij")
    u = np.sin(12 * np.pi * x) * np.sin(7 * np.pi * y) + 1e-6 * np.sin(60 * np.pi * x) * np.cos(44 * np.pi * y)
    model = fit(u, grid)
    assert not any("noise" in note for note in model.history.notes)
    last = model.history.stages[-1]
    # The rounding of samples in float64, which the grid is too large to follow; NumPy's arguments of up to 60 pi are
    # rounded by up to 1.4e-14.
    assert last.rms_on_grid <= EPS
    assert model.history.error_between(last) < 1.4e-14


@pytest.mark.parametrize("periodic", [True, False])
def test_a_fit_smooths_noise(periodic, tmp_path):
    """1e-3 on 64 x 64: the purpose's case, where the fit was as far from the field as the noise."""
    grid = Grid((64, 64), periodic=periodic)

    def field(x, y):
        return np.exp(np.sin(np.pi * x) + np.cos(np.pi * y)) if periodic else franke(x, y)

    clean = field(*np.meshgrid(*grid.axes(), indexing="ij"))
    size = np.sqrt(np.mean(clean**2))
    u = clean + 1e-3 * size * np.random.default_rng(0).standard_normal(grid.shape)
    model = fit(u, grid)
    history, last = model.history, model.history.stages[-1]
    assert history.noise == pytest.approx(1e-3, rel=0.1)
    # What is left at the samples is the noise, and says so.
    assert last.rms_on_grid == pytest.approx(1e-3, rel=0.1)
    assert np.sqrt(np.mean((model(grid).reshape(grid.shape) - u) ** 2)) / size == pytest.approx(
        last.rms_on_grid, rel=0.01
    )
    fine = grid.refined(3)
    exact = field(*np.meshgrid(*fine.axes(), indexing="ij"))
    true = np.sqrt(np.mean((model(fine).reshape(fine.shape) - exact) ** 2)) / size
    assert true < 3.2e-4
    assert 0.5 < history.error_between(last) / true < 2.0
    assert history.certified["agrees"]
    assert sum("white noise" in note for note in history.notes) == 1
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.history.noise == history.noise
    assert closing_line(loaded).startswith(f"RMS distance to the samples {last.rms_on_grid:.1e}, their noise")


@pytest.mark.parametrize("options", [{"fit_noise": True}, {"mode": "paper", "optimizer": "gauss_newton", "steps": 2}])
def test_noise_is_followed_if_asked(options):
    """To rounding in mode accurate; either way the error between the samples is expected to be the noise."""
    grid = Grid((32, 32))
    x, y = np.meshgrid(*grid.axes(), indexing="ij")
    u = np.exp(np.sin(np.pi * x)) * np.cos(np.pi * y) + 1e-3 * np.random.default_rng(0).standard_normal(grid.shape)
    model = fit(u, grid, stages=2, certify=False, **options)
    history = model.history
    assert history.noise == 0.0
    assert history.noise_floor == pytest.approx(1e-3 / history.rms, rel=0.15)
    said = [note for note in history.notes if "white noise" in note]
    assert len(said) == 1
    assert ("as asked" if "fit_noise" in options else "mode paper follows the samples, noise included") in said[0]
    if "fit_noise" in options:
        assert history.stages[-1].rms_on_grid < EPS
