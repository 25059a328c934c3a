"""What section 3.3 says, beside what the exponent study found."""

from collections.abc import Callable

from simsnn_ref.experiments.base import Claim, spread
from simsnn_ref.experiments.lp.residues import SPIKE, gaussian_maximum
from simsnn_ref.experiments.lp.study import EXPONENTS, LEAST_SQUARES, PAPER, Study, Trial

__all__ = ["claims", "method_claim", "residue_claim"]

SOURCE = "section 3.3, eq. 7"
READILY = "the next stage can learn the residue more readily"

CLEARLY = 1.1
"""Ratio of two medians from which they count as different."""

FEWEST_SEEDS = 3
"""With fewer, the gains of two single runs would be compared, and they scatter."""


def claims(study: Study) -> tuple[Claim, ...]:
    """Three claims on the residue of one stage, four on what the next stage makes of it."""
    return (
        _spike_claim(study),
        _penalty_claim(study),
        _magnitude_claim(study),
        residue_claim(study, "RMS", lambda t: t.gain, lambda t: t.second.rms),
        residue_claim(study, "largest error", lambda t: t.gain_of_max, lambda t: t.second.max),
        method_claim(study, "RMS", lambda t: t.second.rms),
        method_claim(study, "largest error", lambda t: t.second.max),
    )


def _spike_claim(study: Study) -> Claim:
    """Held where every residue of p = 10 has fewer extremes than p = 2 leaves, and than noise has."""
    held, found = True, []
    for plan in study.plans:
        low = [t.first.spike_factor for t in study.of(plan, LEAST_SQUARES, LEAST_SQUARES)]
        high = [t.first.spike_factor for t in study.of(plan, PAPER, PAPER)]
        held = held and max(high) < min(*low, gaussian_maximum(plan.size**2))
        beyond = [study.median(plan, p, p, lambda t: t.first.beyond) for p in (LEAST_SQUARES, PAPER)]
        found.append(
            f"{spread(low, '.3g')} and {spread(high, '.3g')}, with {beyond[0]:g} and {beyond[1]:g} points above"
            f" {SPIKE:g} RMS ({plan.name})"
        )
    says = "p = 10 prevents large spikes in the residue"
    need = "needed: below that of p = 2 and of Gaussian noise at every start"
    return Claim(SOURCE, says, f"max/RMS with p = 2 and p = 10: {'; '.join(found)}; {need}", held)


def _penalty_claim(study: Study) -> Claim:
    """Held where the medians of max/RMS fall with every p."""
    held, found = True, []
    for plan in study.plans:
        factors = [study.median(plan, p, p, lambda t: t.first.spike_factor) for p in EXPONENTS]
        held = held and factors == sorted(factors, reverse=True)
        found.append(f"{', '.join(f'{factor:.3g}' for factor in factors)} ({plan.name})")
    ps = ", ".join(f"{p:g}" for p in EXPONENTS)
    says = "as p increases, larger deviations are more heavily penalized"
    return Claim(SOURCE, says, f"max/RMS for p = {ps}: {'; '.join(found)}; needed: falling with every p", held)


def _magnitude_claim(study: Study) -> Claim:
    """Held where the norm of eq. 7 is within a factor of 10 of the RMSE at p = 10."""
    ratios = [t.first.norm for t in study.trials if t.p == t.q == PAPER]
    return Claim(
        SOURCE,
        "the L^p norm has a comparable order of magnitude to the RMSE",
        f"norm / RMSE {spread(ratios, '.3g')} with p = 10; needed: between 0.1 and 10",
        min(ratios) > 0.1 and max(ratios) < 10.0,
    )


def residue_claim(study: Study, what: str, gain: Callable[[Trial], float], error: Callable[[Trial], float]) -> Claim:
    """The residues of p = 2 and p = 10, compared by what the same second stage makes of them."""
    ratios, found = [], []
    for plan in study.plans:
        for q in (LEAST_SQUARES, PAPER):
            low, high = (study.median(plan, p, q, gain) for p in (LEAST_SQUARES, PAPER))
            left = [study.median(plan, p, q, error) for p in (LEAST_SQUARES, PAPER)]
            ratios.append(high / low)
            found.append(f"{low:.3g} and {high:.3g}, to {left[0]:.1e} and {left[1]:.1e}, with q = {q:g} ({plan.name})")
    text = f"stage 2 lowers the {what} of the residues of p = 2 and p = 10 by {'; '.join(found)}"
    need = f"needed: {CLEARLY:g} times more for p = 10 in every pair, over at least {FEWEST_SEEDS} starts"
    return Claim(SOURCE, READILY, f"{text}; {need}", _verdict(study, ratios))


def method_claim(study: Study, what: str, error: Callable[[Trial], float]) -> Claim:
    """Two stages of p = 10 beside two of p = 2: the error at the end."""
    ratios, found = [], []
    for plan in study.plans:
        low, high = (study.median(plan, p, p, error) for p in (LEAST_SQUARES, PAPER))
        ratios.append(low / high)
        found.append(f"{low:.1e} and {high:.1e} ({plan.name})")
    text = f"{what} after two stages, with p = 2 and p = 10 in both: {'; '.join(found)}"
    need = f"needed: {CLEARLY:g} times smaller with p = 10 on every field, over at least {FEWEST_SEEDS} starts"
    return Claim(SOURCE, READILY, f"{text}; {need}", _verdict(study, ratios))


def _verdict(study: Study, ratios: list[float]) -> bool | None:
    """Of ratios above 1 where p = 10 did better: all clearly so, one clearly not so, or else undecided."""
    if min(plan.seeds for plan in study.plans) < FEWEST_SEEDS:
        return None
    if min(ratios) >= CLEARLY:
        return True
    return False if min(ratios) <= 1.0 / CLEARLY else None
