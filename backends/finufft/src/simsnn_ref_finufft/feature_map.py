"""Any wavenumbers, on grids and at scattered points, in the time of fast transforms.

With r_j = A_j exp(i (b_j + k_j.x_c)) and two hidden units packed in one complex number, w = W_1 + i W_2, the two real
fields are one transform over k_j and -k_j,

    z_1 + i z_2 = sum_j (w_j r_j / 2) exp(i k_j.(x - x_c)) + (w_j conj(r_j) / 2) exp(-i k_j.(x - x_c)),

and with F = dz_1 + i dz_2 and its sums P at k_j and M at -k_j, P_j = sum_x F exp(i k_j.(x - x_c)), the transpose is

    dW_1 + i dW_2 = (r P + conj(r) M) / 2,
    db            = -Im sum over pairs of conj(w) (r P - conj(r) M) / 2,
    dK_d          = the same with x_d F in place of F.

The packed transform has twice the points and half the fast Fourier transforms, which are what takes the time until
n_f exceeds the number of grid points. dK needs d further transforms a pair: W mixes the units differently for every
feature, so that the sum over units cannot be taken before the transform.
"""

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend, WholeShard
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import FeatureGradient, Features
from simsnn_ref.network.features.cost import NUFFT_ELEMENTS
from simsnn_ref.spectrum import Grid
from simsnn_ref_finufft.grid_transform import GridTransform
from simsnn_ref_finufft.lane import Lane, Transform
from simsnn_ref_finufft.point_transform import PointTransform

__all__ = ["NufftMap"]

BLOCK_ELEMENTS = 2**18
"""Complex numbers of as many fields as a thread takes at a time; of small ones the calls would take the time."""


