"""The layers behind the features, each backward pass below its forward pass. Layers are (..., units, points).

``d<name>`` is the gradient of the loss with respect to <name>, ``<name>_dot`` a direction pushed forward. Every vjp
is the transpose of its jvp: <y_dot, dy> = <x_dot, dx>.

The slope of tanh goes number by number and is a `functools.singledispatch` of its first array: a plug-in may register
the same formula as one kernel for its own type of array, where each operation would go through all of memory.
"""

from functools import singledispatch
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array

__all__ = [
    "affine_forward",
    "affine_transpose",
    "affine_vjp",
    "tanh_forward",
    "tanh_jvp",
    "tanh_second",
    "tanh_vjp",
]


def affine_forward(W: Array, c: Array, h: Array) -> Array:
    """The map z = W h + c; W (m, n), c (m,), h (..., n, P), z (..., m, P)."""
    return W @ h + c[:, None]


def affine_vjp(xp: ModuleType | Any, W: Array, h: Array, dz: Array) -> tuple[Array, Array, Array]:
    """Gradients dW = dz h^T, dc = dz 1, dh = W^T dz: <W_dot h + c_dot + W h_dot, dz> has these as its three factors.

    `h` and `dz` have one leading axis, tiles of points, over which dW and dc are summed.
    """
    return xp.sum(dz @ xp.matrix_transpose(h), axis=0), xp.sum(dz, axis=(0, 2)), affine_transpose(W, dz)


def affine_transpose(W: Array, dz: Array) -> Array:
    """W^T dz. With a single row it is an outer product, at which BLAS takes three times as long."""
    return W.T * dz if W.shape[0] == 1 else W.T @ dz


def tanh_forward(xp: ModuleType | Any, z: Array) -> Array:
    """The map h = tanh z."""
    return xp.tanh(z)


def _slope(h: Array) -> Array:
    """Tanh' = 1 - h^2, factored so that it keeps its relative accuracy as |h| nears 1."""
    slope = 1.0 - h
    slope *= 1.0 + h
    return slope


@singledispatch
def tanh_vjp(h: Array, dh: Array) -> Array:
    """Gradient dz = (1 - h^2) dh: a diagonal Jacobian is its own transpose."""
    return _slope(h) * dh


@singledispatch
def tanh_jvp(h: Array, z_dot: Array) -> Array:
    """h_dot = (1 - h^2) z_dot."""
    return _slope(h) * z_dot


def tanh_second(h: Array, z_i: Array, z_j: Array, z_ij: Array) -> Array:
    """Second derivative of tanh z(x): h_ij = (1 - h^2) (z_ij - 2 h z_i z_j)."""
    return _slope(h) * (z_ij - 2.0 * (h * z_i) * z_j)
