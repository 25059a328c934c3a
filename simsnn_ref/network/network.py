"""One stage's network: cosine features, L tanh layers, linear output (section 3.1).

    gamma(x) = A cos(K x + b),  K = scale B         features (`none`: gamma(x) = x)
    z_1 = W_1 gamma + c_1
    h_l = tanh z_l,  z_{l+1} = W_{l+1} h_l + c_{l+1},   l = 1 .. L
    u(x) = z_{L+1}

Parameters are a dict of arrays named B (n_b, d), b (n_f,), W1 (h_1, n_f), c1 (h_1,), ..., W{L+1} (1, h_L), c{L+1} (1,),
in this order. L = 0 is the truncated Fourier series (eq. 10) when W1 is all ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.network.features.base import FeatureMap, Features
from simsnn_ref.network.layers import (
    affine_forward,
    affine_vjp,
    tanh_forward,
    tanh_jvp,
    tanh_second,
    tanh_vjp,
)
from simsnn_ref.spectrum import Period

__all__ = ["Network", "Parameters", "point_blocks", "tile", "untile"]

Parameters: TypeAlias = dict[str, Array]

POINT_TILE = 2**8
"""Points of one matrix product: for 30 units few enough that BLAS does not start threads of its own, which would
contend with the blocks' (OpenBLAS does from 2^18 multiply-adds on)."""

POINT_BLOCK = 2**12
"""Points of one task: 30 units take a megabyte, so that the layers' temporaries stay in cache."""


def point_blocks(backend: Backend, n_points: int) -> list[slice]:
    """Whole blocks, as large as suits the backend, then whole tiles, then the rest."""
    whole, block = n_points - n_points % POINT_TILE, backend.block_scale * POINT_BLOCK
    stops = [*range(block, whole, block), whole, n_points]
    starts = [0, *stops]
    return [slice(start, stop) for start, stop in zip(starts, stops, strict=False) if start < stop]


