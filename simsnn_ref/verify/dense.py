"""The update rules of second order written out once more, with dense matrices in long double.

Nothing is shared with `simsnn_ref.optimizers` but the description in its docstrings: J comes from complex steps of the
network's formula, linear systems are solved by Cholesky's method, iterates of conjugate gradients are the minimisers
over a Krylov space with an orthogonal basis, and Fourier transforms are matrices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from simsnn_ref.network import pre_activations
from simsnn_ref.spectrum import PI
from simsnn_ref.verify.cases import Subject, loss_of, loss_slope
from simsnn_ref.verify.differentiation import complex_step_jacobian

__all__ = ["Descent", "Increment", "Linearization", "exact_scales", "exact_weights", "solve_positive"]

LEAST_EFFECT = 1e-3
"""Least effect of a unit, relative to the largest in its layer, that counts in `optimizers.second_order.scaling`."""

LEAST_RESPONSE = 1e-6
"""Least power at a wavenumber, relative to the largest, that counts there."""


def exact_scales(subject: Subject, params: dict[str, np.ndarray], J: np.ndarray) -> dict[str, np.ndarray]:
    """Natural scales from the layers by their formula and the columns of J for the biases, which are du/dz_l."""
    network = subject.network
    gamma, z = pre_activations(network, params, subject.points)
    columns = subject.columns(J)
    scales: dict[str, np.ndarray] = {}
    for layer in range(1, network.depth + 2):
        rows = _inverse(_rms(columns[f"c{layer}"]), LEAST_EFFECT)
        if layer > 1:
            inputs = _inverse(_rms(np.tanh(z[layer - 2]).T), LEAST_EFFECT)
        elif network.amplitudes is None:
            inputs = np.ones(len(gamma))
        else:
            inputs = np.sqrt(2.0) / network.amplitudes
        scales[f"W{layer}"], scales[f"c{layer}"] = np.outer(rows, inputs), rows
    if network.amplitudes is not None:
        # The RMS of A_j cos(k_j.x + b_j) times that of its coefficient, as if the two were independent.
        effect = network.amplitudes * _rms(columns["c1"] @ params["W1"]) / np.sqrt(2.0)
        scales["b"] = 1.0 / np.maximum(effect, 1.0)
        n = len(params["B"])
        effect = effect[:n] + effect[n:] if network.paired else effect
        scales["B"] = np.ones_like(params["B"]) / (network.scale * np.maximum(effect, 1.0))[:, None]
    return {name: scales[name] for name in subject.names}


def _rms(columns: np.ndarray) -> np.ndarray:
    rms: np.ndarray = np.sqrt(np.mean(columns**2, axis=0))
    return rms


def _inverse(sizes: np.ndarray, least: float) -> np.ndarray:
    inverse: np.ndarray = 1.0 / np.maximum(sizes, least * np.max(sizes))
    return inverse


def solve_positive(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x of A x = b for a symmetric positive definite A, by Cholesky's method in long double, which LAPACK lacks."""
    n, L = len(A), np.zeros_like(A)
    for j in range(n):
        L[j:, j] = A[j:, j] - L[j:, :j] @ L[j, :j]
        L[j:, j] /= np.sqrt(L[j, j])
    y, x = np.zeros_like(b), np.zeros_like(b)
    for j in range(n):
        y[j] = (b[j] - L[j, :j] @ y[:j]) / L[j, j]
    for j in reversed(range(n)):
        x[j] = (y[j] - L[j + 1 :, j] @ x[j + 1 :]) / L[j, j]
    return x


def exact_weights(push: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """S of `SpectralWeights.measure` as a matrix, for J D = `push`, by Fourier matrices."""
    rng = np.random.default_rng(0)
    responses = [push @ rng.standard_normal(push.shape[1]) for _ in range(3)]
    modes = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, len(shape))
    turns = (modes / np.array(shape, dtype=np.longdouble)) @ modes.T
    F = np.exp(-2j * PI * turns)
    power = np.sum([np.abs(F @ response) ** 2 for response in responses], axis=0)
    signed = np.where(2 * modes >= np.array(shape), modes - np.array(shape), modes)
    shells = np.rint(np.sqrt(np.sum(signed**2, axis=1))).astype(int)
    # A real transform keeps half of the last axis; means are over what is kept.
    kept = modes[:, -1] <= shape[-1] // 2
    mean = np.array([np.mean(power[kept & (shells == shell)]) for shell in shells])
    factors = np.maximum(mean, LEAST_RESPONSE * np.max(mean[kept])) ** -0.5
    factors = factors / np.sqrt(np.mean(factors[kept] ** 2))
    S: np.ndarray = np.real(np.conj(F.T) @ (factors[:, None] * F)) / len(modes)
    return S


