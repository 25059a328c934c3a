"""The fitted model: the same values by every route, true derivatives, and a file that keeps every bit."""

import json
import tracemalloc
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import StrictBackend

from simsnn_ref import DataError, FitConfig, Grid, ModelFileError, NumpyBackend, fit, load_model
from simsnn_ref.io import FieldInfo, read_file, write_file
from simsnn_ref.io.field_info import Axis
from simsnn_ref.model import evaluation_points
from simsnn_ref.spectrum import PI, fourier_modes

EPS = np.finfo(float).eps
BOXES = {1: ((0.0,), (3.0,)), 2: ((0.0, -1.0), (3.0, 4.0)), 3: ((0.0, -1.0, 10.0), (3.0, 4.0, 10.5))}


def target(points):
    return np.sin(2.0 * points).prod(axis=1) + 0.5 * points.sum(axis=1)


def fitted(d, backend=None, first_layer="si", periodic=False):
    grid = Grid((7, 6, 5)[:d], *BOXES[d], periodic=periodic)
    options = {
        "mode": "paper",
        "optimizer": "adam",
        "steps": (30,),
        "hidden": (6, 5),
        "stages": 2,
        "n_features": 4 if d == 1 else 10,
        "train_wavenumbers": False if first_layer == "si" else None,
    }
    return fit(target, grid, FitConfig.of(**options), first_layer=first_layer, backend=backend)


