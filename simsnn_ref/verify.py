"""Whether the values, gradients and Jacobian products of an installation are right, to the last digits.

What is checked by hand-written formulas is measured against routes that share no line with them: the definition of the
network and its loss, written out once more in long double with analytic operations only (`definition`), and

====================  ==============================================================================================
complex step          dL/dx = Im L(x + ih) / h, free of cancellation, h = 2^-200 (Squire & Trapp, SIAM Rev. 40, 1998)
adjoint identity      <J v, w> = <v, J^T w>
Taylor remainders     |L(x + hv) - L(x) - h <g, v>| ~ h^2, and with h^2/2 <v, Hv> taken off ~ h^3
mpmath                values and gradient of a small network in 50 digits
====================  ==============================================================================================

No step of any of them is a difference quotient, so that no tolerance for one hides a mistake. `compare` and
`complex_step` serve any other code as well: they take arrays by name.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import VerificationError
from simsnn_ref.features import LinearMap, make_map
from simsnn_ref.grid import Grid
from simsnn_ref.initialization import initialize
from simsnn_ref.losses import LpLoss
from simsnn_ref.network import Network, Parameters
from simsnn_ref.optimizers import Adam, Jacobian, Objective, kernel

__all__ = [
    "STEP",
    "TOLERANCE",
    "Check",
    "Subject",
    "check_adam",
    "check_subject",
    "compare",
    "complex_step",
    "complex_step_jacobian",
    "definition",
    "require",
    "subjects",
    "verify",
]

TOLERANCE = 1e-14
"""Of the 2-norm of a tensor. A cosine is rounded by eps |k.x|, here up to 10 eps or so, an activation by eps."""

STEP = 2.0**-200
"""Of the complex step: a power of two, so that the division is exact, whose square is below everything."""

SLOPE_TOLERANCE = 0.1
STEPS = (2.0**-10, 2.0**-11)
"""Of the exponent of a Taylor remainder between two steps, to the integer it tends to."""

DIGITS = 50

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes
    ----------
    what, case : str
        The quantity, and the network it was taken of.
    tensor : str
        The one that is furthest off.
    index : tuple of int
        Of its entry that is furthest off.
    expected, got : float
        That entry.
    ulp : float
        Their distance in units of the last place of `expected`.
    relative : float
        Error of the tensor in the 2-norm.
    tolerance : float
        Of `relative`.
    """

    what: str
    case: str
    tensor: str
    index: tuple[int, ...]
    expected: float
    got: float
    ulp: float
    relative: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether all tensors are within the tolerance; NaN is not."""
        return self.relative <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"index": list(self.index), "passed": self.passed}


def compare(what: str, case: str, got: Mapping[str, Any], expected: Tensors, tolerance: float = TOLERANCE) -> Check:
    """Set tensors beside their references and tell the worst, by the error of a tensor relative to its 2-norm.

    Parameters
    ----------
    got, expected : mapping of str to ndarray
        By name, of equal shapes, real.

    Raises
    ------
    VerificationError
        If a tensor is missing, is one too many, has another shape or no entries, or if there are none.
    """
    if not expected:
        raise VerificationError(f"{what}, {case}: no tensors to compare")
    if got.keys() != expected.keys():
        raise VerificationError(
            f"{what}, {case}: expected the tensors {', '.join(expected)}; got {', '.join(got) or 'none'}"
        )
    worst: Check | None = None
    for name, value, reference in ((name, np.asarray(got[name]), np.asarray(expected[name])) for name in expected):
        if value.shape != reference.shape:
            raise VerificationError(f"{what}, {case}: {name} has the shape {value.shape}, expected {reference.shape}")
        if reference.size == 0:
            raise VerificationError(f"{what}, {case}: {name} has no entries")
        check = _compare_one(what, case, name, value, reference, tolerance)
        # A NaN compares as false and is worse than anything.
        if worst is None or not check.relative <= worst.relative:
            worst = check
    assert worst is not None
    return worst


def _compare_one(what: str, case: str, name: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> Check:
    # Unsigned integers would wrap.
    error = np.abs(got.astype(np.longdouble) - expected.astype(np.longdouble))
    index = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    size, off = _norm(expected), _norm(error)
    reference = float(expected[index])
    return Check(
        what=what,
        case=case,
        tensor=name,
        index=tuple(int(i) for i in index),
        expected=reference,
        got=float(got[index]),
        ulp=float(error[index] / np.spacing(abs(reference))),
        relative=float(off / size if size > 0.0 else off),
        tolerance=tolerance,
    )


def _norm(x: np.ndarray) -> np.longdouble:
    """2-norm, taken of x over its largest entry: no square leaves the range, whatever long double is here."""
    wide = np.ravel(x).astype(np.longdouble)
    largest: np.longdouble = np.max(np.abs(wide))
    if not 0.0 < largest < np.inf:
        return largest
    norm: np.longdouble = largest * np.linalg.norm(wide / largest)
    return norm


def complex_step(
    function: Callable[[dict[str, Any]], Any], params: Tensors, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Gradient of `function` by name, one number at a time, in the precision that it computes in.

    Parameters
    ----------
    function : callable
        From parameters by name to a number, written with analytic operations only.
    params : mapping of str to ndarray
        Where the gradient is taken; long double for one of long double, else float64, whose range holds the step.
    names : sequence of str, optional
        The parameters to differentiate for; all by default.
    """
    wide = _at_least_float64(params)
    gradient = {}
    for name in wide if names is None else names:
        slopes = [np.imag(function(stepped)) / STEP for stepped in _stepped(wide, name)]
        gradient[name] = np.asarray(slopes, dtype=wide[name].dtype).reshape(wide[name].shape)
    return gradient


