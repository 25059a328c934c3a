"""The engine held against `simsnn_ref.paper`, piece by piece and over whole trainings, on one backend.

A subclass has a fixture `backend`. How far two routes may differ is stated in units of eps, the spacing of float64 at
1, of the size of what is compared. "Measured" is the worst met with NumPy, array-api-strict and PyTorch, with NumPy's
instructions of AVX-512, of AVX2 and of neither.
"""

import numpy as np
import pytest

from simsnn_ref import FitConfig, Grid, fit, paper
from simsnn_ref.multistage import train
from simsnn_ref.network import initialize, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import count_modes, energy_spectrum, fourier_modes

EPS = float(np.finfo(np.float64).eps)

SHAPES = {1: (32,), 2: (7, 8), 3: (4, 5, 6)}
"""With all kinds of modes: even and odd, on the planes k_d = 0 and k_d = N/2 and off them."""

ODD_SHAPES = {1: (31,), 2: (9, 11), 3: (5, 3, 7)}
"""Where k = 0 is the only mode that is its own conjugate; what is trained here has no mean.

At the samples such a mode is A cos(b) times a sign, and b is 0 or pi at the start, so that the gradients for b and for
its row of B are 0 in exact arithmetic. In float64 they are rounding. Adam divides them by their own size, and b leaves
its place to one side or the other, by up to the learning rate a step: two routes need not agree in any digit.
"""

N_F, HIDDEN, STEPS = 10, (5, 4), 200

each_dimension = pytest.mark.parametrize("d", [1, 2, 3])
each_exponent = pytest.mark.parametrize("p", [2, 10])
# The maps that the engine takes by itself, B frozen and trained, and the definition.
each_map = pytest.mark.parametrize(
    ("frozen", "kind"),
    [(("B",), "fft"), ((), "separable"), ((), "dense")],
    ids=["frozen-fft", "trained-separable", "trained-dense"],
)
all_maps = pytest.mark.parametrize(
    ("frozen", "kind"),
    [(("B",), "fft"), (("B",), "separable"), (("B",), "dense"), ((), "separable"), ((), "dense")],
    ids=["frozen-fft", "frozen-separable", "frozen-dense", "trained-separable", "trained-dense"],
)


def noise(shape, seed=0):
    """Samples of mean 0 and RMS 1. No two modes have the same amplitude: their order would be rounding's."""
    u = np.random.default_rng(seed).standard_normal(shape)
    u -= np.mean(u)
    return u / paper.rms(u)


def smooth_field(shape, seed):
    """The same with amplitudes that decay like exp(-|k| / pi)."""
    m = np.meshgrid(*(np.fft.fftfreq(n, 1.0 / n) for n in shape), indexing="ij")
    u = np.fft.ifftn(np.fft.fftn(noise(shape, seed)) * np.exp(-np.sqrt(sum(m_i**2 for m_i in m)))).real
    return u / paper.rms(u)


def off_by(value, reference, size):
    """Largest difference in units of eps times `size`, a number or an array of the sizes of what was added up."""
    return float(np.max(np.abs(value - reference))) / (EPS * float(np.max(size)))


def sizes_of_gradient(x, A, params, h, du, backend):
    """Sum over the points of the absolute value of what each adds to the gradient, by name: what rounding is to be
    measured by where the contributions cancel.
    """
    sizes = dict.fromkeys(params, 0.0)
    for i in range(x.shape[0]):
        point = slice(i, i + 1)
        part = paper.network_backward(x[point, :], A, params, [layer[:, point] for layer in h], du[point])
        sizes = {name: sizes[name] + np.abs(backend.to_numpy(value)) for name, value in part.items()}
    return sizes


class Setting:
    """One stage in both codes: the engine's network and the parameters that `paper.initialize` starts from."""

    def __init__(self, u, backend, frozen, kind):
        grid, self.backend, self.frozen = Grid(u.shape), backend, frozen
        u = backend.asarray(u)
        self.A, self.params = paper.initialize(u, N_F, HIDDEN, np.random.default_rng([0, 1]))
        self.network, self.engine_params = initialize(
            "si",
            u,
            grid,
            n_features=N_F,
            hidden=HIDDEN,
            rng=np.random.default_rng([0, 1]),
            backend=backend,
            train_wavenumbers="B" not in frozen,
        )
        network = self.network
        self.map = make_map(grid, backend, kind=kind, indices=network.indices, period=network.period)
        self.x, self.t = paper.grid(u), backend.xp.reshape(u, (-1,))


