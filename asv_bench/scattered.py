"""Errors of fits of scattered points: on the points, at those held out, and at fresh ones.

python asv_bench/scattered.py [--largest 5000]
"""

import argparse
import time

import numpy as np

from simsnn_ref import Box, fit

TURN = 2.0 * np.pi
FRESH = 1000


def field_1d(x: np.ndarray) -> np.ndarray:
    return np.exp(x[:, 0]) * np.cos(5.0 * x[:, 0]) / (1.5 + x[:, 0])


def field_2d(x: np.ndarray) -> np.ndarray:
    return np.exp(np.sin(x[:, 0])) * np.cos(2.0 * x[:, 1])


def field_3d(x: np.ndarray) -> np.ndarray:
    return np.exp(np.sin(x[:, 0] + x[:, 1])) * np.cos(2.0 * x[:, 2])


def in_hole(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x - 3.0, axis=1) < 1.2


def cases(rng: np.random.Generator):
    """Yield name, field, points, fresh points, noise relative to the RMS, and options."""
    line, cube = (lambda n: rng.uniform(-1.0, 1.0, (n, 1))), (lambda n: rng.uniform(-1.0, 1.0, (n, 3)))
    square = lambda n: rng.uniform(0.0, TURN, (n, 2))  # noqa: E731
    yield "1-D, 500", field_1d, line(500), line(FRESH), 0.0, {}
    for n in (2000, 5000, 20000):
        yield f"2-D, {n}", field_2d, square(n), square(FRESH), 0.0, {}
    periodic = {"box": Box((0.0, 0.0), (TURN, TURN)), "periodic": True}
    yield "2-D, periodic box, 2000", field_2d, square(2000), square(FRESH), 0.0, periodic
    points, fresh = square(2500), square(10 * FRESH)
    points, fresh = points[~in_hole(points)], fresh[in_hole(fresh)]
    yield f"2-D, a hole of radius 1.2, {len(points)}", field_2d, points, fresh, 0.0, {}
    yield "2-D, noise of 1e-4, 2000", field_2d, square(2000), square(FRESH), 1e-4, {}
    for n in (3000, 6000):
        yield f"3-D, {n}", field_3d, cube(n), cube(FRESH), 0.0, {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=20000, help="leave out cases of more points (default 20000)")
    largest = parser.parse_args().largest
    rng = np.random.default_rng(0)
    print("| points | RMS on them | held out | fresh: RMS | fresh: max | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, field, points, fresh, noise, options in cases(rng):
        if len(points) > largest:
            continue
        u, exact = field(points), field(fresh)
        u = u + noise * np.sqrt(np.mean(u**2)) * rng.standard_normal(len(u))
        started = time.perf_counter()
        model = fit(points, u, **options)
        seconds = time.perf_counter() - started
        # Extrapolation is not asked for: the domain is the bounding box of the points.
        box = model.grid.box
        inside = np.all((fresh >= box.lower) & (fresh <= box.upper), axis=1)
        error = (model(fresh[inside]) - exact[inside]) / model.history.rms
        last = model.history.stages[-1]
        print(
            f"| {name} | {last.rms_on_grid:.1e} | {last.rms_off_grid:.1e} | {np.sqrt(np.mean(error**2)):.1e}"
            f" | {np.max(np.abs(error)):.1e} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