def complex_step_jacobian(
    function: Callable[[dict[str, Any]], np.ndarray], params: Tensors, names: Sequence[str] | None = None
) -> np.ndarray:
    """As `complex_step`, of a function that returns (n,): shape (n, P), a column for each number of `names` in turn."""
    wide = _at_least_float64(params)
    columns = [
        np.imag(function(stepped)) / STEP
        for name in (wide if names is None else names)
        for stepped in _stepped(wide, name)
    ]
    return np.stack(columns, axis=1)


def _at_least_float64(params: Tensors) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(value) for name, value in params.items()}
    return {name: value.astype(np.result_type(value.dtype, np.float64)) for name, value in arrays.items()}


def _stepped(params: Tensors, name: str) -> Iterator[dict[str, Any]]:
    """The parameters with a complex step in one number of the tensor `name`, for each of its numbers in C order."""
    value = params[name]
    for index in np.ndindex(*value.shape):
        moved = value.astype(np.result_type(value.dtype, np.complex128))
        moved[index] += 1j * STEP
        yield {**params, name: moved}


def definition(network: Network, params: Mapping[str, Any], points: np.ndarray) -> np.ndarray:
    """U at `points` (n, d), (n,), by the formula of section 3.1; of the type of the parameters, analytic in them."""
    if network.amplitudes is None:
        gamma = points.T
    else:
        K = network.scale * params["B"]
        K = np.concatenate([K, K]) if network.paired else K
        amplitudes = network.backend.to_numpy(network.amplitudes)
        gamma = amplitudes[:, None] * np.cos(K @ points.T + params["b"][:, None])
    z = params["W1"] @ gamma + params["c1"][:, None]
    for layer in range(2, network.depth + 2):
        z = params[f"W{layer}"] @ np.tanh(z) + params[f"c{layer}"][:, None]
    value: np.ndarray = z[0]
    return value


def _loss(e: np.ndarray, p: float) -> Any:
    """Eq. 7 with the mean for the sum. |e| as e times the sign of its real part is analytic where e is not 0."""
    magnitude = e * np.sign(np.real(e))
    scale = np.max(np.real(magnitude))
    return scale * np.mean((magnitude / scale) ** p) ** (1.0 / p)


