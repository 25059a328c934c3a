"""Reference cases: small networks with every number of their evaluation and training, for codes in other languages.

A folder of cases holds `manifest.json` and a file in the safetensors layout for each. All tensors are float64, C order,
computed in long double and rounded once. With n points in d dimensions, n_f features and L tanh layers:

    given      points (n, d) in [-1, 1]^d, target (n,), amplitudes (n_f,), B (n_b, d), b (n_f,), W1 (h_1, n_f), c1, ...
               v.<parameter>, w (n,)      a direction, and a cotangent
    forward    features (n_f, n)          gamma = A cos(K x + b), K = scale B (if paired, K = scale [B, B])
               z1 (h_1, n), z2, ...       pre-activations, z_{L+1} of shape (1, n)
               u (n,), loss ()            L = (1/n sum |u - t|^p)^(1/p)
    backward   grad.<parameter>           dL/dtheta
               Jv (n,), JTw.<parameter>   J v and J^T w, J = du/dtheta
               Hv.<parameter>             H v, H the Hessian of L
    updates    adam.<parameter>           after one step of Adam from zero means, see `ADAM`
               gauss_newton.<parameter>   d = argmin |J d + u - t|^2 + mu |d|^2, mu = `DAMPING` tr(J^T J) / P
               train.loss (steps,), train.<parameter>     losses before each step of Adam, and what they end at

The manifest gives for each case `scale`, `paired`, `p` and `hidden`, and for each tensor its shape and the bound on its
own error, relative to its 2-norm, and its sensitivity: by how much it changes, so measured, when each given number is
rounded once, or everything is computed in float64 here, whichever is more. Numbers whose terms cancel, and what a
training ends with, are no better determined than that.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError, ModelFileError, OutputError
from simsnn_ref.features import DenseMap, LinearMap
from simsnn_ref.grid import Grid
from simsnn_ref.initialization import initialize
from simsnn_ref.losses import LpLoss
from simsnn_ref.network import Network
from simsnn_ref.optimizers import Adam
from simsnn_ref.precision import ExtendedBackend, is_extended
from simsnn_ref.schema import conform
from simsnn_ref.storage import read_file, read_json, read_tensors, write_file
from simsnn_ref.strict_json import shown
from simsnn_ref.verify import STEP, Check, compare, complex_step, complex_step_jacobian, definition

__all__ = ["ADAM", "DAMPING", "GIVEN", "SETS", "Case", "check", "export"]

SCHEMA = "simsnn-reference-1"
KIND = "simsnn-reference"
MANIFEST = {
    "cases": [
        {"name": str, "file": str, "sha256": str, "tensors": {str: {"sensitivity": float, ...: object}}, ...: object}
    ],
    ...: object,
}
"""What `check` uses of it."""

ADAM = Adam(beta1=0.9, beta2=0.999, epsilon=1e-8)
LEARNING_RATE = 1e-3
TRAINING_STEPS = 20
DAMPING = 1e-3

GIVEN = ("points", "target", "amplitudes", "w")
"""With the parameters and v, what a candidate starts from and need not return."""

ROUNDED_ONCE = 1.2e-16
"""Half an ulp of float64, and the long double that was rounded."""

LEAST_SQUARES = 1e-14
"""Of gauss_newton: the rounding of J in long double, 1e-19, times the condition of J^T J + mu, up to P / `DAMPING`."""

ROUNDINGS = 30.0
"""A tensor may be off by so many times its sensitivity: another code rounds in other places."""

EPS = 2.0**-52

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes
    ----------
    first_layer : str
    shape : tuple of int
        Of the periodic grid that the points are.
    n_features : int
    hidden : tuple of int
    p : float
        Even.
    size : float
        Of u and the target: 1e-12 in the fourth stage of a fit to rounding.
    """

    first_layer: str
    shape: tuple[int, ...]
    n_features: int
    hidden: tuple[int, ...]
    p: float
    size: float = 1.0

    @property
    def name(self) -> str:
        """Of its file."""
        shape, hidden = ("x".join(map(str, numbers)) for numbers in (self.shape, self.hidden))
        return f"{self.first_layer}-{shape}-f{self.n_features}-h{hidden}-p{self.p:g}-s{self.size:.0e}"


