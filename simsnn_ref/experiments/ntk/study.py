"""What section 2.3 argues from and does not show: the neural tangent kernel of each first layer, and training by it.

Gradient descent on half the mean square of e = u - t over n points,

    theta <- theta - eta J^T e / n,    J = du/dtheta,

changes the residue to first order in eta by e <- (I - eta K) e with the kernel K = J J^T / n, whose eigenvalues hardly
depend on n. As long as J does not move, the component of e on each eigenvector decays by itself,

    v_i.e(t) = (1 - eta lambda_i)^t v_i.e(0),    about exp(-eta lambda_i t),

and eta < 2 / lambda_1 bounds the pace of all others by that of the first. In a finite network J does move, so that this
is a prediction to be measured against: `run` trains each network and compares.

The target is a sum of three waves over a periodic interval. Every network starts as in mode ``paper``, with Xavier
weights, and takes the same number of steps of the same eta lambda_1.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.experiments.base import Claim, Outcome, Settings, Table
from simsnn_ref.network import LinearMap, Network, Parameters, initialize, make_map
from simsnn_ref.optimizers import Jacobian, LpLoss, Objective, kernel
from simsnn_ref.report.drawing import (
    LINE_HEIGHT,
    PANEL_WIDTH,
    QUIET_COLOUR,
    SMALL,
    draw_legend,
    draw_line,
    label,
    new_figure,
    stage_colour,
)
from simsnn_ref.spectrum import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Eigensystem", "eigensystem", "gradient_descent", "neural_tangent_kernel", "run"]

TITLE = "Neural tangent kernel: what each first layer learns first"

FIRST_LAYERS = ("none", "rff", "ffm", "msnn", "si")

WAVES = ((1, 1.0, 0.3), (4, 0.8, 1.1), (16, 0.6, 2.0))
"""Cycles over [-1, 1], amplitude and phase. Amplitudes differ: waves of one amplitude share an eigenvalue of si's
kernel, and its eigenvectors would be any mixture of them."""

CYCLES = tuple(m for m, *_ in WAVES)

DEPTH = 3
SIGMA = 4.0
"""Of rff and ffm, in cycles per unit: the highest wave, 8 per unit, is two standard deviations out."""

FEATURES_PER_UNIT = 2
"""n_f of a random first layer for each unit of a hidden one, so that all layers widen together; si has one feature for
each wave of the target."""

LEADING, SHOWN = 5, 12
"""Eigenvectors whose wavenumbers are averaged, and told one by one."""

PACE = 0.1
"""eta lambda_1: small enough that (1 - eta lambda)^t and exp(-eta lambda t) are nearly the same."""

SUBSTANTIAL = 0.1
"""A mode is judged by itself if it starts with this share of the residue's norm and is predicted to halve."""

MACHINE_EPSILON = 2.0**-52

# Thresholds of the claims.
RAPID = 1e-3
AGREEMENT = 0.1
NEARLY_ALL, NEARLY_NOTHING = 0.9, 0.1


@dataclass(frozen=True)
class _Size:
    points: int
    widths: tuple[int, ...]
    seeds: int
    steps: int = 200


_SIZES = {
    "quick": _Size(points=128, widths=(30, 100), seeds=3),
    "laptop": _Size(points=256, widths=(30, 100, 300), seeds=3),
    "paper": _Size(points=1024, widths=(30, 100, 300, 1000), seeds=20, steps=2000),
}


# The kernel


@dataclass(frozen=True)
class Eigensystem:
    """K v_i = lambda_i v_i, the largest first.

    Attributes
    ----------
    values : ndarray, shape (n,)
    vectors : ndarray, shape (n, n)
        v_i is column i, of norm 1.
    """

    values: np.ndarray
    vectors: np.ndarray


