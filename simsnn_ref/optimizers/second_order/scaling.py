"""How a linear model u + J d is scaled before it is solved: columns by size, rows by wavenumber.

Columns. D holds natural sizes of the parameters, such that every column of J D has an RMS of about 1 whatever the
amplitudes and layers are (`natural_scales`).

Rows. A network answers a random change of its parameters mostly at low wavenumbers, and conjugate gradients solve for
what it answers strongest first: the spectral bias of training, met again inside the linear solver. On a grid
K = J D^2 J^T is nearly a convolution, so that its Fourier transform is nearly diagonal, and its diagonal

    m(k) = E |F J D v|^2(k),    v ~ N(0, I)

is the power spectrum of the network's response to random directions. With S = F^-1 m^(-1/2) F every wavenumber answers
alike (`SpectralWeights`). Weighting the rows moves the minimum of |S (J d + e)| unless it is zero: this serves where
there are as many parameters as points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsnn_ref.backend import EPS, Array, Backend
from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.second_order.jacobian import Jacobian

__all__ = ["NaturalScales", "SpectralWeights", "natural_scales"]

SMALLEST_EFFECT = 1e-3
"""Units whose effect is further below the largest of their layer are scaled as if it were this share of it."""

PROBES = 3
"""Random directions whose responses are averaged; shells of equal |k| average them further."""

SMALLEST_RESPONSE = 1e-6
"""Of m: a wavenumber that answers less is weighted as if it were this share of the strongest."""


@dataclass(frozen=True)
class NaturalScales:
    """Sizes by which parameters are measured, such that every column of J D has an RMS of about 1.

    Column (h, j) of a layer's weights is du/dz_h(x) h_j(x), so its RMS is about rms(du/dz_h) rms(h_j) and the scale is
    a product of a row's and a column's factor. A feature A_j cos(..) has RMS A_j / sqrt 2: W1's columns go by 1 / A_j.

    Attributes
    ----------
    rows : list of Array
        1 / rms(du/dz_l), shape (h_l,), for layer l = 1 .. L + 1: the scales of c_l.
    columns : list of Array
        1 / rms(h_{l-1}), shape (h_{l-1},): W_l is scaled by their outer product.
    first : dict of Array
        Scales of b and, where it trains, B: at most a phase of one radian, beyond which a cosine is not linear in it.
    """

    rows: list[Array]
    columns: list[Array]
    first: Parameters

    def by_name(self) -> Parameters:
        """One scale for each number that may train."""
        scales = dict(self.first)
        for layer, (row, column) in enumerate(zip(self.rows, self.columns, strict=True), start=1):
            scales[f"W{layer}"], scales[f"c{layer}"] = row[:, None] * column, row
        return scales


def natural_scales(jacobian: Jacobian) -> NaturalScales:
    """Natural scales of the parameters from the factors of J's columns."""
    objective, params = jacobian.objective, jacobian.params
    xp, network = objective.xp, objective.network
    n_points = objective.shard.n_total

    def sums(_: slice, hs: list[Array], slopes: list[Array]) -> tuple[list[Array], list[Array], Array]:
        """Over a block of points: D_l^2, l > 1; H_l^2; D_1 D_1^T."""
        D = slopes[0]
        return (
            [xp.sum(D * D, axis=(0, 2)) for D in slopes[1:]],
            [xp.sum(h * h, axis=(0, 2)) for h in hs],
            xp.sum(D @ xp.matrix_transpose(D), axis=0),
        )

    slope_parts, unit_parts, gram_parts = zip(*jacobian.map(sums), strict=True)
    slope_sums, unit_sums = ([sum(part) for part in zip(*parts, strict=True)] for parts in (slope_parts, unit_parts))
    gram, *totals = objective.shard.sum(sum(gram_parts), *slope_sums, *unit_sums)
    squares, units = [xp.linalg.diagonal(gram), *totals[: len(slope_sums)]], totals[len(slope_sums) :]
    rows = [_inverse(objective, xp.sqrt(square / n_points), SMALLEST_EFFECT) for square in squares]
    columns = [_inverse(objective, xp.sqrt(unit / n_points), SMALLEST_EFFECT) for unit in units]
    A = network.amplitudes
    if A is None:
        return NaturalScales(rows, [xp.ones_like(params["W1"][0, :]), *columns], {})
    # Of rms(sum_h W_hj du/dz_h): what a phase does to the output.
    W = params["W1"]
    slopes = A * xp.sqrt(xp.clip(xp.sum(W * (gram @ W), axis=0), min=0.0) / (2.0 * n_points))
    first = {"b": 1.0 / xp.clip(slopes, min=1.0)}
    if "B" not in network.frozen:
        n = params["B"].shape[0]
        paired = slopes[:n] + slopes[n:] if network.paired else slopes
        first["B"] = xp.ones_like(params["B"]) / (network.scale * xp.clip(paired, min=1.0))[:, None]
    features = _inverse(objective, A / math.sqrt(2.0), EPS)
    return NaturalScales(rows, [features, *columns], first)


def _inverse(objective: Objective, sizes: Array, least: float) -> Array:
    """1 / sizes, none counted below `least` of the largest; 0 where all are 0, so that nothing is moved in vain."""
    xp = objective.xp
    largest = float(xp.max(sizes))
    return 1.0 / xp.clip(sizes, min=least * largest) if largest > 0.0 else xp.zeros_like(sizes)


@dataclass(frozen=True)
class SpectralWeights:
    """S = F^-1 diag(s) F over a grid, s = m^(-1/2) with mean square 1 over the half spectrum kept: symmetric, positive.

    Parameters
    ----------
    backend : Backend
    shape : tuple of int
        Of the grid of points, C order.
    factors : Array, real, the shape of a real transform over `shape`
        s.
    """

    backend: Backend
    shape: tuple[int, ...]
    factors: Array

    @classmethod
    def measure(
        cls, push: Callable[[Array], Array], n_parameters: int, shape: tuple[int, ...], backend: Backend
    ) -> "SpectralWeights":
        """Estimate m from J D v for `PROBES` random v, averaged over shells of integer |k|.

        Parameters
        ----------
        push : callable
            v, shape (n_parameters,), to J D v, shape (n_points,).
        """
        axes = range(len(shape))
        rng = np.random.default_rng(0)
        power = 0.0
        for _ in range(PROBES):
            response = push(backend.asarray(rng.standard_normal(n_parameters)))
            spectrum = backend.to_numpy(backend.rfftn(backend.xp.reshape(response, shape), axes))
            power = power + np.abs(spectrum) ** 2
        indices = [np.fft.fftfreq(n, 1 / n) for n in shape[:-1]] + [np.arange(shape[-1] // 2 + 1)]
        shells = np.rint(np.sqrt(sum(np.square(m) for m in np.meshgrid(*indices, indexing="ij")))).astype(np.int64)
        counts, sums = np.bincount(shells.ravel()), np.bincount(shells.ravel(), np.ravel(power))
        mean = (sums / np.maximum(counts, 1))[shells]
        factors = np.clip(mean, SMALLEST_RESPONSE * np.max(mean), None) ** -0.5
        return cls(backend, shape, backend.asarray(factors / np.sqrt(np.mean(factors**2))))

    def __call__(self, e: Array) -> Array:
        """S e, shape (n_points,)."""
        xp, axes = self.backend.xp, range(len(self.shape))
        spectrum = self.backend.rfftn(xp.reshape(e, self.shape), axes)
        filtered = self.backend.irfftn(self.factors * spectrum, self.shape, axes)
        return xp.reshape(filtered, (-1,)) / e.shape[0]