Increment: TypeAlias = tuple[np.ndarray, np.ndarray, int]
"""A step d of the parameters, J d, and the number of inner iterations."""


@dataclass(frozen=True)
class Linearization:
    """u + J d about some parameters, with all that a step is computed from.

    Attributes
    ----------
    J : ndarray, shape (n, P)
    D : ndarray, shape (P,)
        Scales of the parameters.
    e : ndarray, shape (n,)
        The residual.
    S : ndarray, shape (n, n)
        Row weights of the L^p loss.
    damping : float
        Factor of |y|^2, d = D y.
    overparameterized : bool
        Whether there are at least as many parameters as points.
    shape : tuple of int or None
        The shape of the grid that the points are.
    forcing : float
        Relative residual at which conjugate gradients end.
    max_inner_iterations : int
        Largest number of inner iterations.
    """

    J: np.ndarray
    D: np.ndarray
    e: np.ndarray
    S: np.ndarray
    damping: float
    overparameterized: bool
    shape: tuple[int, ...] | None
    forcing: float
    max_inner_iterations: int

    def exact(self) -> list[Increment]:
        """The step of Levenberg-Marquardt, by the normal equations."""
        S = np.eye(len(self.e)) if self.overparameterized else self.S
        A, r = S @ self.J * self.D, S @ self.e
        y = solve_positive(A.T @ A + self.damping * np.eye(len(self.D), dtype=A.dtype), -(A.T @ r))
        return [(self.D * y, self.J @ (self.D * y), 1)]

    def iterates(self) -> list[Increment]:
        """The iterates of conjugate gradients that are kept, and before them one step with the weights of L^p."""
        if not self.overparameterized:
            return self._krylov(self.S, self.max_inner_iterations)
        spectral = np.eye(len(self.e)) if self.shape is None else exact_weights(self.J * self.D, self.shape)
        return self._krylov(self.S, 1) + self._krylov(spectral, self.max_inner_iterations)

    def _krylov(self, S: np.ndarray, max_inner_iterations: int) -> list[Increment]:
        """Minimisers of |A y + S e|^2 + damping |y|^2 over the spaces of s, M s, ..., with M = A^T A + damping."""
        A, r = S @ self.J * self.D, -(S @ self.e)
        M, s = A.T @ A + self.damping * np.eye(len(self.D), dtype=A.dtype), A.T @ r
        basis, steps, keep = [s / np.sqrt(s @ s)], [], 1
        for iteration in range(1, max_inner_iterations + 1):
            V = np.stack(basis, axis=1)
            y = V @ solve_positive(V.T @ M @ V, V.T @ s)
            left = r - A @ y
            ends = left @ left <= self.forcing**2 * (r @ r)
            if ends or iteration in (keep, max_inner_iterations):
                steps.append((self.D * y, self.J @ (self.D * y), iteration))
                # Next in about the ratio 1.4.
                keep = max(keep + 1, int(np.ceil(1.4 * keep)))
            if ends:
                break
            new = M @ basis[-1]
            for _ in range(2):
                new = new - V @ (V.T @ new)
            basis.append(new / np.sqrt(new @ new))
        return steps


