"""The start of a stage in mode accurate: a network that equals the sum of its features up to a small,
known nonlinear part.

All rows of W_1 are proportional to (1, ..., 1): z_1 = delta v S(x) with S the sum of the features (eq. 10) and v a
fixed vector. The network is then one function of one number, u = phi(S), with

    phi(s) = W_{L+1} tanh(... W_2 tanh(delta v s)),     phi(s) = s + O(delta^2 s^3)

once W_{L+1} is scaled so that phi'(0) = 1. It is monotone for |s| of order 1, so the features are made from the modes
of phi^-1(t) instead of those of the target t: the start is exact up to their truncation error, whatever delta is.
No precision is lost at small delta, since tanh is relatively accurate near 0.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.network.features.linear import LinearMap
from simsnn_ref.network.initialization import xavier
from simsnn_ref.network.network import Network, Parameters, point_blocks
from simsnn_ref.spectrum import Modes

__all__ = ["near_linear_network"]

NEWTON_STEPS = 4
"""From s = t: for |t| <= 5 one step leaves rounding at delta = 1e-5, two at 1e-3, three at 1e-2 (measured)."""

LEAST_SLOPE = 1e-2
"""Of phi, whose slope at 0 is 1: where it is lower tanh saturates, and t is likely to be out of phi's range."""


def near_linear_network(
    target: Array,
    modes_of: Callable[[Array], Modes],
    *,
    hidden: Sequence[int],
    delta: float,
    rng: np.random.Generator,
    backend: Backend,
) -> tuple[Network, Parameters]:
    """Build a stage's network and initial parameters.

    Parameters
    ----------
    target : Array of float64, shape (n_points,)
        t, of RMS 1.
    modes_of : callable
        From a field of the same shape to the modes that become the features.
    hidden : sequence of int
        Widths of the tanh layers.
    delta : float
        RMS size of z_1.
    rng : numpy.random.Generator
        Draws W_2, W_3, ... by Xavier's rule.
    """
    layers, v = _hidden_layers(hidden, delta, rng)
    phi = Network(backend, "none", tuple(hidden), amplitudes=None)
    scalar = {name: backend.asarray(value) for name, value in {"W1": v[:, None], **layers}.items()}
    here = backend.processes.shard(LinearMap(target[:, None], backend))
    modes = modes_of(here.shard.gather(_inverse(phi, scalar, here.points[:, 0], backend)))
    network = Network(
        backend=backend,
        first_layer="si",
        hidden=tuple(hidden),
        amplitudes=modes.amplitudes,
        frozen=frozenset("B"),
        indices=modes.indices,
        period=modes.period,
    )
    W1 = backend.asarray(np.repeat(v[:, None], len(modes), axis=1))
    return network, {"B": modes.wavenumbers, "b": modes.phases, **(scalar | {"W1": W1})}


def _hidden_layers(
    hidden: Sequence[int], delta: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """c_1, W_2, c_2, ... and the column delta v of W_1, with phi'(0) = 1."""
    widths = [*hidden, 1]
    weights = [xavier(rng, n_out, n_in) for n_in, n_out in pairwise(widths)]
    gain = weights[-1]
    for W in reversed(weights[:-1]):
        gain = gain @ W
    # Along the gain no product of weights cancels, and z_1 has RMS delta.
    v = delta * math.sqrt(widths[0]) * gain[0] / np.linalg.norm(gain)
    weights[-1] = weights[-1] / float(gain[0] @ v)
    layers: dict[str, np.ndarray] = {"c1": np.zeros(widths[0])}
    for layer, W in enumerate(weights, start=2):
        layers[f"W{layer}"], layers[f"c{layer}"] = W, np.zeros(W.shape[0])
    return layers, v


def _inverse(phi: Network, params: Parameters, target: Array, backend: Backend) -> Array:
    """phi^-1(t) at every point by Newton's method, which converges cubically from s = t for a cubic nonlinear part."""
    xp = backend.xp

    def inverse(t: Array) -> Array:
        s = t
        for _ in range(NEWTON_STEPS):
            value, slope = phi.derivatives(params, LinearMap(s[:, None], backend), 1, order=1)
            moved = s - (value - t) / xp.clip(slope[0, :], min=LEAST_SLOPE)
            # Where phi^-1(t) does not exist, t itself is the best start.
            s = xp.where(slope[0, :] > LEAST_SLOPE, moved, t)
        return s

    return xp.concat([inverse(target[block]) for block in point_blocks(backend, target.shape[0])])
