"""Where the plug-in map ``nufft`` fits in: found by entry point, used to train, never for the residues."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

import simsnn_ref.network.features.choose as features_module
from simsnn_ref import fit
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.model import FitConfig
from simsnn_ref.network import DenseMap, ExtendedBackend, MapSizes, make_map
from simsnn_ref.spectrum import Grid


class Recorded(DenseMap):
    """A stand-in for the plug-in: exact, and it remembers what it was asked for."""

    name = "nufft"
    asked = ()

    def __init__(self, where, backend, tolerance):
        Recorded.asked += ((where, backend, tolerance),)
        is_grid = isinstance(where, Grid)
        super().__init__(where.scaled_points() if is_grid else where, backend, where.shape if is_grid else None)


@pytest.fixture
def install(monkeypatch):
    """Pretend that a distribution registers `value`, or none at all."""

    def pretend(value=None):
        found = [] if value is None else [EntryPoint("nufft", value, "simsnn_ref.feature_maps")]
        monkeypatch.setattr(features_module, "entry_points", lambda group, name: found)
        monkeypatch.setattr(Recorded, "asked", ())

    return pretend


@pytest.mark.parametrize("where", [Grid((4, 4)), np.zeros((3, 2))], ids=["grid", "points"])
def test_without_the_plugin_there_is_one_line(install, where):
    install()
    with pytest.raises(ConfigError) as caught:
        make_map(where, NumpyBackend(), kind="nufft")
    assert str(caught.value) == "feature_map = 'nufft' needs the FINUFFT plug-in: pip install simsnn-ref-finufft"


@pytest.mark.parametrize("mode", ["paper", "accurate"])
def test_without_the_plugin_no_stage_begins(install, mode):
    install()
    with pytest.raises(ConfigError, match="needs the FINUFFT plug-in"):
        fit(np.random.default_rng(0).standard_normal((8, 8)), mode=mode, feature_map="nufft")


def test_a_plugin_that_does_not_load_names_its_reason(install):
    install("no_such_module_at_all:Map")
    with pytest.raises(ConfigError, match="'nufft' is installed but does not load: No module named 'no_such_module"):
        make_map(Grid(4), NumpyBackend(), kind="nufft")


@pytest.mark.parametrize("value", [0.0, -1e-9, float("inf")])
def test_tolerance_is_positive(value):
    with pytest.raises(ConfigError, match=r"nufft_tolerance = .*: needs a finite value above 0"):
        FitConfig.of(nufft_tolerance=value)


@pytest.mark.parametrize("options", [{"mode": "paper", "first_layer": "msnn", "n_features": 8}, {}])
def test_it_trains_and_never_evaluates_a_residue(install, options):
    install(f"{__name__}:Recorded")
    grid = Grid((12, 12))
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    u = np.exp(np.sin(np.pi * x) * np.cos(np.pi * y))
    model = fit(u, grid, stages=2, steps=3, hidden=(4,), feature_map="nufft", nufft_tolerance=1e-11, **options)
    assert {record.feature_map for record in model.history.stages} == {"nufft"}
    assert model.history.certified["agrees"]
    assert Recorded.asked
    for where, backend, tolerance in Recorded.asked:
        assert isinstance(where, Grid)
        assert not isinstance(backend, ExtendedBackend)
        assert tolerance == 1e-11
    # Nor does the finished model use it.
    asked = len(Recorded.asked)
    model(grid), model(np.zeros((3, 2))), model.gradient(grid)
    assert len(Recorded.asked) == asked


def test_auto_chooses_it_for_training_alone(install):
    """Many trainable wavenumbers are its case; without a tolerance, as residues ask, there are the exact maps only."""
    install(f"{__name__}:Recorded")
    many = MapSizes(n_features=10000, trains_wavenumbers=True)
    where = Grid((128, 128))
    assert make_map(where, NumpyBackend(), tolerance=1e-14, sizes=many).name == "nufft"
    assert make_map(where, NumpyBackend(), sizes=many).name == "separable"
    assert make_map(where, ExtendedBackend(), tolerance=1e-14, sizes=many).name == "separable"
    small = MapSizes(n_features=851, trains_wavenumbers=True)
    assert make_map(Grid((64, 64)), NumpyBackend(), tolerance=1e-13, sizes=small).name == "separable"
    few = MapSizes(n_features=100, trains_wavenumbers=True)
    assert make_map(where, NumpyBackend(), tolerance=1e-14, sizes=few).name == "separable"
    assert make_map(np.zeros((3, 2)), NumpyBackend(), tolerance=1e-14, sizes=few).name == "dense"


def test_auto_goes_on_where_it_refuses(install):
    install(f"{__name__}:refuses")
    many = MapSizes(n_features=10000, trains_wavenumbers=True)
    assert make_map(Grid((128, 128)), NumpyBackend(), tolerance=1e-20, sizes=many).name == "separable"


def refuses(where, backend, tolerance):
    raise ConfigError("nufft_tolerance = 1e-20: too small")
