"""The first layers of the paper by name, and Xavier weights behind them.

==========  ===============================================  =============================  ==================
name        gamma(x)                                         initial B, b, A                B trains by default
==========  ===============================================  =============================  ==================
si          A cos(B x + b), Algorithm 1                      largest modes of the target    no (the fft map)
msnn        cos(kappa B x + b), section 4.1                  B ~ N(0, Var), b = 0           yes
rff         cos(2 pi B x + b), eq. 4                         B ~ N(0, sigma^2), b ~ U       never, nor b
ffm         [A cos(2 pi B x), A sin(2 pi B x)], eq. 5        B ~ N(0, sigma^2), A = 1       no
cos         A cos(2 pi B x + b), eq. 6                       B ~ N(0, sigma^2), b = 0       yes
none        x                                                                               (there is no B)
fourier     sum_j A_j cos(B_j x + b_j), eq. 10, no tanh      largest modes of the target    nothing trains
==========  ===============================================  =============================  ==================

The default is that of `initialize`; a fit in mode paper trains B in all layers that allow it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.network import Network, Parameters
from simsnn_ref.spectrum import (
    Grid,
    Modes,
    Period,
    ScatteredModes,
    count_modes,
    dominant_of,
    fourier_modes,
    require_modes,
)

__all__ = [
    "FIRST_LAYERS",
    "MODES_OF_THE_TARGET",
    "TRAINABLE_WAVENUMBERS",
    "constant_network",
    "initialize",
    "require_first_layer",
    "scale_factor",
    "xavier",
]


def xavier(rng: np.random.Generator, n_out: int, n_in: int) -> np.ndarray:
    """Glorot & Bengio's normal weights, N(0, 2 / (n_in + n_out)), shape (n_out, n_in)."""
    return rng.normal(0.0, math.sqrt(2.0 / (n_in + n_out)), (n_out, n_in))


def scale_factor(f_d: float, variance: float) -> float:
    """Kappa = pi f_d / sqrt(Var) (Wang & Lai 2024): the wavenumbers kappa w, w ~ N(0, Var), get deviation pi f_d.

    Parameters
    ----------
    f_d : float
        Dominant frequency in cycles over [-1, 1] (`simsnn_ref.spectrum.dominant_frequency`); sin(pi f_d x) has f_d.
    variance : float
        Of the first-layer weights.
    """
    return math.pi * f_d / math.sqrt(variance)


@dataclass(frozen=True)
class _Request:
    """What a first layer is made from."""

    target: Array
    grid: Grid | ScatteredModes
    n_features: int
    sigma: float
    rng: np.random.Generator
    backend: Backend

    def modes(self, n: int) -> Modes:
        """The `n` largest of the target."""
        if isinstance(self.grid, Grid):
            return fourier_modes(self.target, self.grid, self.backend.processes.distributed(self.backend), n)
        return self.grid.fit(self.backend.to_numpy(self.target), self.backend, n).modes.largest(n)

    def dominant_frequency(self) -> float:
        total = count_modes(self.grid) if isinstance(self.grid, Grid) else self.grid.count()
        return dominant_of(self.modes(min(2, total)), self.backend)

    def gaussian(self, n: int, sigma: float) -> Array:
        return self.backend.asarray(self.rng.normal(0.0, sigma, (n, self.grid.ndim)))


@dataclass(frozen=True)
class _FirstLayer:
    """Initial values of the first layer and its constants."""

    amplitudes: Array
    B: Array
    b: Array
    scale: float = 1.0
    paired: bool = False
    frozen: frozenset[str] = frozenset()
    indices: np.ndarray | None = None
    period: Period | None = None


def _from_modes(modes: Modes) -> _FirstLayer:
    return _FirstLayer(
        modes.amplitudes,
        modes.wavenumbers,
        modes.phases,
        frozen=frozenset("B"),
        indices=modes.indices,
        period=modes.period,
    )


def _si(request: _Request) -> _FirstLayer:
    """Algorithm 1: the n_f largest modes of the target's DFT."""
    return _from_modes(request.modes(request.n_features))


def _fourier(request: _Request) -> _FirstLayer:
    """Eq. 10 truncated to n_f modes; nothing is left to train."""
    return replace(_si(request), frozen=frozenset({"B", "b", "W1", "c1"}))


