"""Checks of the update rules: Adam, Gauss-Newton, Levenberg-Marquardt, L-BFGS, and the row weights of the second."""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Backend
from simsnn_ref.optimizers import (
    LBFGS,
    Adam,
    AdamState,
    GaussNewton,
    LevenbergMarquardt,
    Limits,
    Pairs,
    SpectralWeights,
    minimize,
)
from simsnn_ref.spectrum import Grid
from simsnn_ref.verify.cases import Subject, make_subject
from simsnn_ref.verify.comparison import TOLERANCE, Comparison, compare
from simsnn_ref.verify.dense import Descent, Increment, Linearization, exact_scales, exact_weights

__all__ = ["Trajectory", "check_adam", "check_lbfgs", "check_spectral_weights", "check_trajectory", "trajectories"]

DAMPING = 1e-3
"""The damping mu at the start."""

TRAJECTORY_TOLERANCE = 1e-7
"""Allowed error of losses and parameters: the first step is right to 1e-12, and each further one multiplies its
rounding by 10 or so, since least squares are nonlinear."""

ROUNDING = 64.0 * EPS
"""Loss relative to the first one below which it is rounding: of u, whose terms are a few times as large as u itself."""

FIRST_STEP = 1e-12
"""Allowed error of the first step, which is a difference of parameters that are 1e2 to 1e3 times as large as it."""

METHODS: dict[str, tuple[Any, Callable[[Linearization], list[Increment]]]] = {
    "Levenberg-Marquardt": (LevenbergMarquardt(DAMPING), Linearization.exact),
    "Gauss-Newton": (GaussNewton(300, DAMPING), Linearization.iterates),
}


@dataclass(frozen=True)
class Trajectory:
    """Some steps of a method from a subject's parameters.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    subject : Subject
    steps : int
    """

    method: str
    subject: Subject
    steps: int

    @property
    def name(self) -> str:
        """Name of the network, and the numbers of parameters and steps."""
        return f"{self.subject.name}, {len(self.subject.flat(self.subject.wide))} parameters, {self.steps} steps"

    @cached_property
    def exact(self) -> Descent:
        """The same steps with dense matrices in long double."""
        descent = Descent(self.subject, METHODS[self.method][1], DAMPING)
        descent.run(self.steps)
        return descent


def trajectories(backend: Backend) -> Iterator[Trajectory]:
    """Trajectories with fewer parameters than points and with more, in L^2 and where L^p takes over from it."""
    plane, line = Grid((6, 7)), Grid((12,))
    for method, first_layer, grid, hidden, n_features, p, residue, steps in (
        ("Levenberg-Marquardt", "si", plane, (5,), 8, 10.0, 10.0, 6),
        ("Levenberg-Marquardt", "si", plane, (2,), 4, 10.0, 10.0, 10),
        ("Levenberg-Marquardt", "ffm", plane, (2, 2), 2, 3.5, 10.0, 12),
        ("Levenberg-Marquardt", "none", plane, (3,), 0, 10.0, 0.01, 12),
        ("Gauss-Newton", "si", plane, (5,), 8, 10.0, 10.0, 6),
        ("Gauss-Newton", "si", plane, (3,), 5, 10.0, 10.0, 8),
        ("Gauss-Newton", "si", line, (4, 4), 6, 10.0, 1.0, 6),
        ("Gauss-Newton", "si", line, (4, 4), 6, 3.5, 0.01, 12),
        ("Gauss-Newton", "ffm", Grid((20,)), (7,), 6, 20.0, 10.0, 10),
        ("Gauss-Newton", "none", Grid((5, 4)), (7,), 0, 2.0, 10.0, 3),
    ):
        kind = "fft" if first_layer == "si" else "dense"
        subject = make_subject(backend, grid, first_layer, kind, hidden, p, n_features=n_features, residue_size=residue)
        yield Trajectory(method, subject, steps)


def check_trajectory(trajectory: Trajectory) -> Comparison:
    """Check losses before each step, and the best parameters met, against dense matrices in long double."""
    subject, exact = trajectory.subject, trajectory.exact
    result = minimize(METHODS[trajectory.method][0], subject.objective, subject.params, Limits(steps=trajectory.steps))
    start = subject.flat(subject.wide)
    losses, exact_losses = _as_far_as_float64(result.loss_history, np.asarray(exact.losses))
    got = {"losses": losses, "steps": subject.flat(subject.host(result.params)) - start}
    expected = {"losses": exact_losses, "steps": exact.best - start}
    return compare(f"{trajectory.method}, steps", trajectory.name, got, expected, TRAJECTORY_TOLERANCE)


