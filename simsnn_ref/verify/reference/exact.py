"""Everything about one case in `DIGITS` digits, by the formulas of docs/derivations as they stand there.

The arrays hold numbers of mpmath, in which every operation is made of whole numbers: neither the processor nor the C
library has a part in it.
"""

import math
import operator
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import Network, pre_activations
from simsnn_ref.optimizers import Adam, AdamState
from simsnn_ref.verify.numbers import import_mpmath
from simsnn_ref.verify.reference.cases import Case, Tensors, draw, uniform

__all__ = [
    "ADAM",
    "DAMPING",
    "DIGITS",
    "LEARNING_RATE",
    "TRAINING_STEPS",
    "Exact",
    "Pass",
    "as_numbers",
    "given",
    "rounded",
]

ADAM = Adam(beta1=0.9, beta2=0.999, epsilon=1e-8)
LEARNING_RATE = 1e-3
TRAINING_STEPS = 20
DAMPING = 1e-3

DIGITS = 50
"""Of all numbers."""

GUARD_BITS = 64
"""More, of elementary functions before they are rounded."""

STEP_BITS = 400
"""A complex step is 2^-400: its square is below all digits, of parameters of size 1e-12 too, and nothing cancels."""

SURE = 25
"""Digits that rounding relies on: half of them may be lost where terms cancel."""


_real, _imaginary = (np.frompyfunc(operator.attrgetter(part), 1, 1) for part in ("real", "imag"))


class Pass(NamedTuple):
    """Once through the network and back: gamma, z_1 .. z_{L+1}, J = du/dtheta (n, P), u - target, L and dL/dtheta."""

    gamma: np.ndarray
    z: list[np.ndarray]
    J: np.ndarray
    e: np.ndarray
    loss: Any
    gradient: np.ndarray


