"""Learnt weights stay shares, and their split stays within what was promised and what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.weights import PPM, MultiplicativeWeights, split_ppm

NATS = st.floats(-5, 5)
CREDITS = st.lists(st.dictionaries(st.sampled_from("abcd"), NATS), max_size=30)


@given(CREDITS)
def test_shares_are_positive_and_add_up_to_one(rounds):
    weights = MultiplicativeWeights(rate=1.0)
    for credit in rounds:
        weights.learn(credit)
    shares = weights.shares(["a", "b", "new"])
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1)


def test_who_is_worth_more_is_weighed_more():
    weights = MultiplicativeWeights(rate=0.5)
    weights.learn({"good": 1.0, "bad": -1.0})
    good, bad = weights.shares(["good", "bad"])
    assert good / bad == pytest.approx(2.65, abs=0.1)  # e, less what is shared out


def test_whoever_took_no_part_keeps_its_share():
    weights = MultiplicativeWeights(rate=1.0)
    weights.learn({"a": 0.0, "b": 0.0, "c": 0.0})
    weights.learn({"a": 1.0, "b": -1.0})
    assert weights.all_shares()["c"] == pytest.approx(1 / 3)


def test_a_source_that_was_worthless_for_long_can_come_back():
    weights = MultiplicativeWeights(rate=1.0)
    for _ in range(1000):
        weights.learn({"a": 1.0, "b": 0.0})
    for _ in range(10):
        weights.learn({"a": 0.0, "b": 1.0})
    assert weights.all_shares()["b"] > 0.9


def test_a_source_may_start_with_a_weight_but_only_once():
    weights = MultiplicativeWeights(rate=1.0)
    weights.start("a", 3.0)
    weights.start("b", 1.0)
    weights.start("a", 100.0)
    assert weights.shares(["a", "b"]) == [0.75, 0.25]


@given(st.integers(0, PPM), st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 100_000)), max_size=10))
def test_a_split_keeps_promises_and_never_exceeds_the_whole(whole, rows):
    total = sum(share for share, _ in rows)
    floors = [floor for _, floor in rows]
    parts = split_ppm(whole, [share / total for share, _ in rows], floors)
    assert all(part >= floor for part, floor in zip(parts, floors, strict=True))
    assert sum(parts) <= max(PPM, sum(floors))


def test_promises_beyond_the_whole_are_refused():
    with pytest.raises(ValueError, match="exceed the whole by 1 ppm"):
        split_ppm(500_000, [0.5, 0.5], [500_000, 500_001])
