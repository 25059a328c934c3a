"""The field between samples that do not repeat: this package in mode accurate beside SciPy's interpolation, in one run.

    python asv_bench/between_samples.py [--dimensions 1] [--sizes 17,33,65,129,257] [--markdown]

For each field and number of samples per axis: the largest error between the samples, and that of the gradient, at
random points of the whole box, edges included, relative to the largest value of field and gradient; of this package and
of the best of SciPy's splines of degree 3, 5 and 9, FloaterHormannInterpolator (d = 3, 5, 8, 12) and in one dimension
AAA; and the RMS error that the fit expects there over the true one.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.interpolate import AAA, FloaterHormannInterpolator, make_interp_spline

from simsnn_ref import Grid, fit

Field = Callable[..., np.ndarray]

LINES: dict[str, Field] = {
    "exp(x)": np.exp,
    "1/(1 + 25 x^2)": lambda x: 1.0 / (1.0 + 25.0 * x**2),
    "log(x + 2) cos(2x + x^3)": lambda x: np.log(x + 2.0) * np.cos(2.0 * x + x**3),
    "sin 20x": lambda x: np.sin(20.0 * x),
    "abs(x)^3": lambda x: np.abs(x) ** 3,
    "tanh 20x": lambda x: np.tanh(20.0 * x),
    "sqrt(x + 1.01)": lambda x: np.sqrt(x + 1.01),
    "sin 20(x + 1.2)^2": lambda x: np.sin(20.0 * (x + 1.2) ** 2),
}


def _franke(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = 4.5 * (x + 1.0), 4.5 * (y + 1.0)
    return (
        0.75 * np.exp(-((x - 2.0) ** 2 + (y - 2.0) ** 2) / 4.0)
        + 0.75 * np.exp(-((x + 1.0) ** 2) / 49.0 - (y + 1.0) / 10.0)
        + 0.5 * np.exp(-((x - 7.0) ** 2 + (y - 3.0) ** 2) / 4.0)
        - 0.2 * np.exp(-((x - 4.0) ** 2) - (y - 7.0) ** 2)
    )


def _peaks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = 3.0 * x, 3.0 * y
    return (
        3.0 * (1.0 - x) ** 2 * np.exp(-(x**2) - (y + 1.0) ** 2)
        - 10.0 * (x / 5.0 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1.0) ** 2) - y**2) / 3.0
    )


PLANES: dict[str, Field] = {
    "u_g": lambda x, y: (np.sin(2.0 * x + 1.0) - 0.5 * x) * (1.0 - y**2),
    "Franke": _franke,
    "peaks": _peaks,
    "tanh 5(x + y)": lambda x, y: np.tanh(5.0 * (x + y)),
    "1/(1 + 25 r^2)": lambda x, y: 1.0 / (1.0 + 25.0 * (x**2 + y**2)),
    "exp(x) sin(pi y), y repeats": lambda x, y: np.exp(x) * np.sin(np.pi * y),
}

SOLIDS: dict[str, Field] = {
    "exp(x) sin(2y) cos(z)": lambda x, y, z: np.exp(x) * np.sin(2.0 * y) * np.cos(z),
    "1/(1 + r^2)": lambda x, y, z: 1.0 / (1.0 + x**2 + y**2 + z**2),
}

FIELDS = {1: LINES, 2: PLANES, 3: SOLIDS}
SIZES = {1: (17, 33, 65, 129, 257), 2: (17, 33, 65, 129), 3: (17, 33)}
POINTS = 4000
STEP = 1e-20


def gradient(field: Field, points: np.ndarray) -> np.ndarray:
    """By complex steps; abs(x)^3 by its formula."""
    if field is LINES["abs(x)^3"]:
        return 3.0 * points * np.abs(points)
    columns = []
    for axis in range(points.shape[1]):
        moved = points.astype(np.complex128)
        moved[:, axis] += 1j * STEP
        columns.append(np.imag(field(*moved.T)) / STEP)
    return np.stack(columns, axis=1)


def tensor_product(u: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """Values (m,) from the weights (m, n) of the samples along each axis."""
    values = np.einsum("ij,j...->i...", weights[0], u)
    for weight in weights[1:]:
        values = np.einsum("ij,ij...->i...", weight, values)
    return values


def scipy_errors(u: np.ndarray, grid: Grid, points: np.ndarray, exact: np.ndarray, slopes: np.ndarray) -> dict:
    """Largest errors of the field and, of splines, of the gradient, by method."""
    axes, d, found = grid.scaled_axes(), grid.ndim, {}
    for degree in (3, 5, 9):
        if min(grid.shape) > degree:
            lines = [make_interp_spline(x, np.eye(len(x)), degree) for x in axes]
            weights = [line(points[:, axis]) for axis, line in enumerate(lines)]
            slope = [
                tensor_product(u, [*weights[:axis], line.derivative()(points[:, axis]), *weights[axis + 1 :]])
                for axis, line in enumerate(lines)
            ]
            found[f"spline {degree}"] = (tensor_product(u, weights), np.stack(slope, axis=1))
    for degree in (3, 5, 8, 12):
        if min(grid.shape) > degree:
            lines = [FloaterHormannInterpolator(x, np.eye(len(x)), d=degree) for x in axes]
            weights = [line(points[:, axis]) for axis, line in enumerate(lines)]
            found[f"Floater-Hormann {degree}"] = (tensor_product(u, weights), None)
    if d == 1:
        found["AAA"] = (AAA(axes[0], u)(points[:, 0]), None)
    return {
        name: (np.max(np.abs(values - exact)), np.inf if slope is None else np.max(np.abs(slope - slopes)))
        for name, (values, slope) in found.items()
    }


def measure(name: str, field: Field, shape: tuple[int, ...]) -> dict:
    """One row of the table."""
    d = len(shape)
    periodic = (False, True) if name.endswith("y repeats") else (False,) * d
    grid = Grid(shape, -1.0, 1.0, periodic)
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (POINTS, d))
    u = field(*grid.points().T).reshape(shape)
    exact, slopes = field(*points.T), gradient(field, points)
    started = time.perf_counter()
    model = fit(u, grid, certify=False)
    seconds = time.perf_counter() - started
    error, slope = model(points) - exact, model.gradient(points) - slopes
    last, (size, steepness) = model.history.stages[-1], (np.max(np.abs(exact)), np.max(np.abs(slopes)))
    others = scipy_errors(u, Grid(shape, periodic=False), points, exact, slopes) if not any(periodic) else {}
    if any(periodic):
        # SciPy's splines with the period's end sampled too: what a user would do.
        whole = Grid((shape[0], shape[1] + 1), periodic=False)
        others = scipy_errors(field(*whole.points().T).reshape(whole.shape), whole, points, exact, slopes)
    best = min(others, key=lambda one: others[one][0])
    return {
        "field": name,
        "samples": " x ".join(map(str, shape)),
        "error": np.max(np.abs(error)) / size,
        "SciPy": others[best][0] / size,
        "by": best,
        "gradient": np.max(np.abs(slope)) / steepness,
        "SciPy's": min(pair[1] for pair in others.values()) / steepness,
        "at samples": last.rms_on_grid,
        "expected / true": model.history.error_between(last) / (np.sqrt(np.mean(error**2)) / model.history.rms),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dimensions", default="1,2,3")
    parser.add_argument("--sizes", help="samples per axis, e.g. 17,33")
    parser.add_argument("--only", default="", help="fields whose name contains this")
    arguments = parser.parse_args()
    header = True
    for d in map(int, arguments.dimensions.split(",")):
        sizes = SIZES[d] if arguments.sizes is None else tuple(map(int, arguments.sizes.split(",")))
        for name, field in FIELDS[d].items():
            for n in sizes if arguments.only in name else ():
                with warnings.catch_warnings():
                    # AAA warns where it does not converge.
                    warnings.simplefilter("ignore", RuntimeWarning)
                    row = measure(name, field, (n,) * d)
                if header:
                    print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
                    header = False
                cells = [f"{cell:.1e}" if isinstance(cell, float) else str(cell) for cell in row.values()]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
