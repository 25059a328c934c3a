"""The paper in one file: Ng, Wang & Lai, "Spectrum-Informed Multistage Neural Network" (2024), arXiv:2407.17213.

Sections 2 and 3, Algorithm 1, and what section 4 says of training. Read it from top to bottom beside the paper. Every
function names its equation or section, and a gradient stands below what it is the gradient of. Nothing here is made
fast: this is the specification that the rest of the package is tested against. `python -m simsnn_ref.paper` fits the
function of section 4.1 in three stages.

Arrays are float64, of any library with the Python array API, on any device. Points x are rows, shape (n, d). Units of
the network are rows too, so that its layers have the shape (units, n).
"""

import importlib
import math
import statistics
import sys
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.errors import ConfigError

__all__ = [
    "Parameters", "Stage", "adam_step", "algorithm_1", "anneal", "cosinusoidal_mapping", "dft",
    "energy_spectrum", "evaluate", "features", "fit", "fourier_feature_mapping", "fourier_series", "grid",
    "initialize", "inverse_dft", "lp_loss", "lp_loss_backward", "main", "modes", "namespace",
    "network_backward", "network_forward", "random_fourier_features", "rms", "scale_factor", "train", "u_g",
    "xavier",
]  # fmt: skip

Array: TypeAlias = Any
Parameters: TypeAlias = dict[str, Array]
"""B (n_f, d), b (n_f,), W1 (h_1, n_f), c1 (h_1,), W2 (h_2, h_1), c2 (h_2,), ... The paper's b_l are called c_l here."""
Stage: TypeAlias = tuple[float, Array, Parameters]
"""eps, A and the trained parameters of one stage."""


def namespace(x: Array) -> Any:
    """The functions of the library of `x`. PyTorch's tensors do not say which these are, array-api-compat does."""
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    return importlib.import_module("array_api_compat").array_namespace(x)


# Section 2.1: discrete Fourier transform


def grid(u: Array) -> Array:
    """Where the samples `u` are, (n, d) in C order: x_j = -1 + 2j/N along each axis, the end 1 left out (period 2).

    >>> grid(np.zeros(4)).T
    array([[-1. , -0.5,  0. ,  0.5]])
    """
    xp = namespace(u)
    axes = [(2.0 * xp.arange(n, dtype=xp.float64, device=u.device) - n) / n for n in u.shape]
    return xp.stack([xp.reshape(x, (-1,)) for x in xp.meshgrid(*axes, indexing="ij")], axis=1)


def dft(u: Array) -> Array:
    """u~(m) = 1/N^d sum_j u(x_j) exp(-2 pi i m.j / N), the modes with m_d >= 0; the others are their conjugates.

    This is eq. 1. For eq. 3 the paper puts the factor 1/N^2 into Algorithm 1 and eq. 8; here it is always part of u~.
    The phases are those of coordinates with the origin at the first sample.

    >>> dft(np.cos(np.pi * grid(np.zeros(4))[:, 0])).round(3) + 0.0
    array([ 0. +0.j, -0.5+0.j,  0. +0.j])
    """
    return namespace(u).fft.rfftn(u) / math.prod(u.shape)  # eqs. 1, 3


def inverse_dft(spectrum: Array, shape: Sequence[int]) -> Array:
    """u(x_j) = sum_m u~(m) exp(2 pi i m.j / N), eqs. 2 and 8. Eq. 2 has u and u~ exchanged, a misprint.

    >>> inverse_dft(dft(np.array([1.0, 2.0, 4.0])), [3])
    array([1., 2., 4.])
    """
    axes = tuple(range(len(shape)))
    return namespace(spectrum).fft.irfftn(spectrum, s=tuple(shape), axes=axes, norm="forward")  # eqs. 2, 8


# Section 2.2: Fourier feature networks


def features(x: Array, A: Array, B: Array, b: Array) -> Array:
    """gamma(x) = A cos(B x + b), section 3.4, shape (n_f, n); A (n_f,), B (n_f, d), b (n_f,).

    >>> features(np.array([[0.0], [0.5]]), A=np.array([2.0]), B=np.array([[np.pi]]), b=np.array([0.0])).round(3) + 0.0
    array([[2., 0.]])
    """
    return A[:, None] * namespace(x).cos(B @ x.T + b[:, None])


def random_fourier_features(x: Array, B: Array, b: Array) -> Array:
    """gamma(x) = cos(2 pi B x + b), eq. 4, shape (m, n): B and b are random and do not train."""
    return features(x, namespace(x).ones_like(b), 2.0 * math.pi * B, b)  # eq. 4


