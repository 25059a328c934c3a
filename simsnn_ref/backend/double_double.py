"""Double-double arithmetic: arrays of unevaluated sums hi + lo of float64, about 104 bits of mantissa.

It stands in for long double where that is no wider than float64. The module is at the same time the array namespace of
its arrays, as far as networks and feature maps need one to be evaluated.

Sums and products are built on error-free transformations: Knuth's two_sum (The Art of Computer Programming 2, section
4.2.2) and Dekker's product (Numer. Math. 18, 1971) with Veltkamp's splitting. Operations on pairs follow Hida, Li and
Bailey (ARITH 15, 2001), with the bounds of Joldes, Muller and Popescu (ACM TOMS 44, 2017). Matrix products are those of
Ozaki, Ogita, Oishi and Rump (Numer. Algorithms 59, 2012): both factors are cut into slices of so few bits that float64
products of slices are exact in any order of summation, with or without fused multiply-adds.

Numbers between 2^-900 and 2^990 keep their accuracy: beyond, the error terms under- or overflow.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = [
    "EPS",
    "PI",
    "DoubleDouble",
    "concat",
    "cos",
    "empty",
    "flip",
    "permute_dims",
    "quotient",
    "rearranged",
    "reshape",
    "sin",
    "stack",
    "take",
    "tanh",
    "two_prod",
    "two_sum",
    "zeros",
]

EPS = 2.0**-104
"""Unit of accuracy: sums and quotients are accurate to EPS, relatively, products to 1.25 EPS."""

CHUNK = 2**13
"""Elements that an elementary function takes at a time, whose many temporaries then stay in cache."""

SPLITTER = 2.0**27 + 1.0
"""Veltkamp's constant for halves of 26 bits."""

BITS = 108
"""Bits of a factor that matrix products keep, counted from the largest entry of its row or column."""


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and the rounding error, exactly; Knuth."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def _fast_two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """`two_sum` for |a| >= |b|; Dekker."""
    s = a + b
    return s, b - (s - a)


def _split(a: Any) -> tuple[Any, Any]:
    """High and low half of a, of 26 bits each; Veltkamp."""
    scaled = SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def two_prod(a: Any, b: Any) -> tuple[Any, Any]:
    """a b rounded, and the rounding error, exactly; Dekker."""
    p = a * b
    a1, a2 = _split(a)
    b1, b2 = _split(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


class DoubleDouble:
    """An array of numbers hi + lo, |lo| at most half a unit in the last place of hi.

    The other operand of +, -, *, / and @ may also be a float, an integer or an array of these, taken as exact.
    ``np.asarray`` rounds to float64; NumPy's universal functions refuse the type, so that none rounds silently.

    Parameters
    ----------
    hi : array_like of float64
    lo : ndarray of float64, optional
        0 by default.

    >>> third = DoubleDouble(1.0) / 3.0
    >>> float((3.0 * third - 1.0).hi)
    0.0
    """

    __array_ufunc__ = None
    __slots__ = ("hi", "lo")

    def __init__(self, hi: Any, lo: Any = None) -> None:
        self.hi: np.ndarray = np.asarray(hi, dtype=np.float64)
        self.lo: np.ndarray = np.zeros_like(self.hi) if lo is None else np.asarray(lo)

    @classmethod
    def from_fraction(cls, value: Fraction) -> "DoubleDouble":
        """The nearest double-double number, of shape ()."""
        hi = float(value)
        return cls(hi, float(value - Fraction(hi)))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.hi.shape

    @property
    def dtype(self) -> type["DoubleDouble"]:
        return DoubleDouble

    @property
    def size(self) -> int:
        return self.hi.size

    @property
    def T(self) -> "DoubleDouble":
        return DoubleDouble(self.hi.T, self.lo.T)

    def __len__(self) -> int:
        return len(self.hi)

    def __getitem__(self, key: Any) -> "DoubleDouble":
        return DoubleDouble(self.hi[key], self.lo[key])

    def __setitem__(self, key: Any, value: "DoubleDouble") -> None:
        self.hi[key], self.lo[key] = value.hi, value.lo

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.hi, dtype=dtype, copy=copy)

    def reshape(self, *shape: Any) -> "DoubleDouble":
        """See `numpy.ndarray.reshape`."""
        return DoubleDouble(self.hi.reshape(*shape), self.lo.reshape(*shape))

    def ravel(self) -> "DoubleDouble":
        """See `numpy.ndarray.ravel`."""
        return self.reshape(-1)

    def scaled(self, exponent: Any) -> "DoubleDouble":
        """Return the array times 2^exponent, exactly."""
        return DoubleDouble(np.ldexp(self.hi, exponent), np.ldexp(self.lo, exponent))

    def __neg__(self) -> "DoubleDouble":
        return DoubleDouble(-self.hi, -self.lo)

    def __add__(self, other: Any) -> "DoubleDouble":
        if not isinstance(other, DoubleDouble):
            s, e = two_sum(self.hi, np.asarray(other, dtype=np.float64))
            return DoubleDouble(*_fast_two_sum(s, e + self.lo))
        s, e = two_sum(self.hi, other.hi)
        t, f = two_sum(self.lo, other.lo)
        s, e = _fast_two_sum(s, e + t)
        return DoubleDouble(*_fast_two_sum(s, e + f))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "DoubleDouble":
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> "DoubleDouble":
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> "DoubleDouble":
        if not isinstance(other, DoubleDouble):
            factor = np.asarray(other, dtype=np.float64)
            p, e = two_prod(self.hi, factor)
            return DoubleDouble(*_fast_two_sum(p, e + self.lo * factor))
        p, e = two_prod(self.hi, other.hi)
        return DoubleDouble(*_fast_two_sum(p, e + (self.hi * other.lo + self.lo * other.hi)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "DoubleDouble":
        divisor = other if isinstance(other, DoubleDouble) else DoubleDouble(other)
        first = self.hi / divisor.hi
        remainder = self - divisor * first
        return DoubleDouble(*_fast_two_sum(first, remainder.hi / divisor.hi))

    def __matmul__(self, other: Any) -> "DoubleDouble":
        return _product(self, other if isinstance(other, DoubleDouble) else DoubleDouble(other))

    def __rmatmul__(self, other: Any) -> "DoubleDouble":
        return _product(DoubleDouble(other), self)


def _slices(x: DoubleDouble, axis: int, bits: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut x, scaled by powers of two along `axis`, into integers of `bits` bits: x = 2^exponent sum_i 2^(-i bits) s_i.

    Each subtraction is exact: the difference is a multiple of the last place of what is cut, and not larger.
    """
    _, exponent = np.frexp(np.max(np.abs(x.hi), axis=axis, keepdims=True, initial=0.0))
    rest = x.scaled(-exponent)
    slices: list[np.ndarray] = []
    while len(slices) * bits < BITS and np.any(rest.hi):
        rest = rest.scaled(bits)
        slices.append(np.rint(rest.hi))
        rest = DoubleDouble(*two_sum(rest.hi - slices[-1], rest.lo))
    return slices, exponent


