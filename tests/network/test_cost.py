"""The cost model that `auto` goes by: its choices at sizes where they were measured, and that more work costs more."""

from dataclasses import replace

import pytest

from simsnn_ref.network import MapSizes, step_seconds
from simsnn_ref.network.features.cost import map_costs

TRAINED = MapSizes(n_features=851, units=30, trains_wavenumbers=True)


def cheapest(shape, n_features, trains=True):
    costs = map_costs(
        shape,
        len(shape),
        replace(TRAINED, n_features=n_features, trains_wavenumbers=trains),
        is_grid=True,
        lattice=None if trains else shape,
        has_nufft=True,
    )
    return min(costs, key=costs.get)


@pytest.mark.parametrize(
    ("shape", "n_features", "kind"),
    [
        # On one thread asv_bench/maps.py finds the other maps to take 1.1 times as long at 64^2 with 851 features, and
        # at least 1.3 times as long at the other sizes.
        ((64, 64), 100, "separable"),
        ((64, 64), 851, "separable"),
        ((32, 32), 10000, "separable"),
        ((128, 128), 30, "separable"),
        ((128, 128), 3000, "nufft"),
        ((512, 512), 1000, "nufft"),
        ((16, 16, 16), 1000, "separable"),
        ((16,), 1000, "dense"),
    ],
    ids=str,
)
def test_the_fastest_map_with_trained_wavenumbers(shape, n_features, kind):
    assert cheapest(shape, n_features) == kind


@pytest.mark.parametrize("shape", [(64,), (64, 64), (512, 512), (32, 32, 32)], ids=str)
def test_transforms_of_the_grid_serve_frozen_modes_best(shape):
    assert cheapest(shape, 300, trains=False) == "fft"


@pytest.mark.parametrize("kind", ["dense", "separable", "fft", "nufft"])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [5, 16, 64, 100])
def test_more_work_costs_more(kind, d, n):
    def seconds(shape=(n,) * d, **changes):
        return step_seconds(kind, shape, d, replace(TRAINED, trains_wavenumbers=False, **changes))

    least = seconds()
    assert 0.0 < least < seconds(n_features=852)
    assert least < seconds(units=32)
    assert least < seconds(shape=(2 * n,) * d)


@pytest.mark.parametrize("kind", ["separable", "nufft"])
@pytest.mark.parametrize("shape", [(16,), (64, 64), (16, 16, 16)], ids=str)
def test_training_the_wavenumbers_costs_more(kind, shape):
    frozen = replace(TRAINED, trains_wavenumbers=False)
    assert step_seconds(kind, shape, len(shape), TRAINED) > step_seconds(kind, shape, len(shape), frozen)
