"""Figure 3 on 16 x 16 samples: spectra bin by bin, up to where they agree, and the verdicts on its claims."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref import FitConfig, Grid, fit
from simsnn_ref.experiments import Settings, fig3
from simsnn_ref.experiments.turbulence_fit import Setup
from simsnn_ref.problems import get_problem
from simsnn_ref.spectrum import EnergySpectrum

SIZE, REYNOLDS, FEATURES, STEPS = 16, 50.0, (6, 40), (5, 8)

BINS = 199
"""No mode of the grid is on the edge between two of them, where rounding would decide."""


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fig3, "BINS", BINS)
        patch.setitem(fig3.SETUPS, "quick", (Setup(SIZE, REYNOLDS, FEATURES, "adam", STEPS),))
        return fig3.run(Settings("quick"))


def energy(u):
    """Eq. 13 term by term: the power of every mode of the full transform, added to the bin of its wavenumber."""
    n = u.shape[0]
    m = np.fft.fftfreq(n, 1.0 / n)
    largest = np.hypot(n / 2, n / 2)
    found = np.zeros(BINS)
    for (i, j), mode in np.ndenumerate(np.fft.fft2(u) / u.size):
        found[min(int(BINS * np.hypot(m[i], m[j]) / largest), BINS - 1)] += abs(mode) ** 2
    return found


def test_spectra_are_those_of_the_target_the_fit_and_the_residue(outcome):
    """One stage, alone, takes the steps of all four and the features of the later ones."""
    grid = Grid((SIZE, SIZE), 0.0, 2.0 * np.pi)
    u = get_problem("turbulence").samples(SIZE, reynolds=REYNOLDS)
    unit = np.sqrt(np.mean(u**2))
    assert outcome.numbers["energy_of_target"] == pytest.approx(energy(u / unit), rel=1e-9, abs=EPS)
    numbers = outcome.numbers["runs"]
    assert set(numbers) == {"one stage, adam", "4 stages, adam"}
    steps = STEPS[0] + 3 * STEPS[1]
    for name, options in (
        ("one stage, adam", {"n_features": FEATURES[1], "stages": 1, "steps": steps}),
        ("4 stages, adam", {"n_features": FEATURES, "stages": 4, "steps": STEPS}),
    ):
        fitted = fit(u, grid, mode="paper", train_wavenumbers=False, certify=False, **options)(grid)
        assert numbers[name]["energy"] == pytest.approx(energy(fitted / unit), rel=1e-9, abs=EPS)
        assert numbers[name]["energy_of_residue"] == pytest.approx(energy((u - fitted) / unit), rel=1e-9, abs=EPS)


K = np.arange(1.0, 7.0)
TARGET = EnergySpectrum(K, np.array([1e-3, 1.0, 1e-2, 1e-5, 1e-31, 1e-8]))


def network(name, energies, errors=(1e-3,), steps=10):
    """A network with these energies and these RMS errors after its stages."""
    stages = [SimpleNamespace(rms_on_grid=error, steps=steps) for error in errors]
    model = SimpleNamespace(history=SimpleNamespace(stages=stages), config=FitConfig.of(mode="paper"))
    spectrum = EnergySpectrum(K, np.asarray(energies))
    return fig3.TrainedNetwork(name, model, spectrum, spectrum)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        # All bins; that of 1e-31 is rounding, and it does not matter how far off it is.
        ([1.0, 1.0, 1.0, 1.0, 5.0, 1.0], (6.0, 1e-8)),
        ([1.0, 0.995, 1.005, 1.0, 1.0, 0.98], (4.0, 1e-5)),
        # A bin that agrees beyond one that does not is not counted.
        ([1.0, 1.0, 1.02, 1.0, 1.0, 1.0], (2.0, 1e-3)),
        ([0.98, 1.0, 1.0, 1.0, 1.0, 1.0], (0.0, 1.0)),
    ],
)
def test_a_spectrum_is_right_up_to_the_first_bin_that_is_off_by_more_than_1_percent(factors, expected):
    assert fig3.agreement(network("", TARGET.energy * factors), TARGET) == pytest.approx(expected, rel=4 * EPS)


@pytest.mark.parametrize(
    ("alone", "staged", "held"),
    [
        # Four stages see further down the spectrum, and are ten times below the plateau of one.
        (([1, 1, 1, 2, 1, 1], [1e-3]), ([1] * 6, [1e-2, 1e-6]), [True, True]),
        (([1] * 6, [1e-3]), ([1, 1, 1, 2, 1, 1], [1e-2, 5e-4]), [False, False]),
        (([1] * 6, [1e-3]), ([1] * 6, [1e-2, 1e-6]), [False, True]),
        # A single stage that comes to machine precision has not come to a plateau.
        (([1, 1, 1, 2, 1, 1], [1e-14]), ([1] * 6, [1e-16]), [True, False]),
    ],
)
def test_claims(alone, staged, held):
    networks = [
        network("one stage", TARGET.energy * alone[0], alone[1]),
        network("4 stages", TARGET.energy * staged[0], staged[1]),
    ]
    claims = fig3._claims(networks, TARGET)
    assert [claim.held for claim in claims] == held
    assert all(claim.verdict.endswith(" by the paper's method") for claim in claims)


def test_claims_of_the_run_follow_from_its_numbers(outcome):
    """Few steps of Adam: with four stages the error is no smaller by a factor of ten."""
    ends = {name: numbers["stages"][-1]["rms_on_grid"] for name, numbers in outcome.numbers["runs"].items()}
    assert 0.1 < ends["4 stages, adam"] / ends["one stage, adam"] < 10.0
    assert outcome.claims[1].held is False
    assert all(f"{end:.1e}" in outcome.claims[1].found for end in ends.values())
