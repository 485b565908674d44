"""The witness set: who decides with how much weight; and the one encoding that its digest names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.log.committee import MEMBERS_MAX, Committee, Member, load_committee
from troth_protocol.wire.codec import encode

A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))


def committee(*weights):
    return Committee(tuple(Member(bytes([n + 1]) * 32, weight) for n, weight in enumerate(weights)))


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


@pytest.mark.parametrize(
    ("total", "quorum", "third"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 3, 2), (6, 5, 2), (7, 5, 3), (9, 7, 3), (10, 7, 4), (100, 67, 34)],
)
def test_more_than_two_thirds_decide_and_a_third_blocks(total, quorum, third):
    one = committee(*[1] * min(total, 3), *([total - 3] if total > 3 else []))
    assert (one.total, one.quorum, one.third) == (total, quorum, third)


@given(st.lists(st.integers(1, 10**30), min_size=1, max_size=9))
def test_two_quorums_share_more_than_the_faulty_can_be(weights):
    one = committee(*weights)
    faulty = one.third - 1
    assert 3 * one.quorum > 2 * one.total
    assert 3 * faulty < one.total
    assert 2 * one.quorum - one.total > faulty
    assert one.total - faulty >= one.quorum


def test_weight_is_of_distinct_members():
    one = committee(5, 7, 11)
    assert one.weigh([]) == 0
    assert one.weigh([2, 0]) == 16
    assert one.weigh(iter([0, 1, 2])) == one.total


@pytest.mark.parametrize("places", [[0, 0], [3], [-1], [1, 2, 1], [0, 2**60]])
def test_a_place_counts_once_and_must_exist(places):
    assert code(committee(1, 1, 1).weigh, places) == "bad_member"


def test_places_by_key():
    one = committee(5, 7)
    assert (one.index(A), one.index(B), one.index(C)) == (0, 1, None)


def test_there_and_back():
    one = committee(1, 10**38 - 1, 3)
    assert load_committee(one.encode()) == one
    assert load_committee(one.encode()).digest == one.digest


def test_the_largest_set():
    one = committee(*[1] * MEMBERS_MAX)
    assert len(load_committee(one.encode()).members) == MEMBERS_MAX == 64


def test_another_weight_or_member_is_another_set():
    assert (
        len({one.digest for one in (committee(1, 2), committee(2, 1), committee(1), committee(1, 2, 3))}) == 4
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], "bad_member"),
        ({}, "bad_member"),
        ("x", "bad_member"),
        ([[A, "1"]] * 2, "bad_member"),
        ([[B, "1"], [A, "1"]], "bad_member"),
        ([[bytes([n]) * 32, "1"] for n in range(MEMBERS_MAX + 1)], "bad_member"),
        ([[A]], "bad_member"),
        ([[A, "1", "1"]], "bad_member"),
        ([A], "bad_member"),
        ([[A[:31], "1"]], "bad_member"),
        ([["a" * 32, "1"]], "bad_member"),
        ([[A, "0"]], "bad_member"),
        ([[A, 1]], "bad_amount"),
        ([[A, True]], "bad_amount"),
        ([[A, ""]], "bad_amount"),
        ([[A, "-1"]], "bad_amount"),
        ([[A, "01"]], "bad_amount"),
        ([[A, "٣"]], "bad_amount"),
        ([[A, "1" * 39]], "bad_amount"),
        ([[A, "9" * 5000]], "bad_amount"),
    ],
)
def test_what_is_no_witness_set_is_refused(value, expected):
    assert code(load_committee, encode(value)) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_a_witness_set_in_its_one_encoding_or_invalid(noise):
    data = committee(3, 4).encode()
    for spoilt in (noise, data[:20] + noise, data + noise, noise + data):
        try:
            found = load_committee(spoilt)
        except Invalid:
            continue
        assert found.encode() == spoilt
