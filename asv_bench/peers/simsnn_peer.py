"""The step in simsnn_ref: hand-written derivatives, the features by one of its feature maps."""

import numpy as np
from problem import Problem

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.features import MapSizes, make_map
from simsnn_ref.grid import Grid
from simsnn_ref.losses import LpLoss
from simsnn_ref.network import Network


class Peer:
    def __init__(self, problem: Problem, feature_map: str):
        self.params, self.target = problem.params, problem.target
        backend = NumpyBackend()
        self.network = Network(
            backend,
            first_layer="si",
            hidden=tuple(problem.params[f"W{layer + 1}"].shape[0] for layer in range(problem.depth)),
            amplitudes=problem.amplitudes,
            frozen=frozenset(problem.frozen),
            indices=problem.indices if "B" in problem.frozen else None,
        )
        self.map = make_map(
            Grid(problem.shape),
            backend,
            kind=feature_map,
            indices=self.network.indices,
            tolerance=1e-14,
            sizes=MapSizes(self.network.n_features, self.network.hidden[0], "B" not in problem.frozen),
        )
        self.loss = LpLoss(problem.p)
        self.description = f"map {self.map.name}"

    def step(self):
        u, activations = self.network.forward(self.params, self.map)
        e = u - self.target
        return self.loss.forward(np, e), self.network.vjp(self.params, self.map, activations, self.loss.vjp(np, e))
