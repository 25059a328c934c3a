"""Algorithm 1, its errata, E(k) and interpolation, against sums of cosines whose phases are reduced with integers."""

import math

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref.errors import ConfigError
from simsnn_ref.spectrum import (
    EnergySpectrum,
    Grid,
    Modes,
    count_modes,
    dominant_frequency,
    energy_spectrum,
    fourier_modes,
    shift_samples,
)

SHAPES = [
    (1,),
    (2,),
    (7,),
    (16,),
    (31,),
    (4, 4),
    (5, 7),
    (6, 9),
    (9, 6),
    (16, 16),
    (1, 8),
    (3, 4, 5),
    (4, 4, 6),
    (5, 3, 3),
]


def name(grid):
    return f"{'x'.join(map(str, grid.shape))}-{'periodic' if all(grid.periodic) else 'ends'}"


def random_field(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def modes_of(u, grid, backend, n_modes=None):
    """`fourier_modes` with its arrays on the host."""
    modes = fourier_modes(backend.asarray(u), grid, backend, n_modes)
    return Modes(
        modes.indices, modes.period, *map(backend.to_numpy, (modes.wavenumbers, modes.amplitudes, modes.phases))
    )


def turns(grid, indices):
    """k.x_n / (2 pi) modulo 1 with x in [-1, 1], shape (modes, points), from integers: k.x_n = pi m (2n - I) / N."""
    common = 2 * math.lcm(*grid.shape)
    total = np.zeros((len(indices), 1), dtype=np.int64)
    for axis, (n, intervals) in enumerate(zip(grid.shape, grid.intervals, strict=True)):
        along = np.outer(indices[:, axis], 2 * np.arange(n) - intervals) % (2 * n) * (common // (2 * n))
        total = (total[:, :, None] + along[:, None, :]).reshape(len(indices), -1)
    return total % common / common


def sum_of_cosines(grid, modes):
    """Eq. 10 on the grid."""
    cosines = np.cos(2.0 * np.pi * turns(grid, modes.indices) + modes.phases[:, None])
    return (modes.amplitudes @ cosines).reshape(grid.shape)


def cosine(grid, m, phase):
    """cos(2 pi m.n / N + phase) at the grid's points: the DFT's own mode, counted from the first point."""
    origin = turns(grid, np.array([m]))
    return np.cos(2.0 * np.pi * ((origin - origin[:, :1]) % 1.0) + phase).reshape(grid.shape)


# All modes


@pytest.mark.parametrize(
    "grid", [Grid(s) for s in SHAPES] + [Grid(s, periodic=False) for s in SHAPES if min(s) > 1], ids=name
)
def test_the_sum_of_all_modes_is_the_field(backend, grid):
    u = random_field(grid.shape)
    error = np.abs(sum_of_cosines(grid, modes_of(u, grid, backend)) - u)
    # Each phase of at most 2 pi + 2 pi is rounded to 8 eps or better and each mode's share of that is its amplitude;
    # these errors are independent of each other, so they add up like the amplitudes do, in the square.
    assert np.max(error) <= 8 * EPS * np.max(np.abs(u))


def test_mixed_ends(backend):
    grid = Grid((6, 5, 4), (0.0, 1.0, -7.0), (1.0, 4.0, 2.0), (True, False, True))
    u = random_field(grid.shape)
    assert np.max(np.abs(sum_of_cosines(grid, modes_of(u, grid, backend)) - u)) <= 8 * EPS * np.max(np.abs(u))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_real_mode_is_there_once(backend, shape):
    grid = Grid(shape)
    n = np.array(shape)
    modes = modes_of(random_field(shape), grid, backend)
    # Half of the N^d complex modes, but those with m = -m (every component 0 or N/2) have no partner.
    alone = math.prod(2 if n_i % 2 == 0 else 1 for n_i in shape)
    assert len(modes) == count_modes(grid) == (math.prod(shape) + alone) // 2
    pairs = {min(tuple(m % n), tuple(-m % n)) for m in modes.indices}
    assert len(pairs) == len(modes)
    assert np.all(2 * np.abs(modes.indices) <= n)
    assert modes.indices.dtype == np.int64


@pytest.mark.parametrize("periodic", [True, False])
def test_wavenumbers_belong_to_the_indices(backend, periodic):
    grid = Grid((6, 9), (0.0, 0.0), (1.0, 50.0), periodic)
    modes = modes_of(random_field(grid.shape), grid, backend)
    periods = [2.0 if periodic else 2.0 * n / (n - 1) for n in grid.shape]
    exact = 2.0 * np.pi * modes.indices / periods
    assert np.max(np.abs(modes.wavenumbers - exact)) <= 4 * EPS * np.max(np.abs(exact))


@pytest.mark.parametrize("shape", [(16,), (8, 6), (5, 7), (4, 3, 6)], ids=str)
def test_modes_are_sorted_by_magnitude_and_cut(backend, shape):
    grid = Grid(shape)
    u = random_field(shape)
    every = modes_of(u, grid, backend)
    alone = np.all(2 * every.indices % np.array(shape) == 0, axis=1)
    magnitude = every.amplitudes / np.where(alone, 1.0, 2.0)
    spectrum = np.abs(np.fft.fftn(u)) / u.size
    assert np.all(np.diff(magnitude) <= 0.0)
    assert np.max(np.abs(magnitude - spectrum[tuple(every.indices.T)])) <= 4 * EPS * np.max(spectrum)
    few = modes_of(u, grid, backend, 5)
    for name in ("indices", "wavenumbers", "amplitudes", "phases"):
        assert np.array_equal(getattr(few, name), getattr(every, name)[:5])


def test_equal_magnitudes_keep_the_order_of_the_transform(backend):
    grid = Grid((8, 12))
    impulse = np.zeros(grid.shape)
    impulse[0, 0] = 1.0
    indices = modes_of(impulse, grid, backend).indices
    # Of the pairs on k_y = 0 and N/2 the member met first stays.
    expected = [(i, j) for i in range(8) for j in range(7) if 0 < j < 6 or i <= 4]
    assert [(i % 8, j) for i, j in indices.tolist()] == expected


# Single modes on every special set of the half spectrum


@pytest.mark.parametrize("phase", [0.7, -2.0, 3.0])
@pytest.mark.parametrize(
    ("shape", "m", "alone"),
    [
        ((8, 6), (0, 0), True),
        ((8, 6), (4, 0), True),
        ((8, 6), (0, 3), True),
        ((8, 6), (4, 3), True),
        ((8, 6), (2, 0), False),
        ((8, 6), (-3, 0), False),
        ((8, 6), (1, 3), False),
        ((8, 6), (-1, 3), False),
        ((8, 6), (4, 1), False),
        ((8, 6), (-3, 2), False),
        ((8, 6), (3, -2), False),
        ((7, 5), (0, 0), True),
        ((7, 5), (-3, 0), False),
        ((7, 5), (3, 2), False),
        ((9,), (4,), False),
        ((10,), (5,), True),
        ((10,), (-4,), False),
        ((4, 6, 8), (2, 3, 4), True),
        ((4, 6, 8), (2, 0, 4), True),
        ((4, 6, 8), (1, 3, 4), False),
        ((4, 6, 8), (2, -1, 0), False),
        ((4, 6, 8), (-1, 2, 3), False),
    ],
)
def test_a_pure_mode_is_found_alone(backend, shape, m, alone, phase):
    grid = Grid(shape)
    modes = modes_of(3.0 * cosine(grid, m, phase), grid, backend)
    # On a self-conjugate mode the sine vanishes at every point: only cos(phase) is left.
    amplitude = 3.0 * abs(math.cos(phase)) if alone else 3.0
    n = np.array(shape)
    assert tuple(modes.indices[0] % n) in {tuple(np.array(m) % n), tuple(-np.array(m) % n)}
    assert modes.amplitudes[0] == pytest.approx(amplitude, rel=8 * EPS)
    assert np.all(modes.amplitudes[1:] <= 8 * EPS)


# Errata of the paper


def algorithm_1_as_printed(u):
    """All N (N/2 + 1) modes with 0 <= k_y <= N/2: alpha = 2 a / N^2 if k_y > 0, a / N^2 if k_y = 0; x from 0."""
    n = u.shape[0]
    spectrum = np.fft.fft2(u)[:, : n // 2 + 1]
    total = np.zeros(u.shape)
    rows, columns = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    for kx, ky in np.ndindex(*spectrum.shape):
        alpha = (2.0 if ky > 0 else 1.0) * np.abs(spectrum[kx, ky]) / n**2
        total += alpha * np.cos(2.0 * np.pi * ((kx * rows + ky * columns) % n) / n + np.angle(spectrum[kx, ky]))
    return total


def test_erratum_the_printed_weight_counts_the_nyquist_row_twice(backend):
    grid = Grid((16, 16))
    u = random_field(grid.shape)
    ours = np.max(np.abs(sum_of_cosines(grid, modes_of(u, grid, backend)) - u))
    printed = algorithm_1_as_printed(u) - u
    assert np.max(np.abs(printed)) > 0.5
    assert ours <= 8 * EPS * np.max(np.abs(u))
    # What is too much is that row, k_y = N/2.
    row = np.zeros((16, 16), dtype=complex)
    row[:, 8] = np.fft.fft2(u)[:, 8]
    assert np.max(np.abs(printed - np.fft.ifft2(row).real)) <= 32 * EPS * np.max(np.abs(u))


def test_erratum_is_nil_for_odd_n():
    u = random_field((15, 15))
    assert np.max(np.abs(algorithm_1_as_printed(u) - u)) <= 32 * EPS * np.max(np.abs(u))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("m", [(3,), (2, -1), (1, 3), (1, -2, 2)], ids=str)
def test_phases_belong_to_coordinates_that_start_at_minus_one(backend, m, periodic):
    grid = Grid((9, 8, 7)[: len(m)], periodic=periodic)
    k = np.array(m) * grid.wavenumber_units
    modes = modes_of(np.cos(grid.scaled_points() @ k + 0.4).reshape(grid.shape), grid, backend)
    sign = 1.0 if tuple(modes.indices[0]) == m else -1.0
    assert np.array_equal(sign * modes.indices[0], m)
    # The samples' arguments |k.x| reach 15 here, and carry half an eps of that.
    assert abs(np.exp(1j * sign * modes.phases[0]) - np.exp(0.4j)) <= 16 * EPS


# How many modes


@pytest.mark.parametrize("n_modes", [0, -1, 39])
def test_more_modes_than_there_are(backend, n_modes):
    grid = Grid((8, 9))
    with pytest.raises(ConfigError, match=f"n_features = {n_modes}: a grid of 8 x 9 points has 37 .* choose 1 to 37"):
        fourier_modes(backend.asarray(random_field(grid.shape)), grid, backend, n_modes)


# Dominant frequency


@pytest.mark.parametrize("f", [1, 2, 5])
@pytest.mark.parametrize("shape", [(16,), (17,), (12, 15), (12, 11, 13)], ids=str)
def test_dominant_frequency_of_a_sine(backend, shape, f):
    grid = Grid(shape, 0.0, 10.0)
    for axis, x in enumerate(np.meshgrid(*grid.scaled_axes(), indexing="ij")):
        # The mean does not count, however large, nor does what is smaller.
        field = np.sin(np.pi * f * x) + 50.0 + 0.3 * np.cos(np.pi * (f - axis % 2) * x)
        assert dominant_frequency(backend.asarray(field), grid, backend) == pytest.approx(f, rel=2 * EPS)


@pytest.mark.parametrize(
    ("m", "f"), [((3, 4), 5.0), ((-4, 3), 5.0), ((0, 5), 5.0), ((2, 3, 6), 7.0), ((1, -4, 8), 9.0)]
)
def test_dominant_frequency_is_the_length_of_the_wavenumber(backend, m, f):
    grid = Grid((18,) * len(m))
    assert dominant_frequency(backend.asarray(cosine(grid, m, 1.0)), grid, backend) == pytest.approx(f, rel=4 * EPS)


def test_dominant_frequency_with_both_ends(backend):
    grid = Grid(21, periodic=False)
    field = cosine(grid, (3,), 0.2)
    assert dominant_frequency(backend.asarray(field), grid, backend) == pytest.approx(3 * 20 / 21, rel=4 * EPS)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3.7e200])
@pytest.mark.parametrize("shape", [(1,), (7,), (8,), (7, 7), (5, 5, 5)], ids=str)
def test_dominant_frequency_of_a_constant_is_zero(backend, shape, value):
    field = np.full(shape, value)
    assert dominant_frequency(backend.asarray(field), Grid(shape), backend) == 0.0


# E(k)


@pytest.mark.parametrize("bins", [1, 7, 200])
@pytest.mark.parametrize("shape", [(16,), (9,), (8, 10), (7, 12), (4, 6, 5)], ids=str)
def test_parseval(backend, shape, bins):
    u = random_field(shape) + 0.5
    grid = Grid(shape, 0.0, 3.0)
    spectrum = energy_spectrum(backend.asarray(u), grid, backend, bins)
    assert spectrum.energy.shape == spectrum.wavenumber.shape == (bins,)
    assert np.sum(spectrum.energy) == pytest.approx(np.mean(u**2), rel=16 * EPS)


def test_paper_has_200_bins(backend):
    spectrum = energy_spectrum(backend.asarray(random_field((8, 8))), Grid((8, 8)), backend)
    assert isinstance(spectrum, EnergySpectrum)
    assert spectrum.energy.shape == (200,)
    assert isinstance(spectrum.energy, np.ndarray)


@pytest.mark.parametrize(("m", "k"), [((3, 4), 5.0), ((-5, 0), 5.0), ((0, 6), 6.0), ((8, 8), 128**0.5), ((0, 0), 0.0)])
def test_shells_are_where_they_should_be(backend, m, k):
    grid = Grid((16, 16), 0.0, 2.0 * np.pi)
    phase = 0.0 if m in ((8, 8), (0, 0)) else 0.3
    u = 2.0 * cosine(grid, m, phase)
    spectrum = energy_spectrum(backend.asarray(u), grid, backend)
    half_width = 0.5 * math.sqrt(128.0) / 200
    shell = int(np.argmax(spectrum.energy))
    # Wavenumbers are integers on [0, 2 pi), and the largest of the grid falls into the last bin.
    assert abs(spectrum.wavenumber[shell] - k) <= half_width + 8 * EPS * k
    assert spectrum.energy[shell] == pytest.approx(np.mean(u**2), rel=16 * EPS)
    assert np.sum(np.delete(spectrum.energy, shell)) <= 1e3 * EPS**2
    assert spectrum.wavenumber[0] == pytest.approx(half_width, rel=8 * EPS)
    assert spectrum.wavenumber[-1] == pytest.approx(math.sqrt(128.0) - half_width, rel=8 * EPS)


def test_wavenumbers_of_each_axis_are_physical(backend):
    grid = Grid((16, 12), (0.0, -1.0), (4.0, 2.0), (True, False))
    # Periods 4 and 3 * 12 / 11.
    exact = np.hypot(2 * np.pi * 2 / 4.0, 2 * np.pi * 3 / (36 / 11))
    spectrum = energy_spectrum(backend.asarray(cosine(grid, (2, 3), 0.1)), grid, backend, 400)
    width = spectrum.wavenumber[1] - spectrum.wavenumber[0]
    assert abs(spectrum.wavenumber[np.argmax(spectrum.energy)] - exact) <= 0.5 * width


# Interpolation


CELLS = (0.5, -0.3, 7.125)


@pytest.mark.parametrize("shape", [(1,), (9,), (10,), (7, 8), (8, 7), (6, 6), (5, 6, 7), (4, 5, 4)], ids=str)
def test_shifted_samples_of_a_band_limited_field(backend, shape):
    grid, cells, n = Grid(shape, 1.0, 2.0), CELLS[: len(shape)], np.array(shape)
    rng = np.random.default_rng(3)
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    u, exact = np.zeros(shape), np.zeros(shape)
    for _ in range(12):
        m = np.array([rng.integers(-((n_i - 1) // 2), (n_i - 1) // 2 + 1) for n_i in shape])
        amplitude, phase = rng.standard_normal(), rng.uniform(0.0, 6.0)
        u += amplitude * np.cos(2.0 * np.pi * (points / n) @ m + phase)
        exact += amplitude * np.cos(2.0 * np.pi * ((points + cells) / n) @ m + phase)
    moved = backend.to_numpy(shift_samples(backend.asarray(u), grid, cells, backend))
    # The reference's own arguments reach 2 pi 3 (N + cells) / 2, about 70, and carry half an eps of that.
    assert np.max(np.abs(moved - exact)) <= 64 * EPS * np.max(np.abs(exact))


@pytest.mark.parametrize("shape", [(9,), (10,), (6, 5), (6, 8), (4, 5, 6)], ids=str)
def test_whole_cells_roll_the_samples(backend, shape):
    u, cells = random_field(shape), (3, -2, 1)[: len(shape)]
    moved = backend.to_numpy(shift_samples(backend.asarray(u), Grid(shape), cells, backend))
    rolled = np.roll(u, [-cell for cell in cells], tuple(range(len(shape))))
    assert np.max(np.abs(moved - rolled)) <= 16 * EPS * np.max(np.abs(u))


@pytest.mark.parametrize(
    ("shape", "m"), [((8,), (4,)), ((6, 8), (3, 4)), ((6, 8), (3, 1)), ((6, 8), (2, 4)), ((4, 6, 8), (2, 1, 4))]
)
def test_the_nyquist_mode_is_shared_by_both_signs(backend, shape, m):
    grid, cells = Grid(shape), CELLS[: len(shape)]
    u = cosine(grid, m, 0.7)
    # (-1)^n goes over into cos(pi (n + cell)); along the other axes the mode travels.
    factor = math.prod(math.cos(math.pi * c) for c, i, n in zip(cells, m, shape, strict=True) if 2 * i == n)
    travel = sum(2.0 * np.pi * i * c / n for c, i, n in zip(cells, m, shape, strict=True) if 2 * i != n)
    moved = backend.to_numpy(shift_samples(backend.asarray(u), grid, cells, backend))
    assert np.max(np.abs(moved - factor * cosine(grid, m, 0.7 + travel))) <= 16 * EPS


def test_interpolation_needs_periodic_samples(backend):
    grid = Grid((4, 4), periodic=(True, False))
    with pytest.raises(ConfigError, match="periodic along every axis"):
        shift_samples(backend.asarray(random_field((4, 4))), grid, (0.5, 0.5), backend)