class Exact:
    """Everything about one case, in the precision of mpmath that is set when it is made and asked.

    Parameters
    ----------
    case : Case
    given : dict of ndarray
        By `as_numbers`.
    """

    def __init__(self, case: Case, given: Tensors) -> None:
        self.mp = import_mpmath().mp
        self.case, self.given = case, given
        self.theta = {name: given[name] for name in case.shapes}
        self.network = Network(
            NumpyBackend(), case.first_layer, case.hidden, given.get("amplitudes"), case.scale, case.paired
        )
        functions = {name: self._elementwise(getattr(self.mp, name)) for name in ("cos", "sin", "tanh", "sqrt")}
        self.xp = SimpleNamespace(concat=np.concatenate, zeros_like=np.zeros_like, **functions)
        self.power = self._elementwise(operator.pow, 2)

    def _elementwise(self, function: Callable[..., Any], n_arguments: int = 1) -> Any:
        """A function for arrays, rounded right."""

        def right(*x: Any) -> Any:
            with self.mp.extraprec(GUARD_BITS):
                y = function(*x)
            return +y

        return np.frompyfunc(right, n_arguments, 1)

    def layers(self, theta: Tensors) -> tuple[np.ndarray, list[np.ndarray]]:
        """Gamma and z_1 .. z_{L+1}."""
        return pre_activations(self.network, theta, self.given["points"], self.xp)

    def run(self, theta: Tensors) -> Pass:
        """From the features to the gradient, by the slopes du/dz_l from the output backwards."""
        gamma, z = self.layers(theta)
        J: Tensors = {}
        slope = np.ones_like(z[-1])
        for layer in range(len(z), 0, -1):
            h = gamma if layer == 1 else self.xp.tanh(z[layer - 2])
            J[f"W{layer}"], J[f"c{layer}"] = slope[:, None] * h, slope
            slope = theta[f"W{layer}"].T @ slope
            slope = slope if layer == 1 else (1 - h * h) * slope
        features, X = self.network.features(theta), self.given["points"].T
        if features is not None:
            sin = self.xp.sin(features.wavenumbers @ X + features.phases[:, None])
            J["b"] = -features.amplitudes[:, None] * sin * slope
            dK = J["b"][:, None] * X
            J["B"] = self.case.scale * (np.add(*np.split(dK, 2)) if self.case.paired else dK)
        rows = np.concatenate([J[name].reshape(-1, z[-1].size) for name in self.case.trained])
        e = z[-1][0] - self.given["target"]
        loss, slope = self._loss(e)
        return Pass(gamma, z, rows.T, e, loss, rows @ slope)

    def _loss(self, e: np.ndarray) -> tuple[Any, np.ndarray]:
        """L(e) and dL/de, analytic in e for complex steps."""
        p, signs = self.mp.mpf(self.case.p), np.sign(_real(e))
        largest = np.max(_real(e * signs))
        r = e * signs / largest
        mean = np.sum(self.power(r, p)) / len(e)
        return largest * self.power(mean, 1 / p), signs * self.power(r, p - 1) * self.power(mean, 1 / p - 1) / len(e)

    @cached_property
    def start(self) -> Pass:
        """At the parameters given."""
        return self.run(self.theta)

    def parts(self) -> dict[str, Tensors]:
        """All that is not given, by role."""
        return {"forward": self.forward(), "backward": self.backward(), "update": self.updates()}

    def forward(self) -> Tensors:
        """From the features to the loss."""
        gamma, z = self.start.gamma, self.start.z
        found = {"features": gamma} if self.case.n_features else {}
        found |= {f"z{layer}": value for layer, value in enumerate(z, start=1)}
        return found | {"u": z[-1][0], "loss": self.start.loss}

    def backward(self) -> Tensors:
        """The gradient, and products with J, its transpose and the Hessian."""
        h = self.mp.mpf(2) ** -STEP_BITS
        v = {name: self.given[f"v.{name}"] for name in self.case.trained}
        stepped = self.run(
            {name: x + self.mp.mpc(0, h) * v[name] if name in v else x for name, x in self.theta.items()}
        )
        return {
            **self.named(self.start.gradient, "grad."),
            "Jv": _imaginary(stepped.e) / h,
            **self.named(self.start.J.T @ self.given["w"], "JTw."),
            **self.named(_imaginary(stepped.gradient) / h, "Hv."),
        }

    def updates(self) -> Tensors:
        """A step of Adam, one of Gauss-Newton, a short training."""
        adam = Adam(*map(self.mp.mpf, (ADAM.beta1, ADAM.beta2, ADAM.epsilon)))
        state = AdamState.zero(self.xp, {name: self.theta[name] for name in self.case.trained})
        theta, losses, steps = self.theta, [], []
        for _ in range(TRAINING_STEPS):
            here = self.run(theta)
            losses.append(here.loss)
            theta, state = adam.update(self.xp, theta, self.named(here.gradient), state, self.mp.mpf(LEARNING_RATE))
            steps.append(theta)
        return {
            **{f"adam.{name}": steps[0][name] for name in self.case.trained},
            **self.named(self._gauss_newton(), "gauss_newton."),
            "train.loss": np.asarray(losses),
            **{f"train.{name}": theta[name] for name in self.case.trained},
        }

    def _gauss_newton(self) -> np.ndarray:
        """The step by the normal equations, (J^T J + mu) d = -J^T e, and elimination, which needs no pivots here."""
        J = self.start.J
        A, P = J.T @ J, J.shape[1]
        d: np.ndarray = -(J.T @ self.start.e)
        A = A + DAMPING * np.trace(A) / P * np.eye(P, dtype=int)
        for j in range(P):
            factors = A[j + 1 :, j] / A[j, j]
            A[j + 1 :, j:] -= np.outer(factors, A[j, j:])
            d[j + 1 :] -= factors * d[j]
        for j in reversed(range(P)):
            d[j] = (d[j] - A[j, j + 1 :] @ d[j + 1 :]) / A[j, j]
        return d

    def named(self, vector: np.ndarray, kind: str = "") -> Tensors:
        """A vector over what trains, by name."""
        shapes = {name: self.case.shapes[name] for name in self.case.trained}
        parts = np.split(vector, np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1])
        return {kind + name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}


def given(case: Case) -> Tensors:
    """What is given, of float64.

    The target is away from u on one side, by three decades of distances: sums over the points do not cancel, so that
    relative errors mean something.
    """
    tensors = draw(case)
    exact = Exact(case, as_numbers(tensors))
    u = exact.layers(exact.theta)[1][-1][0]
    shares, decades = np.abs(uniform(np.random.PCG64([0, *case.name.encode()]), (2, u.size)))
    residue = 10 * np.max(np.abs(u)) * np.ldexp(1.0 - 0.5 * shares, -(10.0 * decades).astype(int))
    return tensors | {"target": rounded(u - residue if case.p % 2 == 0 else u + residue)}


def as_numbers(tensors: Tensors, seed: int | None = None) -> Tensors:
    """As numbers of mpmath: as they are, or each moved by half an eps, of signs by the seed."""
    numbers = {name: np.frompyfunc(import_mpmath().mpf, 1, 1)(value) for name, value in tensors.items()}
    if seed is None:
        return numbers
    bits = np.random.PCG64(seed)
    return {name: x + x * np.copysign(2.0**-53, uniform(bits, x.shape)) for name, x in numbers.items()}


def rounded(x: Any) -> np.ndarray:
    """To float64: the nearest number, of which `SURE` digits leave no doubt."""
    margin = import_mpmath().mpf(10) ** -SURE
    low, high = (np.asarray(x * (1 + sign * margin), dtype=np.float64) for sign in (-1, 1))
    if not np.array_equal(low, high):
        raise AssertionError(f"{SURE} digits leave a rounding open")
    return low
