"""Tensors set beside their references: the worst of them, its worst entry, and whether it is within the tolerance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.errors import VerificationError

__all__ = ["TOLERANCE", "Check", "Tensors", "compare", "require"]

TOLERANCE = 1e-14
"""Of the 2-norm of a tensor. A cosine is rounded by eps |k.x|, here up to 10 eps or so, an activation by eps."""

Tensors: TypeAlias = Mapping[str, np.ndarray]
"""By name."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes
    ----------
    what, case : str
        The quantity, and the network it was taken of.
    tensor : str
        The one that is furthest off.
    index : tuple of int
        Of its entry that is furthest off.
    expected, got : float
        That entry.
    ulp : float
        Their distance in units of the last place of `expected`.
    relative : float
        Error of the tensor in the 2-norm.
    tolerance : float
        Of `relative`.
    """

    what: str
    case: str
    tensor: str
    index: tuple[int, ...]
    expected: float
    got: float
    ulp: float
    relative: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether all tensors are within the tolerance; NaN is not."""
        return self.relative <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"index": list(self.index), "passed": self.passed}


def compare(what: str, case: str, got: Mapping[str, Any], expected: Tensors, tolerance: float = TOLERANCE) -> Check:
    """Set tensors beside their references and tell the worst, by the error of a tensor relative to its 2-norm.

    Parameters
    ----------
    got, expected : mapping of str to ndarray
        By name, of equal shapes, real.

    Raises
    ------
    VerificationError
        If a tensor is missing, is one too many, has another shape or no entries, or if there are none.
    """
    if not expected:
        raise VerificationError(f"{what}, {case}: no tensors to compare")
    if got.keys() != expected.keys():
        raise VerificationError(
            f"{what}, {case}: expected the tensors {', '.join(expected)}; got {', '.join(got) or 'none'}"
        )
    worst: Check | None = None
    for name, value, reference in ((name, np.asarray(got[name]), np.asarray(expected[name])) for name in expected):
        if value.shape != reference.shape:
            raise VerificationError(f"{what}, {case}: {name} has the shape {value.shape}, expected {reference.shape}")
        if reference.size == 0:
            raise VerificationError(f"{what}, {case}: {name} has no entries")
        check = _compare_one(what, case, name, value, reference, tolerance)
        # A NaN compares as false and is worse than anything.
        if worst is None or not check.relative <= worst.relative:
            worst = check
    assert worst is not None
    return worst


def _compare_one(what: str, case: str, name: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> Check:
    # Unsigned integers would wrap.
    error = np.abs(got.astype(np.longdouble) - expected.astype(np.longdouble))
    index = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    size, off = _norm(expected), _norm(error)
    reference = float(expected[index])
    return Check(
        what=what,
        case=case,
        tensor=name,
        index=tuple(int(i) for i in index),
        expected=reference,
        got=float(got[index]),
        ulp=float(error[index] / np.spacing(abs(reference))),
        relative=float(off / size if size > 0.0 else off),
        tolerance=tolerance,
    )


def _norm(x: np.ndarray) -> np.longdouble:
    """2-norm, taken of x over its largest entry: no square leaves the range, whatever long double is here."""
    wide = np.ravel(x).astype(np.longdouble)
    largest: np.longdouble = np.max(np.abs(wide))
    if not 0.0 < largest < np.inf:
        return largest
    norm: np.longdouble = largest * np.linalg.norm(wide / largest)
    return norm


def require(checks: Check | Sequence[Check]) -> None:
    """Raise AssertionError with a line for each check that failed: for a test of one's own.

    Parameters
    ----------
    checks : Check or sequence of Check
    """
    checks = [checks] if isinstance(checks, Check) else checks
    lines = [
        f"{check.what} of {check.case}: {check.tensor}{list(check.index)} is {check.got!r}, expected {check.expected!r}"
        f" ({check.ulp:.3g} ulp); the tensor is off by {check.relative:.2e}, allowed {check.tolerance:.0e}"
        for check in checks
        if not check.passed
    ]
    if lines:
        raise AssertionError("\n".join(lines))
