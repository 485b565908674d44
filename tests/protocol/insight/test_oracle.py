"""The oracle: what stands, who pays for it, and what it would cost to bend it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.oracle import (
    Decision,
    bribe_deposit,
    majority_risk,
    scale_amount,
    scale_wagers,
    settle_attesters,
    tally,
    value_limit,
)
from troth_protocol.wire.schema import PPM

TEN = {bytes([i]): 100 for i in range(10)}
LAST = 2


def votes(*opened, hidden=0):
    """The first attesters open these outcomes, the next `hidden` seal without opening, the rest are absent."""
    out = {bytes([i]): vote for i, vote in enumerate(opened)}
    return out | {bytes([len(opened) + i]): None for i in range(hidden)}


def keys(*numbers):
    return tuple(bytes([i]) for i in numbers)


@pytest.mark.parametrize(
    ("cast", "round_index", "decision", "outcome"),
    [
        (votes(1, 1, 1, 1, 1, 1), 0, Decision.DECIDED, 1),
        (votes(1, 1, 1, 1, 1), 0, Decision.REVOTE, None),
        (votes(1, 1, 1, 1, 1, hidden=5), 1, Decision.REVOTE, None),
        (votes(1, 1, 1, 1, 1, 0), LAST, Decision.DECIDED, 1),
        (votes(2, 2, 1, 0), LAST, Decision.DECIDED, 2),
        (votes(2, 1, 1), LAST, Decision.VOID, None),
        (votes(2, 2, 2), LAST, Decision.VOID, None),
        (votes(2, 2, 1, 1, 0), LAST, Decision.VOID, None),
        (votes(hidden=10), LAST, Decision.VOID, None),
        ({}, LAST, Decision.VOID, None),
        ({}, 0, Decision.REVOTE, None),
    ],
)
def test_what_stands(cast, round_index, decision, outcome):
    """More than half of all bond; at the last vote the largest part of a third; else nothing."""
    verdict = tally(TEN, cast, round_index, 3, 3)
    assert (verdict.decision, verdict.outcome) == (decision, outcome)


def test_everybody_is_in_one_group():
    verdict = tally(TEN, votes(1, 1, 1, 1, 1, 1, 0, hidden=2), 0, 3, 2)
    assert verdict.coherent == keys(0, 1, 2, 3, 4, 5)
    assert (verdict.incoherent, verdict.unopened, verdict.absent) == (keys(6), keys(7, 8), keys(9))


def test_a_vote_without_bond_counts_for_nothing():
    verdict = tally({b"a": 1, b"b": 0}, {b"a": 0, b"b": 1, b"stranger": 1}, 0, 3, 2)
    assert (verdict.outcome, verdict.coherent, verdict.incoherent) == (0, (b"a",), (b"b",))


def test_exactly_half_is_not_enough_and_one_unit_more_is():
    assert tally({b"a": 50, b"b": 50}, {b"a": 1}, 0, 3, 2).decision is Decision.REVOTE
    assert tally({b"a": 51, b"b": 50}, {b"a": 1}, 0, 3, 2).outcome == 1


def test_exactly_a_third_is_a_quorum():
    three = dict.fromkeys([b"a", b"b", b"c"], 100)
    assert tally(three, {b"a": 1}, LAST, 3, 2).outcome == 1
    assert tally(three | {b"d": 1}, {b"a": 1}, LAST, 3, 2).decision is Decision.VOID


def test_votes_that_weigh_nothing_lead_nowhere():
    verdict = tally({b"a": 0}, {b"a": 0}, LAST, 3, 1)
    assert (verdict.decision, verdict.incoherent) == (Decision.VOID, (b"a",))


def test_without_attesters_the_last_vote_is_void():
    assert tally({}, {}, LAST, 3, 2).decision is Decision.VOID
    assert tally({}, {}, 0, 1, 2).decision is Decision.VOID


@pytest.mark.parametrize(("round_index", "penalty"), [(0, 5), (1, 10), (2, 20)])
def test_each_vote_costs_twice_the_one_before(round_index, penalty):
    verdict = tally(TEN, votes(1, 1, 1, 1, 1, 1, 0, hidden=1), round_index, 3, 2)
    settled = settle_attesters(verdict, TEN, round_index, 50_000, 60)
    assert settled.penalties == dict.fromkeys(keys(6, 7, 8, 9), penalty)
    assert settled.rewards == dict.fromkeys(keys(0, 1, 2, 3, 4, 5), 10)
    assert settled.fee_left == 0


def test_a_vote_that_decides_nothing_charges_all_but_the_leaders_and_pays_nobody():
    verdict = tally(TEN, votes(1, 1, 1, 0, 0, 2), 0, 3, 3)
    settled = settle_attesters(verdict, TEN, 0, 50_000, 60)
    assert sorted(settled.penalties) == list(keys(3, 4, 5, 6, 7, 8, 9))
    assert (settled.rewards, settled.fee_left) == ({}, 60)


def test_whoever_makes_a_void_pays_four_times():
    """Two sides tie at the last vote: both led, so only those who kept away pay."""
    verdict = tally(TEN, votes(0, 0, 0, 1, 1, 1, 2), LAST, 3, 3)
    assert verdict.decision is Decision.VOID
    assert settle_attesters(verdict, TEN, LAST, 50_000, 60).penalties == dict.fromkeys(keys(6, 7, 8, 9), 20)


BONDS = st.dictionaries(
    st.binary(min_size=1, max_size=1), st.integers(0, 3) | st.integers(0, 10**30), max_size=8
)
BALLOTS = st.dictionaries(st.binary(min_size=1, max_size=1), st.none() | st.integers(0, 2), max_size=8)


@given(BONDS, BALLOTS, st.integers(0, 2), st.integers(0, PPM), st.integers(0, 10**30))
def test_fee_and_penalties_are_exact(bonds, cast, round_index, penalty_ppm, fee):
    verdict = tally(bonds, cast, round_index, 3, 3)
    settled = settle_attesters(verdict, bonds, round_index, penalty_ppm, fee)
    groups = [verdict.coherent, verdict.incoherent, verdict.unopened, verdict.absent]
    assert sorted(key for group in groups for key in group) == sorted(bonds)
    assert sum(settled.rewards.values()) + settled.fee_left == fee
    assert set(settled.penalties) == set(bonds) - set(verdict.coherent)
    assert all(0 <= amount <= bonds[key] for key, amount in settled.penalties.items())
    if verdict.decision is Decision.DECIDED:
        weights = [sum(bonds[k] for k, vote in cast.items() if k in bonds and vote == o) for o in range(3)]
        assert weights[verdict.outcome] == max(weights) > 0
        assert settled.fee_left < len(bonds)


@given(st.integers(1, 10**6), st.integers(1, 30), st.integers(0, PPM))
def test_splitting_a_bond_saves_no_penalty(part, parts, penalty_ppm):
    whole = {b"a": part * parts}
    split = {bytes([i]): part for i in range(parts)}
    costs = [
        sum(settle_attesters(tally(bonds, {}, 1, 3, 2), bonds, 1, penalty_ppm, 0).penalties.values())
        for bonds in (whole, split)
    ]
    assert costs[1] >= costs[0]


def test_what_bending_an_outcome_takes():
    """30 attesters of 1,000, penalty 5 %, fee 30: the figures of the module's docstring."""
    assert majority_risk(30_000, 50_000) == 750
    assert bribe_deposit(30_000, 50_000, 30) == 765
    assert value_limit(30_000, 50_000, 500_000) == 375
    assert majority_risk(0, 50_000) == bribe_deposit(0, 50_000, 30) == 0


