"""Levenberg-Marquardt for small problems: the steps of `descent`, solved exactly with dense matrices.

With A = S J D the step is d = D y, y = argmin |A y + S e|^2 + lambda |y|^2, in whichever space is smaller:

    parameters    [A; sqrt(lambda) I] y = [-S e; 0] by QR, which does not square the condition of J;
    data          y = -A^T (A A^T + lambda I)^-1 S e, S = 1, with fewer points than parameters.

The kernel K = A A^T = J D^2 J^T needs no Jacobian. Its columns are products over one layer,
du/dz_h(x) h_j(x), and their scales are products as well, D_hj = r_h q_j; so every affine layer adds a Hadamard product
of two Gram matrices, and the first layer's phases and wavenumbers one Gram matrix each:

    K = sum_l [(r_l D_l)^T (r_l D_l)] o [(q_l H_{l-1})^T (q_l H_{l-1}) + 1] + (s_b G)^T (s_b G) + ...,

with D_l = du/dz_l (h_l, n), H_{l-1} (h_{l-1}, n), H_0 = gamma and G_j(x) = -A_j sin(k_j.x + b_j) sum_h W_hj D_1h(x):
about n^2 (2 n_f + units) operations however many weights there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from simsnn_ref.backend import EPS, Array
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import Parameters, untile
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.second_order import descent
from simsnn_ref.optimizers.second_order.descent import CandidateStep, Control, Effort, Linearize
from simsnn_ref.optimizers.second_order.jacobian import Jacobian
from simsnn_ref.optimizers.second_order.scaling import NaturalScales, natural_scales

__all__ = ["LevenbergMarquardt", "dense_jacobian", "is_small", "kernel"]

LARGEST_ELEMENTS = 2**28
"""Elements of all matrices together: 2 GiB."""

SMALL = 2**38
"""Operations; 64^2 points and their 2050 modes need half of them, 1.5 s on two cores."""

KERNEL_BLOCK = 512
"""Rows of K at a time."""


@dataclass(frozen=True)
class _Factors:
    """What the columns of J are products of, each with the points as its second axis.

    Attributes
    ----------
    slopes : list of Array
        D_l, layers 1 .. L + 1.
    inputs : list of Array
        H_{l-1}.
    first : dict of Array
        Columns of b, shape (n_f, n), and of B, shape (n_b * d, n), where they train.
    """

    slopes: list[Array]
    inputs: list[Array]
    first: Parameters


def _factors(jacobian: Jacobian) -> _Factors:
    objective, params = jacobian.objective, jacobian.params
    xp, network = objective.xp, objective.network
    blocks = jacobian.map(lambda block, hs, slopes: [untile(xp, factor) for factor in (*slopes, *hs)])
    joined = [xp.concat(parts, axis=1) for parts in zip(*blocks, strict=True)]
    slopes, inputs = joined[: network.depth + 1], joined[network.depth + 1 :]
    # The map's products with W = 1 spell out gamma and its derivatives.
    features = network.features(params)
    W = params["W1"]
    one = xp.eye(W.shape[1], dtype=W.dtype, device=W.device)
    inputs.insert(0, objective.fmap.forward(one, features))
    first: Parameters = {}
    if features is not None:
        pulled = W.T @ slopes[0]
        still, turn = 0.0 * one, xp.ones_like(features.phases)
        if "b" not in network.frozen:
            first["b"] = pulled * objective.fmap.jvp(one, features, still, None, turn)
        if "B" not in network.frozen:
            columns = []
            for axis in range(features.wavenumbers.shape[1]):
                unit = [turn if i == axis else 0.0 * turn for i in range(features.wavenumbers.shape[1])]
                moved = objective.fmap.jvp(one, features, still, xp.stack(unit, axis=1), 0.0 * turn)
                columns.append(network.scale * pulled * moved)
            dB = xp.stack(columns, axis=1)
            n = params["B"].shape[0]
            if network.paired:
                dB = dB[:n, :, :] + dB[n:, :, :]
            first["B"] = xp.reshape(dB, (-1, dB.shape[2]))
    return _Factors(slopes, inputs, first)


def dense_jacobian(jacobian: Jacobian) -> Array:
    """J, shape (n_points, P), its columns in the order of ``objective.flatten``."""
    objective, xp = jacobian.objective, jacobian.xp
    factors = _factors(jacobian)
    n_points = objective.fmap.n_points
    rows = dict(factors.first)
    for layer, (D, H) in enumerate(zip(factors.slopes, factors.inputs, strict=True), start=1):
        rows[f"W{layer}"] = xp.reshape(D[:, None, :] * H[None, :, :], (-1, n_points))
        rows[f"c{layer}"] = D
    return xp.concat([rows[name] for name in objective.network.trainable(jacobian.params)], axis=0).T


def kernel(jacobian: Jacobian, scales: NaturalScales | None = None) -> Array:
    """K = J D^2 J^T, shape (n_points, n_points), without J; D = I without scales: the neural tangent kernel."""
    objective, xp = jacobian.objective, jacobian.xp
    trains, factors = objective.network.trainable(jacobian.params), _factors(jacobian)
    pairs = []
    for layer, (D, H) in enumerate(zip(factors.slopes, factors.inputs, strict=True), start=1):
        if f"W{layer}" in trains:
            left, right = D, H
            if scales is not None:
                left, right = scales.rows[layer - 1][:, None] * D, scales.columns[layer - 1][:, None] * H
            pairs.append((left, xp.concat([right, xp.ones_like(D[:1, :])], axis=0)))
    alone = list(factors.first.values())
    if scales is not None:
        alone = [xp.reshape(scales.first[name], (-1,))[:, None] * G for name, G in factors.first.items()]
    n = objective.fmap.n_points
    K = xp.zeros((n, n), dtype=factors.slopes[0].dtype, device=objective.target.device)
    for start in range(0, n, KERNEL_BLOCK):
        stop = min(start + KERNEL_BLOCK, n)
        # Columns from the diagonal on; the rest by symmetry.
        strip: Array = 0.0
        for D, H in pairs:
            strip = strip + (D[:, start:stop].T @ D[:, start:]) * (H[:, start:stop].T @ H[:, start:])
        for G in alone:
            strip = strip + G[:, start:stop].T @ G[:, start:]
        K[start:stop, start:] = strip
        K[start:, start:stop] = strip.T
    return K


class _DataSpace:
    def __init__(self, objective: Objective, params: Parameters) -> None:
        self.objective, self.params, self.jacobian = objective, params, Jacobian(objective, params)
        scales = natural_scales(self.jacobian)
        self.squares = objective.flatten(scales.by_name(), params) ** 2
        self.kernel = kernel(self.jacobian, scales)
        self.one = _identity(objective, self.kernel.shape[0])

    def solve(self, e: Array, weights: Array, damping: float, effort: Effort) -> list[CandidateStep]:
        objective, xp = self.objective, self.objective.xp
        # Rounding in K is a few eps of its diagonal; a smaller shift would leave the system indefinite.
        shift = max(damping, 4.0 * EPS * float(xp.max(xp.linalg.diagonal(self.kernel))))
        z = xp.linalg.solve(self.kernel + shift * self.one, -e[:, None])[:, 0]
        d = self.squares * objective.flatten(self.jacobian.vjp(z), self.params)
        direction = objective.unflatten(d, self.params)
        return [CandidateStep(direction, self.jacobian.jvp(direction))]


class _ParameterSpace:
    def __init__(self, objective: Objective, params: Parameters) -> None:
        self.objective, self.params = objective, params
        jacobian = Jacobian(objective, params)
        self.scales = objective.flatten(natural_scales(jacobian).by_name(), params)
        self.scaled = dense_jacobian(jacobian) * self.scales
        self.one = _identity(objective, self.scaled.shape[1])

    def solve(self, e: Array, weights: Array, damping: float, effort: Effort) -> list[CandidateStep]:
        objective, xp = self.objective, self.objective.xp
        matrix = weights[:, None] * self.scaled
        # As in data space: below this the triangular factor is rounding.
        shift = max(math.sqrt(damping), EPS * math.sqrt(float(xp.sum(matrix * matrix))))
        Q, R = xp.linalg.qr(xp.concat([matrix, shift * self.one], axis=0))
        y = xp.linalg.solve(R, -(Q[: e.shape[0], :].T @ (weights * e))[:, None])[:, 0]
        return [CandidateStep(objective.unflatten(self.scales * y, self.params), self.scaled @ y)]


def _identity(objective: Objective, n: int) -> Array:
    target = objective.target
    return objective.xp.eye(n, dtype=target.dtype, device=target.device)


def _elements(objective: Objective, params: Parameters) -> int:
    """Float64 numbers held: the matrix, its weighted and shifted copies and the solver's, and the features."""
    n, P, n_f = objective.fmap.n_points, objective.network.n_parameters(params), params["W1"].shape[1]
    return int(5 * n * min(n, P) + 3 * n * n_f + 2 * n_f**2)


