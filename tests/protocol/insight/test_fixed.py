"""Logarithms in fixed point: the exact floor and ceiling, checked against decimal arithmetic of 300 digits."""

from __future__ import annotations

import random
from decimal import ROUND_FLOOR, Context, Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.fixed import ONE, ceil_log2, floor_log2, floor_log2_ppm

EXACT = Context(prec=300)
LN2 = EXACT.ln(Decimal(2))
TINY = Decimal(10) ** -150
HUGE = st.integers(1, 2**400) | st.integers(0, 400).map(lambda bits: 2**bits)


def reference(n: int, d: int) -> int:
    """floor(2**32 * log2(n / d)), by another road: natural logarithms in decimal."""
    with localcontext(EXACT):
        value = (Decimal(n).ln() - Decimal(d).ln()) / LN2 * ONE
        nearest = value.to_integral_value()
        # it is whole only where n / d is a power of two, and elsewhere further from it than 300 digits err
        return int(nearest if abs(value - nearest) < TINY else value.to_integral_value(ROUND_FLOOR))


@given(HUGE, HUGE)
@example(1, 1)
@example(2**400, 2**400 - 1)
@example(2**400 - 1, 2**400)
@example(1, 2**400)
@example(3 * 2**398, 3)
def test_floor_is_the_floor(n, d):
    assert floor_log2(n, d) == reference(n, d)


@given(HUGE, HUGE)
def test_ceiling_is_the_floor_or_one_more(n, d):
    whole = floor_log2(n, d)
    is_power_of_two = max(n, d) % min(n, d) == 0 and (max(n, d) // min(n, d)).bit_count() == 1
    assert ceil_log2(n, d) - whole == (0 if is_power_of_two else 1)


@given(HUGE, HUGE, st.integers(1, 2**400))
def test_scale_does_not_matter_and_more_is_more(n, d, factor):
    assert floor_log2(n * factor, d * factor) == floor_log2(n, d)
    assert floor_log2(n + factor, d) >= floor_log2(n, d)


def test_fractions_that_hug_a_boundary_are_told_apart():
    """400-bit fractions next to 2**(k / 2**32), on both sides: the first width cannot decide, a later one does."""
    rng = random.Random(7)
    for k in [1, ONE // 2, ONE - 1, *(rng.randrange(ONE) for _ in range(40))]:
        with localcontext(EXACT):
            below = int(Decimal(2) ** (399 + Decimal(k) / ONE))
        assert floor_log2(below, 2**399) == k - 1
        assert floor_log2(below + 1, 2**399) == k


def test_every_probability_in_ppm_is_exact():
    """A million of them take too long here: every 997th, and both ends."""
    for ppm in [*range(1, 1_000_001, 997), *range(1, 50), *range(999_950, 1_000_001)]:
        assert floor_log2_ppm(ppm) == reference(ppm, 1_000_000)
    assert floor_log2_ppm(250_000, 500_000) == -ONE


@pytest.mark.parametrize(("n", "d"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_what_has_no_logarithm_is_refused(n, d):
    with pytest.raises(Invalid, match="bad_logarithm"):
        floor_log2(n, d)
    with pytest.raises(Invalid, match="bad_logarithm"):
        ceil_log2(n, d)
