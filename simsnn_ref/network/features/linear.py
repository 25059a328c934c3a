"""gamma(x) = x: the first layer of a plain tanh network."""

from simsnn_ref.backend import Array, Backend, WholeShard
from simsnn_ref.network.features.base import FeatureGradient, Features

__all__ = ["LinearMap"]


class LinearMap:
    """Products with the coordinates themselves; W has shape (h, d) and there is nothing else to train.

    Parameters
    ----------
    points : Array of float64, shape (n_points, d)
        In [-1, 1]^d.
    grid_shape : tuple of int, optional
        Of the uniform grid that the points are.
    """

    name = "linear"

    def __init__(self, points: Array, backend: Backend, grid_shape: tuple[int, ...] | None = None) -> None:
        self.points = points
        self.grid_shape = grid_shape
        self.n_points = int(points.shape[0])
        self.shard = WholeShard(self.n_points)

    def forward(self, W: Array, features: Features | None) -> Array:
        """The product z = W X^T, shape (h, n_points)."""
        return W @ self.points.T

    def vjp(self, W: Array, features: Features | None, dz: Array, *, wavenumbers: bool = False) -> FeatureGradient:
        """The gradient dW = dz X."""
        return FeatureGradient(weights=dz @ self.points, wavenumbers=None, phases=None)

    def jvp(self, W: Array, features: Features | None, W_dot: Array, K_dot: Array | None, b_dot: Array | None) -> Array:
        """z_dot = W_dot X^T."""
        return W_dot @ self.points.T
