"""Options: typed, checked, in groups, and the same through flat names, TOML and model files."""

import doctest
import tomllib
from dataclasses import FrozenInstanceError

import pytest

import simsnn_ref.model.config
from simsnn_ref import ConfigError, FitConfig, config_from_toml
from simsnn_ref.model import (
    OPTIONS,
    FirstLayerOptions,
    NetworkOptions,
    RunOptions,
    SamplingOptions,
    StageOptions,
    TrainingOptions,
    config_from_dict,
    config_from_file,
)

DEFAULTS_IN_FILES = {
    "mode": "accurate",
    "stages": None,
    "target": 5e-17,
    "first_layer": ["si"],
    "n_features": [0],
    "mode_threshold": 0.0002,
    "tail_tolerance": 1e-10,
    "max_features": 0,
    "delta": 1e-05,
    "refine": 0,
    "hidden": [30, 30, 30],
    "z1_rms": [0.0],
    "output_gain": [1.0],
    "sigma": 1.0,
    "train_wavenumbers": None,
    "feature_map": "auto",
    "nufft_tolerance": 1e-13,
    "p": 0.0,
    "optimizer": None,
    "steps": [],
    "learning_rate": None,
    "schedule": None,
    "final_learning_rate": 0.0001,
    "plateau_window": 2500,
    "plateau_threshold": 0.4,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-08,
    "inner_iterations": 300,
    "damping": 0.001,
    "memory": 20,
    "target_rms": 1e-12,
    "stall_tolerance": 0.1,
    "max_seconds": 0.0,
    "on_divergence": "stop",
    "off_grid": "auto",
    "off_grid_points": 1000,
    "fit_noise": False,
    "certify": True,
    "seed": 0,
    "deterministic": False,
    "backend": "numpy",
}
"""As files have them; those of a fit hold what mode and optimizer decide."""

UNUSUAL = {
    "mode": "paper",
    "stages": 2,
    "first_layer": ("none", "msnn"),
    "n_features": (None, 9),
    "z1_rms": (None, 1.0),
    "train_wavenumbers": True,
    "steps": (0, 100),
    "p": 2.5,
    "hidden": (),
    "mode_threshold": 1e-3,
    "max_seconds": 1.5,
    "certify": False,
    "backend": 'quoted "é" \\ name',
}


def test_example():
    found = doctest.testmod(simsnn_ref.model.config)
    assert found.attempted > 0
    assert found.failed == 0


def test_groups_and_flat_names_are_two_ways_to_the_same():
    config = FitConfig(
        mode="paper",
        stages=StageOptions(count=2, target=1e-9),
        first_layer=FirstLayerOptions(kind="msnn", n_features=5),
        network=NetworkOptions(hidden=(8, 8)),
        training=TrainingOptions(optimizer="adam"),
        sampling=SamplingOptions(off_grid="none"),
        run=RunOptions(seed=3),
    )
    flat = {"stages": 2, "target": 1e-9, "first_layer": "msnn", "n_features": 5, "hidden": (8, 8)}
    assert config == FitConfig.of(mode="paper", **flat, optimizer="adam", off_grid="none", seed=3)
    assert config.with_options(seed=4, stages=1) == FitConfig.of(**config.to_flat() | {"seed": 4, "stages": 1})
    assert FitConfig.of(**config.to_flat()) == config
    assert FitConfig.of() == FitConfig()
    assert list(config.to_flat()) == list(OPTIONS)


@pytest.mark.parametrize("options", [UNUSUAL, {}], ids=["unusual", "defaults"])
def test_toml_round_trip(tmp_path, options):
    config = FitConfig.of(**options)
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert config_from_toml(path) == config
    assert config_from_dict(config.to_dict()) == config


def test_toml_has_a_table_for_each_group_and_says_what_options_mean():
    text = FitConfig().to_toml()
    tables = tomllib.loads(text)
    assert list(tables) == ["mode", "stages", "first_layer", "network", "training", "sampling", "run"]
    assert sum(len(table) for name, table in tables.items() if name != "mode") + 1 == len(OPTIONS)
    assert tables["stages"]["target"] == 5e-17
    assert tables["first_layer"]["kind"] == ["si"]
    assert tables["training"]["p"] == tables["first_layer"]["train_wavenumbers"] == "auto"
    for option in OPTIONS.values():
        assert f"# {option.help}\n{option.attribute} = " in text


