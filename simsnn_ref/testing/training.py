"""Checks of the whole: a network, its derivatives, the optimisers and a fit, against those on NumPy."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Backend, NumpyBackend
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage import fit, train
from simsnn_ref.network import LinearMap, Network, Parameters, initialize, make_map
from simsnn_ref.optimizers import Adam, AdamState, Jacobian, LpLoss, Objective
from simsnn_ref.spectrum import Grid
from simsnn_ref.testing.expect import expect, expect_close, host
from simsnn_ref.verify import require, verify

__all__ = ["CHECKS", "make_objective"]

GRID = Grid((80, 65))
"""A grid of more points than a block holds, so that `map` and the assignment of blocks are checked too."""

SMALL = Grid((24, 20))
"""A grid for dense matrices, with more points than parameters if B is frozen and fewer if B is trained."""

N_FEATURES, HIDDEN, P = 60, (6, 5), 10.0

NORM = 4.0 * P
"""Multiple of eps, beside the rounding of phases: a few operations in a row, the p-th powers among them."""

ADAM_STEPS, LEARNING_RATE = 5, 1e-3

CANCELLED = 1e2
"""Multiple of a gradient's rounding for Adam, which divides each entry by its own size: one whose terms cancelled to a
hundredth has lost two digits."""

CONJUGATE_GRADIENTS = EPS**-0.5
"""Multiple of eps, half of the digits: conjugate gradients amplify rounding as they go, in a loss that is nearly
stationary along their path."""

DENSE = 1e4
"""Multiple of eps: the condition of a dense system enters its solution, and hardly the loss there."""


@cache
def _problem(first_layer: str, grid: Grid) -> tuple[Network, Parameters, np.ndarray]:
    """Return a network, parameters and a target on the host, made from modes of distinct sizes; nothing is zero."""
    rng, backend = np.random.default_rng(11), NumpyBackend()
    field = rng.standard_normal(grid.shape)
    network, params = initialize(
        first_layer, field, grid, n_features=N_FEATURES, hidden=HIDDEN, rng=rng, backend=backend, sigma=2.0
    )
    params = {
        name: value if name == "B" and first_layer == "si" else value + 0.3 * rng.standard_normal(value.shape)
        for name, value in params.items()
    }
    # A residue of one sign over three decades: no sum over the points cancels.
    return network, params, -(10.0 ** rng.uniform(-1.0, 2.0, grid.size))


def make_objective(backend: Backend, first_layer: str, kind: str, grid: Grid = GRID) -> tuple[Objective, Parameters]:
    """Return the objective of a small network on the backend, and parameters.

    Parameters
    ----------
    backend : Backend
    first_layer : str
        See `simsnn_ref.network.initialize`.
    kind : str
        The feature map: "fft", whose B is frozen, "separable", "dense" or "linear".
    grid : Grid, optional
    """
    network, params, target = _problem(first_layer, grid)
    on_device = {name: backend.asarray(value) for name, value in params.items()}
    amplitudes = None if network.amplitudes is None else backend.asarray(network.amplitudes)
    frozen = frozenset({"B"}) if kind == "fft" else frozenset()
    network = replace(network, backend=backend, amplitudes=amplitudes, frozen=frozen)
    if kind == "linear":
        fmap: Any = LinearMap(backend.asarray(grid.scaled_points()), backend)
    else:
        fmap = make_map(grid, backend, kind=kind, indices=network.indices, period=network.period)
    return Objective(network, fmap, backend.asarray(target), LpLoss(P), backend), on_device


def _rounding(first_layer: str) -> float:
    """Multiple of eps: `NORM`, and the rounding of phases k.x by half of |k.x|."""
    network, params, _ = _problem(first_layer, GRID)
    wavenumbers = params["B"] * network.scale if "B" in params else np.zeros((1, 2))
    return NORM + 0.5 * float(np.max(np.sum(np.abs(wavenumbers), axis=1)))


def _to_host(backend: Backend, what: str, tensors: Parameters) -> Parameters:
    return {name: host(backend, f"{what}, {name}", value) for name, value in tensors.items()}


def _compute(backend: Backend, first_layer: str, kind: str) -> Parameters:
    """Return every quantity of one network by name, on the host."""
    objective, params = make_objective(backend, first_layer, kind)
    network, fmap = objective.network, objective.fmap
    value, e = objective.evaluate(params)
    slope = objective.loss.vjp(objective.xp, e, objective.shard)
    in_one_pass, rms, gradient = objective.value_and_gradient(params)
    rng = np.random.default_rng(12)
    direction = {
        name: backend.asarray(rng.standard_normal(tuple(params[name].shape))) for name in network.trainable(params)
    }
    u = network.forward(params, fmap)
    first, second, third = network.derivatives(params, fmap, GRID.ndim)
    return {
        "loss": np.asarray(value),
        "loss in one pass": np.asarray(in_one_pass),
        "RMS in one pass": np.asarray(rms),
        **_to_host(backend, "forward", {"u": u, "e": e}),
        **_to_host(backend, "gradient", network.backward(params, fmap, lambda u, block: slope[block])),
        **{f"{name} in one pass": array for name, array in _to_host(backend, "gradient", gradient).items()},
        "jvp": host(backend, "jvp", Jacobian(objective, params).jvp(direction)),
        **_to_host(backend, "derivatives", {"u again": first, "du/dx": second, "d2u/dx2": third}),
    }


def _network(backend: Backend) -> None:
    """Forward, loss, vjp, jvp and derivatives in x agree on every map, to `NORM` + |k|_1 / 2 eps (`_rounding`)."""
    for first_layer, kinds in {"si": ("fft", "separable", "dense"), "cos": ("separable",), "none": ("linear",)}.items():
        for kind in kinds:
            got = _compute(backend, first_layer, kind)
            for name, expected in _compute(NumpyBackend(), first_layer, kind).items():
                expect_close(f"{first_layer}, {kind}: {name}", got[name], expected, _rounding(first_layer))


def _adam(backend: Backend) -> None:
    """Five steps of Adam change the parameters alike, to `CANCELLED` times the rounding of a gradient."""

    def moved(backend: Backend) -> Parameters:
        objective, params = make_objective(backend, "si", "fft")
        adam, start = Adam(), params
        state = AdamState.zero(objective.xp, {name: params[name] for name in objective.network.trainable(params)})
        for _ in range(ADAM_STEPS):
            _, _, gradient = objective.value_and_gradient(params)
            params, state = adam.update(objective.xp, params, gradient, state, LEARNING_RATE)
        return _to_host(backend, "Adam", {name: params[name] - start[name] for name in gradient})

    got = moved(backend)
    for name, expected in moved(NumpyBackend()).items():
        expect_close(f"Adam: {name}", got[name], expected, CANCELLED * _rounding("si"))


def _second_order(backend: Backend) -> None:
    """Losses after a step agree, by conjugate gradients to `CONJUGATE_GRADIENTS`, by dense matrices to `DENSE`."""
    for method, kind, grid, allowed in (
        ("gauss_newton", "fft", GRID, CONJUGATE_GRADIENTS),
        ("levenberg_marquardt", "fft", SMALL, DENSE),
        ("levenberg_marquardt", "separable", SMALL, DENSE),
    ):
        config = FitConfig.of(optimizer=method, p=2.0, inner_iterations=20)
        losses = []
        for each in (backend, NumpyBackend()):
            objective, params = make_objective(each, "si", kind, grid)
            network, fmap, target = objective.network, objective.fmap, objective.target
            trained = train(network, params, fmap, target, config, 1, backend=each)
            value, _ = replace(objective, loss=LpLoss(2.0)).evaluate(trained.params)
            expect(value < trained.loss_history[0], f"{method}: the step did not lower the loss")
            losses.append(value)
        expect_close(f"{method}: loss after a step", losses[0], losses[1], allowed)


def _fit(backend: Backend) -> None:
    """A fit of two stages is certified and gives the same model, to 16 eps of the field, with values on the host."""
    grid = Grid((16, 18))
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    u = np.exp(np.sin(np.pi * x + 0.3) * np.cos(np.pi * y - 0.7))
    points = np.random.default_rng(13).uniform(-1.0, 1.0, (50, 2))
    models = [fit(u, grid, stages=2, backend=each) for each in (backend, NumpyBackend())]
    got, expected = (model(points) for model in models)
    expect(isinstance(got, np.ndarray) and got.dtype == np.float64, f"a model's values: {type(got).__name__}")
    expect_close("a model's values", got, expected, 16.0)
    slopes = [model.gradient(points) for model in models]
    expect_close("a model's slopes", slopes[0], slopes[1], 16.0 * np.pi * 9.0)
    ends = [model.history.stages[-1].rms_on_grid for model in models]
    expect(ends[0] <= 2.0 * ends[1] + EPS**1.25, f"RMS after two stages: {ends[0]:.2e}, {ends[1]:.2e} on NumPy")
    certified = models[0].history.certified
    expect(certified is not None and certified["agrees"], "the fit is not certified")


def _verify(backend: Backend) -> None:
    """Every check of `simsnn_ref.verify` passes."""
    require(verify(backend))


CHECKS = {
    "network": _network,
    "adam": _adam,
    "second_order": _second_order,
    "fit": _fit,
    "verify": _verify,
}
