"""Two-dimensional decaying turbulence, the paper's multi-scale target (section 4): a pseudo-spectral DNS.

The vorticity-stream function form of the incompressible Navier-Stokes equations on the periodic square [0, 2 pi)^2,

    d omega/dt + psi_y omega_x - psi_x omega_y = (1/Re) Laplace omega,     Laplace psi = -omega    (eqs. 11 and 12),

has the velocity (u, v) = (psi_y, -psi_x) and omega = v_x - u_y. With Fourier coefficients omega^(k), k = (kx, ky),

    psi^ = omega^ / k^2,     (u^, v^) = i (ky, -kx) omega^ / k^2,
    d omega^/dt = A^(omega) - (k^2/Re) omega^,     A^ = (kx^2 - ky^2) (u v)^ + kx ky (v^2 - u^2)^.

This form of the advection A is the curl of the momentum fluxes (Basdevant, J. Comput. Phys. 50, 1983). It equals eq. 11
for a divergence-free velocity and takes four transforms instead of the five of u omega_x + v omega_y.

Conventions: arrays are (n, n), axis 0 is x and axis 1 is y, n may be odd. Units are those of the box, of side 2 pi, and
of a velocity whose mean kinetic energy is 0.5 at the start. Coefficients are true ones, rfftn(omega) / n^2, and only
those with 3 max(|kx|, |ky|) < n are kept: the products of two such fields then alias onto none of them (2/3 rule,
Orszag, J. Atmos. Sci. 28, 1971), so that without viscosity the semi-discrete flow conserves energy and enstrophy.
"""

import math
import operator
from collections.abc import Callable

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError, DataError

__all__ = ["SPECTRA", "energy", "enstrophy", "initial_vorticity", "snapshot", "solve", "stream_function", "vorticity"]

SPECTRA = {"amplitude": 1.0, "power": 0.5}
"""|psi^| ~ law(k) ** exponent, law(k) = 1 / (k (1 + (k/6)^4)): whether the law is the amplitude's or its square's."""


def stream_function(omega: Array, *, backend: Backend | None = None) -> Array:
    """Solve Laplace psi = -omega (eq. 12) for the periodic psi of mean zero.

    Parameters
    ----------
    omega : real array of the backend, shape (n, n), n >= 4
        Vorticity. Its mean, which the curl of a periodic velocity does not have, is left out.
    backend : Backend, optional
        NumPy by default.

    Returns
    -------
    array, float64, shape (n, n)

    Raises
    ------
    DataError
        If `omega` is not a square, real, finite array.
    """
    backend = backend or NumpyBackend()
    omega = _checked(omega, "omega", backend)
    n = omega.shape[0]
    return _irfft2(backend.asarray(_inverse_square(n)) * _rfft2(omega, backend), n, backend)


def vorticity(psi: Array, *, backend: Backend | None = None) -> Array:
    """Return omega = -Laplace psi (eq. 12), the inverse of `stream_function`.

    Parameters
    ----------
    psi : real array of the backend, shape (n, n), n >= 4
        Stream function.
    backend : Backend, optional
        NumPy by default.

    Returns
    -------
    array, float64, shape (n, n)
        Of mean zero.

    Raises
    ------
    DataError
        If `psi` is not a square, real, finite array.
    """
    backend = backend or NumpyBackend()
    psi = _checked(psi, "psi", backend)
    n = psi.shape[0]
    return _irfft2(backend.asarray(_square(n)) * _rfft2(psi, backend), n, backend)


def energy(omega: Array, *, backend: Backend | None = None) -> float:
    """Kinetic energy per unit area, mean |(u, v)|^2 / 2 of a vorticity, shape (n, n).

    Integration by parts makes it the mean of psi omega / 2. It decays as dE/dt = -(2/Re) enstrophy.
    """
    backend = backend or NumpyBackend()
    omega = _checked(omega, "omega", backend)
    return 0.5 * _float(backend.xp.mean(stream_function(omega, backend=backend) * omega), backend)


def enstrophy(omega: Array, *, backend: Backend | None = None) -> float:
    """Enstrophy per unit area, mean omega^2 / 2 of a vorticity, shape (n, n)."""
    backend = backend or NumpyBackend()
    omega = _checked(omega, "omega", backend)
    return 0.5 * _float(backend.xp.mean(omega * omega), backend)


