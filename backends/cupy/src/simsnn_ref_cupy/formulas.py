"""The arithmetic of the fused kernels, in C without anything of CuPy, so that a compiler for the host takes it too.

Each is an elementwise formula of `simsnn_ref`, with the same operations in the same order. It gives the same bits if
the compiler does not contract a product and a sum to one rounding (`Formula.exact`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ADAM_STEP", "COS_AND_SIN", "FORMULAS", "SLOPE_TIMES", "Formula"]


@dataclass(frozen=True)
class Formula:
    """The formula of one kernel.

    Attributes
    ----------
    name : str
        Name of the kernel.
    inputs, scalars, outputs : tuple of str
        Names of the arrays, of the numbers that are the same for all entries, and of the results, all float64.
    body : str
        C statements that set the outputs at one index.
    arguments : callable
        From the arguments of the core's function to those of the kernel, inputs and scalars.
    exact : bool
        Whether all its operations are those that IEEE 754 rounds: its results are then the core's to the last bit.
    """

    name: str
    inputs: tuple[str, ...]
    scalars: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    arguments: Callable[..., tuple[Any, ...]]
    exact: bool


def _adam_arguments(
    theta: Any,
    g: Any,
    m: Any,
    v: Any,
    _: Any,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[Any, ...]:
    """Compute the corrections 1 - beta^t, the same for all entries, once and on the host."""
    return theta, g, m, v, learning_rate, beta1, beta2, epsilon, 1.0 - beta1**step, 1.0 - beta2**step


SLOPE_TIMES = Formula(
    name="simsnn_slope_times",
    inputs=("h", "y"),
    scalars=(),
    outputs=("z",),
    body="z = (1.0 - h) * (1.0 + h) * y;",
    arguments=lambda h, y: (h, y),
    exact=True,
)
"""`tanh_vjp` and `tanh_jvp`: (1 - h^2) y."""

ADAM_STEP = Formula(
    name="simsnn_adam_step",
    inputs=("theta", "g", "m", "v"),
    scalars=("learning_rate", "beta1", "beta2", "epsilon", "correction1", "correction2"),
    outputs=("theta_out", "m_out", "v_out"),
    body=(
        "const double m_new = beta1 * m + (1.0 - beta1) * g;"
        " const double v_new = beta2 * v + (1.0 - beta2) * (g * g);"
        " const double m_hat = m_new / correction1;"
        " const double v_hat = v_new / correction2;"
        " theta_out = theta - learning_rate * m_hat / (sqrt(v_hat) + epsilon);"
        " m_out = m_new;"
        " v_out = v_new;"
    ),
    arguments=_adam_arguments,
    exact=True,
)
"""`adam_step`: the new parameters and moments."""

COS_AND_SIN = Formula(
    name="simsnn_cos_and_sin",
    inputs=("product", "phases"),
    scalars=(),
    outputs=("cosine", "sine"),
    body="const double phase = product + phases; cosine = cos(phase); sine = sin(phase);",
    arguments=lambda product, phases, xp: (product, phases),
    exact=False,
)
"""`cos_and_sin`: one pass over memory, and one reduction of the argument, which the compiler shares."""

FORMULAS = (SLOPE_TIMES, ADAM_STEP, COS_AND_SIN)
