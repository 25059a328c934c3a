"""Numbers at the ends of float64's range, and numbers that are none: what a fit does with each, and what it says."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from simsnn_ref import Callback, Checkpoints, FitConfig, Grid, fit, load_model, resume
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.main import main
from simsnn_ref.errors import DataError, DivergenceError
from simsnn_ref.io.samples import LARGEST
from simsnn_ref.multistage import paper_start
from simsnn_ref.network import Network
from simsnn_ref.optimizers import Jacobian, LpLoss, Objective
from simsnn_ref.optimizers import minimization as base
from simsnn_ref.optimizers.second_order import levenberg_marquardt
from simsnn_ref.report import fit_report

EPS = float(np.finfo(np.float64).eps)

METHODS = ("adam", "lbfgs", "gauss_newton", "levenberg_marquardt")
SECOND_ORDER = METHODS[2:]

ACCURATE = FitConfig.of(hidden=(8, 8))
PAPER = FitConfig.of(mode="paper", hidden=(8, 8), stages=2, p=2.0, steps=8, optimizer="gauss_newton", certify=False)


def wave(n):
    x = -1.0 + 2.0 * np.arange(n) / n
    return np.sin(np.pi * x) + 0.3 * np.cos(3.0 * np.pi * x + 0.4)


def wave_2d(n, m):
    x, y = np.meshgrid(-1.0 + 2.0 * np.arange(n) / n, -1.0 + 2.0 * np.arange(m) / m, indexing="ij")
    return np.sin(np.pi * x) * np.cos(2.0 * np.pi * y) + 0.3 * np.cos(3.0 * np.pi * x + 0.4)


def recorded(model):
    if not model.stages:
        return 1.0 if model.history.rms else 0.0
    return model.history.stages[-1].rms_on_grid


def checked(u, tmp_path, config=None, grid=None, rounding=32 * EPS, **options):
    """The model of a fit, whatever its errors are, after what holds of every one.

    The file gives back the same bits, the report is JSON without NaN, and predictions at the samples miss them by the
    recorded error; that one is of the sum of stages in extended precision, so float64 may add its own rounding.
    """
    u = np.asarray(u)
    model = fit(u, grid, config, **options)
    path = tmp_path / "model.simsnn"
    model.save(path)
    again, values = load_model(path), model(model.grid)
    assert np.array_equal(again(model.grid), values)
    assert again.history.notes == model.history.notes
    json.dumps(fit_report(model, {"name": "stress"}, 1.0), allow_nan=False)
    rms = model.history.rms or 1.0
    error = float(np.sqrt(np.mean((values / rms - u.astype(np.float64) / rms) ** 2)))
    # Values up to some ten RMS, each rounded once a stage and again in the features' sum.
    assert error == pytest.approx(recorded(model), rel=1e-6, abs=rounding)
    return model


def note_of(model, words):
    return [note for note in model.history.notes if words in note]


# Numbers that are not finite: what they are put into.


class Poison:
    """From its `first`th call on, or then only, what a function returns holds numbers that are not finite."""

    def __init__(self, monkeypatch, owner, name, spoil, first=1, only=False):
        self.original, self.spoil, self.first, self.only, self.calls = getattr(owner, name), spoil, first, only, 0

        def spoilt(*arguments, **named):
            result = self.original(*arguments, **named)
            self.calls += 1
            spoils = self.calls == self.first if self.only else self.calls >= self.first
            return self.spoil(result) if spoils else result

        monkeypatch.setattr(owner, name, spoilt)


def first_number(value):
    def spoil(array):
        array = np.array(array)
        array.flat[0] = value
        return array

    return spoil


def in_gradient(name, value):
    return lambda gradient: gradient | {name: first_number(value)(gradient[name])}


def diverges(u, config, **options):
    """The error of a fit, whose model is finite, of fewer errors than no model, and can be used."""
    with pytest.raises(DivergenceError) as caught:
        fit(u, config=config, **options)
    model = caught.value.result
    assert "\n" not in str(caught.value)
    assert all(np.all(np.isfinite(value)) for stage in model.stages for value in stage.params.values())
    assert np.all(np.isfinite(model(model.grid)))
    assert recorded(model) <= 1.0
    return str(caught.value), model


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_are_not_finite_are_named_by_their_index(value):
    u = wave_2d(6, 7)
    u[4, 5] = value
    kind = "NaN or masked" if np.isnan(value) else "Inf"
    with pytest.raises(DataError, match=rf"u: {kind} at index \[4, 5\] \(1 of 42 values are"):
        fit(u, gaps="error")
    points = np.linspace(0.0, 1.0, 9)
    values = np.where(np.arange(9) == 3, value, points)
    with pytest.raises(DataError, match=rf"values: {kind} at index \[3\]"):
        fit(points, values, gaps="error")
    with pytest.raises(DataError, match="points: not finite at row 3"):
        fit(values, points)
    with pytest.raises(DataError, match=r"target: not finite at x = \[0\.25\]"):
        fit(lambda x: np.where(x[:, 0] == 0.25, value, x[:, 0]), Grid((8,), 0.0, 2.0))


def test_a_function_that_is_not_finite_between_the_samples():
    # 1/8 is no sample, but a training point: those are twice as fine at least.
    with pytest.raises(DataError, match=r"target: not finite at x = \[0\.125\]"):
        fit(lambda x: np.where(x[:, 0] == 0.125, np.nan, x[:, 0]), Grid((8,), 0.0, 2.0))


@pytest.mark.parametrize("optimizer", METHODS)
@pytest.mark.parametrize(("name", "value"), [("W1", np.nan), ("b", np.inf), ("W2", np.inf), ("c3", np.nan)])
def test_parameters_that_are_not_finite_at_the_start(monkeypatch, optimizer, name, value):
    """Nothing is good yet: the stage is not kept, and to begin again is of no use."""
    original = paper_start.paper_network

    def spoilt(number, target, setup):
        network, params = original(number, target, setup)
        return network, params | {name: first_number(value)(params[name])}

    monkeypatch.setattr(paper_start, "paper_network", spoilt)
    for on_divergence in ("stop", "restart"):
        message, model = diverges(wave(16), PAPER.with_options(optimizer=optimizer, on_divergence=on_divergence))
        assert message.startswith("stage 1: step 0 led to numbers that are not finite")
        assert f"parameter {name}, 1 of " in message
        assert "on_divergence" not in message
        assert model.stages == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("b", np.nan), ("W1", np.inf), ("c1", np.nan), ("W2", np.inf), ("c2", -np.inf), ("W3", np.nan), ("c3", np.inf)],
)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_gradient_that_is_not_finite_is_named_within_a_step(monkeypatch, optimizer, name, value):
    """Of each tensor; the parameters before it are kept, here the first three losses' lowest."""
    config = PAPER.with_options(optimizer=optimizer)
    clean = fit(wave(16), config=config).history.stages[0]
    Poison(monkeypatch, Network, "backward", in_gradient(name, value), first=4)
    message, model = diverges(wave(16), config)
    assert f"not finite: the gradient of {name}, 1 of " in message
    assert message.endswith("restart with half the step: on_divergence = 'restart'")
    (record,) = model.history.stages
    # Adam has one gradient a step, the line search of L-BFGS one or more.
    assert record.steps == 4 if optimizer == "adam" else record.steps <= 4
    assert np.array_equal(record.loss_history, clean.loss_history[: record.steps])
    assert record.rms_on_grid == pytest.approx(np.min(record.loss_history), rel=1e-9)
    assert record.stopped_because.startswith(f"diverged at step {record.steps + 1}: the gradient of {name}")