@dataclass(frozen=True)
class Subject:
    """A network on a backend with one of its feature maps, and a target for it.

    Attributes
    ----------
    name : str
    objective : Objective
    params : dict of Array
    points : ndarray of long double, shape (n_points, d)
        The points of the map.
    """

    name: str
    objective: Objective
    params: Parameters
    points: np.ndarray

    @cached_property
    def wide(self) -> dict[str, np.ndarray]:
        """The parameters on the host in long double."""
        to_numpy = self.objective.backend.to_numpy
        return {name: to_numpy(value).astype(np.longdouble) for name, value in self.params.items()}

    @cached_property
    def names(self) -> list[str]:
        """Of the parameters that train."""
        return self.objective.network.trainable(self.params)

    def host(self, tensors: Mapping[str, Array]) -> dict[str, np.ndarray]:
        """The same on the host."""
        return {name: self.objective.backend.to_numpy(value) for name, value in tensors.items()}

    def direction(self, seed: int) -> dict[str, np.ndarray]:
        """Random numbers for the parameters that train."""
        rng = np.random.default_rng(seed)
        return {name: rng.standard_normal(self.wide[name].shape) for name in self.names}

    def device(self, tensors: Tensors) -> Parameters:
        """The same on the backend."""
        return {name: self.objective.backend.asarray(value) for name, value in tensors.items()}

    def exact_value(self, params: Mapping[str, Any]) -> np.ndarray:
        """U by `definition`."""
        return definition(self.objective.network, params, self.points)

    def exact_loss(self, params: Mapping[str, Any]) -> Any:
        """L(u - t) by `definition`."""
        target = self.objective.backend.to_numpy(self.objective.target)
        return _loss(self.exact_value(params) - target, self.objective.loss.p)

    def moved(self, direction: Tensors, step: complex) -> dict[str, Any]:
        """The parameters in long double, plus step times a direction."""
        return {
            name: value + step * direction[name] if name in direction else value for name, value in self.wide.items()
        }


def subjects(backend: Backend) -> Iterator[Subject]:
    """Networks over dimensions, first layers, feature maps, depths and exponents, nothing in them zero."""
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
                    yield _subject(backend, grid, first_layer, kind, (5, 4, 6)[:depth], p)
    # As the networks of late stages are: many modes of small amplitude, one unit, one layer.
    yield _subject(backend, grids[2], "si", "fft", (1,), 10.0, n_features=20)
    yield _subject(backend, grids[1], "si", "fft", (3, 3), 20.0, n_features=1)
    # Where a mode's phase at the first point is no multiple of pi, and modes stand for their opposites.
    yield _flipped(_subject(backend, Grid((6, 7), periodic=(False, False)), "si", "fft", (4,), 10.0, n_features=12))


def _subject(
    backend: Backend,
    grid: Grid,
    first_layer: str,
    kind: str,
    hidden: tuple[int, ...],
    p: float,
    n_features: int = 8,
) -> Subject:
    host, rng = NumpyBackend(), np.random.default_rng([grid.ndim, len(hidden)])
    axes = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    field = sum(np.sin(np.pi * x + i) for i, x in enumerate(axes)) + 0.3 * rng.standard_normal(grid.shape)
    network, params = initialize(
        first_layer, field, grid, n_features=n_features, hidden=hidden, rng=rng, backend=host, sigma=0.4
    )
    kept = {"B"} if first_layer == "si" else set()
    params = {
        name: value if name in kept else value + 0.3 * rng.standard_normal(value.shape)
        for name, value in params.items()
    }
    points = grid.scaled_points(np.longdouble)
    u = definition(network, params, points.astype(np.float64))
    # A residue of one sign over three decades: no sum over the points cancels, and a few of them do not hide the rest.
    residue = 10.0 * np.max(np.abs(u)) * 10.0 ** rng.uniform(-3.0, 0.0, u.size)
    residue = residue if p % 2 == 0 else -residue
    amplitudes = None if network.amplitudes is None else backend.asarray(network.amplitudes)
    frozen = frozenset({"B"}) if kind == "fft" else frozenset()
    network = replace(network, backend=backend, amplitudes=amplitudes, frozen=frozen)
    fmap = _map(network, grid, backend, kind)
    where = f"{grid.ndim}-D" if all(grid.periodic) else f"{grid.ndim}-D with ends"
    map_name = "linear" if first_layer == "none" else kind
    name = f"{first_layer}, {map_name}, {where}, {len(hidden)} layers, p = {p:g}"
    on_device = {key: backend.asarray(value) for key, value in params.items()}
    objective = Objective(network, fmap, backend.asarray(u - residue), LpLoss(p), backend)
    return Subject(name, objective, on_device, points)


