"""Any wavenumbers on a tensor grid, at the speed of matrix products.

Every point of a grid is the sum of a row point and a column offset, x = r + s, so that

    cos(k.x + b) = cos(theta) cos(phi) - sin(theta) sin(phi),    theta = k.r + b,   phi = k.s,

and the sums over features are matrix products of (rows x features) with (features x columns): N^d cosines become
N^(d-1) + N per feature. In one dimension the axis is cut into coarse points and fine offsets.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.features.base import FeatureGradient, Features
from simsnn_ref.grid import Grid

__all__ = ["SeparableMap"]

BLOCK_ELEMENTS = 2**21
"""Largest temporary, in float64 elements (16 MiB)."""


class SeparableMap:
    """Cosine features on a tensor grid; O(N^d n_f h) multiply-adds, bounded memory.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, d)
    offsets : ndarray of float64, shape (n_columns,)
        Along the last axis; the points are rows[r] + (0, .., 0, offsets[c]) in C order.
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
        n_points: int | None = None,
        grid_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.xp = backend.xp
        self.device = backend.device
        self.rows = backend.asarray(rows)
        self.offsets = backend.asarray(offsets)
        self.shape = (rows.shape[0], offsets.shape[0])
        self.n_points = rows.shape[0] * offsets.shape[0] if n_points is None else n_points
        self.grid_shape = grid_shape

    @classmethod
    def from_axes(
        cls, axes: Sequence[np.ndarray], backend: Backend, grid_shape: tuple[int, ...] | None = None
    ) -> "SeparableMap":
        """The tensor product of `axes`, d arrays of coordinates in [-1, 1] with any spacing."""
        if len(axes) == 1:
            return cls(axes[0][:, None], np.zeros(1, dtype=axes[0].dtype), backend)
        mesh = np.meshgrid(*axes[:-1], indexing="ij")
        rows = np.stack([*(coordinate.ravel() for coordinate in mesh), np.zeros_like(mesh[0]).ravel()], axis=-1)
        return cls(rows, axes[-1], backend, grid_shape=grid_shape)

    @classmethod
    def from_grid(cls, grid: Grid, backend: Backend) -> "SeparableMap":
        """A uniform grid; one dimension is cut into about sqrt(N) coarse points and as many offsets."""
        axes = grid.scaled_axes(backend.real_dtype)
        if grid.ndim > 1:
            return cls.from_axes(axes, backend, grid.shape)
        n_columns = math.isqrt(grid.size - 1) + 1
        offsets = (2 * np.arange(n_columns)).astype(backend.real_dtype) / grid.intervals[0]
        return cls(axes[0][::n_columns, None], offsets, backend, n_points=grid.size, grid_shape=grid.shape)

    def _feature_blocks(self, n_features: int) -> Iterator[slice]:
        step = max(1, BLOCK_ELEMENTS // (2 * self.shape[1]))
        for start in range(0, n_features, step):
            yield slice(start, min(start + step, n_features))

    def _row_blocks(self, h: int, n_features: int) -> Iterator[slice]:
        step = max(1, BLOCK_ELEMENTS // (2 * h * n_features))
        for start in range(0, self.shape[0], step):
            yield slice(start, min(start + step, self.shape[0]))

    def _row_phase(self, rows: slice, K: Array, b: Array) -> tuple[Array, Array]:
        """Cos and sin of theta = k.r + b, each (rows, features)."""
        theta = self.rows[rows, :] @ K.T + b
        return self.xp.cos(theta), self.xp.sin(theta)

    def _column_factor(self, K: Array) -> Array:
        """Cos and sin of phi = k.s, stacked: (2 features, columns)."""
        phi = K[:, -1:] * self.offsets[None, :]
        return self.xp.concat([self.xp.cos(phi), self.xp.sin(phi)], axis=0)

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

    def _product(self, cos_part: Array, sin_part: Array, factor: Array) -> Array:
        """sum_j cos_part_j cos(phi_j) + sin_part_j sin(phi_j): (h, rows, features) to (h, rows, columns)."""
        h, rows, n_features = cos_part.shape
        joined = self.xp.reshape(self.xp.concat([cos_part, sin_part], axis=2), (h * rows, 2 * n_features))
        return self.xp.reshape(joined @ factor, (h, rows, -1))

    def forward(self, W: Array, features: Features) -> Array:
        """Z = sum_j (W A cos(theta)) cos(phi) - (W A sin(theta)) sin(phi)."""
        z = self.xp.zeros((W.shape[0], *self.shape), dtype=W.dtype, device=self.device)
        for js in self._feature_blocks(W.shape[1]):
            K, b = features.wavenumbers[js, :], features.phases[js]
            weighted = (W[:, js] * features.amplitudes[js])[:, None, :]
            factor = self._column_factor(K)
            for rs in self._row_blocks(W.shape[0], K.shape[0]):
                cos, sin = self._row_phase(rs, K, b)
                z[:, rs, :] += self._product(weighted * cos, -weighted * sin, factor)
        return self._to_points(z)

    def _contract(self, field: Array, factor: Array) -> tuple[Array, Array]:
        """sum_c field_c cos(phi_c) and sum_c field_c sin(phi_c): (h, rows, columns) to two of (h, rows, features)."""
        h, rows, columns = field.shape
        Y = self.xp.reshape(self.xp.reshape(field, (h * rows, columns)) @ factor.T, (h, rows, -1))
        n = factor.shape[0] // 2
        return Y[:, :, :n], Y[:, :, n:]

    def _sine_sum(self, W: Array, cos: Array, sin: Array, Y: tuple[Array, Array]) -> Array:
        """sum_h W_hj sum_c dz sin(theta + phi), shape (rows, features), from Y = (Y_c, Y_s)."""
        V_c, V_s = (self.xp.sum(W[:, None, :] * part, axis=0) for part in Y)
        return sin * V_c + cos * V_s

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Contract the columns first: Y_c = sum_c dz cos(phi), Y_s = sum_c dz sin(phi). Then

        sum_c dz cos(theta + phi) = cos(theta) Y_c - sin(theta) Y_s  gives dW,
        sum_c dz sin(theta + phi) = sin(theta) Y_c + cos(theta) Y_s  gives db and, weighted by x = r + s, dK.
        """
        xp = self.xp
        dz = self._to_rows(dz)
        dW, dK, db = [], [], []
        for js in self._feature_blocks(W.shape[1]):
            K, b, A, weights = features.wavenumbers[js, :], features.phases[js], features.amplitudes[js], W[:, js]
            factor = self._column_factor(K)
            cosine_sum: Array = 0.0
            sine_sum: Array = 0.0
            sine_row_sum: Array = 0.0
            sine_offset_sum: Array = 0.0
            for rs in self._row_blocks(W.shape[0], K.shape[0]):
                cos, sin = self._row_phase(rs, K, b)
                Y_c, Y_s = self._contract(dz[:, rs, :], factor)
                cosine_sum = cosine_sum + xp.sum(cos * Y_c - sin * Y_s, axis=1)
                S = self._sine_sum(weights, cos, sin, (Y_c, Y_s))
                sine_sum = sine_sum + xp.sum(S, axis=0)
                if wavenumbers:
                    sine_row_sum = sine_row_sum + S.T @ self.rows[rs, :]
                    weighted = self._contract(dz[:, rs, :] * self.offsets, factor)
                    S = self._sine_sum(weights, cos, sin, weighted)
                    sine_offset_sum = sine_offset_sum + xp.sum(S, axis=0)
            dW.append(cosine_sum * A)
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

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """As forward, with theta_dot = k_dot.r + b_dot in the row factors and phi_dot = k_dot.s on the columns."""
        z_dot = self.xp.zeros((W.shape[0], *self.shape), dtype=W.dtype, device=self.device)
        for js in self._feature_blocks(W.shape[1]):
            K, b, A = features.wavenumbers[js, :], features.phases[js], features.amplitudes[js]
            weighted, weighted_dot = (W[:, js] * A)[:, None, :], (W_dot[:, js] * A)[:, None, :]
            factor = self._column_factor(K)
            for rs in self._row_blocks(W.shape[0], K.shape[0]):
                cos, sin = self._row_phase(rs, K, b)
                theta_dot = b_dot[js] if K_dot is None else b_dot[js] + self.rows[rs, :] @ K_dot[js, :].T
                z_dot[:, rs, :] += self._product(
                    weighted_dot * cos - weighted * (sin * theta_dot),
                    -weighted_dot * sin - weighted * (cos * theta_dot),
                    factor,
                )
                if K_dot is not None:
                    slope = weighted * K_dot[js, -1]
                    z_dot[:, rs, :] += self._product(-slope * sin, -slope * cos, factor) * self.offsets
        return self._to_points(z_dot)