SETS = {
    "small": (
        Case("si", (6, 5), 6, (4, 3), 10.0),
        Case("si", (8,), 3, (5,), 2.0, 1e-12),
        Case("msnn", (5, 4), 4, (3, 3, 3), 4.0),
        Case("ffm", (3, 3, 2), 4, (4,), 2.0),
        Case("none", (4, 4), 0, (4, 3), 10.0),
    ),
    "large": tuple(
        Case(first_layer, shape, 0 if first_layer == "none" else 6, hidden, p, size)
        for first_layer in ("si", "msnn", "rff", "ffm", "cos", "none")
        for shape in ((16,), (6, 5), (4, 3, 3))
        for hidden in ((5,), (4, 3), (3, 4, 3))
        for p in (2.0, 10.0)
        for size in (1.0, 1e-12)
    ),
}
"""By name; the small one is committed with the tests."""


def _build(case: Case) -> tuple[Network, Tensors, Tensors]:
    """Network, parameters and what else is given, all of float64."""
    host, grid = NumpyBackend(), Grid(case.shape)
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
    params = {name: value + 0.3 * rng.standard_normal(value.shape) for name, value in params.items()}
    last = len(case.hidden) + 1
    for name in (f"W{last}", f"c{last}"):
        params[name] = case.size * params[name]
    points = grid.scaled_points()
    u = definition(network, params, points)
    # One sign and three decades: sums over the points do not cancel, so that relative errors mean something.
    target = u - 10.0 * np.max(np.abs(u)) * 10.0 ** rng.uniform(-3.0, 0.0, u.size)
    given = {"points": points, "target": target, "w": rng.standard_normal(u.size)}
    if network.amplitudes is not None:
        given["amplitudes"] = host.to_numpy(network.amplitudes)
    given |= {f"v.{name}": rng.standard_normal(value.shape) for name, value in params.items()}
    return replace(network, frozen=frozenset()), params, given


class _Exact:
    """Everything about one case in long double.

    Parameters
    ----------
    case : Case
    ulps : float
        By how many eps of float64, of either sign, every given number is moved.
    backend : NumpyBackend, optional
        For another precision.
    """

    def __init__(self, case: Case, ulps: float = 0.0, backend: NumpyBackend | None = None) -> None:
        wide = ExtendedBackend() if backend is None else backend
        self.case, self.dtype = case, wide.real_dtype
        network, self.params, self.given = _build(case)
        rng = np.random.default_rng(5)

        def moved(value: Any) -> np.ndarray:
            sign = rng.choice([-1.0, 1.0], np.shape(value))
            value = np.asarray(value, dtype=self.dtype)
            return value if ulps == 0.0 else np.asarray(value * (1 + ulps * EPS * sign.astype(self.dtype)))

        self.meta = {"scale": network.scale, "paired": network.paired, "p": case.p, "hidden": list(case.hidden)}
        amplitudes = None if network.amplitudes is None else moved(network.amplitudes)
        self.network = replace(network, backend=wide, amplitudes=amplitudes)
        self.points = moved(self.given["points"])
        self.target = moved(self.given["target"])
        self.theta = {name: moved(value) for name, value in self.params.items()}
        self.v = {name: moved(self.given[f"v.{name}"]) for name in self.params}
        self.fmap: Any = LinearMap(self.points, wide) if amplitudes is None else DenseMap(self.points, wide)
        self.w = moved(self.given["w"])
        self.loss = LpLoss(case.p)

    def hessian_product(self, v: Tensors) -> Tensors:
        return {name: np.imag(value) / STEP for name, value in self.gradient(self.stepped(v)).items()}

    def value(self, theta: dict[str, Any]) -> Any:
        return definition(self.network, theta, self.points)

    def objective(self, theta: dict[str, Any]) -> Any:
        e = (self.value(theta) - self.target) / self.case.size
        return self.case.size * np.mean(e**self.case.p) ** (1 / self.dtype(self.case.p))

    def gradient(self, theta: dict[str, Any]) -> dict[str, Any]:
        """By the hand-written formulas, which `simsnn_ref.verify` checks, in the precision of `theta`."""
        u, activations = self.network.forward(theta, self.fmap)
        return self.network.vjp(theta, self.fmap, activations, self.loss.vjp(np, u - self.target))

    def stepped(self, direction: Tensors) -> dict[str, Any]:
        return {name: value + 1j * STEP * direction[name] for name, value in self.theta.items()}

    def forward(self) -> Tensors:
        found: Tensors = {}
        gamma = self.points.T
        if self.network.amplitudes is not None:
            gamma = self.fmap.forward(
                np.eye(self.network.n_features, dtype=self.dtype), self.network.features(self.theta)
            )
            found["features"] = gamma
        z = self.theta["W1"] @ gamma + self.theta["c1"][:, None]
        found["z1"] = z
        for layer in range(2, len(self.case.hidden) + 2):
            z = self.theta[f"W{layer}"] @ np.tanh(z) + self.theta[f"c{layer}"][:, None]
            found[f"z{layer}"] = z
        return found | {"u": z[0], "loss": np.asarray(self.objective(self.theta))}

    def backward(self) -> Tensors:
        w = self.w
        Jv = np.imag(self.value(self.stepped(self.v))) / STEP
        JTw = complex_step(lambda theta: self.value(theta) @ w, self.theta)
        return {
            **_named("grad", complex_step(self.objective, self.theta)),
            "Jv": Jv,
            **_named("JTw", JTw),
            **_named("Hv", self.hessian_product(self.v)),
        }

    def updates(self) -> Tensors:
        gradient = self.gradient(self.theta)
        first, state = ADAM.update(np, self.theta, gradient, ADAM.init(np, self.theta), LEARNING_RATE)
        theta, losses = first, [self.objective(self.theta)]
        for _ in range(TRAINING_STEPS - 1):
            losses.append(self.objective(theta))
            theta, state = ADAM.update(np, theta, self.gradient(theta), state, LEARNING_RATE)
        return {
            **_named("adam", first),
            **_named("gauss_newton", self._gauss_newton()),
            "train.loss": np.asarray(losses),
            **_named("train", theta),
        }

    def _gauss_newton(self) -> Tensors:
        J = complex_step_jacobian(self.value, self.theta)
        normal = J.T @ J
        normal = normal + DAMPING * np.trace(normal) / len(normal) * np.eye(len(normal), dtype=self.dtype)
        d = _solve(normal, -(J.T @ (self.value(self.theta) - self.target)))
        step, start = {}, 0
        for name, value in self.theta.items():
            step[name] = d[start : start + value.size].reshape(value.shape)
            start += value.size
        return step

    def found(self) -> Tensors:
        """All that is not given."""
        return {**self.forward(), **self.backward(), **self.updates()}


