"""What section 2.3 says, beside what the kernel study found."""

from collections.abc import Sequence

import numpy as np

from simsnn_ref.experiments.base import Claim
from simsnn_ref.experiments.ntk.problem import CYCLES, FIRST_LAYERS
from simsnn_ref.experiments.ntk.study import LEADING, Study

__all__ = ["claims"]

SOURCE = "section 2.3"

RAPID = 1e-3
"""lambda_10 / lambda_1 below which the eigenvalues decay rapidly."""

NEARLY_ALL, NEARLY_NOTHING = 0.9, 0.1
"""Shares of power, of the target, or of a wave."""

AGREEMENT = 0.1
"""Largest error at which a prediction of the residue holds at the paper's width."""

WIDENING = ("rff", "ffm", "msnn")
"""First layers that widen with the hidden ones."""


def claims(study: Study) -> tuple[Claim, ...]:
    """Two claims on the spectral bias, two on embedded wavenumbers, three on the predicted decay."""
    return (*_spectral_bias(study), *_embedding(study), *_prediction(study))


def _spectral_bias(study: Study) -> Sequence[Claim]:
    ratio = study.at_paper_width("none", lambda one: one.relative_eigenvalue(10))
    mean = study.at_paper_width("none", lambda one: float(np.mean(one.wavenumbers[:LEADING])))
    reach = study.at_paper_width("none", lambda one: one.target_within_reach)
    return (
        Claim(
            SOURCE,
            "the eigenvalues of a conventional MLP decay rapidly",
            f"lambda_10 / lambda_1 = {ratio:.1e} (rapid: below {RAPID:g})",
            ratio < RAPID,
        ),
        Claim(
            SOURCE,
            "its spectral bias is an eigenvector bias: the leading eigenvectors carry low wavenumbers",
            f"mean wavenumber {mean:.1f} of the {LEADING} leading (low: below the middle wave, {CYCLES[1]});"
            f" {reach:.1%} of the target lies on eigenvectors with 1 % of lambda_1 or more",
            mean < CYCLES[1],
        ),
    )


def _embedding(study: Study) -> Sequence[Claim]:
    share = study.at_paper_width("si", lambda one: float(np.mean(one.power_on_target[:LEADING])))
    reach = study.at_paper_width("si", lambda one: one.target_within_reach)
    left = {name: study.at_paper_width(name, lambda one: float(one.waves[-1, -1])) for name in FIRST_LAYERS}
    return (
        Claim(
            SOURCE,
            "principal eigenvectors correspond to the embedded frequencies; with si these are the target's",
            f"{share:.1%} of the power of the {LEADING} leading eigenvectors of si is at the target's wavenumbers or 0,"
            f" and {reach:.1%} of the target within their reach (held: {NEARLY_ALL:.0%} of both)",
            min(share, reach) >= NEARLY_ALL,
        ),
        Claim(
            SOURCE,
            "embedding the target's frequencies allows rapid convergence in those directions",
            f"of wave {CYCLES[-1]} is left after {study.size.steps} steps: "
            + ", ".join(f"{name} {value:.2g}" for name, value in left.items())
            + f" (held: si at most {NEARLY_NOTHING:g}, none at least {NEARLY_ALL:g})",
            left["si"] <= NEARLY_NOTHING and left["none"] >= NEARLY_ALL,
        ),
    )


def _prediction(study: Study) -> Sequence[Claim]:
    narrow, wide = study.narrowest, study.widest
    says = (
        "gradient descent converges in each eigenvector at the rate of its eigenvalue, in the limit of infinite width"
    )

    def falls(names: Sequence[str]) -> tuple[str, bool]:
        pairs = {name: (study.residue_error(name, narrow), study.residue_error(name, wide)) for name in names}
        found = ", ".join(f"{name} {first:.1%} to {last:.1%}" for name, (first, last) in pairs.items())
        # The neglected terms are of order width^(-1/2) (Lee et al. 2019).
        expected = (narrow / wide) ** 0.5
        held = all(last <= expected * first for first, last in pairs.values())
        need = f"held: to {expected:.2f} of it, 1 / sqrt(width)"
        return f"error of the predicted residue, width {narrow} to {wide}: {found} ({need})", held

    errors = {name: study.residue_error(name, narrow) for name in FIRST_LAYERS}
    worst = max(errors, key=lambda name: errors[name])
    return (
        Claim(SOURCE, f"{says}: networks all of whose layers widen", *falls(WIDENING)),
        Claim(SOURCE, f"{says}: si, whose first layer stays as narrow as the target's spectrum", *falls(("si",))),
        Claim(
            SOURCE,
            f"the same at the paper's width {narrow}",
            f"error of the predicted residue {errors[worst]:.1%} at worst ({worst}), {errors['si']:.1%} with si"
            f" (held: {AGREEMENT:.0%} or less for all)",
            errors[worst] <= AGREEMENT,
        ),
    )