def test_files_have_a_number_where_none_is_meant(tmp_path):
    assert FitConfig().to_dict() == DEFAULTS_IN_FILES
    assert config_from_dict(DEFAULTS_IN_FILES) == FitConfig()
    assert FitConfig.of(**UNUSUAL).to_dict()["n_features"] == [0, 9]
    values = {"mode": "paper", "n_features": 0, "z1_rms": [0, 1], "steps": [0]}
    assert config_from_dict(values) == FitConfig.of(mode="paper", z1_rms=(None, 1.0), steps=0)


def test_files_of_earlier_versions_mean_what_they_meant():
    """They have auto for the optimizer, null where B trains by the first layer, and any option in either mode."""
    earlier = {"mode": "paper", "optimizer": "auto", "train_wavenumbers": None, "delta": 0.1, "steps": [40]}
    for kinds, trains in ((["si"], False), (["none", "msnn"], True), (["cos"], True), (["ffm"], False)):
        config = config_from_file({**earlier, "first_layer": kinds})
        assert (config.training.optimizer, config.first_layer.train_wavenumbers) == ("second_order", trains)
        assert config.network.delta == FitConfig().network.delta
    for config in (FitConfig.of(mode="paper"), FitConfig(), FitConfig.of(mode="paper", first_layer="rff")):
        assert config_from_file(config.resolved().to_dict()) == config.resolved()


