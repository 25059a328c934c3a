"""Tensors compared with their references: the worst of them, its worst entry, and whether it is within a tolerance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.errors import VerificationError

__all__ = ["TOLERANCE", "Comparison", "Tensors", "compare", "require"]

TOLERANCE = 1e-14
"""Allowed error of a tensor over its 2-norm. A cosine is rounded by eps |k.x|, here 10 eps or so, a tanh by eps."""

Tensors: TypeAlias = Mapping[str, np.ndarray]
"""Arrays by name."""


@dataclass(frozen=True)
class Comparison:
    """The tensors of a quantity compared with their references: what is said of the one that is furthest off.

    Attributes
    ----------
    what, case : str
        The quantity, and the network that it was computed for.
    tensor : str
        Name of the tensor that is furthest off.
    index : tuple of int
        Place of its entry that is furthest off.
    expected, got : float
        That entry in the reference and in the tensor.
    ulp : float
        Their distance in units of the last place of `expected`.
    relative : float
        Error of the tensor in the 2-norm, relative to that of the reference.
    tolerance : float
        Largest `relative` that passes.
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
        """The attributes and `passed`, as JSON holds them."""
        return asdict(self) | {"index": list(self.index), "passed": self.passed}


def compare(
    what: str, case: str, got: Mapping[str, Any], expected: Tensors, tolerance: float = TOLERANCE
) -> Comparison:
    """Compare tensors with their references by the 2-norm of the error relative to that of the reference.

    Parameters
    ----------
    what, case : str
        The quantity, and the network that it was computed for.
    got, expected : mapping of str to ndarray
        Real tensors and their references, by the same names and of the same shapes.
    tolerance : float
        Largest relative error that passes.

    Returns
    -------
    Comparison
        The worst tensor's.

    Raises
    ------
    VerificationError
        If a tensor is missing, is one too many, has another shape or no entries, or if there are none.

    Examples
    --------
    >>> found = compare("u", "a network", {"u": np.asarray([1.0, 2.5])}, {"u": np.asarray([1.0, 2.0])})
    >>> found.index, found.got, found.passed
    ((1,), 2.5, False)
    """
    if not expected:
        raise VerificationError(f"{what}, {case}: no tensors to compare")
    if got.keys() != expected.keys():
        raise VerificationError(
            f"{what}, {case}: expected the tensors {', '.join(expected)}; got {', '.join(got) or 'none'}"
        )
    comparisons = []
    for name, value, reference in ((name, np.asarray(got[name]), np.asarray(expected[name])) for name in expected):
        if value.shape != reference.shape:
            raise VerificationError(f"{what}, {case}: {name} has the shape {value.shape}, expected {reference.shape}")
        if reference.size == 0:
            raise VerificationError(f"{what}, {case}: {name} has no entries")
        comparisons.append(_compare_one(what, case, name, value, reference, tolerance))
    # A NaN is worse than anything.
    return max(comparisons, key=lambda found: math.inf if math.isnan(found.relative) else found.relative)


def _compare_one(
    what: str, case: str, name: str, got: np.ndarray, expected: np.ndarray, tolerance: float
) -> Comparison:
    # Unsigned integers would wrap.
    error = np.abs(got.astype(np.longdouble) - expected.astype(np.longdouble))
    index = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    size, off = _norm(expected), _norm(error)
    reference = float(expected[index])
    return Comparison(
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
    """The 2-norm, by x over its largest entry: no square leaves the range, whatever long double is here."""
    wide = np.ravel(x).astype(np.longdouble)
    largest: np.longdouble = np.max(np.abs(wide))
    if not 0.0 < largest < np.inf:
        return largest
    norm: np.longdouble = largest * np.linalg.norm(wide / largest)
    return norm


def require(comparisons: Comparison | Sequence[Comparison]) -> None:
    """Raise AssertionError with a line for each comparison that failed, for a test of one's own."""
    comparisons = [comparisons] if isinstance(comparisons, Comparison) else comparisons
    lines = [
        f"{one.what} of {one.case}: {one.tensor}{list(one.index)} is {one.got!r}, expected {one.expected!r}"
        f" ({one.ulp:.3g} ulp); the tensor is off by {one.relative:.2e}, allowed {one.tolerance:.0e}"
        for one in comparisons
        if not one.passed
    ]
    if lines:
        raise AssertionError("\n".join(lines))
