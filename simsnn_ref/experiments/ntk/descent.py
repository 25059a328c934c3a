"""Gradient descent on the mean square, and the decay of the residue that the kernel predicts for it."""

import numpy as np

from simsnn_ref.experiments.ntk.kernel import Eigensystem
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers import Objective

__all__ = ["gradient_descent", "predicted_components"]


def gradient_descent(objective: Objective, params: Parameters, eta: float, steps: int) -> tuple[np.ndarray, Parameters]:
    """Plain gradient descent on |e|^2 / 2n, theta <- theta - eta J^T e / n.

    Returns
    -------
    residues : ndarray of float64, shape (steps + 1, n_points)
        e before each step and after the last.
    params : dict of Array
        Parameters after the last step.
    """
    n, network, target = objective.fmap.n_points, objective.network, objective.target
    _, e = objective.evaluate(params)
    residues = [objective.backend.to_numpy(e)]
    for _ in range(steps):
        gradient = network.backward(params, objective.fmap, lambda u, block: (u - target[block]) / n)
        params = params | {name: params[name] - eta * gradient[name] for name in gradient}
        _, e = objective.evaluate(params)
        residues.append(objective.backend.to_numpy(e))
    return np.stack(residues), params


def predicted_components(system: Eigensystem, start: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """(1 - eta lambda_i)^t v_i.e(0), shape (steps + 1, n), from the components `start` = v_i.e(0), shape (n,)."""
    predicted: np.ndarray = start * (1.0 - eta * system.values) ** np.arange(steps + 1)[:, None]
    return predicted