def fourier_feature_mapping(x: Array, A: Array, B: Array) -> Array:
    """gamma(x) = [A cos(2 pi B x), A sin(2 pi B x)]^T, eq. 5, shape (2m, n); A (m,), B (m, d) from N(0, sigma^2)."""
    xp, phase = namespace(x), 2.0 * math.pi * B @ x.T
    return xp.concat([A[:, None] * xp.cos(phase), A[:, None] * xp.sin(phase)])  # eq. 5


def cosinusoidal_mapping(x: Array, A: Array, B: Array, b: Array) -> Array:
    """gamma(x) = A cos(2 pi B x + b), eq. 6, shape (m, n): B as in eq. 5, b zero or normal at the start, both train."""
    return features(x, A, 2.0 * math.pi * B, b)  # eq. 6


# Section 2.3 explains why the modes of the target belong into B, and computes nothing.


# Section 3.1: the network f_{L+1} o tanh o f_L o ... o tanh o f_1 o gamma with f_l(h) = W_l h + c_l


def network_forward(x: Array, A: Array, params: Parameters) -> tuple[Array, list[Array]]:
    """u(x), shape (n,), and the layers h_0 = gamma(x), h_1 = tanh(W_1 h_0 + c_1), ..., h_L, each (units, n).

    >>> one, zero = np.ones((1, 1)), np.zeros(1)
    >>> params = {"B": one, "b": zero, "W1": one, "c1": zero, "W2": 4.0 * one, "c2": zero}
    >>> np.isclose(network_forward(np.zeros((1, 1)), np.ones(1), params)[0], 4.0 * np.tanh(1.0))
    array([ True])
    """
    last = sum(name.startswith("W") for name in params)  # L + 1
    h = [features(x, A, params["B"], params["b"])]
    for layer in range(1, last + 1):
        z = params[f"W{layer}"] @ h[-1] + params[f"c{layer}"][:, None]
        if layer < last:
            h.append(namespace(x).tanh(z))
    return z[0, :], h


def network_backward(
    x: Array, A: Array, params: Parameters, h: list[Array], du: Array, frozen: Collection[str] = ()
) -> Parameters:
    """Gradient of the loss for every parameter that is not `frozen`, from `du` (n,), its gradient for u.

    dy is the gradient of the loss for y. If y = f(x), a direction x_dot is carried to y_dot = f'(x) x_dot, and dx is
    what makes <x_dot, dx> = <y_dot, dy> for all of them:

        z = W h + c           z_dot = W_dot h + c_dot + W h_dot       dW = dz h^T,  dc = dz 1,  dh = W^T dz
        h = tanh z            h_dot = (1 - h^2) z_dot                 dz = (1 - h^2) dh
        gamma = A cos phi     gamma_dot = -A sin(phi) phi_dot         dphi = -A sin(phi) dgamma
        phi = B x + b         phi_dot = B_dot x + b_dot               dB = dphi x^T,  db = dphi 1
    """
    xp, last, grads = namespace(x), len(h), {}
    dh = du[None, :]
    for layer in range(last, 0, -1):
        dz = dh if layer == last else (1.0 - h[layer]) * (1.0 + h[layer]) * dh  # no tanh behind the last W h + c
        grads[f"W{layer}"] = dz @ h[layer - 1].T
        grads[f"c{layer}"] = xp.sum(dz, axis=1)
        dh = params[f"W{layer}"].T @ dz
    dphi = -A[:, None] * xp.sin(params["B"] @ x.T + params["b"][:, None]) * dh
    grads["B"], grads["b"] = dphi @ x, xp.sum(dphi, axis=1)
    return {name: grads[name] for name in params if name not in frozen}


# Section 3.2: multi-stage neural networks


def rms(e: Array) -> float:
    """The normalising factor of a stage, eps = sqrt(1/N_d sum_i e_i^2).

    >>> rms(np.array([3.0, -3.0]))
    3.0
    """
    return math.sqrt(float(namespace(e).sum(e**2)) / math.prod(e.shape))


def scale_factor(f_d: float, variance: float) -> float:
    """The factor kappa = pi f_d / sqrt(Var) of Wang & Lai's gamma(x) = cos(kappa w.x), which Algorithm 1 replaces.

    With w ~ N(0, Var) the wavenumbers kappa w have the deviation pi f_d. The paper does not give the unit of f_d. Here
    it is the number of waves in [-1, 1]: sin(pi f_d x) has f_d.
    """
    return math.pi * f_d / math.sqrt(variance)