def _flipped(subject: Subject) -> Subject:
    """Every second mode written as its opposite, cos(k.x + b) = cos(-k.x - b)."""
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


def _map(network: Network, grid: Grid, backend: Backend, kind: str) -> Any:
    if network.amplitudes is None:
        return LinearMap(backend.asarray(grid.scaled_points()), backend)
    return make_map(grid, backend, kind=kind, indices=network.indices, period=network.period)


def verify(backend: Backend, say: Callable[[str], None] = lambda line: None) -> list[Check]:
    """Every check of every subject on a backend.

    Parameters
    ----------
    backend : Backend
    say : callable, optional
        Told what is being checked.

    Raises
    ------
    VerificationError
        If tensors are missing or have wrong shapes.
    """
    checks: list[Check] = []
    for subject in subjects(backend):
        say(subject.name)
        checks += check_subject(subject)
    checks += check_adam(backend)
    if importlib.util.find_spec("mpmath") is not None:
        checks.append(_check_with_mpmath(backend))
    return checks


def require(checks: Sequence[Check]) -> None:
    """Raise AssertionError with a line for each check that failed: for a test of one's own."""
    lines = [
        f"{check.what} of {check.case}: {check.tensor}{list(check.index)} is {check.got!r}, expected {check.expected!r}"
        f" ({check.ulp:.3g} ulp); the tensor is off by {check.relative:.2e}, allowed {check.tolerance:.0e}"
        for check in checks
        if not check.passed
    ]
    if lines:
        raise AssertionError("\n".join(lines))


def check_subject(subject: Subject) -> list[Check]:
    """Values, loss, gradient both ways, products with J and J^T both ways, the kernel, remainders."""
    objective, params, to_numpy = subject.objective, subject.params, subject.objective.backend.to_numpy
    v, w = subject.direction(1), np.random.default_rng(2).standard_normal(objective.fmap.n_points)
    value, e, activations = objective.evaluate(params)
    u = to_numpy(objective.network.evaluate(params, objective.fmap))
    gradient = subject.host(objective.gradient(params, e, activations))
    value_in_one_pass, _, in_one_pass = objective.value_and_gradient(params)
    exact_gradient = complex_step(subject.exact_loss, subject.wide, subject.names)
    exact_Jv = np.imag(subject.exact_value(subject.moved(v, 1j * STEP))) / STEP
    jacobian = Jacobian(objective, params, activations)
    Jv = {
        "chain rule": to_numpy(objective.network.jvp(params, objective.fmap, activations, subject.device(v))),
        "kept factors": to_numpy(jacobian.jvp(subject.device(v))),
    }
    on_device = objective.backend.asarray(w)
    JTw = {
        "chain rule": subject.host(objective.network.vjp(params, objective.fmap, activations, on_device)),
        "kept factors": subject.host(jacobian.vjp(on_device)),
    }

    def one(what: str, got: Any, expected: Any, tolerance: float = TOLERANCE) -> Check:
        return compare(what, subject.name, {what: np.asarray(got)}, {what: np.asarray(expected)}, tolerance)

    checks = [
        one("u", u, subject.exact_value(subject.wide)),
        one("loss", value, subject.exact_loss(subject.wide)),
        one("loss in one pass", value_in_one_pass, subject.exact_loss(subject.wide)),
        compare("gradient", subject.name, gradient, exact_gradient),
        compare("gradient in one pass", subject.name, subject.host(in_one_pass), exact_gradient),
    ]
    for route, pushed in Jv.items():
        checks.append(one(f"J v, {route}", pushed, exact_Jv))
        pulled = sum(float(np.sum(JTw[route][name] * v[name])) for name in subject.names)
        # Relative to the terms, which may cancel.
        size = float(np.sum(np.abs(pushed * w)))
        checks.append(one(f"<J v, w> = <v, J^T w>, {route}", 1.0 + (float(pushed @ w) - pulled) / size, 1.0))
    J = complex_step_jacobian(subject.exact_value, subject.wide, subject.names)
    K = kernel(jacobian)
    checks.append(one("kernel J J^T", to_numpy(K), J @ J.T))
    return [*checks, *_check_remainders(subject, gradient, v)]