@pytest.mark.parametrize("optimizer", METHODS)
def test_a_loss_whose_square_overflows(monkeypatch, optimizer):
    """Finite, so that training goes on; what it does about it is the method's, but no number becomes an exception."""
    original = paper_start.paper_network

    def spoilt(number, target, setup):
        network, params = original(number, target, setup)
        return network, params | {"c3": first_number(1e200)(params["c3"])}

    monkeypatch.setattr(paper_start, "paper_network", spoilt)
    try:
        model = fit(wave(16), config=PAPER.with_options(optimizer=optimizer))
    except DivergenceError as error:
        model = error.result
    assert np.all(np.isfinite(model(model.grid)))
    assert recorded(model) <= 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("optimizer", "owner", "function", "first"),
    [
        ("adam", LpLoss, "finish", 4),
        ("lbfgs", LpLoss, "finish", 4),
        ("gauss_newton", Objective, "evaluate", 8),
        ("levenberg_marquardt", Objective, "evaluate", 8),
    ],
)
def test_a_loss_that_is_not_finite(monkeypatch, optimizer, owner, function, first, value):
    """Lasting ones; a single trial that is not finite is one that does not lower the loss."""
    spoils = {"finish": lambda loss: (value, loss[1]), "evaluate": lambda loss: (value, value * loss[1])}
    Poison(monkeypatch, owner, function, spoils[function], first=first)
    message, model = diverges(wave(16), PAPER.with_options(optimizer=optimizer, steps=40, stages=1))
    assert "not finite: the loss, " in message
    (record,) = model.history.stages
    assert record.rms_on_grid == pytest.approx(np.min(record.rms_history), rel=1e-6, abs=32 * EPS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_lbfgs_backs_away_from_a_loss_that_is_not_finite(monkeypatch, value):
    """An overflow on trial is a step too long: the line search cuts it."""
    poison = Poison(monkeypatch, LpLoss, "finish", lambda loss: (value, loss[1]), first=2, only=True)
    model = fit(wave(16), config=PAPER.with_options(optimizer="lbfgs", stages=1))
    assert poison.calls > 8
    assert model.history.stages[0].steps == 8
    assert recorded(model) < 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("optimizer", "owner", "function", "spoil"),
    [
        ("gauss_newton", Jacobian, "jvp", first_number),
        ("levenberg_marquardt", Jacobian, "jvp", first_number),
        ("gauss_newton", Jacobian, "vjp", lambda value: lambda grads: grads | {"W2": first_number(value)(grads["W2"])}),
        (
            "levenberg_marquardt",
            Jacobian,
            "vjp",
            lambda value: lambda grads: grads | {"W2": first_number(value)(grads["W2"])},
        ),
        ("levenberg_marquardt", levenberg_marquardt, "kernel", first_number),
    ],
)
def test_a_linear_model_that_is_not_finite(monkeypatch, optimizer, owner, function, spoil, value):
    """J v, J^T v or K from somewhere in the first steps on: no step is taken with it."""
    Poison(monkeypatch, owner, function, spoil(value), first=2)
    message, model = diverges(wave(16), PAPER.with_options(optimizer=optimizer))
    assert "not finite: the product J d of the linear model" in message
    (record,) = model.history.stages
    assert record.steps <= 2
    assert record.rms_on_grid == pytest.approx(np.min(record.rms_history), rel=1e-9)


