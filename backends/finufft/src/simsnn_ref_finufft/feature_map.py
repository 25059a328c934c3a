"""Features of any wavenumbers, on grids and at scattered points, by nonuniform fast Fourier transforms.

With r_j = A_j exp(i (b_j + k_j.x_c)) and two hidden units packed in one complex number, w = W_1 + i W_2, the two real
fields are one transform over k_j and -k_j (docs/derivations/nufft.md),

    z_1 + i z_2 = sum_j (w_j r_j / 2) exp(i k_j.(x - x_c)) + (w_j conj(r_j) / 2) exp(-i k_j.(x - x_c)),

and with F = dz_1 + i dz_2 and its sums P at k_j and M at -k_j, P_j = sum_x F exp(i k_j.(x - x_c)), the transpose is

    dW_1 + i dW_2 = (r P + conj(r) M) / 2,
    db            = -Im sum over pairs of conj(w) (r P - conj(r) M) / 2,
    dK_d          = the same with x_d F in place of F.

The packed transform has twice as many wavenumbers and half as many fast Fourier transforms, which take most of the time
unless n_f exceeds the number of grid points. dK needs d further transforms a pair: W mixes the units differently for
every feature, so that the sum over the units cannot be taken before the transform.
"""

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend, WholeShard
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import NUFFT_ELEMENTS, FeatureGradient, Features
from simsnn_ref.spectrum import Grid
from simsnn_ref_finufft.grid_transform import GridTransform
from simsnn_ref_finufft.point_transform import PointTransform
from simsnn_ref_finufft.workspace import Transform, Workspace

__all__ = ["NufftMap"]

BLOCK_ELEMENTS = 2**18
"""Complex numbers of the fields that a thread transforms at a time: of small fields the call takes longer than the
transform, so that it is to do several."""