def _check_remainders(subject: Subject, gradient: Tensors, v: Tensors) -> list[Check]:
    """Exponents of the Taylor remainders of the definition's loss, with the gradient and the Hessian product given."""
    size = np.sqrt(sum(float(np.sum(v[name] ** 2)) for name in subject.names))
    v = {name: v[name] / size for name in subject.names}
    slope = sum(float(np.sum(gradient[name] * v[name])) for name in subject.names)
    start, steps = subject.exact_loss(subject.wide), np.array(STEPS)
    left = np.array([subject.exact_loss(subject.moved(v, h)) - start - h * slope for h in steps])

    def exponent(remainders: np.ndarray) -> float:
        return float(np.log2(np.abs(remainders[0] / remainders[1])))

    checks = [_slope("remainder of first order, exponent", subject, exponent(left), 2.0)]
    if subject.objective.loss.p % 2 == 0:
        # The gradient is analytic, and has a complex step, for even p.
        Hv = _hessian_product(subject, v)
        curvature = sum(float(np.sum(Hv[name] * v[name])) for name in subject.names)
        left = left - 0.5 * steps**2 * curvature
        checks.append(_slope("remainder of second order, exponent", subject, exponent(left), 3.0))
        w = subject.direction(4)
        Hw = _hessian_product(subject, w)
        pair = [sum(float(np.sum(a[name] * b[name])) for name in subject.names) for a, b in ((w, Hv), (v, Hw))]
        size = sum(float(np.sum(np.abs(w[name] * Hv[name]))) for name in subject.names)
        one = {"<w, Hv> = <v, Hw>": np.asarray(1.0)}
        checks.append(
            compare("symmetry of H", subject.name, {"<w, Hv> = <v, Hw>": 1.0 + (pair[0] - pair[1]) / size}, one)
        )
    return checks


def _slope(what: str, subject: Subject, got: float, expected: float) -> Check:
    return compare(
        what, subject.name, {what: np.asarray(got)}, {what: np.asarray(expected)}, SLOPE_TOLERANCE / expected
    )


def _hessian_product(subject: Subject, v: Tensors) -> dict[str, np.ndarray]:
    """H v by a complex step of the hand-written gradient, by the definition's map: Im g(theta + ihv) / h."""
    objective = subject.objective
    host = NumpyBackend()
    network = objective.network
    amplitudes = None if network.amplitudes is None else network.backend.to_numpy(network.amplitudes)
    network = replace(network, backend=host, amplitudes=amplitudes)
    points = subject.points.astype(np.float64)
    if amplitudes is None:
        fmap: Any = LinearMap(points, host)
    else:
        fmap = make_map(points, host, kind="dense")
    target = objective.backend.to_numpy(objective.target)
    stepped = {name: np.asarray(value, dtype=np.complex128) for name, value in subject.moved(v, 1j * STEP).items()}
    u, activations = network.forward(stepped, fmap)
    gradient = network.vjp(stepped, fmap, activations, objective.loss.vjp(np, u - target))
    return {name: np.imag(value) / STEP for name, value in gradient.items()}


