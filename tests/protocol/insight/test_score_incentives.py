"""What the score rewards: the truth and nothing else. Each test is one property that the rule is chosen for.

Rounding is measured in `slack`: a market gain is low by less than two units of 2**-32, an emission gain by less
than one, and each amount by less than one atomic unit more.
"""

from __future__ import annotations

from itertools import pairwise
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.insight.score import Wager, log_span, score_question
from troth_protocol.wire.schema import PPM

TOKEN = 10**9
EPSILON, KAPPA, HOUSE, EMISSION = 10_000, 500_000, 1000 * TOKEN, 200 * TOKEN
SPAN = log_span(EPSILON)
WAGERS = st.integers(1, 10**30) | st.integers(TOKEN, 10**6 * TOKEN)


def forecasts(outcomes):
    return (
        st.lists(st.integers(0, 1000), min_size=outcomes, max_size=outcomes)
        .filter(any)
        .map(lambda raw: clamp_ppm(raw, EPSILON))
    )


@st.composite
def peers(draw, outcomes=3, smallest=1):
    """Up to five wagers of others."""
    rows = draw(st.lists(st.tuples(WAGERS, forecasts(outcomes)), min_size=smallest, max_size=5))
    return [Wager(bytes([200 + i]), wager, ppm) for i, (wager, ppm) in enumerate(rows)]


def settle(own, others, outcome, prior=None):
    """The scores of the first len(own) wagers."""
    prior = prior or clamp_ppm([1] * len(own[0].ppm), EPSILON)
    scores = score_question(prior, EMISSION, HOUSE, KAPPA, EPSILON, [*own, *others], outcome)
    return scores.rows[: len(own)]


def expected(belief, own, others, what, prior=None):
    """PPM times the expectation under `belief` of what `own` get in all: `back` less the wagers, or `net`."""
    paid = sum(item.wager for item in own) if what == "back" else 0
    return sum(
        p * (sum(getattr(row, what) for row in settle(own, others, outcome, prior)) - paid)
        for outcome, p in enumerate(belief)
    )


def slack(own, what):
    """How far below the exact formula integers may put a group's result, in atomic units."""
    return sum(
        KAPPA * item.wager * 2 // (PPM * SPAN) + 3 if what == "back" else item.wager // SPAN + 3
        for item in own
    )


@given(forecasts(3), forecasts(3), WAGERS, peers(), forecasts(3), st.sampled_from(["back", "net"]))
def test_a_lie_never_pays_in_either_score(belief, lie, wager, others, prior, what):
    truth, other = ([Wager(b"me", wager, ppm)] for ppm in (belief, lie))
    loss = expected(belief, truth, others, what, prior) - expected(belief, other, others, what, prior)
    assert loss >= -PPM * slack(truth, what)


@pytest.mark.parametrize("what", ["back", "net"])
@pytest.mark.parametrize("belief_percent", [1, 10, 37, 50, 80, 99])
@pytest.mark.parametrize("crowd", [20_000, 400_000, 970_000])
def test_the_best_response_is_the_belief_to_a_grid_step(what, belief_percent, crowd):
    """Every report in steps of one percent: the best is the belief itself, whatever the others say."""
    belief = (belief_percent * 10_000, PPM - belief_percent * 10_000)
    others = [Wager(b"x", 300 * TOKEN, (crowd, PPM - crowd)), Wager(b"y", 500 * TOKEN, (300_000, 700_000))]
    reports = {
        q: expected(belief, [Wager(b"me", 200 * TOKEN, (q * 10_000, PPM - q * 10_000))], others, what)
        for q in range(1, 100)
    }
    assert max(reports, key=reports.__getitem__) == belief_percent


@given(WAGERS, peers(smallest=0), forecasts(3), st.integers(0, 2))
def test_repeating_the_prior_earns_exactly_nothing_at_any_size(wager, others, prior, outcome):
    (row,) = settle([Wager(b"me", wager, prior)], others, outcome, prior)
    assert (row.net, row.G_ppm) == (0, 0)


@given(WAGERS, WAGERS, forecasts(3), st.integers(0, 2))
def test_repeating_the_consensus_earns_nothing_on_the_wager(wager, crowd, consensus, outcome):
    """At most rounding is lost: two units of 2**-32 of the wager's part at stake."""
    copier = [Wager(b"me", wager, consensus)]
    (row,) = settle(copier, [Wager(b"x", crowd, consensus), Wager(b"y", crowd, consensus)], outcome)
    assert wager - slack(copier, "back") <= row.back <= wager


@given(st.lists(WAGERS, min_size=2, max_size=8), forecasts(3), peers(), st.integers(0, 2), forecasts(3))
def test_splitting_an_identity_gains_nothing(parts, ppm, others, outcome, prior):
    """Emission: equal but for units lost to more floors. Wagers: never more, for one bids against oneself."""
    whole = [Wager(b"me", sum(parts), ppm)]
    split = [Wager(bytes([i]), part, ppm) for i, part in enumerate(parts)]
    (one,), many = settle(whole, others, outcome, prior), settle(split, others, outcome, prior)
    assert one.net - len(parts) < sum(row.net for row in many) <= one.net
    assert sum(row.back for row in many) <= one.back + slack(whole, "back")


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_hundred_identities_earn_no_more_than_one(outcome):
    others = [Wager(b"x", 900 * TOKEN, (600_000, 400_000))]
    (one,) = settle([Wager(b"me", 100 * TOKEN, (800_000, 200_000))], others, outcome)
    hundred = settle([Wager(bytes([i]), TOKEN, (800_000, 200_000)) for i in range(100)], others, outcome)
    assert sum(row.back + row.net for row in hundred) <= one.back + one.net


