"""Damped Gauss-Newton without a matrix: least squares by conjugate gradients, on J v and J^T v alone.

One step, at residual e = u - t with J = du/dtheta (Nocedal & Wright, Numerical Optimization, 2nd ed., section 10.3):

    d = argmin |S (J d + e)|^2 + lambda |D^-1 d|^2,     theta <- theta + alpha d,

D natural sizes of the parameters (`natural_scales`), S row weights (1 for p = 2), lambda = mu L(e)^2 sum_i S_i^2.
Damping in proportion to the squared loss keeps the fast convergence near a zero residual even where J is rank
deficient, as it is with more parameters than points (Yamashita & Fukushima 2001; Fan & Yuan 2005). mu follows the gain
ratio

    rho = [L(e) - L(e_new)] / [L(e) - L(e + alpha J d)]

by the rule of Nielsen (1999): mu <- mu max(1/10, 1 - (2 rho - 1)^3) for rho > 0; else mu <- nu mu and nu <- 2 nu,
nu = 2 to begin with. A step is taken only if it lowers the loss: alpha is cut to a quarter until it does, which costs
one evaluation where a new solve would cost hundreds of products.

L^p with p > 2. L is convex in e, so its generalised Gauss-Newton step is the weighted least-squares step with
S_i^2 = |e_i|^(p-2) and right-hand side -e / (p - 1): iteratively reweighted least squares with the Newton step length
alpha = 1 / (p - 1). That length takes (p - 2) / (p - 1) of e away from a problem that could be solved to zero at once,
and the vanishing weights leave most points to themselves. So alpha in (0, 1] minimises L(e + alpha J d), one number,
and S is kept above a floor. Where the model of a step promises little, the floor is lowered, in the end to zero: then d
is a descent direction of L whatever the residual at the minimum. Where it promises much the floor is raised again.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from simsnn_ref.backend import Array
from simsnn_ref.layers import tanh_vjp
from simsnn_ref.network import Activations, Parameters
from simsnn_ref.optimizers.base import Journal, Limits, Objective, OnStep, Result

__all__ = ["GaussNewton", "LinearModel", "Linearize", "NaturalScales", "Step", "descend", "natural_scales"]

MACHINE_EPSILON = 2.0**-52

WEIGHT_FLOOR = 0.3
SMALLEST_FLOOR = 1e-4
LITTLE = 1e-2
"""Of S at first; of S before zero; and the share of the loss that a model must promise for the floor to stay."""

FIRST_FORCING = 0.1
FORCING_SHARE = 0.5
FORCING_MEMORY = 0.5 * (1.0 + math.sqrt(5.0))
"""eta at first; how much of the last model's error; and the safeguard's exponent."""

SMALLEST_EFFECT = 1e-3
"""Units whose effect is further below the largest of their layer are scaled as if it were this share of it."""

BACKTRACKS = 12
"""Trial lengths of a step, down to 4^-11 = 2e-7: what does not lower the loss by then is rounding."""


@dataclass(frozen=True)
class Step:
    """A direction d over the parameters that train, and J d, shape (n_points,)."""

    direction: Parameters
    du: Array


class LinearModel(Protocol):
    """u(theta + d) ~ u + J d about some theta."""

    def solve(self, e: Array, weights: Array, damping: float, forcing: float) -> Step:
        """Minimise |S (J d + e)|^2 + damping |D^-1 d|^2; an iteration may end at |S (J d + e)| = forcing |S e|."""
        ...


class Linearize(Protocol):
    """Builds the linear model about `params`."""

    def __call__(self, objective: Objective, params: Parameters, activations: Activations) -> LinearModel: ...


@dataclass(frozen=True)
class NaturalScales:
    """Sizes by which parameters are measured, such that every column of J D has an RMS of about 1.

    Column (h, j) of a layer's weights is du/dz_h(x) h_j(x), so its RMS is about rms(du/dz_h) rms(h_j) and the scale is
    a product of a row's and a column's factor. A feature A_j cos(..) has RMS A_j / sqrt 2: W1's columns go by 1 / A_j.

    Attributes
    ----------
    rows : list of Array
        1 / rms(du/dz_l), shape (h_l,), for layer l = 1 .. L + 1: the scales of c_l.
    columns : list of Array
        1 / rms(h_{l-1}), shape (h_{l-1},): W_l is scaled by their outer product.
    first : dict of Array
        Scales of b and, where it trains, B: at most a phase of one radian, where the cosine bends.
    """

    rows: list[Array]
    columns: list[Array]
    first: Parameters

    def by_name(self) -> Parameters:
        """One scale for each number that may train."""
        scales = dict(self.first)
        for layer, (row, column) in enumerate(zip(self.rows, self.columns, strict=True), start=1):
            scales[f"W{layer}"], scales[f"c{layer}"] = row[:, None] * column, row
        return scales


def natural_scales(objective: Objective, params: Parameters, activations: Activations) -> NaturalScales:
    """Natural scales of the parameters from one backward pass of du = 1 at every point."""
    xp, network = objective.xp, objective.network
    n_points = objective.fmap.n_points
    layers = range(1, network.depth + 1)
    unit = xp.ones_like(objective.target)
    squares: list[Array] = [0.0] * (network.depth + 1)
    units: list[Array] = [0.0] * network.depth
    gram: Array = 0.0
    start = 0
    for hs in activations:
        stop = start + hs[0].shape[1] if hs else n_points
        dz = unit[None, start:stop]
        start = stop
        for layer in reversed(layers):
            h = hs[layer - 1]
            squares[layer] = squares[layer] + xp.sum(dz * dz, axis=1)
            units[layer - 1] = units[layer - 1] + xp.sum(h * h, axis=1)
            dz = tanh_vjp(h, params[f"W{layer + 1}"].T @ dz)
        squares[0] = squares[0] + xp.sum(dz * dz, axis=1)
        gram = gram + dz @ dz.T
    rows = [_inverse(objective, xp.sqrt(square / n_points), SMALLEST_EFFECT) for square in squares]
    columns = [_inverse(objective, xp.sqrt(unit / n_points), SMALLEST_EFFECT) for unit in units]
    A = network.amplitudes
    if A is None:
        return NaturalScales(rows, [xp.ones_like(params["W1"][0, :]), *columns], {})
    # Of rms(sum_h W_hj du/dz_h): what a phase does to the output.
    W = params["W1"]
    slopes = A * xp.sqrt(xp.clip(xp.sum(W * (gram @ W), axis=0), min=0.0) / (2.0 * n_points))
    first = {"b": 1.0 / xp.clip(slopes, min=1.0)}
    if "B" not in network.frozen:
        n = params["B"].shape[0]
        paired = slopes[:n] + slopes[n:] if network.paired else slopes
        first["B"] = xp.ones_like(params["B"]) / (network.scale * xp.clip(paired, min=1.0))[:, None]
    features = _inverse(objective, A / math.sqrt(2.0), MACHINE_EPSILON)
    return NaturalScales(rows, [features, *columns], first)


def _inverse(objective: Objective, sizes: Array, least: float) -> Array:
    """1 / sizes, none counted below `least` of the largest; 0 where all are 0, so that nothing is moved in vain."""
    xp = objective.xp
    largest = float(xp.max(sizes))
    return 1.0 / xp.clip(sizes, min=least * largest) if largest > 0.0 else xp.zeros_like(sizes)


class _MatrixFree:
    """Conjugate gradients on the normal equations, never formed (CGLS; Bjorck 1996, section 7.4), for A = S J D:

        s = A^T r - lambda y,   p = s + (s's / s's before) p,   alpha = s's / (|A p|^2 + lambda |p|^2),
        y <- y + alpha p,       r <- r - alpha A p,             r = -S e, y = 0 at the start, d = D y.

    In exact arithmetic the iterates are those of LSQR (Paige & Saunders 1982). Cut short, it leaves a smaller residual
    than LSMR (Fong & Saunders 2011), which minimises the normal residual A^T r instead.
    """

    def __init__(
        self, objective: Objective, params: Parameters, activations: Activations, inner_iterations: int
    ) -> None:
        self.objective, self.params, self.activations = objective, params, activations
        self.inner_iterations = inner_iterations
        self.scales = objective.flatten(natural_scales(objective, params, activations).by_name(), params)

    def _push(self, y: Array) -> Array:
        direction = self.objective.unflatten(self.scales * y, self.params)
        return self.objective.jvp(self.params, self.activations, direction)

    def _pull(self, du: Array) -> Array:
        return self.scales * self.objective.flatten(self.objective.vjp(self.params, self.activations, du), self.params)

    def solve(self, e: Array, weights: Array, damping: float, forcing: float) -> Step:
        xp = self.objective.xp
        r, du = -weights * e, xp.zeros_like(e)
        enough = forcing**2 * float(xp.sum(r * r))
        s = self._pull(weights * r)
        p, y = s, xp.zeros_like(s)
        square, stretch = float(xp.sum(s * s)), 0.0
        for _ in range(self.inner_iterations):
            # A^T r cancels to no better than eps |A| |r|: beyond, the directions are rounding.
            remaining = float(xp.sum(r * r))
            if remaining <= enough or square <= MACHINE_EPSILON**2 * stretch * remaining:
                break
            pushed = self._push(p)
            q = weights * pushed
            q_square, p_square = float(xp.sum(q * q)), float(xp.sum(p * p))
            stretch = max(stretch, q_square / p_square)
            length = square / (q_square + damping * p_square)
            y, r, du = y + length * p, r - length * q, du + length * pushed
            s = self._pull(weights * r) - damping * y
            before, square = square, float(xp.sum(s * s))
            p = s + (square / before) * p
        return Step(self.objective.unflatten(self.scales * y, self.params), du)


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton with conjugate gradients inside; see the module.

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

    def minimize(
        self,
        objective: Objective,
        params: Parameters,
        limits: Limits,
        on_step: OnStep = lambda step, loss, rms: None,
    ) -> Result:
        """Minimise from `params`."""

        def linearize(objective: Objective, params: Parameters, activations: Activations) -> LinearModel:
            return _MatrixFree(objective, params, activations, self.inner_iterations)

        return descend(objective, params, limits, on_step, linearize, self.damping).result("gauss_newton")


def descend(
    objective: Objective,
    params: Parameters,
    limits: Limits,
    on_step: OnStep,
    linearize: Linearize,
    damping: float,
) -> Journal:
    """The outer iteration of the module, for any way to solve the linear model."""
    journal = Journal(objective, limits, on_step)
    control = _Control(damping)
    value, e, activations = objective.evaluate(params)
    while journal.goes_on(params, value, e):
        step, promised = _solve(objective, linearize(objective, params, activations), value, e, control)
        for cuts in range(BACKTRACKS):
            shorter = {name: params[name] + 0.25**cuts * d for name, d in step.direction.items()}
            reached, e, activations = objective.evaluate(params | shorter)
            if reached < value:
                control.learn(value, promised, reached, cuts)
                params, value = params | shorter, reached
                break
        else:
            journal.stop("converged: no step lowers the loss")
            break
    return journal


def _solve(objective: Objective, model: LinearModel, value: float, e: Array, control: "_Control") -> tuple[Step, float]:
    """Alpha d and alpha J d at a point where the loss is `value`, and the loss that the model promises for it."""
    xp = objective.xp
    while True:
        weights = _weights(objective, e, control.floor)
        damping = control.damping * value**2 * float(xp.sum(weights * weights))
        step = model.solve(e, weights, damping, control.forcing)
        length = _step_length(objective, e, step.du)
        promised = float(objective.loss.forward(xp, e + length * step.du))
        if promised <= (1.0 - LITTLE) * value or not control.lower_floor(objective.loss.p):
            direction = {name: length * d for name, d in step.direction.items()}
            return Step(direction, length * step.du), promised


@dataclass
class _Control:
    """What one step teaches the next: mu and nu of Nielsen's rule, the forcing term, the floor of the weights."""

    damping: float
    growth: float = 2.0
    forcing: float = FIRST_FORCING
    floor: float = WEIGHT_FLOOR

    def lower_floor(self, p: float) -> bool:
        """Whether there was anything to lower."""
        if p == 2.0 or self.floor == 0.0:
            return False
        self.floor = 0.1 * self.floor if self.floor > SMALLEST_FLOOR else 0.0
        return True

    def learn(self, value: float, promised: float, reached: float, cuts: int) -> None:
        gain = (value - reached) / (value - promised) if promised < value else 0.0
        if cuts == 0 and gain > 0.0:
            self.damping *= max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3)
            self.growth = 2.0
        else:
            self.damping *= self.growth
            self.growth *= 2.0
        if self.floor < WEIGHT_FLOOR and promised < 0.5 * value:
            self.floor = min(WEIGHT_FLOOR, max(10.0 * self.floor, SMALLEST_FLOOR))
        least = self.forcing**FORCING_MEMORY
        forcing = FORCING_SHARE * abs(reached - promised) / value
        self.forcing = min(FORCING_SHARE, max(forcing, least) if least > 0.1 else forcing)


def _weights(objective: Objective, e: Array, floor: float) -> Array:
    """S = max((|e| / max|e|)^(p/2 - 1), floor)."""
    xp, p = objective.xp, objective.loss.p
    if p == 2.0:
        return xp.ones_like(e)
    magnitude = xp.abs(e)
    return xp.clip((magnitude / xp.max(magnitude)) ** (0.5 * p - 1.0), min=floor)


def _step_length(objective: Objective, e: Array, du: Array) -> float:
    """The alpha in (0, 1] that minimises the convex L(e + alpha du): bisection on its slope."""
    xp, loss = objective.xp, objective.loss
    low, high = 0.0, 1.0
    if loss.p == 2.0 or float(loss.jvp(xp, e + du, du)) <= 0.0:
        return high
    while high - low > 1e-3 * high and high > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(loss.jvp(xp, e + middle * du, du)) < 0.0 else (low, middle)
    return high
