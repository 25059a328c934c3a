"""Options: typed, checked, and the same through TOML."""

from dataclasses import FrozenInstanceError

import pytest

from simsnn_ref import ConfigError, FitConfig, config_from_toml
from simsnn_ref.model import config_from_dict


def test_toml_round_trip(tmp_path):
    config = FitConfig(
        mode="paper", stages=2, first_layer=("none", "msnn"), n_features=(7, 9), train_wavenumbers=True, p=2.5
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert config_from_toml(path) == config
    path.write_text(FitConfig().to_toml())
    assert config_from_toml(path) == FitConfig()


def test_what_depends_on_the_mode_is_filled_in():
    accurate, paper = FitConfig().resolved(), FitConfig(mode="paper", optimizer="adam").resolved()
    assert (accurate.p, accurate.steps, accurate.max_features) == (2.0, (40,), 400_000)
    assert (paper.p, paper.steps, paper.max_features) == (10.0, (500,), 10_000)
    assert FitConfig(p=4, steps=(7,)).resolved().steps == (7,)


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        FitConfig().stages = 5


def test_scalars_and_lists_become_tuples():
    assert FitConfig(steps=[10, 20]).steps == (10, 20)
    assert FitConfig(hidden=8).hidden == (8,)
    assert FitConfig(p=4).p == 4.0


def test_per_stage_options_repeat_their_last_entry():
    config = FitConfig(n_features=(5, 9))
    assert [config.for_stage(config.n_features, stage) for stage in range(4)] == [5, 9, 9, 9]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stagse": 2}, r"unknown option 'stagse' \(did you mean 'stages'\?\)"),
        ({"learning-rate": 1.0}, "did you mean 'learning_rate'"),
        ({"stages": 0}, "stages = 0"),
        ({"stages": 1.5}, "expected an integer"),
        ({"stages": True}, "expected an integer"),
        ({"stages": float("inf")}, "expected an integer"),
        ({"seed": float("nan")}, "expected an integer"),
        ({"seed": 2**63}, "expected an integer"),
        ({"p": 10**400}, "expected a number"),
        ({"p": "ten"}, "expected a number"),
        ({"p": 1.5}, "p >= 2"),
        ({"p": float("nan")}, "p = nan"),
        ({"first_layer": "sii"}, "did you mean 'si'"),
        ({"first_layer": []}, "at least one entry"),
        ({"schedule": "linear"}, "choose one of"),
        ({"beta2": 1.0}, "0 <= beta2 < 1"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"hidden": [3, 0]}, "at least 1"),
        ({"train_wavenumbers": "yes"}, "expected true or false"),
        ({"mode_threshold": 0.0}, "0 < mode_threshold <= 1"),
        ({"seed": -1}, "at least 0"),
        ({"z1_rms": [0.5, -1.0]}, "at least 0"),
        ({"output_gain": [1.0, 0.0]}, "above 0"),
        ({"output_gain": []}, "at least one entry"),
        ({"backend": 3}, "expected a string"),
    ],
)
def test_bad_options(values, message):
    with pytest.raises(ConfigError, match=message):
        config_from_dict(values)


def test_bad_files(tmp_path):
    path = tmp_path / "bad.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        config_from_toml(path)
    path.write_text("stages = ")
    with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML"):
        config_from_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config_from_toml(path)
    path.write_text("step = 3")
    with pytest.raises(ConfigError, match=r"bad\.toml: unknown option 'step' \(did you mean 'steps'"):
        config_from_toml(path)