@pytest.mark.parametrize(("bribed", "is_bent"), [(10, False), (12, False), (15, False), (16, True)])
def test_a_bribe_bends_the_outcome_only_with_more_than_half_of_all_bond(bribed, is_bent):
    """Below that, the bribed vote with nobody and pay for it: the briber owes each what it lost, the p of the bribe."""
    bonds = {bytes([i]): 1000 for i in range(30)}
    verdict = tally(bonds, {key: int(i < bribed) for i, key in enumerate(bonds)}, 0, 3, 2)
    assert (verdict.outcome == 1) == is_bent
    if verdict.outcome == 0:
        lost = settle_attesters(verdict, bonds, 0, 50_000, 30).penalties
        assert sum(lost.values()) == bribed * 50 <= bribe_deposit(30_000, 50_000, 30)


WAGERS = st.dictionaries(st.binary(max_size=1), st.integers(0, 10**30), max_size=8)


@given(WAGERS, st.integers(0, 10**30), st.integers(0, 10**31))
def test_the_value_cap_is_exact_and_holds(wagers, emission, limit):
    value = sum(wagers.values()) + emission
    scaled, returned = scale_wagers(value, limit, wagers)
    assert {key: scaled[key] + returned[key] for key in wagers} == wagers
    assert min([0, *scaled.values(), *returned.values()]) == 0
    assert sum(scaled.values()) + scale_amount(emission, value, limit) <= max(limit, 0)
    if value <= limit:
        assert scaled == wagers


def test_the_value_cap_takes_the_same_part_of_each():
    scaled, returned = scale_wagers(2000, 1000, {b"a": 999, b"b": 500})
    assert (scaled, returned) == ({b"a": 499, b"b": 250}, {b"a": 500, b"b": 250})


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: tally({b"a": -1}, {}, 0, 3, 2), "bad_amount"),
        (lambda: tally(TEN, {}, 3, 3, 2), "bad_parameter"),
        (lambda: tally(TEN, {}, -1, 3, 2), "bad_parameter"),
        (lambda: tally(TEN, {}, 0, 3, 0), "bad_parameter"),
        (lambda: tally(TEN, votes(2), 0, 3, 2), "bad_outcome"),
        (lambda: tally(TEN, votes(-1), 0, 3, 2), "bad_outcome"),
        (lambda: settle_attesters(tally({}, {}, 0, 3, 2), {}, 0, 0, -1), "bad_parameter"),
        (lambda: settle_attesters(tally({}, {}, 0, 3, 2), {}, 0, PPM + 1, 0), "bad_parameter"),
        (lambda: settle_attesters(tally({}, {}, 0, 3, 2), {}, -1, 0, 0), "bad_parameter"),
        (lambda: scale_wagers(10, -1, {}), "bad_amount"),
        (lambda: scale_wagers(10, 5, {b"a": -1}), "bad_amount"),
        (lambda: scale_wagers(10, 5, {b"a": 11}), "bad_amount"),
    ],
)
def test_what_is_no_vote_is_refused(call, code):
    with pytest.raises(Invalid) as refused:
        call()
    assert refused.value.code == code