def is_small(objective: Objective, params: Parameters) -> bool:
    """Whether a step takes seconds at most: little memory, at most `SMALL` operations, and all points at hand."""
    if not objective.shard.is_whole:
        return False
    n, P, n_f = objective.fmap.n_points, objective.network.n_parameters(params), params["W1"].shape[1]
    operations = n**2 * (n + 2 * n_f) if n < P else 4 * n * P**2
    return operations <= SMALL and _elements(objective, params) <= LARGEST_ELEMENTS


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Levenberg-Marquardt with dense matrices; see the module.

    Parameters
    ----------
    damping : float
        mu at the start.
    """

    damping: float = 1e-3

    name: ClassVar[str] = "levenberg_marquardt"
    memory: ClassVar[type] = Control

    def init(self, objective: Objective, params: Parameters, memory: Any = None, last: float = 1.0) -> State:
        """See `simsnn_ref.optimizers.Method`.

        Raises
        ------
        ConfigError
            If the matrices would not fit, or the points are not all here.
        """
        if not objective.shard.is_whole:
            raise ConfigError(
                f"optimizer = 'levenberg_marquardt': its matrices are not divided among processes, as backend"
                f" {objective.backend.name!r} divides the points; use 'gauss_newton', 'adam' or 'lbfgs'"
            )
        elements, n, P = _elements(objective, params), objective.fmap.n_points, objective.network.n_parameters(params)
        if elements > LARGEST_ELEMENTS:
            raise ConfigError(
                f"optimizer = 'levenberg_marquardt': {n} points and {P} parameters need {elements * 8 / 2**30:.1f} GiB"
                f" of matrices, the limit is {LARGEST_ELEMENTS * 8 / 2**30:g}; use 'gauss_newton'"
            )
        return descent.init(objective, params, memory, self.damping)

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        space: Linearize = _DataSpace if objective.is_overparameterized(state.params) else _ParameterSpace
        return descent.step(objective, state, space)

    def restart(self, memory: Control) -> Control:
        return descent.restart(memory)
