"""The reference feature map: any points, the definition itself, a block of points at a time."""

from collections.abc import Iterator

from simsnn_ref.backend import Array, Backend, WholeShard
from simsnn_ref.network.features.base import FeatureGradient, Features, cos_and_sin

__all__ = ["BLOCK_ELEMENTS", "DenseMap"]

BLOCK_ELEMENTS = 2**20
"""Points times features held at a time: 8 MiB per float64 temporary."""


class DenseMap:
    """Cosine features at scattered points.

    O(n_points n_f h) work and at most `BLOCK_ELEMENTS` features in memory, for each thread in `forward`. Written with
    analytic operations only, so that complex-step differentiation goes through `forward`.

    Parameters
    ----------
    points : Array of float64, shape (n_points, d)
        In [-1, 1]^d.
    grid_shape : tuple of int, optional
        Of the uniform grid that the points are.
    """

    name = "dense"

    def __init__(self, points: Array, backend: Backend, grid_shape: tuple[int, ...] | None = None) -> None:
        self.points = points
        self.grid_shape = grid_shape
        self.n_points = int(points.shape[0])
        self.shard = WholeShard(self.n_points)
        self.xp = backend.xp
        self._backend = backend

    def _blocks(self, n_features: int) -> Iterator[slice]:
        step = max(1, self._backend.block_scale * BLOCK_ELEMENTS // max(1, n_features))
        for start in range(0, self.n_points, step):
            yield slice(start, min(start + step, self.n_points))

    def forward(self, W: Array, features: Features) -> Array:
        """The product z = (W A) cos(K X^T + b)."""
        xp = self.xp
        weighted = W * features.amplitudes

        def product(block: slice) -> Array:
            # Long double has no BLAS: the sums go along rows in memory, which takes a third of the time.
            phase = self.points[block, :] @ features.wavenumbers.T + features.phases
            return weighted @ xp.cos(phase).T

        return xp.concat(self._backend.map(product, self._blocks(W.shape[1])), axis=1)

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """With D = -(W A)^T dz o sin(K X^T + b): dW = dz gamma^T, db = D 1, dK = D X."""
        xp = self.xp
        A = features.amplitudes
        weighted = W * A
        dW = db = dK = 0.0
        for block in self._blocks(W.shape[1]):
            x = self.points[block, :]
            cos, sin = cos_and_sin(features.wavenumbers @ x.T, features.phases[:, None], xp)
            dphase = -(weighted.T @ dz[:, block]) * sin
            dW = dW + dz[:, block] @ cos.T
            db = db + xp.sum(dphase, axis=1)
            dK = dK + dphase @ x
        return FeatureGradient(weights=dW * A, wavenumbers=dK if wavenumbers else None, phases=db)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """z_dot = (W_dot A) cos(phase) - (W A) [sin(phase) o (K_dot X^T + b_dot)]."""
        xp = self.xp
        weighted, weighted_dot = W * features.amplitudes, W_dot * features.amplitudes
        pieces = []
        for block in self._blocks(W.shape[1]):
            x = self.points[block, :]
            cos, sin = cos_and_sin(features.wavenumbers @ x.T, features.phases[:, None], xp)
            phase_dot = b_dot[:, None] if K_dot is None else b_dot[:, None] + K_dot @ x.T
            pieces.append(weighted_dot @ cos - weighted @ (sin * phase_dot))
        return xp.concat(pieces, axis=1)
