"""Every term of the map ``nufft``, broken in turn: `simsnn verify`, which takes it in if it is there, must tell."""

import pytest
from mutation import identifier, plant

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.verify import check_subject, subjects

pytest.importorskip("finufft", reason="FINUFFT is not installed")
feature_map = pytest.importorskip("simsnn_ref_finufft.feature_map", reason="the FINUFFT plug-in is not installed")
transform = pytest.importorskip("simsnn_ref_finufft.transform")

# Left out, since no value depends on them: in `vjp` the imaginary part of an odd number's last pair, which drops out of
# every real result; in `_each_pair` when points are sorted anew, which test_plans_are_used_again holds.
MUTANTS = [
    (feature_map, "NufftMap.forward", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.forward", "w, w, half", "w, -w, half"),
    (feature_map, "NufftMap.vjp", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.vjp", "np.conj(_pack(W, first))", "_pack(W, first)"),
    (feature_map, "NufftMap.vjp", "1.0 if x is None else x", "1.0"),
    (feature_map, "NufftMap.vjp", "at_k *= half", "at_k *= np.conj(half)"),
    (feature_map, "NufftMap.vjp", "at_opposite *= np.conj(half)", "at_opposite *= half"),
    (feature_map, "NufftMap.vjp", "at_opposite, at_k = lane", "at_k, at_opposite = lane"),
    (feature_map, "NufftMap.vjp", "at_k + at_opposite", "at_k - at_opposite"),
    (feature_map, "NufftMap.vjp", "w_conj * (at_k - at_opposite)", "w_conj * (at_k + at_opposite)"),
    (feature_map, "NufftMap.vjp", "np.imag(w_conj", "np.real(w_conj"),
    (feature_map, "NufftMap.vjp", "-np.sum(turned, axis=1)", "np.sum(turned, axis=1)"),
    (feature_map, "NufftMap.vjp", "first // 2] = ", "0] = "),
    (feature_map, "NufftMap.jvp", "0.5 * self", "0.50025 * self"),
    (feature_map, "NufftMap.jvp", "turn = 1j * b_dot * w", "turn = -1j * b_dot * w"),
    (feature_map, "NufftMap.jvp", "w_dot + turn, w_dot - turn", "w_dot + turn, w_dot + turn"),
    (feature_map, "NufftMap.jvp", "lane, turn, -turn, half", "lane, turn, turn, half"),
    (feature_map, "NufftMap.jvp", "K_dot[:, axis] * w", "K_dot[:, 0] * w"),
    (feature_map, "NufftMap.jvp", "lane.other *= x", "lane.other *= x * x"),
    (feature_map, "NufftMap.jvp", "lane.field += lane.other", "lane.field -= lane.other"),
    (feature_map, "NufftMap._rotation", "features.amplitudes * (", "("),
    (feature_map, "NufftMap._rotation", "features.phases + features", "features.phases - features"),
    (feature_map, "NufftMap._rotation", "np.cos(theta) + 1j", "np.cos(theta) - 1j"),
    (feature_map, "_pack", "packed.imag = rows[first + 1]", "packed.imag = -rows[first + 1]"),
    (feature_map, "_unpack", "rows[first + 1] = packed.imag", "rows[first + 1] = packed.real"),
    (feature_map, "_weigh", "plus, half", "plus, np.conj(half)"),
    (feature_map, "_weigh", "minus, np.conj(half)", "minus, half"),
    (transform, "GridTransform.points", "_spacings", "_spacings * 1.0005 "),
    (transform, "PointTransform.points", "*self.coordinates", "*self.coordinates[::-1]"),
    (transform, "_with_opposites", "[x, -x]", "[x, x]"),
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