class EngineAgainstPaper:
    """What the engine computes is what `simsnn_ref.paper` does."""

    @each_dimension
    def test_points_modes_and_spectrum(self, backend, d):
        u, shape = noise(SHAPES[d]), SHAPES[d]
        on, grid = backend.asarray(u), Grid(shape)
        assert np.array_equal(backend.to_numpy(paper.grid(on)), grid.scaled_points())
        engine = fourier_modes(on, grid, backend)
        B, b, A = map(backend.to_numpy, paper.algorithm_1(on, count_modes(grid)))
        assert len(A) == count_modes(grid)
        assert np.array_equal(B, backend.to_numpy(engine.wavenumbers))
        # Two fast Fourier transforms: a few roundings of u~, of size RMS(u) over sqrt(N^d), and of phases of
        # up to 2 pi. Measured: 11.
        size = 1.0 / np.sqrt(u.size)
        engine_A, engine_b = map(backend.to_numpy, (engine.amplitudes, engine.phases))
        assert off_by(A, engine_A, size) <= 64
        assert off_by(A * np.exp(1j * b), engine_A * np.exp(1j * engine_b), size) <= 64
        # The last of n_f modes is the n_f-th of all.
        assert np.array_equal(backend.to_numpy(paper.algorithm_1(on, 3)[0]), B[:3])
        # E is of size 1 and adds squares.
        k, E = paper.energy_spectrum(on, bins=7)
        spectrum = energy_spectrum(on, Grid(shape, 0.0, 2.0 * np.pi), backend, bins=7)
        assert off_by(backend.to_numpy(k), spectrum.wavenumber, max(shape)) <= 4
        assert off_by(backend.to_numpy(E), spectrum.energy, 1.0) <= 16

    @each_dimension
    def test_all_modes_together_are_the_samples(self, backend, d):
        u = noise(SHAPES[d])
        on = backend.asarray(u)
        B, b, A = paper.algorithm_1(on, count_modes(Grid(u.shape)))
        # Phases of up to 2 pi N are rounded before their cosine is taken, and up to u.size of them are added.
        series = backend.to_numpy(paper.fourier_series(paper.grid(on), A, B, b))
        assert off_by(series, u.ravel(), np.sum(backend.to_numpy(A))) <= 16
        back = backend.to_numpy(paper.inverse_dft(paper.dft(on), u.shape))
        assert off_by(back, u, np.max(np.abs(u))) <= 8

    @each_dimension
    def test_the_start(self, backend, d):
        case = Setting(noise(SHAPES[d]), backend, (), "dense")
        assert list(case.params) == list(case.engine_params)
        for name, value in case.params.items():
            ours, engine = map(backend.to_numpy, (value, case.engine_params[name]))
            # The same random numbers to the bit; the phases are those of two transforms.
            assert off_by(ours, engine, 1.0) <= (16 if name == "b" else 0)

    @all_maps
    @each_exponent
    @each_dimension
    def test_forward_loss_and_gradient(self, backend, d, p, frozen, kind):
        case = Setting(noise(SHAPES[d]), backend, frozen, kind)
        host = backend.to_numpy
        u, h = paper.network_forward(case.x, case.A, case.params)
        engine_u = case.network.forward(case.params, case.map)
        # u is of size 1; its last layer adds 4 terms, the first one 10, whose phases of up to 20 pi are rounded.
        # Measured: 3.
        assert off_by(host(engine_u), host(u), 1.0) <= 16
        objective = Objective(case.network, case.map, case.t, LpLoss(float(p)), backend)
        loss, _, engine_grads = objective.value_and_gradient(case.params)
        e = u - case.t
        # The root undoes what p powers do to the rounding of e, which is that of u. Measured: 1.
        assert off_by(loss, float(paper.lp_loss(e, p)), loss) <= 16
        du = paper.lp_loss_backward(e, p)
        grads = paper.network_backward(case.x, case.A, case.params, h, du, frozen)
        assert list(grads) == [name for name in case.params if name not in frozen]
        assert set(grads) == set(engine_grads)
        sizes = sizes_of_gradient(case.x, case.A, case.params, h, du, backend)
        for name, value in grads.items():
            # The roundings of u, as many on the way back, and (|e| / L)^(p-1) with p - 1 times the rounding of e.
            # Measured: 14.
            assert off_by(host(engine_grads[name]), host(value), sizes[name]) <= 32 + 2 * p

    @each_map
    @each_exponent
    @each_dimension
    def test_200_steps_of_adam(self, backend, d, p, frozen, kind):
        case = Setting(noise(ODD_SHAPES[d]), backend, frozen, kind)
        config = FitConfig.of(optimizer="adam", learning_rate=1e-3, schedule="constant", p=float(p), target_rms=0.0)
        trained = train(case.network, case.engine_params, case.map, case.t, config, STEPS, backend=backend)
        best = paper.train(case.x, case.t, case.A, case.params, STEPS, p, frozen=frozen)
        assert trained.steps == STEPS
        for name, value in best.items():
            engine, ours = map(backend.to_numpy, (trained.params[name], value))
            if name in frozen:
                assert np.array_equal(engine, backend.to_numpy(case.params[name]))
            # A step is the learning rate times about g / |g|; all of them move a parameter by up to 0.2. The entries of
            # g are sums that cancel to a thousandth here and there (the phases: Algorithm 1 starts them where they are
            # right for the linear part of the network): some g / |g| is known to thousands of eps only. Measured: 32.
            assert off_by(engine, ours, 1.0) <= 1000

    @each_map
    def test_three_stages(self, backend, frozen, kind):
        u, widths, hidden, steps = smooth_field(ODD_SHAPES[2], seed=1), (8, 16, 24), (8, 8), 100
        on = backend.asarray(u)
        model = fit(
            u,
            Grid(u.shape),
            backend=backend,
            mode="paper",
            stages=3,
            n_features=widths,
            hidden=hidden,
            train_wavenumbers="B" not in frozen,
            feature_map=kind,
            optimizer="adam",
            steps=steps,
            learning_rate=5e-3,
            schedule="plateau",
            plateau_window=25,
            target=0.0,
            target_rms=0.0,
            certify=False,
        )
        options = {"steps": steps, "learning_rate": 5e-3, "window": 25, "frozen": frozen}
        stages = paper.fit(on, widths, hidden, **options)
        assert len(model.stages) == len(stages) == 3
        x, e = paper.grid(on), backend.xp.reshape(on, (-1,))
        for s, (engine, (eps, A, params)) in enumerate(zip(model.stages, stages, strict=True), start=1):
            # The stage alone, from the residue that the engine's stages left. That is rounded to float64 here, of the
            # size of u, which is up to 8 times the residue; else as for 200 steps. Measured: eps 1, parameters 65.
            assert off_by(engine.eps, paper.rms(e), 1.0) <= 8
            t = e / paper.rms(e)
            rng = np.random.default_rng([0, s])
            A_alone, start = paper.initialize(backend.xp.reshape(t, u.shape), widths[s - 1], hidden, rng)
            assert np.all(np.any(backend.to_numpy(start["B"]) != 0.0, axis=1)), "the mode k = 0, see ODD_SHAPES"
            alone = paper.train(x, t, A_alone, start, **options)
            for name, value in alone.items():
                assert off_by(*map(backend.to_numpy, (engine.params[name], value)), 1.0) <= 1000
            # The fit as a whole: eps_s and eps_s u_s, whose differences go on into the next stage. Measured: 2 and 38.
            assert off_by(engine.eps, eps, 1.0) <= 100
            theirs = engine.eps * paper.network_forward(x, engine.network.amplitudes, engine.params)[0]
            ours = eps * paper.network_forward(x, A, params)[0]
            assert off_by(*map(backend.to_numpy, (theirs, ours)), 1.0) <= 1000
            e = e - theirs
        # There was something to compare: each stage took more than half of what was left.
        assert paper.rms(e) < 0.5 * stages[2][0] < 0.25 * stages[1][0] < 0.125 * stages[0][0]