def test_auto_in_toml_is_none(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[first_layer]\nn_features = ["auto", 7]\n[training]\np = "auto"\nsteps = "auto"\n')
    assert config_from_toml(path) == FitConfig.of(n_features=(None, 7))


@pytest.mark.parametrize(
    "name", ["n_features", "max_features", "refine", "z1_rms", "p", "steps", "max_seconds", "train_wavenumbers"]
)
def test_none_and_nothing_else_leaves_an_option_to_the_fit(name):
    assert FitConfig.of(**{name: None}) == FitConfig()
    assert OPTIONS[name].auto
    if name != "train_wavenumbers":
        with pytest.raises(ConfigError, match=rf"{name}( =|:) .*, or None, in files and flags auto"):
            FitConfig.of(**{name: () if name == "steps" else 0})
    assert FitConfig.of(**{name: "auto"}) == FitConfig()
    with pytest.raises(ConfigError, match=f"{name} = ''"):
        FitConfig.of(**{name: ""})


def test_what_depends_on_the_mode_is_filled_in():
    for config in (FitConfig(), FitConfig().resolved()):
        assert (config.n_stages, config.p, config.steps, config.max_features) == (3, 2.0, (40,), 400_000)
        assert (config.optimizer, config.learning_rate, config.schedule) == ("second_order", 1e-2, "exponential")
        assert not config.trains_wavenumbers(0)
    for config in (FitConfig.of(optimizer="adam"), FitConfig.of(mode="paper", optimizer="lbfgs")):
        assert config.steps == ((500,) if config.mode == "accurate" else (40,))
    given = FitConfig.of(p=4, steps=(7,), max_features=5).resolved()
    assert given.resolved() == given
    assert (given.p, given.steps, given.max_features) == (4.0, (7,), 5)


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        FitConfig().stages = StageOptions(count=5)
    with pytest.raises(FrozenInstanceError):
        FitConfig().stages.count = 5


def test_scalars_and_lists_become_tuples():
    assert TrainingOptions(steps=[10, 20]).steps == (10, 20)
    assert NetworkOptions(hidden=8).hidden == (8,)
    assert FirstLayerOptions(n_features=None).n_features == (None,)
    assert TrainingOptions(p=4).p == 4.0


def test_per_stage_options_repeat_their_last_entry():
    config = FitConfig.of(n_features=(5, 9))
    assert [config.for_stage(config.first_layer.n_features, stage) for stage in range(4)] == [5, 9, 9, 9]


BAD = [
    ({"stages": 0}, "stages = 0: needs a finite value of at least 1"),
    ({"stages": 1.5}, "expected an integer"),
    ({"stages": True}, "expected an integer"),
    ({"stages": float("inf")}, "expected an integer"),
    ({"seed": None}, "seed = None: expected an integer$"),
    ({"delta": 1e-3, "mode": "paper"}, "delta = 0.001: mode 'paper' has no use for it; use mode 'accurate'"),
    ({"refine": 3, "mode": "paper"}, "refine = 3: mode 'paper' has no use for it"),
    ({"output_gain": (1.0, 40.0)}, "output_gain = 1.0,40.0: mode 'accurate' has no use for it; use mode 'paper'"),
    ({"seed": float("nan")}, "expected an integer"),
    ({"seed": 2**63}, "expected an integer"),
    ({"p": 10**400}, "expected a number"),
    ({"p": "ten"}, "expected a number"),
    ({"p": 1.5}, "p = 1.5: needs a finite value of at least 2"),
    ({"p": float("nan")}, "p = nan"),
    ({"p": float("inf")}, "p = inf: needs a finite value"),
    ({"first_layer": "sii"}, "did you mean 'si'"),
    ({"first_layer": []}, "at least one entry"),
    ({"schedule": "linear"}, "schedule = 'linear': choose one of exponential, plateau, constant$"),
    ({"beta2": 1.0}, "0 <= beta2 < 1"),
    ({"learning_rate": -1.0}, "above 0"),
    ({"hidden": [3, 0]}, r"hidden = \(3, 0\): every entry needs a finite value of at least 1"),
    ({"hidden": [3, None]}, "expected an integer"),
    ({"train_wavenumbers": "yes"}, "expected true or false"),
    ({"certify": 0}, "expected true or false"),
    ({"refine": False}, "expected an integer"),
    ({"mode_threshold": 0.0}, "0 < mode_threshold <= 1"),
    ({"seed": -1}, "at least 0"),
    ({"steps": -1}, "at least 0"),
    ({"steps": (150, 0)}, "steps = 150,0: a stage of no steps after others; commas separate stages, not thousands"),
    ({"z1_rms": [0.5, -1.0]}, "every entry needs a finite value above 0"),
    ({"output_gain": [1.0, 0.0]}, "above 0"),
    ({"output_gain": []}, "at least one entry"),
    ({"backend": 3}, "expected a string"),
    ({"mode": "papre"}, "did you mean 'paper'"),
    ({"first_layer": "rff"}, "mode 'accurate' has 'si'; use mode 'paper'"),
    ({"train_wavenumbers": True}, "use mode 'paper'"),
    ({"stagse": 2}, r"unknown option 'stagse' \(did you mean 'stages', which is stages\.count\?\)"),
    ({"learning-rate": 1.0}, r"did you mean 'learning_rate', which is training\.learning_rate\?"),
    ({"kind": "si"}, r"did you mean 'first_layer', which is first_layer\.kind\?"),
    ({"mod": "paper"}, r"unknown option 'mod' \(did you mean 'mode'\?\)"),
    ({"qqqqq": 1}, "unknown option 'qqqqq'$"),
    ({"self": 1, "cls": 2}, "unknown option 'self'"),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_bad_options(values, message):
    for build in (config_from_dict, lambda values: FitConfig.of(**values)):
        with pytest.raises(ConfigError, match=message):
            build(values)


def test_bad_groups():
    with pytest.raises(ConfigError, match="above 0"):
        TrainingOptions(learning_rate=0.0)
    with pytest.raises(ConfigError, match=r"stages = 2: expected StageOptions; FitConfig\.of takes options"):
        FitConfig(stages=2)
    with pytest.raises(ConfigError, match="use mode 'paper'"):
        FitConfig(first_layer=FirstLayerOptions(kind="rff"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nstep = 3", r"unknown option 'step' \(did you mean 'steps', which is training\.steps\?\)"),
        ("stage = 2", r"unknown option 'stage' \(did you mean 'stages', which is stages\.count\?\)"),
        ('optimizer = "adam"', r"optimizer belongs in the table \[training\]$"),
        ("stages = 3", r"stages belongs in the table \[stages\], as count$"),
        ('first_layer = "cos"', r"first_layer belongs in the table \[first_layer\], as kind$"),
        ("[stages]\nstages = 3", r"stages belongs in the table \[stages\], as count$"),
        ("[run]\ncount = 3", r"count belongs in the table \[stages\]$"),
        ('[run]\nmode = "paper"', "mode belongs above all tables$"),
        ("[optimizer]\np = 3", r"optimizer belongs in the table \[training\]$"),
        ("[trainning]\np = 3", r"unknown table \[trainning\] \(did you mean \[training\]\?\)"),
        ("network = 3", r"network = 3: expected a table, \[network\]"),
        ("[training]\np = 0.0", r"p = 0\.0: needs a finite value of at least 2, or None, in files and flags auto"),
        ("[mode]\np = 3", "mode = {'p': 3}: expected a string"),
        ("stages = ", "not valid TOML"),
    ],
)
def test_bad_toml(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"bad\.toml: {message}"):
        config_from_toml(path)


def test_bad_files(tmp_path):
    path = tmp_path / "bad.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        config_from_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config_from_toml(path)
