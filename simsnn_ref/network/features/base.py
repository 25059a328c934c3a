"""The interface of the first layer: products with the cosine features, which are never stored.

With points x_n, the feature matrix is gamma_j(x_n) = A_j cos(k_j.x_n + b_j), shape (n_f, n_points). A network needs
only three products with it, for weights W of shape (h, n_f):

    forward   z_h(x)  =  sum_j W_hj A_j cos(k_j.x + b_j)
    vjp       dW_hj   =  A_j sum_x dz_h(x) cos(k_j.x + b_j)
              db_j    = -A_j sum_h W_hj sum_x dz_h(x) sin(k_j.x + b_j)
              dK_jd   = -A_j sum_h W_hj sum_x dz_h(x) x_d sin(k_j.x + b_j)
    jvp       z_dot   =  sum_j [W_dot_hj A_j cos(k_j.x + b_j) - W_hj A_j sin(k_j.x + b_j) (b_dot_j + K_dot_j.x)]

The vjp is the transpose of the jvp: <z_dot, dz> = <W_dot, dW> + <b_dot, db> + <K_dot, dK> for every direction.
"""

from dataclasses import dataclass
from functools import singledispatch
from types import ModuleType
from typing import Any, Protocol

from simsnn_ref.backend import Array, Shard

__all__ = ["FeatureGradient", "FeatureMap", "Features", "cos_and_sin"]


@dataclass(frozen=True)
class Features:
    """The parameters of gamma(x) = A cos(K x + b); x in [-1, 1]^d.

    Attributes
    ----------
    amplitudes : Array, shape (n_f,)
        A, fixed.
    wavenumbers : Array, shape (n_f, d)
        K, angular wavenumbers.
    phases : Array, shape (n_f,)
        b, radians.
    """

    amplitudes: Array
    wavenumbers: Array
    phases: Array


@dataclass(frozen=True)
class FeatureGradient:
    """Gradients with respect to W (h, n_f), K (n_f, d) and b (n_f,); None where there is no such parameter to train."""

    weights: Array
    wavenumbers: Array | None
    phases: Array | None


class FeatureMap(Protocol):
    """One way to evaluate the three products at a fixed set of points.

    Attributes
    ----------
    name : str
        ``dense``, ``separable``, ``fft``, ``nufft``, or ``linear`` for gamma(x) = x, which has no `Features` (None).
    n_points : int
        Number of points, the second axis of z; C order for a grid.
    grid_shape : tuple of int, or None
        Of the uniform grid that the points are; None if they are none.
    shard : Shard
        Which of all points these are; all of them unless several processes share a fit.
    """

    @property
    def name(self) -> str: ...

    @property
    def n_points(self) -> int: ...

    @property
    def grid_shape(self) -> tuple[int, ...] | None: ...

    @property
    def shard(self) -> Shard: ...

    def forward(self, W: Array, features: Features | None) -> Array:
        """Return z, shape (h, n_points)."""
        ...

    def vjp(self, W: Array, features: Features | None, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Pull dz, shape (h, n_points), back to the parameters; to K only if `wavenumbers`."""
        ...

    def jvp(self, W: Array, features: Features | None, W_dot: Array, K_dot: Array | None, b_dot: Array | None) -> Array:
        """Push the direction (W_dot, K_dot, b_dot) forward to z_dot, shape (h, n_points); K_dot None means 0."""
        ...


@singledispatch
def cos_and_sin(product: Array, phases: Array, xp: ModuleType | Any) -> tuple[Array, Array]:
    """Both of K X^T + b, b of any shape that broadcasts; a plug-in may register one kernel for it."""
    phase = product + phases
    return xp.cos(phase), xp.sin(phase)
