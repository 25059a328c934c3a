"""Any wavenumbers on a tensor grid, at the speed of matrix products.

Every point of a grid is the sum of a row point and an offset along the last axis, x = r + s, so that with
theta = k.r + b and phi = k.s

    cos(k.x + b) = cos(theta) cos(phi) - sin(theta) sin(phi),

and the sums over features are matrix products with factors of rows and of columns: N^d cosines become N^(d-1) + N per
feature. In one dimension the axis is cut into coarse points and fine offsets. Rows are themselves every m-th row plus
one of m steps, r = q + t, and take the cosines of both only.

On a uniform axis the offsets come in pairs +-s about its middle. The first product is even in s and the second odd,

    z(r +- s) = P +- Q,     P = sum_j W A cos(theta) cos(phi),   Q = -sum_j W A sin(theta) sin(phi),

so that each is needed for s >= 0 only: half the multiplications.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np

from simsnn_ref.backend import Array, Backend, WholeShard
from simsnn_ref.network.features.base import FeatureGradient, Features, cos_and_sin
from simsnn_ref.spectrum import Grid

__all__ = ["SeparableMap"]

Pair: TypeAlias = tuple[Array, Array]
"""Cosines and sines, or what belongs to the even and the odd product."""

PRODUCT = 2**18
"""Multiply-adds of one matrix product: with more OpenBLAS starts threads of its own, which would contend with those of
the backend. So few are also faster on one thread, for the factors stay in its cache."""

FEATURE_BLOCK = 2**7
LEAST_FEATURES = 2**4
"""Features of one matrix product at most, and where their number is limited by `PRODUCT`."""

TASK = 2**25
LEAST_UNITS = 2**3
"""Multiply-adds of one task of `forward`, and the units of one, unless there are fewer."""

GROUP_ELEMENTS = 2**19
"""Row factors, or values at the points, that are held at a time: 4 MiB in float64."""

MOST_STEPS = 2**3
"""Largest m."""


class SeparableMap:
    """Cosine features on a tensor grid; O(N^d n_f h) multiply-adds, bounded memory.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows, d)
    offsets : ndarray of float64, shape (n_columns,)
        Along the last axis; the points are rows[r] + (0, .., 0, offsets[c]) in C order.
    mirrored : bool
        Whether the offsets ascend and are symmetric about 0.
    steps : ndarray of float64, shape (m, d), optional
        rows[r] is rows[q] + steps[r - q], q the last multiple of m; m divides n_rows. One step of 0 by default.
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
        steps: np.ndarray | None = None,
        n_points: int | None = None,
        grid_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.xp = backend.xp
        self.device = backend.device
        self._map = backend.map
        self._scale = backend.block_scale
        self.rows = backend.asarray(rows)
        self.offsets = backend.asarray(offsets)
        self.steps = None if steps is None or len(steps) == 1 else backend.asarray(steps)
        self._n_steps = 1 if steps is None else len(steps)
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
        axis = max(0, grid.ndim - 2)
        n_steps = _divisor(others[-1].size if others else len(rows), MOST_STEPS)
        steps = np.zeros((n_steps, grid.ndim), dtype=last.dtype)
        cells = np.arange(n_steps) * (1 if others else n_columns)
        steps[:, axis] = (2 * cells).astype(last.dtype) / grid.intervals[axis]
        return cls(rows, offsets, backend, mirrored=True, steps=steps, n_points=grid.size, grid_shape=grid.shape)

    def _feature_blocks(self, n_features: int, units: int = 1) -> list[slice]:
        """Features of which one row, or as many units, have at most `PRODUCT` multiply-adds."""
        most = self._scale * PRODUCT // (max(units, self._n_steps) * self.half.shape[0])
        step = min(FEATURE_BLOCK, max(LEAST_FEATURES, most))
        return _slices(0, n_features, step)

    def _row_groups(self, h: int, n_features: int) -> list[slice]:
        """Rows whose factors and values are held at a time."""
        return self._cut(0, self.shape[0], GROUP_ELEMENTS // max(n_features, h * self.shape[1]))

    def _row_blocks(self, rows: slice, features: slice) -> list[slice]:
        """Rows whose products with a block of features have at most `PRODUCT` multiply-adds."""
        return self._cut(rows.start, rows.stop, PRODUCT // ((features.stop - features.start) * self.half.shape[0]))

    def _cut(self, start: int, stop: int, step: int) -> list[slice]:
        """Blocks of whole multiples of m."""
        step = self._scale * step
        return _slices(start, stop, max(self._n_steps, step - step % self._n_steps))

    def _column_factors(self, K: Array) -> Pair:
        """Cos and sin of phi = k.s, each (features, half columns)."""
        phi = K[:, -1:] * self.half[None, :]
        return self.xp.cos(phi), self.xp.sin(phi)

    def _step_factors(self, K: Array) -> Pair | None:
        """Cos and sin of k.t, each (m, features)."""
        if self.steps is None:
            return None
        turn = self.steps @ K.T
        return self.xp.cos(turn), self.xp.sin(turn)

    def _row_factors(self, rows: slice, K: Array, b: Array, steps: Pair | None) -> Pair:
        """Cos and sin of theta = (k.q + b) + k.t, each (rows, features)."""
        cos, sin = cos_and_sin(self.rows[rows.start : rows.stop : self._n_steps, :] @ K.T, b, self.xp)
        if steps is None:
            return cos, sin
        cos, sin, (cos_t, sin_t) = cos[:, None, :], sin[:, None, :], steps
        shape = (rows.stop - rows.start, K.shape[0])
        reshape = self.xp.reshape
        return reshape(cos * cos_t - sin * sin_t, shape), reshape(sin * cos_t + cos * sin_t, shape)

    def _fixed_factors(self, K: Array, blocks: list[slice]) -> list[tuple[Pair, Pair | None]]:
        """What all rows have in common, for each block of features."""
        return self._map(lambda js: (self._column_factors(K[js, :]), self._step_factors(K[js, :])), blocks)

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
        """Both halves of z = P +- Q, a group of rows after the other; a task has some units at some of the rows."""
        K, b, weighted = features.wavenumbers, features.phases, W * features.amplitudes
        h, n_features = W.shape
        blocks = self._feature_blocks(n_features)
        fixed = self._fixed_factors(K, blocks)
        columns = [column for column, _ in fixed]
        z = self._empty(weighted, columns)
        for group in self._row_groups(h, n_features):

            def row_factors(i: int, group: slice = group) -> Pair:
                return self._row_factors(group, K[blocks[i], :], b[blocks[i]], fixed[i][1])

            rows = self._map(row_factors, range(len(blocks)))

            def put(task: tuple[slice, slice], group: slice = group, rows: list[Pair] = rows) -> None:
                block, units = task
                inside = slice(block.start - group.start, block.stop - group.start)
                P: Array = 0.0
                Q: Array = 0.0
                for js, (cos, sin), (cos_phi, sin_phi) in zip(blocks, rows, columns, strict=True):
                    P += self._product(weighted[units, js], cos[inside, :], cos_phi)
                    Q -= self._product(weighted[units, js], sin[inside, :], sin_phi)
                z[units, block, :] = self._join(P, Q)

            row_blocks = self._row_blocks(group, blocks[0])
            self._map(put, list(product(row_blocks, self._unit_blocks(h, n_features, row_blocks[0]))))
        return self._to_points(z)

    def _unit_blocks(self, h: int, n_features: int, rows: slice) -> list[slice]:
        task = self._scale * TASK // ((rows.stop - rows.start) * self.shape[1] * n_features)
        return _slices(0, h, max(LEAST_UNITS, task))

    def _empty(self, weighted: Array, columns: list[Pair]) -> Array:
        """Room for all rows, of the type of a product."""
        dtype = (weighted[:1, :1] * columns[0][0][:1, :1]).dtype
        return self.xp.empty((weighted.shape[0], *self.shape), dtype=dtype, device=self.device)

    def _product(self, W: Array, row: Array, column: Array) -> Array:
        """sum_j W_hj row_rj column_jc, shape (h, rows, columns): W joins the smaller factor."""
        if row.shape[0] < column.shape[1]:
            return (W[:, None, :] * row) @ column
        return row @ (W[:, :, None] * column)

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Sums of the parts of `_pull`, a task for each block of features and of rows."""
        K, b, A = features.wavenumbers, features.phases, features.amplitudes
        dz = self._to_rows(dz)
        blocks = self._feature_blocks(W.shape[1], W.shape[0])
        fixed = self._fixed_factors(K, blocks)
        sums: list[list[Array]] = [[0.0, 0.0] for _ in blocks]
        for group in self._row_groups(*W.shape):
            halves = self._split(dz[:, group, :])

            def pull(task: tuple[int, slice], group: slice = group, halves: Pair = halves) -> list[Array]:
                i, block = task
                js, (columns, steps) = blocks[i], fixed[i]
                rows = self._row_factors(block, K[js, :], b[js], steps)
                dP, dQ = (half[:, block.start - group.start : block.stop - group.start, :] for half in halves)
                if wavenumbers:
                    return self._pull(W[:, js], self.rows[block, :], rows, columns, (dP, dQ))
                return self._pull_frozen(W[:, js], rows, columns, (dP, dQ))

            tasks = list(product(range(len(blocks)), self._row_blocks(group, blocks[0])))
            for (i, _), part in zip(tasks, self._map(pull, tasks), strict=True):
                sums[i] = [total + more for total, more in zip(sums[i], part, strict=True)]
        dW, moments = (self.xp.concat(list(parts), axis=1) for parts in zip(*sums, strict=True))
        return FeatureGradient(
            weights=dW * A,
            wavenumbers=(-A * moments[1:, :]).T if wavenumbers else None,
            phases=-A * moments[0, :],
        )

    def _pull(self, W: Array, points: Array, rows: Pair, columns: Pair, halves: Pair) -> list[Array]:
        """dW / A of some features from some rows; and M, 1 + d moments of D sin(theta + phi) with D = W^T dz.

        dW needs a sum over rows and columns for every unit. In all other sums W mixes the units first, to
        D_P = W^T dP and D_Q = W^T dQ, one for each feature:

            M_0 = sum_r sin(theta) sum_s D_P cos(phi) + cos(theta) sum_s D_Q sin(phi),

        and M_1 .. M_d are the same with x = r + s as a factor. s turns even into odd: its share has s sin(phi) with D_P
        and s cos(phi) with D_Q.
        """
        xp = self.xp
        (cos, sin), (cos_phi, sin_phi), (dP, dQ) = rows, columns, halves
        dW = self._product_transpose(dP, cos, cos_phi) - self._product_transpose(dQ, sin, sin_phi)
        even = self._mixed_sums(W, dP, cos_phi, self.half * sin_phi)
        odd = self._mixed_sums(W, dQ, sin_phi, self.half * cos_phi)
        by_row = sin.T * even[:, :, 0] + cos.T * odd[:, :, 0]
        by_offset = xp.sum(sin.T * odd[:, :, 1] + cos.T * even[:, :, 1], axis=1)
        M = points.T @ by_row.T
        # The offsets lie along the last axis.
        return [dW, xp.concat([xp.sum(by_row, axis=1)[None, :], M[:-1, :], M[-1:, :] + by_offset[None, :]], axis=0)]

    def _pull_frozen(self, W: Array, rows: Pair, columns: Pair, halves: Pair) -> list[Array]:
        """dW / A and M_0 alone, which share sums over the columns: Y_c of dP cos(phi) and Y_s of dQ sin(phi)."""
        xp = self.xp
        row_factors = xp.stack([part.T for part in rows], axis=-1)
        Y_c, Y_s = (
            xp.permute_dims(column @ xp.matrix_transpose(half), (1, 0, 2)) @ row_factors
            for column, half in zip(columns, halves, strict=True)
        )
        return [(Y_c[:, :, 0] - Y_s[:, :, 1]).T, xp.sum(W.T * (Y_c[:, :, 1] + Y_s[:, :, 0]), axis=1)[None, :]]

    def _product_transpose(self, dz: Array, row: Array, column: Array) -> Array:
        """sum_rc row_rj dz_hrc column_jc, shape (h, features): rows first."""
        over_rows = self.xp.permute_dims(row.T @ dz, (1, 0, 2))
        return (over_rows @ column[:, :, None])[:, :, 0].T

    def _mixed_sums(self, W: Array, dz: Array, *columns: Array) -> Array:
        """sum_c column_jc sum_h W_hj dz_hrc for each of `columns`, shape (features, rows, columns): units first."""
        xp = self.xp
        mixed = W.T @ xp.permute_dims(dz, (1, 0, 2))
        return xp.permute_dims(mixed, (1, 0, 2)) @ xp.stack(columns, axis=-1)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """As forward, with theta_dot = k_dot.r + b_dot in the row factors and phi_dot = k_dot.s on the columns."""
        K, b, A = features.wavenumbers, features.phases, features.amplitudes
        weighted, weighted_dot = (W * A)[:, None, :], (W_dot * A)[:, None, :]
        blocks = self._feature_blocks(W.shape[1])
        fixed = self._fixed_factors(K, blocks)
        z_dot = self._empty(weighted[:, 0, :], [column for column, _ in fixed])

        def put(rs: slice) -> None:
            P: Array = 0.0
            Q: Array = 0.0
            P_s: Array = 0.0
            Q_s: Array = 0.0
            for js, ((cos_phi, sin_phi), steps) in zip(blocks, fixed, strict=True):
                cos, sin = self._row_factors(rs, K[js, :], b[js], steps)
                turn = b_dot[js] if K_dot is None else b_dot[js] + self.rows[rs, :] @ K_dot[js, :].T
                w, w_dot = weighted[:, :, js], weighted_dot[:, :, js]
                P += (w_dot * cos - w * (sin * turn)) @ cos_phi
                Q -= (w_dot * sin + w * (cos * turn)) @ sin_phi
                if K_dot is not None:
                    slope = w * K_dot[js, -1]
                    P_s -= (slope * sin) @ cos_phi
                    Q_s -= (slope * cos) @ sin_phi
            joined = self._join(P, Q)
            z_dot[:, rs, :] = joined if K_dot is None else joined + self._join(P_s, Q_s) * self.offsets

        self._map(put, self._row_blocks(slice(0, self.shape[0]), blocks[0]))
        return self._to_points(z_dot)


def _rows(others: Sequence[np.ndarray], last: np.ndarray) -> np.ndarray:
    """The tensor product of some axes as points, shape (n_rows, d)."""
    return np.stack([x.ravel() for x in np.meshgrid(*others, last, indexing="ij")], axis=-1)


def _divisor(n: int, most: int) -> int:
    """The largest divisor of n up to `most`."""
    return max(m for m in range(1, most + 1) if n % m == 0)


def _slices(start: int, stop: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]
