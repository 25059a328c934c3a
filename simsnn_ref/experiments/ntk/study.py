"""The networks of the study: what the kernel of each says at the start, and how the residue decays in training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS
from simsnn_ref.experiments.ntk.descent import gradient_descent, predicted_components
from simsnn_ref.experiments.ntk.kernel import (
    effective_rank,
    eigensystem,
    mean_wavenumbers,
    neural_tangent_kernel,
    power_at,
)
from simsnn_ref.experiments.ntk.problem import CYCLES, FIRST_LAYERS, amplitudes, starting_point
from simsnn_ref.network import Network, Parameters

__all__ = ["LEADING", "PACE", "SHOWN", "SIZES", "Size", "Study", "TrainedNetwork"]

LEADING, SHOWN = 5, 12
"""Numbers of eigenvectors: those whose wavenumbers are averaged, and those that are listed one by one."""

PACE = 0.1
"""eta lambda_1: small enough that (1 - eta lambda)^t and exp(-eta lambda t) are nearly the same."""

SUBSTANTIAL = 0.1
"""A component is compared by itself if it starts with this share of the residue's norm and is predicted to halve."""

WITHIN_REACH = 0.01
"""Share of the largest eigenvalue from which a direction counts as within reach of training."""


@dataclass(frozen=True)
class Size:
    """Size of the study.

    Attributes
    ----------
    points : int
        Points of the interval.
    widths : tuple of int
        Widths of the hidden layers; the first one is the paper's.
    seeds : int
        Number of starts for each network.
    steps : int
        Steps of gradient descent.
    """

    points: int
    widths: tuple[int, ...]
    seeds: int
    steps: int = 200


SIZES = {
    "quick": Size(points=128, widths=(30, 100), seeds=3),
    "laptop": Size(points=256, widths=(30, 100, 300), seeds=3),
    "paper": Size(points=1024, widths=(30, 100, 300, 1000), seeds=20, steps=2000),
}


@dataclass(frozen=True)
class TrainedNetwork:
    """A network, its kernel at the start, and its training.

    Attributes
    ----------
    first_layer : str
    width : int
        Units of each hidden layer.
    seed, n_features, n_parameters : int
    feature_wavenumber : float or None
        Mean wavenumber of the features, in cycles over the interval; None where there are none.
    values, wavenumbers, power_on_target : ndarray of float64, shape (n,)
        Eigenvalues; mean wavenumber of each eigenvector; its share of power at the target's wavenumbers and at 0, which
        every bias adds.
    target_within_reach : float
        Share of the target's energy on eigenvectors with at least `WITHIN_REACH` of the largest eigenvalue.
    measured, predicted : ndarray of float64, shape (steps + 1, n)
        Components of the residue on the eigenvectors.
    waves, predicted_waves : ndarray of float64, shape (steps + 1, number of waves)
        Amplitudes of the target's waves in the residue, relative to the start.
    kernel_change : float
        |K(end) - K(start)|_F / |K(start)|_F.
    """

    first_layer: str
    width: int
    seed: int
    n_features: int
    n_parameters: int
    feature_wavenumber: float | None
    values: np.ndarray
    wavenumbers: np.ndarray
    power_on_target: np.ndarray
    target_within_reach: float
    measured: np.ndarray
    predicted: np.ndarray
    waves: np.ndarray
    predicted_waves: np.ndarray
    kernel_change: float

    def relative_eigenvalue(self, number: int) -> float:
        """Eigenvalue `number`, counted from 1, relative to the largest; what is below rounding counts as eps."""
        return max(float(self.values[number - 1] / self.values[0]), EPS)

    @property
    def residue_error(self) -> float:
        """Error of the prediction for the whole residue, max_t |measured - predicted| / |e(0)|."""
        distance = np.linalg.norm(self.measured - self.predicted, axis=1)
        return float(np.max(distance) / np.linalg.norm(self.measured[0, :]))

    @property
    def compared(self) -> np.ndarray:
        """Indices of the components that are compared by themselves (`SUBSTANTIAL`)."""
        start, end = np.abs(self.predicted[0, :]), np.abs(self.predicted[-1, :])
        return np.flatnonzero((start >= SUBSTANTIAL * np.linalg.norm(start)) & (end <= 0.5 * start))

    @property
    def component_error(self) -> float | None:
        """max_t |measured - predicted| / |start| of the worst compared component; None if there is none."""
        compared = self.compared
        if compared.size == 0:
            return None
        distance = np.abs(self.measured - self.predicted)[:, compared]
        return float(np.max(distance / np.abs(self.measured[0, compared])))

    def numbers(self) -> dict[str, Any]:
        """All of it, ready for JSON: `SHOWN` eigenvectors, and curves at every tenth step."""
        compared = self.compared
        return {
            "first_layer": self.first_layer,
            "width": self.width,
            "seed": self.seed,
            "n_features": self.n_features,
            "n_parameters": self.n_parameters,
            "embedded_wavenumber": self.feature_wavenumber,
            "eigenvalues": self.values.tolist(),
            "mean_wavenumbers": self.wavenumbers[:SHOWN].tolist(),
            "shares_on_target": self.power_on_target[:SHOWN].tolist(),
            "target_share_within_reach": self.target_within_reach,
            "effective_rank": effective_rank(self.values),
            "kernel_moved": self.kernel_change,
            "disagreement": self.residue_error,
            "mode_disagreement": self.component_error,
            "judged_modes": (compared + 1).tolist(),
            "judged_modes_measured": self.measured[::10, compared].T.tolist(),
            "judged_modes_predicted": self.predicted[::10, compared].T.tolist(),
            "waves_measured": self.waves[::10, :].T.tolist(),
            "waves_predicted": self.predicted_waves[::10, :].T.tolist(),
        }


