"""J = du/dtheta at fixed parameters, for methods that multiply by it again and again.

u is one number at each point, so that a column of J is a product over one layer,

    du/dW_l,hj (x) = D_l,h(x) H_l-1,j(x),    du/dc_l,h (x) = D_l,h(x),    D_l = du/dz_l,  H_l = tanh z_l,

and both factors can be kept. Nothing is carried from layer to layer then, which halves the matrix products of the
chain rule (`Network.jvp`, `Network.vjp`):

    J v   = sum_l sum_h D_l,h (W_dot_l H_l-1 + c_dot_l)_h,
    J^T w = (w D_l) H_l-1^T for W_l,  (w D_l) 1 for c_l,

with W_dot_1 H_0 and (w D_1) H_0^T left to the feature map.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from simsnn_ref.backend import Array
from simsnn_ref.network import Activations, Parameters, point_blocks, tile, untile
from simsnn_ref.optimizers.objective import Objective

__all__ = ["Jacobian"]

T = TypeVar("T")

Factors: TypeAlias = tuple[slice, list[Array], list[Array]]
"""A block of points with H_1 .. H_L and D_1 .. D_L+1 there, each (tiles, units, points)."""


class Jacobian:
    """Products with J and J^T.

    Slopes D_l are kept where the activations are; else both are computed again, block by block.

    Parameters
    ----------
    objective : Objective
    params : dict of Array
        Where J is taken.
    activations : list
        Of `Objective.evaluate` at `params`.
    """

    def __init__(self, objective: Objective, params: Parameters, activations: Activations) -> None:
        self.objective, self.params = objective, params
        self.network, self.xp = objective.network, objective.xp
        self._one = self.xp.ones_like(objective.target)
        self._blocks = list(zip(point_blocks(objective.backend, objective.fmap.n_points), activations, strict=True))
        self._kept: list[Factors] = []
        if all(isinstance(kept, list) for kept in activations):
            self._kept = self.map(lambda *factors: factors)

    def map(self, function: Callable[[slice, list[Array], list[Array]], T]) -> list[T]:
        """`function` of the `Factors` of every block of points, in their order."""
        tasks = self._kept or self._blocks
        return self.objective.backend.map(lambda task: function(*(task if self._kept else self._factors(*task))), tasks)

    def _factors(self, block: slice, kept: Any) -> Factors:
        hs = self.network.hidden_layers(self.params, kept)
        return block, hs, self.network.slopes(self.params, hs, tile(self.xp, self._one[None, block]))

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
        # Rows of an integer identity give rows of J, not rounded to whole slopes.
        dtype = xp.result_type(w, self.params["W1"], xp.float32)
        dz1 = xp.empty((self.params["W1"].shape[0], w.shape[0]), dtype=dtype, device=self.objective.backend.device)

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