class NufftMap:
    """The feature map of any wavenumbers to within a tolerance, in O(N^d log N + n_f) per pair of hidden units.

    See `simsnn_ref.network.FeatureMap`. Results agree with those of `simsnn_ref.network.DenseMap` to the tolerance,
    relative to their norm, and to the rounding of phases, eps |k|.|x| in either map. A plan is made once; wavenumbers
    are sorted anew when they change. Results do not depend on the number of threads.

    Parameters
    ----------
    where : Grid, or ndarray of float64, shape (n_points, d)
        A tensor grid, or any points in [-1, 1]^d.
    backend : NumpyBackend
        Its `map` has the threads.
    tolerance : float
        Error of each transform in the 2-norm, relative to its result.

    Raises
    ------
    ConfigError
        If the backend is not NumPy in float64, FINUFFT does not reach the tolerance, or a transform is too large.
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
        self._workspaces: list[Workspace[Any]] = []
        self._wavenumbers = np.empty((0, 0))
        self._points: Any = None
        self._n_fields = 0

    def forward(self, W: Array, features: Features) -> Array:
        """Return z from z_1 + i z_2 = T[w r / 2, w conj(r) / 2], T the synthesis of `Workspace`."""
        half = 0.5 * self._rotation(features)
        z = np.empty((W.shape[0], self.n_points))

        def do(workspace: Workspace[Any], units: slice) -> None:
            w = _pack(W[units], workspace.n_fields)
            _weigh(workspace.coefficients[0], w, w, half)
            _unpack(workspace.synthesize(1), z[units])

        self._each_block(do, features, W.shape[0])
        return z

    def vjp(self, W: Array, features: Features, dz: Array, *, wavenumbers: bool = True) -> FeatureGradient:
        """Return the gradient: per pair of units one transform of dz for dW and db, and one of each x_d dz for dK."""
        half = 0.5 * self._rotation(features)
        moments = 1 + features.wavenumbers.shape[1] if wavenumbers else 1
        dW = np.empty(W.shape)
        # Terms of each pair, added at the end: the order of a sum must not depend on which thread is faster.
        terms = np.empty((moments, (W.shape[0] + 1) // 2, W.shape[1]))

        def do(workspace: Workspace[Any], units: slice) -> None:
            fields = _pack(dz[units], workspace.n_fields).reshape(-1, *self._transform.shape)
            workspace.analyze(fields, moments)
            w_conj = np.conj(_pack(W[units], workspace.n_fields))
            pairs = terms[:, units.start // 2 : (units.stop + 1) // 2]
            for m in range(moments):
                at_opposite, at_k = workspace.coefficients[m, :, 0], workspace.coefficients[m, :, 1]
                at_k *= half
                at_opposite *= np.conj(half)
                pairs[m] = np.imag(w_conj * (at_k - at_opposite))[: pairs.shape[1]]
            _unpack(workspace.coefficients[0, :, 0] + workspace.coefficients[0, :, 1], dW[units])

        self._each_block(do, features, W.shape[0])
        db, *dK = -np.sum(terms, axis=1)
        return FeatureGradient(weights=dW, wavenumbers=np.stack(dK, axis=1) if wavenumbers else None, phases=db)

    def jvp(self, W: Array, features: Features, W_dot: Array, K_dot: Array | None, b_dot: Array) -> Array:
        """Return z_dot = Re T[(W_dot + i W b_dot) r] + sum_d x_d Re T[i W K_dot_d r], two units packed."""
        half = 0.5 * self._rotation(features)
        columns = [] if K_dot is None else list(K_dot.T)
        z_dot = np.empty((W.shape[0], self.n_points))

        def do(workspace: Workspace[Any], units: slice) -> None:
            w, w_dot = _pack(W[units], workspace.n_fields), _pack(W_dot[units], workspace.n_fields)
            turn = 1j * b_dot * w
            _weigh(workspace.coefficients[0], w_dot + turn, w_dot - turn, half)
            for m, column in enumerate(columns, start=1):
                turn = 1j * column * w
                _weigh(workspace.coefficients[m], turn, -turn, half)
            _unpack(workspace.synthesize(1 + len(columns)), z_dot[units])

        self._each_block(do, features, W.shape[0])
        return z_dot

    def _rotation(self, features: Features) -> np.ndarray:
        """Return r_j; NaN for wavenumbers that are not finite, as training that diverges has them."""
        theta = features.phases + features.wavenumbers @ self._transform.centre
        rotation: np.ndarray = features.amplitudes * (np.cos(theta) + 1j * np.sin(theta))
        return rotation

    def _each_block(self, work: Callable[[Workspace[Any], slice], None], features: Features, h: int) -> None:
        """Call work(workspace, units) for all h units, in blocks of two units for each field of a workspace.

        Blocks go to as many threads as there are workspaces.
        """
        K = features.wavenumbers
        if not np.array_equal(K, self._wavenumbers):
            self._wavenumbers = np.array(K)
            # FINUFFT does not take NaN; `_rotation` has made the results NaN already.
            self._points = self._transform.points(np.where(np.isfinite(K), K, 0.0))
        size, pairs = self._transform.size(self._points), (h + 1) // 2
        n_workspaces = max(1, min(self._backend.workers, NUFFT_ELEMENTS // size, pairs))
        most = max(1, min(BLOCK_ELEMENTS // size, -(-pairs // n_workspaces)))
        # Blocks of equal size: a field without units takes as long as any other.
        n_fields = -(-pairs // -(-pairs // most))
        if (n_workspaces, n_fields) != (len(self._workspaces), self._n_fields):
            self._workspaces = [self._transform.workspace(n_fields) for _ in range(n_workspaces)]
            self._n_fields = n_fields
        free: SimpleQueue[Workspace[Any]] = SimpleQueue()
        for workspace in self._workspaces:
            free.put(workspace)

        def run(first: int) -> None:
            workspace = free.get()
            try:
                workspace.set_points(self._points, K.shape[0])
                work(workspace, slice(first, min(first + 2 * n_fields, h)))
            finally:
                free.put(workspace)

        self._backend.map(run, range(0, h, 2 * n_fields))


def _pack(rows: Array, n_fields: int) -> np.ndarray:
    """Return rows[0] + i rows[1], rows[2] + i rows[3], .. in `n_fields` rows, with zeros where there are no more."""
    packed = np.zeros((n_fields, rows.shape[1]), dtype=np.complex128)
    for part, into in ((rows[0::2], packed.real), (rows[1::2], packed.imag)):
        into[: part.shape[0]] = part
    return packed


def _unpack(fields: np.ndarray, rows: Array) -> None:
    """Write the real and imaginary parts of the fields to the rows: the inverse of `_pack`."""
    flat = fields.reshape(fields.shape[0], -1)
    for into, part in ((rows[0::2], flat.real), (rows[1::2], flat.imag)):
        into[...] = part[: into.shape[0]]


def _weigh(coefficients: np.ndarray, plus: np.ndarray, minus: np.ndarray, half: np.ndarray) -> None:
    """Write c+ = plus r / 2 and c- = minus conj(r) / 2, with half = r / 2."""
    np.multiply(plus, half, out=coefficients[:, 0])
    np.multiply(minus, np.conj(half), out=coefficients[:, 1])
