"""Any wavenumbers, on grids and at scattered points, in the time of fast transforms.

With r_j = A_j exp(i (b_j + k_j.x_c)) and two hidden units packed in one complex number, w = W_1 + i W_2, the two real
fields are one transform over k_j and -k_j,

    z_1 + i z_2 = sum_j (w_j r_j / 2) exp(i k_j.(x - x_c)) + (w_j conj(r_j) / 2) exp(-i k_j.(x - x_c)),

and with F = dz_1 + i dz_2 and its sums P at k_j and M at -k_j, P_j = sum_x F exp(i k_j.(x - x_c)), the transpose is

    dW_1 + i dW_2 = (r P + conj(r) M) / 2,
    db            = -Im sum over pairs of conj(w) (r P - conj(r) M) / 2,
    dK_d          = the same with x_d F in place of F.

The packed transform has twice the points and half the fast Fourier transforms, which are what takes the time until
n_f exceeds the number of grid points. dK needs d transforms a pair beside the one: W mixes the units differently for
every feature, so that the sum over units cannot be taken before the transform.
"""

from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.features import FeatureGradient, Features
from simsnn_ref.grid import Grid
from simsnn_ref_finufft.transform import GridTransform, Lane, PointTransform

__all__ = ["NufftMap"]

FINE_ELEMENTS = 2**28
"""Complex numbers in the fine grids of all threads together (4 GiB); one thread may have more."""


class NufftMap:
    """Cosine features to within a tolerance; O(N^d log N + n_f) per pair of hidden units.

    Agrees with `simsnn_ref.features.DenseMap` to the tolerance relative to the norm of the result, besides rounding,
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
    transforms = (GridTransform, PointTransform)

    def __init__(self, where: Grid | Array, backend: Backend, tolerance: float) -> None:
        if not isinstance(backend, NumpyBackend) or backend.real_dtype is not np.float64:
            raise ConfigError(
                f"feature_map = 'nufft': FINUFFT computes on the host in float64, not on backend {backend.name!r};"
                " use another map"
            )
        on_grid, at_points = self.transforms
        self._transform = on_grid(where, tolerance) if isinstance(where, Grid) else at_points(where, tolerance)
        self.grid_shape = where.shape if isinstance(where, Grid) else None
        self.n_points = int(np.prod(self._transform.shape))
        self._backend = backend
        self._lanes: list[Lane] = []
        self._wavenumbers = np.empty((0, 0))
        self._points: tuple[np.ndarray | None, ...] = ()
        self._most_lanes = 0

    def forward(self, W: Array, features: Features) -> Array:
        """z_1 + i z_2 = T[w r / 2, w conj(r) / 2]."""
        half = 0.5 * self._rotation(features)
        z = np.empty((W.shape[0], self.n_points))

        def pair(lane: Lane, first: int) -> None:
            w = _pack(W, first)
            _weigh(lane, w, w, half)
            lane.synthesize(lane.field)
            _unpack(lane.field.reshape(-1), z, first)

        self._each_pair(pair, features, W.shape[0])
        return z

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """One transform of dz for dW and db, and one of each x_d dz for dK, per pair of units."""
        half = 0.5 * self._rotation(features)
        coordinates = self._transform.coordinates if wavenumbers else []
        dW = np.empty(W.shape)
        # By pair, added at the end: the order of a sum must not depend on which thread is faster.
        turned = np.empty((1 + len(coordinates), (W.shape[0] + 1) // 2, W.shape[1]))

        def pair(lane: Lane, first: int) -> None:
            w_conj = np.conj(_pack(W, first))
            parts = [row.reshape(self._transform.shape) for row in dz[first : first + 2]]
            # The second part of an odd number's last pair.
            lane.field.imag[...] = 0.0
            for which, x in enumerate([None, *coordinates]):
                for part, into in zip(parts, (lane.field.real, lane.field.imag), strict=False):
                    np.multiply(part, 1.0 if x is None else x, out=into)
                lane.analyze(lane.field)
                at_opposite, at_k = lane.coefficients
                at_k *= half
                at_opposite *= np.conj(half)
                if x is None:
                    _unpack(at_k + at_opposite, dW, first)
                turned[which, first // 2] = np.imag(w_conj * (at_k - at_opposite))

        self._each_pair(pair, features, W.shape[0])
        db, *dK = -np.sum(turned, axis=1)
        return FeatureGradient(weights=dW, wavenumbers=np.stack(dK, axis=1) if wavenumbers else None, phases=db)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """z_dot = Re T[(W_dot + i W b_dot) r] + sum_d x_d Re T[i W K_dot_d r], two units packed."""
        half = 0.5 * self._rotation(features)
        z_dot = np.empty((W.shape[0], self.n_points))

        def pair(lane: Lane, first: int) -> None:
            w, w_dot = _pack(W, first), _pack(W_dot, first)
            turn = 1j * b_dot * w
            _weigh(lane, w_dot + turn, w_dot - turn, half)
            lane.synthesize(lane.field)
            if K_dot is not None:
                for axis, x in enumerate(self._transform.coordinates):
                    turn = 1j * K_dot[:, axis] * w
                    _weigh(lane, turn, -turn, half)
                    lane.synthesize(lane.other)
                    lane.other *= x
                    lane.field += lane.other
            _unpack(lane.field.reshape(-1), z_dot, first)

        self._each_pair(pair, features, W.shape[0])
        return z_dot

    def _rotation(self, features: Features) -> np.ndarray:
        """r_j; NaN for wavenumbers that are not finite, which training that diverges may ask for."""
        theta = features.phases + features.wavenumbers @ self._transform.centre
        rotation: np.ndarray = features.amplitudes * (np.cos(theta) + 1j * np.sin(theta))
        return rotation

    def _each_pair(self, work: Callable[[Lane, int], None], features: Features, h: int) -> None:
        """Call work(lane, first) for first = 0, 2, .. below h, on as many threads as there are lanes."""
        K = features.wavenumbers
        if not np.array_equal(K, self._wavenumbers):
            self._wavenumbers = np.array(K)
            # FINUFFT has no answer to NaN; `_rotation` has.
            K = np.where(np.isfinite(K), K, 0.0)
            self._points = self._transform.points(K)
            self._most_lanes = max(1, min(self._backend.workers, FINE_ELEMENTS // self._transform.fine_size(K)))
        pairs = range(0, h, 2)
        n_lanes = min(self._most_lanes, len(pairs))
        while len(self._lanes) < n_lanes:
            self._lanes.append(self._transform.lane())
        free: SimpleQueue[Lane] = SimpleQueue()
        for lane in self._lanes[:n_lanes]:
            free.put(lane)

        def run(first: int) -> None:
            lane = free.get()
            try:
                lane.set_points(self._points, K.shape[0])
                work(lane, first)
            finally:
                free.put(lane)

        self._backend.map(run, pairs)


def _pack(rows: Array, first: int) -> np.ndarray:
    """rows[first] + i rows[first + 1]; the last row of an odd number goes alone."""
    packed = np.zeros(rows.shape[1], dtype=np.complex128)
    packed.real = rows[first]
    if first + 1 < rows.shape[0]:
        packed.imag = rows[first + 1]
    return packed


def _unpack(packed: np.ndarray, rows: np.ndarray, first: int) -> None:
    rows[first] = packed.real
    if first + 1 < rows.shape[0]:
        rows[first + 1] = packed.imag


def _weigh(lane: Lane, plus: np.ndarray, minus: np.ndarray, half: np.ndarray) -> None:
    np.multiply(plus, half, out=lane.coefficients[0])
    np.multiply(minus, np.conj(half), out=lane.coefficients[1])