def _feature_wavenumber(network: Network, params: Parameters) -> float | None:
    features = network.features(params)
    return None if features is None else float(np.mean(np.abs(features.wavenumbers)) / np.pi)


def _train(first_layer: str, width: int, seed: int, size: Size) -> TrainedNetwork:
    """The kernel at the start, and `size.steps` steps of gradient descent beside what the kernel predicts."""
    objective, params = starting_point(first_layer, width, seed, size.points)
    K = neural_tangent_kernel(objective, params)
    system = eigensystem(K)
    eta = PACE / float(system.values[0])
    residues, trained = gradient_descent(objective, params, eta, size.steps)
    measured = residues @ system.vectors
    predicted = predicted_components(system, measured[0, :], eta, size.steps)
    waves, predicted_waves = amplitudes(residues), amplitudes(predicted @ system.vectors.T)
    change = neural_tangent_kernel(objective, trained) - K
    target = system.vectors.T @ objective.target
    within_reach = system.values >= WITHIN_REACH * system.values[0]
    return TrainedNetwork(
        first_layer=first_layer,
        width=width,
        seed=seed,
        n_features=objective.network.n_features,
        n_parameters=objective.network.n_parameters(params),
        feature_wavenumber=_feature_wavenumber(objective.network, params),
        values=system.values,
        wavenumbers=mean_wavenumbers(system.vectors),
        power_on_target=power_at(system.vectors, (0, *CYCLES)),
        target_within_reach=float(np.sum(target[within_reach] ** 2) / np.sum(target**2)),
        measured=measured,
        predicted=predicted,
        waves=waves / waves[0, :],
        predicted_waves=predicted_waves / waves[0, :],
        kernel_change=float(np.linalg.norm(change) / np.linalg.norm(K)),
    )


class Study:
    """All networks, trained; a figure of merit is its median over the seeds.

    Parameters
    ----------
    size : Size
    say : callable
        Receives a line of text before the networks of one kind and width are trained.

    Attributes
    ----------
    networks : list of TrainedNetwork
    """

    def __init__(self, size: Size, say: Callable[[str], None]) -> None:
        self.size = size
        self.networks: list[TrainedNetwork] = []
        for width in size.widths:
            for first_layer in FIRST_LAYERS:
                say(f"ntk: first layer {first_layer}, width {width}, {size.seeds} seeds, {size.steps} steps each")
                self.networks += [_train(first_layer, width, seed, size) for seed in range(size.seeds)]

    @property
    def narrowest(self) -> int:
        """The smallest width, which is the paper's."""
        return self.size.widths[0]

    @property
    def widest(self) -> int:
        """The largest width."""
        return self.size.widths[-1]

    def of(self, first_layer: str, width: int) -> list[TrainedNetwork]:
        """One network for each seed."""
        return [one for one in self.networks if (one.first_layer, one.width) == (first_layer, width)]

    def median(self, first_layer: str, width: int, merit: Callable[[TrainedNetwork], float | None]) -> float | None:
        """Median of `merit` over the seeds that have one."""
        merits = [value for value in map(merit, self.of(first_layer, width)) if value is not None]
        return float(np.median(merits)) if merits else None

    def at_paper_width(self, first_layer: str, merit: Callable[[TrainedNetwork], float]) -> float:
        """Median of `merit` at the paper's width."""
        return float(np.median([merit(one) for one in self.of(first_layer, self.narrowest)]))

    def residue_error(self, first_layer: str, width: int) -> float:
        """Median error of the prediction for the whole residue."""
        return float(np.median([one.residue_error for one in self.of(first_layer, width)]))