@given(st.lists(st.tuples(WAGERS, forecasts(3), forecasts(3)), min_size=2, max_size=5), WAGERS, forecasts(3))
def test_no_forecast_enters_anothers_emission(coalition, wager, ppm):
    """So that a coalition gains nothing there, to the unit (above dust, where a unit may be forgiven)."""
    me = Wager(b"me", max(wager, TOKEN), ppm)
    for outcome in range(3):
        honest, joint = (
            settle(
                [me], [Wager(bytes([i]), row[0], row[1 + how]) for i, row in enumerate(coalition)], outcome
            )[0]
            for how in (0, 1)
        )
        assert honest.net == joint.net


@given(st.lists(st.tuples(WAGERS, forecasts(3)), min_size=2, max_size=4), forecasts(3), peers())
def test_no_coalition_beats_one_identity_that_tells_its_belief(members, belief, others):
    """The bound on what members of one belief can gain from each other: what splitting up had cost them, no more."""
    coalition = [Wager(bytes([i]), wager, ppm) for i, (wager, ppm) in enumerate(members)]
    merged = [Wager(b"me", sum(wager for wager, _ in members), belief)]
    gain = expected(belief, coalition, others, "back") - expected(belief, merged, others, "back")
    assert gain <= PPM * slack(merged, "back")


def averaging_gain(p, q, share, rest=(500_000, 500_000)):
    """What two of equal wagers gain by reporting their mean: by outcome, as a part of kappa * their wagers."""
    wager = 10**15
    others = [Wager(b"x", int(wager * (1 - 2 * share) / share), rest)]
    mean = tuple((a + b) // 2 for a, b in zip(p, q, strict=True))
    apart = [Wager(b"a", wager, p), Wager(b"b", wager, q)]
    alike = [Wager(b"a", wager, mean), Wager(b"b", wager, mean)]
    for outcome in (0, 1):
        gain = sum(row.back for row in settle(alike, others, outcome)) - sum(
            row.back for row in settle(apart, others, outcome)
        )
        yield gain / (KAPPA / PPM * 2 * wager)


EVEN_PPM = st.integers(5_000, 495_000).map(lambda half: 2 * half)


@given(EVEN_PPM, EVEN_PPM, EVEN_PPM, st.floats(0.01, 0.45))
def test_what_averaging_gains_is_bounded_by_how_far_the_two_disagree(a, b, c, share):
    """For every outcome: kappa * wagers * (1 - w) / L * ln(arithmetic mean / geometric mean) of the two probabilities.

    From ln P_-a + ln P_-b <= 2 ln of the same at the mean (concavity), which leaves the change in ln p_a + ln p_b.
    """
    p, q, rest = ((x, PPM - x) for x in (a, b, c))
    for k, gain in enumerate(averaging_gain(p, q, share, rest)):
        bound = (1 - share) / log(PPM / EPSILON) * log((p[k] + q[k]) / 2 / (p[k] * q[k]) ** 0.5)
        assert gain <= bound + 1e-8


def test_two_with_five_percent_each_gain_about_two_percent_by_averaging():
    """The residual that every score against peers has; it grows with how much the two disagree."""
    at_odds = [((750_000, 250_000), (500_000, 500_000)), ((800_000, 200_000), (500_000, 500_000))]
    mild, strong = (list(averaging_gain(p, q, 0.05)) for p, q in at_odds)
    assert [round(gain, 4) for gain in mild] == [0.0042, 0.0121]
    assert [round(gain, 4) for gain in strong] == [0.0056, 0.0209]


@given(WAGERS, forecasts(3), peers(smallest=0), st.integers(0, 2))
def test_hiding_a_bad_forecast_is_never_better_than_showing_it(wager, ppm, others, outcome):
    prior = clamp_ppm([1] * 3, EPSILON)
    shown, hidden = (settle([Wager(b"me", wager, what)], others, outcome, prior)[0] for what in (ppm, None))
    assert shown.back + shown.net >= hidden.back + hidden.net == 0
    assert shown.net_for_record >= hidden.net_for_record


@given(st.integers(2, 8), WAGERS, peers(outcomes=8, smallest=0), st.integers(0, 7))
def test_one_identity_per_outcome_loses_even_if_only_the_right_one_opens(identities, wager, others, outcome):
    """The winner takes at most its wager again, and the others forfeited at least that."""
    sure = clamp_ppm([int(k == outcome) for k in range(8)], EPSILON)
    own = [Wager(bytes([i]), wager, sure if i == 0 else None) for i in range(identities)]
    scores = score_question(
        clamp_ppm([1] * 8, EPSILON), EMISSION, HOUSE, KAPPA, EPSILON, [*own, *others], outcome
    )
    assert sum(row.back + row.net for row in scores.rows[:identities]) <= identities * wager


def test_wagers_compound_towards_insight():
    """Forty questions of a 70 % event: the money ends with who knew it, whoever had most at first."""
    money = {b"knows": 100 * TOKEN, b"prior": 100 * TOKEN, b"loud": 300 * TOKEN}
    says = {b"knows": (700_000, 300_000), b"prior": (500_000, 500_000), b"loud": (100_000, 900_000)}
    history = [money]
    for i in range(40):
        wagers = [Wager(key, money[key] // 2, says[key]) for key in money]
        rows = score_question(
            (500_000,) * 2, EMISSION, HOUSE, KAPPA, EPSILON, wagers, int(i % 10 in (2, 5, 8))
        ).rows
        money = {row.author: money[row.author] - money[row.author] // 2 + row.back + row.net for row in rows}
        history.append(money)
    assert money[b"knows"] > 1.5 * history[0][b"knows"]
    assert money[b"loud"] < history[0][b"loud"] // 3
    assert all(
        sum(later.values()) <= sum(earlier.values()) + EMISSION for earlier, later in pairwise(history)
    )