def _bound(name: str) -> float:
    return LEAST_SQUARES if name.startswith("gauss_newton.") else ROUNDED_ONCE


def _relative(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.sum((value - reference) ** 2) / np.sum(reference**2)))


def _named(kind: str, tensors: Tensors) -> Tensors:
    return {f"{kind}.{name}": value for name, value in tensors.items()}


def _solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cholesky's method for a symmetric positive definite matrix, in long double, which LAPACK has not."""
    n, L = len(A), np.zeros_like(A)
    for j in range(n):
        L[j:, j] = A[j:, j] - L[j:, :j] @ L[j, :j]
        L[j:, j] /= np.sqrt(L[j, j])
    y, x = np.zeros_like(b), np.zeros_like(b)
    for j in range(n):
        y[j] = (b[j] - L[j, :j] @ y[:j]) / L[j, j]
    for j in reversed(range(n)):
        x[j] = (y[j] - L[j + 1 :, j] @ x[j + 1 :]) / L[j, j]
    return x


def export(folder: str | Path, which: str = "small", say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Write a set of cases to a folder, which is made; returns their names.

    Raises
    ------
    ConfigError
        If there is no such set, or long double is no wider than float64.
    OutputError
        If something cannot be written.
    """
    if which not in SETS:
        raise ConfigError(f"set {which!r}: choose one of {', '.join(SETS)}")
    if not is_extended():
        raise ConfigError(
            "reference cases need a long double wider than float64 to be computed; they can be checked here"
        )
    folder = Path(folder)
    entries = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for case in SETS[which]:
            say(case.name)
            exact = _Exact(case)
            found, moved, rounded = (
                exact.found(),
                _Exact(case, 0.5).found(),
                _Exact(case, backend=NumpyBackend()).found(),
            )
            path = folder / f"{case.name}.safetensors"
            tensors = {**exact.given, **exact.params, **found}
            tensors = {name: np.asarray(value, dtype=np.float64) for name, value in tensors.items()}
            write_file(path, {"case": case.name, **exact.meta}, tensors, KIND)
            shapes = {
                name: {
                    "shape": list(value.shape),
                    "bound": _bound(name) if name in found else 0.0,
                    "sensitivity": max(_relative(other[name], found[name]) for other in (moved, rounded))
                    if name in found
                    else 0.0,
                }
                for name, value in tensors.items()
            }
            entries.append(
                {
                    "name": case.name,
                    "file": path.name,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "first_layer": case.first_layer,
                    "size": case.size,
                    **exact.meta,
                    "tensors": shapes,
                }
            )
        manifest = {
            "schema": SCHEMA,
            "adam": {"learning_rate": LEARNING_RATE, "beta1": ADAM.beta1, "beta2": ADAM.beta2, "epsilon": ADAM.epsilon},
            "gauss_newton": {"damping": DAMPING},
            "training_steps": TRAINING_STEPS,
            "cases": entries,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return [case.name for case in SETS[which]]


def _inputs(names: Sequence[str] | Tensors) -> set[str]:
    """Names of what is given: the parameters and directions have no dot, or the one of v."""
    parameters = {name[2:] for name in names if name.startswith("v.")}
    return {*GIVEN, *parameters, *(name for name in names if name.startswith("v."))}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    manifest: dict[str, Any] = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ModelFileError(f"{path}: not a manifest of schema {SCHEMA}")
    conform(manifest, MANIFEST, f"{path}: manifest")
    for entry in manifest["cases"]:
        for name in (entry["name"], entry["file"]):
            if name in ("", ".", "..") or not set(name).isdisjoint("/\\\0"):
                raise ModelFileError(f"{path}: {shown(name)} is not the name of a file in this folder")
    return manifest


def check(folder: str | Path, candidate: str | Path, tolerance: float = 1e-13) -> list[Check]:
    """Compare a candidate's tensors with the reference, from the forward pass down.

    Parameters
    ----------
    folder : str or Path
        Of `export`.
    candidate : str or Path
        A folder with a file for each case, NAME.safetensors or NAME.npz; it may leave out cases and kinds of tensors
        (all of ``Hv``, say), not single tensors of a kind.
    tolerance : float
        Of a tensor, relative to its 2-norm; `ROUNDINGS` times its sensitivity where that is more.

    Returns
    -------
    list of Check
        One a tensor, in the order of the module's description.

    Raises
    ------
    ModelFileError
        If a manifest or a file is missing, damaged or foreign, or tensors are missing, one too many, misnamed,
        misshaped, of another type, or not finite; a line for each.
    """
    folder, candidate = Path(folder), Path(candidate)
    manifest = _read_manifest(folder)
    checks: list[Check] = []
    problems: list[str] = []
    for entry in manifest["cases"]:
        found = next((p for s in (".safetensors", ".npz") if (p := candidate / f"{entry['name']}{s}").exists()), None)
        if found is None:
            continue
        path = folder / entry["file"]
        _, expected = read_file(path, KIND)
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise ModelFileError(f"{path}: not the file that the manifest names: its SHA-256 differs")
        if entry["tensors"].keys() != expected.keys():
            raise ModelFileError(f"{path}: its tensors are not those of the manifest")
        got = read_tensors(found)
        problems += _problems(str(found), got, expected)
        if not problems:
            checks += _check_case(entry, got, expected, tolerance)
    if problems:
        raise ModelFileError("\n".join(problems))
    if not checks:
        names = ", ".join(entry["name"] for entry in manifest["cases"])
        raise ModelFileError(f"{candidate}: holds none of the cases {names} as .safetensors or .npz")
    return checks


def _problems(where: str, got: Tensors, expected: Tensors) -> list[str]:
    """What makes a candidate's file impossible to compare, a line each."""
    known = set(expected) - _inputs(expected)
    kinds = {name.partition(".")[0] for name in got}
    lines = [f"{where}: {name} is none of the tensors of this case" for name in got if name not in expected]
    lines += [
        f"{where}: {name} is missing beside the others of its kind"
        for name in sorted(known)
        if name not in got and "." in name and name.partition(".")[0] in kinds
    ]
    for name in sorted(known & set(got)):
        if got[name].shape != expected[name].shape:
            lines.append(f"{where}: {name} has the shape {got[name].shape}, expected {expected[name].shape}")
        elif not np.all(np.isfinite(got[name])):
            lines.append(f"{where}: {name} holds numbers that are not finite")
    return lines


def _check_case(entry: dict[str, Any], got: Tensors, expected: Tensors, tolerance: float) -> list[Check]:
    inputs = _inputs(expected)
    return [
        compare(
            tensor.partition(".")[0],
            entry["name"],
            {tensor: got[tensor]},
            {tensor: reference},
            max(tolerance, ROUNDINGS * float(entry["tensors"][tensor]["sensitivity"])),
        )
        for tensor, reference in expected.items()
        if tensor in got and tensor not in inputs
    ]