def test_mode_accurate_keeps_its_start(monkeypatch):
    """The start is as good as the modes are; a first step that is not finite does not cost it."""
    Poison(monkeypatch, levenberg_marquardt, "kernel", first_number(np.nan))
    Poison(monkeypatch, Jacobian, "jvp", first_number(np.nan))
    u = np.random.default_rng(0).standard_normal(16)
    config = FitConfig.of(hidden=(8,), n_features=4, optimizer="levenberg_marquardt", target_rms=0.0)
    message, model = diverges(u, config)
    assert "stage 1: step 1 led" in message
    assert len(model.stages) == 1
    assert 0.0 < recorded(model) < 1.0


def test_finished_stages_are_kept(monkeypatch):
    clean = fit(wave(16), config=PAPER.with_options(optimizer="adam"))
    poison = Poison(monkeypatch, Network, "backward", in_gradient("W2", np.nan), first=9 + 3)
    message, model = diverges(wave(16), PAPER.with_options(optimizer="adam"))
    assert message.startswith("stage 2: step 3 led")
    # The last loss is no number, and that is computed twice.
    assert poison.calls == 9 + 5
    assert len(model.stages) == 2
    for name, value in clean.stages[0].params.items():
        assert np.array_equal(model.stages[0].params[name], value)
    assert model.history.stages[1].rms_on_grid <= model.history.stages[0].rms_on_grid


