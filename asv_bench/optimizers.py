"""Error against wall time of Adam, L-BFGS, Gauss-Newton and Levenberg-Marquardt: one stage of mode paper each.

Run it from anywhere; it prints a table and, with matplotlib, writes optimizers.png:

    python asv_bench/optimizers.py [--seconds 30] [--size 64]

The problems are `ug` and `turbulence` (Re = 300). Methods run one after the other in one process, so that their ratios
mean something although the seconds are this machine's.
"""

import argparse
import importlib.util
import time

import numpy as np

from simsnn_ref import Callback, ConfigError, FitConfig, Step, fit
from simsnn_ref.problems import get_problem

METHODS = ("adam", "lbfgs", "gauss_newton", "levenberg_marquardt")


class Clock(Callback):
    """Wall time and relative RMS before each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.rms: list[float] = []
        self.started = 0.0

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        self.started = time.perf_counter()

    def on_step(self, step: Step) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        self.rms.append(step.rms)


def run(name: str, size: int, method: str, seconds: float) -> Clock | None:
    """Fit one stage; None if the problem is too large for the method."""
    problem, clock = get_problem(name), Clock()
    options = {"reynolds": 300.0} if name == "turbulence" else {}
    steps = 10**6 if method == "adam" else 10**4
    config = FitConfig.of(
        mode="paper", stages=1, p=2, optimizer=method, steps=(steps,), max_seconds=seconds, certify=False,
        schedule="constant", learning_rate=1e-3, target_rms=1e-15, train_wavenumbers=False,
    )  # fmt: skip
    try:
        model = fit(problem.samples(size, **options), problem.grid(size), config, callbacks=[clock])
    except ConfigError:
        return None
    clock.seconds.append(model.history.stages[0].seconds)
    clock.rms.append(model.history.stages[0].rms_on_grid)
    return clock


def main() -> None:
    """Run every method on both problems and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each method and problem")
    parser.add_argument("--size", type=int, default=0, help="samples per axis (default: 64 for ug, 128 for turbulence)")
    arguments = parser.parse_args()
    curves = {
        (name, method): run(name, arguments.size or default, method, arguments.seconds)
        for name, default in (("ug", 64), ("turbulence", 128))
        for method in METHODS
    }
    print(f"{'problem':12}{'method':22}{'steps':>7}{'seconds':>9}{'RMS':>11}")
    for (name, method), clock in curves.items():
        if clock is None:
            print(f"{name:12}{method:22}{'too large for a dense method':>27}")
        else:
            print(f"{name:12}{method:22}{len(clock.rms) - 1:7d}{clock.seconds[-1]:9.1f}{clock.rms[-1]:11.2e}")
    if importlib.util.find_spec("matplotlib") is not None:
        plot(curves)


def plot(curves: dict[tuple[str, str], Clock | None]) -> None:
    """Error against wall time, one panel a problem."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, problem in zip(figure.subplots(1, 2), ("ug", "turbulence"), strict=True):
        for (name, method), clock in curves.items():
            if name == problem and clock is not None:
                axes.loglog(np.maximum(clock.seconds, 1e-2), clock.rms, label=method)
        axes.set(title=problem, xlabel="seconds", ylabel="RMS on the grid, relative")
        axes.legend()
    figure.savefig("optimizers.png", dpi=120)
    print("optimizers.png")


if __name__ == "__main__":
    main()
