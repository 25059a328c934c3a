"""Print how the reproduction depends on what the paper leaves open (docs/reproduction.md); some minutes.

Run it from the repository's root: python docs/sensitivity.py
"""

from typing import Any

import numpy as np

from simsnn_ref import Grid, NumpyBackend, fit
from simsnn_ref.problems import get_problem
from simsnn_ref.spectrum import fourier_modes

UG, TURBULENCE = get_problem("ug"), get_problem("turbulence")

ADAM: dict[str, Any] = {"steps": (3000,), "learning_rate": 1e-2, "schedule": "exponential"}
SECOND_ORDER: dict[str, Any] = {"optimizer": "levenberg_marquardt", "steps": (14,)}


def three_stages(grid: Grid, first_layer: tuple[str, ...] = ("si",), **options: Any) -> tuple[float, float]:
    """Largest error of a fit of u_g at the samples and at random points, relative to the RMS of u_g."""
    model = fit(
        UG.target, grid, mode="paper", first_layer=first_layer, n_features=(50,), stages=3, p=10.0, seed=1, target=0.0,
        stall_tolerance=0.0, certify=False, train_wavenumbers=False, **options,
    )  # fmt: skip
    last = model.history.stages[-1]
    assert last.max_off_grid is not None
    return last.max_on_grid, last.max_off_grid


def show(what: str, choice: str, on: float, off: float) -> None:
    """One row of the table."""
    print(f"| {what} | {choice} | {on:.1e} | {off:.1e} |", flush=True)


def main() -> None:
    """The table of u_g, then the spectra of the simulated snapshot."""
    print("| left open | choice | max on grid | max off grid |\n| --- | --- | --- | --- |")
    for name, options in (("Adam", ADAM), ("Levenberg-Marquardt", SECOND_ORDER)):
        for size in (24, 32, 48):
            show("grid of section 4.1", f"{size}^2, both ends, {name}", *three_stages(UG.grid(size), **options))
        ends = Grid((32, 32), -1.0, 1.0, periodic=True)
        show("grid of section 4.1", f"32^2, end left out, {name}", *three_stages(ends, **options))
    grid = UG.grid(32)
    for schedule in ("exponential", "plateau", "constant"):
        for rate in (1e-2, 1e-3):
            chosen = {**ADAM, "schedule": schedule, "learning_rate": rate, "plateau_window": 200}
            show("annealing", f"{schedule}, {rate:g} at first", *three_stages(grid, **chosen))
    for epsilon, name in ((1e-8, "mean"), (1e-8 / grid.size**0.1, "sum, as printed")):
        # Adam divides by the gradient's own size: a factor on the loss is one on epsilon.
        show("loss, eq. 7", name, *three_stages(grid, epsilon=epsilon, **ADAM))
    for layers, name in ((("none", "msnn"), "plain first stage"), (("msnn",), "cosines in every stage")):
        show("scale factor", name, *three_stages(grid, layers, **SECOND_ORDER))

    print("\n- *max on grid, max off grid*: largest error at the samples and at random points, over the RMS of u_g")
    print("\n| initial spectrum | n_f | amplitude of mode n_f / largest | modes above 1e-3 of the largest |")
    print("| --- | --- | --- | --- |")
    for spectrum in ("amplitude", "power"):
        u = TURBULENCE.samples(512, spectrum=spectrum)
        amplitudes = np.asarray(fourier_modes(u, TURBULENCE.grid(512), NumpyBackend()).amplitudes)
        for n_f in (1359, 10000):
            relative = amplitudes / amplitudes[0]
            print(f"| {spectrum} | {n_f} | {relative[n_f - 1]:.1e} | {int(np.sum(relative > 1e-3))} |", flush=True)


if __name__ == "__main__":
    main()
