"""The step in simsnn_ref: hand-written derivatives, the features by one of its feature maps, on one of its backends."""

from problem import Problem

from simsnn_ref.backend import load_backend
from simsnn_ref.network import MapSizes, Network, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid


class Peer:
    def __init__(self, problem: Problem, feature_map: str, backend: str = "numpy"):
        self.backend = backend = load_backend(backend)
        self.params = {name: backend.asarray(value) for name, value in problem.params.items()}
        self.network = Network(
            backend,
            first_layer="si",
            hidden=tuple(problem.params[f"W{layer + 1}"].shape[0] for layer in range(problem.depth)),
            amplitudes=backend.asarray(problem.amplitudes),
            frozen=frozenset(problem.frozen),
            indices=problem.indices if "B" in problem.frozen else None,
        )
        self.map = make_map(
            Grid(problem.shape),
            backend,
            kind=feature_map,
            indices=self.network.indices,
            tolerance=1e-13,
            sizes=MapSizes(self.network.n_features, self.network.hidden[0], "B" not in problem.frozen),
        )
        target = backend.asarray(problem.target)
        self.objective = Objective(self.network, self.map, target, LpLoss(problem.p), backend)
        self.description = f"map {self.map.name}, backend {backend.name}"

    def step(self):
        value, _, gradient = self.objective.value_and_gradient(self.params)
        self.backend.synchronize()
        return value, gradient

    def to_host(self, gradient):
        return self.backend.to_numpy(gradient)
