"""What a fit says of itself beside the paper: never less than what the options change."""

import doctest
import re

import numpy as np
import pytest

import simsnn_ref.model.paper_settings
from simsnn_ref import FitConfig, Grid, fit, load_model
from simsnn_ref.model import OPTIONS, compare_with_paper
from simsnn_ref.spectrum import Scatter


def changed(**options):
    return compare_with_paper(FitConfig.of(mode="paper", **options)).changed


def test_example():
    found = doctest.testmod(simsnn_ref.model.paper_settings)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_mode_by_itself_is_the_paper():
    """Sections 3.3, 3.4 and 4.2, in numbers."""
    config = FitConfig.of(mode="paper").resolved()
    assert config.first_layer.kind == ("si",)
    assert config.trains_wavenumbers(0)
    assert config.network.hidden == (30, 30, 30)
    assert (config.network.z1_rms, config.network.output_gain) == ((None,), (1.0,))
    assert (config.training.p, config.training.optimizer, config.training.learning_rate) == (10.0, "adam", 1e-3)
    assert (config.training.steps, config.training.schedule) == ((150_000,), "plateau")
    assert config.stages.count == 4
    settings = compare_with_paper(config)
    assert settings.changed == ()
    assert len(settings.sentences()) == 2
    assert len(settings.as_in_the_paper) == 8
    assert settings == compare_with_paper(FitConfig.of(mode="paper"))


VALUES = {
    "stages": 2,
    "target": 1e-9,
    "first_layer": ("none", "msnn"),
    "n_features": (85, 625),
    "mode_threshold": 1e-3,
    "max_features": 7,
    "sigma": 2.0,
    "train_wavenumbers": False,
    "hidden": (8,),
    "z1_rms": 1.0,
    "output_gain": (1.0, 40.0),
    "p": 2.0,
    "optimizer": "gauss_newton",
    "steps": 500,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "plateau_window": 7,
    "plateau_threshold": 0.1,
    "beta1": 0.5,
    "beta2": 0.5,
    "epsilon": 1e-3,
    "target_rms": 1e-3,
    "final_learning_rate": 1e-5,
    "inner_iterations": 9,
    "damping": 1.0,
    "memory": 3,
    "stall_tolerance": 0.5,
    "max_seconds": 1.0,
    "on_divergence": "restart",
}


WITH = {
    "sigma": {"first_layer": "cos"},
    "final_learning_rate": {"schedule": "exponential"},
    "inner_iterations": {"optimizer": "gauss_newton"},
    "damping": {"optimizer": "levenberg_marquardt"},
    "memory": {"optimizer": "lbfgs"},
    "stall_tolerance": {"optimizer": "second_order"},
}
"""What has to be so for an option to have an effect."""


@pytest.mark.parametrize("name", VALUES)
def test_no_change_is_silent(name):
    """What is not the mode's own is named, and nothing that it contradicts is said to be as in the paper."""
    options = {**WITH.get(name, {}), name: VALUES[name]}
    settings = compare_with_paper(FitConfig.of(mode="paper", **options))
    word = "B frozen" if name == "train_wavenumbers" else f"{name} "
    assert sum(item.startswith(word) for item in settings.changed) == 1
    assert not any(re.search(rf"\b{name} ", item) for item in (*settings.as_in_the_paper, *settings.left_open))


@pytest.mark.parametrize("name", WITH)
def test_what_has_no_effect_is_not_told(name):
    assert changed(**{name: VALUES[name]}) == ()


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        ({"target": 1e-3}, "machine precision"),
        ({"target_rms": 0.5}, "machine precision"),
        ({"schedule": "constant"}, "annealing"),
        ({"first_layer": "rff"}, "primary"),
        ({"first_layer": "none"}, "primary"),
        ({"n_features": 20}, "primary"),
        ({"train_wavenumbers": False}, "B and b trained"),
        ({"hidden": (8,)}, "3 tanh layers"),
        ({"z1_rms": 1.0}, "Xavier"),
        ({"steps": 7}, "150000"),
    ],
)
def test_what_is_contradicted_is_not_said(options, lost):
    settings = compare_with_paper(FitConfig.of(mode="paper", **options))
    assert not any(lost in item for item in (*settings.as_in_the_paper, *settings.left_open))
    assert ("B frozen" in settings.changed) is ("train_wavenumbers" in options)


def test_every_option_of_the_method_is_tried():
    groups = ("stages", "first_layer", "network", "training")
    neutral = {"feature_map", "nufft_tolerance"}
    of_paper = {name for name, each in OPTIONS.items() if each.group in groups and each.mode != "accurate"}
    assert of_paper == set(VALUES) | neutral


def test_what_another_method_has_no_use_for_is_not_told():
    settings = compare_with_paper(
        FitConfig.of(mode="paper", optimizer="gauss_newton", learning_rate=1.0, inner_iterations=9)
    )
    assert settings.changed == ("optimizer gauss_newton", "steps 40", "inner_iterations 9")
    assert not any("Adam" in item or "annealing" in item for item in (*settings.as_in_the_paper, *settings.left_open))
    assert changed(feature_map="dense") == ()
    assert changed(train_wavenumbers=True, n_features=None) == ()


def test_a_fit_keeps_it(tmp_path):
    u = np.sin(np.pi * Grid((12,)).axes()[0])
    options = {"mode": "paper", "steps": 2, "learning_rate": 0.1, "stages": 1, "hidden": (4,)}
    model = fit(u, **options)
    model.save(tmp_path / "m.safetensors")
    notes = load_model(tmp_path / "m.safetensors").history.notes
    assert notes[1:4] == compare_with_paper(FitConfig.of(**options)).sentences()
    assert notes[3] == "as in the paper, but: stages 1; hidden 4; steps 2; learning_rate 0.1"
    assert not any("paper" in note for note in fit(u, stages=1).history.notes)


def test_scattered_points_have_no_dft():
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 2))
    model = fit(points[:, 0] * points[:, 1], Scatter(points), mode="paper", steps=1, n_features=5, stages=1)
    assert any("modes by least squares, since the points are scattered" in note for note in model.history.notes)
