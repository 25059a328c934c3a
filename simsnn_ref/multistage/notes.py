"""What the user should know of a fit, in words."""

from simsnn_ref.model import compare_with_paper
from simsnn_ref.multistage.setup import UNRESOLVED, Setup
from simsnn_ref.multistage.state import FitState
from simsnn_ref.multistage.training import TrainedStage
from simsnn_ref.network import is_extended
from simsnn_ref.spectrum import Scatter

__all__ = ["after_the_last_stage", "before_the_first_stage", "not_kept"]

FAR_APART = 10.0
"""Error at held-out points over that at the others from which it is worth a note."""

NOT_DESCRIBED = 0.5
"""Truncation error of a start, relative to its residue, from which it is the modes and not the training that failed."""


def before_the_first_stage(setup: Setup) -> list[str]:
    """Notes on the method where it is the paper's, on the arithmetic and the data."""
    notes: list[str] = []
    if setup.config.mode == "paper":
        notes += compare_with_paper(setup.config, scattered=setup.least_squares is not None).sentences()
    if not is_extended():
        notes.append("long double is no wider than float64 here: residues are evaluated in double-double")
    if setup.least_squares is not None:
        notes.append(
            f"modes by least squares at the points, up to {setup.least_squares.count()}: as many as predict the value"
            f" at each point best from the others, to an RMS of {setup.noise_floor:.1e} of the field's"
        )
    return [*notes, *_noise(setup), *_between(setup)]


def after_the_last_stage(state: FitState, setup: Setup) -> list[str]:
    """Notes on what the error between the points is worth."""
    notes = []
    last = state.records[-1] if state.records and isinstance(setup.grid, Scatter) else None
    if last is not None and (last.rms_off_grid or 0.0) > FAR_APART * last.rms_on_grid:
        notes.append(
            f"the error at the held-out points is {last.rms_off_grid:.1e}, at the others {last.rms_on_grid:.1e}: the"
            " points do not determine the field between them any better"
        )
    return notes


def _noise(setup: Setup) -> list[str]:
    """That the samples carry noise, and whether it is followed."""
    if setup.signal is None:
        return []
    found = f"the samples carry white noise with an RMS of {setup.signal.noise / setup.rms:.1e} of the field's"
    if setup.noise is not None:
        error = f"with an RMS error of about {setup.signal.error / setup.rms:.1e}"
        return [f"{found}: the fit follows what stands out of it, {error}; fit_noise = true follows the samples"]
    if setup.config.mode == "paper":
        return [f"{found}: mode paper follows the samples, noise included, as the paper does; mode accurate smooths it"]
    return [f"{found}, which the fit follows as asked"]


def _between(setup: Setup) -> list[str]:
    """How the field between samples on a grid is had, and what that is worth."""
    notes = []
    if setup.interpolant is not None:
        ways = [
            f"axis {axis} by {choice.name}"
            for axis, choice in enumerate(setup.interpolant.choices)
            if choice is not None
        ]
        notes.append(
            f"between the samples the field is interpolated: {', '.join(ways)}, which predicts samples left out best"
        )
    if setup.noise_floor > UNRESOLVED and setup.signal is None:
        notes.append(
            f"between the samples an RMS error of about {setup.noise_floor:.1e} of the field is to be expected"
            f" ({_source(setup)}): below it a fit follows the samples and not the field"
        )
    return notes


def _source(setup: Setup) -> str:
    if setup.least_squares is not None or setup.interpolant is not None:
        return "estimated from samples left out"
    return "estimated from the decay of the spectrum: noise, or structure as fine as the grid"


def not_kept(number: int, left: float, truncation_error: float, trained: TrainedStage) -> str:
    """Why a stage that left a share `left` of its residue is not part of the model, and the fit ends before it."""
    if truncation_error > NOT_DESCRIBED:
        share = f"{truncation_error:.0%}"
        reason = f"Fourier modes leave {share} of the residue, which is noise, or finer than the samples resolve"
    else:
        reason = f"training ended with {left:.0%} of the residue left ({trained.result.stopped_because})"
    ends = f"the fit ends with stage {number - 1}" if number > 1 else "the model has no stage"
    return f"stage {number} is not kept: {reason}; {ends}"