@dataclass
class Descent:
    """The outer iteration of `simsnn_ref.optimizers.second_order.descent`, as its docstring says.

    Attributes
    ----------
    losses : list of float
        Loss before each step.
    theta, best : ndarray, shape (P,)
        The parameters that train: the last ones, and those with the lowest loss met.
    """

    subject: Subject
    solve: Callable[[Linearization], list[Increment]]
    damping: float
    growth: float = 2.0
    floor: float = 0.3
    forcing: float = 0.1
    max_inner_iterations: int = 20

    def run(self, steps: int) -> None:
        """Take so many steps from the subject's parameters, or fewer if one does not lower the loss."""
        subject, p = self.subject, 2.0
        self.theta = self.best = subject.flat(subject.wide)
        self.e = self._residue(self.theta)
        self.losses: list[float] = []
        lowest = loss = float(loss_of(self.e, subject.objective.loss.p))
        for _ in range(steps):
            self.losses.append(loss)
            gained = self._step(p, loss_of(self.e, p))
            loss = float(loss_of(self.e, subject.objective.loss.p))
            if loss < lowest:
                lowest, self.best = loss, self.theta
            if gained <= 0.0 and p == subject.objective.loss.p:
                break
            if gained < 0.01:
                p = subject.objective.loss.p

    def _residue(self, theta: np.ndarray) -> np.ndarray:
        subject = self.subject
        e: np.ndarray = subject.exact_value(subject.wide | subject.unflat(theta)) - subject.target
        return e

    def _step(self, p: float, value: float) -> float:
        """Take one step in L^p from where the loss is `value`; returns the share by which that has fallen."""
        path = self._path(p, value)
        tried, best = [], None
        for d, Jd, iterations in [
            *reversed(path),
            *[(q * path[0][0], q * path[0][1], 1) for q in 0.25 ** np.arange(1, 12)],
        ]:
            e = self._residue(self.theta + d)
            tried.append(loss_of(e, p))
            if best is None or tried[-1] < best[0]:
                best = tried[-1], d, Jd, iterations, e, len(tried) == 1
            elif best[0] < value:
                break
        assert best is not None
        lowest, d, Jd, iterations, e, at_end = best
        if lowest >= value:
            return 0.0
        self._adapt(value, loss_of(self.e + path[-1][1], p), tried[0])
        promised = loss_of(self.e + Jd, p)
        self.max_inner_iterations = max(10, int((2.0 if at_end else 1.4) * iterations))
        forcing = 0.5 * abs(lowest - promised) / value
        # The safeguard of Eisenstat and Walker.
        least = self.forcing**1.618
        self.forcing = min(0.5, max(forcing, least) if least > 0.1 else forcing)
        self.theta, self.e = self.theta + d, e
        return float(1.0 - lowest / value)

    def _path(self, p: float, value: float) -> list[Increment]:
        subject, e = self.subject, self.e
        params = subject.wide | subject.unflat(self.theta)
        J = complex_step_jacobian(subject.exact_value, params, subject.names)
        D = subject.flat(exact_scales(subject, params, J))
        overparameterized = J.shape[1] >= len(e)
        while True:
            magnitude = np.abs(e) / np.max(np.abs(e))
            weights = np.ones_like(e) if p == 2.0 else magnitude ** (p / 2 - 1)
            weights = np.maximum(weights, 0.0 if overparameterized else self.floor)
            scale = len(e) if overparameterized else np.sum(weights**2)
            damping = self.damping * value**2 * scale
            shape = subject.objective.fmap.grid_shape
            linearization = Linearization(
                J, D, e, np.diag(weights), damping, overparameterized, shape, self.forcing, self.max_inner_iterations
            )
            path = self.solve(linearization)
            if p != 2.0:
                lengths = [_length(e, Jd, p) for _, Jd, _ in path]
                path = [(a * d, a * Jd, n) for a, (d, Jd, n) in zip(lengths, path, strict=True)]
            promised = loss_of(e + path[-1][1], p)
            if promised <= 0.99 * value or p == 2.0 or overparameterized or self.floor == 0.0:
                return path
            self.floor = 0.1 * self.floor if self.floor > 1e-4 else 0.0

    def _adapt(self, value: float, promised: float, at_end: float) -> None:
        """Change the damping by Nielsen's rule, and raise the floor of the weights where the step promised much."""
        gain = (value - at_end) / (value - promised) if promised < value else 0.0
        if gain > 0.0:
            self.damping, self.growth = self.damping * max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3), 2.0
        else:
            self.damping, self.growth = self.damping * self.growth, 2.0 * self.growth
        if self.floor < 0.3 and promised < 0.5 * value:
            self.floor = min(0.3, max(10.0 * self.floor, 1e-4))


def _length(e: np.ndarray, Jd: np.ndarray, p: float) -> float:
    """The alpha in (0, 1] where L(e + alpha J d) is lowest, to a relative 1e-3, by bisection of its slope."""
    low, high = 0.0, 1.0
    if loss_slope(e + Jd, p) @ Jd <= 0.0:
        return high
    while high - low > 1e-3 * high and high > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if loss_slope(e + middle * Jd, p) @ Jd < 0.0 else (low, middle)
    return high