def _as_far_as_float64(got: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses up to where one of the two minimisations ends; a NaN after them unless what the other has is rounding.

    In float64 no step lowers a loss of the size of rounding any more, where long double goes on.
    """
    n = min(len(got), len(expected))
    rest = np.concatenate([got[n:], expected[n:]])
    if np.all(rest <= ROUNDING * expected[0]):
        return got[:n], expected[:n]
    return np.append(got[:n], np.nan), np.append(expected[:n], rest[0])


def check_lbfgs(backend: Backend) -> list[Comparison]:
    """Check the first step of L-BFGS, along D^2 dL/dtheta without curvature, and a later direction by its matrix."""
    subject = make_subject(backend, Grid((6, 7)), "si", "fft", (4, 3), 10.0)
    result = minimize(LBFGS(), subject.objective, subject.params, Limits(steps=1))
    step = subject.flat(subject.host(result.params)) - subject.flat(subject.wide)
    D = subject.flat(exact_scales(subject, subject.wide, subject.jacobian))
    expected = -(D**2) * subject.flat(subject.gradient)
    got, expected = step / np.sqrt(step @ step), expected / np.sqrt(expected @ expected)
    what = "L-BFGS, first direction"
    return [compare(what, subject.name, {what: got}, {what: expected}, FIRST_STEP), _check_curvature()]


def _check_curvature() -> Comparison:
    """Check -H g of three pairs against H <- (1 - rho s y') H (1 - rho y s') + rho s s', rho = 1 / y's, H = gamma 1."""
    rng = np.random.default_rng(5)
    hessian = rng.standard_normal((6, 6))
    hessian = hessian @ hessian.T + np.eye(6)
    pairs, one = Pairs(np.ones(6), np.zeros((0, 6)), np.zeros((0, 6))), np.eye(6, dtype=np.longdouble)
    steps = rng.standard_normal((4, 6))
    changes = steps @ hessian
    for step, change in zip(steps, changes, strict=True):
        pairs = pairs.learnt(step, change, 3)
    s, y = (array[1:].astype(np.longdouble) for array in (steps, changes))
    H = (s[-1] @ y[-1]) / (y[-1] @ y[-1]) * one
    for s_i, y_i in zip(s, y, strict=True):
        rho = 1 / (y_i @ s_i)
        left = one - rho * np.outer(s_i, y_i)
        H = left @ H @ left.T + rho * np.outer(s_i, s_i)
    g = rng.standard_normal(6)
    what = "L-BFGS, direction"
    return compare(what, "3 pairs", {what: pairs.direction(g, 1.0)}, {what: -(H @ g)}, FIRST_STEP)


def check_spectral_weights(backend: Backend) -> list[Comparison]:
    """Check S of a random J D against Fourier matrices, on grids of even and odd sides."""
    checks = []
    for shape in ((9,), (6, 7), (5, 4), (4, 3, 6)):
        rng = np.random.default_rng(shape)
        push, e = rng.standard_normal((math.prod(shape), 11)), rng.standard_normal(math.prod(shape))
        S = SpectralWeights.measure(partial(operator.matmul, backend.asarray(push)), 11, shape, backend)
        got, what = backend.to_numpy(S(backend.asarray(e))), "S e of spectral weights"
        case = f"{'x'.join(map(str, shape))} points"
        checks.append(compare(what, case, {what: got}, {what: exact_weights(push, shape) @ e}))
    return checks


def check_adam(backend: Backend) -> list[Comparison]:
    """Check five steps of Adam against Kingma & Ba (2015), Algorithm 1, in long double."""
    rng, adam = np.random.default_rng(3), Adam(0.9, 0.99, 1e-3)
    theta, slopes = rng.standard_normal(4), rng.standard_normal((5, 4))
    params = {"theta": backend.asarray(theta)}
    state = AdamState.zero(backend.xp, params)
    exact, m, v = theta.astype(np.longdouble), np.zeros(4, np.longdouble), np.zeros(4, np.longdouble)
    checks = []
    for t, g in enumerate(slopes, start=1):
        params, state = adam.update(backend.xp, params, {"theta": backend.asarray(g)}, state, 0.1 / t)
        m = adam.beta1 * m + (1 - np.longdouble(adam.beta1)) * g
        v = adam.beta2 * v + (1 - np.longdouble(adam.beta2)) * g.astype(np.longdouble) ** 2
        corrected = m / (1 - np.longdouble(adam.beta1) ** t), v / (1 - np.longdouble(adam.beta2) ** t)
        exact = exact - np.longdouble(0.1 / t) * corrected[0] / (np.sqrt(corrected[1]) + adam.epsilon)
        checks.append(
            compare("Adam", f"step {t}", {"theta": backend.to_numpy(params["theta"])}, {"theta": exact}, TOLERANCE)
        )
    return checks
