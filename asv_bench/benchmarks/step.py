"""Time and memory of a training step and of the first layer's products, which dominate it."""

import numpy as np

from simsnn_ref.features import make_map
from simsnn_ref.grid import Grid
from simsnn_ref.losses import LpLoss
from simsnn_ref.optimizers import Adam

from .common import BACKEND, MAPS, field, network, skip_what_does_not_fit

SIZES = (32, 64, 128, 256)
N_FEATURES = (100, 1000)


class TimeStep:
    """Forward, gradient of the L^10 loss, network gradient and Adam update; 3 x 30 tanh, periodic N x N points."""

    params = (MAPS, SIZES, N_FEATURES)
    param_names = ("map", "N", "n_f")

    def setup(self, kind, n, n_features):
        grid = Grid((n, n))
        skip_what_does_not_fit(kind, grid, n_features)
        self.target = field(grid).ravel()
        self.network, self.params_0 = network(grid, n_features)
        self.map = make_map(grid, BACKEND, kind=kind, indices=self.network.indices)
        self.loss, self.adam = LpLoss(10.0), Adam()
        names = self.network.trainable(self.params_0)
        self.state = self.adam.init(np, {name: self.params_0[name] for name in names})

    def step(self):
        u, activations = self.network.forward(self.params_0, self.map)
        e = u - self.target
        self.loss.forward(np, e)
        grads = self.network.vjp(self.params_0, self.map, activations, self.loss.vjp(np, e))
        self.adam.update(np, self.params_0, grads, self.state, 1e-2)

    def time_step(self, kind, n, n_features):
        self.step()

    def peakmem_step(self, kind, n, n_features):
        self.step()


class TimeFirstLayer:
    """The three products of a feature map with 30 rows of weights."""

    params = (MAPS, (64, 256), N_FEATURES)
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
        self.map.vjp(self.W, self.features, self.dz)

    def time_jvp(self, kind, n, n_features):
        self.map.jvp(self.W, self.features, self.W_dot, None, self.b_dot)
