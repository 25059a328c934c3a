"""All checks of an installation."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace

from simsnn_ref.backend import Backend
from simsnn_ref.network import evaluate_network
from simsnn_ref.spectrum import Grid
from simsnn_ref.verify.cases import host_network, loss_of, make_subject, subjects
from simsnn_ref.verify.comparison import Comparison, compare
from simsnn_ref.verify.differentiation import complex_step_in_digits
from simsnn_ref.verify.numbers import as_numbers
from simsnn_ref.verify.products import check_subject
from simsnn_ref.verify.updates import check_adam, check_lbfgs, check_spectral_weights, check_trajectory, trajectories

__all__ = ["verify"]

DIGITS = 50
"""Digits of the complex steps with mpmath."""


def verify(backend: Backend, say: Callable[[str], None] = lambda line: None) -> list[Comparison]:
    """Make every check of every subject and update rule on a backend.

    Parameters
    ----------
    backend : Backend
    say : callable, optional
        Called with the name of what is checked next.

    Returns
    -------
    list of Comparison

    Raises
    ------
    VerificationError
        If tensors are missing or have wrong shapes.
    """
    checks: list[Comparison] = []
    for subject in subjects(backend):
        say(subject.name)
        checks += check_subject(subject)
    checks += check_adam(backend)
    for trajectory in trajectories(backend):
        say(f"{trajectory.method}, {trajectory.name}")
        checks.append(check_trajectory(trajectory))
    checks += [*check_lbfgs(backend), *check_spectral_weights(backend)]
    if importlib.util.find_spec("mpmath") is not None:
        checks += [_check_with_mpmath(backend, p) for p in (3.5, 10.0)]
    return checks


def _check_with_mpmath(backend: Backend, p: float) -> Comparison:
    """Check every number of the gradient of a small network against 50 digits."""
    grid = Grid((3, 2))
    subject = make_subject(backend, grid, "rff", "dense", (2, 2), p, n_features=2)
    objective, params = subject.objective, subject.params
    gradient = subject.host(objective.value_and_gradient(params)[2])
    network = host_network(objective.network)
    exact = replace(network, amplitudes=as_numbers(network.amplitudes))
    points, target = as_numbers(grid.scaled_points()), as_numbers(subject.target)
    expected = complex_step_in_digits(
        lambda values: loss_of(evaluate_network(exact, values, points) - target, p),
        subject.host(params),
        DIGITS,
        subject.names,
    )
    return compare("gradient by mpmath", subject.name, gradient, expected)