def initial_vorticity(n: int, *, seed: int = 0, spectrum: str = "amplitude", backend: Backend | None = None) -> Array:
    """Draw a broad-banded random vorticity in the manner of McWilliams (J. Fluid Mech. 146, 1984).

    The coefficients psi^(k) are independent complex Gaussians, hence of uniformly random phase, whose root mean square
    follows a law that peaks in energy near k = 6; then all are scaled to a mean kinetic energy of exactly 0.5.

    The random numbers belong to wavenumbers, not to grid points: a finer grid has the same coefficients and further
    ones. Only the common scale differs, as the further ones take their share of the energy (between n = 128 and 256
    about 1e-6 of it for "amplitude", several percent for "power").

    Parameters
    ----------
    n : int
        Points per axis, at least 4.
    seed : int, optional
        Non-negative seed of `numpy.random.default_rng`.
    spectrum : {"amplitude", "power"}, optional
        "power" is the law of the 1984 paper, |psi^|^2 ~ 1 / (k (1 + (k/6)^4)); "amplitude" is the one of several public
        codes, |psi^| ~ 1 / (k (1 + (k/6)^4)). The default's snapshot decays about as fast as the one in the paper
        on SI-MSNN, which does not say which of the two it used; the other is too rough for its numbers of modes.
    backend : Backend, optional
        NumPy by default.

    Returns
    -------
    array, float64, shape (n, n)
        Of mean zero, without modes beyond the 2/3 rule.

    Raises
    ------
    ConfigError
        If an option is out of range or `spectrum` unknown.
    """
    backend = backend or NumpyBackend()
    n = _whole("n", n, at_least=4)
    seed = _whole("seed", seed, at_least=0)
    if spectrum not in SPECTRA:
        raise ConfigError(f"spectrum: unknown name {spectrum!r}, expected one of: {', '.join(sorted(SPECTRA))}")

    # One of each pair k, -k; in the order of growing squares, so that the draws for a mode do not depend on n.
    cut = (n - 1) // 3
    kx, ky = np.mgrid[-cut : cut + 1, 0 : cut + 1]
    independent = (ky > 0) | (kx > 0)
    kx, ky = kx[independent], ky[independent]
    order = np.lexsort((ky, kx, np.maximum(np.abs(kx), ky)))
    kx, ky = kx[order], ky[order]

    k = np.hypot(kx, ky)
    noise = np.random.default_rng(seed).standard_normal((k.size, 2)) @ np.asarray([1.0, 1.0j])
    psi = (k * (1.0 + (k / 6.0) ** 4)) ** -SPECTRA[spectrum] * noise
    # The pair's other half doubles its energy k^2 |psi^|^2 / 2.
    psi *= math.sqrt(0.5 / float(np.sum(k**2 * np.abs(psi) ** 2)))

    coefficients = np.zeros((n, n // 2 + 1), dtype=np.complex128)
    coefficients[kx, ky] = k**2 * psi
    on_axis = ky == 0
    coefficients[-kx[on_axis], 0] = np.conj(coefficients[kx[on_axis], 0])
    return _irfft2(backend.asarray(coefficients), n, backend)


def solve(
    omega: Array,
    *,
    reynolds: float,
    time: float,
    cfl: float = 0.5,
    dt: float | None = None,
    backend: Backend | None = None,
    callback: Callable[[float, Array], None] | None = None,
) -> Array:
    """Advance a vorticity from 0 to `time` by eqs. 11 and 12.

    Time stepping is Heun's third-order Runge-Kutta method (Hairer, Norsett & Wanner, Solving Ordinary Differential
    Equations I, section II.1) for the variable exp(k^2 t / Re) omega^, in which viscosity is exact (integrating
    factor; Canuto et al., Spectral Methods, 2006). Its stages at 0, h/3 and 2h/3 need one decaying exponential only,
    e = exp(-k^2 h / (3 Re)):

        omega_1 = omega
        omega_2 = e (omega + h/3 A(omega_1))
        omega_3 = e (e omega + 2h/3 A(omega_2))
        omega' = e (e^2 (omega + h/4 A(omega_1)) + 3h/4 A(omega_3))

    Parameters
    ----------
    omega : real array of the backend, shape (n, n), n >= 4
        Vorticity at time 0; not modified. Its mean and its modes beyond the 2/3 rule are left out.
    reynolds : float
        Re > 0; ``math.inf`` for the inviscid flow.
    time : float
        Final time >= 0, met exactly: the last step is shortened.
    cfl : float, optional
        Step h = cfl * (2 pi / n) / max(|u| + |v|), renewed at each step. The method is stable up to
        cfl = 3 sqrt(3) / (2 pi) = 0.83: sqrt(3) on the imaginary axis, over the largest wavenumber n/3.
    dt : float, optional
        Fixed step in place of the CFL condition.
    backend : Backend, optional
        NumPy by default.
    callback : function of (float, array), optional
        Called after each step with the time and the vorticity, shape (n, n).

    Returns
    -------
    array, float64, shape (n, n)
        Vorticity at `time`.

    Raises
    ------
    DataError
        If `omega` is not a square, real, finite array.
    ConfigError
        If an option is out of range, or the run diverges because the step is too long.
    """
    backend = backend or NumpyBackend()
    xp = backend.xp
    viscosity = 1.0 / _positive("reynolds", reynolds, infinite=True)
    if not (math.isfinite(time) and time >= 0.0):
        raise ConfigError(f"time: expected a finite number >= 0, got {time!r}")
    cfl = _positive("cfl", cfl)
    dt = None if dt is None else _positive("dt", dt)
    omega = _checked(omega, "omega", backend)
    n = omega.shape[0]

    kx, ky, kept = _wavenumbers(n)
    inverse_square = _inverse_square(n)
    decay_rate = backend.asarray(viscosity / 3.0 * _square(n))
    to_velocity = backend.asarray(1j * np.stack([ky * inverse_square, -kx * inverse_square]))
    from_fluxes = backend.asarray(np.stack([kept * (kx**2 - ky**2), kept * kx * ky]) / n**2)

    def velocity(omega_hat: Array) -> Array:
        return backend.irfftn(to_velocity * omega_hat, shape=(n, n), axes=(1, 2))

    def advection(uv: Array) -> Array:
        u, v = uv[0, ...], uv[1, ...]
        fluxes = backend.rfftn(xp.stack([u * v, (v - u) * (v + u)]), axes=(1, 2))
        fluxes *= from_fluxes
        return fluxes[0, ...] + fluxes[1, ...]

    def half_sum(omega_hat: Array) -> float:
        return _float(xp.sum(xp.real(omega_hat * xp.conj(omega_hat))), backend)

    omega_hat = backend.asarray(kept) * _rfft2(omega, backend)
    # Enstrophy never grows. This sum over half the spectrum lies between it and its double, so at most it doubles;
    # more than that, with a margin for the error of the steps, is a run that diverges, seen well before it overflows.
    limit = 4.0 * half_sum(omega_hat)
    now = 0.0
    while now < time:
        uv = velocity(omega_hat)
        if dt is not None:
            h = dt
        else:
            speed = _float(xp.max(xp.abs(uv[0, ...]) + xp.abs(uv[1, ...])), backend)
            h = cfl * (2.0 * math.pi / n) / speed if speed > 0.0 else math.inf
        # The margin is far above the rounding of `now`, which would else leave a sliver for one more step.
        last = time - now <= h * (1.0 + 1e-9)
        if not last and time + h == time:
            raise ConfigError(f"the step {h:.3g} is too short to reach time {time:.6g}: choose a larger cfl or dt")
        h = time - now if last else h

        e = xp.exp(-h * decay_rate)
        a = advection(uv)
        b = advection(velocity(e * (omega_hat + (h / 3.0) * a)))
        c = advection(velocity(e * (e * omega_hat + (2.0 * h / 3.0) * b)))
        omega_hat = e * (e * e * (omega_hat + (h / 4.0) * a) + (3.0 * h / 4.0) * c)
        now = time if last else now + h
        if not half_sum(omega_hat) <= limit:
            raise ConfigError(f"the run diverged before time {now:.6g} of {time:.6g}: choose a smaller cfl or dt")
        if callback is not None:
            callback(now, _irfft2(omega_hat, n, backend))

    return _irfft2(omega_hat, n, backend)


def snapshot(
    n: int = 512,
    *,
    reynolds: float = 2000.0,
    time: float = 1.25,
    seed: int = 0,
    spectrum: str = "amplitude",
    cfl: float = 0.5,
    backend: Backend | None = None,
    callback: Callable[[float, Array], None] | None = None,
) -> Array:
    """Return the paper's target, the stream function psi(x, t) of decaying turbulence at t = `time` (section 4).

    Parameters
    ----------
    n : int, optional
        Points per axis, at least 4.
    reynolds, time, cfl, callback
        See `solve`.
    seed, spectrum
        See `initial_vorticity`.
    backend : Backend, optional
        NumPy by default.

    Returns
    -------
    array, float64, shape (n, n)
        Of mean zero, band-limited by the 2/3 rule up to rounding.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """
    omega = initial_vorticity(n, seed=seed, spectrum=spectrum, backend=backend)
    omega = solve(omega, reynolds=reynolds, time=time, cfl=cfl, backend=backend, callback=callback)
    return stream_function(omega, backend=backend)


def _wavenumbers(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer wavenumbers kx, (n, 1), and ky, (1, n//2 + 1), of `rfftn`, and 1.0 where the 2/3 rule keeps k, else 0.0.

    The mean is not kept: it neither moves the fluid nor belongs to the curl of a periodic velocity.
    """
    kx = ((np.arange(n) + n // 2) % n - n // 2).astype(np.float64)[:, np.newaxis]
    ky = np.arange(n // 2 + 1, dtype=np.float64)[np.newaxis, :]
    largest = np.maximum(np.abs(kx), ky)
    return kx, ky, ((largest > 0) & (3 * largest < n)).astype(np.float64)


def _square(n: int) -> np.ndarray:
    """k^2, shape (n, n//2 + 1)."""
    kx, ky, _ = _wavenumbers(n)
    square: np.ndarray = kx**2 + ky**2
    return square


def _inverse_square(n: int) -> np.ndarray:
    """1/k^2, and 0 for the mean, shape (n, n//2 + 1)."""
    square = _square(n)
    inverse: np.ndarray = np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)
    return inverse


def _rfft2(field: Array, backend: Backend) -> Array:
    """Fourier coefficients, (n, n//2 + 1), of a real field, (n, n)."""
    return backend.rfftn(field, axes=(0, 1)) / field.shape[0] ** 2


def _irfft2(coefficients: Array, n: int, backend: Backend) -> Array:
    """Inverse of `_rfft2`."""
    return backend.irfftn(coefficients, shape=(n, n), axes=(0, 1))


def _float(scalar: Array, backend: Backend) -> float:
    return float(backend.to_numpy(scalar))


def _all_finite(field: Array, backend: Backend) -> bool:
    return bool(backend.to_numpy(backend.xp.all(backend.xp.isfinite(field))))


def _checked(field: Array, name: str, backend: Backend) -> Array:
    """Return the field in float64; raise DataError unless it is square, real and finite."""
    xp = backend.xp
    shape = getattr(field, "shape", None)
    if shape is None:
        raise DataError(f"{name}: expected an array of backend {backend.name!r}, got {type(field).__name__}")
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 4:
        raise DataError(f"{name}: expected shape (n, n) with n >= 4, got {tuple(shape)}")
    if not xp.isdtype(field.dtype, ("real floating", "integral")):
        raise DataError(f"{name}: expected real numbers, got dtype {field.dtype}")
    if not _all_finite(field, backend):
        raise DataError(f"{name}: contains NaN or infinity")
    return xp.astype(field, xp.float64, copy=False)


def _whole(name: str, value: int, at_least: int) -> int:
    try:
        whole = operator.index(value)
    except TypeError:
        raise ConfigError(f"{name}: expected an integer, got {value!r}") from None
    if whole < at_least:
        raise ConfigError(f"{name}: expected an integer >= {at_least}, got {whole}")
    return whole


def _positive(name: str, value: float, infinite: bool = False) -> float:
    if not value > 0.0 or (math.isinf(value) and not infinite):
        raise ConfigError(f"{name}: expected a {'' if infinite else 'finite '}number > 0, got {value!r}")
    return float(value)