def neural_tangent_kernel(objective: Objective, params: Parameters) -> np.ndarray:
    """K = J J^T / n, shape (n_points, n_points), from products over one layer each; no J is formed.

    This is the data-space kernel J D^2 J^T of Levenberg-Marquardt with D = I.
    """
    _, _, activations = objective.evaluate(params)
    K = kernel(Jacobian(objective, params, activations))
    return objective.backend.to_numpy(K) / objective.fmap.n_points


def eigensystem(K: np.ndarray) -> Eigensystem:
    """Eigenvalues and eigenvectors of a symmetric matrix."""
    values, vectors = np.linalg.eigh(K)
    return Eigensystem(values[::-1], vectors[:, ::-1])


def _power(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|m| of each entry of the DFT, shape (n,), and each column's share of power there, shape (n, columns)."""
    n = vectors.shape[0]
    power = np.abs(np.fft.fft(vectors, axis=0)) ** 2
    return np.abs(np.fft.fftfreq(n, 1.0 / n)), power / np.sum(power, axis=0)


def _mean_wavenumbers(vectors: np.ndarray) -> np.ndarray:
    """sum_m |m| |v^(m)|^2 / sum_m |v^(m)|^2 of each column, in cycles over the interval."""
    m, power = _power(vectors)
    mean: np.ndarray = m @ power
    return mean


def _shares_on_target(vectors: np.ndarray) -> np.ndarray:
    """Each column's share of power at the target's wavenumbers and at 0, which every bias adds."""
    m, power = _power(vectors)
    share: np.ndarray = np.sum(power[np.isin(m, (0, *CYCLES)), :], axis=0)
    return share


def _effective_rank(values: np.ndarray) -> float:
    """(sum_i lambda_i)^2 / sum_i lambda_i^2: r for r equal eigenvalues."""
    return float(np.sum(values) ** 2 / np.sum(values**2))


# Training


def gradient_descent(objective: Objective, params: Parameters, eta: float, steps: int) -> tuple[np.ndarray, Parameters]:
    """Plain gradient descent on |e|^2 / 2n, theta <- theta - eta J^T e / n.

    Returns
    -------
    residues : ndarray, shape (steps + 1, n_points)
        e before each step and after the last.
    params : dict of Array
        After the last step.
    """
    n = objective.fmap.n_points
    _, e, activations = objective.evaluate(params)
    residues = [objective.backend.to_numpy(e)]
    for _ in range(steps):
        gradient = objective.network.vjp(params, objective.fmap, activations, e / n)
        params = params | {name: params[name] - eta * gradient[name] for name in gradient}
        _, e, activations = objective.evaluate(params)
        residues.append(objective.backend.to_numpy(e))
    return np.stack(residues), params


def _predict(system: Eigensystem, start: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """(1 - eta lambda_i)^t v_i.e(0), shape (steps + 1, n)."""
    predicted: np.ndarray = start * (1.0 - eta * system.values) ** np.arange(steps + 1)[:, None]
    return predicted


def _amplitudes(residues: np.ndarray) -> np.ndarray:
    """Amplitudes of the target's waves in each row, shape (rows, waves)."""
    amplitudes: np.ndarray = 2.0 / residues.shape[1] * np.abs(np.fft.fft(residues, axis=1)[:, CYCLES])
    return amplitudes


# One network


@dataclass(frozen=True)
class _Trained:
    """A network, its kernel at the start, and its training.

    Attributes
    ----------
    embedded : float or None
        Mean wavenumber of the features, in cycles over the interval; None where there are none.
    values, wavenumbers, on_target : ndarray, shape (n,)
        Eigenvalues; mean wavenumber of each eigenvector; its share of power at the target's wavenumbers and 0.
    reach : float
        Share of the target's energy on eigenvectors with at least 1 % of the largest eigenvalue.
    measured, predicted : ndarray, shape (steps + 1, n)
        Components of the residue on the eigenvectors.
    waves, predicted_waves : ndarray, shape (steps + 1, number of waves)
        What is left of the target's waves in the residue, relative to the start.
    moved : float
        |K(end) - K(start)|_F / |K(start)|_F.
    """

    first_layer: str
    width: int
    seed: int
    n_features: int
    n_parameters: int
    embedded: float | None
    values: np.ndarray
    wavenumbers: np.ndarray
    on_target: np.ndarray
    reach: float
    measured: np.ndarray
    predicted: np.ndarray
    waves: np.ndarray
    predicted_waves: np.ndarray
    moved: float

    def relative(self, number: int) -> float:
        """Eigenvalue `number`, counted from 1, relative to the largest; what is below rounding counts as eps."""
        return max(float(self.values[number - 1] / self.values[0]), MACHINE_EPSILON)

    @property
    def disagreement(self) -> float:
        """max_t |measured - predicted| / |e(0)|, of the whole residue."""
        distance = np.linalg.norm(self.measured - self.predicted, axis=1)
        return float(np.max(distance) / np.linalg.norm(self.measured[0, :]))

    @property
    def judged(self) -> np.ndarray:
        """Indices of the modes that are judged by themselves (`SUBSTANTIAL`)."""
        start, end = np.abs(self.predicted[0, :]), np.abs(self.predicted[-1, :])
        return np.flatnonzero((start >= SUBSTANTIAL * np.linalg.norm(start)) & (end <= 0.5 * start))

    @property
    def mode_disagreement(self) -> float | None:
        """max_t |measured - predicted| / |start| of the worst judged mode; None if there is none."""
        modes = self.judged
        if modes.size == 0:
            return None
        distance = np.abs(self.measured - self.predicted)[:, modes]
        return float(np.max(distance / np.abs(self.measured[0, modes])))

    def numbers(self) -> dict[str, Any]:
        """For JSON; `SHOWN` eigenvectors, and curves at every tenth step."""
        modes = self.judged
        return {
            "first_layer": self.first_layer,
            "width": self.width,
            "seed": self.seed,
            "n_features": self.n_features,
            "n_parameters": self.n_parameters,
            "embedded_wavenumber": self.embedded,
            "eigenvalues": self.values.tolist(),
            "mean_wavenumbers": self.wavenumbers[:SHOWN].tolist(),
            "shares_on_target": self.on_target[:SHOWN].tolist(),
            "target_share_within_reach": self.reach,
            "effective_rank": _effective_rank(self.values),
            "kernel_moved": self.moved,
            "disagreement": self.disagreement,
            "mode_disagreement": self.mode_disagreement,
            "judged_modes": (modes + 1).tolist(),
            "judged_modes_measured": self.measured[::10, modes].T.tolist(),
            "judged_modes_predicted": self.predicted[::10, modes].T.tolist(),
            "waves_measured": self.waves[::10, :].T.tolist(),
            "waves_predicted": self.predicted_waves[::10, :].T.tolist(),
        }


def _target(grid: Grid) -> np.ndarray:
    """The sum of `WAVES`, of RMS 1."""
    (x,) = grid.scaled_axes()
    t = np.sum([amplitude * np.cos(np.pi * m * x + phase) for m, amplitude, phase in WAVES], axis=0)
    target: np.ndarray = t / np.sqrt(np.mean(t**2))
    return target


def _start(first_layer: str, width: int, seed: int, points: int) -> tuple[Objective, Parameters]:
    """The network as mode ``paper`` starts it, and the squared loss."""
    backend, grid = NumpyBackend(), Grid((points,))
    target = _target(grid)
    network, params = initialize(
        first_layer,
        target,
        grid,
        n_features=len(WAVES) if first_layer == "si" else FEATURES_PER_UNIT * width,
        hidden=(width,) * DEPTH,
        rng=np.random.default_rng(seed),
        backend=backend,
        sigma=SIGMA,
    )
    if first_layer == "none":
        fmap = LinearMap(backend.asarray(grid.scaled_points()), backend)
    else:
        fmap = make_map(grid, backend, indices=network.indices)
    return Objective(network, fmap, target, LpLoss(2.0), backend), params


def _embedded_wavenumber(network: Network, params: Parameters) -> float | None:
    features = network.features(params)
    return None if features is None else float(np.mean(np.abs(features.wavenumbers)) / np.pi)


def _study(first_layer: str, width: int, seed: int, size: _Size) -> _Trained:
    """The kernel at the start, and `size.steps` steps of gradient descent beside what it predicts."""
    objective, params = _start(first_layer, width, seed, size.points)
    K = neural_tangent_kernel(objective, params)
    system = eigensystem(K)
    eta = PACE / float(system.values[0])
    residues, trained = gradient_descent(objective, params, eta, size.steps)
    measured = residues @ system.vectors
    predicted = _predict(system, measured[0, :], eta, size.steps)
    waves, predicted_waves = _amplitudes(residues), _amplitudes(predicted @ system.vectors.T)
    moved = neural_tangent_kernel(objective, trained) - K
    target = system.vectors.T @ objective.target
    return _Trained(
        first_layer=first_layer,
        width=width,
        seed=seed,
        n_features=objective.network.n_features,
        n_parameters=objective.network.n_parameters(params),
        embedded=_embedded_wavenumber(objective.network, params),
        values=system.values,
        wavenumbers=_mean_wavenumbers(system.vectors),
        on_target=_shares_on_target(system.vectors),
        reach=float(np.sum(target[system.values >= 0.01 * system.values[0]] ** 2) / np.sum(target**2)),
        measured=measured,
        predicted=predicted,
        waves=waves / waves[0, :],
        predicted_waves=predicted_waves / waves[0, :],
        moved=float(np.linalg.norm(moved) / np.linalg.norm(K)),
    )


# All networks


class _Study:
    """All trained networks; figures of merit are medians over the seeds."""

    def __init__(self, size: _Size, say: Callable[[str], None]) -> None:
        self.size = size
        self.runs: list[_Trained] = []
        for width in size.widths:
            for first_layer in FIRST_LAYERS:
                say(f"{first_layer}, width {width}: {size.seeds} x {size.steps} steps")
                self.runs += [_study(first_layer, width, seed, size) for seed in range(size.seeds)]

    @property
    def narrowest(self) -> int:
        """The paper's width."""
        return self.size.widths[0]

    @property
    def widest(self) -> int:
        return self.size.widths[-1]

    def of(self, first_layer: str, width: int) -> list[_Trained]:
        """One run for each seed."""
        return [run for run in self.runs if (run.first_layer, run.width) == (first_layer, width)]

    def median(self, first_layer: str, width: int, figure: Callable[[_Trained], float | None]) -> float | None:
        """Of `figure` over the seeds that have one."""
        figures = [value for value in map(figure, self.of(first_layer, width)) if value is not None]
        return float(np.median(figures)) if figures else None

    def number(self, first_layer: str, figure: Callable[[_Trained], float]) -> float:
        """The median at the paper's width."""
        return float(np.median([figure(run) for run in self.of(first_layer, self.narrowest)]))

    def disagreement(self, first_layer: str, width: int) -> float:
        return float(np.median([run.disagreement for run in self.of(first_layer, width)]))


def _kernel_table(study: _Study) -> Table:
    figures: list[Callable[[_Trained], float | None]] = [
        lambda run: float(run.values[0]),
        lambda run: run.relative(10),
        lambda run: run.relative(100),
        lambda run: _effective_rank(run.values),
        lambda run: run.embedded,
        lambda run: float(np.mean(run.wavenumbers[:LEADING])),
        lambda run: float(np.mean(run.on_target[:LEADING])),
        lambda run: run.reach,
    ]
    rows = []
    for first_layer in FIRST_LAYERS:
        first = study.of(first_layer, study.narrowest)[0]
        cells = [study.median(first_layer, study.narrowest, figure) for figure in figures]
        rows.append((first_layer, first.n_features, first.n_parameters, *cells))
    return Table(
        f"The kernel at the start, {DEPTH} x {study.narrowest} units",
        (
            "first layer",
            "n_f",
            "parameters",
            "lambda_1",
            "lambda_10 / lambda_1",
            "lambda_100 / lambda_1",
            "effective rank",
            "wavenumber of the features",
            f"of {LEADING} leading eigenvectors",
            "their power on the target's",
            "target within reach",
        ),
        tuple(rows),
        f"Medians over {study.size.seeds} seeds; {study.size.points} points; wavenumbers are means, in cycles over the"
        f" interval. The target has {', '.join(map(str, CYCLES))}; its wavenumbers count with 0, which every bias adds."
        " Effective rank: (sum lambda)^2 / sum lambda^2. Within reach: the target's energy on eigenvectors with 1 % of"
        " lambda_1 or more. Ratios below 2.2e-16 are rounding and are shown as that. The eigenvectors of none are not"
        " periodic; the jump at the ends raises their mean wavenumber.",
    )


def _wave_table(study: _Study) -> Table:
    def row(first_layer: str) -> tuple[str | float, ...]:
        runs = study.of(first_layer, study.narrowest)
        ends = [np.stack([run.waves[-1, :], run.predicted_waves[-1, :]], axis=1) for run in runs]
        return (first_layer, *np.median(ends, axis=0).ravel().tolist())

    return Table(
        f"What is left of each wave after {study.size.steps} steps of {PACE:g} / lambda_1",
        ("first layer", *(f"wave {m}{kind}" for m in CYCLES for kind in (", measured", ", predicted"))),
        tuple(row(first_layer) for first_layer in FIRST_LAYERS),
        "Amplitude in the residue relative to its start, and by (1 - eta lambda_i)^t with the kernel of the start.",
    )


def _decay_table(study: _Study) -> Table:
    figures: list[Callable[[_Trained], float | None]] = [
        lambda run: float(run.values[0]),
        lambda run: run.moved,
        lambda run: run.disagreement,
        lambda run: run.mode_disagreement,
    ]
    return Table(
        "Decay, measured against predicted",
        ("first layer", "width", "lambda_1", "kernel moved", "residue off by", "worst mode off by", "modes judged"),
        tuple(
            (
                first_layer,
                width,
                *(study.median(first_layer, width, figure) for figure in figures),
                study.median(first_layer, width, lambda run: float(run.judged.size)),
            )
            for first_layer in FIRST_LAYERS
            for width in study.size.widths
        ),
        "Off by: largest difference on the way, relative to the start. The kernel moves while the network trains, so"
        " none of these is zero. Judged by itself is a mode that starts with a tenth of the residue's norm and is"
        " predicted to halve. The first layers rff, ffm and msnn widen with the hidden layers, n_f = 2 width; si has"
        " one feature a wave and none a single input. By Xavier's rule the weights behind them have variance"
        " 2 / (n_f + width), and their lambda_1 hardly grows with it: not the limit in which the kernel stands still.",
    )


# The claims


def _claims(study: _Study) -> tuple[Claim, ...]:
    return (*_spectral_bias(study), *_embedding(study), *_prediction(study))


def _spectral_bias(study: _Study) -> Sequence[Claim]:
    ratio = study.number("none", lambda run: run.relative(10))
    mean = study.number("none", lambda run: float(np.mean(run.wavenumbers[:LEADING])))
    reach = study.number("none", lambda run: run.reach)
    return (
        Claim(
            "section 2.3",
            "the eigenvalues of a conventional MLP decay rapidly",
            f"lambda_10 / lambda_1 = {ratio:.1e} (rapid: below {RAPID:g})",
            ratio < RAPID,
        ),
        Claim(
            "section 2.3",
            "its spectral bias is an eigenvector bias: the leading eigenvectors carry low wavenumbers",
            f"mean wavenumber {mean:.1f} of the {LEADING} leading (low: below the middle wave, {CYCLES[1]});"
            f" {reach:.1%} of the target lies on eigenvectors with 1 % of lambda_1 or more",
            mean < CYCLES[1],
        ),
    )


def _embedding(study: _Study) -> Sequence[Claim]:
    share = study.number("si", lambda run: float(np.mean(run.on_target[:LEADING])))
    reach = study.number("si", lambda run: run.reach)
    left = {name: study.number(name, lambda run: float(run.waves[-1, -1])) for name in FIRST_LAYERS}
    return (
        Claim(
            "section 2.3",
            "principal eigenvectors correspond to the embedded frequencies; with si these are the target's",
            f"{share:.1%} of the power of the {LEADING} leading eigenvectors of si is at the target's wavenumbers or 0,"
            f" and {reach:.1%} of the target within their reach (held: {NEARLY_ALL:.0%} of both)",
            min(share, reach) >= NEARLY_ALL,
        ),
        Claim(
            "section 2.3",
            "embedding the target's frequencies allows rapid convergence in those directions",
            f"of wave {CYCLES[-1]} is left after {study.size.steps} steps: "
            + ", ".join(f"{name} {value:.2g}" for name, value in left.items())
            + f" (held: si at most {NEARLY_NOTHING:g}, none at least {NEARLY_ALL:g})",
            left["si"] <= NEARLY_NOTHING and left["none"] >= NEARLY_ALL,
        ),
    )


def _prediction(study: _Study) -> Sequence[Claim]:
    narrow, wide = study.narrowest, study.widest
    says = (
        "gradient descent converges in each eigenvector at the rate of its eigenvalue, in the limit of infinite width"
    )

    def falls(names: Sequence[str]) -> tuple[str, bool]:
        pairs = {name: (study.disagreement(name, narrow), study.disagreement(name, wide)) for name in names}
        found = ", ".join(f"{name} {first:.1%} to {last:.1%}" for name, (first, last) in pairs.items())
        # What is left out is of order width^(-1/2) (Lee et al. 2019).
        expected = (narrow / wide) ** 0.5
        held = all(last <= expected * first for first, last in pairs.values())
        return (
            f"residue off by, width {narrow} to {wide}: {found} (held: to {expected:.2f} of it, 1 / sqrt(width))",
            held,
        )

    narrow_off = {name: study.disagreement(name, narrow) for name in FIRST_LAYERS}
    worst = max(narrow_off, key=lambda name: narrow_off[name])
    return (
        Claim("section 2.3", f"{says}: networks all of whose layers widen", *falls(("rff", "ffm", "msnn"))),
        Claim(
            "section 2.3", f"{says}: si, whose first layer stays as narrow as the target's spectrum", *falls(("si",))
        ),
        Claim(
            "section 2.3",
            f"the same at the paper's width {narrow}",
            f"residue off by {narrow_off[worst]:.1%} at worst ({worst}), {narrow_off['si']:.1%} with si"
            f" (held: {AGREEMENT:.0%} or less for all)",
            narrow_off[worst] <= AGREEMENT,
        ),
    )


# The figure


def _draw(study: _Study) -> "Figure":
    figure = new_figure(3 * PANEL_WIDTH, 2.2 * LINE_HEIGHT, TITLE)
    axes = figure.subplots(2, 3)
    firsts = {name: study.of(name, study.narrowest)[0] for name in FIRST_LAYERS}
    _draw_eigenvalues(axes[0, 0], firsts)
    _draw_wavenumbers(axes[0, 1], firsts)
    _draw_last_wave(axes[0, 2], firsts)
    _draw_modes(axes[1, 0], firsts["si"])
    _draw_modes(axes[1, 1], firsts["rff"])
    _draw_widths(axes[1, 2], study)
    return figure


def _draw_eigenvalues(axes: Any, firsts: dict[str, _Trained]) -> None:
    for i, (name, trained) in enumerate(firsts.items()):
        relative = trained.values / trained.values[0]
        there = np.flatnonzero(relative > MACHINE_EPSILON)
        draw_line(axes, there + 1, relative[there], color=stage_colour(i), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, title="eigenvalues of the kernel", x="number $i$", y=r"$\lambda_i/\lambda_1$")
    draw_legend(axes, loc="lower left")


def _draw_wavenumbers(axes: Any, firsts: dict[str, _Trained]) -> None:
    for m in CYCLES:
        axes.axhline(m, color=QUIET_COLOUR, linewidth=0.6)
    numbers = np.arange(1, SHOWN + 1)
    for i, (name, trained) in enumerate(firsts.items()):
        # An eigenvalue below n eps of the largest is rounding, and its eigenvector anything.
        known = trained.values[:SHOWN] > trained.values.size * MACHINE_EPSILON * trained.values[0]
        draw_line(axes, numbers[known], trained.wavenumbers[:SHOWN][known], color=stage_colour(i), label=name)
    label(axes, title="their eigenvectors (grey: the target's waves)", x="number $i$", y="mean wavenumber")


def _draw_last_wave(axes: Any, firsts: dict[str, _Trained]) -> None:
    for i, (name, trained) in enumerate(firsts.items()):
        steps = np.arange(trained.waves.shape[0])
        draw_line(axes, steps, trained.waves[:, -1], color=stage_colour(i), label=name)
        draw_line(axes, steps, trained.predicted_waves[:, -1], color=stage_colour(i), linestyle=":")
    axes.set_yscale("log")
    label(axes, title=f"what is left of wave {CYCLES[-1]} (dotted: predicted)", x="step", y="relative to the start")


def _draw_modes(axes: Any, trained: _Trained) -> None:
    for i, mode in enumerate(trained.judged[:LEADING]):
        start = abs(trained.measured[0, mode])
        steps = np.arange(trained.measured.shape[0])
        draw_line(axes, steps, np.abs(trained.measured[:, mode]) / start, color=stage_colour(i), label=f"{mode + 1}")
        draw_line(axes, steps, np.abs(trained.predicted[:, mode]) / start, color=stage_colour(i), linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 10.0)
    label(axes, title=f"{trained.first_layer}: modes (dotted: predicted)", x="step", y="relative to the start")
    draw_legend(axes, loc="upper center", ncols=LEADING, columnspacing=1.0, title="eigenvector", title_fontsize=SMALL)


def _draw_widths(axes: Any, study: _Study) -> None:
    widths = np.asarray(study.size.widths)
    for i, name in enumerate(FIRST_LAYERS):
        off = np.asarray([study.disagreement(name, width) for width in study.size.widths])
        draw_line(axes, widths, off, color=stage_colour(i), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_xticks(widths, labels=[str(width) for width in widths])
    label(axes, title="measured off predicted", x="width", y=r"largest $|e - e_\mathrm{predicted}|/|e(0)|$")


def run(settings: Settings) -> Outcome:
    """The kernels of the first layers, what their leading eigenvectors carry, and training beside their prediction.

    Raises
    ------
    ConfigError
        If an optimizer is asked for.
    """
    if settings.optimizer:
        raise ConfigError("ntk: gradient descent is what the kernel describes; leave --optimizer out")
    started = time.perf_counter()
    size = _SIZES[settings.size]
    study = _Study(size, settings.say)
    numbers = {
        "points": size.points,
        "widths": list(size.widths),
        "seeds": size.seeds,
        "steps": size.steps,
        "eta_lambda_1": PACE,
        "waves": [list(wave) for wave in WAVES],
        "runs": [trained.numbers() for trained in study.runs],
    }
    return Outcome(
        name="ntk",
        title=TITLE,
        settings=settings,
        tables=(_kernel_table(study), _wave_table(study), _decay_table(study)),
        claims=_claims(study),
        numbers=numbers,
        seconds=time.perf_counter() - started,
        draw=lambda: _draw(study),
    )
