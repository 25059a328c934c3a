"""Gauss-Newton without a matrix: the linear model by conjugate gradients, on J v and J^T v alone.

CGLS, conjugate gradients on the normal equations, which are never formed (Bjorck 1996, section 7.4), for A = S J D:

    s = A^T r - lambda y,   p = s + (s's / s's before) p,   alpha = s's / (|A p|^2 + lambda |p|^2),
    y <- y + alpha p,       r <- r - alpha A p,             r = -S e, y = 0 at the start, d = D y.

In exact arithmetic the iterates are those of LSQR (Paige & Saunders 1982). Cut short, it leaves a smaller residual than
LSMR (Fong & Saunders 2011), which minimises the normal residual A^T r instead. Each iterate is the solution for some
stronger damping, in effect, so that those kept on the way are the trial steps of `descent`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from simsnn_ref.backend import EPS, Array
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.second_order import descent
from simsnn_ref.optimizers.second_order.descent import CandidateStep, Control, Effort, LinearModel
from simsnn_ref.optimizers.second_order.jacobian import Jacobian
from simsnn_ref.optimizers.second_order.scaling import SpectralWeights, natural_scales

__all__ = ["GaussNewton"]

SPACING = 1.4
"""Ratio of the iteration numbers of iterates that are kept."""


class _MatrixFree:
    def __init__(self, objective: Objective, params: Parameters, inner_iterations: int) -> None:
        self.objective, self.params = objective, params
        self.jacobian = Jacobian(objective, params)
        self.inner_iterations = inner_iterations
        self.scales = objective.flatten(natural_scales(self.jacobian).by_name(), params)
        self.is_overparameterized = objective.is_overparameterized(params)
        self.spectral: SpectralWeights | None = None
        shape = objective.fmap.grid_shape
        if shape is not None and self.is_overparameterized:
            self.spectral = SpectralWeights.measure(
                lambda y: objective.shard.gather(self._push(y)), self.scales.shape[0], shape, objective.backend
            )

    def _push(self, y: Array) -> Array:
        return self.jacobian.jvp(self.objective.unflatten(self.scales * y, self.params))

    def _pull(self, du: Array) -> Array:
        return self.scales * self.objective.flatten(self.jacobian.vjp(du), self.params)

    def _step(self, y: Array, du: Array, iterations: int) -> CandidateStep:
        return CandidateStep(self.objective.unflatten(self.scales * y, self.params), du, iterations)

    def solve(self, e: Array, weights: Array, damping: float, effort: Effort) -> list[CandidateStep]:
        iterations = min(effort.iterations, self.inner_iterations)
        if not self.is_overparameterized:
            return self._cgls(lambda v: weights * v, e, damping, Effort(effort.forcing, iterations))
        # A path with other weights than those of L^p need not start downhill: their first direction does.
        downhill = self._cgls(lambda v: weights * v, e, damping, Effort(effort.forcing, 1))
        return downhill + self._cgls(self._weigh, e, damping, Effort(effort.forcing, iterations))

    def _weigh(self, v: Array) -> Array:
        """S v where it is not that of L^p. The transform is of the whole field, the same in all processes."""
        shard = self.objective.shard
        return v if self.spectral is None else shard.part(self.spectral(shard.gather(v)))

    def _square(self, v: Array) -> float:
        """|v|^2 over the points."""
        return float(self.objective.shard.sum(self.objective.xp.sum(v * v))[0])

    def _cgls(self, weigh: Callable[[Array], Array], e: Array, damping: float, effort: Effort) -> list[CandidateStep]:
        xp = self.objective.xp
        r, du = -weigh(e), xp.zeros_like(e)
        enough = effort.forcing**2 * self._square(r)
        s = self._pull(weigh(r))
        p, y = s, xp.zeros_like(s)
        square, stretch = float(xp.sum(s * s)), 0.0
        path: list[CandidateStep] = []
        iteration = keep = 1
        while iteration <= effort.iterations:
            pushed = self._push(p)
            q = weigh(pushed)
            q_square, p_square = self._square(q), float(xp.sum(p * p))
            stretch = max(stretch, q_square / p_square if p_square > 0.0 else 0.0)
            curvature = q_square + damping * p_square
            length = square / curvature if curvature > 0.0 else 0.0
            y, r, du = y + length * p, r - length * q, du + length * pushed
            remaining = self._square(r)
            # A^T r cancels to no better than eps |A| |r|: beyond, the directions are rounding.
            s = self._pull(weigh(r)) - damping * y
            before, square = square, float(xp.sum(s * s))
            ends = remaining <= enough or square <= EPS**2 * stretch * remaining
            if ends or iteration in (keep, effort.iterations):
                path.append(self._step(y, du, iteration))
                keep = max(keep + 1, math.ceil(SPACING * keep))
            if ends:
                break
            p = s + (square / before) * p
            iteration += 1
        return path


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton with conjugate gradients inside; see the module and `descent`.

    The inner iteration stops at |S (J d + e)| <= eta |S e|, eta following choice 1 of Eisenstat & Walker (1996) with
    their safeguard: half of | |e_new| - |e + J d| | / |e|, how far the last model was from the truth.

    Parameters
    ----------
    inner_iterations : int
        Largest number of inner iterations of a step, each one product with J and one with J^T.
    damping : float
        mu at the start.
    """

    inner_iterations: int = 300
    damping: float = 1e-3

    name: ClassVar[str] = "gauss_newton"
    memory: ClassVar[type] = Control

    def init(self, objective: Objective, params: Parameters, memory: Any = None, last: float = 1.0) -> State:
        return descent.init(objective, params, memory, self.damping)

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        def linearize(objective: Objective, params: Parameters) -> LinearModel:
            return _MatrixFree(objective, params, self.inner_iterations)

        return descent.step(objective, state, linearize)

    def restart(self, memory: Control) -> Control:
        return descent.restart(memory)
