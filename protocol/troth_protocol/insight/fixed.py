"""Fixed-point logarithms to base 2: exact floors and ceilings in units of 2**-32, the same on every machine.

Theory of operation. For integers n, d >= 1 the functions below return floor(2**32 * log2(n / d)) and the
ceiling of the same number: the mathematical value, not what one algorithm happens to yield, so any
implementation can be checked by any other. The error is therefore one-sided and below 2**-32, and zero
exactly where n / d is a power of two (everywhere else the logarithm is irrational).

Method (bit-by-bit squaring: Knuth, The Art of Computer Programming, vol. 1, section 1.2.2): with
x = n / d * 2**-k in [1, 2), the next bit of log2(x) is 1 iff x**2 >= 2; go on with x**2, halved if it was. The
exact x would double in length 32 times, so it is held between two bounds, `low` and `high`, of `width` bits.
Only if a bit falls between the bounds is the work done again with twice the width (about once in 2**60 at
random arguments).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.wire.schema import PPM

FRACTION_BITS: Final = 32
#: log2(2) in fixed point.
ONE: Final = 1 << FRACTION_BITS
_START_WIDTH_BITS: Final = 96
_CACHE_ENTRIES: Final = 1 << 14


def floor_log2(n: int, d: int) -> int:
    """floor(2**32 * log2(n / d)) for n, d >= 1 of any length. Raises Invalid("bad_logarithm") below 1."""
    if n < 1 or d < 1:
        raise Invalid("bad_logarithm", "the logarithm needs a positive fraction")
    exponent = n.bit_length() - d.bit_length()
    exponent -= _shift(n, -exponent) < _shift(d, exponent)
    n, d = _shift(n, -exponent), _shift(d, exponent)
    fraction, width = (0 if n == d else None), _START_WIDTH_BITS
    while fraction is None:
        fraction, width = _fraction((n << width) // d, width), 2 * width
    return exponent * ONE + fraction


def ceil_log2(n: int, d: int) -> int:
    """ceil(2**32 * log2(n / d)); see `floor_log2`."""
    return -floor_log2(d, n)


@lru_cache(maxsize=_CACHE_ENTRIES)
def floor_log2_ppm(ppm: int, of_ppm: int = PPM) -> int:
    """`floor_log2` of one probability over another, in ppm; remembered, for scores ask for the same again."""
    return floor_log2(ppm, of_ppm)


def _shift(value: int, bits: int) -> int:
    return value << bits if bits > 0 else value


def _fraction(low: int, width: int) -> int | None:
    """The 32 bits of log2(x), 1 < x < 2, low <= x * 2**width < low + 1; None if that is too coarse."""
    high, two, bits = low + 1, 2 << width, 0
    for _ in range(FRACTION_BITS):
        low, high = low * low >> width, -(-high * high >> width)
        if low >= two:
            bits, low, high = 2 * bits + 1, low >> 1, high + 1 >> 1
        elif high <= two:
            bits *= 2
        else:
            return None
    return bits