def _msnn(request: _Request) -> _FirstLayer:
    """Section 4.1: w ~ N(0, Var) of Xavier, kappa from the target's dominant frequency."""
    n, d = request.n_features, request.grid.ndim
    variance = 2.0 / (d + n)
    f_d = request.dominant_frequency()
    return _FirstLayer(
        amplitudes=request.backend.asarray(np.ones(n)),
        B=request.gaussian(n, math.sqrt(variance)),
        b=request.backend.asarray(np.zeros(n)),
        scale=scale_factor(f_d, variance),
    )


def _rff(request: _Request) -> _FirstLayer:
    """Eq. 4: fixed random wavenumbers and phases."""
    n = request.n_features
    return _FirstLayer(
        amplitudes=request.backend.asarray(np.ones(n)),
        B=request.gaussian(n, request.sigma),
        b=request.backend.asarray(request.rng.uniform(0.0, 2.0 * np.pi, n)),
        scale=2.0 * math.pi,
        frozen=frozenset({"B", "b"}),
    )


def _ffm(request: _Request) -> _FirstLayer:
    """Eq. 5: a cosine and a sine, cos(. - pi/2), for each wavenumber; the phases are part of the definition."""
    n = request.n_features
    return _FirstLayer(
        amplitudes=request.backend.asarray(np.ones(n)),
        B=request.gaussian(n // 2, request.sigma),
        b=request.backend.asarray(np.repeat([0.0, -0.5 * np.pi], n // 2)),
        scale=2.0 * math.pi,
        paired=True,
        frozen=frozenset({"B", "b"}),
    )


def _cos(request: _Request) -> _FirstLayer:
    """Eq. 6: random wavenumbers, zero phases, both trainable."""
    n = request.n_features
    return _FirstLayer(
        amplitudes=request.backend.asarray(np.ones(n)),
        B=request.gaussian(n, request.sigma),
        b=request.backend.asarray(np.zeros(n)),
        scale=2.0 * math.pi,
    )


_COSINE_LAYERS: dict[str, Callable[[_Request], _FirstLayer]] = {
    "si": _si,
    "msnn": _msnn,
    "rff": _rff,
    "ffm": _ffm,
    "cos": _cos,
    "fourier": _fourier,
}

FIRST_LAYERS = (*_COSINE_LAYERS, "none")
"""Names that `initialize` accepts."""

MODES_OF_THE_TARGET = ("si", "fourier")
"""First layers that are read off the target's spectrum."""

TRAINABLE_WAVENUMBERS = ("si", "msnn", "ffm", "cos")
"""First layers whose B may train; that of rff is fixed by definition, in fourier nothing trains, and none has no B."""


def require_first_layer(
    first_layer: str,
    grid: Grid | ScatteredModes,
    *,
    n_features: int | None,
    hidden: Sequence[int],
    train_wavenumbers: bool | None,
) -> None:
    """Raise ConfigError where `initialize` could not make such a network.

    Parameters
    ----------
    n_features : int or None
        None where it will be read off the spectrum.
    """
    if first_layer not in FIRST_LAYERS:
        raise ConfigError(f"first_layer = {first_layer!r}: choose one of {', '.join(FIRST_LAYERS)}")
    if first_layer == "none":
        if train_wavenumbers:
            raise ConfigError("train_wavenumbers: first_layer 'none' has no wavenumbers")
        if not hidden:
            raise ConfigError("hidden: first_layer 'none' needs at least one tanh layer")
        return
    if train_wavenumbers and first_layer not in TRAINABLE_WAVENUMBERS:
        raise ConfigError(f"train_wavenumbers: first_layer {first_layer!r} has fixed wavenumbers by definition")
    if n_features is None:
        return
    if first_layer in MODES_OF_THE_TARGET:
        if isinstance(grid, Grid):
            require_modes(grid, n_features)
        else:
            grid.require(n_features)
    elif n_features < 1:
        raise ConfigError(f"n_features = {n_features}: a random first layer needs at least one feature")
    if first_layer == "ffm" and n_features % 2:
        raise ConfigError(
            f"n_features = {n_features}: first_layer 'ffm' pairs cosines with sines and needs an even number"
        )


def initialize(
    first_layer: str,
    target: Array,
    grid: Grid | ScatteredModes,
    *,
    n_features: int,
    hidden: Sequence[int],
    rng: np.random.Generator,
    backend: Backend,
    sigma: float = 1.0,
    train_wavenumbers: bool | None = None,
    z1_rms: float = 0.0,
    output_gain: float = 1.0,
) -> tuple[Network, Parameters]:
    """Build one stage's network and its initial parameters.

    The first layer is drawn first, then W1, W2, ... by Xavier's rule; c1, c2, ... are zero.

    Parameters
    ----------
    first_layer : str
        One of `FIRST_LAYERS`; see the module's table.
    target : Array of float64, shape grid.shape, or (n,) at scattered points
        What the stage is to fit; Algorithm 1 and kappa are computed from it.
    grid : Grid or ScatteredModes
        The training grid, or the least squares at scattered points.
    n_features : int
        n_f; not used by ``none``.
    hidden : sequence of int
        Widths of the tanh layers; ``fourier`` has none whatever is given.
    rng : numpy.random.Generator
        On the host, so that every backend starts from the same numbers.
    sigma : float
        Standard deviation of B for rff, ffm and cos, in cycles per unit of x in [-1, 1].
    train_wavenumbers : bool, optional
        Whether B trains; the module's table gives the default.
    z1_rms : float
        W1 is scaled so that z_1 has this RMS; 0 leaves Xavier's rule, which makes z_1 small where the amplitudes
        decay, and the network nearly linear. Not used by ``none`` and ``fourier``.
    output_gain : float
        Factor on W_{L+1}. A network that starts far larger than its target gets there by small changes of its
        parameters, so that it stays nearly linear in them on the way (lazy training; Chizat, Oyallon & Bach 2019), and
        its range covers the target's peaks. Not used by ``fourier``.

    Raises
    ------
    ConfigError
        For an unknown name, more modes than exist, or wavenumbers that cannot train.
    """
    hidden = () if first_layer == "fourier" else tuple(hidden)
    require_first_layer(first_layer, grid, n_features=n_features, hidden=hidden, train_wavenumbers=train_wavenumbers)
    if first_layer == "none":
        network = Network(backend, first_layer, hidden, amplitudes=None)
        return network, _xavier_layers(hidden, grid.ndim, rng, backend, output_gain)
    layer = _COSINE_LAYERS[first_layer](_Request(target, grid, n_features, sigma, rng, backend))

    frozen = layer.frozen
    if train_wavenumbers is not None:
        frozen = frozen - {"B"} if train_wavenumbers else frozen | {"B"}
    network = Network(
        backend=backend,
        first_layer=first_layer,
        hidden=hidden,
        amplitudes=layer.amplitudes,
        scale=layer.scale,
        paired=layer.paired,
        frozen=frozen,
        indices=layer.indices if "B" in frozen else None,
        period=layer.period if "B" in frozen else None,
    )
    params: Parameters = {"B": layer.B, "b": layer.b}
    if first_layer == "fourier":
        params["W1"] = backend.asarray(np.ones((1, n_features)))
        params["c1"] = backend.asarray(np.zeros(1))
        return network, params
    params |= _xavier_layers(hidden, n_features, rng, backend, output_gain)
    if z1_rms > 0.0:
        # A cosine has mean square A^2 / 2, and two are orthogonal.
        square = float(backend.xp.sum((params["W1"] * layer.amplitudes) ** 2)) / (2.0 * params["W1"].shape[0])
        params["W1"] = params["W1"] * (z1_rms / math.sqrt(square))
    return network, params


def constant_network(value_sign: float, ndim: int, backend: Backend) -> tuple[Network, Parameters]:
    """The Fourier series of a constant +1 or -1, with a single mode k = 0: exact, nothing to train."""
    network = Network(
        backend=backend,
        first_layer="fourier",
        hidden=(),
        amplitudes=backend.asarray(np.ones(1)),
        frozen=frozenset({"B", "b", "W1", "c1"}),
        indices=np.zeros((1, ndim), dtype=np.int64),
        period=(Fraction(1),) * ndim,
    )
    params = {"B": np.zeros((1, ndim)), "b": np.zeros(1), "W1": np.full((1, 1), value_sign), "c1": np.zeros(1)}
    return network, {name: backend.asarray(value) for name, value in params.items()}


def _xavier_layers(
    hidden: Sequence[int], n_in: int, rng: np.random.Generator, backend: Backend, gain: float
) -> Parameters:
    """W1, c1, ..., W{L+1}, c{L+1} for widths n_in, hidden, 1; W{L+1} times `gain`."""
    widths = [n_in, *hidden, 1]
    params: Parameters = {}
    for layer in range(1, len(widths)):
        n_out = widths[layer]
        factor = gain if layer == len(widths) - 1 else 1.0
        params[f"W{layer}"] = backend.asarray(factor * xavier(rng, n_out, widths[layer - 1]))
        params[f"c{layer}"] = backend.asarray(np.zeros(n_out))
    return params
