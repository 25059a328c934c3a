"""Which networks the reference cases are, and what is given of each."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import ExtendedBackend, Network, evaluate_network, initialize
from simsnn_ref.spectrum import Grid

__all__ = ["SETS", "Case", "Tensors", "build"]

Tensors = dict[str, np.ndarray]

DECIMALS = 12
"""Of the numbers given: few enough that another BLAS or processor gives the same ones."""


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes
    ----------
    first_layer : str
    shape : tuple of int
        Of the grid that the points are, or as many at random.
    n_features : int
    hidden : tuple of int
        Widths of the tanh layers; none for ``fourier``.
    p : float
    size : float
        Of u and the target: 1e-12 in the fourth stage of a fit to rounding.
    points : str
        ``periodic`` without the endpoints, ``ends`` with them, or ``scattered``.
    frozen : tuple of str
        Parameters that do not train.
    """

    first_layer: str
    shape: tuple[int, ...]
    n_features: int
    hidden: tuple[int, ...]
    p: float
    size: float = 1.0
    points: str = "periodic"
    frozen: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its file."""
        shape, hidden = ("x".join(map(str, numbers)) or "0" for numbers in (self.shape, self.hidden))
        more = [self.points] if self.points != "periodic" else []
        more += [f"frozen{''.join(self.frozen)}"] if self.frozen else []
        return "-".join(
            [self.first_layer, shape, f"f{self.n_features}", f"h{hidden}", f"p{self.p:g}", f"s{self.size:.0e}", *more]
        )


SETS = {
    "small": (
        Case("si", (6, 5), 6, (4, 3), 10.0),
        Case("si", (8,), 3, (5,), 2.0, 1e-12),
        Case("msnn", (5, 4), 4, (3, 3, 3), 4.0),
        Case("ffm", (3, 3, 2), 4, (4,), 2.0),
        Case("none", (4, 4), 0, (4, 3), 10.0),
        Case("fourier", (9,), 4, (), 2.5),
        Case("rff", (10,), 3, (4,), 3.5, points="ends"),
        Case("cos", (5, 4), 4, (3, 2), 3.0, points="scattered"),
        Case("ffm", (4, 4), 4, (3, 2, 3, 2), 5.0, points="ends", frozen=("B",)),
        Case("none", (3, 2, 3), 0, (3, 2), 7.0, 1e-12, points="scattered"),
    ),
    "large": tuple(
        Case(first_layer, shape, 0 if first_layer == "none" else 6, hidden, p, size, points)
        for first_layer, shape, hidden, (p, points), size in product(
            ("si", "msnn", "rff", "ffm", "cos", "none"),
            ((16,), (6, 5), (4, 3, 3)),
            ((5,), (4, 3), (3, 2, 3, 2)),
            ((2.0, "periodic"), (10.0, "ends"), (3.5, "scattered")),
            (1.0, 1e-12),
        )
    ),
}
"""By name; the small one is committed with the tests."""


def build(case: Case) -> tuple[Network, Tensors, Tensors]:
    """Network, parameters and what else is given, all of float64."""
    host, grid = NumpyBackend(), Grid(case.shape, periodic=(case.points != "ends",) * len(case.shape))
    rng = np.random.default_rng([len(case.shape), len(case.hidden), int(case.p)])
    field = sum(np.sin(np.pi * x + i) for i, x in enumerate(np.meshgrid(*grid.scaled_axes(), indexing="ij")))
    field = field + 0.3 * rng.standard_normal(grid.shape)
    network, params = initialize(
        case.first_layer,
        field,
        grid,
        n_features=case.n_features,
        hidden=case.hidden,
        rng=rng,
        backend=host,
        sigma=0.4,
    )
    params = {name: _short(value + 0.3 * rng.standard_normal(value.shape)) for name, value in params.items()}
    last = len(case.hidden) + 1
    for name in (f"W{last}", f"c{last}"):
        params[name] = case.size * params[name]
    amplitudes = None if network.amplitudes is None else _short(network.amplitudes)
    network = replace(network, amplitudes=amplitudes, scale=float(network.scale), frozen=frozenset(case.frozen))
    points = grid.scaled_points()
    if case.points == "scattered":
        points = _short(rng.uniform(-1.0, 1.0, points.shape))
    u = np.asarray(_exactly(network, params, points) / case.size, dtype=np.float64)
    # One sign and three decades: sums over the points do not cancel, so that relative errors mean something.
    target = u - 10.0 * _short(np.max(np.abs(u))) * 10.0 ** rng.uniform(-3.0, 0.0, u.size)
    given = {"points": points, "target": case.size * _short(target), "w": _short(rng.standard_normal(u.size))}
    if amplitudes is not None:
        given["amplitudes"] = amplitudes
    given |= {f"v.{name}": _short(rng.standard_normal(params[name].shape)) for name in network.trainable(params)}
    return network, params, given


def _short(x: np.ndarray) -> np.ndarray:
    return np.round(x, DECIMALS)


def _exactly(network: Network, params: Tensors, points: np.ndarray) -> np.ndarray:
    wide = ExtendedBackend()
    u: np.ndarray = evaluate_network(
        replace(network, backend=wide, amplitudes=_wide(network.amplitudes)),
        {name: wide.asarray(value) for name, value in params.items()},
        wide.asarray(points),
    )
    return u


def _wide(x: np.ndarray | None) -> np.ndarray | None:
    return None if x is None else x.astype(np.longdouble)
