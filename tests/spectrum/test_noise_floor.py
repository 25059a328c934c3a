"""The noise floor of the samples: known noise, known truncation, known rounding."""

import numpy as np
import pytest

from simsnn_ref.multistage import fit
from simsnn_ref.spectrum import Grid, noise_floor


def smooth(x):
    return np.prod(np.exp(0.3 * np.sin(np.pi * x)), axis=1)


def samples(grid, f=smooth):
    return f(grid.scaled_points()).reshape(grid.shape)


@pytest.mark.parametrize("grid", [Grid((400,)), Grid((41, 64)), Grid((32, 36, 33))], ids=str)
@pytest.mark.parametrize("level", [1e-2, 1e-6, 1e-11])
def test_white_noise_is_seen_at_its_own_level(grid, level):
    u = samples(grid)
    noise = np.random.default_rng(5).standard_normal(grid.shape)
    found = noise_floor(u + level * np.sqrt(np.mean(u**2)) * noise, grid)
    # At least 130 modes: their mean square is within 30 % of its expectation.
    assert found == pytest.approx(level, rel=0.3)


@pytest.mark.parametrize("level", [1e-2, 1e-6, 1e-10])
def test_noise_on_samples_that_are_not_periodic(level):
    grid = Grid((48, 40), periodic=(False, True))
    u = samples(grid, lambda x: np.exp(x[:, 0]) * np.cos(np.pi * x[:, 1]))
    noise = np.random.default_rng(5).standard_normal(grid.shape)
    assert noise_floor(u + level * np.sqrt(np.mean(u**2)) * noise, grid) == pytest.approx(level, rel=0.3)


@pytest.mark.parametrize("grid", [Grid((64,)), Grid((64, 64)), Grid((64,), periodic=(False,))], ids=str)
def test_smooth_fields_are_resolved_to_rounding(grid):
    assert noise_floor(samples(grid), grid) < 1e-12


def test_units_do_not_matter_and_zero_is_resolved():
    grid = Grid((32, 32))
    u = samples(grid) + 1e-3 * np.random.default_rng(0).standard_normal(grid.shape)
    assert noise_floor(1e150 * u, grid) == pytest.approx(noise_floor(u, grid), rel=1e-12)
    assert noise_floor(np.zeros(grid.shape), grid) == 0.0


def test_a_jump_is_not_resolved():
    grid = Grid((256,))
    level = noise_floor(samples(grid, lambda x: np.sign(x[:, 0] + 0.3)), grid)
    # Amplitudes 4 / (pi m) for odd m: the mean of 8 / (pi m)^2 over 85 < m <= 128, halved, is 0.07^2; folding adds.
    assert 0.05 < level < 0.15


def test_the_fit_says_so():
    grid = Grid((32, 32))
    u = samples(grid)
    noisy = fit(u + 1e-3 * np.random.default_rng(1).standard_normal(grid.shape), grid, stages=1)
    notes = [note for note in noisy.history.notes if "the noise floor of the samples is at an RMS of" in note]
    assert len(notes) == 1
    assert noisy.history.noise_floor == pytest.approx(1e-3 / np.sqrt(np.mean(u**2)), rel=0.3)
    clean = fit(u, grid, stages=1)
    assert not any("resolved" in note for note in clean.history.notes)
    assert clean.history.noise_floor < 1e-15


def test_a_function_is_judged_by_its_finest_values():
    """Modes decay like 0.47^m: 16 samples do not resolve it, the 64 points that mode accurate takes do, to 0.47^21."""
    grid = Grid((16,))
    f = lambda x: 1.0 / (1.3 - np.cos(np.pi * x[:, 0]))  # noqa: E731
    assert noise_floor(samples(grid, f), grid) > 1e-4
    assert fit(f, grid, stages=1).history.noise_floor < 1e-6
