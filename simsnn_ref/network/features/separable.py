"""Any wavenumbers on a tensor grid, at the speed of matrix products.

Every point of a grid is the sum of a row point and an offset along the last axis, x = r + s, so that with
theta = k.r + b and phi = k.s

    cos(k.x + b) = cos(theta) cos(phi) - sin(theta) sin(phi),

and the sums over features are matrix products of (rows x features) with (features x columns): N^d cosines become
N^(d-1) + N per feature. In one dimension the axis is cut into coarse points and fine offsets.

On a uniform axis the offsets come in pairs +-s about its middle. The first product is even in s and the second odd,

    z(r +- s) = P +- Q,     P = sum_j W A cos(theta) cos(phi),   Q = -sum_j W A sin(theta) sin(phi),

so that each is needed for s >= 0 only: half the multiplications.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from simsnn_ref.backend import Array, Backend, WholeShard
from simsnn_ref.network.features.base import FeatureGradient, Features, cos_and_sin
from simsnn_ref.spectrum import Grid

__all__ = ["SeparableMap"]

FEATURE_BLOCK = 2**9
"""Features of one matrix product."""

BLOCK_ELEMENTS = 2**18
"""Largest temporary in float64 elements, 2 MiB: what one product reads and writes stays in cache."""


class SeparableMap:
    """Cosine features on a tensor grid; O(N^d n_f h) multiply-adds, bounded memory.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, d)
    offsets : ndarray of float64, shape (n_columns,)
        Along the last axis; the points are rows[r] + (0, .., 0, offsets[c]) in C order.
    mirrored : bool
        Whether the offsets ascend and are symmetric about 0.
    n_points : int, optional
        Points beyond are left out; all n_rows * n_columns by default.
    grid_shape : tuple of int, optional
        Of the uniform grid that the points are.
    """

    name = "separable"

    def __init__(
        self,
        rows: np.ndarray,
        offsets: np.ndarray,
        backend: Backend,
        *,
        mirrored: bool = False,
        n_points: int | None = None,
        grid_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.xp = backend.xp
        self.device = backend.device
        self._scale = backend.block_scale
        self.rows = backend.asarray(rows)
        self.offsets = backend.asarray(offsets)
        self.mirrored = mirrored
        self.half = backend.asarray(offsets[offsets.shape[0] // 2 :] if mirrored else offsets)
        self.shape = (rows.shape[0], offsets.shape[0])
        self.n_points = rows.shape[0] * offsets.shape[0] if n_points is None else n_points
        self.shard = WholeShard(self.n_points)
        self.grid_shape = grid_shape

    @classmethod
    def from_axes(cls, axes: Sequence[np.ndarray], backend: Backend) -> "SeparableMap":
        """The tensor product of `axes`, d arrays of coordinates in [-1, 1] with any spacing."""
        *others, last = axes
        nothing = np.zeros(1, dtype=last.dtype)
        return cls(_rows(others, nothing), last, backend) if others else cls(_rows([], last), nothing, backend)

    @classmethod
    def from_grid(cls, grid: Grid, backend: Backend) -> "SeparableMap":
        """A uniform grid; one dimension is cut into about sqrt(N) coarse points and as many offsets."""
        *others, last = grid.scaled_axes(backend.real_dtype)
        n_columns = last.size if others else math.isqrt(last.size - 1) + 1
        offsets = (2 * np.arange(n_columns) + 1 - n_columns).astype(last.dtype) / grid.intervals[-1]
        rows = _rows(others, last[::n_columns] - offsets[0])
        return cls(rows, offsets, backend, mirrored=True, n_points=grid.size, grid_shape=grid.shape)

    def _feature_blocks(self, n_features: int) -> Iterator[slice]:
        for start in range(0, n_features, FEATURE_BLOCK):
            yield slice(start, min(start + FEATURE_BLOCK, n_features))

    def _row_blocks(self, h: int) -> Iterator[slice]:
        step = max(1, self._scale * BLOCK_ELEMENTS // (h * max(FEATURE_BLOCK, self.half.shape[0])))
        for start in range(0, self.shape[0], step):
            yield slice(start, min(start + step, self.shape[0]))

    def _column_factors(self, K: Array) -> tuple[Array, Array]:
        """Cos and sin of phi = k.s, each (features, half columns)."""
        phi = K[:, -1:] * self.half[None, :]
        return self.xp.cos(phi), self.xp.sin(phi)

    def _row_factors(self, rows: slice, K: Array, b: Array) -> tuple[Array, Array]:
        """Cos and sin of theta = k.r + b, each (rows, features)."""
        return cos_and_sin(self.rows[rows, :] @ K.T, b, self.xp)

    def _product(self, left: Array, right: Array) -> Array:
        """sum_j left_hrj right_jc: (h, rows, features) and (features, columns) to (h, rows, columns)."""
        h, rows, n_features = left.shape
        return self.xp.reshape(self.xp.reshape(left, (h * rows, n_features)) @ right, (h, rows, -1))

    def _join(self, P: Array, Q: Array) -> Array:
        """P + Q, and P - Q mirrored: (h, rows, half columns) to (h, rows, columns)."""
        if not self.mirrored:
            return P + Q
        n_left = self.shape[1] // 2
        first = self.half.shape[0] - n_left
        return self.xp.concat([self.xp.flip((P - Q)[:, :, first:], axis=2), P + Q], axis=2)

    def _split(self, dz: Array) -> tuple[Array, Array]:
        """Transpose of `_join`: dP and dQ, each (h, rows, half columns)."""
        if not self.mirrored:
            return dz, dz
        n_left = self.shape[1] // 2
        left, right = self.xp.flip(dz[:, :, :n_left], axis=2), dz[:, :, n_left:]
        if self.half.shape[0] > n_left:
            left = self.xp.concat([self.xp.zeros_like(dz[:, :, :1]), left], axis=2)
        return right + left, right - left

    def _to_rows(self, dz: Array) -> Array:
        """(h, n_points) to (h, rows, columns), zero beyond the last point."""
        missing = self.shape[0] * self.shape[1] - self.n_points
        if missing:
            pad = self.xp.zeros((dz.shape[0], missing), dtype=dz.dtype, device=self.device)
            dz = self.xp.concat([dz, pad], axis=1)
        return self.xp.reshape(dz, (dz.shape[0], *self.shape))

    def _to_points(self, z: Array) -> Array:
        """Inverse of `_to_rows`."""
        return self.xp.reshape(z, (z.shape[0], -1))[:, : self.n_points]

    def forward(self, W: Array, features: Features) -> Array:
        """Both halves of z = P +- Q."""
        z: Array = None
        K, b, weighted = features.wavenumbers, features.phases, (W * features.amplitudes)[:, None, :]
        factors = [(js, *self._column_factors(K[js, :])) for js in self._feature_blocks(W.shape[1])]
        for rs in self._row_blocks(W.shape[0]):
            P: Array = 0.0
            Q: Array = 0.0
            for js, cos_phi, sin_phi in factors:
                cos, sin = self._row_factors(rs, K[js, :], b[js])
                P += self._product(weighted[:, :, js] * cos, cos_phi)
                Q -= self._product(weighted[:, :, js] * sin, sin_phi)
            joined = self._join(P, Q)
            z = self._like(joined) if z is None else z
            z[:, rs, :] = joined
        return self._to_points(z)

    def _like(self, joined: Array) -> Array:
        """Room for all rows, of the type of some: that of W might be an integer's."""
        return self.xp.empty((joined.shape[0], *self.shape), dtype=joined.dtype, device=self.device)

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Contract the columns first: Y_c = sum_s dP cos(phi), Y_s = sum_s dQ sin(phi). Then

        sum_c dz cos(theta + phi) = cos(theta) Y_c - sin(theta) Y_s  gives dW,
        sum_c dz sin(theta + phi) = sin(theta) Y_c + cos(theta) Y_s  gives db and, weighted by x = r + s, dK.
        """
        xp = self.xp
        dz = self._to_rows(dz)
        dW, dK, db = [], [], []
        for js in self._feature_blocks(W.shape[1]):
            K, b, A, weights = features.wavenumbers[js, :], features.phases[js], features.amplitudes[js], W[:, js]
            column_factors = self._column_factors(K)
            cosine_sum: Array = 0.0
            sine_sum: Array = 0.0
            sine_row_sum: Array = 0.0
            sine_offset_sum: Array = 0.0
            for rs in self._row_blocks(W.shape[0]):
                cos, sin = (xp.matrix_transpose(part) for part in self._row_factors(rs, K, b))
                Y_c, Y_s = self._contract(dz[:, rs, :], column_factors)
                cosine_sum = cosine_sum + (Y_c @ cos[:, :, None] - Y_s @ sin[:, :, None])[:, :, 0]
                S = self._sine_sum(weights, cos, sin, Y_c, Y_s)
                sine_sum = sine_sum + xp.sum(S, axis=1)
                if wavenumbers:
                    sine_row_sum = sine_row_sum + S @ self.rows[rs, :]
                    Y_c, Y_s = self._contract(dz[:, rs, :] * self.offsets, column_factors)
                    sine_offset_sum = sine_offset_sum + xp.sum(self._sine_sum(weights, cos, sin, Y_c, Y_s), axis=1)
            dW.append(cosine_sum.T * A)
            db.append(-A * sine_sum)
            if wavenumbers:
                # The offsets lie along the last axis.
                last = sine_row_sum[:, -1:] + sine_offset_sum[:, None]
                dK.append(-A[:, None] * xp.concat([sine_row_sum[:, :-1], last], axis=1))
        return FeatureGradient(
            weights=xp.concat(dW, axis=1),
            wavenumbers=xp.concat(dK, axis=0) if wavenumbers else None,
            phases=xp.concat(db, axis=0),
        )

    def _contract(self, dz: Array, column_factors: tuple[Array, Array]) -> tuple[Array, Array]:
        """Y_c and Y_s, features first, so that what follows are small products for each: (features, h, rows)."""
        h, rows, _ = dz.shape
        return tuple(
            self.xp.reshape(factor @ self.xp.reshape(part, (h * rows, -1)).T, (-1, h, rows))
            for factor, part in zip(column_factors, self._split(dz), strict=True)
        )

    def _sine_sum(self, W: Array, cos: Array, sin: Array, Y_c: Array, Y_s: Array) -> Array:
        """sum_h W_hj sum_c dz sin(theta + phi), shape (features, rows)."""
        weights = W.T[:, None, :]
        return sin * (weights @ Y_c)[:, 0, :] + cos * (weights @ Y_s)[:, 0, :]

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """As forward, with theta_dot = k_dot.r + b_dot in the row factors and phi_dot = k_dot.s on the columns."""
        z_dot: Array = None
        K, b, A = features.wavenumbers, features.phases, features.amplitudes
        weighted, weighted_dot = (W * A)[:, None, :], (W_dot * A)[:, None, :]
        factors = [(js, *self._column_factors(K[js, :])) for js in self._feature_blocks(W.shape[1])]
        for rs in self._row_blocks(W.shape[0]):
            P: Array = 0.0
            Q: Array = 0.0
            P_s: Array = 0.0
            Q_s: Array = 0.0
            for js, cos_phi, sin_phi in factors:
                cos, sin = self._row_factors(rs, K[js, :], b[js])
                turn = b_dot[js] if K_dot is None else b_dot[js] + self.rows[rs, :] @ K_dot[js, :].T
                w, w_dot = weighted[:, :, js], weighted_dot[:, :, js]
                P += self._product(w_dot * cos - w * (sin * turn), cos_phi)
                Q -= self._product(w_dot * sin + w * (cos * turn), sin_phi)
                if K_dot is not None:
                    slope = w * K_dot[js, -1]
                    P_s -= self._product(slope * sin, cos_phi)
                    Q_s -= self._product(slope * cos, sin_phi)
            joined = self._join(P, Q)
            joined = joined if K_dot is None else joined + self._join(P_s, Q_s) * self.offsets
            z_dot = self._like(joined) if z_dot is None else z_dot
            z_dot[:, rs, :] = joined
        return self._to_points(z_dot)


def _rows(others: Sequence[np.ndarray], last: np.ndarray) -> np.ndarray:
    """The tensor product of some axes as points, shape (n_rows, d)."""
    return np.stack([x.ravel() for x in np.meshgrid(*others, last, indexing="ij")], axis=-1)