def fit(
    u: Array,
    n_f: Sequence[int],
    hidden: Sequence[int] = (30, 30, 30),
    *,
    steps: int = 150_000,
    p: int = 10,
    learning_rate: float = 1e-3,
    window: int = 2500,
    frozen: Collection[str] = (),
    seed: int = 0,
) -> list[Stage]:
    """Fit the samples `u` on `grid(u)` in as many stages as there are widths `n_f` of a first layer.

    Behind it are tanh layers of the widths `hidden`. The other options are those of `train`, which is below with the
    rest of what a stage is made of.

    >>> u = np.sin(np.pi * grid(np.zeros(16))[:, 0]) ** 3
    >>> stages = fit(u, n_f=[2, 4], hidden=[5], steps=100, learning_rate=1e-2)
    >>> rms(u - evaluate(stages, grid(u))) < 0.1 * rms(u)
    True
    """
    xp, x = namespace(u), grid(u)
    e, stages = xp.reshape(u, (-1,)), []
    for s, width in enumerate(n_f, start=1):
        eps = rms(e)
        if not math.isfinite(eps):
            raise ConfigError(f"u: the residue of stage {s} is not finite; the samples need to be finite numbers")
        if eps == 0.0:
            break  # nothing is left
        t = e / eps  # of order 1, as the output of the network is at the start
        A, params = initialize(xp.reshape(t, u.shape), width, hidden, np.random.default_rng([seed, s]))
        params = train(x, t, A, params, steps, p, learning_rate, window, frozen)
        e = e - eps * network_forward(x, A, params)[0]  # the residue, which the next stage is to fit
        stages.append((eps, A, params))
    return stages


def evaluate(stages: Sequence[Stage], x: Array) -> Array:
    """The sum over the stages of eps_s u_s at any points x of [-1, 1]^d, shape (n,)."""
    return sum(eps * network_forward(x, A, params)[0] for eps, A, params in stages)


# Section 3.3: L^p norm


def lp_loss(e: Array, p: int = 10) -> Array:
    """L(e) = (1/N_d sum_i |e_i|^p)^(1/p), eq. 7 with the mean in place of the sum, so that p = 2 is the RMS.

    L(e) = s L(e / s) with s = max |e_i|, since the 10th power of 1e-40 would underflow. For even p no absolute value is
    taken: L is analytic then, so that complex steps can check its gradient.

    >>> float(lp_loss(np.array([3.0, -3.0, 3.0])))
    3.0
    """
    xp = namespace(e)
    s = float(xp.max(xp.abs(e))) or 1.0
    r = e / s if p % 2 == 0 else xp.abs(e) / s
    return s * (xp.sum(r**p) / math.prod(e.shape)) ** (1.0 / p)  # eq. 7


def lp_loss_backward(e: Array, p: int = 10) -> Array:
    """de_i = sign(e_i) (|e_i| / L)^(p-1) / N_d, of the shape of e; not defined at e = 0, where L has a kink."""
    xp = namespace(e)
    return xp.sign(e) * (xp.abs(e) / lp_loss(e, p)) ** (p - 1) / math.prod(e.shape)


# Section 3.4: spectrum-informed initialization