class NufftMap:
    """Cosine features to within a tolerance; O(N^d log N + n_f) per pair of hidden units.

    Agrees with `simsnn_ref.network.DenseMap` to the tolerance relative to the norm of the result, besides rounding,
    eps |k|.|x| in either of them. A plan is made once, the wavenumbers are sorted anew when they change. Results do
    not depend on the number of threads.

    Parameters
    ----------
    where : Grid, or ndarray of float64, shape (n_points, d)
        A tensor grid, or any points in [-1, 1]^d.
    backend : NumpyBackend
    tolerance : float
        Of each transform, relative to the 2-norm.

    Raises
    ------
    ConfigError
        If the backend is not NumPy in float64, FINUFFT would not honour the tolerance, or the transform is too large.
    """

    name = "nufft"

    def __init__(self, where: Grid | Array, backend: Backend, tolerance: float) -> None:
        if not isinstance(backend, NumpyBackend) or backend.real_dtype is not np.float64:
            raise ConfigError(
                f"feature_map = 'nufft': FINUFFT computes on the host in float64, not on backend {backend.name!r};"
                " use another map"
            )
        self._transform: Transform[Any] = (
            GridTransform(where, tolerance) if isinstance(where, Grid) else PointTransform(where, tolerance)
        )
        self.grid_shape = where.shape if isinstance(where, Grid) else None
        self.n_points = int(np.prod(self._transform.shape))
        self.shard = WholeShard(self.n_points)
        self._backend = backend
        self._lanes: list[Lane[Any]] = []
        self._wavenumbers = np.empty((0, 0))
        self._points: Any = None
        self._n_fields = 0

    def forward(self, W: Array, features: Features) -> Array:
        """z_1 + i z_2 = T[w r / 2, w conj(r) / 2]."""
        half = 0.5 * self._rotation(features)
        z = np.empty((W.shape[0], self.n_points))

        def do(lane: Lane[Any], units: slice) -> None:
            w = _pack(W[units], lane.n_fields)
            _weigh(lane.coefficients[0], w, w, half)
            _unpack(lane.synthesize(1), z[units])

        self._each_block(do, features, W.shape[0])
        return z

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """One transform of dz for dW and db, and one of each x_d dz for dK, per pair of units."""
        half = 0.5 * self._rotation(features)
        moments = 1 + features.wavenumbers.shape[1] if wavenumbers else 1
        dW = np.empty(W.shape)
        # By pair, added at the end: the order of a sum must not depend on which thread is faster.
        turned = np.empty((moments, (W.shape[0] + 1) // 2, W.shape[1]))

        def do(lane: Lane[Any], units: slice) -> None:
            fields = _pack(dz[units], lane.n_fields).reshape(-1, *self._transform.shape)
            lane.analyze(fields, moments)
            w_conj = np.conj(_pack(W[units], lane.n_fields))
            pairs = turned[:, units.start // 2 : (units.stop + 1) // 2]
            for m in range(moments):
                at_opposite, at_k = lane.coefficients[m, :, 0], lane.coefficients[m, :, 1]
                at_k *= half
                at_opposite *= np.conj(half)
                pairs[m] = np.imag(w_conj * (at_k - at_opposite))[: pairs.shape[1]]
            _unpack(lane.coefficients[0, :, 0] + lane.coefficients[0, :, 1], dW[units])

        self._each_block(do, features, W.shape[0])
        db, *dK = -np.sum(turned, axis=1)
        return FeatureGradient(weights=dW, wavenumbers=np.stack(dK, axis=1) if wavenumbers else None, phases=db)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """z_dot = Re T[(W_dot + i W b_dot) r] + sum_d x_d Re T[i W K_dot_d r], two units packed."""
        half = 0.5 * self._rotation(features)
        columns = [] if K_dot is None else list(K_dot.T)
        z_dot = np.empty((W.shape[0], self.n_points))

        def do(lane: Lane[Any], units: slice) -> None:
            w, w_dot = _pack(W[units], lane.n_fields), _pack(W_dot[units], lane.n_fields)
            turn = 1j * b_dot * w
            _weigh(lane.coefficients[0], w_dot + turn, w_dot - turn, half)
            for m, column in enumerate(columns, start=1):
                turn = 1j * column * w
                _weigh(lane.coefficients[m], turn, -turn, half)
            _unpack(lane.synthesize(1 + len(columns)), z_dot[units])

        self._each_block(do, features, W.shape[0])
        return z_dot

    def _rotation(self, features: Features) -> np.ndarray:
        """r_j; NaN for wavenumbers that are not finite, which training that diverges may ask for."""
        theta = features.phases + features.wavenumbers @ self._transform.centre
        rotation: np.ndarray = features.amplitudes * (np.cos(theta) + 1j * np.sin(theta))
        return rotation

    def _each_block(self, work: Callable[[Lane[Any], slice], None], features: Features, h: int) -> None:
        """Call work(lane, units) for all h units, twice as many at a time as a lane has fields, a thread a lane."""
        K = features.wavenumbers
        if not np.array_equal(K, self._wavenumbers):
            self._wavenumbers = np.array(K)
            # FINUFFT has no answer to NaN; `_rotation` has.
            self._points = self._transform.points(np.where(np.isfinite(K), K, 0.0))
        size, pairs = self._transform.size(self._points), (h + 1) // 2
        n_lanes = max(1, min(self._backend.workers, NUFFT_ELEMENTS // size, pairs))
        n_fields = max(1, min(BLOCK_ELEMENTS // size, -(-pairs // n_lanes)))
        if (n_lanes, n_fields) != (len(self._lanes), self._n_fields):
            self._lanes, self._n_fields = [self._transform.lane(n_fields) for _ in range(n_lanes)], n_fields
        free: SimpleQueue[Lane[Any]] = SimpleQueue()
        for lane in self._lanes:
            free.put(lane)

        def run(first: int) -> None:
            lane = free.get()
            try:
                lane.set_points(self._points, K.shape[0])
                work(lane, slice(first, min(first + 2 * n_fields, h)))
            finally:
                free.put(lane)

        self._backend.map(run, range(0, h, 2 * n_fields))


def _pack(rows: Array, n_fields: int) -> np.ndarray:
    """rows[0] + i rows[1], rows[2] + i rows[3], ..; the last row of an odd number goes alone, what is missing is 0."""
    packed = np.zeros((n_fields, rows.shape[1]), dtype=np.complex128)
    for part, into in ((rows[0::2], packed.real), (rows[1::2], packed.imag)):
        into[: part.shape[0]] = part
    return packed


def _unpack(fields: np.ndarray, rows: Array) -> None:
    """Inverse of `_pack`."""
    flat = fields.reshape(fields.shape[0], -1)
    for into, part in ((rows[0::2], flat.real), (rows[1::2], flat.imag)):
        into[...] = part[: into.shape[0]]


def _weigh(coefficients: np.ndarray, plus: np.ndarray, minus: np.ndarray, half: np.ndarray) -> None:
    np.multiply(plus, half, out=coefficients[:, 0])
    np.multiply(minus, np.conj(half), out=coefficients[:, 1])