def test_checkpoints_hold_a_good_state_and_lead_to_the_same_end(monkeypatch, tmp_path):
    """The folder of a fit that diverged, resumed without what made it diverge, ends as a fit that never did."""
    config = PAPER.with_options(optimizer="adam")
    clean = fit(wave(16), config=config)
    with monkeypatch.context() as patch, Checkpoints(tmp_path, every_steps=1, every_minutes=0.0) as checkpoints:
        Poison(patch, Network, "backward", in_gradient("W2", np.nan), first=5)
        message, _ = diverges(wave(16), config, checkpoint=checkpoints)
        assert "the gradient of W2" in message
    with Checkpoints(tmp_path) as checkpoints:
        content, arrays, notes = checkpoints.load()
        assert content["method"] == "adam"
        assert notes == []
        assert all(np.all(np.isfinite(value)) for name, value in arrays.items() if name != "losses")
    assert np.array_equal(resume(tmp_path)(clean.grid), clean(clean.grid))


def test_command_line_keeps_what_was_reached(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("u.npy", wave(16))
    config = [f"--{option}={value}" for option, value in (("mode", "paper"), ("optimizer", "adam"), ("steps", 8))]
    Poison(monkeypatch, Network, "backward", in_gradient("W2", np.nan), first=4)
    status = main(["fit", "u.npy", "--output", "m.simsnn", *config])
    out, err = capsys.readouterr()
    assert status == 1
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("simsnn: error:") or "led to numbers" in line]
    assert "the gradient of W2, 1 of " in line
    assert line.endswith("what was reached before is in m.simsnn")
    model = load_model("m.simsnn")
    assert len(model.stages) == 1
    assert np.all(np.isfinite(model(model.grid)))


# Begin again with half the step.

TOO_FAR = PAPER.with_options(
    optimizer="adam", learning_rate=1e308, final_learning_rate=1e308, stages=1, steps=10, on_divergence="restart"
)
"""Sums of the weights overflow after a step of 1e308, and again after one of 5e307; after one of 2.5e307 it depends on
the order in which they are added."""


def test_restart_halves_the_step_and_goes_on():
    message, _ = diverges(wave(16), TOO_FAR.with_options(on_divergence="stop"))
    assert "step 1 led to numbers that are not finite: the loss, " in message
    model = fit(wave(16), config=TOO_FAR)
    (note,) = note_of(model, "training began again from the best parameters with half the step; restarts: ")
    restarts = int(note.rpartition(" ")[2])
    assert restarts >= 2
    (record,) = model.history.stages
    assert (record.steps, record.stopped_because) == (10, "all steps taken")
    assert np.all(np.isfinite(record.loss_history))
    assert record.loss_history[0] == min(record.loss_history)
    # The best parameters, of the start, come back after each.
    assert np.count_nonzero(record.loss_history == record.loss_history[0]) >= restarts
    again = fit(wave(16), config=TOO_FAR)
    assert np.array_equal(again(again.grid), model(model.grid))
    assert np.array_equal(again.history.stages[0].loss_history, record.loss_history)


