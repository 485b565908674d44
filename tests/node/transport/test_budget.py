"""A bucket delays what exceeds its rate, and forgets nothing that was spent."""

from hypothesis import given
from hypothesis import strategies as st

from troth_node.transport.budget import Bucket


def test_a_second_worth_is_free_and_the_rest_waits():
    bucket = Bucket(rate=100, now=0)
    assert bucket.take(100, now=0) == 0
    assert bucket.take(50, now=0) == 0.5
    assert bucket.take(0, now=0.5) == 0


def test_what_was_not_used_is_saved_for_a_second_only():
    bucket = Bucket(rate=100, now=0)
    assert bucket.take(150, now=1000) == 0.5


@given(st.lists(st.integers(1, 500), min_size=1, max_size=50))
def test_obeying_the_delays_keeps_the_rate(amounts):
    bucket, now = Bucket(rate=100, now=0), 0.0
    for amount in amounts:
        now += bucket.take(amount, now)
    assert now >= (sum(amounts) - 100) / 100 - 1e-6
