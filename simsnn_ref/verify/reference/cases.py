"""Which networks the reference cases are, and what is given of each."""

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from simsnn_ref.spectrum import Grid

__all__ = ["SETS", "Case", "Tensors", "draw", "uniform"]

Tensors = dict[str, np.ndarray]

SCALES = {"si": 1.0, "fourier": 1.0, "none": 1.0, "msnn": 5.5}
"""K = scale B; the others have 2 pi."""


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

    @property
    def scale(self) -> float:
        """K = scale B."""
        return SCALES.get(self.first_layer, math.tau)

    @property
    def paired(self) -> bool:
        """Whether K = scale [B, B]."""
        return self.first_layer == "ffm"

    @property
    def grid(self) -> Grid:
        """Of the points, if they are not scattered."""
        return Grid(self.shape, periodic=(self.points != "ends",) * len(self.shape))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, by name."""
        d, n = len(self.shape), self.n_features
        first = {"B": (n // 2 if self.paired else n, d), "b": (n,)} if n else {}
        layers = enumerate(pairwise([n or d, *self.hidden, 1]), start=1)
        return first | {
            name: shape
            for i, (n_in, n_out) in layers
            for name, shape in ((f"W{i}", (n_out, n_in)), (f"c{i}", (n_out,)))
        }

    @property
    def trained(self) -> list[str]:
        """Names of the parameters that train."""
        return [name for name in self.shapes if name not in self.frozen]


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


def uniform(bits: np.random.PCG64, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in [-1, 1) of 44 raw bits each: so few that a sum of them is exact in float64, and never halfway."""
    raw = bits.random_raw(math.prod(shape)) >> np.uint64(20)
    numbers: np.ndarray = (raw.astype(np.float64) * 2.0**-43 - 1.0).reshape(shape)
    return numbers


def draw(case: Case) -> Tensors:
    """What is given, but for the target: by single operations on random bits, which are rounded alike everywhere."""
    bits = np.random.PCG64(list(case.name.encode()))
    points = case.grid.scaled_points()
    given = {"points": uniform(bits, points.shape) if case.points == "scattered" else points}
    if case.n_features:
        decay = 0.9 if case.first_layer in ("si", "fourier") else 0.0
        given["amplitudes"] = 1.0 + decay * uniform(bits, (case.n_features,))
    last = len(case.hidden) + 1
    factors = {"B": 8.0 if case.scale == 1.0 else 1.0, "b": 3.0, f"W{last}": case.size, f"c{last}": case.size}
    given |= {name: factors.get(name, 1.0) * uniform(bits, shape) for name, shape in case.shapes.items()}
    given |= {f"v.{name}": uniform(bits, case.shapes[name]) for name in case.trained}
    return given | {"w": uniform(bits, (len(points),))}