def test_restart_takes_half_the_step(monkeypatch):
    """After one bad gradient at the first step Adam's second step is the first of half the step size."""
    config = PAPER.with_options(optimizer="adam", schedule="constant", stages=1, steps=2, on_divergence="restart")
    with monkeypatch.context() as patch:
        Poison(patch, Network, "backward", in_gradient("W2", np.nan), only=True)
        record = fit(wave(16), config=config).history.stages[0]
    halved = config.with_options(steps=1, learning_rate=0.5 * config.learning_rate)
    half = fit(wave(16), config=halved).history.stages[0]
    assert record.steps == 2
    assert np.array_equal(record.loss_history, half.loss_history[[0, 0]])
    assert (record.loss, record.rms_on_grid) == (half.loss, half.rms_on_grid)
    assert record.loss < record.loss_history[0]


@pytest.mark.parametrize("optimizer", METHODS)
def test_one_number_that_is_not_finite_is_got_over(monkeypatch, optimizer):
    """Every method goes on and lowers the loss; the note says that it did."""
    config = PAPER.with_options(optimizer=optimizer, stages=1, on_divergence="restart")
    if optimizer in SECOND_ORDER:
        Poison(monkeypatch, Jacobian, "jvp", first_number(np.nan), first=2, only=True)
    else:
        Poison(monkeypatch, Network, "backward", in_gradient("W2", np.nan), only=True)
    model = fit(wave(16), config=config)
    assert note_of(model, "restarts: 1")
    losses = model.history.stages[0].loss_history
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    assert np.all(np.isfinite(losses))


@pytest.mark.parametrize("optimizer", METHODS)
def test_restarts_are_given_up(monkeypatch, optimizer):
    config = PAPER.with_options(optimizer=optimizer, steps=100, on_divergence="restart", stages=1)
    if optimizer in SECOND_ORDER:
        Poison(monkeypatch, Jacobian, "jvp", first_number(np.nan))
    else:
        Poison(monkeypatch, Network, "backward", in_gradient("W2", np.nan))
    message, model = diverges(wave(16), config)
    assert f"after {base.MOST_RESTARTS} restarts with half the step, led to numbers that are not finite" in message
    assert "on_divergence" not in message
    (record,) = model.history.stages
    assert record.steps == base.MOST_RESTARTS + 1
    assert np.all(record.loss_history == record.loss_history[0])


@pytest.mark.parametrize("stop", [2, 3, 4, 6, 10])
def test_restarts_can_be_resumed_anywhere(tmp_path, stop):
    whole = fit(wave(16), config=TOO_FAR)
    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path, every_steps=1, every_minutes=0.0) as checkpoints:
        fit(wave(16), config=TOO_FAR, checkpoint=checkpoints, callbacks=[_Stop(stop)])
    model = resume(tmp_path)
    assert np.array_equal(model(model.grid), whole(whole.grid))
    assert model.history.notes == whole.history.notes
    assert np.array_equal(model.history.stages[0].loss_history, whole.history.stages[0].loss_history)


class _Stop(Callback):
    def __init__(self, at):
        self.at = at

    def on_step(self, step):
        if step.step == self.at:
            raise KeyboardInterrupt


def test_threads_are_as_quiet_as_the_loop():
    """What `np.errstate` says holds in the threads of a backend too."""
    backend = NumpyBackend(workers=2)
    with np.errstate(over="ignore"):
        assert backend.map(lambda x: float(np.float64(x) * 1e308), [1.0, 1e9, 1e9]) == [1e308, np.inf, np.inf]
    with pytest.raises(RuntimeWarning, match="overflow"):
        backend.map(lambda x: float(np.float64(x) * 1e308), [1e9, 1e9])


# Fields at the ends of the range, of the grid, of what a network can follow.

RNG = np.random.default_rng(8)


def at(n, index, value=1.0, elsewhere=0.0):
    u = np.full(n, elsewhere)
    u[index] = value
    return u


