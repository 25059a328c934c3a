"""The problem that every implementation gets, in an .npz file: points, target, the network's constants, parameters."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A training step with the loss (1/n sum_i |u(x_i) - target_i|^p)^(1/p).

    Parameters
    ----------
    shape : tuple of int
        Shape of the periodic grid on [-1, 1)^d.
    points : ndarray, shape (n, d)
        Points of the grid.
    target : ndarray, shape (n,)
        Target at the points, of RMS 1.
    amplitudes : ndarray, shape (n_f,)
        Amplitudes of the features.
    indices : ndarray of int64, shape (n_f, d)
        Integer wavenumbers at which B starts.
    params : dict of ndarray
        Parameters B, b, W1, c1, ..., as in `simsnn_ref.network.Network`.
    frozen : tuple of str
        Names of the parameters without a gradient.
    p : float
        Exponent of the loss.
    """

    shape: tuple[int, ...]
    points: np.ndarray
    target: np.ndarray
    amplitudes: np.ndarray
    indices: np.ndarray
    params: dict[str, np.ndarray]
    frozen: tuple[str, ...]
    p: float

    @property
    def depth(self) -> int:
        """Number of tanh layers."""
        return sum(name.startswith("W") for name in self.params) - 1

    def first(self, n: int) -> "Problem":
        """Return the same step for the first n points."""
        return replace(self, points=self.points[:n], target=self.target[:n])

    def save(self, path: Path) -> None:
        constants = {name: getattr(self, name) for name in ("shape", "points", "target", "amplitudes", "indices", "p")}
        params = {f"params.{name}": value for name, value in self.params.items()}
        np.savez(path, frozen=np.array(self.frozen, dtype=str), **constants, **params)

    @classmethod
    def load(cls, path: Path) -> "Problem":
        with np.load(path) as file:
            return cls(
                shape=tuple(file["shape"].tolist()),
                points=file["points"],
                target=file["target"],
                amplitudes=file["amplitudes"],
                indices=file["indices"],
                params={name.removeprefix("params."): file[name] for name in file if name.startswith("params.")},
                frozen=tuple(file["frozen"].tolist()),
                p=float(file["p"]),
            )
