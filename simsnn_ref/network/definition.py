"""The network by its formula, section 3.1, written once more: what every other route is measured against.

Analytic operations only, so that complex steps go through it, and of whatever type the parameters are: float64, long
double, complex, double-double, or the numbers of mpmath.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array
from simsnn_ref.network.network import Network

__all__ = ["evaluate_network", "pre_activations"]


def pre_activations(
    network: Network, params: Mapping[str, Any], points: Array, xp: ModuleType | Any = None
) -> tuple[Array, list[Array]]:
    """Gamma, shape (n_f, n), and z_1 .. z_{L+1}, each (h_l, n), at `points` (n, d).

    Parameters
    ----------
    xp : namespace, optional
        With `cos`, `tanh` and `concat`; the network's by default.
    """
    xp = network.xp if xp is None else xp
    gamma = points.T
    if network.amplitudes is not None:
        K = network.scale * params["B"]
        K = xp.concat([K, K]) if network.paired else K
        gamma = network.amplitudes[:, None] * xp.cos(K @ points.T + params["b"][:, None])
    z = [params["W1"] @ gamma + params["c1"][:, None]]
    for layer in range(2, network.depth + 2):
        z.append(params[f"W{layer}"] @ xp.tanh(z[-1]) + params[f"c{layer}"][:, None])
    return gamma, z


def evaluate_network(network: Network, params: Mapping[str, Any], points: Array, xp: ModuleType | Any = None) -> Array:
    """U at `points` (n, d), shape (n,)."""
    return pre_activations(network, params, points, xp)[1][-1][0]
