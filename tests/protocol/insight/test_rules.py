"""The rules for comparison: exact shares of a fixed pot, against the published figures of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.insight.rules import RULES, Participant, score_shares, share_pot
from troth_protocol.insight.score import Wager
from troth_protocol.wire.schema import PPM

PUBLISHED = json.loads((Path(__file__).parents[3] / "spec/vectors/reference_values.json").read_text())
TOKEN = 10**9


def two_outcomes(probabilities, weights):
    """Participants that give outcome 0 these probabilities."""
    ppm = [round(p * PPM) for p in probabilities]
    units = [round(weight * TOKEN) for weight in weights]
    rows = enumerate(zip(units, ppm, strict=True))
    return [Participant(bytes([i]), weight, (p, PPM - p)) for i, (weight, p) in rows]


@st.composite
def pots(draw):
    epsilon = draw(st.sampled_from([1, 10_000, 15_625]))
    outcomes = draw(st.sampled_from([2, 3, 64]))
    shapes = st.lists(st.integers(0, 1000), min_size=2, max_size=4)
    raw = shapes.map(lambda shape: ([1] + shape * outcomes)[:outcomes])
    rows = draw(st.lists(st.tuples(st.integers(0, 2) | st.integers(1, 10**30), raw), max_size=6))
    people = [Participant(bytes([i]), w, clamp_ppm(values, epsilon)) for i, (w, values) in enumerate(rows)]
    return draw(st.integers(0, 10**30)), people, draw(st.integers(0, outcomes - 1)), epsilon


@pytest.mark.parametrize("rule", RULES)
@given(pots())
def test_shares_and_remainder_are_the_pot(rule, case):
    pot, people, outcome, epsilon = case
    shares, remainder = share_pot(rule, pot, people, outcome, epsilon)
    assert sum(shares.values()) + remainder == pot
    assert min([remainder, *shares.values()]) >= 0
    assert set(shares) == {one.id for one in people}
    if rule != "nawm" and any(one.weight for one in people):
        assert remainder < len(people)


@pytest.mark.parametrize("rule", RULES)
@given(pots())
def test_one_alone_takes_it_all(rule, case):
    pot, people, outcome, epsilon = case
    weighty = [one for one in people if one.weight][:1]
    idle = [one for one in people if not one.weight]
    shares, remainder = share_pot(rule, pot, weighty + idle, outcome, epsilon)
    assert [shares[one.id] for one in weighty] == [pot] * len(weighty)
    assert remainder == pot * (not weighty)


def test_wswm_gives_the_published_payoffs():
    """Lambert et al. 2008, example with the Brier score: the pot is what was wagered."""
    published = PUBLISHED["wswm_brier"]
    people = two_outcomes(published["p"], published["wagers"])
    shares, remainder = share_pot("wswm", 4 * TOKEN, people, 0, 10_000)
    assert list(shares.values()) == [round(payoff * TOKEN) for payoff in published["payoffs"]]
    assert remainder == 0


def test_posterior_gives_the_published_shares():
    published = PUBLISHED["posterior_share"]
    people = two_outcomes(published["p_outcome"], published["w"])
    shares, _ = share_pot("posterior", 10**18, people, 0, 10_000)
    assert list(shares.values()) == pytest.approx([w * 10**18 for w in published["w_next"]], rel=1e-12)


def test_a_posterior_market_of_uniform_beliefs_is_laplaces_rule():
    """Beygelzimer, Langford and Pennock 2012: wealth updates as Bayes, so the price is (k + 1) / (n + 2)."""
    published = PUBLISHED["kelly_market_beta"]
    beliefs = [(2 * i + 1) * 1000 for i in range(500)]
    wealth, prices = [10**24] * 500, []
    for drawn in published["sequence"]:
        total = sum(wealth)
        prices.append(sum(w * p for w, p in zip(wealth, beliefs, strict=True)) / (total * PPM))
        rows = enumerate(zip(wealth, beliefs, strict=True))
        people = [Participant(i.to_bytes(2, "big"), w, (PPM - p, p)) for i, (w, p) in rows]
        shares, _ = share_pot("posterior", total, people, drawn, 1000)
        wealth = list(shares.values())
    assert prices == pytest.approx(published["price_before_each"], abs=1e-5)


def best_report(rule, belief, peers):
    """Of all reports in steps of one percent, the one with the largest expected share."""

    def gain(report):
        people = two_outcomes([report / 100, *peers], [1] * (len(peers) + 1))
        shares = [share_pot(rule, 10**15, people, outcome, 10_000)[0][b"\0"] for outcome in (0, 1)]
        return belief * shares[0] + (1 - belief) * shares[1]

    return max(range(1, 100), key=gain)


def test_posterior_rewards_exaggeration_and_the_others_do_not():
    """Belief .6 against nine peers at .5: as far from them as epsilon allows."""
    assert [best_report(rule, 0.6, [0.5] * 9) for rule in ("posterior", "nawm", "wswm")] == [99, 60, 60]


def test_nawm_keeps_what_it_does_not_pay():
    """Three who disagree leave a part of the pot; three who agree leave only rounding."""
    apart, alike = (
        share_pot("nawm", 10**12, two_outcomes(p, [1, 1, 1]), 0, 10_000)[1]
        for p in ([0.9, 0.6, 0.1], [0.6, 0.6, 0.6])
    )
    assert apart > 10**10
    assert alike < 1000


EVEN = (PPM // 2, PPM // 2)


@pytest.mark.parametrize("rule", RULES)
@given(pots(), st.integers(0, 10**30), st.integers(0, 3))
def test_as_a_score_wagers_return_and_the_pot_is_shared(rule, case, house, hidden):
    emission, people, outcome, epsilon = case
    wagers = [Wager(one.id, one.weight, one.ppm if i >= hidden else None) for i, one in enumerate(people)]
    scores = score_shares(rule, emission, house, epsilon, wagers, outcome)
    assert scores.emission == min(emission, (sum(item.wager for item in wagers) + house) // 2)
    shares, _ = share_pot(rule, scores.emission, people[hidden:], outcome, epsilon)
    assert [row.net for row in scores.rows] == [row.net_for_record for row in scores.rows]
    assert [row.net for row in scores.rows] == [shares.get(item.author, 0) for item in wagers]
    assert [row.back for row in scores.rows] == [item.wager if item.ppm else 0 for item in wagers]
    assert sum(row.back for row in scores.rows) + scores.to_reserve == sum(item.wager for item in wagers)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"rule": "kelly"}, "bad_parameter"),
        ({"pot": -1}, "bad_amount"),
        ({"participants": [Participant(b"a", -1, EVEN)]}, "bad_amount"),
        ({"participants": [Participant(b"a", 1, EVEN)] * 2}, "duplicate"),
        ({"participants": [Participant(b"a", 1, (PPM, 0))]}, "bad_probabilities"),
        ({"participants": [Participant(b"a", 1, EVEN), Participant(b"b", 1, (PPM,))]}, "bad_probabilities"),
        ({"epsilon_ppm": 0}, "bad_parameter"),
        ({"outcome": 2}, "bad_outcome"),
    ],
)
def test_what_cannot_be_shared_is_refused(changed, code):
    fine = {
        "rule": "nawm",
        "pot": 1,
        "participants": [Participant(b"a", 1, EVEN)],
        "outcome": 0,
        "epsilon_ppm": 10_000,
    }
    share_pot(**fine)
    with pytest.raises(Invalid) as refused:
        share_pot(**(fine | changed))
    assert refused.value.code == code
