"""The score's books: to the unit what the formula says, never a unit out of nothing, whatever the numbers."""

from __future__ import annotations

import random
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.fixed import floor_log2
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.insight.score import Wager, log_span, score_question
from troth_protocol.wire.schema import PPM

EXACT = Context(prec=120)
AMOUNTS = st.integers(0, 3) | st.integers(1, 10**30) | st.sampled_from([10**9, 10**12, 10**30, 10**38 - 1])
TOKEN = 10**9


@st.composite
def questions(draw):
    """Arguments of score_question: 0 to 8 wagers of hostile sizes, 2 to 64 outcomes, epsilon at its ends or between."""
    outcomes = draw(st.sampled_from([2, 3, 64]))
    epsilon = draw(
        st.sampled_from([1, 10_000 // outcomes, PPM // outcomes]) | st.integers(1, PPM // outcomes)
    )
    shapes = st.lists(st.integers(0, 1000) | st.just(10**9), min_size=2, max_size=5).filter(any)
    # a shape is repeated over the outcomes: drawing 64 numbers for each forecast takes too long
    forecasts = shapes.map(lambda shape: clamp_ppm(([1] + shape * outcomes)[:outcomes], epsilon))
    rows = draw(st.lists(st.tuples(AMOUNTS, st.none() | forecasts | forecasts), max_size=8))
    wagers = [Wager(bytes([i]) * 32, amount, ppm) for i, (amount, ppm) in enumerate(rows)]
    kappa = draw(st.sampled_from([0, 1, 333_333, 500_000]))
    outcome = draw(st.integers(0, outcomes - 1))
    return draw(forecasts), draw(AMOUNTS), draw(AMOUNTS), kappa, epsilon, wagers, outcome


def reference(prior, emission, house, kappa, epsilon, wagers, outcome):
    """(back, net) by author: the rule once more, written from its definition with decimal logarithms."""

    def log2(value, rounding):
        exact = value.ln() / Decimal(2).ln() * 2**32
        whole = exact.to_integral_value()
        return int(whole if abs(exact - whole) < Decimal(10) ** -60 else exact.to_integral_value(rounding))

    with localcontext(EXACT):
        span = log2(Decimal(PPM) / epsilon, ROUND_CEILING)
        weight = sum(item.wager for item in wagers) + house
        cap = min(emission, weight // 2)
        shown = [item for item in wagers if item.ppm is not None]
        out = {item.author: (0, 0) for item in wagers if item.ppm is None}
        for one in shown:
            rest = [other for other in shown if other is not one]
            others = sum(other.wager for other in rest)
            back, p = one.wager, Decimal(one.ppm[outcome])
            if others:
                pooled = Decimal(sum(other.wager * other.ppm[outcome] for other in rest))
                gain = log2(p / PPM, ROUND_FLOOR) - log2(pooled / (others * PPM), ROUND_CEILING)
                back += kappa * one.wager * others * gain // (PPM * (others + one.wager) * span)
            gain = log2(p / prior[outcome], ROUND_FLOOR)
            net = cap * one.wager * gain // (weight * span) if weight else 0
            out[one.author] = back, max(net, -back)
    return out


@given(questions())
def test_a_second_implementation_agrees_to_the_unit(question):
    scores = score_question(*question)
    assert {row.author: (row.back, row.net) for row in scores.rows} == reference(*question)


@given(questions())
def test_every_unit_is_somewhere(question):
    _, emission, house, _, _, wagers, _ = question
    scores = score_question(*question)
    staked = sum(item.wager for item in wagers)
    assert staked == sum(row.back for row in scores.rows) + scores.to_reserve
    assert scores.to_reserve >= sum(item.wager for item in wagers if item.ppm is None)
    assert scores.emission == min(emission, (staked + house) // 2)
    assert scores.net() <= scores.emission


@given(questions())
def test_nobody_ends_below_zero_and_emission_takes_at_most_half(question):
    wagers = question[5]
    for item, row in zip(wagers, score_question(*question).rows, strict=True):
        assert row.author == item.author
        assert row.back >= (0 if item.ppm is None else item.wager // 2)
        assert row.back + row.net >= 0
        assert row.net >= -((item.wager + 1) // 2)
        assert -PPM <= row.g_ppm <= PPM
        assert -PPM <= row.G_ppm <= PPM


@given(questions())
def test_the_unrevealed_are_as_good_as_part_of_the_house(question):
    """They are in nobody's market: with their wagers in H instead, every other result is the same."""
    prior, emission, house, kappa, epsilon, wagers, outcome = question
    shown = [item for item in wagers if item.ppm is not None]
    house = min(house, 10**30)
    hidden = sum(item.wager for item in wagers if item.ppm is None)
    if house + hidden < 10**38:
        with_them = score_question(prior, emission, house, kappa, epsilon, wagers, outcome)
        without = score_question(prior, emission, house + hidden, kappa, epsilon, shown, outcome)
        assert [row for row in with_them.rows if row.author in {item.author for item in shown}] == list(
            without.rows
        )


@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_reveals_does_not_matter(question, rng):
    """There is no last mover: the score sees a set."""
    prior, emission, house, kappa, epsilon, wagers, outcome = question
    shuffled = rng.sample(wagers, len(wagers))
    again = score_question(prior, emission, house, kappa, epsilon, shuffled, outcome)
    rows = score_question(*question).rows
    assert sorted(again.rows, key=lambda row: row.author) == sorted(rows, key=lambda row: row.author)


@given(AMOUNTS, st.integers(10_000, 990_000), st.integers(0, 1), AMOUNTS)
def test_one_revealed_wager_alone_comes_back_whole(wager, p, outcome, forfeited):
    lone = Wager(b"a", wager, (p, PPM - p))
    scores = score_question(
        (PPM // 2,) * 2, 10**9, 10**9, 500_000, 10_000, [lone, Wager(b"b", forfeited, None)], outcome
    )
    assert (scores.rows[0].back, scores.rows[0].g_ppm, scores.to_reserve) == (wager, 0, forfeited)


def test_an_unrevealed_wager_is_forfeit_and_counts_as_the_worst_score():
    wagers = [Wager(b"a", 100 * TOKEN, None), Wager(b"b", 100 * TOKEN, (PPM // 2,) * 2)]
    hidden, _ = score_question((PPM // 2,) * 2, 10 * TOKEN, 200 * TOKEN, 500_000, 10_000, wagers, 0).rows
    assert (hidden.back, hidden.net, hidden.g_ppm, hidden.G_ppm) == (0, 0, -PPM, -PPM)
    assert hidden.net_for_record == -10 * TOKEN * 100 // 400


def test_thousands_of_near_consensus_pots_never_mint():
    """Where all say nearly the same, rounding decides. Rounding every term down would overspend many of these pots."""
    rng = random.Random(3)
    overspent_by_floors, pots, slack = 0, 3000, 0
    for _ in range(pots):
        centre = rng.randrange(20_000, 980_000)
        forecasts = [centre + rng.randrange(-1, 2) for _ in range(rng.randrange(2, 12))]
        amounts = [10 ** rng.randrange(9, 22) for _ in forecasts]
        wagers = [
            Wager(bytes([i]), m, (p, PPM - p))
            for i, (m, p) in enumerate(zip(amounts, forecasts, strict=True))
        ]
        scores = score_question((PPM // 2,) * 2, 0, 0, 500_000, 10_000, wagers, 0)
        assert scores.to_reserve >= 0
        slack = max(slack, scores.to_reserve / sum(amounts))
        overspent_by_floors += sum(floored_backs(amounts, forecasts)) > sum(amounts)
    assert overspent_by_floors > pots // 10, "the pots are not near enough to consensus to show anything"
    assert slack < 1e-9


def floored_backs(amounts, forecasts):
    """What a gain of floor(log2 p) - floor(log2 P) would pay back."""
    total, pooled = sum(amounts), sum(m * p for m, p in zip(amounts, forecasts, strict=True))
    for m, p in zip(amounts, forecasts, strict=True):
        gain = floor_log2(p, PPM) - floor_log2(pooled - m * p, (total - m) * PPM)
        yield m + 500_000 * m * (total - m) * gain // (PPM * total * log_span(10_000))


def test_the_unit_that_is_forgiven():
    """Both halves of a wager of 3 would be rounded up: 2 + 2. Nobody pays more than it put in."""
    wagers = [Wager(b"a", 3, (10_000, 990_000)), Wager(b"b", 10**12, (990_000, 10_000))]
    row = score_question((990_000, 10_000), 10**12, 0, 500_000, 10_000, wagers, 0).rows[0]
    assert (row.back, row.net) == (1, -1)


EVEN = (PPM // 2, PPM // 2)
FINE = [Wager(b"a", 1, EVEN)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"prior_ppm": (PPM,)}, "bad_probabilities"),
        ({"prior_ppm": (PPM // 2, PPM // 2 - 1)}, "bad_probabilities"),
        ({"prior_ppm": (999_999, 1)}, "bad_probabilities"),
        ({"wagers": [Wager(b"a", 1, (PPM, 0))]}, "bad_probabilities"),
        ({"wagers": [Wager(b"a", 1, (400_000, 300_000, 300_000))]}, "bad_probabilities"),
        ({"wagers": [*FINE, Wager(b"a", 1, None)]}, "duplicate"),
        ({"wagers": [Wager(b"a", -1, EVEN)]}, "bad_amount"),
        ({"wagers": [Wager(b"a", 10**38, EVEN)]}, "bad_amount"),
        ({"emission": -1}, "bad_amount"),
        ({"emission": 10**38}, "bad_amount"),
        ({"house": -1}, "bad_amount"),
        ({"kappa_ppm": -1}, "bad_parameter"),
        ({"kappa_ppm": 500_001}, "bad_parameter"),
        ({"epsilon_ppm": 0}, "bad_parameter"),
        ({"epsilon_ppm": 500_001}, "bad_parameter"),
        ({"outcome": 2}, "bad_outcome"),
        ({"outcome": -1}, "bad_outcome"),
    ],
)
def test_what_makes_no_question_is_refused(changed, code):
    fine = {
        "prior_ppm": EVEN,
        "emission": 1,
        "house": 1,
        "kappa_ppm": 1,
        "epsilon_ppm": 10_000,
        "wagers": FINE,
        "outcome": 0,
    }
    score_question(**fine)
    with pytest.raises(Invalid) as refused:
        score_question(**(fine | changed))
    assert refused.value.code == code