@pytest.mark.parametrize("first_layer", ["si", "msnn", "none"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_points_grids_and_axes_agree(backend, d, first_layer):
    model = fitted(d, backend, first_layer)
    finer = Grid(tuple(n + 3 for n in model.grid.shape), model.grid.lower, model.grid.upper, periodic=False)
    elsewhere = Grid(model.grid.shape, [lo + 0.1 for lo in model.grid.lower], model.grid.upper, periodic=True)
    for grid in (model.grid, model.grid.refined(2), finer, elsewhere):
        scattered = model(grid.points()).reshape(grid.shape)
        # The maps round the argument k.x differently: |k.x| eps in each cosine; k.x is below 60 here.
        tolerance = {"rtol": 0.0, "atol": 200 * EPS * np.max(np.abs(scattered))}
        np.testing.assert_allclose(model(grid), scattered, **tolerance)
        np.testing.assert_allclose(model(grid.axes()), scattered, **tolerance)


def test_one_dimension_takes_flat_points():
    model = fitted(1)
    x = np.linspace(0.0, 3.0, 5)
    assert np.array_equal(model(x), model(x[:, None]))


@pytest.mark.parametrize("first_layer", ["si", "ffm", "none"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_gradient_and_hessian_against_complex_step(d, first_layer):
    model = fitted(d, first_layer=first_layer)
    points = np.random.default_rng(0).uniform(*BOXES[d], (9, d))
    gradient, hessian = model.gradient(points), model.hessian(points)
    assert gradient.shape == (9, d)
    assert hessian.shape == (9, d, d)
    value, slopes, curvatures = oracle(model, points)
    for ours, theirs in ((model(points), value), (gradient, slopes), (hessian, curvatures)):
        # Sums of ten cosines behind two tanh layers; each derivative multiplies errors of |k.x| eps by |k|.
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1000 * EPS * np.max(np.abs(theirs)))
    np.testing.assert_array_equal(hessian, np.swapaxes(hessian, 1, 2))


def oracle(model, points):
    """Value, gradient and Hessian of the saved parameters by complex step on an independent network.

    The gradient is a complex step of the network, the Hessian one of the analytic gradient, in plain NumPy.
    """
    box, d, h = model.grid.box, model.grid.ndim, 2.0**-200
    scale = 2.0 / np.asarray(box.lengths)

    def network(x, stage):
        p, net = stage.params, stage.network
        if net.amplitudes is None:
            z, dz = p["W1"] @ x.T + p["c1"][:, None], [np.outer(p["W1"][:, i], np.ones(len(x))) for i in range(d)]
        else:
            K = net.scale * (np.concatenate([p["B"], p["B"]]) if net.paired else p["B"])
            phase = K @ x.T + p["b"][:, None]
            W = p["W1"] * net.amplitudes
            z, dz = W @ np.cos(phase) + p["c1"][:, None], [-(W * K[:, i]) @ np.sin(phase) for i in range(d)]
        for layer in range(2, len(net.hidden) + 2):
            W = p[f"W{layer}"]
            slope = 1.0 - np.tanh(z) ** 2
            z, dz = W @ np.tanh(z) + p[f"c{layer}"][:, None], [W @ (slope * part) for part in dz]
        return z[0], np.stack([part[0] for part in dz], axis=-1)

    def total(x):
        parts = [(stage.eps, *network(x, stage)) for stage in model.stages]
        return sum(eps * u for eps, u, _ in parts), sum(eps * du for eps, _, du in parts) * scale

    x = box.to_scaled(points).astype(complex)
    value, _ = total(x)
    slopes, curvatures = np.zeros((len(x), d)), np.zeros((len(x), d, d))
    for i in range(d):
        stepped = x.copy()
        stepped[:, i] += 1j * h
        u, du = total(stepped)
        slopes[:, i] = u.imag / h * scale[i]
        curvatures[:, i, :] = du.imag / h * scale[i]
    return value.real, slopes, curvatures


def test_derivatives_on_a_grid(backend):
    model = fitted(2, backend, periodic=True)
    grid = model.grid.refined(2)
    for ours, theirs in (
        (model.gradient(grid), model.gradient(grid.points())),
        (model.hessian(grid), model.hessian(grid.points())),
    ):
        assert ours.shape[:2] == grid.shape
        np.testing.assert_allclose(
            ours.reshape(theirs.shape), theirs, rtol=0.0, atol=500 * EPS * np.max(np.abs(theirs))
        )


@pytest.mark.parametrize("first_layer", ["si", "msnn", "none"])
@pytest.mark.parametrize(
    ("library", "d"), [(NumpyBackend, 1), (NumpyBackend, 2), (NumpyBackend, 3), (StrictBackend, 2)]
)
def test_blocks_add_up_to_the_whole(library, d, first_layer, monkeypatch):
    model = fitted(d, library(), first_layer)
    grid = model.grid.refined(2)
    shifted = Grid(grid.shape, [lo + 0.1 for lo in grid.lower], grid.upper)
    for order, evaluate in enumerate((model, model.gradient, model.hessian)):
        for where in (grid, shifted, grid.points()):
            whole = evaluate(where)
            with monkeypatch.context() as patch:
                patch.setattr(evaluation_points, "BLOCK_BYTES", 10 * grid.size)  # six units take 48 bytes or more
                blocks = evaluate(where)
            # As in `test_points_grids_and_axes_agree`; each derivative multiplies errors of |k.x| eps by |k|.
            bound = 200 * 3**order * EPS * np.max(np.abs(whole))
            np.testing.assert_allclose(blocks, whole, rtol=0.0, atol=bound)


@pytest.mark.parametrize("first_layer", ["si", "msnn"])
def test_derivatives_take_bounded_memory(first_layer, monkeypatch):
    model, n = fitted(2, first_layer=first_layer), 256
    monkeypatch.setattr(evaluation_points, "BLOCK_BYTES", 2**20)
    grid = Grid((n, n), model.grid.lower, model.grid.upper)
    tracemalloc.start()
    try:
        model.hessian(grid)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The result twice, for it is scaled, and some fields of the layers; all of the first layer's would be 19 MiB.
    assert peak < 2 * 4 * 8 * n**2 + 8 * 2**20


@pytest.mark.parametrize("first_layer", ["si", "ffm", "msnn", "none", "fourier"])
def test_save_and_load_keep_every_bit(tmp_path, backend, first_layer):
    model = fitted(2, backend, first_layer)
    path = tmp_path / "model"
    model.save(path)
    again = load_model(path, backend)
    points = np.random.default_rng(1).uniform(*BOXES[2], (20, 2))
    assert np.array_equal(again(points), model(points))
    assert np.array_equal(again(model.grid), model(model.grid))
    assert (again.grid, again.config, again.provenance) == (model.grid, model.config, model.provenance)
    assert again.history.notes == model.history.notes
    for ours, theirs in zip(again.history.stages, model.history.stages, strict=True):
        assert ours.summary() == theirs.summary()
        assert np.array_equal(ours.loss_history, theirs.loss_history)
    assert np.array_equal(again.history.spectrum.energy, model.history.spectrum.energy)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def by_the_format(path, points):
    """Values at points (n, d), by docs/format.md alone: long double, no class of this package but the reader."""
    content, arrays = read_file(path)
    lower, upper = (np.asarray(content["grid"][name]) for name in ("lower", "upper"))
    y = 2 * (points - lower) / (upper - lower) - 1
    u = np.zeros(len(points), dtype=np.longdouble)
    for s, stage in reversed(list(enumerate(content["stages"], start=1))):
        a = {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"stage{s}/")}
        h = y.T
        if stage["first_layer"] != "none":
            if stage["period"] is not None:
                period = [Fraction(p) for p in stage["period"]]
                m = a["indices"] * np.array([p.denominator for p in period])
                K = PI * m / np.array([p.numerator for p in period])
            else:
                K = stage["scale"] * a["B"].astype(np.longdouble)
                K = np.concatenate([K, K]) if stage["paired"] else K
            h = a["A"][:, None] * np.cos(K @ y.T + a["b"][:, None])
        for layer in range(1, len(stage["hidden"]) + 1):
            h = np.tanh(a[f"W{layer}"] @ h + a[f"c{layer}"][:, None])
        last = len(stage["hidden"]) + 1
        u = u + stage["eps"] * (a[f"W{last}"] @ h + a[f"c{last}"][:, None])[0]
    return u


@pytest.mark.parametrize("first_layer", ["si", "ffm", "msnn", "none", "fourier"])
def test_the_format_is_enough_to_evaluate_a_model(tmp_path, first_layer):
    model = fitted(2, first_layer=first_layer)
    model.save(tmp_path / "model")
    points = np.random.default_rng(4).uniform(*BOXES[2], (20, 2)).astype(np.longdouble)
    values = by_the_format(tmp_path / "model", points)
    eps = np.finfo(np.longdouble).eps
    # Arguments of up to 20, in the same arithmetic but another order.
    np.testing.assert_allclose(
        values, model(points, precision="extended"), rtol=0.0, atol=200 * eps * np.max(np.abs(values))
    )


def parts_of(thing):
    """A dataclass and all that it holds."""
    yield thing
    if is_dataclass(thing):
        for item in fields(thing):
            yield from parts_of(getattr(thing, item.name))
    elif isinstance(thing, tuple | list):
        for item in thing:
            yield from parts_of(item)


@pytest.mark.parametrize("first_layer", ["si", "ffm", "none", "scattered", "zero"])
def test_what_a_model_looks_like_is_short(first_layer):
    if first_layer == "scattered":
        points = np.random.default_rng(0).uniform(-1.0, 1.0, (300, 2))
        model = fit(points, np.exp(points[:, 0]), stages=1, certify=False, hidden=(6,))
    elif first_layer == "zero":
        model = fit(np.zeros(300))
    else:
        model = fitted(2, first_layer=first_layer)
    axis = Axis("x", values=np.linspace(0.0, 1.0, 900))
    modes = fourier_modes(np.ones((30, 30)), Grid((30, 30)), NumpyBackend())
    for part in (*parts_of(replace(model, field=FieldInfo("u", (axis, Axis("y"))))), modes):
        if is_dataclass(part):
            assert len(repr(part)) < 1000
            assert repr(part).count("\n") < 3
    if first_layer == "si":
        assert repr(model).startswith("Model(Grid(shape=(7, 6), lower=(0.0, -1.0), upper=(3.0, 4.0), periodic=(False")
        assert "2 stages, relative RMS error" in repr(model)
        assert "W1 (6, 10), c1 (6,), W2 (5, 6)" in repr(model.stages[0])


def test_provenance_names_the_libraries(tmp_path):
    model = fitted(1)
    assert model.provenance["numpy"] == np.__version__
    assert model.provenance["simsnn_ref"] is not None


def test_incomplete_model_files(tmp_path):
    path = tmp_path / "model"
    fitted(2).save(path)
    content, arrays = read_file(path)
    for damage in (
        lambda c, a: a.pop("stage1/W1"),
        lambda c, a: a.pop("record2/loss_history"),
        lambda c, a: c.pop("config"),
        lambda c, a: c["config"].update(nonsense=1),
        lambda c, a: c["grid"].update(lower=[1.0, 1.0], upper=[0.0, 0.0]),
        lambda c, a: c["history"]["stages"][0].pop("eps"),
        lambda c, a: c.update(stages=3),
    ):
        broken_content, broken_arrays = json.loads(json.dumps(content)), dict(arrays)
        damage(broken_content, broken_arrays)
        write_file(path, broken_content, broken_arrays)
        with pytest.raises(ModelFileError, match="not a complete simsnn model"):
            load_model(path)


def rewritten(model, path, change):
    """The model's file again, with another content or other tensors and right checksums."""
    model.save(path)
    content, arrays = read_file(path)
    change(content, arrays)
    write_file(path, content, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: a.pop("stage2/W2"), "tensor stage2/W2 is missing"),
        (lambda c, a: a.pop("stage1/A"), "tensor stage1/A is missing"),
        (lambda c, a: a.update({"stage1/A": np.zeros(0)}), "tensor stage1/A has 0 entries"),
        (lambda c, a: a.update(extra=np.zeros(1)), "tensor extra is none of this model's"),
        (
            lambda c, a: a.update({"stage1/W1": a["stage1/W1"].T}),
            r"tensor stage1/W1 has the shape \(10, 6\), not \(6, 10\)",
        ),
        (lambda c, a: a["stage1/c2"].fill(np.nan), "tensor stage1/c2 holds numbers that are not finite"),
        (lambda c, a: a.update({"stage1/b": np.zeros(10, int)}), "tensor stage1/b has the type int64, not float64"),
        (lambda c, a: a["stage1/indices"].__iadd__(1), "stage1/B and stage1/indices are not the same modes"),
        (lambda c, a: c["stages"][0].update(hidden=[6, 2**40]), "tensor stage1/W2 has the shape"),
        (lambda c, a: c["stages"][0].update(hidden=[6, -1]), r"content.stages\[0\].hidden has a width below 1"),
        (lambda c, a: c["stages"][0].update(eps="1"), r"content.stages\[0\].eps is not a number"),
        (lambda c, a: c["stages"][0].update(period=["1e999999999", "1"]), "1e999999999 is no fraction"),
        (lambda c, a: c["stages"][0].update(period=["1/0", "1"]), "1/0 is no fraction"),
        (lambda c, a: c["stages"][0].update(period=["1000", "1"]), "1000 is not between 1 and 2"),
        (lambda c, a: c["stages"][0].update(first_layer="x"), "first_layer is x, none of"),
        (lambda c, a: c["stages"][0].update(parameters=[]), "parameters are not B, b, W1, c1, W2, c2, W3, c3"),
        (lambda c, a: c["stages"][0].update(frozen=["W9"]), "frozen names what is no parameter"),
        (lambda c, a: c["stages"][0].update(more=1), r"content.stages\[0\].more is not known to this version"),
        (lambda c, a: c["stages"].pop(), "content has 1 stages but 2 records"),
        (lambda c, a: c["history"].update(off_grid="x"), "off_grid is x"),
        (lambda c, a: c["history"]["stages"][1].update(index=1), r"stages\[1\].index is 1, not 2"),
        (lambda c, a: c["history"].update(notes=["\ud800"]), r"content.history.notes\[0\] is not a string"),
        (lambda c, a: c["grid"].update(shape=[-7, 6]), "grid: axis 0 has -7 points"),
        (lambda c, a: c["grid"].update(shape=[2**40, 2**40]), "more points than can be counted"),
        (lambda c, a: c["grid"].update(lower=[0.0]), "content.grid.* has . entries; all of grid need the same"),
        (lambda c, a: c["config"].update(steps=[1e308]), "steps = .*: expected an integer"),
    ],
)
def test_forged_model_files_name_the_culprit(tmp_path, change, message):
    path = tmp_path / "model"
    rewritten(fitted(2), path, change)
    with pytest.raises(ModelFileError, match=f"not a complete simsnn model: .*{message}"):
        load_model(path)