def check_adam(backend: Backend) -> list[Check]:
    """Five steps against the recurrence of the paper of Kingma & Ba, Algorithm 1, in long double."""
    rng, adam = np.random.default_rng(3), Adam(0.9, 0.99, 1e-3)
    theta, slopes = rng.standard_normal(4), rng.standard_normal((5, 4))
    params = {"theta": backend.asarray(theta)}
    state = adam.init(backend.xp, params)
    exact, m, v = theta.astype(np.longdouble), np.zeros(4, np.longdouble), np.zeros(4, np.longdouble)
    checks = []
    for t, g in enumerate(slopes, start=1):
        params, state = adam.update(backend.xp, params, {"theta": backend.asarray(g)}, state, 0.1 / t)
        m = adam.beta1 * m + (1 - np.longdouble(adam.beta1)) * g
        v = adam.beta2 * v + (1 - np.longdouble(adam.beta2)) * g.astype(np.longdouble) ** 2
        corrected = m / (1 - np.longdouble(adam.beta1) ** t), v / (1 - np.longdouble(adam.beta2) ** t)
        exact = exact - np.longdouble(0.1 / t) * corrected[0] / (np.sqrt(corrected[1]) + adam.epsilon)
        checks.append(
            compare("Adam", f"step {t}", {"theta": backend.to_numpy(params["theta"])}, {"theta": exact}, TOLERANCE)
        )
    return checks


def _check_with_mpmath(backend: Backend) -> Check:
    """Every number of the gradient of a small network, by complex steps in mpmath."""
    import mpmath  # noqa: PLC0415 - an extra

    grid = Grid((3, 2))
    subject = _subject(backend, grid, "rff", "dense", (2, 2), 10.0, n_features=2)
    objective, params = subject.objective, subject.params
    _, e, activations = objective.evaluate(params)
    gradient = subject.host(objective.gradient(params, e, activations))
    network, p = objective.network, int(objective.loss.p)
    number = np.vectorize(lambda value: mpmath.mpf(float(value)), otypes=[object])
    cos, tanh = (np.vectorize(f, otypes=[object]) for f in (mpmath.cos, mpmath.tanh))
    with mpmath.workdps(2 * DIGITS):
        host = {name: number(value) for name, value in subject.host(params).items()}
        amplitudes, target = (number(backend.to_numpy(value)) for value in (network.amplitudes, objective.target))
        points = number(grid.scaled_points())

        def loss(values: dict[str, Any]) -> Any:
            total = 0
            for x, t in zip(points, target, strict=True):
                z = values["W1"] @ (amplitudes * cos(mpmath.mpf(network.scale) * values["B"] @ x + values["b"]))
                z = z + values["c1"]
                for layer in range(2, network.depth + 2):
                    z = values[f"W{layer}"] @ tanh(z) + values[f"c{layer}"]
                total += (z[0] - t) ** p
            return (total / len(points)) ** (mpmath.mpf(1) / p)

        step, exact = mpmath.mpf(10) ** -DIGITS, {}
        for name in subject.names:
            exact[name] = np.empty(host[name].shape, dtype=np.longdouble)
            for index in np.ndindex(*host[name].shape):
                stepped = host[name].copy()
                stepped[index] = mpmath.mpc(stepped[index], step)
                slope = mpmath.im(loss({**host, name: stepped})) / step
                exact[name][index] = np.longdouble(mpmath.nstr(slope, 25))
    return compare("gradient by mpmath", subject.name, gradient, exact)
