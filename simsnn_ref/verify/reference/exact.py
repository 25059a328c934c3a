"""Everything about one case in long double: what is rounded once and written."""

from dataclasses import replace
from typing import Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import DenseMap, ExtendedBackend, LinearMap, evaluate_network, pre_activations
from simsnn_ref.optimizers import Adam, AdamState
from simsnn_ref.verify.cases import loss_of, loss_slope
from simsnn_ref.verify.dense import solve_positive
from simsnn_ref.verify.differentiation import STEP, complex_step, complex_step_jacobian
from simsnn_ref.verify.reference.cases import Case, Tensors, build

__all__ = ["ADAM", "DAMPING", "LEARNING_RATE", "TRAINING_STEPS", "Exact"]

ADAM = Adam(beta1=0.9, beta2=0.999, epsilon=1e-8)
LEARNING_RATE = 1e-3
TRAINING_STEPS = 20
DAMPING = 1e-3

EPS = 2.0**-52


class Exact:
    """Everything about one case in long double.

    Parameters
    ----------
    case : Case
    ulps : float
        By how many eps of float64, of either sign, every given number is moved.
    seed : int
        Of the signs.
    backend : NumpyBackend, optional
        For another precision.
    """

    def __init__(self, case: Case, ulps: float = 0.0, seed: int = 0, backend: NumpyBackend | None = None) -> None:
        wide = ExtendedBackend() if backend is None else backend
        self.case, self.dtype = case, wide.real_dtype
        network, self.params, self.given = build(case)
        rng = np.random.default_rng(seed)

        def moved(value: Any) -> np.ndarray:
            sign = rng.choice([-1.0, 1.0], np.shape(value))
            value = np.asarray(value, dtype=self.dtype)
            return value if ulps == 0.0 else np.asarray(value * (1 + ulps * EPS * sign.astype(self.dtype)))

        amplitudes = None if network.amplitudes is None else moved(network.amplitudes)
        self.network = replace(network, backend=wide, amplitudes=amplitudes)
        self.points = moved(self.given["points"])
        self.target = moved(self.given["target"])
        self.theta = {name: moved(value) for name, value in self.params.items()}
        self.names = network.trainable(self.theta)
        self.v = {name: moved(self.given[f"v.{name}"]) for name in self.names}
        self.fmap: Any = LinearMap(self.points, wide) if amplitudes is None else DenseMap(self.points, wide)
        self.w, self.p = moved(self.given["w"]), self.dtype(case.p)

    @property
    def meta(self) -> dict[str, Any]:
        """What a reader needs beside the tensors."""
        return {
            "first_layer": self.case.first_layer,
            "size": self.case.size,
            "scale": self.network.scale,
            "paired": self.network.paired,
            "p": self.case.p,
            "hidden": list(self.case.hidden),
            "parameters": list(self.theta),
            "frozen": list(self.case.frozen),
        }

    def value(self, theta: dict[str, Any]) -> Any:
        """U by the definition."""
        return evaluate_network(self.network, theta, self.points)

    def objective(self, theta: dict[str, Any]) -> Any:
        """L(u - target)."""
        return loss_of(self.value(theta) - self.target, self.p)

    def gradient(self, theta: dict[str, Any]) -> dict[str, Any]:
        """By the hand-written formulas, which `simsnn_ref.verify` checks, in the precision of `theta`."""
        slope = loss_slope(self.network.forward(theta, self.fmap) - self.target, self.p)
        return self.network.backward(theta, self.fmap, lambda u, block: slope[block])

    def forward(self) -> Tensors:
        """From the features to the loss."""
        gamma, z = pre_activations(self.network, self.theta, self.points)
        found = {} if self.network.amplitudes is None else {"features": gamma}
        found |= {f"z{layer}": value for layer, value in enumerate(z, start=1)}
        return found | {"u": z[-1][0], "loss": np.asarray(self.objective(self.theta))}

    def backward(self) -> Tensors:
        """The gradient, and products with J, its transpose and the Hessian."""
        stepped = {
            name: value + 1j * STEP * self.v[name] if name in self.v else value for name, value in self.theta.items()
        }
        Hv = {name: np.imag(value) / STEP for name, value in self.gradient(stepped).items()}
        JTw = complex_step(lambda theta: self.value(theta) @ self.w, self.theta, self.names)
        return {
            **_named("grad", complex_step(self.objective, self.theta, self.names)),
            "Jv": np.imag(self.value(stepped)) / STEP,
            **_named("JTw", JTw),
            **_named("Hv", Hv),
        }

    def updates(self) -> Tensors:
        """A step of Adam, one of Gauss-Newton, a short training."""
        theta, losses, steps = self.theta, [], []
        state = AdamState.zero(np, {name: theta[name] for name in self.names})
        for _ in range(TRAINING_STEPS):
            losses.append(self.objective(theta))
            theta, state = ADAM.update(np, theta, self.gradient(theta), state, LEARNING_RATE)
            steps.append({name: theta[name] for name in self.names})
        return {
            **_named("adam", steps[0]),
            **_named("gauss_newton", self._gauss_newton()),
            "train.loss": np.asarray(losses),
            **_named("train", steps[-1]),
        }

    def _gauss_newton(self) -> Tensors:
        J = complex_step_jacobian(self.value, self.theta, self.names)
        normal = J.T @ J
        normal = normal + DAMPING * np.trace(normal) / len(normal) * np.eye(len(normal), dtype=self.dtype)
        d = solve_positive(normal, -(J.T @ (self.value(self.theta) - self.target)))
        parts = np.split(d, np.cumsum([self.theta[name].size for name in self.names])[:-1])
        return {name: part.reshape(self.theta[name].shape) for name, part in zip(self.names, parts, strict=True)}

    def found(self) -> Tensors:
        """All that is not given."""
        return {**self.forward(), **self.backward(), **self.updates()}


def _named(kind: str, tensors: Tensors) -> Tensors:
    return {f"{kind}.{name}": value for name, value in tensors.items()}
