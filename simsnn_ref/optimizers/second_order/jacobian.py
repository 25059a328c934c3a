"""J = du/dtheta at fixed parameters, for methods that multiply by it again and again.

u is one number at each point, so that a column of J is a product over one layer,

    du/dW_l,hj (x) = D_l,h(x) H_l-1,j(x),    du/dc_l,h (x) = D_l,h(x),    D_l = du/dz_l,  H_l = tanh z_l,

and both factors can be kept. Nothing is carried from layer to layer then, which halves the matrix products of the
chain rule:

    J v   = sum_l sum_h D_l,h (W_dot_l H_l-1 + c_dot_l)_h,
    J^T w = (w D_l) H_l-1^T for W_l,  (w D_l) 1 for c_l,

with W_dot_1 H_0 and (w D_1) H_0^T left to the feature map.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from simsnn_ref.backend import Array
from simsnn_ref.network import Parameters, affine_transpose, point_blocks, tanh_vjp, tile, untile
from simsnn_ref.optimizers.objective import Objective

__all__ = ["KEPT_ELEMENTS", "Jacobian"]

KEPT_ELEMENTS = 2**28
"""Hidden layers are kept up to so many numbers (2 GiB), and their slopes with them. At more points only W_1 gamma is,
and they are computed again in each product."""

T = TypeVar("T")

Factors: TypeAlias = tuple[slice, list[Array], list[Array]]
"""A block of points with H_1 .. H_L and D_1 .. D_L+1 there, each (tiles, units, points)."""


class Jacobian:
    """Products with J and J^T; its factors are kept up to `KEPT_ELEMENTS`.

    Parameters
    ----------
    objective : Objective
    params : dict of Array
        Where J is taken.
    """

    def __init__(self, objective: Objective, params: Parameters) -> None:
        self.objective, self.params = objective, params
        self.network, self.xp = objective.network, objective.xp
        z = objective.fmap.forward(params["W1"], self.network.features(params))
        blocks = point_blocks(objective.backend, z.shape[1])
        self._kept: list[Factors] = []
        if sum(self.network.hidden) * z.shape[1] <= KEPT_ELEMENTS:
            self._kept = objective.backend.map(lambda block: self._factors(block, z[:, block]), blocks)
        else:
            self._pre_activations = [(block, z[:, block]) for block in blocks]

    def map(self, function: Callable[[slice, list[Array], list[Array]], T]) -> list[T]:
        """`function` of the `Factors` of every block of points, in their order."""
        if self._kept:
            return self.objective.backend.map(lambda factors: function(*factors), self._kept)
        return self.objective.backend.map(lambda given: function(*self._factors(*given)), self._pre_activations)

    def _factors(self, block: slice, z: Array) -> Factors:
        u, hs = self.network.hidden_forward(self.params, z)
        return block, hs, self._slopes(hs, self.xp.ones_like(u))

    def _slopes(self, hs: list[Array], one: Array) -> list[Array]:
        """D_l = du/dz_l, l = 1 .. L + 1, at a block of points with hidden layers `hs`.

        D_{L+1} = 1,  D_l = (1 - h_l^2) W_{l+1}^T D_{l+1}.
        """
        slopes = [tile(self.xp, one[None, :])]
        for layer in range(self.network.depth, 0, -1):
            slopes.insert(0, tanh_vjp(hs[layer - 1], affine_transpose(self.params[f"W{layer + 1}"], slopes[0])))
        return slopes

    def jvp(self, direction: Parameters) -> Array:
        """J v, shape (n_points,)."""
        xp, dot = self.xp, direction
        z1_dot = self.network.first_layer_jvp(self.params, self.objective.fmap, dot)

        def push(block: slice, hs: list[Array], slopes: list[Array]) -> Array:
            u_dot = xp.sum(slopes[0] * (tile(xp, z1_dot[:, block]) + dot["c1"][:, None]), axis=1)
            for layer, (h, D) in enumerate(zip(hs, slopes[1:], strict=True), start=2):
                u_dot += xp.sum(D * (dot[f"W{layer}"] @ h + dot[f"c{layer}"][:, None]), axis=1)
            return xp.reshape(u_dot, (-1,))

        return xp.concat(self.map(push))

    def vjp(self, w: Array) -> Parameters:
        """J^T w."""
        xp = self.xp
        dz1 = xp.empty((self.params["W1"].shape[0], w.shape[0]), dtype=w.dtype, device=self.objective.backend.device)

        def pull(block: slice, hs: list[Array], slopes: list[Array]) -> Parameters:
            w_tiled = tile(xp, w[None, block])
            dz = w_tiled * slopes[0]
            dz1[:, block] = untile(xp, dz)
            grads: Parameters = {"c1": xp.sum(dz, axis=(0, 2))}
            for layer, (h, D) in enumerate(zip(hs, slopes[1:], strict=True), start=2):
                dz = w_tiled * D
                grads[f"W{layer}"] = xp.sum(dz @ xp.matrix_transpose(h), axis=0)
                grads[f"c{layer}"] = xp.sum(dz, axis=(0, 2))
            return grads

        pulled = self.map(pull)
        grads = {name: sum(part[name] for part in pulled) for name in pulled[0]}
        return self.objective.total(self.network.first_layer_vjp(self.params, self.objective.fmap, dz1, grads))
