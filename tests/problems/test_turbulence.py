"""The DNS against exact solutions, an independent integrator, its order, and what it must conserve."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simsnn_ref.errors import ConfigError, DataError
from simsnn_ref.problems import energy, enstrophy, vorticity
from simsnn_ref.problems.turbulence import initial_vorticity, snapshot, solve, stream_function

EPS = np.finfo(np.float64).eps


def mesh(n):
    axis = 2.0 * np.pi * np.arange(n) / n
    return np.meshgrid(axis, axis, indexing="ij")


def coefficients(field):
    return np.fft.rfft2(field) / field.shape[0] ** 2


def wavenumbers(n):
    return np.meshgrid(np.round(np.fft.fftfreq(n) * n), np.arange(n // 2 + 1), indexing="ij")


def gap(a, b):
    """Largest difference, relative to the largest of the reference b."""
    return np.max(np.abs(a - b)) / np.max(np.abs(b))


def random_field(n, seed=0):
    field = np.random.default_rng(seed).standard_normal((n, n))
    return field - field.mean()


# Stream function and vorticity


@pytest.mark.parametrize("n", [4, 15, 64])
def test_stream_function_and_vorticity_are_inverse(backend, n):
    field = random_field(n)
    psi = stream_function(backend.asarray(field), backend=backend)
    back = backend.to_numpy(vorticity(psi, backend=backend))
    # psi is rounded to eps of its largest value and k^2 <= n^2 / 2 magnifies that.
    assert gap(back, field) <= 4 * EPS * max(n**2 / 2, 8)
    omega = vorticity(backend.asarray(field), backend=backend)
    back = backend.to_numpy(stream_function(omega, backend=backend))
    assert gap(back, field) <= 32 * EPS


def test_stream_function_has_the_sign_and_size_of_eq_12(backend):
    x, y = mesh(16)
    psi = np.cos(3.0 * x - 2.0 * y) + np.sin(y)
    omega = 13.0 * np.cos(3.0 * x - 2.0 * y) + np.sin(y)
    assert gap(backend.to_numpy(vorticity(backend.asarray(psi), backend=backend)), omega) <= 64 * EPS
    assert gap(backend.to_numpy(stream_function(backend.asarray(omega), backend=backend)), psi) <= 16 * EPS
    # The mean has no stream function and integers are numbers too.
    assert np.max(np.abs(backend.to_numpy(stream_function(backend.asarray(np.full((4, 4), 7)), backend=backend)))) == 0


def test_energy_and_enstrophy_of_a_known_flow(backend):
    x, _ = mesh(16)
    # psi = cos 3x / 3: v = sin 3x, mean v^2 / 2 = 1/4; omega = 3 cos 3x, mean omega^2 / 2 = 9/4.
    omega = backend.asarray(3.0 * np.cos(3.0 * x))
    assert energy(omega, backend=backend) == pytest.approx(0.25, rel=8 * EPS)
    assert enstrophy(omega, backend=backend) == pytest.approx(2.25, rel=8 * EPS)


# Initial condition


@pytest.mark.parametrize("spectrum", ["amplitude", "power"])
@pytest.mark.parametrize("n", [4, 33, 48, 64])
def test_initial_vorticity_is_normalised_truncated_and_of_mean_zero(backend, n, spectrum):
    omega = initial_vorticity(n, seed=2, spectrum=spectrum, backend=backend)
    assert energy(omega, backend=backend) == pytest.approx(0.5, rel=32 * EPS)
    omega = backend.to_numpy(omega)
    assert omega.dtype == np.float64
    assert omega.shape == (n, n)
    omega_hat = np.abs(coefficients(omega))
    kx, ky = wavenumbers(n)
    dropped = (3 * np.maximum(np.abs(kx), ky) >= n) | ((kx == 0) & (ky == 0))
    # The modes that are dropped hold the rounding of the values on the grid; those that are kept are far above it.
    assert np.max(omega_hat[dropped]) <= EPS * np.max(np.abs(omega))
    assert np.min(omega_hat[~dropped]) > 100 * EPS * np.max(np.abs(omega))


@pytest.mark.parametrize(("spectrum", "power"), [("amplitude", 2.0), ("power", 1.0)])
def test_initial_spectrum_follows_its_law(spectrum, power):
    n = 256
    psi_hat = coefficients(stream_function(initial_vorticity(n, seed=5, spectrum=spectrum)))
    k = np.hypot(*wavenumbers(n))
    law = (k[k > 0] * (1.0 + (k[k > 0] / 6.0) ** 4)) ** -power
    ratio = np.abs(psi_hat[k > 0]) ** 2 / law
    bands = [(1.0, 8.0), (8.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, 84.0)]
    means, errors = [], []
    for lower, upper in bands:
        inside = ratio[(k[k > 0] >= lower) & (k[k > 0] < upper)]
        means.append(inside.mean())
        # |psi^|^2 is exponentially distributed: its standard deviation is its mean.
        errors.append(1.0 / math.sqrt(inside.size))
    level = means[-1]
    for mean, error in zip(means, errors, strict=True):
        assert abs(mean / level - 1.0) <= 4.0 * error
    # The two laws part by k^-5: none of the bands could pass for the other law's.
    high, low = k[(k > 32) & (k < 84)], np.abs(psi_hat[(k > 32) & (k < 84)]) ** 2
    slope = np.polyfit(np.log(high), np.log(low), 1)[0]
    assert slope == pytest.approx(-5.0 * power, abs=0.2)


@pytest.mark.parametrize(("spectrum", "share"), [("amplitude", 1e-4), ("power", 0.25)])
def test_a_finer_grid_has_the_same_low_modes(spectrum, share):
    coarse = coefficients(initial_vorticity(64, seed=7, spectrum=spectrum))
    fine = coefficients(initial_vorticity(129, seed=7, spectrum=spectrum))
    kx, ky = wavenumbers(64)
    kept = (3 * np.maximum(np.abs(kx), ky) < 64) & (np.hypot(kx, ky) > 0)
    rows, columns = kx[kept].astype(int), ky[kept].astype(int)
    scale = np.vdot(coarse[rows, columns], fine[rows, columns]) / np.vdot(coarse[rows, columns], coarse[rows, columns])
    # The finer grid's further modes take their share of the energy.
    assert 1.0 - share < scale.real < 1.0
    assert gap(fine[rows, columns], scale * coarse[rows, columns]) <= 16 * EPS


def test_seeds_are_reproducible_and_distinct():
    first, again, other = (initial_vorticity(32, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    correlation = np.vdot(first, other) / np.vdot(first, first)
    assert abs(correlation) < 0.5


def test_initial_vorticity_is_the_same_on_every_backend(backend):
    omega = backend.to_numpy(initial_vorticity(24, seed=4, backend=backend))
    assert gap(omega, initial_vorticity(24, seed=4)) <= 16 * EPS


def test_coefficients_on_the_axis_are_hermitian():
    # irfftn would drop the part that is not, silently.
    n = 32
    omega = initial_vorticity(n, seed=3)
    full = np.fft.fft2(omega) / n**2
    mirrored = np.conj(np.roll(full[::-1, ::-1], (1, 1), (0, 1)))
    assert np.max(np.abs(full - mirrored)) <= EPS * np.max(np.abs(omega))
    # On ky = 0 the law holds as elsewhere, which it would not if half of each pair were missing.
    axis = np.abs(np.concatenate([coefficients(initial_vorticity(n, seed=s))[1:10, 0] for s in range(60)]))
    other = np.abs(np.concatenate([coefficients(initial_vorticity(n, seed=s))[0, 1:10] for s in range(60)]))
    assert np.sum(axis**2) / np.sum(other**2) == pytest.approx(1.0, abs=0.35)


# Exact solutions


@pytest.mark.parametrize("reynolds", [1.0, 50.0, math.inf])
@pytest.mark.parametrize("n", [16, 17])
def test_taylor_green_vortex_decays_exactly(backend, n, reynolds):
    x, y = mesh(n)
    omega = 2.0 * np.cos(x) * np.cos(y)
    steps, time = 20, 0.7
    after = solve(backend.asarray(omega), reynolds=reynolds, time=time, dt=time / steps, backend=backend)
    exact = math.exp(-2.0 * time / reynolds) * omega
    # Advection vanishes and viscosity is exact, so only the rounding of the steps is left: a few eps for each.
    assert gap(backend.to_numpy(after), exact) <= 4 * EPS * steps


def test_steady_flow_of_one_wavelength_stays():
    # All of k^2 = 25 is one eigenspace: omega = 25 psi, no advection, although the terms of its parts do not vanish.
    x, y = mesh(32)
    omega = np.cos(5.0 * x) + 2.0 * np.sin(3.0 * x + 4.0 * y) - np.cos(4.0 * x - 3.0 * y)
    after = solve(omega, reynolds=100.0, time=1.0, dt=0.05)
    assert gap(after, math.exp(-0.25) * omega) <= 1e3 * EPS


def test_agrees_with_an_independent_integration():
    """Eq. 11 as it stands, u omega_x + v omega_y on a grid twice as fine, by an adaptive method of order 8."""
    n, fine, reynolds, time = 15, 32, 40.0, 0.6
    omega = initial_vorticity(n, seed=1)
    modes = 4
    side = np.concatenate([np.arange(modes + 1), np.arange(-modes, 0)])
    kx, ky = np.meshgrid(side, side, indexing="ij")
    k2 = kx**2 + ky**2
    start = np.fft.fft2(omega)[kx, ky] / n**2

    def to_grid(hat):
        padded = np.zeros((fine, fine), dtype=complex)
        padded[kx, ky] = hat
        return np.fft.ifft2(padded, norm="forward").real

    def tendency(_, state):
        hat = state.view(complex).reshape(k2.shape)
        psi = np.where(k2 > 0, hat / np.maximum(k2, 1), 0)
        jacobian = to_grid(1j * ky * psi) * to_grid(1j * kx * hat) - to_grid(1j * kx * psi) * to_grid(1j * ky * hat)
        rate = -np.fft.fft2(jacobian, norm="forward")[kx, ky] - k2 / reynolds * hat
        return rate.ravel().view(float)

    run = solve_ivp(tendency, (0.0, time), start.ravel().view(float), method="DOP853", rtol=1e-12, atol=1e-14)
    expected = run.y[:, -1].view(complex).reshape(k2.shape)
    errors = []
    for dt in (0.01, 0.005):
        after = np.fft.fft2(solve(omega, reynolds=reynolds, time=time, dt=dt))[kx, ky] / n**2
        errors.append(gap(after, expected))
    # The nonlinear terms matter: without them the error would be of order one.
    assert gap(np.exp(-k2 * time / reynolds) * start, expected) > 0.3
    assert errors[1] < 2e-6
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.15)


# Time stepping


@pytest.mark.parametrize("reynolds", [20.0, 1000.0, math.inf])
def test_order_in_the_step_is_three(reynolds):
    omega = initial_vorticity(32, seed=0)
    runs = [solve(omega, reynolds=reynolds, time=0.48, dt=dt) for dt in (0.01, 0.005, 0.0025)]
    order = math.log2(np.max(np.abs(runs[0] - runs[1])) / np.max(np.abs(runs[1] - runs[2])))
    assert 2.8 < order < 3.3


def test_inviscid_flow_conserves_energy_and_enstrophy():
    omega = initial_vorticity(48, seed=0)
    drifts = []
    for dt in (0.005, 0.0025):
        after = solve(omega, reynolds=math.inf, time=0.8, dt=dt)
        drifts.append((abs(energy(after) / 0.5 - 1.0), abs(enstrophy(after) / enstrophy(omega) - 1.0)))
    # The semi-discrete flow conserves both exactly, so all of the drift is the time stepping's, of third order.
    for (coarse, fine), bound in zip(zip(*drifts, strict=True), (5e-7, 5e-6), strict=True):
        assert fine < bound
        assert 2.8 < math.log2(coarse / fine) < 3.3


@pytest.mark.parametrize("reynolds", [1e2, 1e4, 1e6])
def test_energy_decays_by_viscosity_alone(reynolds):
    history = []

    def record(t, omega):
        history.append((t, energy(omega), enstrophy(omega)))

    solve(initial_vorticity(32, seed=0), reynolds=reynolds, time=0.3, dt=0.0025, callback=record)
    t, kinetic, square = (np.asarray(column) for column in zip(*history, strict=True))
    # dE/dt = -(2/Re) enstrophy, the integral by the trapezoidal rule, up to the time stepping's drift of about 2e-8.
    loss = kinetic[0] - kinetic[-1]
    assert loss == pytest.approx(2.0 / reynolds * np.trapezoid(square, t), rel=1e-5, abs=5e-8)


@pytest.mark.parametrize(
    ("time", "dt", "steps"), [(1.0, 0.1, 10), (0.7, 0.1, 7), (0.25, 0.1, 3), (0.05, 0.1, 1), (0.0, 0.1, 0)]
)
def test_last_step_ends_exactly_at_the_time(time, dt, steps):
    x, y = mesh(8)
    times = []
    solve(np.cos(x) * np.cos(y), reynolds=10.0, time=time, dt=dt, callback=lambda t, _: times.append(t))
    assert len(times) == steps
    assert times[-1:] == [time] * (steps > 0)
    assert times == sorted(set(times))


def test_cfl_sets_the_step():
    # Taylor-Green at infinite Re: max(|u| + |v|) = 1 for psi = cos x cos y, on grids with a point at (pi/2, 0).
    x, y = mesh(16)
    times = []
    solve(2.0 * np.cos(x) * np.cos(y), reynolds=math.inf, time=1.0, cfl=0.5, callback=lambda t, _: times.append(t))
    assert times[0] == pytest.approx(0.5 * 2.0 * math.pi / 16, rel=32 * EPS)
    assert len(times) == math.ceil(1.0 / times[0])


def test_callback_sees_the_vorticity(backend):
    fields = []
    omega = initial_vorticity(16, backend=backend)
    after = solve(
        omega, reynolds=100.0, time=0.1, dt=0.05, backend=backend, callback=lambda t, field: fields.append(field)
    )
    assert len(fields) == 2
    assert np.array_equal(backend.to_numpy(fields[-1]), backend.to_numpy(after))


def test_still_fluid_stays_still(backend):
    after = solve(backend.asarray(np.zeros((8, 8))), reynolds=10.0, time=3.0, backend=backend)
    assert np.all(backend.to_numpy(after) == 0.0)


def test_result_is_dealiased_of_mean_zero_and_the_input_untouched(backend):
    n = 24
    omega = random_field(n) + 1.0
    omega.flags.writeable = False
    after = backend.to_numpy(solve(backend.asarray(omega), reynolds=200.0, time=0.02, dt=0.01, backend=backend))
    omega_hat = np.abs(coefficients(after))
    kx, ky = wavenumbers(n)
    dropped = (3 * np.maximum(np.abs(kx), ky) >= n) | ((kx == 0) & (ky == 0))
    assert np.max(omega_hat[dropped]) <= EPS * np.max(np.abs(after))


def test_backends_agree(backend):
    options = {"reynolds": 100.0, "time": 0.1, "seed": 1}
    psi = snapshot(24, backend=backend, **options)
    # Both do the same sums in different orders; a short run magnifies their rounding little.
    assert gap(backend.to_numpy(psi), snapshot(24, **options)) <= 64 * EPS


def test_symmetry_under_rotation():
    # A quarter turn of the plane, (x, y) -> (-y, x), maps solutions onto solutions and swaps the two axes.
    omega = initial_vorticity(32, seed=6)
    turned = np.roll(omega[::-1, :], 1, axis=0).T
    after = solve(omega, reynolds=500.0, time=0.3, dt=0.01)
    turned_after = solve(np.ascontiguousarray(turned), reynolds=500.0, time=0.3, dt=0.01)
    assert gap(turned_after, np.roll(after[::-1, :], 1, axis=0).T) <= 1e3 * EPS


def test_snapshot_is_the_composition():
    omega = solve(initial_vorticity(32, seed=2, spectrum="power"), reynolds=300.0, time=0.2, cfl=0.4)
    psi = snapshot(32, reynolds=300.0, time=0.2, seed=2, spectrum="power", cfl=0.4)
    assert np.array_equal(psi, stream_function(omega))


def resampled(field, n):
    """Trigonometric interpolation, or truncation by the 2/3 rule, to n points per axis."""
    cut = (min(n, field.shape[0]) - 1) // 3
    kept = np.r_[0 : cut + 1, -cut:0]
    spectrum = np.zeros((n, n // 2 + 1), dtype=complex)
    spectrum[kept, : cut + 1] = coefficients(field)[kept, : cut + 1]
    return np.fft.irfft2(spectrum, (n, n), norm="forward")


@pytest.mark.slow
def test_converges_spectrally_in_space():
    """One band-limited start on ever finer grids: the error at t = 1.25 falls faster than any power of n."""
    start = initial_vorticity(48, seed=0)
    sizes = (64, 96, 144, 192)
    psi = {n: stream_function(solve(resampled(start, n), reynolds=100.0, time=1.25, dt=0.005)) for n in sizes}
    errors = {n: gap(psi[n], resampled(psi[192], n)) for n in sizes[:-1]}
    orders = [math.log(errors[a] / errors[b]) / math.log(b / a) for a, b in ((64, 96), (96, 144))]
    assert errors[144] < 1e-5
    assert 4.0 < orders[0] < 10.0 < orders[1]


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reynolds": 0.0}, "reynolds: expected a number > 0"),
        ({"reynolds": -1.0}, "reynolds: expected a number > 0"),
        ({"reynolds": math.nan}, "reynolds: expected a number > 0"),
        ({"time": -0.1}, "time: expected a finite number >= 0"),
        ({"time": math.nan}, "time: expected a finite number >= 0"),
        ({"time": math.inf}, "time: expected a finite number >= 0"),
        ({"cfl": 0.0}, "cfl: expected a finite number > 0"),
        ({"cfl": math.inf}, "cfl: expected a finite number > 0"),
        ({"dt": math.nan}, "dt: expected a finite number > 0"),
        ({"dt": -1.0}, "dt: expected a finite number > 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        solve(np.zeros((8, 8)), **{"reynolds": 1.0, "time": 1.0, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 3}, "n: expected an integer >= 4, got 3"),
        ({"n": 8.0}, "n: expected an integer, got 8.0"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
        ({"seed": None}, "seed: expected an integer, got None"),
        ({"spectrum": "powr"}, "spectrum: unknown name 'powr', expected one of: amplitude, power"),
    ],
)
def test_initial_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        initial_vorticity(**{"n": 8, **options})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (np.zeros(8), r"shape \(n, n\)"),
        (np.zeros((8, 6)), r"shape \(n, n\)"),
        (np.zeros((3, 3)), "n >= 4"),
        (np.zeros((8, 8), dtype=complex), "real numbers"),
        (np.full((8, 8), np.nan), "NaN or infinity"),
        (np.full((8, 8), np.inf), "NaN or infinity"),
        ([[1.0] * 4] * 4, "expected an array of backend 'numpy', got list"),
    ],
)
def test_fields_that_are_not_square_real_and_finite_are_refused(field, message):
    for function in (stream_function, vorticity, energy, enstrophy, lambda f: solve(f, reynolds=1.0, time=1.0)):
        with pytest.raises(DataError, match=message):
            function(field)


@pytest.mark.parametrize("options", [{"dt": 0.5}, {"dt": 1e6, "time": 1e6}, {"cfl": 20.0}])
def test_a_run_that_diverges_says_so(options):
    omega = initial_vorticity(32, seed=0)
    with pytest.raises(ConfigError, match=r"diverged before time .*: choose a smaller cfl or dt"):
        solve(omega, **{"reynolds": math.inf, "time": 20.0, **options})


def test_a_step_too_short_to_reach_the_time_says_so():
    with pytest.raises(ConfigError, match="the step 1e-300 is too short to reach time 1"):
        solve(initial_vorticity(8), reynolds=math.inf, time=1.0, dt=1e-300)
