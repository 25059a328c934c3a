"""Relative errors in units of eps; lower is better, and 1 is the best that is reported."""

import numpy as np

from simsnn_ref import fit
from simsnn_ref.network import Features, make_map
from simsnn_ref.optimizers import LpLoss
from simsnn_ref.spectrum import Grid, fourier_modes

from .common import BACKEND, MAPS, field, in_eps, network, skip_what_does_not_fit


def relative(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.max(np.abs(value - reference)) / np.max(np.abs(reference)))


class Reconstruction:
    """Sum of all modes (eq. 10) against the samples they were computed from."""

    params = (MAPS, (15, 32))
    param_names = ("map", "N")

    def setup(self, kind, n):
        skip_what_does_not_fit(kind, Grid((n, n)), 1)

    def track_error(self, kind, n):
        grid = Grid((n, n))
        u = field(grid)
        modes = fourier_modes(u, grid, BACKEND)
        features = Features(modes.amplitudes, modes.wavenumbers, modes.phases)
        sums = make_map(grid, BACKEND, kind=kind, indices=modes.indices).forward(np.ones((1, len(modes))), features)
        return in_eps(relative(sums[0], u.ravel()))

    track_error.unit = "eps"


class Agreement:
    """The fast maps against the dense map, which is the definition."""

    params = (("separable", "fft", "nufft"), ("forward", "vjp", "jvp"))
    param_names = ("map", "product")

    def setup(self, kind, product):
        skip_what_does_not_fit(kind, Grid((32, 32)), 200)

    def track_error(self, kind, product):
        grid, n_features = Grid((32, 32)), 200
        net, params = network(grid, n_features)
        rng = np.random.default_rng(3)
        features, W = net.features(params), params["W1"]
        dz = rng.normal(size=(W.shape[0], grid.size))
        W_dot, b_dot = rng.normal(size=W.shape), rng.normal(size=n_features)

        def outputs(name):
            fmap = make_map(grid, BACKEND, kind=name, indices=net.indices)
            if product == "forward":
                return [fmap.forward(W, features)]
            if product == "jvp":
                return [fmap.jvp(W, features, W_dot, None, b_dot)]
            gradient = fmap.vjp(W, features, dz, wavenumbers=False)
            return [gradient.weights, gradient.phases]

        return in_eps(max(map(relative, outputs(kind), outputs("dense"))))

    track_error.unit = "eps"


class Gradient:
    """Every entry of the loss gradient against a complex step through the dense map, which has no truncation error."""

    params = (("dense", "separable", "fft"), ("frozen", "trained"))
    param_names = ("map", "wavenumbers")

    def setup(self, kind, wavenumbers):
        if (kind, wavenumbers) == ("fft", "trained"):
            raise NotImplementedError("the fft map keeps its wavenumbers")

    def track_error(self, kind, wavenumbers):
        grid, loss, step = Grid((12, 12)), LpLoss(10.0), 1e-30
        target = field(grid, seed=4).ravel()
        net, params = network(grid, 10, (6, 6), train_wavenumbers=wavenumbers == "trained")
        fmap = make_map(grid, BACKEND, kind=kind, indices=net.indices)
        slope = loss.vjp(np, net.forward(params, fmap) - target)
        grads = net.backward(params, fmap, lambda u, block: slope[block])
        dense = make_map(grid, BACKEND, kind="dense")
        worst = 0.0
        for name, gradient in grads.items():
            reference = np.zeros(gradient.shape)
            for index in np.ndindex(gradient.shape):
                moved = params[name].astype(np.complex128)
                moved[index] += 1j * step
                value = loss.forward(np, net.forward(params | {name: moved}, dense) - target)
                reference[index] = value.imag / step
            worst = max(worst, relative(gradient, reference))
        return in_eps(worst)

    track_error.unit = "eps"


class StagedFit:
    """Relative RMS on the grid that a fit of a small field reaches, by mode and number of stages."""

    params = (("accurate", "paper"), (1, 2, 3))
    param_names = ("mode", "stages")

    def track_error(self, mode, stages):
        grid = Grid((16, 16))
        options = {} if mode == "accurate" else {"optimizer": "second_order", "train_wavenumbers": False}
        model = fit(field(grid), grid, mode=mode, stages=stages, off_grid="none", **options)
        return in_eps(model.history.stages[-1].rms_on_grid)

    track_error.unit = "eps"