def modes(u: Array) -> tuple[Array, Array, Array]:
    """The DFT of `u` as a list of modes: u~(m), m and how often it counts, of shapes (M,), (M, d), (M,).

    u is real, so that u~(-m) is the conjugate of u~(m) and both are one cosine. Algorithm 1 counts 2 where k_y > 0 and
    1 where k_y = 0. So that the sum of all modes is u, it must be

        2    for a mode that stands for itself and for -m,
        1    if m and -m are the same modulo N: at 0, and at the Nyquist wavenumber N/2 if N is even,
        0    if -m has been counted already, as happens in the planes k_y = 0 and k_y = N/2.
    """
    xp, N = namespace(u), u.shape
    half = (*N[:-1], N[-1] // 2 + 1)
    axes = [xp.arange(n, dtype=xp.float64, device=u.device) for n in half]
    index = [xp.reshape(i, (-1,)) for i in xp.meshgrid(*axes, indexing="ij")]
    # Numbers of m and of -m modulo N, by the last axis first. Where -m is not in this half, its number is larger.
    stride = [math.prod(N[axis + 1 : -1]) for axis in range(len(N) - 1)] + [math.prod(N[:-1])]
    ours = sum(i * step for i, step in zip(index, stride, strict=True))
    conjugate = sum((n - i) % n * step for i, n, step in zip(index, N, stride, strict=True))
    m = xp.stack([xp.where(i > n // 2, i - n, i) for i, n in zip(index, N, strict=True)], axis=1)
    return xp.reshape(dft(u), (-1,)), m, 1.0 + xp.sign(conjugate - ours)


def algorithm_1(u: Array, n_f: int) -> tuple[Array, Array, Array]:
    """B (n_f, d), b (n_f,) and A (n_f,) of the `n_f` largest Fourier modes of `u`, the largest first; k = pi m.

    The phase theta of the DFT counts from the first sample, x_0 = (-1, ..., -1). In the coordinates x it is
    theta - k.x_0, and k.x_0 = -pi sum(m) is 0 or pi but for whole turns.

    >>> B, b, A = algorithm_1(3.0 * np.cos(2.0 * np.pi * grid(np.zeros(8))[:, 0] + 0.5), 1)
    >>> (B / np.pi).round(3), b.round(3), A.round(3)
    (array([[2.]]), array([0.5]), array([3.]))
    """
    xp = namespace(u)
    spectrum, m, count = modes(u)
    n_modes = int(xp.count_nonzero(count))
    if not 1 <= n_f <= n_modes:
        raise ConfigError(f"n_f = {n_f}: these samples have {n_modes} Fourier modes; choose 1 to {n_modes}")
    a = xp.abs(spectrum)  # u~ = a exp(i theta)
    largest = xp.argsort(-xp.where(count > 0.0, a, -xp.ones_like(a)), stable=True)[:n_f]
    spectrum, m, alpha = xp.take(spectrum, largest), xp.take(m, largest, axis=0), xp.take(count * a, largest)
    theta = xp.atan2(xp.imag(spectrum), xp.real(spectrum))
    return math.pi * m, theta - math.pi * (xp.sum(m, axis=1) % 2.0), alpha


def fourier_series(x: Array, A: Array, B: Array, b: Array) -> Array:
    """The sum of alpha_j cos(k_j.x + theta_j), eqs. 9 and 10, shape (n,): of all modes it is u at the samples.

    >>> u = np.array([1.0, 2.0, 4.0, 0.0])
    >>> B, b, A = algorithm_1(u, 3)
    >>> np.allclose(fourier_series(grid(u), A, B, b), u)
    True
    """
    return namespace(x).sum(features(x, A, B, b), axis=0)  # eq. 10


def xavier(rng: np.random.Generator, n_out: int, n_in: int) -> np.ndarray:
    """Weights of Glorot & Bengio (2010), normal with the variance 2 / (n_in + n_out), shape (n_out, n_in)."""
    return rng.normal(0.0, math.sqrt(2.0 / (n_in + n_out)), (n_out, n_in))


def initialize(t: Array, n_f: int, hidden: Sequence[int], rng: np.random.Generator) -> tuple[Array, Parameters]:
    """A and the parameters of a stage that is to fit `t`: Algorithm 1, then Xavier's weights and biases 0."""
    xp = namespace(t)
    B, b, A = algorithm_1(t, n_f)
    params, widths = {"B": B, "b": b}, [n_f, *hidden, 1]
    for layer in range(1, len(widths)):
        params[f"W{layer}"] = xp.asarray(xavier(rng, widths[layer], widths[layer - 1]), device=t.device)
        params[f"c{layer}"] = xp.zeros(widths[layer], dtype=xp.float64, device=t.device)
    return A, params


# Section 4.2: training with full batch Adam and learning rate annealing


def adam_step(
    theta: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    alpha: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """Theta, m and v after step t = 1, 2, ... with the gradient g: Algorithm 1 of Kingma & Ba (2015), in its symbols.

    >>> adam_step(np.ones(1), g=np.full(1, 7.0), m=np.zeros(1), v=np.zeros(1), t=1, alpha=0.25)[0].round(6)
    array([0.75])
    """
    m = beta1 * m + (1.0 - beta1) * g
    v = beta2 * v + (1.0 - beta2) * g**2
    m_hat = m / (1.0 - beta1**t)
    v_hat = v / (1.0 - beta2**t)
    return theta - alpha * m_hat / (namespace(v).sqrt(v_hat) + eps), m, v


def anneal(learning_rate: float, losses: Sequence[float], window: int = 2500) -> float:
    """The learning rate of the next step from the `losses` so far: halved when a window of steps ends with

    |mean loss of the window - mean loss of the window before| < 0.4 standard deviations of the loss in the window.

    This is the rule of the authors' earlier code (Wang & Lai 2024); the paper names none.

    >>> anneal(1.0, [5.0, 5.0, 1.0, 2.0], window=2), anneal(1.0, [1.0, 2.0, 1.0, 2.0], window=2)
    (1.0, 0.5)
    """
    if len(losses) % window or len(losses) < 2 * window:
        return learning_rate
    before, last = losses[-2 * window : -window], losses[-window:]
    stood_still = abs(statistics.fmean(last) - statistics.fmean(before)) < 0.4 * statistics.pstdev(last)
    return 0.5 * learning_rate if stood_still else learning_rate


def train(
    x: Array,
    t: Array,
    A: Array,
    params: Parameters,
    steps: int,
    p: int = 10,
    learning_rate: float = 1e-3,
    window: int = 2500,
    frozen: Collection[str] = (),
) -> Parameters:
    """The parameters with the lowest L^p loss of u(x) - t that the steps meet, t (n,); all train but the `frozen`."""
    m, v = ({name: namespace(x).zeros_like(value) for name, value in params.items()} for _ in "mv")
    losses, lowest = [], math.inf
    for step in range(1, steps + 2):
        u, h = network_forward(x, A, params)
        losses.append(float(lp_loss(u - t, p)))
        if losses[-1] < lowest:
            lowest, best = losses[-1], params
        if step > steps:
            break
        learning_rate = anneal(learning_rate, losses, window)
        params = dict(params)  # `best` stays as it is
        for name, g in network_backward(x, A, params, h, lp_loss_backward(u - t, p), frozen).items():
            params[name], m[name], v[name] = adam_step(params[name], g, m[name], v[name], step, learning_rate)
    return best


def energy_spectrum(u: Array, bins: int = 200) -> tuple[Array, Array]:
    """The wavenumbers k and E(k) = sum of |u~(k')|^2 over k - dk <= |k'| < k + dk, eq. 13.

    k is in waves per period, as on the box [0, 2 pi)^2 of section 4.2. E adds up to the mean of u^2, since u~ is
    divided by the number of samples. The last bin includes the largest |k'|.

    >>> energy_spectrum(np.array([2.0, -2.0, 2.0, -2.0]), bins=2)
    (array([0.5, 1.5]), array([0., 4.]))
    """
    xp = namespace(u)
    spectrum, m, count = modes(u)
    k = xp.sqrt(xp.sum(m**2, axis=1))
    edges = xp.linspace(0.0, float(xp.max(k)), bins + 1, dtype=xp.float64, device=u.device)
    shell = xp.searchsorted(edges[:-1], k, side="right")  # 1, 2, ..., bins
    power = count * xp.abs(spectrum) ** 2
    E = xp.stack([xp.sum(xp.where(shell == i, power, 0.0 * power)) for i in range(1, bins + 1)])  # eq. 13
    return 0.5 * (edges[:-1] + edges[1:]), E


# Section 4.1: the example u_g


def u_g(x: Array) -> Array:
    """u_g(x, y) = [sin(2x + 1) - 0.5x] (1 - y^2), shape (n,)."""
    return (namespace(x).sin(2.0 * x[:, 0] + 1.0) - 0.5 * x[:, 0]) * (1.0 - x[:, 1] ** 2)


TABLE = """\
u_g on 16 x 16 samples, fitted in three stages with the paper's settings (tanh layers of 30, 30 and 30 units, p = 10,
learning rate 1e-3), but with 500 steps of Adam a stage where the paper takes 150000.

                       error at the samples   error between them
stage  n_f       eps       RMS    largest       RMS    largest
{rows}
n_f                     number of Fourier modes in the first layer
eps                     RMS of the residue that the stage is to fit; the stage fits the residue divided by eps
error at the samples    of the sum of all stages so far, at the points where they were trained: RMS and largest
error between them      the same half a cell further along both axes, where no stage was trained

Samples do not tell what the residue is between them, all the less as u_g is not periodic: there the later stages bring
nothing. `simsnn fit` trains between the samples too (mode accurate). Training amplifies rounding, so that another
processor prints other errors of about this size.
"""


def main() -> None:
    """Fit u_g and print the errors of one, two and three stages."""
    n = 16
    at = grid(np.zeros((n, n)))
    between = at + 1.0 / n
    stages = fit(u_g(at).reshape(n, n), n_f=[20, 40, 80], steps=500)
    rows = ""
    for s, (eps, A, _) in enumerate(stages, start=1):
        rows += f"{s:5} {len(A):4}  {eps:.2e}"
        for x in (at, between):
            e = u_g(x) - evaluate(stages[:s], x)
            rows += f"  {rms(e):.2e}   {np.max(np.abs(e)):.2e}"
        rows += "\n"
    sys.stdout.write(TABLE.format(rows=rows))


if __name__ == "__main__":
    main()
