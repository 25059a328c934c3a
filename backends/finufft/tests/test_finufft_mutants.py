"""Every term of the map ``nufft``, broken in turn: `simsnn verify`, which checks installed maps, must fail."""

import pytest
from mutation import identifier, plant

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.verify import check_subject, subjects

pytest.importorskip("finufft", reason="FINUFFT is not installed")
feature_map = pytest.importorskip("simsnn_ref_finufft.feature_map", reason="the FINUFFT plug-in is not installed")
workspace = pytest.importorskip("simsnn_ref_finufft.workspace")
grid_transform = pytest.importorskip("simsnn_ref_finufft.grid_transform")
point_transform = pytest.importorskip("simsnn_ref_finufft.point_transform")

# Left out, since no value depends on them: in `vjp` the imaginary part of an odd number's last pair, which drops out of
# every real result; in `_each_block` when points are sorted anew, which test_plans_are_used_again holds; in `_kernel`
# where in a step the kernel is sampled. Room for the kernel at the ends of what is spread shows on larger grids only,
# in test_wavenumbers_far_below_the_grids.
MUTANTS = [
    (feature_map, "NufftMap.forward", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.forward", "w, w, half", "w, -w, half"),
    (feature_map, "NufftMap.vjp", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.vjp", "w_conj = np.conj(", "w_conj = ("),
    (feature_map, "NufftMap.vjp", "at_k *= half", "at_k *= np.conj(half)"),
    (feature_map, "NufftMap.vjp", "at_opposite *= np.conj(half)", "at_opposite *= half"),
    (feature_map, "NufftMap.vjp", "at_opposite, at_k = workspace", "at_k, at_opposite = workspace"),
    (feature_map, "NufftMap.vjp", "[0, :, 0] + workspace", "[0, :, 0] - workspace"),
    (feature_map, "NufftMap.vjp", "w_conj * (at_k - at_opposite)", "w_conj * (at_k + at_opposite)"),
    (feature_map, "NufftMap.vjp", "np.imag(w_conj", "np.real(w_conj"),
    (feature_map, "NufftMap.vjp", "-np.sum(terms, axis=1)", "np.sum(terms, axis=1)"),
    (feature_map, "NufftMap.vjp", "units.start // 2 :", "0 :"),
    (feature_map, "NufftMap.jvp", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.jvp", "turn = 1j * b_dot * w", "turn = -1j * b_dot * w"),
    (feature_map, "NufftMap.jvp", "w_dot + turn, w_dot - turn", "w_dot + turn, w_dot + turn"),
    (feature_map, "NufftMap.jvp", "turn, -turn, half", "turn, turn, half"),
    (feature_map, "NufftMap.jvp", "* column * w", "* columns[0] * w"),
    (feature_map, "NufftMap._rotation", "features.amplitudes * (", "("),
    (feature_map, "NufftMap._rotation", "features.phases + features", "features.phases - features"),
    (feature_map, "NufftMap._rotation", "np.cos(theta) + 1j", "np.cos(theta) - 1j"),
    (feature_map, "_pack", "(rows[1::2], packed.imag)", "(-rows[1::2], packed.imag)"),
    (feature_map, "_unpack", "(rows[1::2], flat.imag)", "(rows[1::2], flat.real)"),
    (feature_map, "_weigh", "plus, half", "plus, np.conj(half)"),
    (feature_map, "_weigh", "minus, np.conj(half)", "minus, half"),
    (workspace, "with_opposites", "[x, -x]", "[x, x]"),
    (grid_transform, "GridTransform.points", "_spacings", "_spacings * 1.0005 "),
    (grid_transform, "GridTransform.points", "2 * PI * fine / lattice", "2 * PI * fine / (lattice + 0.1)"),
    (grid_transform, "_GridWorkspace.synthesize", "self._execute(1 + a)", "self._execute(a)"),
    (grid_transform, "_GridWorkspace.synthesize", "self._axes[:a]", "self._axes[: a + 1]"),
    (
        grid_transform,
        "_GridWorkspace.synthesize",
        "axis.synthesize(branch, axis.moment)",
        "axis.synthesize(branch, axis.weight)",
    ),
    (grid_transform, "_GridWorkspace.synthesize", "fields += axis", "fields -= axis"),
    (grid_transform, "_GridWorkspace.analyze", "fields, axis.moment", "fields, axis.weight"),
    (
        grid_transform,
        "_GridWorkspace.analyze",
        "_execute_adjoint(branch, 1 + a)",
        "_execute_adjoint(branch, len(self._axes) - a)",
    ),
    (grid_transform, "_GridWorkspace.analyze", "_execute_adjoint(fields, 0)", "_execute_adjoint(branch, 0)"),
    (grid_transform, "_Axis.along", "n_fine * q", "n_fine * 1.01 * q"),
    (grid_transform, "_Axis.along", "x.size // 2, kernel", "x.size // 2 + 1, kernel"),
    (grid_transform, "_Axis.along", "(x * weight + 0j)", "(weight + 0j)"),
    (grid_transform, "_Axis.synthesize", "fft.ifft(", "fft.fft("),
    (grid_transform, "_Axis.synthesize", "weight[centred], ", "1.0, "),
    (grid_transform, "_Axis.analyze", "fft.fft(", "fft.ifft("),
    (grid_transform, "_Axis.analyze", "weight[centred], ", "1.0, "),
    (grid_transform, "_Axis._cyclic", "= 0.0", "= 1e-3"),
    (grid_transform, "_Axis._halves", "n // 2", "(n - 1) // 2"),
    (grid_transform, "_kernel", "0.5 * KERNEL_WIDTH", "0.4 * KERNEL_WIDTH"),
    (point_transform, "_PointWorkspace._sort", "*self._coordinates", "*self._coordinates[::-1]"),
    (point_transform, "_PointWorkspace.synthesize", "m - 1", "0"),
    (point_transform, "_PointWorkspace.synthesize", "fields += ", "fields -= "),
    (point_transform, "_PointWorkspace.analyze", "m - 1", "0"),
]


def failures():
    """Names of the checks that fail, on a grid and at scattered points; an error counts as one."""
    try:
        some = [subject for subject in subjects(NumpyBackend()) if ", nufft, " in subject.name]
        assert len(some) == 2
        return [check.what for subject in some for check in check_subject(subject) if not check.passed]
    except (ValueError, IndexError, TypeError) as error:
        return [type(error).__name__]


def test_nothing_fails_unbroken():
    assert failures() == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mutant", MUTANTS, ids=identifier)
def test_verify_kills(monkeypatch, mutant):
    plant(monkeypatch, mutant, "simsnn_ref_finufft")
    assert failures(), f"survived: {identifier(mutant)}"


def test_none_is_there_twice():
    assert len(set(map(identifier, MUTANTS))) == len(MUTANTS)