@pytest.mark.parametrize("scattered", [False, True])
def test_loading_takes_the_size_of_the_file_and_a_mebibyte_at_most(tmp_path, scattered):
    """With 160,000 modes, or 432,000 points: nothing is copied on the way from the file to the model."""
    path = tmp_path / "model"

    def more_modes(content, arrays):
        # Repeated along the features: two of them may be the same mode.
        for name in ("A", "B", "b", "indices"):
            arrays[f"stage1/{name}"] = np.repeat(arrays[f"stage1/{name}"], 16_000, axis=0)
        arrays["stage1/W1"] = np.repeat(arrays["stage1/W1"], 16_000, axis=1)

    def more_points(content, arrays):
        arrays["points"] = np.repeat(arrays["points"], 12_000, axis=0)

    if scattered:
        points = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 2))
        model = fit(points, target(points), mode="paper", optimizer="adam", steps=2, stages=1, n_features=4)
        rewritten(model, path, more_points)
    else:
        rewritten(fitted(2, periodic=True), path, more_modes)
    size = path.stat().st_size
    assert size > 6e6
    tracemalloc.start()
    try:
        again = load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert again.grid.size == 36 * 12_000 if scattered else again.stages[0].network.n_features == 160_000
    assert peak <= size + 2**20


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (np.zeros((3, 3)), r"shape \(3, 3\), expected \(n, 2\)"),
        (np.zeros(3), r"expected \(n, 2\)"),
        (np.array([[0.0, np.nan]]), "not finite at row 0"),
        (np.array([[0.0, 1j]]), "not real coordinates"),
        ((np.zeros(3),), "expected 2 one-dimensional arrays"),
        (Grid(5), "expected 2 one-dimensional arrays"),
    ],
)
def test_bad_places(where, message):
    with pytest.raises(DataError, match=message):
        fitted(2)(where)


def test_no_points_at_all():
    assert fitted(2)(np.zeros((0, 2))).shape == (0,)


def test_stages_add_up():
    model = fitted(2)
    points = np.random.default_rng(2).uniform(*BOXES[2], (5, 2))
    parts = [replace(model, stages=(stage,))(points) for stage in model.stages]
    np.testing.assert_allclose(sum(parts), model(points), rtol=0.0, atol=4 * EPS * np.max(np.abs(parts[0])))