RESOLVED = {
    "1e-300": 1e-300 * wave(64),
    "1e300": 1e300 * wave(64),
    "1e-300 in 2-D": 1e-300 * wave_2d(12, 12),
    "1e300 in 2-D": 1e300 * wave_2d(12, 12),
    "the smallest": 1.001 * 2.0**-1000 / np.max(np.abs(wave(32))) * wave(32),
    "the largest": 0.999 * 2.0**1000 / np.max(np.abs(wave(32))) * wave(32),
    "offset": 1e8 + wave(64),
    "offset in 2-D": 1e8 + wave_2d(12, 12),
    "constant along y": np.repeat(wave(16)[:, None], 12, axis=1),
    "constant along x": np.repeat(wave(16)[None, :], 12, axis=0),
    "constant but for rounding": np.where(RNG.random(64) > 0.5, 1.0 + EPS, 1.0),
    "constant but for one ulp": at(64, 9, 1.0 + EPS, 1.0),
    "4 points": wave(4),
    "prime, 13 x 17": wave_2d(13, 17),
    "prime, 1009": wave(1009),
}
"""Fields that follow from their samples to rounding."""

UNRESOLVED = {
    "spike": at(64, 17),
    "spike in 2-D": at((12, 12), (3, 5), 2.0),
    "spike of 1e300 over 1e-300": at(64, 17, 1e300, 1e-300),
    "equal but for one": at(64, 9, 0.2, 0.1),
    "one normal number among subnormal ones": at(64, 3, 1.0, 5e-324),
    "noise": RNG.standard_normal(64),
    "float32 noise": RNG.standard_normal((8, 9)).astype(np.float32),
    "float32": wave(64).astype(np.float32),
    "integers": np.round(10.0 * wave(64)).astype(np.int64),
    "bytes": np.round(100.0 + 100.0 * wave_2d(8, 9) / 2.0).astype(np.uint8),
    "4 x 4": RNG.standard_normal((4, 4)),
    "4 x 4 x 4": RNG.standard_normal((4, 4, 4)),
    "600 orders of magnitude": 10.0 ** np.linspace(-300.0, 300.0, 64),
    "negative zeros": np.where(np.arange(64) % 3, -0.0, 1.0),
}
"""Fields whose samples say nothing of what lies between: noise, jumps, digits cut off."""

FIELDS = RESOLVED | UNRESOLVED


@pytest.mark.parametrize("name", RESOLVED)
def test_resolved_fields_are_fitted_to_rounding(tmp_path, name):
    """The sum of stages follows the samples, in extended precision, to less than a quarter of float64's eps.

    Relative to the RMS of the field with its offset: of the signal of size 1 on 1e8 the samples themselves hold eps 1e8
    = 2e-8, and so much the model gives back of it.
    """
    u = FIELDS[name]
    model = checked(u, tmp_path, ACCURATE)
    assert recorded(model) < 0.25 * EPS
    assert model.history.stages[-1].rms_off_grid < 0.25 * EPS
    assert not note_of(model, "an RMS error of about")
    assert note_of(model, "RMS below the target 5e-17")
    if name.startswith("offset"):
        signal = u - 1e8
        assert np.max(np.abs((model(model.grid) - 1e8) - signal)) <= 4.0 * np.spacing(1e8)


@pytest.mark.parametrize("name", UNRESOLVED)
def test_unresolved_fields_are_followed_at_the_samples_and_said_to_be_unresolved(tmp_path, name):
    """Their modes interpolate samples on a periodic grid, whatever they are; the note says what that is worth."""
    u = FIELDS[name]
    model = checked(u, tmp_path, ACCURATE, grid=Grid(u.shape))
    assert recorded(model) < 0.25 * EPS
    level = model.history.noise_floor
    assert level > 1e3 * EPS
    assert note_of(model, f"between the samples an RMS error of about {level:.1e}")
    # 24 bits are left of float32, digits before the point of integers; of the others nothing.
    # Bytes and the pattern of zeros are nearly waves that the grid resolves.
    expected = {"float32": 2.0**-24, "integers": 0.04, "equal but for one": 0.12, "bytes": 0.004}.get(name, 0.5)
    expected = 0.004 if name == "negative zeros" else expected
    assert expected / 4.0 < level < 4.0 * expected
    if u.dtype == np.float32:
        assert note_of(model, "u is float32: below about 6e-08 of its size nothing is signal")


