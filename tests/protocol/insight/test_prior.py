"""Probabilities: exact sums, epsilon everywhere, the same on every machine."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.prior import (
    clamp_ppm,
    compute_prior,
    integers_from_floats,
    ppm_from_floats,
    validate_epsilon,
    validate_ppm,
)
from troth_protocol.wire.schema import PPM


@st.composite
def raw(draw, numbers):
    """Some numbers of any scale, not all zero, and an epsilon that leaves them room."""
    values = draw(st.lists(numbers, min_size=2, max_size=64).filter(any))
    return values, draw(st.integers(1, PPM // len(values)) | st.just(PPM // len(values)) | st.just(1))


@given(raw(st.integers(0, 10**30) | st.just(0)))
def test_clamped_probabilities_are_valid_and_in_order(case):
    values, epsilon = case
    ppm = clamp_ppm(values, epsilon)
    validate_ppm(ppm, len(values), epsilon)
    ranked = sorted(range(len(values)), key=lambda k: (values[k], -k))
    assert [ppm[k] for k in ranked] == sorted(ppm)
    assert clamp_ppm(ppm, epsilon) == ppm


@given(raw(st.integers(0, 10**30)))
def test_what_is_above_epsilon_keeps_its_proportions_to_a_unit(case):
    values, epsilon = case
    ppm = clamp_ppm(values, epsilon)
    free = [k for k in range(len(values)) if ppm[k] > epsilon]
    share = Fraction(sum(ppm[k] for k in free), max(sum(values[k] for k in free), 1))
    assert all(abs(ppm[k] - values[k] * share) < 2 for k in free)


def test_remainders_go_to_the_largest_then_to_the_first():
    assert clamp_ppm([1, 1, 1], 1) == (333_334, 333_333, 333_333)
    assert clamp_ppm([1, 1, 4], 1) == (166_667, 166_667, 666_666)
    assert clamp_ppm([0, 1], 10_000) == (10_000, 990_000)
    assert clamp_ppm([0, 5, 500], 10_000) == (10_000, 10_000, 980_000)


def test_raising_one_outcome_may_pull_another_below_epsilon():
    """100 to 1,000 is 10,000 ppm of all; once 90,000 ppm are spent on the nine others it is less."""
    ppm = clamp_ppm([0] * 9 + [100, 9_900], 10_000)
    assert ppm == (10_000,) * 10 + (900_000,)


def test_epsilon_at_its_largest_leaves_no_choice():
    assert clamp_ppm([1, 10**30], PPM // 2) == (PPM // 2, PPM // 2)


def test_a_prior_is_laplaces_rule_with_pseudo_counts_of_one():
    assert compute_prior([0, 0], [1, 1], 10_000) == (500_000, 500_000)
    assert compute_prior([3, 1], [1, 1], 10_000) == (666_667, 333_333)
    assert compute_prior([10**9, 0, 0], [1, 1, 1], 10_000) == (980_000, 10_000, 10_000)


@given(raw(st.floats(0, 1e300)))
def test_floats_are_taken_exactly(case):
    values, epsilon = case
    assert ppm_from_floats(values, epsilon) == clamp_ppm(integers_from_floats(values), epsilon)
    whole = integers_from_floats(values)
    assert all(Fraction(a) * whole[0] == Fraction(values[0]) * b for a, b in zip(values, whole, strict=True))


def test_of_no_floats_come_no_integers():
    assert integers_from_floats([]) == []


@pytest.mark.parametrize(
    "values",
    [[float("nan"), 1.0], [1.0, float("inf")], [-float("inf"), 1.0], [-0.1, 1.0], [0.0, -0.0], [1.0]],
)
def test_floats_that_are_no_probabilities_are_refused(values):
    with pytest.raises(Invalid, match="bad_probabilities"):
        ppm_from_floats(values, 10_000)


@pytest.mark.parametrize(
    ("counts", "pseudo"), [([1, 2], [1]), ([-1, 2], [1, 1]), ([1, 1], [-1, 0]), ([0, 0], [0, 0]), ([], [])]
)
def test_counts_that_make_no_prior_are_refused(counts, pseudo):
    with pytest.raises(Invalid, match="bad_probabilities"):
        compute_prior(counts, pseudo, 10_000)


@pytest.mark.parametrize(
    ("outcomes", "epsilon", "code"),
    [
        (1, 10_000, "bad_probabilities"),
        (65, 10_000, "bad_probabilities"),
        (2, 0, "bad_parameter"),
        (2, PPM // 2 + 1, "bad_parameter"),
        (64, 15_626, "bad_parameter"),
    ],
)
def test_epsilon_must_leave_room(outcomes, epsilon, code):
    with pytest.raises(Invalid, match=code):
        validate_epsilon(outcomes, epsilon)


@pytest.mark.parametrize("ppm", [(), (500_000,) * 3, (500_000, 499_999), (990_001, 9_999), (1_000_001, -1)])
def test_forecasts_that_break_a_rule_are_refused(ppm):
    with pytest.raises(Invalid, match="bad_probabilities"):
        validate_ppm(ppm, 2, 10_000)