def tile(xp: ModuleType | Any, z: Array) -> Array:
    """(units, points) to (tiles, units, points): `POINT_TILE` points each, or fewer in a single one."""
    units, points = z.shape
    tiles = max(1, points // POINT_TILE)
    return xp.permute_dims(xp.reshape(z, (units, tiles, -1)), (1, 0, 2))


def untile(xp: ModuleType | Any, h: Array) -> Array:
    """Inverse of tiling: (tiles, units, points) to (units, points)."""
    return xp.reshape(xp.permute_dims(h, (1, 0, 2)), (h.shape[1], -1))


@dataclass(frozen=True)
class Network:
    """What is fixed of one stage: its architecture and the constants of its first layer.

    Parameters
    ----------
    backend : Backend
        Of the parameters.
    first_layer : str
        Name of the first layer (`simsnn_ref.network.FIRST_LAYERS`).
    hidden : tuple of int
        Widths of the tanh layers.
    amplitudes : Array, shape (n_f,), or None
        A; None for ``none``, where gamma(x) = x.
    scale : float
        K = scale B: 1 for Algorithm 1, 2 pi in eqs. 4-6, kappa for the scale-factor approach.
    paired : bool
        True for eq. 5, [A cos(K x), A sin(K x)]: B has n_f / 2 rows and each serves a cosine and a sine.
    frozen : frozenset of str
        Parameters that do not train; of B and b.
    indices : ndarray of int64, shape (n_f, d), or None
        Integer wavenumbers where B is frozen at Fourier modes: what the fft map needs.
    period : d fractions, or None
        Period of these modes in lengths of the box: B is pi m / period, rounded.
    """

    backend: Backend
    first_layer: str
    hidden: tuple[int, ...]
    amplitudes: Array | None
    scale: float = 1.0
    paired: bool = False
    frozen: frozenset[str] = frozenset()
    indices: np.ndarray | None = None
    period: Period | None = None

    def __repr__(self) -> str:
        features = "" if self.amplitudes is None else f", {self.n_features} features"
        frozen = f", frozen {', '.join(sorted(self.frozen))}" if self.frozen else ""
        return f"Network({self.first_layer!r}{features}, hidden {self.hidden}{frozen}, {self.backend.name})"

    @property
    def xp(self) -> ModuleType | Any:
        return self.backend.xp

    @property
    def depth(self) -> int:
        """Number L of tanh layers."""
        return len(self.hidden)

    @property
    def n_features(self) -> int:
        return 0 if self.amplitudes is None else int(self.amplitudes.shape[0])

    def trainable(self, params: Parameters) -> list[str]:
        """Names of the parameters that train."""
        return [name for name in params if name not in self.frozen]

    def n_parameters(self, params: Parameters) -> int:
        """Number of numbers that train."""
        return sum(math.prod(params[name].shape) for name in self.trainable(params))

    def features(self, params: Parameters) -> Features | None:
        """Gamma's parameters in the form the feature maps take; None for ``none``."""
        if self.amplitudes is None:
            return None
        return Features(self.amplitudes, self._wavenumbers(params["B"]), params["b"])

    def _wavenumbers(self, B: Array) -> Array:
        K = self.scale * B
        return self.xp.concat([K, K], axis=0) if self.paired else K

    def _wavenumbers_vjp(self, dK: Array) -> Array:
        """The gradient dB = scale dK, the two halves of a pair added: the transpose of `_wavenumbers`."""
        n = self.n_features // 2
        return self.scale * (dK[:n, :] + dK[n:, :] if self.paired else dK)

    def forward(self, params: Parameters, fmap: FeatureMap) -> Array:
        """Values u at the map's points, shape (n_points,)."""
        z = fmap.forward(params["W1"], self.features(params))
        blocks = point_blocks(self.backend, z.shape[1])
        return self.xp.concat(self.backend.map(lambda block: self.hidden_forward(params, z[:, block])[0], blocks))

    def backward(self, params: Parameters, fmap: FeatureMap, cotangent: Callable[[Array, slice], Array]) -> Parameters:
        """Gradient of the loss for every parameter that trains, from du, its gradient for u, which may follow from u.

        A block of points goes forward and at once back while its hidden layers are in the cache. None are kept, and
        dz_1 takes the place of z_1.

        Parameters
        ----------
        cotangent : callable
            From u at a block of points and the block, a slice of all points here, to du there, both (n_block,).
        """
        z = fmap.forward(params["W1"], self.features(params))

        def there_and_back(block: slice) -> Parameters:
            u, hs = self.hidden_forward(params, z[:, block])
            grads, z[:, block] = self.hidden_vjp(params, hs, cotangent(u, block))
            return grads

        parts = self.backend.map(there_and_back, point_blocks(self.backend, z.shape[1]))
        # In the order of the blocks, whatever order they were done in.
        grads = {name: sum(part[name] for part in parts) for name in parts[0]}
        return self.first_layer_vjp(params, fmap, z, grads)

    def hidden_forward(self, params: Parameters, z: Array) -> tuple[Array, list[Array]]:
        """The layers behind W_1 gamma, of which `z` is a block (h_1, points): u (points,), h_l (tiles, h_l, points)."""
        z = tile(self.xp, z) + params["c1"][:, None]
        hs = []
        for layer in range(1, self.depth + 1):
            hs.append(tanh_forward(self.xp, z))
            z = affine_forward(params[f"W{layer + 1}"], params[f"c{layer + 1}"], hs[-1])
        return self.xp.reshape(z, (-1,)), hs

    def hidden_vjp(self, params: Parameters, hs: list[Array], du: Array) -> tuple[Parameters, Array]:
        """Transpose of `hidden_forward`: gradients of c_1, W_2, c_2, ..., and dz_1, shape (h_1, points)."""
        xp = self.xp
        dz = tile(xp, du[None, :])
        grads: Parameters = {}
        for layer in range(self.depth, 0, -1):
            W, c, h = f"W{layer + 1}", f"c{layer + 1}", hs[layer - 1]
            grads[W], grads[c], dh = affine_vjp(xp, params[W], h, dz)
            dz = tanh_vjp(h, dh)
        grads["c1"] = xp.sum(dz, axis=(0, 2))
        return grads, untile(xp, dz)

    def first_layer_vjp(self, params: Parameters, fmap: FeatureMap, dz1: Array, grads: Parameters) -> Parameters:
        """`grads` of the layers behind it completed by those of W_1, b and B; the parameters that train alone."""
        first = fmap.vjp(params["W1"], self.features(params), dz1, wavenumbers="B" not in self.frozen)
        grads = grads | {"W1": first.weights, "b": first.phases}
        if first.wavenumbers is not None:
            grads["B"] = self._wavenumbers_vjp(first.wavenumbers)
        return {name: grads[name] for name in self.trainable(params)}

    def first_layer_jvp(self, params: Parameters, fmap: FeatureMap, params_dot: Parameters) -> Array:
        """z_1_dot less c_1_dot, shape (h_1, n_points), for a direction over the parameters that train."""
        B_dot, b_dot = params_dot.get("B"), params_dot.get("b")
        if b_dot is None and self.amplitudes is not None:
            b_dot = self.xp.zeros_like(params["b"])
        K_dot = None if B_dot is None else self._wavenumbers(B_dot)
        return fmap.jvp(params["W1"], self.features(params), params_dot["W1"], K_dot, b_dot)

    def linear_part(self, params: Parameters, fmap: FeatureMap) -> Array:
        """Linearise u in the features about gamma = 0: u(0) + (du/dgamma)(0) gamma, shape (n_points,)."""
        z_dot, z0 = fmap.forward(params["W1"], self.features(params)), params["c1"][:, None]
        for layer in range(1, self.depth + 1):
            W = params[f"W{layer + 1}"]
            h0 = tanh_forward(self.xp, z0)
            z_dot, z0 = W @ tanh_jvp(h0, z_dot), affine_forward(W, params[f"c{layer + 1}"], h0)
        return z0[0, :] + z_dot[0, :]

    def shifted(self, params: Parameters, delta: Array) -> Parameters:
        """Parameters of x -> u(x + delta), delta of shape (d,) in units of [-1, 1]: the phases become b + K delta."""
        if self.amplitudes is None:
            return params | {"c1": params["c1"] + params["W1"] @ delta}
        return params | {"b": params["b"] + self._wavenumbers(params["B"]) @ delta}

    def derivatives(self, params: Parameters, fmap: FeatureMap, ndim: int, order: int = 2) -> tuple[Array, ...]:
        """u, its gradient and, of `order` 2, its Hessian with respect to x in [-1, 1]^d at the map's points.

        A derivative of a cosine is a cosine a quarter turn on, d/dx_i cos(k.x + b) = k_i cos(k.x + b + pi/2), so the
        first layer's derivatives come from the same feature map; tanh layers follow by the chain rule to second order.

        Returns
        -------
        u : Array, shape (n_points,)
        gradient : Array, shape (d, n_points)
        hessian : Array, shape (d, d, n_points)
        """
        xp = self.xp
        axes = range(ndim)
        pairs = [(i, j) for i in axes for j in axes if i <= j] if order == 2 else []
        z = fmap.forward(params["W1"], self.features(params)) + params["c1"][:, None]
        first, second = self._first_layer_derivatives(params, fmap, ndim, pairs, xp.zeros_like(z))
        for layer in range(1, self.depth + 1):
            W = params[f"W{layer + 1}"]
            h = tanh_forward(xp, z)
            second = {(i, j): W @ tanh_second(h, first[i], first[j], second[i, j]) for i, j in pairs}
            first = [W @ tanh_jvp(h, z_i) for z_i in first]
            z = affine_forward(W, params[f"c{layer + 1}"], h)
        gradient = xp.stack([z_i[0, :] for z_i in first])
        if order == 1:
            return z[0, :], gradient
        hessian = xp.stack([xp.stack([second[min(i, j), max(i, j)][0, :] for j in axes]) for i in axes])
        return z[0, :], gradient, hessian

    def _first_layer_derivatives(
        self, params: Parameters, fmap: FeatureMap, ndim: int, pairs: list[tuple[int, int]], zero: Array
    ) -> tuple[list[Array], dict[tuple[int, int], Array]]:
        W, features = params["W1"], self.features(params)
        axes = range(ndim)
        if features is None:
            return [zero + W[:, i : i + 1] for i in axes], dict.fromkeys(pairs, zero)
        K = features.wavenumbers
        quarter = Features(features.amplitudes, K, features.phases + 0.5 * np.pi)
        first = [fmap.forward(W * K[:, i], quarter) for i in axes]
        second = {(i, j): fmap.forward(-W * (K[:, i] * K[:, j]), features) for i, j in pairs}
        return first, second