def _product(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    """a (..., m, n) times b (..., n, p) or (n,), each entry accurate to a few n EPS max|a_i.| max|b_.j|."""
    if b.hi.ndim == 1:
        return _product(a, b[:, None])[..., 0]
    n = a.shape[-1]
    # A sum of n products of integers of this many bits is below 2^53.
    bits = (53 - math.ceil(math.log2(max(n, 1)))) // 2
    left, rows = _slices(a, -1, bits)
    right, columns = _slices(b, -2, bits)
    total = zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    # From the smallest products up; those of the order 2^-BITS are left out.
    for level in reversed(range(-(-BITS // bits))):
        total = total.scaled(-bits)
        for i in range(max(0, level + 1 - len(right)), min(level + 1, len(left))):
            total = total + left[i] @ right[level - i]
    return total.scaled(rows + columns - 2 * bits)


def rearranged(move: Callable[..., np.ndarray], arrays: Sequence[DoubleDouble]) -> DoubleDouble:
    """Return the result of `move`, a function of ndarrays that only moves entries about."""
    return DoubleDouble(move([x.hi for x in arrays]), move([x.lo for x in arrays]))


def concat(arrays: Sequence[DoubleDouble], axis: int = 0) -> DoubleDouble:
    """See `numpy.concatenate`."""
    return rearranged(lambda parts: np.concatenate(parts, axis=axis), arrays)


def stack(arrays: Sequence[DoubleDouble], axis: int = 0) -> DoubleDouble:
    """See `numpy.stack`."""
    return rearranged(lambda parts: np.stack(parts, axis=axis), arrays)


def reshape(x: DoubleDouble, shape: tuple[int, ...]) -> DoubleDouble:
    """See `numpy.reshape`."""
    return x.reshape(shape)


def permute_dims(x: DoubleDouble, axes: tuple[int, ...]) -> DoubleDouble:
    """See `numpy.permute_dims`."""
    return rearranged(lambda parts: np.transpose(parts[0], axes), [x])


def flip(x: DoubleDouble, axis: int) -> DoubleDouble:
    """See `numpy.flip`."""
    return rearranged(lambda parts: np.flip(parts[0], axis=axis), [x])


def take(x: DoubleDouble, indices: np.ndarray, axis: int) -> DoubleDouble:
    """See `numpy.take`."""
    return rearranged(lambda parts: np.take(parts[0], indices, axis=axis), [x])


def empty(shape: tuple[int, ...], dtype: Any = None, device: Any = None) -> DoubleDouble:
    """Return zeros; there is one type and one device."""
    return zeros(shape, dtype, device)


def zeros(shape: tuple[int, ...], dtype: Any = None, device: Any = None) -> DoubleDouble:
    """Return zeros; there is one type and one device."""
    del dtype, device
    return DoubleDouble(np.zeros(shape))


def quotient(numerator: Any, denominator: Any) -> DoubleDouble:
    """Return the ratio of floats or integers that float64 holds exactly."""
    return DoubleDouble(numerator).__truediv__(denominator)


def _constants(values: Sequence[Fraction]) -> list[DoubleDouble]:
    return [DoubleDouble.from_fraction(value) for value in values]


def _parts(value: Fraction, n: int) -> list[float]:
    """Return n floats whose sum has the first 53 n bits of a number."""
    parts: list[float] = []
    for _ in range(n):
        parts.append(float(value - sum(map(Fraction, parts))))
    return parts


_PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")
_LN2 = Fraction("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586")
PI = DoubleDouble.from_fraction(_PI)
_QUARTER_TURN = _parts(_PI / 2, 3)

# |x| <= 0.0109 in exp and x^2 <= 0.617 in sin and cos: the terms that are left out are below 2^-106 of the sum, and
# those that are summed in float64 below 2^-53 of it.
_EXP = _constants([Fraction(1, math.factorial(j + 1)) for j in range(12)])
_SIN = _constants([Fraction((-1) ** j, math.factorial(2 * j + 1)) for j in range(15)])
_COS = _constants([Fraction((-1) ** j, math.factorial(2 * j)) for j in range(16)])
_EXP_PAIRS, _SIN_PAIRS, _COS_PAIRS = 7, 8, 9


def _polynomial(coefficients: list[DoubleDouble], n_pairs: int, x: DoubleDouble) -> DoubleDouble:
    """sum_j c_j x^j by Horner's rule, the terms from `n_pairs` on in float64."""
    tail = np.zeros_like(x.hi)
    for c in reversed(coefficients[n_pairs:]):
        tail = tail * x.hi + float(c.hi)
    total = x * tail + coefficients[n_pairs - 1]
    for c in reversed(coefficients[: n_pairs - 1]):
        total = total * x + c
    return total


def _elementwise(function: Callable[[DoubleDouble], DoubleDouble], x: DoubleDouble) -> DoubleDouble:
    flat, result = x.ravel(), zeros((x.size,))
    for start in range(0, x.size, CHUNK):
        chunk = slice(start, start + CHUNK)
        result[chunk] = function(flat[chunk])
    return result.reshape(x.shape)


def tanh(x: DoubleDouble) -> DoubleDouble:
    """tanh x = -E / (E + 2) with E = exp(-2|x|) - 1, accurate to 2 EPS relatively, however small x is."""
    return _elementwise(_tanh, x)


def _tanh(x: DoubleDouble) -> DoubleDouble:
    sign = np.sign(x.hi)
    # From 38 on tanh is 1 to 2^-108.
    w = x * np.where(np.abs(x.hi) < 38.0, -2.0 * sign, 0.0) + np.where(np.abs(x.hi) < 38.0, 0.0, -76.0)
    doublings = 5
    turns = np.rint(w.hi / float(_LN2))
    high, low = _parts(_LN2, 2)
    r = (w - DoubleDouble(*two_prod(turns, high)) - DoubleDouble(*two_prod(turns, low))).scaled(-doublings)
    # exp - 1 throughout, which keeps its relative accuracy near 0.
    e = r * _polynomial(_EXP, _EXP_PAIRS, r)
    for _ in range(doublings):
        e = e * (e + 2.0)
    power = turns.astype(np.int64)
    e = e.scaled(power) + DoubleDouble(*two_sum(np.ldexp(1.0, power), -1.0))
    return (-e / (e + 2.0)).__mul__(sign)


def cos(x: DoubleDouble) -> DoubleDouble:
    """cos x, accurate to EPS for |x| up to 2^50."""
    return _elementwise(lambda chunk: _turned(chunk, 1), x)


def sin(x: DoubleDouble) -> DoubleDouble:
    """sin x, accurate to EPS for |x| up to 2^50, relatively for |x| below 0.78."""
    return _elementwise(lambda chunk: _turned(chunk, 0), x)


def _turned(x: DoubleDouble, quarters: int) -> DoubleDouble:
    """sin(x + quarters pi/2)."""
    turns = np.rint(x.hi / _QUARTER_TURN[0])
    r = x
    # Three parts: what is left keeps 104 bits, though the leading ones cancel.
    for part in _QUARTER_TURN:
        r = r - DoubleDouble(*two_prod(turns, part))
    square = r * r
    sine, cosine = r * _polynomial(_SIN, _SIN_PAIRS, square), _polynomial(_COS, _COS_PAIRS, square)
    quadrant = np.remainder(turns + quarters, 4.0)
    sign, is_sine = np.where(quadrant < 2.0, 1.0, -1.0), np.remainder(quadrant, 2.0) == 0.0
    return DoubleDouble(np.where(is_sine, sine.hi, cosine.hi) * sign, np.where(is_sine, sine.lo, cosine.lo) * sign)