@pytest.mark.parametrize(
    "name", ["spike", "noise", "4 x 4", "equal but for one", "float32", "1e-300", "1e300", "offset"]
)
def test_without_periodicity(tmp_path, name):
    """All samples are met to rounding; what is to be expected between them is said, and is that of noise or a jump."""
    u = FIELDS[name]
    # Of what is not smooth the modes of the extended box cancel, and float64 keeps so much less of their sum.
    rounding = 32 * EPS if name in RESOLVED else 2.0**16 * EPS
    model = checked(u, tmp_path, ACCURATE, Grid(u.shape, periodic=False), rounding)
    if name in RESOLVED:
        assert model.history.noise_floor < 1e-6
    else:
        assert model.history.noise_floor > 1e-9
        assert note_of(model, "estimated from samples left out")
    assert recorded(model) < EPS


def alternating():
    """Every field by one method, all by the others in the slow tests."""
    steps = {"adam": 10, "gauss_newton": 4, "lbfgs": 4}
    for i, name in enumerate(FIELDS):
        for optimizer, n in steps.items():
            marks = () if optimizer == ("adam", "gauss_newton")[i % 2] else pytest.mark.slow
            yield pytest.param(name, optimizer, n, marks=marks)


@pytest.mark.parametrize(("name", "optimizer", "steps"), list(alternating()))
def test_mode_paper(tmp_path, name, optimizer, steps):
    """A few steps of two small stages: no error is above that of no model, losses are finite, stages only help.

    An offset is nearly all of the RMS: what Adam leaves of it is far above the signal, which it never sees. How far
    Gauss-Newton gets is up to rounding.
    """
    u = FIELDS[name]
    model = checked(u, tmp_path, PAPER.with_options(optimizer=optimizer, steps=steps))
    errors = [1.0, *(stage.rms_on_grid for stage in model.history.stages)]
    assert errors == sorted(errors, reverse=True)
    assert all(np.all(np.isfinite(stage.loss_history)) for stage in model.history.stages)
    assert len(model.stages) == 2 or note_of(model, f"stage {len(model.stages) + 1} is not kept")
    if optimizer == "gauss_newton":
        assert recorded(model) < 0.9
    if name == "offset" and optimizer == "adam":
        assert recorded(model) * 1e8 > 100.0


@pytest.mark.parametrize("mode", ["accurate", "paper"])
@pytest.mark.parametrize("shape", [(16,), (6, 5)])
def test_scale_does_not_matter_where_it_is_a_power_of_two(shape, mode):
    """Stages see the normalised residue, the same bits; all figures but the field's own RMS are the same."""
    config = PAPER.with_options(steps=4) if mode == "paper" else FitConfig.of(hidden=(8,))
    u = wave(16) if len(shape) == 1 else wave_2d(*shape)
    plain = fit(u, config=config)
    for exponent in (-990, 990):
        scaled = fit(u * 2.0**exponent, config=config)
        assert scaled.history.rms == plain.history.rms * 2.0**exponent
        assert len(scaled.stages) == len(plain.stages)
        assert np.array_equal(scaled.history.stages[0].loss_history, plain.history.stages[0].loss_history)
        # A later stage's eps of 1e-316 is subnormal and has 8 digits.
        last, first = scaled(scaled.grid) * 2.0**-exponent, plain(plain.grid)
        assert np.max(np.abs(last - first)) <= 8 * EPS * plain.history.max


