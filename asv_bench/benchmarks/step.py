"""Time and memory of a training step and of the first layer's products, which dominate it."""

import math
import time

import numpy as np

from simsnn_ref.model import FitConfig
from simsnn_ref.multistage import train
from simsnn_ref.network import make_map
from simsnn_ref.optimizers import Adam, AdamState, LpLoss, Objective
from simsnn_ref.spectrum import Grid

from .common import BACKEND, MAPS, field, network, skip_what_does_not_fit

SIZES = (32, 64, 128, 256, 512)
N_FEATURES = (100, 1000, 10000)
SEPARABLE_LIMIT = 5e8
"""Points times features beyond which the separable map takes seconds per product."""


class TimeStep:
    """Value and gradient of the L^10 loss, and Adam's update; 3 x 30 tanh, periodic N x N points."""

    params = (MAPS, SIZES, N_FEATURES)
    param_names = ("map", "N", "n_f")

    def setup(self, kind, n, n_features):
        grid = Grid((n, n))
        skip_what_does_not_fit(kind, grid, n_features)
        if kind == "separable" and grid.size * n_features > SEPARABLE_LIMIT:
            raise NotImplementedError("too slow for the separable map")
        net, self.params_0 = network(grid, n_features)
        fmap = make_map(grid, BACKEND, kind=kind, indices=net.indices)
        self.objective = Objective(net, fmap, field(grid).ravel(), LpLoss(10.0), BACKEND)
        self.adam = Adam()
        names = net.trainable(self.params_0)
        self.state = AdamState.zero(np, {name: self.params_0[name] for name in names})

    def step(self):
        _, _, grads = self.objective.value_and_gradient(self.params_0)
        self.adam.update(np, self.params_0, grads, self.state, 1e-2)

    def time_step(self, kind, n, n_features):
        self.step()

    def peakmem_step(self, kind, n, n_features):
        self.step()


class TimeFirstLayer:
    """The three products of a feature map with 30 rows of weights."""

    params = (MAPS, (64, 256), N_FEATURES[:2])
    param_names = ("map", "N", "n_f")

    def setup(self, kind, n, n_features):
        grid = Grid((n, n))
        skip_what_does_not_fit(kind, grid, n_features)
        net, params = network(grid, n_features)
        rng = np.random.default_rng(2)
        self.map = make_map(grid, BACKEND, kind=kind, indices=net.indices)
        self.features, self.W = net.features(params), params["W1"]
        self.dz = rng.normal(size=(self.W.shape[0], grid.size))
        self.W_dot, self.b_dot = rng.normal(size=self.W.shape), rng.normal(size=n_features)

    def time_forward(self, kind, n, n_features):
        self.map.forward(self.W, self.features)

    def time_vjp(self, kind, n, n_features):
        self.map.vjp(self.W, self.features, self.dz, wavenumbers=False)

    def time_jvp(self, kind, n, n_features):
        self.map.jvp(self.W, self.features, self.W_dot, None, self.b_dot)


class Optimizer:
    """Two steps of each method on the fft map, n_f = 200, p = 2; Gauss-Newton with at most 20 inner iterations."""

    params = (("adam", "lbfgs", "gauss_newton", "levenberg_marquardt"), (32, 64, 128))
    param_names = ("optimizer", "N")

    def setup(self, optimizer, n):
        if optimizer == "levenberg_marquardt" and n > 32:
            raise NotImplementedError("too large for dense matrices")
        grid = Grid((n, n))
        self.target = field(grid).ravel()
        self.network, self.params_0 = network(grid, 200)
        self.map = make_map(grid, BACKEND, kind="fft", indices=self.network.indices)
        self.config = FitConfig.of(optimizer=optimizer, p=2.0, inner_iterations=20, stall_tolerance=0.0)

    def steps(self):
        train(self.network, self.params_0, self.map, self.target, self.config, 2)

    def time_steps(self, optimizer, n):
        self.steps()

    def peakmem_steps(self, optimizer, n):
        self.steps()


class Scaling:
    """Exponents a of time ~ N^a (2-D, n_f = 1000) and time ~ n_f^a (N = 256): forward and vjp of the first layer."""

    params = (("fft", "nufft"),)
    param_names = ("map",)

    def setup(self, kind):
        skip_what_does_not_fit(kind, Grid((128, 128)), 1000)

    def seconds(self, kind, n, n_features):
        grid = Grid((n, n))
        net, params = network(grid, n_features)
        fmap = make_map(grid, BACKEND, kind=kind, indices=net.indices)
        features, W = net.features(params), params["W1"]
        dz = np.random.default_rng(2).normal(size=(W.shape[0], grid.size))
        best = math.inf
        for _ in range(4):
            started = time.perf_counter()
            fmap.forward(W, features)
            fmap.vjp(W, features, dz, wavenumbers=False)
            best = min(best, time.perf_counter() - started)
        return best

    def track_exponent_of_points(self, kind):
        return math.log(self.seconds(kind, 512, 1000) / self.seconds(kind, 128, 1000)) / math.log(4.0)

    def track_exponent_of_features(self, kind):
        return math.log(self.seconds(kind, 256, 10000) / self.seconds(kind, 256, 1000)) / math.log(10.0)

    track_exponent_of_points.unit = "exponent"
    track_exponent_of_features.unit = "exponent"
