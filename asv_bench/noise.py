"""Samples with white noise: this package in mode accurate beside SciPy's smoothing splines, in one run.

    python asv_bench/noise.py [--dimensions 2] [--sizes 64,128] [--levels 1e-2,1e-3,1e-6] [--only NAME]

For each field, number of samples per axis and standard deviation of the noise, all relative to the field's RMS: the RMS
error at the samples and, on a grid four times as fine, between them; of this package and of the best of SciPy's
make_smoothing_spline along each axis and UnivariateSpline or RectBivariateSpline of degree 3 and 5, the smoothing of
each of which is chosen by generalised cross-validation; and the error that the fit expects over the true one between
the samples.
"""

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from between_samples import LINES, PLANES
from scipy.interpolate import RectBivariateSpline, UnivariateSpline, make_smoothing_spline

from simsnn_ref import Grid, fit

Field = Callable[..., np.ndarray]

PERIODIC_LINES: dict[str, Field] = {"exp(3 sin(pi x))": lambda x: np.exp(3.0 * np.sin(np.pi * x))}
PERIODIC_PLANES: dict[str, Field] = {
    "sin(pi x) cos(2 pi y) + ...": lambda x, y: (
        np.sin(np.pi * x) * np.cos(2.0 * np.pi * y) + 0.3 * np.cos(3.0 * np.pi * x + 0.4) * np.sin(np.pi * y)
    ),
    "exp(sin(pi x) + cos(pi y + ...))": lambda x, y: np.exp(
        np.sin(np.pi * x) + np.cos(np.pi * (y + 0.3 * np.sin(np.pi * x)))
    ),
    "sin(12 pi x) sin(7 pi y)": lambda x, y: np.sin(12.0 * np.pi * x) * np.sin(7.0 * np.pi * y),
}
PLANES_WITH_ENDS = {name: field for name, field in PLANES.items() if "repeats" not in name}
FIELDS = {1: ((PERIODIC_LINES, True), (LINES, False)), 2: ((PERIODIC_PLANES, True), (PLANES_WITH_ENDS, False))}
SIZES = {1: "129,257,1025", 2: "64,128"}
FINER = 4
RESIDUES = (0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4)
"""Sums of squares that are left, over those of the noise."""
PENALTIES = 10.0 ** np.arange(-5.0, 6.0, 0.25)


def spline_in_line(x: np.ndarray, u: np.ndarray, degree: int, s: float) -> tuple[UnivariateSpline, int]:
    """With the number of its coefficients."""
    spline = UnivariateSpline(x, u, k=degree, s=s)
    return spline, len(spline.get_coeffs())


def spline_in_plane(
    x: np.ndarray, y: np.ndarray, u: np.ndarray, degree: int, s: float
) -> tuple[RectBivariateSpline, int]:
    """With the number of its coefficients."""
    spline = RectBivariateSpline(x, y, u, kx=degree, ky=degree, s=s)
    return spline, len(spline.get_coeffs())


def smoothing_splines(u: np.ndarray, sigma: float) -> Iterator[Callable[..., np.ndarray]]:
    """One of each kind, by generalised cross-validation, as functions of positions along the axes in samples."""
    axes = [np.arange(n, dtype=np.float64) for n in u.shape]
    make = spline_in_line if u.ndim == 1 else spline_in_plane
    for degree in (3, 5):
        found = []
        for share in RESIDUES:
            # FITPACK does not find every one.
            with contextlib.suppress(ValueError):
                spline, n_coefficients = make(*axes, u, degree, share * u.size * sigma**2)
                if n_coefficients < u.size:
                    found.append((spline.get_residual() / (1.0 - n_coefficients / u.size) ** 2, spline))
        if found:
            yield min(found, key=lambda one: one[0])[1]
    if u.ndim == 1:
        yield make_smoothing_spline(axes[0], u)
        return
    found = []
    for penalty in PENALTIES:
        smoothers = [make_smoothing_spline(x, np.eye(len(x)), lam=penalty) for x in axes]
        matrices = [smoother(x) for smoother, x in zip(smoothers, axes, strict=True)]
        left = np.mean((u - matrices[0] @ u @ matrices[1].T) ** 2)
        freedom = np.prod([np.trace(matrix) for matrix in matrices]) / u.size
        found.append((left / (1.0 - freedom) ** 2, smoothers))
    first, second = min(found, key=lambda one: one[0])[1]
    yield lambda x, y: first(x) @ u @ second(y).T


def measure(field: Field, shape: tuple[int, ...], level: float, *, periodic: bool) -> dict[str, object]:
    """One row of the table."""
    grid = Grid(shape, -1.0, 1.0, periodic)
    fine = grid.refined(FINER)
    exact = field(*fine.points().T).reshape(fine.shape)
    at_samples = (slice(None, None, FINER),) * len(shape)
    scale = np.sqrt(np.mean(exact[at_samples] ** 2))
    u = exact[at_samples] + level * scale * np.random.default_rng(0).standard_normal(shape)
    started = time.perf_counter()
    model = fit(u, grid, certify=False)
    seconds = time.perf_counter() - started
    ours = model(fine).reshape(fine.shape) - exact
    # Beyond the last sample of a period a spline would have to extrapolate.
    inside = tuple(slice(FINER * (n - 1) + 1) for n in shape)
    positions = [np.arange(cut.stop) / FINER for cut in inside]
    ours, exact = ours[inside], exact[inside]
    theirs = [spline(*positions) - exact for spline in smoothing_splines(u, level * scale)]

    def size(error: np.ndarray) -> float:
        return float(np.sqrt(np.mean(error**2)) / scale)

    best = [min(size(error[where]) for error in theirs) for where in (at_samples, ...)]
    last = model.history.stages[-1]
    expected = model.history.error_between(last)
    assert expected is not None
    return {
        "samples": " x ".join(map(str, shape)),
        "noise": f"{level:.0e}",
        "found": f"{model.history.noise:.2e}",
        "error at samples": f"{size(ours[at_samples]):.1e}",
        "SciPy": f"{best[0]:.1e}",
        "ratio": f"{size(ours[at_samples]) / best[0]:.2f}",
        "between": f"{size(ours):.1e}",
        "SciPy's": f"{best[1]:.1e}",
        "expected / true": f"{expected / size(ours):.2f}",
        "modes": last.n_modes,
        "seconds": f"{seconds:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dimensions", type=int, choices=(1, 2), default=2)
    parser.add_argument("--sizes", help="samples per axis, e.g. 64,128")
    parser.add_argument("--levels", default="1e-2,1e-3,1e-6", help="of the noise")
    parser.add_argument("--only", default="", help="fields whose name contains this")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of FITPACK, that a spline is as smooth as it gets
    header, d = True, arguments.dimensions
    sizes = [int(n) for n in (arguments.sizes or SIZES[d]).split(",")]
    for fields, periodic in FIELDS[d]:
        for name, field in fields.items():
            for n in sizes if arguments.only in name else ():
                for level in map(float, arguments.levels.split(",")):
                    row = {"field": name} | measure(field, (n,) * d, level, periodic=periodic)
                    if header:
                        print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
                        header = False
                    print(f"| {' | '.join(map(str, row.values()))} |", flush=True)


if __name__ == "__main__":
    main()
