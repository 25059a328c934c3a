"""Networks to be checked, over all that a formula may depend on, and their exact values and derivatives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.network import (
    DenseMap,
    LinearMap,
    Network,
    Parameters,
    evaluate_network,
    has_nufft,
    initialize,
    make_map,
)
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid
from simsnn_ref.verify.comparison import TOLERANCE, Tensors
from simsnn_ref.verify.differentiation import STEP, complex_step, complex_step_jacobian

__all__ = [
    "Subject",
    "host_network",
    "loss_of",
    "loss_slope",
    "make_subject",
    "subjects",
]


@dataclass(frozen=True)
class Subject:
    """A network on a backend with one of its feature maps and a target, to be checked.

    Attributes
    ----------
    name : str
    objective : Objective
    params : dict of Array
    points : ndarray of long double, shape (n_points, d)
        The points of the map.
    tolerance : float
        Allowed error of a tensor relative to its 2-norm.
    """

    name: str
    objective: Objective
    params: Parameters
    points: np.ndarray
    tolerance: float = TOLERANCE

    @cached_property
    def network(self) -> Network:
        """The network on NumPy."""
        return host_network(self.objective.network)

    @cached_property
    def host_map(self) -> Any:
        """The map on NumPy that evaluates each feature at each point, and takes complex parameters."""
        points, host = self.points.astype(np.float64), NumpyBackend()
        return LinearMap(points, host) if self.network.amplitudes is None else DenseMap(points, host)

    @cached_property
    def wide(self) -> dict[str, np.ndarray]:
        """The parameters on the host in long double."""
        return {name: value.astype(np.longdouble) for name, value in self.host(self.params).items()}

    @cached_property
    def names(self) -> list[str]:
        """Names of the parameters that train."""
        return self.network.trainable(self.params)

    @cached_property
    def target(self) -> np.ndarray:
        """The target on the host."""
        return self.objective.backend.to_numpy(self.objective.target)

    def host(self, tensors: Mapping[str, Array]) -> dict[str, np.ndarray]:
        """Arrays of the backend on the host."""
        return {name: self.objective.backend.to_numpy(value) for name, value in tensors.items()}

    def device(self, tensors: Tensors) -> Parameters:
        """Arrays of the host on the backend."""
        return {name: self.objective.backend.asarray(value) for name, value in tensors.items()}

    def direction(self, seed: int) -> dict[str, np.ndarray]:
        """Random numbers for the parameters that train."""
        rng = np.random.default_rng(seed)
        return {name: rng.standard_normal(self.wide[name].shape) for name in self.names}

    def flat(self, tensors: Tensors) -> np.ndarray:
        """The tensors of the parameters that train as one vector, shape (P,)."""
        return np.concatenate([np.ravel(tensors[name]) for name in self.names])

    def unflat(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Inverse of `flat`."""
        parts = np.split(vector, np.cumsum([self.wide[name].size for name in self.names])[:-1])
        return {name: part.reshape(self.wide[name].shape) for name, part in zip(self.names, parts, strict=True)}

    def columns(self, J: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of J, shape (n, P), by the parameter that they belong to."""
        stops = np.cumsum([self.wide[name].size for name in self.names])[:-1]
        return dict(zip(self.names, np.split(J, stops, axis=1), strict=True))

    def pulled_back(self, w: Array) -> dict[str, np.ndarray]:
        """J^T w on the host by the backward pass, for `w` of shape (n_points,) on the backend."""
        network, fmap = self.objective.network, self.objective.fmap
        return self.host(self.objective.total(network.backward(self.params, fmap, lambda u, block: w[block])))

    def moved(self, direction: Tensors, step: complex) -> dict[str, Any]:
        """The parameters in long double, plus step times a direction."""
        return {
            name: value + step * direction[name] if name in direction else value for name, value in self.wide.items()
        }

    def exact_value(self, params: Mapping[str, Any]) -> np.ndarray:
        """u by the formula of the network, shape (n_points,)."""
        value: np.ndarray = evaluate_network(self.network, params, self.points)
        return value

    def exact_loss(self, params: Mapping[str, Any]) -> Any:
        """L(u - target) by the formulas of the network and the loss."""
        return loss_of(self.exact_value(params) - self.target, self.objective.loss.p)

    @cached_property
    def u(self) -> np.ndarray:
        """u by the formula of the network, shape (n_points,)."""
        return self.exact_value(self.wide)

    @cached_property
    def gradient(self) -> dict[str, np.ndarray]:
        """dL/dtheta by complex steps of `exact_loss`."""
        return complex_step(self.exact_loss, self.wide, self.names)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """J = du/dtheta by complex steps of `exact_value`, shape (n_points, P)."""
        return complex_step_jacobian(self.exact_value, self.wide, self.names)

    @cached_property
    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """du/dx, shape (d, n), by complex steps of the formula; d^2u/dx^2, (d, d, n), by those of `derivatives`."""
        network = self.network
        ndim = self.points.shape[1]
        gradient, hessian = [], []
        for unit in np.eye(ndim):
            stepped = self.points + 1j * STEP * unit
            gradient.append(np.imag(evaluate_network(network, self.wide, stepped)) / STEP)
            host: Any = NumpyBackend()
            fmap: Any = LinearMap(stepped, host) if network.amplitudes is None else DenseMap(stepped, host)
            hessian.append(np.imag(network.derivatives(self.wide, fmap, ndim)[1]) / STEP)
        return np.stack(gradient), np.stack(hessian)

    @cached_property
    def linear_part(self) -> np.ndarray:
        """u(0) + (du/dgamma)(0) gamma, by a complex step in the size of the features."""
        network = self.network
        if network.amplitudes is None:
            stepped = evaluate_network(network, self.wide, 1j * STEP * self.points)
        else:
            small = replace(network, amplitudes=1j * STEP * network.amplitudes)
            stepped = evaluate_network(small, self.wide, self.points)
        part: np.ndarray = np.real(stepped) + np.imag(stepped) / STEP
        return part


def host_network(network: Network) -> Network:
    """The same network on NumPy."""
    amplitudes = None if network.amplitudes is None else network.backend.to_numpy(network.amplitudes)
    return replace(network, backend=NumpyBackend(), amplitudes=amplitudes)


def loss_of(e: np.ndarray, p: float) -> Any:
    """L(e), eq. 7 with the mean for the sum. |e| as e times the sign of its real part is analytic where e is not 0."""
    magnitude, scale = _magnitude(e)
    return scale * np.mean((magnitude / scale) ** p) ** (1.0 / p)


def loss_slope(e: np.ndarray, p: float) -> np.ndarray:
    """dL/de of `loss_of`, which is analytic as well."""
    magnitude, scale = _magnitude(e)
    mean = np.mean((magnitude / scale) ** p)
    slope: np.ndarray = np.sign(np.real(e)) * (magnitude / scale) ** (p - 1.0) * mean ** (1.0 / p - 1.0) / e.size
    return slope


def _magnitude(e: np.ndarray) -> tuple[np.ndarray, Any]:
    """|e|, and its largest real part, over which the loss is computed."""
    magnitude = e * np.sign(np.real(e))
    return magnitude, np.max(np.real(magnitude))


NUFFT_TOLERANCE = 1e-14
"""Error that the plug-in is asked for."""

NUFFT_ERROR = 1e-12
"""Error that is allowed: the kernel is a sum of many transforms, which cancel in part, each with the error above."""


def subjects(backend: Backend) -> Iterator[Subject]:
    """Networks to be checked over dimensions, first layers, feature maps, depths and exponents; no number is zero."""
    grids = {1: Grid((36,)), 2: Grid((6, 7)), 3: Grid((3, 4, 5))}
    layers = {
        "si": ("dense", "separable", "fft"),
        "msnn": ("dense", "separable"),
        "rff": ("separable",),
        "ffm": ("dense", "separable"),
        "cos": ("dense", "separable"),
        "none": ("auto",),
    }
    for d, grid in grids.items():
        for first_layer, kinds in layers.items():
            for kind in kinds:
                depth = 1 + (d + len(first_layer)) % 3
                for p in (2.0, 3.5, 10.0) if d == 2 else (10.0,):
                    yield make_subject(backend, grid, first_layer, kind, (5, 4, 6)[:depth], p)
    # Networks like those of late stages: many modes of small amplitude, one unit, one layer.
    yield make_subject(backend, grids[2], "si", "fft", (1,), 10.0, n_features=20)
    yield make_subject(backend, grids[1], "si", "fft", (3, 3), 20.0, n_features=1)
    # Grids where a mode's phase at the first point is no multiple of pi, and modes that stand for their opposites.
    with_ends = Grid((6, 7), periodic=(False, False))
    yield _flipped(make_subject(backend, with_ends, "si", "fft", (4,), 10.0, n_features=12))
    yield _extended(make_subject(backend, with_ends, "si", "fft", (4, 3), 10.0, n_features=12))
    # The series of eq. 10, many hidden layers, an odd exponent, frozen parameters, points of no grid.
    yield make_subject(backend, grids[2], "fourier", "fft", (), 10.0)
    yield make_subject(backend, grids[2], "fourier", "dense", (), 3.0)
    yield make_subject(backend, with_ends, "cos", "separable", (3, 2, 4, 3), 3.0)
    yield make_subject(backend, with_ends, "ffm", "dense", (4, 3), 10.0, frozen=frozenset({"B"}))
    yield make_subject(backend, grids[1], "msnn", "separable", (4,), 2.0, frozen=frozenset({"B", "b"}))
    # Fewer rows than columns.
    yield make_subject(backend, Grid((2, 9)), "cos", "separable", (4, 3), 10.0, frozen=frozenset({"B"}))
    for d, first_layer in ((1, "msnn"), (2, "ffm"), (3, "rff"), (2, "none")):
        points = np.random.default_rng(d).uniform(-1.0, 1.0, (31, d))
        yield make_subject(backend, grids[d], first_layer, "dense", (4, 3), 5.0, points=points)
    if has_nufft() and isinstance(backend, NumpyBackend):
        yield make_subject(backend, grids[2], "si", "nufft", (5, 4), 10.0)
        points = np.random.default_rng(4).uniform(-1.0, 1.0, (31, 2))
        yield make_subject(backend, grids[2], "ffm", "nufft", (5, 4, 3), 10.0, points=points)


def make_subject(
    backend: Backend,
    grid: Grid,
    first_layer: str,
    kind: str,
    hidden: tuple[int, ...],
    p: float,
    n_features: int = 8,
    frozen: frozenset[str] = frozenset(),
    points: np.ndarray | None = None,
    residue_size: float = 10.0,
) -> Subject:
    """A network with its first layer made for a grid, at the grid's points or others.

    Parameters
    ----------
    kind : str
        Name of the feature map.
    hidden : tuple of int
        Widths of the tanh layers.
    p : float
        Exponent of the loss.
    frozen : frozenset of str
        Names of parameters that do not train; with the fft map B is one in any case.
    points : ndarray, shape (n, d), optional
        Points in [-1, 1]^d in place of the grid's.
    residue_size : float
        Largest residual over the largest |u|.
    """
    host, rng = NumpyBackend(), np.random.default_rng([grid.ndim, len(hidden)])
    axes = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    field = sum(np.sin(np.pi * x + i) for i, x in enumerate(axes)) + 0.3 * rng.standard_normal(grid.shape)
    network, params = initialize(
        first_layer, field, grid, n_features=n_features, hidden=hidden, rng=rng, backend=host, sigma=0.4
    )
    kept = {"B"} if network.indices is not None else set()
    params = {
        name: value if name in kept else value + 0.3 * rng.standard_normal(value.shape)
        for name, value in params.items()
    }
    exact_points = grid.scaled_points(np.longdouble) if points is None else points.astype(np.longdouble)
    u = evaluate_network(network, params, exact_points.astype(np.float64))
    # A residue of one sign over three decades: no sum over the points cancels, and a few of them do not hide the rest.
    residue = residue_size * np.max(np.abs(u)) * 10.0 ** rng.uniform(-3.0, 0.0, u.size)
    residue = residue if p % 2 == 0 else -residue
    amplitudes = None if network.amplitudes is None else backend.asarray(network.amplitudes)
    frozen = frozen | ({"B"} if kind == "fft" else set())
    network = replace(network, backend=backend, amplitudes=amplitudes, frozen=frozen)
    fmap = _map(network, grid if points is None else points, backend, kind)
    where = f"{grid.ndim}-D" if all(grid.periodic) else f"{grid.ndim}-D with ends"
    where = where if points is None else f"{grid.ndim}-D scattered"
    name = f"{first_layer}, {fmap.name}, {where}, {len(hidden)} layers, p = {p:g}"
    on_device = {key: backend.asarray(value) for key, value in params.items()}
    objective = Objective(network, fmap, backend.asarray(u - residue), LpLoss(p), backend)
    tolerance = NUFFT_ERROR if fmap.name == "nufft" else TOLERANCE
    return Subject(name, objective, on_device, exact_points, tolerance)


def _flipped(subject: Subject) -> Subject:
    """The subject with every second mode written as its opposite, cos(k.x + b) = cos(-k.x - b)."""
    objective = subject.objective
    network, backend = objective.network, objective.backend
    assert network.indices is not None
    sign = np.where(np.arange(network.n_features) % 2, -1, 1)
    network = replace(network, indices=sign[:, None] * network.indices)
    host = subject.host(subject.params)
    params = {"B": sign[:, None] * host["B"], "b": sign * host["b"]}
    grid = Grid(objective.fmap.grid_shape or (), periodic=(False, False))
    objective = replace(objective, network=network, fmap=_map(network, grid, backend, "fft"))
    return replace(subject, objective=objective, params=subject.params | subject.device(params))


def _extended(subject: Subject) -> Subject:
    """The subject with modes of a box twice as long, as Fourier extensions have them: the transform is cropped."""
    objective = subject.objective
    network, backend = objective.network, objective.backend
    period = (Fraction(2), Fraction(2))
    rows = np.arange(network.n_features)
    # Modes on both planes that a real transform stores in full among them, and some that are stored as opposites.
    indices = np.stack([rows % 5, rows // 5 * 3], axis=1)
    indices[::4] = -indices[::4]
    network = replace(network, indices=indices, period=period)
    grid = Grid(objective.fmap.grid_shape or (), periodic=(False, False))
    params = subject.params | subject.device({"B": np.pi * indices / 2.0})
    points = subject.points.astype(np.float64)
    formula = host_network(network)
    before, after = (evaluate_network(formula, subject.host(values), points) for values in (subject.params, params))
    target = backend.asarray(subject.target + after - before)
    objective = replace(objective, network=network, fmap=_map(network, grid, backend, "fft"), target=target)
    return replace(subject, name=f"{subject.name}, extended", objective=objective, params=params)


def _map(network: Network, where: Grid | np.ndarray, backend: Backend, kind: str) -> Any:
    if network.amplitudes is None:
        points = where.scaled_points() if isinstance(where, Grid) else where
        return LinearMap(backend.asarray(points), backend)
    if kind == "nufft":
        return make_map(where, backend, kind=kind, tolerance=NUFFT_TOLERANCE)
    where = where if isinstance(where, Grid) else backend.asarray(where)
    return make_map(where, backend, kind=kind, indices=network.indices, period=network.period)