@pytest.mark.parametrize("mode", ["accurate", "paper"])
@pytest.mark.parametrize(
    "u",
    [
        1.7e308 * np.sign(wave(16) + 0.05),
        5e-324 * np.round(100.0 * wave(16)),
        at(16, 3, 5e-324),
        at((5, 4), (3, 2), -1e-310),
        1.01 * LARGEST * at(16, 3),
    ],
)
def test_fields_beyond_the_range_are_refused(u, mode):
    """Residues of subnormal fields and predictions near 1.8e308 would be no numbers to rely on."""
    largest = np.max(np.abs(u))
    message = re.escape(f"u: the largest |u| is {largest:.3g}, where")
    with pytest.raises(DataError, match=message + " .*; scale the data to between 9.3e-302 and 1.1e"):
        fit(u, mode=mode)


@pytest.mark.parametrize("mode", ["accurate", "paper"])
@pytest.mark.parametrize("value", [5e-324, -1.7e308, 1e-310])
def test_constants_of_any_size_are_exact(tmp_path, value, mode):
    model = checked(np.full((5, 4), value), tmp_path, mode=mode)
    assert np.all(model(model.grid) == value)
    assert recorded(model) == 0.0


@pytest.mark.parametrize("u", [np.full(16, -0.0), np.where(np.arange(16) % 2, -0.0, 0.0)])
def test_zeros_of_either_sign_are_zero(tmp_path, u):
    model = checked(u, tmp_path)
    assert len(model.stages) == 1
    assert note_of(model, "the field is zero everywhere")
    assert np.all(model(model.grid) == 0.0)


def test_booleans_are_refused():
    with pytest.raises(DataError, match="u: values of dtype bool are not real numbers"):
        fit(wave(16) > 0.0)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (1,)])
def test_fewer_points_than_four_are_refused(shape):
    with pytest.raises(DataError, match="points, needs at least 4"):
        fit(RNG.standard_normal(shape))


def test_an_offset_is_not_the_signal(tmp_path):
    """The error to expect is relative to the RMS with the offset, of which the signal is 1e-8."""
    u = 1e8 + wave_2d(12, 12)
    model = checked(u, tmp_path, grid=Grid(u.shape, periodic=False))
    level = model.history.noise_floor
    assert 1e-11 < level < 1e-8
    assert note_of(model, "estimated from samples left out")
    assert recorded(model) < EPS


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["accurate", "paper"])
def test_prime_sizes_at_full_width(tmp_path, mode):
    u = wave_2d(31, 37)
    model = checked(u, tmp_path, mode=mode, stages=2, optimizer="second_order")
    assert recorded(model) < (0.25 * EPS if mode == "accurate" else 0.1)


MILLION = """
import json, sys, warnings
warnings.simplefilter("error")
import numpy as np
from simsnn_ref import fit
from simsnn_ref.report.json_report import peak_memory_bytes
n, mode = 10**6, sys.argv[1]
x = -1.0 + 2.0 * np.arange(n) / n
u = np.sin(np.pi * x) + 0.3 * np.cos(3.0 * np.pi * x + 0.4)
options = {"accurate": {"stages": 2}, "paper": {"stages": 1, "optimizer": "gauss_newton", "steps": 20, "p": 2.0}}
options["paper"]["train_wavenumbers"] = False
model = fit(u, mode=mode, hidden=(4,), certify=False, **options[mode])
print(json.dumps([model.history.stages[-1].rms_on_grid, peak_memory_bytes()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "most", "numbers"), [("accurate", EPS, 160), ("paper", 0.1, 80)])
def test_a_million_points(mode, most, numbers):
    """In memory for so many float64 numbers a point, where the two training points a sample have long doubles.

    Of so many samples modes that are only their rounding are not taken.
    """
    done = subprocess.run([sys.executable, "-c", MILLION, mode], capture_output=True, text=True, check=True)
    error, peak = json.loads(done.stdout)
    assert error < most
    assert peak < 200 * 2**20 + numbers * 8 * 10**6
