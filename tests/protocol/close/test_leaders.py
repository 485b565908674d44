"""Who leads a slot and how long it lasts."""

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.close.leaders import leader, timeout_ms, turns
from troth_protocol.log.committee import Member


def members(*weights: int) -> list[Member]:
    return [Member(bytes([place]) * 32, weight) for place, weight in enumerate(weights)]


def test_equal_members_take_turns_in_key_order():
    assert [leader(members(1, 1, 1), 0, slot) for slot in range(6)] == [0, 1, 2, 0, 1, 2]


def test_heavy_members_are_spread_out():
    assert list(islice(turns(members(5, 1, 1)), 7)) == [0, 0, 1, 0, 2, 0, 0]


def test_ties_go_to_the_smaller_key_wherever_it_stands():
    assert list(islice(turns(members(1, 1, 1)[::-1]), 3)) == [2, 1, 0]


def test_an_offset_only_shifts_the_turns():
    group = members(3, 2, 2)
    assert [leader(group, 4, slot) for slot in range(9)] == [leader(group, 0, slot + 4) for slot in range(9)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_after_a_whole_round_everybody_has_led_as_often_as_it_weighs(weights):
    counts = Counter(islice(turns(members(*weights)), sum(weights)))
    assert [counts[place] for place in range(len(weights))] == weights


def test_timers_grow_by_half_in_whole_milliseconds():
    assert [timeout_ms(slot, 1000, 10**9) for slot in range(6)] == [1000, 1500, 2250, 3375, 5062, 7593]


def test_timers_stop_growing_at_the_maximum_however_late_the_slot():
    assert timeout_ms(9, 1000, 20_000) == timeout_ms(10**15, 1, 20_000) == 20_000
